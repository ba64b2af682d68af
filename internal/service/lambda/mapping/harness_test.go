package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/pattern"
)

// body is what the tests' records hold.
type body struct {
	ID, Key string
	N       int // within its key
}

func recordOf(b body) Record {
	event, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	return Record{ID: b.ID, Key: b.Key, At: time.Now(), Event: event}
}

// history is what became of each record, and the judge of it.
type history struct {
	testing.TB
	mu        sync.Mutex
	sent      map[string][]body // by key, in order
	taken     map[string]int    // how often each was taken by the function
	dropped   map[string]string // why each was given up, or "filter"
	broken    []string
	ordered   bool
	delivered int
	reports   []string
}

func newHistory(t testing.TB) *history {
	return &history{TB: t, sent: map[string][]body{}, taken: map[string]int{}, dropped: map[string]string{}, ordered: true}
}

func (h *history) send(b body) Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.N = len(h.sent[b.Key])
	h.sent[b.Key] = append(h.sent[b.Key], b)
	return recordOf(b)
}

// deliver checks the order of a batch as it comes, and gives it as records.
func (h *history) deliver(event []byte) []body {
	var e struct{ Records []body }
	if err := json.Unmarshal(event, &e); err != nil {
		h.Errorf("the event %.100s: %v", event, err)
	}
	if len(event) > MaxEvent {
		h.Errorf("an event of %d bytes", len(event))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delivered++
	ahead := map[string]int{} // of each key, how many of its records are behind or in this batch
	for _, b := range e.Records {
		if !h.ordered {
			continue
		}
		for i := ahead[b.Key]; i < b.N; i++ {
			if id := h.sent[b.Key][i].ID; h.taken[id] == 0 && h.dropped[id] == "" {
				h.broken = append(h.broken, fmt.Sprintf("%s came before %s", b.ID, id))
			}
		}
		ahead[b.Key] = b.N + 1
	}
	return e.Records
}

func (h *history) take(records []body) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range records {
		h.taken[b.ID]++
	}
}

func (h *history) drop(why string, records ...Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range records {
		h.dropped[r.ID] = why
	}
}

// open counts the records that nothing has become of.
func (h *history) open() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, list := range h.sent {
		for _, b := range list {
			if h.taken[b.ID] == 0 && h.dropped[b.ID] == "" {
				n++
			}
		}
	}
	return n
}

// judge wants that nothing was lost and no order broken.
func (h *history) judge() {
	h.Helper()
	if n := h.open(); n > 0 {
		h.Errorf("%d records are lost", n)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.broken) > 0 {
		h.Errorf("%d times out of order: %v", len(h.broken), h.broken[:min(len(h.broken), 5)])
	}
}

func (h *history) report(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, s)
}

// handled is a function that a history watches: it says which records it takes.
func (h *history) handled(work func(records []body) (Answer, error)) Function {
	return watched{h, work}
}

type watched struct {
	h    *history
	work func([]body) (Answer, error)
}

func (w watched) Invoke(_ context.Context, event []byte) (Answer, error) {
	records := w.h.deliver(event)
	answer, err := w.work(records)
	if err == nil && answer.Error == "" {
		fail := len(records)
		var p struct {
			Failures []struct {
				ID string `json:"itemIdentifier"`
			} `json:"batchItemFailures"`
		}
		if len(answer.Payload) > 0 && json.Unmarshal(answer.Payload, &p) == nil && len(p.Failures) > 0 {
			fail = slices.IndexFunc(records, func(b body) bool { return b.ID == p.Failures[0].ID })
		}
		w.h.take(records[:fail])
	}
	return answer, err
}

// failing is the answer of a function that fails.
func failing() (Answer, error) { return Answer{Error: "Unhandled", Payload: []byte(`{}`)}, nil }

