package runtimeapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// taker is a Sink that remembers what it took.
type taker struct {
	kind   string
	chunks []string
	before func(n int) // the n-th chunk, from 0, is taken
	fail   error
}

func (s *taker) Begin(contentType string) { s.kind += contentType }

func (s *taker) Write(ctx context.Context, chunk []byte) error {
	if s.before != nil {
		s.before(len(s.chunks))
	}
	if s.fail != nil {
		return s.fail
	}
	s.chunks = append(s.chunks, string(chunk))
	return ctx.Err()
}

// says lets a guest send frames for the next invocation.
func says(t *testing.T, guest net.Conn, frames ...func(seq uint32) []byte) {
	t.Helper()
	go func() {
		seq, _ := readInvoke(t, guest)
		for _, f := range frames {
			if _, err := guest.Write(f(seq)); err != nil {
				return // the host has given up
			}
		}
	}()
}

func says1(k kind, body string) func(uint32) []byte {
	return func(seq uint32) []byte { return bytesOf(k, seq, body) }
}

const oops = `{"errorType":"Oops","errorMessage":"no"}`

func TestChannelStreams(t *testing.T) {
	for name, c := range map[string]struct {
		frames []func(uint32) []byte
		kind   string
		chunks []string
		want   Result
		whole  Result // by Invoke
	}{
		"a stream": {[]func(uint32) []byte{says1(kindHead, "text/html"), says1(kindChunk, "a"), says1(kindChunk, "bc"), says1(kindEnd, "")},
			"text/html", []string{"a", "bc"}, Result{Streamed: true}, Result{Streamed: true, Payload: []byte("abc")}},
		"without a type": {[]func(uint32) []byte{says1(kindHead, ""), says1(kindEnd, "")},
			"application/octet-stream", nil, Result{Streamed: true}, Result{Streamed: true}},
		"with a type that would break a header": {[]func(uint32) []byte{says1(kindHead, "a\r\nb: c"), says1(kindEnd, "")},
			"application/octet-stream", nil, Result{Streamed: true}, Result{Streamed: true}},
		"an answer": {[]func(uint32) []byte{says1(kindResponse, `{"a":1}`)},
			"application/json", []string{`{"a":1}`}, Result{Streamed: true}, Result{Payload: []byte(`{"a":1}`)}},
		"an error": {[]func(uint32) []byte{says1(kindError, oops)},
			"", nil, Result{Payload: []byte(oops), Failed: true, ErrorType: "Oops"}, Result{Payload: []byte(oops), Failed: true, ErrorType: "Oops"}},
		"an error in the middle": {[]func(uint32) []byte{says1(kindHead, "a/b"), says1(kindChunk, "a"), says1(kindError, oops)},
			"a/b", []string{"a"}, Result{Payload: []byte(oops), Failed: true, ErrorType: "Oops", Streamed: true},
			Result{Payload: []byte(oops), Failed: true, ErrorType: "Oops", Streamed: true}},
		"an end in the middle": {[]func(uint32) []byte{says1(kindHead, "a/b"), says1(kindFatal, oops)},
			"a/b", nil, Result{Payload: []byte(oops), Failed: true, ErrorType: "Oops", Streamed: true, Spent: true},
			Result{Payload: []byte(oops), Failed: true, ErrorType: "Oops", Streamed: true, Spent: true}},
	} {
		t.Run(name, func(t *testing.T) {
			ch, guest := pair(t)
			says(t, guest, c.frames...)
			s := &taker{}
			r, err := ch.Stream(t.Context(), Invocation{}, s)
			if err != nil || !same(r, c.want) || s.kind != c.kind || strings.Join(s.chunks, "|") != strings.Join(c.chunks, "|") {
				t.Errorf("Stream: %+v %v, of type %q: %q", r, err, s.kind, s.chunks)
			}
			ch, guest = pair(t)
			says(t, guest, c.frames...)
			if r, err := ch.Invoke(t.Context(), Invocation{}); err != nil || !same(r, c.whole) {
				t.Errorf("Invoke: %+v %v", r, err)
			}
		})
	}
}

func same(a, b Result) bool {
	return bytes.Equal(a.Payload, b.Payload) && a.Failed == b.Failed && a.ErrorType == b.ErrorType && a.Spent == b.Spent && a.Streamed == b.Streamed
}

// A stream's worker serves the next event, streamed or not.
func TestChannelServesOnAfterAStream(t *testing.T) {
	ch, guest := pair(t)
	serve(t, guest, func(seq uint32, _ []byte) []byte {
		return append(append(bytesOf(kindHead, seq, "a/b"), bytesOf(kindChunk, seq, "x")...), bytesOf(kindEnd, seq, "")...)
	})
	for range 3 {
		if r, err := ch.Invoke(t.Context(), Invocation{}); err != nil || string(r.Payload) != "x" {
			t.Fatalf("%+v %v", r, err)
		}
		if r, err := ch.Stream(t.Context(), Invocation{}, &taker{}); err != nil || !r.Streamed {
			t.Fatalf("%+v %v", r, err)
		}
	}
}

