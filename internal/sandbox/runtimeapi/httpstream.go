package runtimeapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Names of the Runtime API's streaming mode ("Building a custom runtime for AWS Lambda", Response
// streaming for custom runtimes): the response's header that asks for it, and the trailers that tell of an
// error in the middle of it.
const (
	responseMode = "Lambda-Runtime-Function-Response-Mode"
	errorTrailer = "Lambda-Runtime-Function-Error-Type"
	errorBody    = "Lambda-Runtime-Function-Error-Body" // base64
)

// streaming is the response of an exchange on its way to the sink.
type streaming struct {
	ctx  context.Context // of the invocation
	sink Sink
	err  error // of the sink; set before there is a result

	mu   sync.Mutex
	done chan struct{} // closed when the guest's request has been served; nil before it came
}

func (s *streaming) begin() {
	s.mu.Lock()
	s.done = make(chan struct{})
	s.mu.Unlock()
}

// wait returns when nothing more reaches the sink.
func (s *streaming) wait() {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Stream hands one event over and the response to s.
func (h *HTTP) Stream(ctx context.Context, inv Invocation, s Sink) (Result, error) {
	r, err := h.invoke(ctx, inv, s)
	if err != nil || r.Streamed {
		return r, err
	}
	if r, err = r.give(ctx, s); err != nil {
		_ = h.Close() // the worker is spent
	}
	return r, err
}

// streamed takes a response that the guest sends while it makes it.
func (h *HTTP) streamed(w http.ResponseWriter, r *http.Request, mode string) {
	if mode != "streaming" {
		if e := h.claim(w, r, stateResponded); e != nil {
			reply(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode: "+printable(mode))
			e.tell(Failure("Runtime.InvalidResponseModeHeader", "The runtime sent an invalid "+responseMode+" header."))
		}
		return
	}
	e := h.claim(w, r, stateStreaming)
	if e == nil {
		return
	}
	res, err := e.stream.copy(r)
	if res.ErrorType == truncated {
		// what ends a request in its middle may be the end of the guest
		select {
		case <-h.closed:
			err = ErrGone
		case <-h.gone:
			err = ErrGone
		case <-time.After(endsSoon):
		}
	}
	e.stream.err = err
	h.mu.Lock()
	h.state = stateResponded
	h.mu.Unlock()
	switch {
	case err != nil:
		reply(w, http.StatusInternalServerError, "InternalServerError", "The response could not be taken.")
	case res.ErrorType == truncated:
		reply(w, http.StatusBadRequest, truncated, "The response was not complete.")
	default:
		reply(w, http.StatusAccepted, "", "")
	}
	e.tell(res)
	close(e.stream.done)
}

const (
	truncated = "Runtime.TruncatedResponse"
	endsSoon  = time.Second
)

// copy hands the body of a response to the sink and reads its trailers.
func (s *streaming) copy(r *http.Request) (Result, error) {
	s.sink.Begin(contentType(r.Header.Get("Content-Type"), octets))
	buf := make([]byte, maxChunk/2)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if err := s.sink.Write(s.ctx, buf[:n]); err != nil {
				return Result{}, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return trailed(r.Trailer), nil
		case s.ctx.Err() != nil:
			return Result{}, s.ctx.Err()
		case err != nil:
			res := Failure(truncated, "The runtime's response ended before it was complete.")
			res.Streamed = true
			return res, nil
		}
	}
}

// trailed is what the trailers of a response say of it.
func trailed(t http.Header) Result {
	typ, body := t.Get(errorTrailer), t.Get(errorBody)
	if typ == "" && body == "" {
		return Result{Streamed: true}
	}
	if len(typ) > 256 {
		typ = ""
	}
	doc, err := base64.StdEncoding.DecodeString(body)
	var object map[string]json.RawMessage
	if err != nil || json.Unmarshal(doc, &object) != nil {
		doc = nil
	}
	switch {
	case doc == nil && typ == "":
		typ = "Runtime.Unknown"
	case typ == "":
		typ = errorType(doc)
	}
	if doc == nil {
		doc = errorDocument(typ, "")
	}
	return Result{Payload: doc, Failed: true, ErrorType: typ, Streamed: true}
}

func printable(s string) string {
	return contentType(s, "not a header's value")
}
