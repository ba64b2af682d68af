package extension

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what a guest sends, in bytes, and of its connections.
const (
	maxRegister  = 64 << 10
	maxSubscribe = 64 << 10
	maxReport    = 256 << 10
	maxHeader    = 64 << 10
	maxConns     = 64
)

const (
	headName    = "Lambda-Extension-Name"
	headID      = "Lambda-Extension-Identifier"
	headError   = "Lambda-Extension-Function-Error-Type"
	headFeature = "Lambda-Extension-Accept-Feature"
	tracingType = "X-Amzn-Trace-Id"
)

type tracing struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type invokeEvent struct {
	Type      string  `json:"eventType"`
	Deadline  int64   `json:"deadlineMs"`
	RequestID string  `json:"requestId"`
	ARN       string  `json:"invokedFunctionArn"`
	Tracing   tracing `json:"tracing"`
}

type lastEvent struct {
	Type     string `json:"eventType"`
	Reason   string `json:"shutdownReason"`
	Deadline int64  `json:"deadlineMs"`
}

// Serve answers on l, a door of an environment, until it is closed.
func Serve(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	var open sync.WaitGroup
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Done()
		}
	}
	_ = server.Serve(Bound(l, maxConns)) // ends with the listener
	open.Wait()
}

// Bound is a listener that takes no more connections at a time than most, so that an environment that
// opens ever more of them takes none of Bastide's descriptors from the others: its own wait.
func Bound(l net.Listener, most int) net.Listener {
	return &bounded{Listener: l, free: make(chan struct{}, most), over: make(chan struct{})}
}

type bounded struct {
	net.Listener
	free chan struct{}
	over chan struct{}
	once sync.Once
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.free <- struct{}{}:
	case <-b.over:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.free
		return nil, err
	}
	return &counted{Conn: c, free: sync.OnceFunc(func() { <-b.free })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.over) })
	return b.Listener.Close()
}

type counted struct {
	net.Conn
	free func()
}

func (c *counted) Close() error {
	c.free()
	return c.Conn.Close()
}

// ServeHTTP answers the paths of the three APIs; another is not found.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const extensions = "/2020-01-01/extension/"
	switch r.Method + " " + strings.TrimSuffix(r.URL.Path, "/") {
	case "POST " + extensions + "register":
		s.serveRegister(w, r)
	case "GET " + extensions + "event/next":
		s.serveNext(w, r)
	case "POST " + extensions + "init/error":
		s.serveError(w, r, stateInitError, initError)
	case "POST " + extensions + "exit/error":
		s.serveError(w, r, stateExitError, exitError)
	case "PUT /2022-07-01/telemetry":
		s.serveSubscribe(w, r, telemetryAPI)
	case "PUT /2020-08-15/logs":
		s.serveSubscribe(w, r, logsAPI)
	default:
		http.NotFound(w, r)
	}
}

// refusal is an error of the API.
type refusal struct {
	status        int
	kind, message string
}

func (r *refusal) Error() string { return r.kind + ": " + r.message }

func forbid(kind, format string, args ...any) error {
	return &refusal{http.StatusForbidden, kind, fmt.Sprintf(format, args...)}
}

func badState(from, to state, name string) error {
	return forbid("Extension.InvalidExtensionState",
		"State transition from %s to %s failed for extension %s. Error: State transition is not allowed", from, to, name)
}

// reply writes a document, or what err says.
func reply(w http.ResponseWriter, status int, doc any, err error) {
	if err != nil {
		no, ok := errors.AsType[*refusal](err)
		if !ok {
			no = &refusal{http.StatusInternalServerError, "InternalServerError", "Internal Server Error"}
		}
		status = no.status
		doc = struct {
			Message string `json:"errorMessage"`
			Type    string `json:"errorType"`
		}{strings.ToValidUTF8(no.message, ""), no.kind}
	}
	body, err := json.Marshal(doc)
	if err != nil { // what is answered here always marshals
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a guest that hung up is found by its process's end
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", limit)}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "InvalidRequestFormat", "The request body could not be read"}
	}
	return body, nil
}

type registered struct {
	Version   string `json:"functionVersion"`
	Name      string `json:"functionName"`
	Handler   string `json:"handler"`
	AccountID string `json:"accountId,omitempty"`
}

func (s *Set) serveRegister(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(headName)
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		reply(w, 0, nil, forbid("Extension.InvalidExtensionName", "Empty extension name"))
		return
	}
	body, err := readBody(w, r, maxRegister)
	if err != nil {
		reply(w, 0, nil, err)
		return
	}
	events, err := parseRegister(body)
	if err != nil {
		reply(w, 0, nil, err)
		return
	}
	id, first, err := s.register(name, events)
	if err != nil {
		reply(w, 0, nil, err)
		return
	}
	if first && s.cfg.Internal != nil {
		s.cfg.Internal()
	}
	doc := registered{Version: s.cfg.FunctionVersion, Name: s.cfg.FunctionName, Handler: s.cfg.Handler}
	for feature := range strings.SplitSeq(r.Header.Get(headFeature), ",") {
		if strings.TrimSpace(feature) == "accountId" {
			doc.AccountID = s.cfg.AccountID
		}
	}
	w.Header().Set(headID, id)
	reply(w, http.StatusOK, doc, nil)
}