func partial(id string) (Answer, error) {
	return Answer{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"` + id + `"}]}`)}, nil
}

// ledger keeps checkpoints and leases in memory.
type ledger struct {
	mu     sync.Mutex
	shards map[string]*kept
	tokens int64
}

type kept struct {
	c     Checkpoint
	token int64
	until time.Time
}

func newLedger() *ledger { return &ledger{shards: map[string]*kept{}} }

func (l *ledger) Load(context.Context) (map[string]Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]Checkpoint{}
	for id, k := range l.shards {
		out[id] = k.c
	}
	return out, nil
}

func (l *ledger) Acquire(_ context.Context, shard string, lease time.Duration) (Checkpoint, int64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.shards[shard]
	if k == nil {
		k = &kept{}
		l.shards[shard] = k
	}
	if time.Now().Before(k.until) {
		return Checkpoint{}, 0, false, nil
	}
	l.tokens++
	k.token, k.until = l.tokens, time.Now().Add(lease)
	return k.c, k.token, true, nil
}

func (l *ledger) Save(_ context.Context, shard string, token int64, c Checkpoint, lease time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.shards[shard]
	if k == nil || k.token != token {
		return ErrLost
	}
	k.c, k.until = c, time.Now().Add(lease)
	return nil
}

// process is one that may die: from then on its ledger, its source and its function answer nothing.
type process struct {
	ctx  context.Context
	kill context.CancelFunc
	done chan struct{}
}

var errDead = errors.New("the process is dead")

// mortal is a ledger of a process.
type mortal struct {
	*process
	Ledger
}

func (m mortal) Save(ctx context.Context, shard string, token int64, c Checkpoint, lease time.Duration) error {
	if m.process.ctx.Err() != nil {
		return errDead
	}
	return m.Ledger.Save(ctx, shard, token, c, lease)
}

func start(parent context.Context, run func(p *process) error) *process {
	ctx, kill := context.WithCancel(parent)
	p := &process{ctx, kill, make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = run(p) // it ends with the process
	}()
	return p
}

// crash ends a process at once: nothing that it does afterwards is kept.
func (p *process) crash() {
	p.kill()
	<-p.done
}

// stream is a Stream in memory.
type stream struct {
	mu     sync.Mutex
	shards []Shard
	data   map[string][]Record
	closed map[string]bool
	reads  int
}

func newStream(shards ...Shard) *stream {
	return &stream{shards: shards, data: map[string][]Record{}, closed: map[string]bool{}}
}

func (s *stream) put(shard string, r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[shard] = append(s.data[shard], r)
}

func (s *stream) split(parent string, children ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed[parent] = true
	for _, c := range children {
		s.shards = append(s.shards, Shard{ID: c, Parents: []string{parent}})
	}
}

func (s *stream) Shards(context.Context) ([]Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shards), nil
}

func (s *stream) Read(_ context.Context, shard string, from Position, n int) (Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	all := s.data[shard]
	i := 0
	switch from.Kind {
	case Latest:
		i = len(all)
	case After:
		i = slices.IndexFunc(all, func(r Record) bool { return r.ID == from.Sequence }) + 1
	case AtTimestamp:
		if i = slices.IndexFunc(all, func(r Record) bool { return !r.At.Before(from.Time) }); i < 0 {
			i = len(all)
		}
	}
	page := Page{Next: from}
	page.Records = slices.Clone(all[i:min(i+n, len(all))])
	switch {
	case len(page.Records) > 0:
		page.Next = Position{Kind: After, Sequence: page.Records[len(page.Records)-1].ID}
	case from.Kind == Latest:
		page.Next = Position{Kind: AtTimestamp, Time: time.Now()}
	}
	page.End = s.closed[shard] && i+len(page.Records) == len(all)
	return page, nil
}

// queue is a Queue in memory; with groups it keeps their order.
type queue struct {
	mu       sync.Mutex
	fifo     bool
	all      []*message
	receipts int
	hide     time.Duration
	news     chan struct{}
	most     int
}

type message struct {
	Record
	receipt int
	visible time.Time
}

func newQueue(fifo bool) *queue {
	return &queue{fifo: fifo, hide: 40 * time.Second, news: make(chan struct{}, 1), most: 10}
}

func (q *queue) put(r Record) {
	q.mu.Lock()
	q.all = append(q.all, &message{Record: r})
	q.mu.Unlock()
	select {
	case q.news <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.all)
}

func (q *queue) Receive(ctx context.Context, n int, wait time.Duration) ([]Record, error) {
	until := time.Now().Add(wait)
	for {
		if got := q.visible(min(n, q.most)); len(got) > 0 {
			return got, nil
		}
		left := time.Until(until)
		if left <= 0 {
			return nil, nil
		}
		if err := rest(ctx, min(left, 100*time.Millisecond), q.news); err != nil {
			return nil, err
		}
	}
}

func (q *queue) visible(n int) (out []Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	locked := map[string]bool{}
	now := time.Now()
	for _, m := range q.all {
		if q.fifo && now.Before(m.visible) {
			locked[m.Key] = true
		}
	}
	for _, m := range q.all {
		if len(out) == n {
			break
		}
		if now.Before(m.visible) || locked[m.Key] {
			continue
		}
		q.receipts++
		m.receipt, m.visible = q.receipts, now.Add(q.hide)
		r := m.Record
		r.Handle = strconv.Itoa(m.receipt)
		out = append(out, r)
	}
	return out
}

func (q *queue) Delete(_ context.Context, handles []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = slices.DeleteFunc(q.all, func(m *message) bool { return slices.Contains(handles, strconv.Itoa(m.receipt)) })
	return nil
}

func (q *queue) Release(_ context.Context, handles []string, after time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.all {
		if slices.Contains(handles, strconv.Itoa(m.receipt)) {
			m.visible = time.Now().Add(after)
		}
	}
	return nil
}

// filters compiles patterns.
func filters(t testing.TB, src ...string) (out []*pattern.Pattern) {
	t.Helper()
	for _, s := range src {
		p, err := pattern.Parse([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func (h *history) deps(l Ledger, f Function) Deps {
	return Deps{Function: f, Ledger: l, Clock: clock.System{}, Report: h.report, Discard: func(_ context.Context, d Discarded) error {
		h.drop(d.Condition, d.Records...)
		return nil
	}}
}

func chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// mute is a queue that hears nothing of a process that is dead.
type mute struct {
	*process
	Queue
}

func (m mute) Delete(ctx context.Context, handles []string) error {
	if m.process.ctx.Err() != nil {
		return errDead
	}
	return m.Queue.Delete(ctx, handles)
}

func (m mute) Release(ctx context.Context, handles []string, after time.Duration) error {
	if m.process.ctx.Err() != nil {
		return errDead
	}
	return m.Queue.Release(ctx, handles, after)
}
