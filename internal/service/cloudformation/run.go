package cloudformation

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

const (
	lookEvery = time.Second
	lease     = 4 * time.Second // of an operation; prolonged while it goes on
	prolong   = time.Second
	tryAgain  = 5 * time.Second // after a failure of Bastide's own
	atATime   = 16              // operations that one process carries out
)

func (s *Service) enqueue(tx *store.Tx, p place) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	// The message is the stack's: an operation that takes another over is carried on by whoever
	// carries that one.
	_, err = s.t.queue.Enqueue(tx, store.Message{ID: p.Account + "/" + p.Region + "/" + p.UUID, Kind: "operation", Payload: b})
	return err
}

// Run carries out operations until ctx ends; what has not come to an end then goes on at the next
// start.
func (s *Service) Run(ctx context.Context, g *gate.Gate, clk clock.Clock) error {
	queue := s.job(g, "Operations", place{})
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, atATime)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		found, err := s.claim(ctx, queue, clk, cap(slots)-len(slots))
		if err != nil && ctx.Err() == nil {
			if _, full := errors.AsType[*store.ReserveError](err); !full {
				return err
			}
		}
		for _, m := range found {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				s.attend(ctx, queue, clk, m)
				s.signal() // there is a slot again
			})
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-s.wake:
		}
	}
}

func (s *Service) claim(ctx context.Context, queue gate.Job, clk clock.Clock, n int) (found []store.Message, err error) {
	due := false
	err = queue.View(ctx, func(tx *store.Tx) error {
		at, ok, err := s.t.queue.Next(tx)
		due = ok && !at.After(clk.Now())
		return err
	})
	if err != nil || !due || n == 0 {
		return nil, err
	}
	err = queue.Lease(ctx, func(tx *store.Tx) error { found, err = s.t.queue.Claim(tx, n, lease); return err })
	return found, err
}

// attend carries out a stack's operation and holds its message meanwhile. A failure of Bastide's
// own is tried again later.
func (s *Service) attend(ctx context.Context, queue gate.Job, clk clock.Clock, m store.Message) {
	ctx, stop := context.WithCancel(ctx)
	var holding sync.WaitGroup
	holding.Go(func() { s.hold(ctx, stop, queue, m) })
	err := s.carry(ctx, queue.Gate, clk, m)
	stop()
	holding.Wait()
	if err == nil {
		return
	}
	after := tryAgain
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		after = 0 // the server stops; the next goes on at once
	}
	// Without the message given back, its lease runs out.
	_ = queue.Lease(context.WithoutCancel(ctx), func(tx *store.Tx) error { return s.t.queue.Retry(tx, m, after, err.Error()) })
}

func (s *Service) hold(ctx context.Context, stop func(), queue gate.Job, m store.Message) {
	tick := time.NewTicker(prolong)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := queue.Lease(ctx, func(tx *store.Tx) error { return s.t.queue.Extend(tx, m, lease) })
		if errors.Is(err, store.ErrLeaseLost) {
			stop() // another carries it on
			return
		}
	}
}

// carry carries a stack's operations to their end and takes its message off the queue in a
// transaction that sees that none goes on.
func (s *Service) carry(ctx context.Context, g *gate.Gate, clk clock.Clock, m store.Message) error {
	var p place
	if err := json.Unmarshal(m.Payload, &p); err != nil {
		return err
	}
	for {
		done := false
		err := s.job(g, "Operations", p).Lease(ctx, func(tx *store.Tx) error {
			st, ok, err := s.t.stacks.Get(tx, p.key())
			if err != nil {
				return err
			}
			if done = !ok || !st.busy(); done {
				return s.t.queue.Ack(tx, m)
			}
			if err := s.t.queue.Extend(tx, m, lease); err != nil {
				return err
			}
			st.Op.Runner = m.Lease
			return s.t.put(tx, &st)
		})
		if err != nil || done {
			return err
		}
		o, err := s.operating(ctx, g, clk, p)
		if err != nil {
			return err
		}
		if err := o.advance(ctx); err != nil {
			return err
		}
	}
}