func TestChannelBufferedStreamIsBounded(t *testing.T) {
	ch, guest := pair(t)
	chunk := strings.Repeat("x", maxChunk)
	frames := []func(uint32) []byte{says1(kindHead, "")}
	for range MaxPayload/maxChunk + 1 {
		frames = append(frames, says1(kindChunk, chunk))
	}
	says(t, guest, append(frames, says1(kindEnd, ""))...)
	r, err := ch.Invoke(t.Context(), Invocation{})
	if err != nil || r.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestChannelStreamBreaks(t *testing.T) {
	for name, frames := range map[string][]func(uint32) []byte{
		"two heads":            {says1(kindHead, ""), says1(kindHead, "")},
		"an answer in between": {says1(kindHead, ""), says1(kindResponse, "{}")},
		"a chunk first":        {says1(kindChunk, "x")},
		"an end first":         {says1(kindEnd, "")},
		"an end with a body":   {says1(kindHead, ""), says1(kindEnd, "x")},
		"a large chunk":        {says1(kindHead, ""), says1(kindChunk, strings.Repeat("x", maxChunk+1))},
		"a large type":         {says1(kindHead, strings.Repeat("x", maxType+1))},
	} {
		ch, guest := pair(t)
		says(t, guest, frames...)
		if _, err := ch.Stream(t.Context(), Invocation{}, &taker{}); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ch.Invoke(t.Context(), Invocation{}); err == nil {
			t.Errorf("%s: the worker serves on", name)
		}
	}
}

// A sink that does not take holds the guest up, until the invocation's time is over.
func TestChannelStreamEndsWithItsTime(t *testing.T) {
	ch, guest := pair(t)
	says(t, guest, says1(kindHead, ""), says1(kindChunk, "a"), says1(kindChunk, "b"))
	ctx, cancel := context.WithCancel(t.Context())
	s := &taker{before: func(n int) {
		if n == 1 {
			cancel()
		}
	}}
	if _, err := ch.Stream(ctx, Invocation{}, s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := ch.Invoke(t.Context(), Invocation{}); !errors.Is(err, ErrGone) {
		t.Errorf("the worker serves on: %v", err)
	}
}

func TestChannelStreamEndsWithItsSink(t *testing.T) {
	full := errors.New("full")
	ch, guest := pair(t)
	says(t, guest, says1(kindHead, ""), says1(kindChunk, "a"), says1(kindEnd, ""))
	if _, err := ch.Stream(t.Context(), Invocation{}, &taker{fail: full}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if _, err := ch.Invoke(t.Context(), Invocation{}); !errors.Is(err, ErrGone) {
		t.Errorf("the worker serves on: %v", err)
	}
}

// respond sends a response in streaming mode; write makes its body.
func (c *custom) respond(id string, write func(io.Writer), trailer http.Header, header ...string) (int, string) {
	body, w := io.Pipe()
	r, err := http.NewRequest("POST", c.base+"invocation/"+id+"/response", body)
	if err != nil {
		c.t.Error(err)
		return 0, ""
	}
	r.Header.Set(responseMode, "streaming")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Trailer = trailer
	go func() { write(w); w.Close() }()
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

func writes(chunks ...string) func(io.Writer) {
	return func(w io.Writer) {
		for _, c := range chunks {
			if _, err := io.WriteString(w, c); err != nil {
				return
			}
		}
	}
}

func TestHTTPStreams(t *testing.T) {
	in64 := base64.StdEncoding.EncodeToString([]byte(oops))
	for name, c := range map[string]struct {
		chunks  []string
		kind    string
		trailer http.Header
		want    Result
		whole   Result
	}{
		"a stream": {[]string{"a", "bc"}, "text/plain", nil, Result{Streamed: true}, Result{Streamed: true, Payload: []byte("abc")}},
		"an error in the middle": {[]string{"a"}, "text/plain", http.Header{errorTrailer: {"Oops"}, errorBody: {in64}},
			Result{Failed: true, ErrorType: "Oops", Payload: []byte(oops), Streamed: true}, Result{Failed: true, ErrorType: "Oops", Payload: []byte(oops), Streamed: true}},
		"an error with a body alone": {nil, "text/plain", http.Header{errorBody: {in64}},
			Result{Failed: true, ErrorType: "Oops", Payload: []byte(oops), Streamed: true}, Result{Failed: true, ErrorType: "Oops", Payload: []byte(oops), Streamed: true}},
		"an error with a type alone": {nil, "text/plain", http.Header{errorTrailer: {"My.Error"}},
			Result{Failed: true, ErrorType: "My.Error", Payload: []byte(`{"errorType":"My.Error","errorMessage":""}`), Streamed: true},
			Result{Failed: true, ErrorType: "My.Error", Payload: []byte(`{"errorType":"My.Error","errorMessage":""}`), Streamed: true}},
		"an error in no encoding": {nil, "text/plain", http.Header{errorBody: {"%"}},
			Result{Failed: true, ErrorType: "Runtime.Unknown", Payload: []byte(`{"errorType":"Runtime.Unknown","errorMessage":""}`), Streamed: true},
			Result{Failed: true, ErrorType: "Runtime.Unknown", Payload: []byte(`{"errorType":"Runtime.Unknown","errorMessage":""}`), Streamed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			h, g := api(t)
			run := func() {
				id, _, _ := g.next()
				if status, body := g.respond(id, writes(c.chunks...), c.trailer, "Content-Type", c.kind); status != http.StatusAccepted {
					t.Errorf("response: %d %s", status, body)
				}
			}
			go run()
			s := &taker{}
			r, err := h.Stream(t.Context(), Invocation{RequestID: "r-1"}, s)
			if err != nil || !same(r, c.want) || s.kind != c.kind || strings.Join(s.chunks, "") != strings.Join(c.chunks, "") {
				t.Errorf("Stream: %+v %v, of type %q: %q", r, err, s.kind, s.chunks)
			}
			go run()
			if r, err := h.Invoke(t.Context(), Invocation{RequestID: "r-2"}); err != nil || !same(r, c.whole) {
				t.Errorf("Invoke: %+v %v", r, err)
			}
		})
	}
}

// The first chunk reaches the sink while the runtime has not made the second.
func TestHTTPChunksComeAtOnce(t *testing.T) {
	h, g := api(t)
	taken := make(chan struct{})
	go func() {
		id, _, _ := g.next()
		g.respond(id, func(w io.Writer) {
			writes("first")(w)
			<-taken
			writes("second")(w)
		}, nil)
	}()
	s := &taker{before: func(n int) {
		if n == 0 {
			close(taken)
		}
	}}
	if r, err := h.Stream(t.Context(), Invocation{RequestID: "r"}, s); err != nil || !r.Streamed || strings.Join(s.chunks, "|") != "first|second" {
		t.Errorf("%+v %v %q", r, err, s.chunks)
	}
}

func TestHTTPStreamFaults(t *testing.T) {
	h, g := api(t)
	go func() {
		id, _, _ := g.next()
		g.post("invocation/"+id+"/response", "x", http.StatusBadRequest, "InvalidFunctionResponseMode", responseMode, "trickling")
	}()
	if r, err := h.Stream(t.Context(), Invocation{RequestID: "r-1"}, &taker{}); err != nil || r.ErrorType != "Runtime.InvalidResponseModeHeader" {
		t.Errorf("another mode: %+v %v", r, err)
	}
	begun := make(chan struct{})
	go func() {
		id, _, _ := g.next()
		g.respond("r-0", writes(), nil) // of another invocation: refused
		end := make(chan struct{})
		go func() {
			<-begun
			g.post("invocation/"+id+"/response", "{}", http.StatusForbidden, "InvalidStateTransition")
			g.post("invocation/"+id+"/error", "{}", http.StatusForbidden, "InvalidStateTransition")
			close(end)
		}()
		g.respond(id, func(w io.Writer) { writes("a")(w); <-end }, nil)
	}()
	s := &taker{before: func(int) { close(begun) }}
	if r, err := h.Stream(t.Context(), Invocation{RequestID: "r-2"}, s); err != nil || !r.Streamed || r.Failed || strings.Join(s.chunks, "") != "a" {
		t.Errorf("a second answer: %+v %v %q", r, err, s.chunks)
	}
	go func() {
		id, _, _ := g.next()
		g.respond(id, func(w io.Writer) { writes("a")(w); w.(*io.PipeWriter).CloseWithError(errors.New("cut")) }, nil)
	}()
	if r, err := h.Stream(t.Context(), Invocation{RequestID: "r-3"}, &taker{}); err != nil || r.ErrorType != truncated || !r.Streamed {
		t.Errorf("cut in the middle: %+v %v", r, err)
	}
}

// Whoever gives up on an invocation hears nothing more of it.
func TestHTTPStreamEndsWithItsTime(t *testing.T) {
	h, g := api(t)
	held := make(chan struct{})
	go func() {
		id, _, _ := g.next()
		g.respond(id, func(w io.Writer) { writes("a")(w); <-held }, nil)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	s := &taker{before: func(int) { cancel() }}
	_, err := h.Stream(ctx, Invocation{RequestID: "r"}, s)
	close(held)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := h.Invoke(t.Context(), Invocation{RequestID: "r"}); !errors.Is(err, ErrGone) {
		t.Errorf("the worker serves on: %v", err)
	}
}
