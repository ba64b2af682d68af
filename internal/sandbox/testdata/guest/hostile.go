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
	"strings"
	"time"
)

// hostile means ill of the Runtime API. What it learns is its answer.
type hostile struct {
	api string
	got map[string]string
}

const (
	base  = "/2018-06-01/runtime/"
	other = base + "invocation/00000000-0000-4000-8000-000000000000"
)

// talk sends bytes on a connection of their own, and returns the status of each answer, or how it ended.
func (h *hostile) talk(data string) string {
	c, err := net.DialTimeout("tcp", h.api, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // a connection that was just made
	go func() {
		_, _ = io.WriteString(c, data) // it may be refused in the middle
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	var out []string
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadString('\n')
		if f := strings.Fields(line); strings.HasPrefix(line, "HTTP/1.") && len(f) > 1 {
			out = append(out, f[1])
		}
		if err != nil {
			break
		}
	}
	if len(out) == 0 {
		return "closed"
	}
	return strings.Join(out, " ")
}

func request(method, path, body string, header ...string) string {
	return named("127.0.0.1:9001", method, path, body, header...)
}

func named(host, method, path, body string, header ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, path)
	if host != "" {
		fmt.Fprintf(&b, "Host: %s\r\n", host)
	}
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

func (h *hostile) next() string {
	r, err := http.Get("http://" + h.api + base + "invocation/next")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	r.Body.Close()
	return r.Header.Get("Lambda-Runtime-Aws-Request-Id")
}

func (h *hostile) answer(id string, body []byte) {
	r, err := http.Post("http://"+h.api+base+"invocation/"+id+"/response", "", bytes.NewReader(body))
	if err == nil {
		h.got["the answer"] = fmt.Sprint(r.StatusCode)
		r.Body.Close()
	}
}

// flood opens as many connections as it may, and keeps them.
func (h *hostile) flood() string {
	var held []net.Conn
	for range 900 {
		c, err := net.DialTimeout("tcp", h.api, time.Second)
		if err != nil {
			break
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Close()
	}
	return fmt.Sprint(len(held) > 0)
}

func beHostile() {
	h := &hostile{api: os.Getenv("AWS_LAMBDA_RUNTIME_API"), got: map[string]string{}}
	h.got["an answer before any event"] = h.talk(request("POST", other+"/response", "1"))
	id := h.next()
	h.attack(base + "invocation/" + id)
	h.got["connections without end"] = h.flood()
	h.got["still there"] = h.talk(request("POST", other+"/response", "1"))
	body, err := json.Marshal(h.got)
	if err != nil {
		os.Exit(1)
	}
	h.answer(id, body)
	h.got["a second answer"] = h.talk(request("POST", base+"invocation/"+id+"/response", "2"))
	h.got["an error after the answer"] = h.talk(request("POST", base+"invocation/"+id+"/error", "{}"))
	if body, err = json.Marshal(h.got); err != nil {
		os.Exit(1)
	}
	h.answer(h.next(), body)
	h.answer(h.next(), bytes.Repeat([]byte(" "), 7<<20))
	select {}
}

// attack tries what it can while an event is its own.
func (h *hostile) attack(mine string) {
	event := base + "invocation/next"
	id := mine[strings.LastIndexByte(mine, '/')+1:]
	raw := func(path string, head string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n" + head + "\r\n\r\n"
	}
	for name, data := range map[string]string{
		"another request's answer":            request("POST", other+"/response", "1"),
		"another request's error":             request("POST", other+"/error", "{}"),
		"an id that climbs":                   request("POST", mine+"/../"+id+"x/response", "1"),
		"an id that is encoded":               request("POST", base+"invocation/%2e%2e%2f"+id+"/response", "1"),
		"an id of two megabytes":              request("POST", base+"invocation/"+strings.Repeat("a", 2<<20)+"/response", "1"),
		"the next event while one runs":       request("GET", event, ""),
		"an initialisation error after it":    request("POST", base+"init/error", "{}"),
		"a foreign host":                      named("attacker.example", "GET", event, ""),
		"a foreign host that looks like ours": named("127.0.0.1.attacker.example:9001", "GET", event, ""),
		"a foreign address":                   named("169.254.169.254", "GET", event, ""),
		"no host":                             named("", "GET", event, ""),
		"two hosts":                           request("GET", event, "", "Host: attacker.example"),
		"another's URL":                       request("GET", "http://169.254.169.254/latest/meta-data/", ""),
		"a proxy":                             "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\n\r\n",
		"two lengths":                         raw(mine+"/response", "Content-Length: 3\r\nContent-Length: 1") + "123",
		"a negative length":                   raw(mine+"/response", "Content-Length: -1") + "1",
		"a length with a sign":                raw(mine+"/response", "Content-Length: +1") + "1",
		"a coding that nobody knows":          raw(mine+"/response", "Transfer-Encoding: xchunked") + "1",
		"a chunk without end":                 raw(other+"/response", "Transfer-Encoding: chunked") + "ffffffffffffffff1\r\nx",
		"a request within a chunked one":      raw(other+"/error", "Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n" + request("POST", other+"/response", "2"),
		"a request behind another":            request("POST", other+"/error", "{}") + request("POST", other+"/response", "2"),
		"a header above the limit":            request("GET", event, "", "X: "+strings.Repeat("a", 2<<20)),
		"a line break in a header":            request("GET", event, "", "X: a\rHost: b"),
		"a zero byte in a header":             request("GET", event, "", "X: a\x00b"),
		"a header that is folded":             named("attacker.example", "GET", event, "", "X: a\r\n b"),
		"another method":                      request("DELETE", mine+"/response", ""),
		"another API":                         request("GET", "/2015-03-31/functions/", ""),
		"Bastide's own paths":                 request("GET", "/_bastide/v1/audit/records", ""),
		"no HTTP":                             strings.Repeat("\x00\xff", 100) + "\r\n\r\n",
		"HTTP/2 at once":                      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TLS":                                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 500),
		"an extension that is none":           request("GET", "/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier: 00000000-0000-4000-8000-000000000000"),
	} {
		h.got[name] = h.talk(data)
	}
}
