package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// queued is an asynchronous invocation, as it waits in the queue.
type queued struct {
	reference
	Function      string // its ID: a later function of the same name is another
	RequestID     string
	ClientContext string
	Payload       []byte
	Accepted      time.Time
	Failures      int // of the function
	Delays        int // by throttling, or by trouble of ours
}

// How asynchronous invocations are retried. Source: AWS Lambda Developer Guide, "How Lambda handles
// errors and retries with asynchronous invocation".
const (
	maxRetries = 2
	maxAge     = 6 * time.Hour
	firstRetry = time.Minute // the second comes after two
	maxDelay   = 5 * time.Minute

	lease     = 30 * time.Second
	parallel  = 128
	idlePoll  = 15 * time.Second
	sweepPace = 5 * time.Minute
)

// enqueue accepts an event: it is on the disk, with its record, when the caller hears of it.
func (s *Service) enqueue(c *gate.Call, r reference, in *lambda.InvokeInput, client string) (*lambda.InvokeOutput, error) {
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.InvokeOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		q := queued{reference: r, Function: f.ID, RequestID: c.RequestID(), ClientContext: client, Payload: in.Payload, Accepted: c.Now()}
		return &lambda.InvokeOutput{StatusCode: new(int32(202))}, s.t.push(tx, q, c.Now())
	})
	if err == nil {
		s.nudge()
	}
	return out, err
}

func (t *tables) push(tx *store.Tx, q queued, due time.Time) error {
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	_, err = t.queue.Enqueue(tx, store.Message{Kind: "invoke", Payload: b, NotBefore: due})
	return err
}

func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run delivers what is queued, writes logs and sweeps unused code, until ctx ends. What is being
// delivered then is delivered again by the next process.
func (s *Service) Run(ctx context.Context, g *gate.Gate) error {
	slots := make(chan struct{}, parallel)
	swept := time.Time{}
	s.delivering.Go(func() { s.report("prepare the runtimes of functions", s.prepare(ctx, g)) })
	for ctx.Err() == nil {
		if now := s.Clock.Now(); now.Sub(swept) >= sweepPace {
			swept = now
			s.report("sweep unused code", s.sweep(ctx, g))
		}
		batch, next, err := s.claim(ctx, g, cap(slots)-len(slots))
		s.report("claim asynchronous invocations", err)
		for _, m := range batch {
			slots <- struct{}{} // never waits: no more were claimed than there are slots
			s.delivering.Go(func() {
				defer func() { <-slots; s.nudge() }()
				s.report("deliver an asynchronous invocation", s.deliver(ctx, g, m))
			})
		}
		if len(batch) == 0 {
			s.rest(ctx, next)
		}
	}
	s.delivering.Wait()
	s.journal.drain()
	return nil
}

// report logs what has no caller to be told to.
func (s *Service) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Error("lambda: "+what, "error", err)
	}
}

// rest waits for the next message to come due, or to be queued.
func (s *Service) rest(ctx context.Context, next time.Time) {
	wait := idlePoll
	if !next.IsZero() {
		wait = min(wait, max(next.Sub(s.Clock.Now()), time.Millisecond))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-t.C:
	}
}

func job(g *gate.Gate, account, region string) gate.Job {
	return gate.Job{Gate: g, Name: "AsyncInvoke", Service: lambda.Service, Account: account, Region: region}
}

// claim takes due messages for the free slots, and says when the next one is due.
func (s *Service) claim(ctx context.Context, g *gate.Gate, free int) (batch []store.Message, next time.Time, err error) {
	j := job(g, "", "")
	var due bool
	err = j.View(ctx, func(tx *store.Tx) error {
		var ok bool
		next, ok, err = s.t.queue.Next(tx)
		due = ok && !next.After(tx.Now())
		return err
	})
	if err != nil || !due || free == 0 {
		if free == 0 {
			next = time.Time{} // a slot that comes free wakes us
		}
		return nil, next, err
	}
	err = j.Lease(ctx, func(tx *store.Tx) (err error) {
		batch, err = s.t.queue.Claim(tx, free, lease)
		return err
	})
	return batch, next, err
}

