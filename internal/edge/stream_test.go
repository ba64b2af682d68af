package edge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// flow is what a function of this package's tests answers when it streams.
type flow struct {
	kind   string
	chunks []string
	failed string        // an error code at the end
	before func(n int)   // the n-th chunk, from 0, goes out
	cut    bool          // no end comes
	closed chan struct{} // closed when the edge gives the rest up
	once   *sync.Once
}

// stream runs a function and streams what it answers: a flow, or anything else as one chunk.
func (c caller) stream(ctx context.Context, in *lambda.InvokeWithResponseStreamInput) (any, error) {
	var out *flow
	c.f.mu.Lock()
	code := c.f.code[in.FunctionName]
	c.f.code[in.FunctionName] = func(event map[string]any) (any, error) {
		v, err := code(event)
		out, _ = v.(*flow)
		return v, err
	}
	c.f.mu.Unlock()
	plain, err := c.Call(ctx, lambda.OpInvoke, &lambda.InvokeInput{FunctionName: in.FunctionName, Payload: in.Payload})
	c.f.mu.Lock()
	c.f.code[in.FunctionName] = code
	c.f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	p := plain.(*lambda.InvokeOutput)
	if out == nil {
		out = &flow{kind: "application/json", chunks: []string{string(p.Payload)}}
		if p.FunctionError != nil {
			out.chunks, out.failed = nil, *p.FunctionError
		}
	}
	return &lambda.InvokeWithResponseStreamOutput{StatusCode: new(int32(200)), ResponseStreamContentType: &out.kind, EventStream: out.events()}, nil
}

func (f *flow) events() *wire.Events[lambda.InvokeWithResponseStreamResponseEvent] {
	n := 0
	return &wire.Events[lambda.InvokeWithResponseStreamResponseEvent]{Next: func() (*lambda.InvokeWithResponseStreamResponseEvent, error) {
		defer func() { n++ }()
		switch {
		case n < len(f.chunks):
			if f.before != nil {
				f.before(n)
			}
			return &lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: []byte(f.chunks[n])}}, nil
		case n > len(f.chunks) || f.cut:
			return nil, io.EOF
		}
		end := &lambda.InvokeWithResponseStreamCompleteEvent{}
		if f.failed != "" {
			end.ErrorCode = &f.failed
		}
		return &lambda.InvokeWithResponseStreamResponseEvent{InvokeComplete: end}, nil
	}, Close: func() error {
		if f.closed != nil {
			f.once.Do(func() { close(f.closed) })
		}
		return nil
	}}
}

// MarshalJSON: functions of this package's tests answer JSON.
func (f *flow) MarshalJSON() ([]byte, error) { return json.Marshal(f.kind) }

const eightZeros = "\x00\x00\x00\x00\x00\x00\x00\x00"

// streamURL is an open function URL that streams what f says.
func (r *rig) streamURL(f *flow) *FunctionURL {
	u := r.openURL()
	u.InvokeMode = streaming
	r.functions.code[fn] = func(map[string]any) (any, error) { return f, nil }
	return u
}

