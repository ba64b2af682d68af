package extension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of Lambda ("Lambda Extensions API"), and of names, which AWS does not bound.
const (
	MaxExtensions = 10
	maxName       = 255 // as a file's
)

// The events that there are.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// Config is what a Set is made of.
type Config struct {
	FunctionName, FunctionVersion, Handler, AccountID string

	External []string // file names of the programs that will be started
	JSON     bool     // the function's log format: records of JSON lines are objects
	Now      func() time.Time
	NewID    func() string // a UUID
	// Dial connects to a port inside the environment.
	Dial func(ctx context.Context, port uint16) (net.Conn, error)
	// Reach tells whether Dial can; without, nobody can subscribe.
	Reach func() bool
	// Told hears of platform events that extensions cause, so that they are logged; it calls
	// Set.Platform with them. It may be called from several goroutines.
	Told func(kind string, record any)
	// Internal is called once, when the first internal extension registers.
	Internal func()
}

// state is where an extension stands, in the words of the API's errors and of the log.
type state string

const (
	stateStarted     state = "Started"
	stateRegistered  state = "Registered"
	stateReady       state = "Ready"
	stateRunning     state = "Running"
	stateInitError   state = "InitError"
	stateExitError   state = "ExitError"
	stateLaunchError state = "LaunchError"
)

// member is one extension.
type member struct {
	id       string
	name     string
	internal bool
	events   []string
	state    state
	errType  string
	pending  []any         // events that it has not fetched: at most an invocation and the shutdown
	waiting  chan struct{} // closed when pending grows; nil unless a request waits
	busy     bool          // an event's end is awaited
}

// Set is the extensions of one environment. It is safe for concurrent use.
type Set struct {
	cfg    Config
	active atomic.Bool // somebody has registered or is to

	mu       sync.Mutex
	members  []*member
	sealed   bool // no more registrations
	closing  bool // the shutdown has begun: who ends now may
	over     bool
	suspect  string
	failure  *Failure
	changed  chan struct{} // closed and replaced with every change that somebody may wait for
	guards   map[int]func(*Failure)
	guardID  int
	hasInner bool

	telemetry *Telemetry
}

// Failure is an environment that an extension has failed. Type is Lambda's, Message what the log and
// the caller are told.
type Failure struct{ Type, Message string }

func (f *Failure) Error() string { return "extension: " + f.Type + ": " + f.Message }

// ErrEnded is waiting in an environment that has ended.
var ErrEnded = errors.New("extension: the environment has ended")

// The types of failures.
const (
	initError   = "Extension.InitError"
	exitError   = "Extension.ExitError"
	crash       = "Extension.Crash"
	launchError = "Extension.LaunchError"
)

// grace is how long an extension that has reported an error may take to end by itself.
const grace = time.Second

// New makes the extensions of an environment that is about to start.
func New(c Config) *Set {
	s := &Set{cfg: c, changed: make(chan struct{})}
	for _, name := range c.External {
		s.members = append(s.members, &member{id: c.NewID(), name: name, state: stateStarted})
	}
	s.active.Store(len(s.members) > 0)
	s.telemetry = newTelemetry(c)
	return s
}

// Active tells whether there is any extension. It costs nothing.
func (s *Set) Active() bool { return s.active.Load() }

// Telemetry is what extensions may subscribe to.
func (s *Set) Telemetry() *Telemetry { return s.telemetry }