// deliver runs one event and decides what becomes of it.
func (s *Service) deliver(ctx context.Context, g *gate.Gate, m store.Message) error {
	var q queued
	if err := json.Unmarshal(m.Payload, &q); err != nil {
		return errors.Join(err, s.settle(ctx, g, m, nil, 0))
	}
	j := job(g, q.Account, q.Region)
	t, err := s.target(ctx, func(fn func(*store.Tx) error) error { return j.View(ctx, fn) }, q.reference)
	switch {
	case err != nil:
		return s.delay(ctx, g, m, q, err)
	case t == nil || t.fn.ID != q.Function:
		return s.drop(ctx, j, m, q, "FunctionDeleted")
	case s.Clock.Now().Sub(q.Accepted) > maxAge:
		return s.drop(ctx, j, m, q, "EventAgeExceeded")
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	go s.prolong(running, stop, g, m)
	res, err := s.run(running, s.pick(t), fleet.Event{RequestID: q.RequestID, ARN: t.named, ClientContext: q.ClientContext, Payload: q.Payload})
	stop()
	switch {
	case ctx.Err() != nil:
		return nil // the lease runs out, and another process delivers it
	case err != nil:
		return s.delay(ctx, g, m, q, err)
	case res.FunctionError == "":
		return s.settle(ctx, g, m, nil, 0)
	case q.Failures >= maxRetries:
		return s.drop(ctx, j, m, q, "RetriesExhausted")
	}
	q.Failures++
	return s.settle(ctx, g, m, &q, time.Duration(q.Failures)*firstRetry)
}

// prolong holds a message while its function runs; where it was lost, the run ends.
func (s *Service) prolong(ctx context.Context, stop func(), g *gate.Gate, m store.Message) {
	t := time.NewTicker(lease / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := job(g, "", "").Lease(ctx, func(tx *store.Tx) error { return s.t.queue.Extend(tx, m, lease) })
		if errors.Is(err, store.ErrLeaseLost) {
			stop()
			return
		}
		s.report("hold an asynchronous invocation", err)
	}
}

// delay puts an event off that could not run: throttled, or by trouble of ours.
func (s *Service) delay(ctx context.Context, g *gate.Gate, m store.Message, q queued, cause error) error {
	wait := min(maxDelay, time.Second<<min(q.Delays, 16))
	q.Delays++
	err := s.settle(ctx, g, m, &q, wait)
	if awserr.Is(cause, "TooManyRequestsException") {
		return err
	}
	return errors.Join(cause, err)
}

// settle ends a delivery; again, if given, is queued in its place for after a while.
func (s *Service) settle(ctx context.Context, g *gate.Gate, m store.Message, again *queued, after time.Duration) error {
	err := job(g, "", "").Lease(ctx, func(tx *store.Tx) error {
		if err := s.t.queue.Ack(tx, m); err != nil || again == nil {
			return err
		}
		return s.t.push(tx, *again, tx.Now().Add(after))
	})
	if errors.Is(err, store.ErrLeaseLost) {
		return nil // another delivery of it has taken over
	}
	return err
}

// drop gives an event up, on record.
func (s *Service) drop(ctx context.Context, j gate.Job, m store.Message, q queued, why string) error {
	what := map[string]any{"functionArn": q.arn(), "requestId": q.RequestID, "condition": why, "approximateInvokeCount": q.Failures + 1}
	err := j.Update(ctx, what, func(tx *store.Tx) error { return s.t.queue.Ack(tx, m) })
	if errors.Is(err, store.ErrLeaseLost) {
		return nil
	}
	return err
}

// sweep removes unpacked packages that no version and no layer refers to any more.
func (s *Service) sweep(ctx context.Context, g *gate.Gate) error {
	used := map[string]bool{}
	err := job(g, "", "").View(ctx, func(tx *store.Tx) error {
		clear(used)
		for e, err := range s.t.archives.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			used[e.Key.Text(0)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.journal.forget()
	_, err = s.Code.Sweep(s.Clock.Now(), func(sha string) bool { return used[sha] })
	return err
}
