package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

const (
	halfLife = time.Minute // of a kind's demand
	guess    = 16 << 20    // what one weighs before any was made, in bytes
)

// fill makes one after another until the context ends.
func (p *Pool) fill(ctx context.Context) {
	for {
		s, wait := p.next()
		if s == nil {
			if !p.sleep(ctx, wait) {
				return
			}
			continue
		}
		r, err := p.make(ctx, s.kind)
		p.shelve(s, r, err)
		if ctx.Err() != nil {
			return
		}
	}
}

// sleep waits for a nudge, or so long; false when the context has ended.
func (p *Pool) sleep(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-p.wake:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// next is the shelf that one is to be made for, which counts as starting then, or how long to wait.
func (p *Pool) next() (*shelf, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.c.Clock.Now()
	p.decay(now)
	if p.closed {
		return nil, time.Hour
	}
	s, wait := p.lacking(now)
	if s == nil {
		return nil, wait
	}
	left := p.c.Quiet - now.Sub(p.taken)
	if p.starts > 0 {
		left = p.c.Quiet // or sooner: the end of a start wakes it
	}
	if left > 0 && now.Sub(p.began(now)) < p.c.Patience {
		return nil, left
	}
	p.lackedSince = time.Time{}
	s.starting++
	return s, 0
}

// began is since when something lacks.
func (p *Pool) began(now time.Time) time.Time {
	if p.lackedSince.IsZero() {
		p.lackedSince = now
	}
	return p.lackedSince
}

// lacking chooses the kind that has fewest for how often it is taken. Where the pool is full, one of a
// kind that has far more is given up for it.
func (p *Pool) lacking(now time.Time) (*shelf, time.Duration) {
	var most, least *shelf
	wait := halfLife
	count, held := 0, int64(0)
	for _, s := range p.shelves {
		n := len(s.ready) + s.starting
		count += n
		held += s.held()
		if n > 0 && (least == nil || s.excess() < least.excess()) {
			least = s
		}
		if left := s.retry.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if s.expected && (most == nil || s.need() > most.need()) {
			most = s
		}
	}
	if most == nil {
		return nil, wait
	}
	if count < p.c.Size && held+most.estimate() <= p.c.MemoryBytes {
		return most, 0
	}
	if least != nil && least != most && most.before(least) && len(least.ready) > 0 {
		p.drop(least.ready[:1])
		least.ready = least.ready[1:]
		return nil, p.c.Quiet // when it has gone there is room
	}
	return nil, wait
}

// want is how much a kind lacks one more, excess how much it would lack one that it has.
func (s *shelf) want() float64 { return (1 + s.demand) / float64(1+len(s.ready)+s.starting) }
func (s *shelf) excess() float64 {
	if !s.expected {
		return 0
	}
	return (1 + s.demand) / float64(len(s.ready)+s.starting)
}

// before tells whether one of s is worth giving up one of another kind: the first of one is worth
// more than the second of another.
func (s *shelf) before(other *shelf) bool {
	first := len(s.ready)+s.starting == 0 && len(other.ready) > 1
	return first || s.want() > 2*other.excess()
}

// need orders the kinds: those that have none come before those that have some.
func (s *shelf) need() float64 {
	if len(s.ready)+s.starting == 0 {
		return math.MaxFloat32 * s.want()
	}
	return s.want()
}

func (s *shelf) held() int64 {
	sum := int64(s.starting) * s.estimate()
	for _, r := range s.ready {
		sum += r.weight
	}
	return sum
}

func (s *shelf) estimate() int64 {
	if s.weight > 0 {
		return s.weight
	}
	return guess
}

// decay lets demand fade, and kinds that nobody wants any more.
func (p *Pool) decay(now time.Time) {
	past := now.Sub(p.decayed)
	if past < time.Second {
		return
	}
	p.decayed = now
	for name, s := range p.shelves {
		s.demand *= math.Exp2(-float64(past) / float64(halfLife))
		if !s.expected && s.starting == 0 {
			p.drop(s.ready)
			delete(p.shelves, name)
		}
	}
}

// shelve puts a new one into its place.
func (p *Pool) shelve(s *shelf, r *Ready, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.starting--
	if err != nil {
		s.failure = err.Error()
		s.pause = min(max(retryFirst, 2*s.pause), retryMost)
		s.retry = p.c.Clock.Now().Add(s.pause)
		return
	}
	s.failure, s.pause = "", 0
	s.weight = r.weight
	if p.closed || p.shelves[s.kind.Name] != s || !r.fits(s.kind.Spec) {
		p.drop([]*Ready{r})
		return
	}
	r.shelf = s
	s.ready = append(s.ready, r)
}

// make starts one and waits until it waits.
func (p *Pool) make(ctx context.Context, k Kind) (*Ready, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	out, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	spec := k.Spec
	spec.ID = "f-" + p.c.IDs.Lower(12)
	spec.Stdout, spec.Stderr = w, w
	box, err := p.c.Driver.Start(ctx, spec)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	exit := make(chan sandbox.Exit, 1)
	r := &Ready{Instance: box, Wait: exit, Output: out, spec: k.Spec, dead: make(chan struct{})}
	go p.follow(r, exit)
	if len(spec.Argv) > 0 {
		r.Channel = runtimeapi.NewChannel(box.Channel())
		if err := r.Channel.Waiting(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("pool: %s does not wait: %w", k.Name, err), r.end())
		}
	}
	if w, ok := box.(sandbox.Weigher); ok {
		r.weight = w.Weight()
	}
	return r, nil
}

// follow waits for the end of one, hands it on, and forgets it if it was still waiting.
func (p *Pool) follow(r *Ready, exit chan<- sandbox.Exit) {
	exit <- <-r.Instance.Wait()
	close(exit)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(r.dead)
	if r.shelf == nil {
		return
	}
	if n := slices.Index(r.shelf.ready, r); n >= 0 {
		r.shelf.ready = slices.Delete(r.shelf.ready, n, n+1)
		p.died++
		_ = r.Output.Close() // it was only read
		p.nudge()
	}
}
