package runtimeapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// custom is a custom runtime, written as a client of the API.
type custom struct {
	t    *testing.T
	base string
	http *http.Client
}

func api(t *testing.T) (*HTTP, *custom) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := ServeHTTP(l)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() { h.Close(); client.CloseIdleConnections() })
	return h, &custom{t, "http://" + l.Addr().String() + "/2018-06-01/runtime/", client}
}

func (c *custom) next() (id, event string, header http.Header) {
	r, err := c.http.Get(c.base + "invocation/next")
	if err != nil {
		return "", "", nil
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		c.t.Errorf("next: %d %s %v", r.StatusCode, b, err)
	}
	return r.Header.Get("Lambda-Runtime-Aws-Request-Id"), string(b), r.Header
}

func (c *custom) post(path, body string, want int, contains string, header ...string) {
	c.t.Helper()
	r, err := http.NewRequest("POST", c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Errorf("%s: %v", path, err)
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want || !strings.Contains(string(b), contains) {
		c.t.Errorf("%s: got %d %s %v, want %d with %s", path, resp.StatusCode, b, err, want, contains)
	}
}

func TestHTTPServesACustomRuntime(t *testing.T) {
	h, c := api(t)
	deadline := time.UnixMilli(1700000000123)
	inv := Invocation{RequestID: "r-1", Deadline: deadline, ARN: "arn:x", TraceID: "Root=1", ClientContext: `{"a":1}`,
		Identity: `{"b":2}`, TenantID: "blue", Payload: []byte(`{"n":1}`)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		id, event, hd := c.next()
		for name, want := range map[string]string{
			"Lambda-Runtime-Deadline-Ms": "1700000000123", "Lambda-Runtime-Invoked-Function-Arn": "arn:x",
			"Lambda-Runtime-Trace-Id": "Root=1", "Lambda-Runtime-Client-Context": `{"a":1}`,
			"Lambda-Runtime-Cognito-Identity": `{"b":2}`, "Lambda-Runtime-Aws-Tenant-Id": "blue", "Content-Type": "application/json",
		} {
			if got := hd.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if id != "r-1" || event != `{"n":1}` {
			t.Errorf("got %q %q", id, event)
		}
		c.post("invocation/other/response", `1`, 400, `"errorType":"InvalidRequestID"`)
		c.post("init/error", `{}`, 403, `"errorType":"InvalidStateTransition"`)
		c.post("invocation/r-1/response", `{"ok":true}`, 202, `{"status":"OK"}`)
		c.post("invocation/r-1/response", `{"ok":true}`, 403, `State transition from ResponseSent to ResponseSent failed`)
		id, _, hd = c.next()
		if hd.Get("Lambda-Runtime-Trace-Id") != "" {
			t.Error("an absent trace id was sent")
		}
		c.post("invocation/"+id+"/error", `{"errorType":"Oops","errorMessage":"m"}`, 202, "OK")
		c.next()
		c.post("invocation/r-3/error", `nonsense`, 202, "OK", "Lambda-Runtime-Function-Error-Type", "Runtime.Bad")
		c.next()
	}()
	if err := h.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	r, err := h.Invoke(context.Background(), inv)
	if err != nil || r.Failed || string(r.Payload) != `{"ok":true}` {
		t.Errorf("got %s %v", r.Payload, err)
	}
	r, err = h.Invoke(context.Background(), Invocation{RequestID: "r-2", Payload: []byte("1")})
	if err != nil || !r.Failed || r.ErrorType != "Oops" || string(r.Payload) != `{"errorType":"Oops","errorMessage":"m"}` {
		t.Errorf("got %s %q %v", r.Payload, r.ErrorType, err)
	}
	r, err = h.Invoke(context.Background(), Invocation{RequestID: "r-3", Payload: []byte("1")})
	if err != nil || !r.Failed || r.ErrorType != "Runtime.Bad" || !strings.HasPrefix(string(r.Payload), `{"errorType":"Runtime.Bad"`) {
		t.Errorf("got %s %q %v", r.Payload, r.ErrorType, err)
	}
	h.Close()
	<-done
}

func TestHTTPAnswerAboveTheLimit(t *testing.T) {
	h, c := api(t)
	go func() {
		id, _, _ := c.next()
		c.post("invocation/"+id+"/response", strings.Repeat("x", MaxPayload+1), 413, "RequestEntityTooLarge")
		id, _, _ = c.next()
		c.post("invocation/"+id+"/response", strings.Repeat("x", MaxPayload), 202, "OK")
	}()
	r, err := h.Invoke(context.Background(), Invocation{RequestID: "r-1", Payload: []byte("1")})
	if err != nil || r.ErrorType != "Function.ResponseSizeTooLarge" || !strings.Contains(string(r.Payload), "6291556 bytes") {
		t.Errorf("got %.100s %v", r.Payload, err)
	}
	r, err = h.Invoke(context.Background(), Invocation{RequestID: "r-2", Payload: []byte("1")})
	if err != nil || r.Failed || len(r.Payload) != MaxPayload {
		t.Errorf("got %.100s %v", r.Payload, err)
	}
}

func TestHTTPInitError(t *testing.T) {
	h, c := api(t)
	go c.post("init/error", `{"errorType":"Init.Broken","errorMessage":"m"}`, 202, "OK")
	for range 2 {
		err := h.Ready(context.Background())
		e, ok := errors.AsType[*InitError](err)
		if !ok || e.Type != "Init.Broken" || string(e.Payload) != `{"errorType":"Init.Broken","errorMessage":"m"}` {
			t.Fatalf("got %v", err)
		}
	}
}

func TestHTTPWorkerEnds(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		h, c := api(t)
		go func() {
			c.next()
			h.Close()
		}()
		if _, err := h.Invoke(context.Background(), Invocation{RequestID: "r"}); !errors.Is(err, ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("out of time", func(t *testing.T) {
		h, c := api(t)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			c.next()
			if _, err := h.Invoke(ctx, Invocation{}); !errors.Is(err, ErrBusy) {
				t.Errorf("a second caller: got %v, want ErrBusy", err)
			}
			cancel()
		}()
		if _, err := h.Invoke(ctx, Invocation{RequestID: "r"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
		if _, err := h.Invoke(context.Background(), Invocation{RequestID: "r"}); !errors.Is(err, ErrGone) {
			t.Errorf("after: got %v, want ErrGone", err)
		}
	})
}
