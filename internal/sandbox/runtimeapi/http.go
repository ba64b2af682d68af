package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// HTTP is a Worker that serves the Runtime API, version 2018-06-01, to one guest
// (docs.aws.amazon.com/lambda, "Using the Lambda runtime API"). The listener is a door inside the
// guest's network namespace: nobody else can reach it.
//
// It does not learn by itself that the guest died: whoever watches the process calls Ended, and Close when
// every request that the guest had sent has been served.
type HTTP struct {
	mux    *http.ServeMux
	server *http.Server  // nil if it is somebody else's
	turn   chan struct{} // holds one token: taken for a whole Ready or Invoke
	ready  chan struct{} // closed by the first request for an invocation
	closed chan struct{} // closed by Close
	gone   chan struct{} // closed by Ended
	events chan *exchange

	mu       sync.Mutex
	asked    chan struct{} // closed and replaced by a request for an invocation
	state    state
	current  *exchange
	initErr  *InitError
	initDone chan struct{} // closed when initErr is set
}

// state is where the guest stands, in the words of the API's own errors.
type state string

const (
	stateStarting  state = "Started"
	stateReady     state = "Ready"
	stateRunning   state = "Running"
	stateResponded state = "ResponseSent"
	stateStreaming state = "InvocationResponse"
	stateInitError state = "InitError"
)

// exchange is one invocation on its way through.
type exchange struct {
	inv    Invocation
	result chan Result   // buffered: the guest's answer never waits for the host
	said   chan struct{} // closed after result has it
	stream streaming
}

// ServeHTTP starts to serve on l and takes it over.
func ServeHTTP(l net.Listener) *HTTP {
	h := NewHTTP()
	h.server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    1 << 20, // the cause of an error travels in a header
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = h.server.Serve(l) }() // ends with ErrServerClosed, by Close
	return h
}

// NewHTTP is a Worker that somebody else serves: it answers the paths below Prefix. Closing it lets its
// waiters go and leaves the listener alone, which others may answer on too.
func NewHTTP() *HTTP {
	h := &HTTP{
		turn: make(chan struct{}, 1), ready: make(chan struct{}), closed: make(chan struct{}), gone: make(chan struct{}), asked: make(chan struct{}),
		events: make(chan *exchange), state: stateStarting, initDone: make(chan struct{}),
	}
	mux := http.NewServeMux()
	const v = Prefix + "runtime/"
	mux.HandleFunc("GET "+v+"invocation/next", h.next)
	mux.HandleFunc("POST "+v+"invocation/{id}/response", h.response)
	mux.HandleFunc("POST "+v+"invocation/{id}/error", h.failure)
	mux.HandleFunc("POST "+v+"init/error", h.initError)
	h.mux = mux
	return h
}

// Prefix is what the Runtime API's paths begin with.
const Prefix = "/2018-06-01/"

// ServeHTTP implements http.Handler.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Ready waits for the guest's first request for an invocation.
func (h *HTTP) Ready(ctx context.Context) error {
	if !h.take() {
		return ErrBusy
	}
	defer h.give()
	select {
	case <-h.ready:
		return nil
	case <-h.initDone:
		return h.initErr
	case <-h.closed:
	case <-h.gone:
		h.last(h.initDone)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-h.initDone: // the last that it said
		return h.initErr
	default:
		return ErrGone
	}
}

// last waits for what a guest that has ended may have said last: for as long as its requests are served,
// or, where others live on and hold them open, for a moment.
func (h *HTTP) last(said <-chan struct{}) {
	t := time.NewTimer(endsSoon)
	defer t.Stop()
	select {
	case <-said:
	case <-h.closed:
	case <-t.C:
	}
}

