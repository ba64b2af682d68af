package extension

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A delivery that fails is tried again after a while, which grows; after some tries its events are
// dropped.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	maxTries   = 8
)

// subscriber is one listener with what it has not got yet. One goroutine, run, delivers. It has no
// deadline: a frozen environment takes nothing, and what piles up meanwhile is bounded.
type subscriber struct {
	name    string
	want    *subscription
	parent  *Telemetry
	ctx     context.Context
	stop    context.CancelFunc
	wake    chan struct{} // holds one
	deliver func(ctx context.Context, batch [][]byte) error
	release func() // the connection that deliver keeps

	mu      sync.Mutex
	pending [][]byte
	bytes   int
	since   time.Time // that the oldest one waits
	hurry   bool
	lost    Dropped
	settled []chan struct{} // closed when nothing waits any more
}

func newSubscriber(name string, want *subscription, t *Telemetry) *subscriber {
	s := &subscriber{name: name, want: want, parent: t, wake: make(chan struct{}, 1)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if want.tcp {
		l := &lines{dial: t.cfg.Dial, port: want.port}
		s.deliver, s.release = l.send, l.close
	} else {
		p := newPosts(t.cfg.Dial, want)
		s.deliver, s.release = p.send, p.client.CloseIdleConnections
	}
	go s.run()
	return s
}

// add takes an event for the next batch, or drops it when the listener has fallen behind.
func (s *subscriber) add(h happening) {
	for _, event := range h.write(s.want, s.parent.cfg.JSON) {
		s.put(event)
	}
}

func (s *subscriber) put(event []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(event)
	full := len(s.pending) > 0 && (s.bytes+n > 2*s.want.maxBytes || len(s.pending) >= 2*s.want.maxItems)
	if full || s.parent.kept.Load()+int64(n) > maxKept {
		s.lost.Records++
		s.lost.Bytes += n
		return
	}
	s.parent.kept.Add(int64(n))
	if len(s.pending) == 0 {
		s.since = time.Now()
	}
	s.pending, s.bytes = append(s.pending, event), s.bytes+n
	if len(s.pending) == 1 || s.due() {
		s.nudge()
	}
}

func (s *subscriber) dropped(records, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost.Records += records
	s.lost.Bytes += size
}

// due tells whether a batch is full; under mu.
func (s *subscriber) due() bool {
	return s.hurry || s.bytes >= s.want.maxBytes || len(s.pending) >= s.want.maxItems
}

// flush hurries everything out; the channel is closed when it has been delivered, or given up.
func (s *subscriber) flush() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := make(chan struct{})
	if s.ctx.Err() != nil {
		close(done)
		return done
	}
	s.hurry = true
	s.settled = append(s.settled, done)
	s.nudge()
	return done
}

// settle lets go who waits for the last delivery; under mu.
func (s *subscriber) settle() {
	for _, done := range s.settled {
		close(done)
	}
	s.settled = nil
}

func (s *subscriber) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run delivers batches until the end.
func (s *subscriber) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer s.over()
	for {
		batch, size, wait := s.take()
		if batch != nil {
			s.insist(batch)
			s.parent.kept.Add(-int64(size))
			if s.ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// over lets go of everything.
func (s *subscriber) over() {
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parent.kept.Add(-int64(s.bytes))
	s.pending, s.bytes = nil, 0
	s.settle()
}

// take gives a batch that is due, or how long to wait for one.
func (s *subscriber) take() (batch [][]byte, size int, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		s.hurry = false
		s.settle()
		return nil, 0, time.Hour
	}
	if left := s.want.timeout - time.Since(s.since); left > 0 && !s.due() {
		return nil, 0, left
	}
	n := 0
	for n < len(s.pending) && n < s.want.maxItems && (n == 0 || size+len(s.pending[n]) <= s.want.maxBytes) {
		size += len(s.pending[n])
		n++
	}
	batch = s.pending[:n:n]
	s.pending, s.bytes, s.since = append([][]byte(nil), s.pending[n:]...), s.bytes-size, time.Now()
	if s.lost.Records > 0 {
		lost := s.lost
		lost.Reason, s.lost = behind, Dropped{}
		batch = append(batch, happening{at: s.parent.cfg.Now(), stream: typePlatform, kind: KindLogsDropped, record: lost}.
			write(&subscription{api: s.want.api, types: []string{typePlatform}}, false)...)
	}
	return batch, size, 0
}

// insist delivers a batch, if need be with several tries.
func (s *subscriber) insist(batch [][]byte) {
	pause := firstPause
	for range maxTries {
		if s.deliver(s.ctx, batch) == nil || s.ctx.Err() != nil {
			return
		}
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return
		}
		pause = min(2*pause, lastPause)
	}
	size := 0
	for _, e := range batch {
		size += len(e)
	}
	s.dropped(len(batch), size)
}

type dialFunc = func(ctx context.Context, port uint16) (net.Conn, error)

// posts delivers by HTTP, an array of events at a time, over one connection that is kept.
type posts struct {
	client *http.Client
	want   *subscription
}

const maxAnswer = 64 << 10 // bytes of a listener's answer that are read, so that its connection can be kept

func newPosts(dial dialFunc, want *subscription) *posts {
	return &posts{want: want, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, want.port) },
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConns: 1, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, DisableCompression: true,
		},
	}}
}

func (p *posts) send(ctx context.Context, batch [][]byte) error {
	// the events are not copied: they may be kept for other listeners too
	size, parts := 1, make([]io.Reader, 0, 2*len(batch)+1)
	for i, e := range batch {
		parts = append(parts, bytes.NewReader(opening[min(i, 1)]), bytes.NewReader(e))
		size += 1 + len(e)
	}
	body := io.MultiReader(append(parts, bytes.NewReader(closing))...)
	url := "http://sandbox.localdomain:" + strconv.Itoa(int(p.want.port)) + p.want.path
	req, err := http.NewRequestWithContext(ctx, p.want.method, url, body)
	if err != nil {
		return fmt.Errorf("extension: %w", err)
	}
	req.ContentLength = int64(size)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("extension: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("extension: %w", err)
	}
	if res.StatusCode >= 400 {
		return fmt.Errorf("extension: the listener answered %d", res.StatusCode)
	}
	return nil
}

// The brackets and commas around events.
var (
	opening = [2][]byte{[]byte("["), []byte(",")}
	closing = []byte("]")
)

// lines delivers by TCP, an event a line.
type lines struct {
	dial dialFunc
	port uint16
	conn net.Conn
	stop func() bool
}

func (l *lines) send(ctx context.Context, batch [][]byte) error {
	if l.conn == nil {
		c, err := l.dial(ctx, l.port)
		if err != nil {
			return err
		}
		l.conn = c
		l.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	}
	buffers := make(net.Buffers, 0, 2*len(batch))
	for _, e := range batch {
		buffers = append(buffers, e, []byte("\n"))
	}
	if _, err := buffers.WriteTo(l.conn); err != nil {
		l.close()
		return err
	}
	return nil
}

// close gives the connection up.
func (l *lines) close() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close() // it is of no more use
		l.conn = nil
	}
}
