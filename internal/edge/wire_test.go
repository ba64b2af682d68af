package edge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// raw sends bytes as they are and gives the answers' statuses, in order.
func raw(t *testing.T, addr, bytes string) []int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var out []int
	br := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return out
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return append(out, resp.StatusCode)
		}
		out = append(out, resp.StatusCode)
	}
}

// Requests that two readers may understand differently reach no function, or exactly the one that
// was authorised.
func TestRequestsOnTheWire(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	closed := routed("ANY /admin")
	closed.AuthorizationType = new("AWS_IAM")
	r.deploy("$default", "2.0", routed("ANY /open"), closed)
	r.signer.err = io.EOF
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.edge.Serve(w, q, sourceOf(q)) }))
	t.Cleanup(srv.Close)
	addr := srv.Listener.Addr().String()
	head := "Host: " + host + "\r\n"
	for name, c := range map[string]struct {
		send  string
		first int
		calls int
	}{
		"plain":                        {"GET /open HTTP/1.1\r\n" + head + "\r\n", 200, 1},
		"length and chunks":            {"POST /open HTTP/1.1\r\n" + head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /open HTTP/1.1\r\n" + head + "\r\n", 200, -1},
		"two lengths":                  {"POST /open HTTP/1.1\r\n" + head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, 0},
		"an unknown coding":            {"POST /open HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501, 0},
		"a coding with a tab":          {"POST /open HTTP/1.1\r\n" + head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, 0},
		"a folded header":              {"GET /open HTTP/1.1\r\n" + head + "X-A: b\r\n c\r\n\r\n", 200, 1},
		"two hosts":                    {"GET /open HTTP/1.1\r\n" + head + "Host: evil.example\r\n\r\n", 400, 0},
		"absolute form":                {"GET http://" + host + "/admin HTTP/1.1\r\nHost: other\r\n\r\n", 500, 0},
		"absolute form of another":     {"GET http://evil.example/open HTTP/1.1\r\n" + head + "\r\n", 403, 0},
		"asterisk":                     {"OPTIONS * HTTP/1.1\r\n" + head + "\r\n", 200, 0}, // the server's own answer
		"dot segments":                 {"GET /open/../admin HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"encoded dot segments":         {"GET /open/%2e%2e/admin HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"an encoded slash":             {"GET /open%2f..%2fadmin HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"a doubly encoded path":        {"GET /%256fpen HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"an encoded letter":            {"GET /%61dmin HTTP/1.1\r\n" + head + "\r\n", 500, 0},
		"a null":                       {"GET /open%00 HTTP/1.1\r\n" + head + "\r\n", 400, 0},
		"another case":                 {"GET /OPEN HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"a semicolon":                  {"GET /open;x=1 HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"a backslash":                  {"GET /x\\..\\open HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"an override of the method":    {"GET /admin HTTP/1.1\r\n" + head + "X-HTTP-Method-Override: POST\r\nX-Original-URL: /open\r\nX-Rewrite-URL: /open\r\n\r\n", 500, 0},
		"a method in lower case":       {"get /open HTTP/1.1\r\n" + head + "\r\n", 404, 0},
		"a connection's own signature": {"GET /admin HTTP/1.1\r\n" + head + "Connection: Authorization\r\nAuthorization: x\r\n\r\n", 500, 0},
	} {
		before := len(r.functions.events)
		got := raw(t, addr, c.send)
		if len(got) == 0 || got[0] != c.first {
			t.Errorf("%s: answered %v, want %d", name, got, c.first)
		}
		if n := len(r.functions.events) - before; c.calls >= 0 && n != c.calls || n > 2 {
			t.Errorf("%s: %d calls of the function", name, n)
		}
	}
	for _, e := range r.functions.events {
		if p := e["rawPath"].(string); !strings.HasPrefix(p, "/open") {
			t.Errorf("the function was called for %s", p)
		}
	}
}

// What a client says of where it came from is passed on as the client's word, never as the edge's.
func TestSpoofedHeaders(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	r.deploy("$default", "2.0", routed("GET /open"))
	r.want(request("GET", "/open", "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "1", "Te", "trailers", "Upgrade", "x"), 200, "hello")
	h := r.functions.last()["headers"].(map[string]any)
	if h["x-forwarded-for"] != "127.0.0.1, 127.0.0.1" || h["x-forwarded-proto"] != "http" || h["x-forwarded-port"] != "4566" || h["te"] != nil || h["upgrade"] != nil {
		t.Errorf("%v", h)
	}
	if ip := r.functions.last()["requestContext"].(map[string]any)["http"].(map[string]any)["sourceIp"]; ip != "127.0.0.1" {
		t.Errorf("source %v", ip)
	}
}
