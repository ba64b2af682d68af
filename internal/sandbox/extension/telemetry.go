package extension

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// api is which API somebody subscribed through.
type api int

const (
	telemetryAPI api = iota
	logsAPI
)

// The streams.
const (
	typePlatform  = "platform"
	typeFunction  = "function"
	typeExtension = "extension"
)

// Bounds of what is kept for listeners, in bytes: of an environment, and of what happened before
// anybody subscribed.
const (
	maxKept    = 4 << 20
	maxBacklog = 256 << 10
)

// Telemetry is what happens in one environment, for those who subscribed to it. It is safe for
// concurrent use.
type Telemetry struct {
	cfg       Config
	listening atomic.Bool // somebody is there, or may still come
	kept      atomic.Int64

	mu          sync.Mutex
	closed      bool // no more subscriptions
	ended       bool
	subscribers []*subscriber
	backlog     []happening // until closed
	bytes       int         // of the backlog
	lost        Dropped     // what it had no room for
}

// happening is an event before it is written for somebody.
type happening struct {
	at     time.Time
	stream string
	kind   string // of platform events
	record any
	line   string
}

func newTelemetry(c Config) *Telemetry {
	t := &Telemetry{cfg: c}
	t.listening.Store(true)
	return t
}

// Listening tells whether anybody is to be told. It costs nothing.
func (t *Telemetry) Listening() bool { return t.listening.Load() }

// Platform tells of a platform event; kind is without "platform.".
func (t *Telemetry) Platform(kind string, record any) {
	if t.Listening() {
		t.tell(happening{at: t.cfg.Now(), stream: typePlatform, kind: kind, record: record})
	}
}

// Function tells of a line of the function's output, Extension of one of an extension's.
func (t *Telemetry) Function(line string) { t.line(typeFunction, line) }

// Extension is as Function.
func (t *Telemetry) Extension(line string) { t.line(typeExtension, line) }

func (t *Telemetry) line(stream, line string) {
	if t.Listening() {
		t.tell(happening{at: t.cfg.Now(), stream: stream, line: line})
	}
}

func (t *Telemetry) tell(h happening) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.subscribers {
		s.add(h)
	}
	if t.closed {
		return
	}
	size := len(h.line) + 256
	if t.bytes+size > maxBacklog {
		t.lost.Records++
		t.lost.Bytes += size
		return
	}
	t.backlog, t.bytes = append(t.backlog, h), t.bytes+size
}

// close ends subscriptions: the initialisation is over.
func (t *Telemetry) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.backlog, t.bytes = true, nil, 0
	t.listening.Store(len(t.subscribers) > 0)
}

// end stops every delivery; what was not taken is lost.
func (t *Telemetry) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.ended, t.backlog = true, true, nil
	t.listening.Store(false)
	for _, s := range t.subscribers {
		s.stop()
	}
	t.subscribers = nil
}

// Flush lets everything be delivered now rather than when a batch is full.
func (t *Telemetry) Flush() { t.hurry() }

func (t *Telemetry) hurry() (settled []<-chan struct{}) {
	if !t.Listening() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.subscribers {
		settled = append(settled, s.flush())
	}
	return settled
}

// Settle flushes and waits until everything has been delivered or given up, but not for longer than
// limit.
func (t *Telemetry) Settle(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, done := range t.hurry() {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}

// serveSubscribe answers a subscription.
func (s *Set) serveSubscribe(w http.ResponseWriter, r *http.Request, through api) {
	s.mu.Lock()
	m, err := s.known(r)
	name := ""
	if err == nil {
		name = m.name
	}
	s.mu.Unlock()
	var body []byte
	if err == nil {
		body, err = readBody(w, r, maxSubscribe)
	}
	var want *subscription
	if err == nil {
		want, err = parseSubscription(body, through)
	}
	if err == nil && !s.cfg.Reach() {
		err = &refusal{http.StatusNotImplemented, "NotImplemented", "Telemetry cannot be delivered into a sandbox of this server's driver"}
	}
	if err == nil {
		err = s.telemetry.subscribe(name, want)
	}
	if err == nil {
		record := Subscription{Name: name, State: "Subscribed", Types: want.types, logs: through == logsAPI}
		s.cfg.Told(KindSubscription, record)
	}
	reply(w, http.StatusOK, "OK", err)
}

// subscribe takes a listener in, in place of the one that the same extension had, and gives it what
// has happened so far.
func (t *Telemetry) subscribe(name string, want *subscription) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		if want.api == logsAPI {
			return forbid("Logs.SubscriptionClosed", "Logs API subscription is closed already")
		}
		return forbid("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed")
	}
	i := slices.IndexFunc(t.subscribers, func(s *subscriber) bool { return s.name == name })
	if i >= 0 && t.subscribers[i].want.api != want.api {
		return want.invalid("the extension has subscribed through the other API already")
	}
	s := newSubscriber(name, want, t)
	if i >= 0 {
		t.subscribers[i].stop()
		t.subscribers[i] = s
	} else {
		t.subscribers = append(t.subscribers, s)
	}
	for _, h := range t.backlog {
		s.add(h)
	}
	if t.lost.Records > 0 {
		s.dropped(t.lost.Records, t.lost.Bytes)
	}
	return nil
}

// write is an event as one listener wants it; nothing for what it does not.
func (h happening) write(want *subscription, isJSON bool) [][]byte {
	if !slices.Contains(want.types, h.stream) {
		return nil
	}
	if h.stream != typePlatform {
		var record any = h.line
		if isJSON && want.objects() && json.Valid([]byte(h.line)) && len(h.line) > 0 && h.line[0] == '{' {
			record = json.RawMessage(h.line)
		}
		return [][]byte{Event(h.at, h.stream, record)}
	}
	if want.api == telemetryAPI {
		if s, ok := h.record.(Subscription); ok && s.logs {
			return nil
		}
		return [][]byte{Event(h.at, "platform."+h.kind, h.record)}
	}
	kind, records := forLogs(h.kind, h.record, want.schema == logsDone)
	var out [][]byte
	if r, ok := h.record.(Report); ok { // an end comes before each report
		out = append(out, Event(h.at, "platform."+kindEnd, map[string]any{"requestId": r.RequestID}))
	}
	for _, record := range records {
		out = append(out, Event(h.at, "platform."+kind, record))
	}
	return out
}