// Listens waits until the guest asks for an invocation, as it does when it has done with the one before;
// false if it has ended instead, or ctx has.
func (h *HTTP) Listens(ctx context.Context) bool {
	for {
		h.mu.Lock()
		asks, asked := h.state == stateReady, h.asked
		h.mu.Unlock()
		select {
		case <-h.gone:
			return false
		case <-h.closed:
			return false
		default:
		}
		if asks {
			return true
		}
		select {
		case <-asked:
		case <-h.gone:
		case <-h.closed:
		case <-ctx.Done():
			return false
		}
	}
}

// Ended implements Worker.
func (h *HTTP) Ended() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.gone:
	default:
		close(h.gone)
	}
}

// Invoke hands one event over and waits for its answer.
func (h *HTTP) Invoke(ctx context.Context, inv Invocation) (Result, error) {
	var whole collected
	r, err := h.invoke(ctx, inv, &whole)
	return whole.result(r), err
}

// invoke gives an answer as its result, and a streamed one to s.
func (h *HTTP) invoke(ctx context.Context, inv Invocation, s Sink) (Result, error) {
	if !h.take() {
		return Result{}, ErrBusy
	}
	defer h.give()
	if len(inv.Payload) > MaxPayload {
		return Result{}, fmt.Errorf("runtimeapi: an event of %d bytes is above the limit of %d", len(inv.Payload), MaxPayload)
	}
	e := &exchange{inv: inv, result: make(chan Result, 1), said: make(chan struct{}), stream: streaming{ctx: ctx, sink: s}}
	defer e.stream.wait() // nothing reaches the sink after this has returned
	select {
	case h.events <- e:
	case <-h.initDone:
		return Result{}, h.initErr
	case <-h.closed:
		return Result{}, ErrGone
	case <-h.gone:
		return Result{}, ErrGone
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case <-e.said:
	case <-h.closed:
	case <-h.gone:
		h.last(e.said)
		e.stream.wait() // a response that has begun is taken to its end
	case <-ctx.Done():
		_ = h.Close() // the guest is busy with an event that nobody waits for
		return Result{}, ctx.Err()
	}
	select {
	case r := <-e.result:
		return r, e.stream.err
	default:
		return Result{}, ErrGone
	}
}

// tell gives an exchange its result, once.
func (e *exchange) tell(r Result) {
	e.result <- r
	close(e.said)
}

// Close stops serving and lets every waiter go.
func (h *HTTP) Close() error {
	h.mu.Lock()
	select {
	case <-h.closed:
		h.mu.Unlock()
		return nil
	default:
		close(h.closed)
	}
	h.mu.Unlock()
	if h.server == nil {
		return nil
	}
	return h.server.Close()
}

func (h *HTTP) take() bool {
	select {
	case h.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (h *HTTP) give() { <-h.turn }

// next answers a request for work when there is some.
func (h *HTTP) next(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	switch h.state {
	case stateStarting:
		close(h.ready)
	case stateReady, stateResponded:
	default:
		from := h.state
		h.mu.Unlock()
		refuse(w, from, stateReady)
		return
	}
	h.state = stateReady
	close(h.asked)
	h.asked = make(chan struct{})
	h.mu.Unlock()
	select {
	case e := <-h.events:
		h.mu.Lock()
		h.state, h.current = stateRunning, e
		h.mu.Unlock()
		writeEvent(w, e.inv)
	case <-h.closed:
	case <-h.gone:
	case <-r.Context().Done():
	}
}

func writeEvent(w http.ResponseWriter, inv Invocation) {
	hd := w.Header()
	set := func(name, value string) {
		if value != "" {
			hd[name] = []string{value}
		}
	}
	set("Content-Type", "application/json")
	set("Lambda-Runtime-Aws-Request-Id", inv.RequestID)
	set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.Deadline.UnixMilli(), 10))
	set("Lambda-Runtime-Invoked-Function-Arn", inv.ARN)
	set("Lambda-Runtime-Trace-Id", inv.TraceID)
	set("Lambda-Runtime-Client-Context", inv.ClientContext)
	set("Lambda-Runtime-Cognito-Identity", inv.Identity)
	set("Lambda-Runtime-Aws-Tenant-Id", inv.TenantID)
	set("Content-Length", strconv.Itoa(len(inv.Payload)))
	_, _ = w.Write(inv.Payload) // a guest that hung up is found by its process's end
}