// change wakes who waits; under mu.
func (s *Set) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// await returns when done does, which is asked under mu, or with the failure.
func (s *Set) await(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		failure, over, ok, changed := s.failure, s.over, done(), s.changed
		s.mu.Unlock()
		switch {
		case failure != nil:
			return failure
		case over:
			return ErrEnded
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Registered waits until every program has registered.
func (s *Set) Registered(ctx context.Context) error {
	return s.await(ctx, func() bool { return s.none(func(m *member) bool { return m.state == stateStarted }) })
}

// Seal ends registrations: the runtime is ready.
func (s *Set) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
}

// Ready waits until every extension has asked for its first event, and ends subscriptions.
func (s *Set) Ready(ctx context.Context) error {
	err := s.await(ctx, func() bool { return s.none(func(m *member) bool { return m.state != stateReady }) })
	if err == nil {
		s.telemetry.close()
	}
	return err
}

func (s *Set) none(is func(*member) bool) bool { return !slices.ContainsFunc(s.members, is) }

// Invocation is an event for those who registered for it.
type Invocation struct {
	RequestID string
	ARN       string
	TraceID   string
	Deadline  time.Time
}

// Invoke tells of an invocation that begins.
func (s *Set) Invoke(inv Invocation) {
	e := &invokeEvent{Type: eventInvoke, Deadline: inv.Deadline.UnixMilli(), RequestID: inv.RequestID, ARN: inv.ARN,
		Tracing: tracing{Type: tracingType, Value: inv.TraceID}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if slices.Contains(m.events, eventInvoke) && m.state == stateReady {
			m.busy = true
			m.give(e)
		}
	}
}

// Idle waits until everybody who was told of the invocation is done with it.
func (s *Set) Idle(ctx context.Context) error {
	return s.await(ctx, func() bool { return s.none(func(m *member) bool { return m.busy }) })
}

// give adds an event; under the set's mu.
func (m *member) give(e any) {
	m.pending = append(m.pending, e)
	if m.waiting != nil {
		close(m.waiting)
		m.waiting = nil
	}
}

// Guard gives a context that ends also when an extension fails; release it.
func (s *Set) Guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		cancel(s.failure)
		return ctx, func() {}
	}
	if s.guards == nil {
		s.guards = map[int]func(*Failure){}
	}
	s.guardID++
	id := s.guardID
	s.guards[id] = func(f *Failure) { cancel(f) }
	return ctx, func() {
		s.mu.Lock()
		delete(s.guards, id)
		s.mu.Unlock()
		cancel(nil)
	}
}

// Failure is the first failure, or nil.
func (s *Set) Failure() *Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// fail ends the environment's use; under mu. The first reason counts.
func (s *Set) fail(kind, message string) {
	if s.failure != nil || s.closing {
		return
	}
	s.failure = &Failure{kind, message}
	for _, stop := range s.guards {
		stop(s.failure)
	}
	s.change()
}

// report takes an extension's own word that it fails; it should end itself next; under mu.
func (s *Set) report(kind, errType string) {
	if s.suspect == "" {
		s.suspect = kind
	}
	time.AfterFunc(grace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail(s.suspect, errType)
	})
}

// Exited tells that a program has ended; words are how ("exit status 1").
func (s *Set) Exited(name, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := crash
	if s.suspect != "" {
		kind = s.suspect
	}
	if m := s.external(name); m != nil && m.errType == "" && !s.closing {
		m.errType = crash
	}
	s.fail(kind, words)
}

// LaunchFailed tells that a program could not be executed; reason is "PermissionDenied",
// "TooManyExtensions" or "UnknownError".
func (s *Set) LaunchFailed(name, reason, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.external(name); m != nil {
		m.state, m.errType = stateLaunchError, reason
	}
	s.fail(launchError, words)
}

func (s *Set) external(name string) *member {
	i := slices.IndexFunc(s.members, func(m *member) bool { return m.name == name && !m.internal })
	if i < 0 {
		return nil
	}
	return s.members[i]
}

// Count is how many extensions there are.
func (s *Set) Count() (external, internal int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if m.internal {
			internal++
		} else {
			external++
		}
	}
	return external, internal
}

// Closing begins the shutdown: no end is a failure any more.
func (s *Set) Closing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing, s.sealed = true, true
	s.change()
}

// Shutdown gives the last event to the programs that registered for it, and names the others, which
// may be killed.
func (s *Set) Shutdown(reason string, deadline time.Time) (others []string) {
	e := &lastEvent{Type: eventShutdown, Reason: reason, Deadline: deadline.UnixMilli()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		switch {
		case m.internal:
		case slices.Contains(m.events, eventShutdown):
			m.give(e)
		default:
			others = append(others, m.name)
		}
	}
	return others
}

// Info is the record of a platform.extension event.
type Info struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType,omitempty"`
}

func (i Info) String() string {
	text := fmt.Sprintf("EXTENSION\tName: %s\tState: %s\tEvents: [%s]", clip(i.Name), i.State, strings.Join(i.Events, ", "))
	if i.ErrorType != "" {
		text += "\tError Type: " + clip(i.ErrorType)
	}
	return text
}

// Infos describe all extensions.
func (s *Set) Infos() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Info
	for _, m := range s.members {
		all = append(all, Info{m.name, string(m.state), append([]string{}, m.events...), m.errType})
	}
	return all
}

// Close ends every delivery and lets every request go.
func (s *Set) Close() {
	s.telemetry.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.sealed = true, true
	s.change()
	for _, m := range s.members {
		if m.waiting != nil {
			close(m.waiting)
			m.waiting = nil
		}
	}
}