// parseRegister reads the events that an extension registers for.
func parseRegister(body []byte) ([]string, error) {
	var in struct {
		Events []string `json:"events"`
		Keys   []string `json:"configurationKeys"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, forbid("InvalidRequestFormat", "%s", err)
	}
	if len(in.Keys) > 0 {
		return nil, forbid("InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead")
	}
	var events []string
	for _, e := range in.Events {
		if e != eventInvoke && e != eventShutdown {
			return nil, forbid("Extension.InvalidEventType", "%.64s: ErrorInvalidEventType", e)
		}
		if !slices.Contains(events, e) {
			events = append(events, e)
		}
	}
	return events, nil
}

// register takes an extension in; first says that it is the first internal one.
func (s *Set) register(name string, events []string) (id string, first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.external(name); m != nil {
		if m.state != stateStarted {
			return "", false, badState(m.state, stateRegistered, name)
		}
		m.state, m.events = stateRegistered, events
		s.change()
		return m.id, false, nil
	}
	switch {
	case slices.Contains(events, eventShutdown):
		return "", false, forbid("Extension.InvalidEventType", "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension")
	case s.sealed:
		return "", false, forbid("Extension.RegistrationClosed", "Extension registration closed already")
	case len(s.members) >= MaxExtensions:
		return "", false, forbid("Extension.TooManyExtensions", "Extension limit (%d) reached", MaxExtensions)
	case !s.none(func(m *member) bool { return m.name == name }):
		return "", false, forbid("Extension.InvalidExtensionState", "Extension with this name already registered")
	}
	m := &member{id: s.cfg.NewID(), name: name, internal: true, events: events, state: stateRegistered}
	s.members = append(s.members, m)
	s.active.Store(true)
	first = !s.hasInner
	s.hasInner = true
	return m.id, first, nil
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// known finds who asks; under mu.
func (s *Set) known(r *http.Request) (*member, error) {
	id := r.Header.Get(headID)
	switch {
	case id == "":
		return nil, forbid("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
	case !uuid.MatchString(id):
		return nil, forbid("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
	}
	i := slices.IndexFunc(s.members, func(m *member) bool { return strings.EqualFold(m.id, id) && m.state != stateStarted })
	if i < 0 {
		return nil, forbid("Extension.UnknownExtensionIdentifier", "Unknown extension %s", id)
	}
	return s.members[i], nil
}

// serveNext answers a request for an event when there is one. It says that the one before is done.
func (s *Set) serveNext(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	m, err := s.known(r)
	if err == nil {
		err = s.arrive(m)
	}
	s.mu.Unlock()
	if err != nil {
		reply(w, 0, nil, err)
		return
	}
	for {
		s.mu.Lock()
		var event any
		if len(m.pending) > 0 {
			event = m.pending[0]
			m.pending, m.waiting = m.pending[1:], nil
			m.state = stateRunning
		}
		waiting := m.waiting
		s.mu.Unlock()
		switch {
		case event != nil:
			w.Header().Set(headID, m.id)
			w.Header().Set("Lambda-Extension-Event-Identifier", s.cfg.NewID())
			reply(w, http.StatusOK, event, nil)
			return
		case waiting == nil:
			return // the environment has ended
		}
		select {
		case <-waiting:
		case <-r.Context().Done():
			s.depart(m, waiting)
			return
		}
	}
}

// arrive is an extension that asks for an event; under mu.
func (s *Set) arrive(m *member) error {
	switch {
	case m.state == stateRegistered, m.state == stateRunning, m.state == stateReady && m.waiting == nil:
	default:
		return badState(m.state, stateReady, m.id)
	}
	m.state, m.busy = stateReady, len(m.pending) > 0 && m.busy
	if len(m.pending) == 0 {
		m.waiting = make(chan struct{})
	}
	s.change()
	return nil
}

// depart is a request that was given up; the extension may ask again.
func (s *Set) depart(m *member, waiting chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.waiting == waiting {
		m.waiting = nil
	}
}

// serveError takes an extension's word that it fails.
func (s *Set) serveError(w http.ResponseWriter, r *http.Request, to state, kind string) {
	_, err := readBody(w, r, maxReport) // the document is not shown anywhere; its type is
	id := ""
	if err == nil {
		id, err = s.accuse(r, to, kind)
	}
	if err == nil {
		w.Header().Set(headID, id)
	}
	reply(w, http.StatusAccepted, struct {
		Status string `json:"status"`
	}{"OK"}, err)
}

func (s *Set) accuse(r *http.Request, to state, kind string) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.known(r)
	errType := clip(r.Header.Get(headError))
	switch {
	case err != nil:
		return "", err
	case errType == "":
		return "", forbid("Extension.MissingHeader", "%s not found", headError)
	case m.state == to:
		return m.id, nil // only the first counts
	case m.state == stateRegistered, to == stateExitError && (m.state == stateReady || m.state == stateRunning):
		m.state, m.errType = to, errType
		s.report(kind, errType)
		return m.id, nil
	}
	return "", badState(m.state, to, m.id)
}

// clip makes a guest's word fit for one line of the log.
func clip(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, s[:min(len(s), 256)])
	return strings.ToValidUTF8(s, "")
}