func (h *HTTP) response(w http.ResponseWriter, r *http.Request) {
	if mode := r.Header.Get(responseMode); mode != "" {
		h.streamed(w, r, mode)
		return
	}
	body, err := readLimited(w, r, MaxPayload)
	if err != nil {
		h.refuseBody(w, r, err)
		return
	}
	h.answer(w, r, Result{Payload: body})
}

func (h *HTTP) failure(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(w, r, maxError)
	if err != nil {
		h.refuseBody(w, r, err)
		return
	}
	doc, typ := errorReport(r, body)
	h.answer(w, r, Result{Payload: doc, Failed: true, ErrorType: typ})
}

// answer completes the invocation that the path names, once.
func (h *HTTP) answer(w http.ResponseWriter, r *http.Request, res Result) {
	if e := h.claim(w, r, stateResponded); e != nil {
		reply(w, http.StatusAccepted, "", "")
		e.tell(res)
	}
}

// claim is the invocation that the path names, if it runs and nobody answers it yet; otherwise the guest
// has been told so.
func (h *HTTP) claim(w http.ResponseWriter, r *http.Request, to state) *exchange {
	h.mu.Lock()
	e, from := h.current, h.state
	mine := e != nil && e.inv.RequestID == r.PathValue("id")
	taken := mine && from == stateRunning
	if taken {
		h.state = to
		if to == stateStreaming {
			e.stream.begin()
		}
	}
	h.mu.Unlock()
	switch {
	case taken:
		return e
	case mine:
		refuse(w, from, stateResponded)
	default:
		reply(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	}
	return nil
}

// refuseBody answers a body that could not be read. One above the limit still ends the
// invocation, as an error in the platform's words.
func (h *HTTP) refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); !tooLarge {
		reply(w, http.StatusBadRequest, "InvalidRequest", "The request body could not be read")
		return
	}
	h.mu.Lock()
	e := h.current
	mine := e != nil && e.inv.RequestID == r.PathValue("id") && h.state == stateRunning
	if mine {
		h.state = stateResponded
	}
	h.mu.Unlock()
	reply(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
		fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxPayload))
	if mine {
		e.tell(TooLarge())
	}
}

func (h *HTTP) initError(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(w, r, maxError)
	if err != nil {
		h.refuseBody(w, r, err)
		return
	}
	doc, typ := errorReport(r, body)
	h.mu.Lock()
	if h.state != stateStarting {
		from := h.state
		h.mu.Unlock()
		refuse(w, from, stateInitError)
		return
	}
	h.state, h.initErr = stateInitError, &InitError{Type: typ, Payload: doc}
	h.mu.Unlock()
	reply(w, http.StatusAccepted, "", "")
	close(h.initDone)
}

// errorReport is what a runtime says of an error: its document, with the type from the header
// where there is one. A body that is no JSON object is not passed on.
func errorReport(r *http.Request, body []byte) ([]byte, string) {
	typ := r.Header.Get("Lambda-Runtime-Function-Error-Type")
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		if typ == "" || len(typ) > 256 {
			typ = "Runtime.Unknown"
		}
		return errorDocument(typ, ""), typ
	}
	if typ == "" || len(typ) > 256 {
		typ = errorType(body)
	}
	return body, typ
}

func readLimited(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

func refuse(w http.ResponseWriter, from, to state) {
	reply(w, http.StatusForbidden, "InvalidStateTransition", fmt.Sprintf(
		"State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to))
}

// reply is the API's status document: an error, or for an empty errorType {"status":"OK"}.
func reply(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	body := []byte(`{"status":"OK"}` + "\n")
	if errorType != "" {
		body = append(errorDocument(errorType, strings.ToValidUTF8(message, "")), '\n')
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a guest that hung up is found by its process's end
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

var _ Worker = (*HTTP)(nil)