func TestFunctionURLStreams(t *testing.T) {
	head := func(status string, more string) string {
		return `{"statusCode":` + status + `,"headers":{"Content-Type":"text/html","X-A":"b","Content-Length":"9"}` + more + `}` + eightZeros
	}
	for name, c := range map[string]struct {
		flow   flow
		status int
		body   string
		header http.Header
	}{
		"bytes": {flow{kind: "text/event-stream", chunks: []string{"a", "b"}}, 200, "ab", http.Header{"Content-Type": {"text/event-stream"}}},
		"none":  {flow{kind: octets}, 200, "", http.Header{"Content-Type": {octets}}},
		"metadata": {flow{kind: preludeType, chunks: []string{head("201", `,"cookies":["a=1","b=2"]`), "body"}}, 201, "body",
			http.Header{"Content-Type": {"text/html"}, "X-A": {"b"}, "Set-Cookie": {"a=1", "b=2"}, "X-Amzn-Remapped-Content-Length": {"9"}}},
		"metadata in pieces": {flow{kind: preludeType, chunks: strings.Split(head("404", "")+"body"+eightZeros+"more", "")}, 404, "body" + eightZeros + "more",
			http.Header{"Content-Type": {"text/html"}, "X-A": {"b"}, "X-Amzn-Remapped-Content-Length": {"9"}}},
		"metadata that says nothing": {flow{kind: preludeType, chunks: []string{"{}" + eightZeros}}, 200, "", http.Header{"Content-Type": {octets}}},
		"a status without a body":    {flow{kind: preludeType, chunks: []string{`{"statusCode":204}` + eightZeros + "x"}}, 204, "", http.Header{"Content-Type": {octets}}},
		"an answer that is no stream": {flow{kind: "application/json", chunks: []string{`{"statusCode":404,"body":"x"}`}}, 200, `{"statusCode":404,"body":"x"}`,
			http.Header{"Content-Type": {"application/json"}}},
		"an error before anything": {flow{kind: octets, failed: "Unhandled"}, 502, "Internal Server Error", nil},
		"an error in the metadata": {flow{kind: preludeType, chunks: []string{"{"}, failed: "Unhandled"}, 502, "Internal Server Error", nil},
		"metadata without an end":  {flow{kind: preludeType, chunks: []string{"{}"}}, 502, "Internal Server Error", nil},
		"metadata that is no JSON": {flow{kind: preludeType, chunks: []string{"x" + eightZeros}}, 502, "Internal Server Error", nil},
		"metadata that is null":    {flow{kind: preludeType, chunks: []string{"null" + eightZeros}}, 502, "Internal Server Error", nil},
		"metadata of another kind": {flow{kind: preludeType, chunks: []string{`{"headers":[]}` + eightZeros}}, 502, "Internal Server Error", nil},
		"a status that is none":    {flow{kind: preludeType, chunks: []string{`{"statusCode":99}` + eightZeros}}, 502, "Internal Server Error", nil},
		"a header that is none":    {flow{kind: preludeType, chunks: []string{`{"headers":{"a":"b\r\nc: d"}}` + eightZeros}}, 502, "Internal Server Error", nil},
		"large metadata":           {flow{kind: preludeType, chunks: []string{strings.Repeat(" ", maxPrelude) + "{}" + eightZeros}}, 502, "Internal Server Error", nil},
		"endless metadata":         {flow{kind: preludeType, chunks: []string{strings.Repeat(" ", maxPrelude), " ", " "}}, 502, "Internal Server Error", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.streamURL(&c.flow)
			w := r.want(toURL("GET", "/"), c.status, c.body)
			if c.body == "" && w.Body.Len() > 0 {
				t.Errorf("body %q", w.Body)
			}
			h := w.Header().Clone()
			if h.Get("X-Amzn-Requestid") == "" || h.Get("Content-Length") != "" && c.header != nil {
				t.Errorf("headers %v", h)
			}
			for _, own := range []string{"X-Amzn-Requestid", "X-Amzn-Trace-Id"} {
				h.Del(own)
			}
			if c.header != nil && cmp.Diff(c.header, h) != "" {
				t.Error(cmp.Diff(c.header, h))
			}
			rec := r.trail.last()
			if rec.Phase != "" || (rec.Err != nil) != (c.status == 502) || rec.Op != opInvokeURL {
				t.Errorf("the last record is %+v", rec)
			}
			if admitted := r.trail.notes[0].Phase == "admitted"; admitted != (c.status != 502) {
				t.Errorf("the first record is %+v", r.trail.notes[0])
			}
		})
	}
}

// A URL of the other mode hands nothing on before its function has ended.
func TestBufferedFunctionURLDoesNotStream(t *testing.T) {
	r := newRig(t)
	r.openURL().InvokeMode = "BUFFERED"
	w := r.want(toURL("GET", "/"), 200, "hello")
	if w.Header().Get("Content-Length") != "5" || w.Flushed {
		t.Errorf("headers %v, flushed %v", w.Header(), w.Flushed)
	}
}

func TestFunctionURLStreamsToWhoMayCall(t *testing.T) {
	r := newRig(t)
	u := r.streamURL(&flow{kind: octets, chunks: []string{"secret"}})
	u.Policy = statements(mayCall)
	r.want(toURL("GET", "/"), 403, forbade)
	u.Policy = statements(mayCall, mayInvoke)
	r.functions.locked = true // the function's own door decides again
	r.want(toURL("GET", "/"), 403, forbade)
	u.Cors = &lambda.Cors{AllowOrigins: []string{"https://app.example"}}
	r.functions.locked = false
	if w := r.want(toURL("GET", "/", "Origin", "https://app.example"), 200, "secret"); w.Header().Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("headers %v", w.Header())
	}
	if w := r.want(toURL("HEAD", "/"), 200, ""); w.Body.Len() > 0 {
		t.Errorf("HEAD got %q", w.Body)
	}
}

