// Command guest is a function that brings its own runtime: a client of the Runtime API that answers each
// event, an array of a word and its argument, with what it found.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	if os.Getenv("HOSTILE") != "" {
		beHostile()
	}
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	fmt.Println("ready")
	for {
		next, err := http.Get(base + "next")
		if err != nil {
			panic(err)
		}
		event, err := io.ReadAll(next.Body)
		next.Body.Close()
		if err != nil {
			panic(err)
		}
		answer, err := json.Marshal(do(event))
		if err != nil {
			panic(err)
		}
		done, err := http.Post(base+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(answer))
		if err != nil {
			panic(err)
		}
		done.Body.Close()
	}
}

// do answers one event; what is no array of words is answered as it is.
func do(event []byte) any {
	var words []string
	if json.Unmarshal(event, &words) != nil || len(words) == 0 {
		return json.RawMessage(event)
	}
	argument := strings.Join(words[1:], " ")
	switch words[0] {
	case "args":
		return os.Args
	case "env":
		return os.Getenv(argument)
	case "dir":
		dir, err := os.Getwd()
		return said(dir, err)
	case "read":
		b, err := os.ReadFile(argument)
		return said(string(b), err)
	case "write":
		return said("ok", os.WriteFile(argument, nil, 0o600))
	case "look up":
		found, err := net.LookupHost(argument)
		return said(strings.Join(found, " "), err)
	case "get":
		r, err := http.Get(argument)
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return said(string(b), err)
	}
	return "unknown word"
}

func said(text string, err error) string {
	if err != nil {
		return err.Error()
	}
	return text
}
