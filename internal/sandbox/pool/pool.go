package pool

import (
	"context"
	"errors"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// Config is what a Pool is made of.
type Config struct {
	Driver sandbox.Driver
	Clock  clock.Clock
	IDs    ids.Source

	Size        int   // ready sandboxes at most; 0: none are kept
	MemoryBytes int64 // that they hold together at most; 256 MB if zero

	// Quiet is for how long nobody must have taken one or started before one is made; 25 ms if zero.
	// Patience is how long it waits for such a moment; 2 s if zero.
	Quiet, Patience time.Duration
}

// Kind is one sort of ready sandbox. Everything with the same name has an equal Spec, or replaces what
// is there.
type Kind struct {
	Name string
	Spec sandbox.Spec // Late; without id and output. With a program, it speaks runtimeapi as one that waits
}

// Ready is a sandbox that waits.
type Ready struct {
	Instance sandbox.Instance
	// Wait gives the one Exit, as Instance.Wait does, which is the pool's.
	Wait <-chan sandbox.Exit
	// Channel is the conversation with the interpreter; nil where nothing runs yet.
	Channel *runtimeapi.Channel
	// Output is where everything that the processes write can be read. It is the taker's.
	Output *os.File

	shelf  *shelf
	spec   sandbox.Spec
	weight int64
	dead   chan struct{}
}

// shelf are the ready ones of a kind.
type shelf struct {
	kind     Kind
	ready    []*Ready // the oldest first
	starting int
	expected bool    // it will be taken
	demand   float64 // takes, halved every halfLife
	weight   int64   // of the last one that was made
	pause    time.Duration
	retry    time.Time // after a start that failed
	failure  string
}

// Pool keeps sandboxes ready. It is safe for concurrent use; a nil one keeps none.
type Pool struct {
	c    Config
	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup

	mu          sync.Mutex
	shelves     map[string]*shelf
	taken       time.Time // when one was last taken, or missed, or a function had started
	decayed     time.Time
	lackedSince time.Time // that one could have been made, but for the moment
	starts      int       // of functions, under way now
	hits        int64
	misses      int64
	bypasses    int64
	died        int64
	closed      bool
}

// The bounds of a start, and of the pauses after those that failed.
const (
	startLimit = 20 * time.Second
	retryFirst = time.Second
	retryMost  = time.Minute
)

// New makes a pool and begins to fill it when kinds are expected.
func New(c Config) *Pool {
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 256 << 20
	}
	if c.Quiet == 0 {
		c.Quiet = 25 * time.Millisecond
	}
	if c.Patience == 0 {
		c.Patience = 2 * time.Second
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool{c: c, wake: make(chan struct{}, 1), stop: stop, shelves: map[string]*shelf{}}
	if c.Size > 0 {
		p.done.Go(func() { p.fill(ctx) })
	}
	return p
}

// On tells whether the pool keeps any.
func (p *Pool) On() bool { return p != nil && p.c.Size > 0 }

// Expect says which kinds are going to be taken, all of them: what it does not name is let go, unless
// somebody takes it.
func (p *Pool) Expect(kinds []Kind) {
	if !p.On() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for _, s := range p.shelves {
		s.expected = false
	}
	for _, k := range kinds {
		p.shelf(k).expected = true
	}
	p.nudge()
}

// shelf finds or makes the place of a kind; the pool's lock is held. Ready ones of another specification
// under the same name are of no more use.
func (p *Pool) shelf(k Kind) *shelf {
	s := p.shelves[k.Name]
	if s == nil {
		s = &shelf{kind: k}
		p.shelves[k.Name] = s
	}
	if !reflect.DeepEqual(s.kind.Spec, k.Spec) {
		s.kind = k
		p.drop(s.ready)
		s.ready = nil
	}
	return s
}

// Take gives a ready sandbox of the kind, which is the caller's then, or nil.
func (p *Pool) Take(k Kind) *Ready {
	if !p.On() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.taken = p.c.Clock.Now()
	p.decay(p.taken)
	s := p.shelf(k)
	s.demand++
	s.expected = true // until Expect knows better
	defer p.nudge()
	for len(s.ready) > 0 {
		r := s.ready[0]
		s.ready = s.ready[1:]
		select {
		case <-r.dead:
			continue // its follower has counted it
		default:
			p.hits++
			return r
		}
	}
	p.misses++
	return nil
}

// Starting says that a function starts, with a ready sandbox or without one, and what it returns that
// it has started: none is made meanwhile.
func (p *Pool) Starting() (started func()) {
	if !p.On() {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starts--
		p.taken = p.c.Clock.Now()
		p.nudge()
	}
}

// Bypass counts a start that could not use the pool.
func (p *Pool) Bypass() {
	if p.On() {
		p.mu.Lock()
		p.bypasses++
		p.mu.Unlock()
	}
}

// Close ends everything that waits.
func (p *Pool) Close() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	p.closed = true
	var all []*Ready
	for _, s := range p.shelves {
		all = append(all, s.ready...)
		s.ready = nil
	}
	p.mu.Unlock()
	p.stop()
	p.done.Wait()
	var errs []error
	for _, r := range all {
		errs = append(errs, r.end())
	}
	return errors.Join(errs...)
}

// end gives up one that nobody took.
func (r *Ready) end() error {
	err := r.Instance.Kill()
	<-r.dead
	return errors.Join(err, r.Output.Close())
}

// drop ends some in the background, while the pool's lock is held.
func (p *Pool) drop(rs []*Ready) {
	for _, r := range rs {
		p.done.Go(func() { _ = r.end() }) // what could not be taken away is the driver's to report
	}
}

// fits tells whether it was made to a specification.
func (r *Ready) fits(s sandbox.Spec) bool { return reflect.DeepEqual(r.spec, s) }

func (p *Pool) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
