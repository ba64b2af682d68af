package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/identity"
)

// TestStations: a signed request is answered, with an id under which its record stands.
func TestStations(t *testing.T) {
	r := newRig(t)
	body := `{"Name":"x","Text":"hello"}`
	w := r.send(r.sign(request("Say", body), body))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"hello"`) || !strings.Contains(w.Body.String(), "192.0.2.1") {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	recs := r.records()
	if len(recs) != 1 || recs[0].RequestID == "" || recs[0].RequestID != w.Header().Get("X-Amzn-Requestid") || recs[0].AWSRegion != region ||
		recs[0].SourceIPAddress != "192.0.2.1" || recs[0].UserIdentity.AccessKeyID != keyID {
		t.Errorf("id %q, records %+v", w.Header().Get("X-Amzn-Requestid"), recs)
	}
	if r.seen.Signature.SignedAt.IsZero() || r.seen.Signature.Presigned || r.seen.Host != "localhost:4566" {
		t.Errorf("the handler saw the source %+v", r.seen)
	}
}

// TestRefusals: who is known is recorded, who is not is counted; each with the protocol's own code.
func TestRefusals(t *testing.T) {
	plain := `{"Name":"x"}`
	for _, c := range []struct {
		name     string
		request  func(*rig) *http.Request
		status   int
		code     string
		recorded string // event and code; "" where it is counted
	}{
		{"unsigned", func(*rig) *http.Request { return request("Say", plain) }, 400, "MissingAuthenticationTokenException", ""},
		{"unsigned, of what is not built", func(*rig) *http.Request { return request("Shout", plain) }, 400, "MissingAuthenticationTokenException", ""},
		{"changed body", func(r *rig) *http.Request { return r.sign(request("Say", `{"Name":"y"}`), plain) }, 400, "InvalidSignatureException", ""},
		{"unknown key", func(r *rig) *http.Request {
			req := r.sign(request("Say", plain), plain)
			req.Header.Set("Authorization", strings.Replace(req.Header.Get("Authorization"), keyID, "AKIAUNKNOWN000000000", 1))
			return req
		}, 400, "UnrecognizedClientException", ""},
		{"another service's signature", func(r *rig) *http.Request {
			req := r.sign(request("Say", plain), plain)
			req.Header.Set("X-Amz-Target", "Other.Say")
			return req
		}, 501, "NotImplemented", ""},
		{"not built", func(r *rig) *http.Request { return r.sign(request("Shout", plain), plain) }, 501, "NotImplemented", "Shout NotImplemented"},
		{"no such operation", func(r *rig) *http.Request { return r.sign(request("Sing", plain), plain) }, 400, "UnknownOperationException", "Sing UnknownOperationException"},
		{"no JSON", func(r *rig) *http.Request { return r.sign(request("Say", `{`), `{`) }, 400, "SerializationException", "Say SerializationException"},
		{"against the model", func(r *rig) *http.Request { return r.sign(request("Say", `{}`), `{}`) }, 400, "ValidationException", "Say ValidationException"},
		{"not allowed", func(r *rig) *http.Request {
			return r.sign(request("Say", `{"Name":"forbidden"}`), `{"Name":"forbidden"}`)
		}, 400, "AccessDeniedException", "Say AccessDeniedException"},
		{"the handler's", func(r *rig) *http.Request { r.fault = failed; return r.sign(request("Say", plain), plain) }, 418, "Failed", "Say Failed"},
		{"a fault", func(r *rig) *http.Request {
			r.fault = errors.New("the disk at secret/place")
			return r.sign(request("Say", plain), plain)
		}, 500, "InternalServerError", "Say InternalServerError"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			w := r.send(c.request(r))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.code) && w.Header().Get("X-Amzn-Errortype") != c.code {
				t.Errorf("answered %d %s %s, want %d %s", w.Code, w.Header().Get("X-Amzn-Errortype"), w.Body, c.status, c.code)
			}
			if strings.Contains(w.Body.String(), "secret/place") {
				t.Errorf("a fault shows its cause: %s", w.Body)
			}
			if c.status == 500 && !strings.Contains(r.log.String(), "secret/place") {
				t.Error("a fault is not in the log")
			}
			recs := r.records()
			if c.recorded == "" {
				if len(recs) != 0 || len(r.count) != 1 {
					t.Errorf("a stranger left %d records and the counts %v", len(recs), r.count)
				}
				return
			}
			if len(recs) != 1 || recs[0].EventName+" "+recs[0].ErrorCode != c.recorded || len(r.count) != 0 {
				t.Errorf("records %+v, counts %v, want %s", recs, r.count, c.recorded)
			}
			if len(recs) == 1 && recs[0].RequestID != w.Header().Get("X-Amzn-Requestid") {
				t.Error("the record has another id than the answer")
			}
		})
	}
}

// TestAnonymous: only S3 knows callers without a signature, and lets them do what a bucket's policy
// says.
func TestAnonymous(t *testing.T) {
	r := newRig(t)
	get := func(path string) *httptest.ResponseRecorder {
		return r.send(httptest.NewRequest(http.MethodGet, "http://localhost:4566"+path, nil))
	}
	if w := get("/public/a/b"); w.Code != 200 {
		t.Errorf("a public object answered %d %s", w.Code, w.Body)
	}
	if w := get("/private/a"); w.Code != 403 || !strings.Contains(w.Body.String(), "<Code>AccessDenied</Code>") || w.Header().Get("X-Amz-Request-Id") == "" {
		t.Errorf("a private object answered %d %s", w.Code, w.Body)
	}
	recs := r.records()
	if len(recs) != 2 || recs[1].ErrorCode != "AccessDenied" || recs[0].UserIdentity.PrincipalID != "ANONYMOUS_PRINCIPAL" {
		t.Errorf("records %+v", recs)
	}
}

// TestHostsAndOrigins: no website drives this server, by its own name or by another's.
func TestHostsAndOrigins(t *testing.T) {
	r := newRig(t)
	plain := `{"Name":"x"}`
	for _, c := range []struct {
		host, header, value string
		want                int
	}{
		{"localhost:4566", "", "", 200},
		{"127.0.0.1:4566", "", "", 200},
		{"127.9.9.9", "", "", 200},
		{"[::1]:4566", "", "", 200},
		{"LOCALHOST.:4566", "", "", 200},
		{"say.eu-west-1.amazonaws.com", "", "", 200},
		{"say.localhost:4566", "", "", 200},
		{"say.localhost.localstack.cloud:4566", "", "", 200},
		{"bastide.example:443", "", "", 200},
		{"evil.example", "", "", 403},
		{"192.0.2.10:4566", "", "", 403},
		{"localhost.evil.example", "", "", 403},
		{"evillocalhost", "", "", 403},
		{"amazonaws.com.evil.example", "", "", 403},
		{"localhost:4566", "Origin", "http://localhost:4566", 200},
		{"localhost:4566", "Origin", "https://evil.example", 403},
		{"localhost:4566", "Origin", "http://localhost:3000", 403},
		{"localhost:4566", "Origin", "null", 403},
		{"localhost:4566", "Origin", "://", 403},
		{"localhost:4566", "Sec-Fetch-Site", "cross-site", 403},
		{"localhost:4566", "Sec-Fetch-Site", "same-site", 403},
		{"localhost:4566", "Sec-Fetch-Site", "same-origin", 200},
		{"localhost:4566", "Sec-Fetch-Site", "none", 200},
	} {
		req := request("Say", plain)
		req.Host = c.host
		r.sign(req, plain)
		if c.header != "" {
			req.Header.Set(c.header, c.value)
		}
		if w := r.send(req); w.Code != c.want {
			t.Errorf("%s %s %s: %d %s, want %d", c.host, c.header, c.value, w.Code, w.Body, c.want)
		}
		local := httptest.NewRequest(http.MethodGet, "http://localhost/_bastide/health", nil)
		local.Host = c.host
		if c.header != "" {
			local.Header.Set(c.header, c.value)
		}
		if w := r.send(local); w.Code != c.want {
			t.Errorf("health at %s %s %s: %d, want %d", c.host, c.header, c.value, w.Code, c.want)
		}
	}
}

// TestApplications have their own hosts, where a page of any origin may call.
func TestApplications(t *testing.T) {
	r := newRig(t)
	req := httptest.NewRequest(http.MethodGet, "http://app.localhost:4566/", nil)
	req.Header.Set("Origin", "https://elsewhere.example")
	if w := r.send(req); w.Code != 200 || w.Body.String() != "the application" || r.apps.calls != 1 {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	address, _ := r.serve((*Front).ServeApps)
	res, err := http.Get("http://" + address + "/anything")
	r.check(err)
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if string(b) != "the application" {
		t.Errorf("the applications' own port answered %s", b)
	}
}

// TestLimits: what is too large is refused before it is read to its end.
func TestLimits(t *testing.T) {
	r := newRig(t)
	huge := request("Say", "")
	huge.ContentLength = 1 << 40
	if w := r.send(huge); w.Code != 413 {
		t.Errorf("a terabyte announced answered %d %s", w.Code, w.Body)
	}
	endless := request("Say", "")
	endless.ContentLength = -1
	var read int
	endless.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) { read += len(p); clear(p); return len(p), nil }))
	if w := r.send(endless); w.Code != 413 || read > 1<<30 {
		t.Errorf("an endless body answered %d after %d bytes", w.Code, read)
	}
	broken := request("Say", "")
	broken.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }))
	if w := r.send(broken); w.Code != 400 {
		t.Errorf("a broken body answered %d", w.Code)
	}
	if len(r.records()) != 0 || r.count["192.0.2.1 "+"RequestTooLarge"] != 2 {
		t.Errorf("records %d, counts %v", len(r.records()), r.count)
	}
	address, _ := r.serve((*Front).Serve)
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/_bastide/health", nil)
	r.check(err)
	req.Header.Set("X-Long", strings.Repeat("x", maxHead+8<<10))
	res, err := http.DefaultClient.Do(req)
	r.check(err)
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head of %d bytes answered %d", maxHead+8<<10, res.StatusCode)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestOnePort: HTTP and TLS on one port, each connection told apart by its first byte; a client that
// says nothing holds up nobody.
func TestOnePort(t *testing.T) {
	r := newRig(t)
	address, pool := r.serve((*Front).Serve)
	silent, err := net.Dial("tcp", address)
	r.check(err)
	defer silent.Close()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}
	defer tr.CloseIdleConnections()
	for range 2 {
		for _, scheme := range []string{"http", "https"} {
			res, err := (&http.Client{Transport: tr}).Get(scheme + "://" + address + "/_bastide/health")
			r.check(err)
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(b) != "well" || (res.TLS != nil) != (scheme == "https") {
				t.Errorf("%s answered %s", scheme, b)
			}
		}
	}
	body := `{"Name":"x"}`
	req, err := http.NewRequest(http.MethodPost, "https://"+address+"/", strings.NewReader(body))
	r.check(err)
	req.Header = r.sign(request("Say", body), body).Header
	req.Host = "localhost:4566"
	res, err := (&http.Client{Transport: tr}).Do(req)
	r.check(err)
	res.Body.Close()
	if res.StatusCode != 200 || !r.seen.TLS || r.seen.TLSVersion != "1.3" {
		t.Errorf("over TLS: %d, source %+v", res.StatusCode, r.seen)
	}
	old, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "localhost", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		old.Close()
		t.Error("TLS 1.1 was spoken")
	}
	garbage, err := net.Dial("tcp", address)
	r.check(err)
	defer garbage.Close()
	io.WriteString(garbage, "\x00\x01garbage\r\n\r\n")
	if line, _ := bufio.NewReader(garbage).ReadString('\n'); !strings.Contains(line, "400") {
		t.Errorf("garbage was answered %q", line)
	}
}

// tired is a listener that fails a few times, as one does for want of descriptors.
type tired struct {
	net.Listener
	fails int
}

type temporary struct{ error }

func (temporary) Timeout() bool   { return false }
func (temporary) Temporary() bool { return true }

func (l *tired) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, temporary{errors.New("too many open files")}
	}
	return l.Listener.Accept()
}

// TestListenerRecovers: failures to accept pass, and the server goes on.
func TestListenerRecovers(t *testing.T) {
	r := newRig(t)
	address, _ := r.serve(func(f *Front, ctx context.Context, l net.Listener) error {
		return f.Serve(ctx, &tired{Listener: l, fails: 3})
	})
	res, err := http.Get("http://" + address + "/_bastide/health")
	r.check(err)
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("answered %d", res.StatusCode)
	}
}

// TestServeEndsCleanly: the running request is finished, the port is free afterwards.
func TestServeEndsCleanly(t *testing.T) {
	r := newRig(t)
	begun, end := make(chan struct{}), make(chan struct{})
	r.front.Local = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-end
		io.WriteString(w, "finished")
	})
	l, err := Listen(t.Context(), "127.0.0.1:0")
	r.check(err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.front.Serve(ctx, l) }()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String() + "/_bastide/health")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-begun
	stop()
	close(end)
	if got := <-answer; got != "finished" {
		t.Errorf("the running request got %q", got)
	}
	r.check(<-done)
	again, err := Listen(t.Context(), l.Addr().String())
	r.check(err)
	again.Close()
	if _, err := Listen(t.Context(), "203.0.113.1:1"); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("an address that is not ours gave %v", err)
	}
	if err := r.front.Serve(t.Context(), again); err == nil {
		t.Error("a closed listener served")
	}
}

// TestLoopback tells addresses of this machine alone.
func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:4566": true, "[::1]:1": true, "localhost:80": true, "127.3.4.5:1": true,
		"0.0.0.0:4566": false, ":4566": false, "192.0.2.1:80": false, "[::]:80": false, "example.com:80": false, "127.0.0.1": false} {
		if got := Loopback(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

// TestDoor: the port inside a sandbox has no address of its own to condition on, and answers no
// path of Bastide's own.
func TestDoor(t *testing.T) {
	r := newRig(t)
	const function = "arn:aws:lambda:us-east-1:123456789012:function:f"
	address, _ := r.serve(func(f *Front, ctx context.Context, l net.Listener) error {
		return f.ServeDoor(ctx, l, function, func() []string { return []string{function + "=1"} })
	})
	body := `{"Name":"x"}`
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/", strings.NewReader(body))
	r.check(err)
	req.Header = r.sign(request("Say", body), body).Header
	req.Host = "localhost:4566"
	res, err := http.DefaultClient.Do(req)
	r.check(err)
	res.Body.Close()
	if res.StatusCode != 200 || r.seen.IP.IsValid() || r.seen.Function != function || !slices.Equal(r.seen.Lineage, []string{function + "=1"}) {
		t.Errorf("answered %d to the source %+v", res.StatusCode, r.seen)
	}
	res, err = http.Post("http://"+address+"/_bastide/reset", "text/plain", nil)
	r.check(err)
	res.Body.Close()
	if res.StatusCode < 400 {
		t.Errorf("a function may reset: %d", res.StatusCode)
	}
	if got := r.records()[0]; got.UserIdentity.Type != identity.KindUser.String() || got.SourceIPAddress != function {
		t.Errorf("recorded %+v", got)
	}
	req, err = http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	r.check(err)
	req.Host = "app.localhost"
	res, err = http.DefaultClient.Do(req)
	r.check(err)
	res.Body.Close()
	if r.apps.calls != 1 || r.apps.from.IP.IsValid() || r.apps.from.Function != function {
		t.Errorf("an application was told of %+v", r.apps.from)
	}
}

// TestEmptyBodiesAreContinued: who expects a 100 gets one before the answer, with an empty body too.
func TestEmptyBodiesAreContinued(t *testing.T) {
	r := newRig(t)
	address, _ := r.serve((*Front).Serve)
	for length, body := range map[string]string{"0": "", "2": "{}"} {
		c, err := net.Dial("tcp", address)
		r.check(err)
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: "+length+"\r\n\r\n"+body)
		r.check(err)
		all, err := io.ReadAll(c)
		r.check(err)
		c.Close()
		if n := strings.Count(string(all), "HTTP/1.1 "); n != 2 || !strings.HasPrefix(string(all), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 4") {
			t.Errorf("a body of %s bytes was answered %q", length, all)
		}
	}
}