// served lets real connections reach the edge.
func (r *rig) served() *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.edge.Serve(w, q, sourceOf(q)) }))
	r.Cleanup(s.Close)
	return s
}

func (r *rig) get(s *httptest.Server) *http.Response {
	r.Helper()
	q, err := http.NewRequest("GET", s.URL+"/_aws/lambda-url/"+urlName+"/", nil)
	if err != nil {
		r.Fatal(err)
	}
	resp, err := s.Client().Do(q)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { resp.Body.Close() })
	return resp
}

// The client has the first chunk while the function waits with the second.
func TestStreamIsFlushed(t *testing.T) {
	r := newRig(t)
	have := make(chan struct{})
	r.streamURL(&flow{kind: preludeType, chunks: []string{`{"statusCode":201}` + eightZeros, "first\n", "second\n"}, before: func(n int) {
		if n == 2 {
			<-have
		}
	}})
	resp := r.get(r.served())
	body := bufio.NewReader(resp.Body)
	line, err := body.ReadString('\n')
	close(have)
	rest, errRest := io.ReadAll(body)
	if resp.StatusCode != 201 || line != "first\n" || string(rest) != "second\n" || errors.Join(err, errRest) != nil {
		t.Errorf("%d %q %q %v %v", resp.StatusCode, line, rest, err, errRest)
	}
}

// What breaks off does not look whole.
func TestStreamThatBreaksOff(t *testing.T) {
	for name, f := range map[string]*flow{
		"the function fails": {kind: octets, chunks: []string{"some"}, failed: "Unhandled"},
		"no end comes":       {kind: octets, chunks: []string{"some"}, cut: true},
	} {
		r := newRig(t)
		r.streamURL(f)
		resp := r.get(r.served())
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(body) != "some" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %d %q %v", name, resp.StatusCode, body, err)
		}
		r.until("the failure is recorded", func() bool { rec := r.trail.last(); return rec.Phase == "" && rec.Err != nil })
	}
}

// A client who goes away gives up what it does not read, and the call is recorded.
func TestStreamWhoseClientGoesAway(t *testing.T) {
	r := newRig(t)
	gone := make(chan struct{})
	f := &flow{kind: octets, chunks: make([]string, 10000), closed: make(chan struct{}), once: &sync.Once{}, before: func(n int) {
		if n == 1 {
			<-gone
		}
	}}
	for n := range f.chunks {
		f.chunks[n] = strings.Repeat("x", 1<<10)
	}
	r.streamURL(f)
	resp := r.get(r.served())
	resp.Body.Close()
	close(gone)
	<-f.closed
	r.until("the call is recorded", func() bool { rec := r.trail.last(); return rec.Phase == "" && rec.Op == opInvokeURL && rec.Err == nil })
}

// until waits for a state that comes about by itself, and fails after a long time.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			r.Fatalf("it did not happen: %s", what)
		}
		runtime.Gosched()
	}
}

// FuzzPrelude: whatever a function streams, its metadata are read whole or not at all, and give no header
// that could end its line.
func FuzzPrelude(f *testing.F) {
	f.Add(`{"statusCode":201,"headers":{"a":"b","n":1},"cookies":["c=d"]}`+eightZeros+"body", 7)
	f.Add("{}"+eightZeros, 1)
	f.Add(eightZeros, 3)
	f.Fuzz(func(t *testing.T, text string, size int) {
		var chunks []string
		for at := 0; at < len(text); {
			end := min(len(text), at+max(1, size%64))
			chunks = append(chunks, text[at:end])
			at = end
		}
		in := &flowing{events: (&flow{chunks: chunks}).events()}
		out := &response{status: 200, header: http.Header{}}
		if in.prelude(out) != nil {
			return
		}
		head, _, ok := strings.Cut(text, eightZeros)
		if !ok || !json.Valid([]byte(head)) || out.status < 200 || out.status > 599 {
			t.Errorf("%q was taken for metadata: %d", head, out.status)
		}
		for k, vs := range out.header {
			for _, v := range vs {
				if !validHeader(k, v) {
					t.Errorf("header %q: %q", k, v)
				}
			}
		}
		body := string(in.first)
		for {
			chunk, err := in.next()
			if err != nil {
				break
			}
			body += string(chunk)
		}
		if head+eightZeros+body != text {
			t.Errorf("%q and %q of %q", head, body, text)
		}
	})
}
