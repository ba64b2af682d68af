// Command extension is an external extension that the fleet's tests put into layers. What it does is
// said in the variable PLAN, JSON; it prints what happens to it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type plan struct {
	Events    []string        // to register for
	Subscribe json.RawMessage // body of a subscription
	API       string          // its path
	Listen    int             // port for telemetry
	TCP       bool
	Env       []string // variables to print

	ExitAt   string // "start", "init", "invoke", "shutdown": ends there with status 3
	Silent   bool   // never registers
	Error    string // "init/error" or "exit/error": reported, then the end
	Linger   int    // ms of work after the function's invocation
	Stubborn bool   // does not end at the shutdown
}

var (
	p    plan
	api  = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	name = filepath.Base(os.Args[0])
	id   string
)

func main() {
	if err := json.Unmarshal([]byte(os.Getenv("PLAN")), &p); err != nil {
		die(err)
	}
	end("start")
	for _, v := range p.Env {
		value, ok := os.LookupEnv(v)
		say("env", v, ok, value)
	}
	if p.Silent {
		forever()
	}
	register()
	if p.Listen != 0 {
		listen()
		subscribe()
	}
	end("init")
	if p.Error != "" {
		status, body := call("POST", "/2020-01-01/extension/"+p.Error, `{"errorMessage":"m"}`, "Lambda-Extension-Function-Error-Type", "Fixture.Wanted")
		say("reported", status, body)
		os.Exit(4)
	}
	for {
		status, body := call("GET", "/2020-01-01/extension/event/next", "")
		say("event", status, body)
		var e struct {
			Type string `json:"eventType"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			die(err)
		}
		if e.Type == "SHUTDOWN" {
			end("shutdown")
			if p.Stubborn {
				forever()
			}
			received.Lock()
			say("bye", strings.Join(kinds, " "))
			received.Unlock()
			os.Exit(0)
		}
		end("invoke")
		time.Sleep(time.Duration(p.Linger) * time.Millisecond)
	}
}

func say(words ...any) { fmt.Println(append([]any{name}, words...)...) }

func die(err error) {
	say("fails", err)
	os.Exit(9)
}

func end(where string) {
	if p.ExitAt == where {
		os.Exit(3)
	}
}

func call(method, path, body string, header ...string) (int, string) {
	req, err := http.NewRequest(method, api+path, strings.NewReader(body))
	if err != nil {
		die(err)
	}
	req.Header.Set("Lambda-Extension-Identifier", id)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		die(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		die(err)
	}
	if got := res.Header.Get("Lambda-Extension-Identifier"); got != "" {
		id = got
	}
	return res.StatusCode, string(b)
}

func register() {
	body, err := json.Marshal(map[string]any{"events": p.Events})
	if err != nil {
		die(err)
	}
	status, answer := call("POST", "/2020-01-01/extension/register", string(body),
		"Lambda-Extension-Name", name, "Lambda-Extension-Accept-Feature", "accountId")
	say("registered", status, answer, len(id))
}

func subscribe() {
	status, answer := call("PUT", p.API, string(p.Subscribe), "Content-Type", "application/json")
	say("subscribed", status, answer)
}

var (
	received sync.Mutex
	kinds    []string // of the events
)

// take notes the kinds of events, and prints platform's records.
func take(line []byte) {
	var e struct {
		Time, Type string
		Record     json.RawMessage
	}
	if err := json.Unmarshal(line, &e); err != nil {
		die(fmt.Errorf("%w: %q", err, line))
	}
	received.Lock()
	defer received.Unlock()
	kinds = append(kinds, e.Type)
	if strings.HasPrefix(e.Type, "platform.") || slices.Contains(p.Env, "PRINT") {
		fmt.Fprintln(os.Stderr, name, "hears", e.Type, string(e.Record))
	}
}

// listen takes telemetry at the environment's own name, as extensions do.
func listen() {
	l, err := net.Listen("tcp", "sandbox.localdomain:"+strconv.Itoa(p.Listen))
	if err != nil {
		die(err)
	}
	if p.TCP {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					die(err)
				}
				go func() {
					for s := bufio.NewScanner(c); s.Scan(); {
						take(s.Bytes())
					}
				}()
			}
		}()
		return
	}
	go func() {
		die(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var batch []json.RawMessage
			if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
				die(err)
			}
			if r.Header.Get("Content-Type") != "application/json" {
				die(fmt.Errorf("the content type is %q", r.Header.Get("Content-Type")))
			}
			for _, e := range batch {
				take(bytes.TrimSpace(e))
			}
		})))
	}()
}

// forever waits; a bare select would be a deadlock to Go.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
