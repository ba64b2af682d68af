package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// How asynchronous invocations are queued and retried. Source: AWS Lambda Developer Guide, "How
// Lambda handles errors and retries with asynchronous invocation".
const (
	maxRetries = 2
	maxAge     = 6 * time.Hour
	firstRetry = time.Minute // the second comes after two

	lease     = 30 * time.Second
	parallel  = 128 // events being delivered by one process
	idlePoll  = 5 * time.Second
	sweepPace = 5 * time.Minute

	// The bounds of one function's queue, which AWS does not publish: beyond them its callers are throttled.
	maxWaiting      = 100_000
	maxWaitingBytes = 1 << 30
)

// enqueue accepts an event: it is on the disk, with its record, when the caller hears of it.
func (s *Service) enqueue(c *gate.Call, r reference, in *lambda.InvokeInput, client string) (*lambda.InvokeOutput, error) {
	q := queued{reference: r, RequestID: c.RequestID(), ClientContext: client, TenantID: wire.Val(in.TenantId), Accepted: c.Now(), Lineage: lineageOf(c), Trace: s.traceOf(c)}
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.InvokeOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		n, _, err := s.t.queue.lanes.Get(tx, store.K(q.lane()))
		if err != nil {
			return nil, err
		}
		if n.Events >= s.waitingMost || n.Bytes+int64(len(in.Payload)) > maxWaitingBytes {
			return nil, throttled("FunctionInvocationRateLimitExceeded")
		}
		if err := checkTenant(f, in.TenantId); err != nil {
			return nil, err
		}
		q.Function = f.ID
		return &lambda.InvokeOutput{StatusCode: new(int32(202))}, s.t.queue.push(tx, q, in.Payload)
	})
	if err == nil {
		s.courier.expect(q.lane(), c.Now())
	}
	return out, err
}

// Run delivers what is queued, writes logs and sweeps unused code, until ctx ends. What is being
// delivered then is delivered again by the next process.
func (s *Service) Run(ctx context.Context, g *gate.Gate) error {
	var swept, looked time.Time
	s.report("take over what was queued", s.resume(ctx, g))
	s.delivering.Go(func() { s.holdReady(ctx, g) })
	s.delivering.Go(func() { s.report("prepare the runtimes of functions", s.prepare(ctx, g)) })
	s.delivering.Go(func() { s.prolong(ctx, g) })
	s.delivering.Go(func() { s.mappings(ctx, g) })
	s.delivering.Go(func() { s.expect(ctx, g) })
	s.delivering.Go(func() { s.keepProfiles(ctx, g) })
	for ctx.Err() == nil {
		now := s.Clock.Now()
		if now.Sub(swept) >= sweepPace {
			swept = now
			s.report("sweep unused code", s.sweep(ctx, g))
		}
		if now.Sub(looked) >= idlePoll {
			looked = now
			s.report("look for asynchronous invocations", s.look(ctx, g))
		}
		turns, next := s.courier.plan(now)
		if len(turns) == 0 {
			s.rest(ctx, next)
			continue
		}
		batch, err := s.claim(ctx, g, turns)
		s.report("claim asynchronous invocations", err)
		for _, q := range batch {
			running, stop := context.WithCancel(ctx)
			s.courier.take(q, stop)
			s.delivering.Go(func() {
				defer stop()
				f, err := s.deliver(running, g, q)
				s.courier.landed(q, f, s.Clock.Now())
				s.report("deliver an asynchronous invocation", err)
			})
		}
		if err != nil {
			s.rest(ctx, now.Add(time.Second)) // the store is in trouble: asking at once again would not help it
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

// rest waits for the next event to come due, or for news.
func (s *Service) rest(ctx context.Context, next time.Time) {
	wait := idlePoll
	if !next.IsZero() {
		wait = min(wait, max(next.Sub(s.Clock.Now()), time.Millisecond))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.courier.wake:
	case <-t.C:
	}
}

func job(g *gate.Gate, account, region string) gate.Job {
	return gate.Job{Gate: g, Name: "AsyncInvoke", Service: lambda.Service, Account: account, Region: region}
}

// resume takes over what earlier processes left: what they had claimed, where this one is alone with
// the store, and what versions before lanes queued.
func (s *Service) resume(ctx context.Context, g *gate.Gate) error {
	j := job(g, "", "")
	if s.Alone {
		if err := j.Lease(ctx, func(tx *store.Tx) error { return s.t.queue.release(tx) }); err != nil {
			return err
		}
	}
	for {
		n := 0
		err := j.Lease(ctx, func(tx *store.Tx) error {
			batch, err := s.t.queue.earlier.Claim(tx, 100, lease)
			n = len(batch)
			for _, m := range batch {
				var q struct {
					queued
					Payload []byte
				}
				if err := json.Unmarshal(m.Payload, &q); err != nil {
					return err
				}
				if err := s.t.queue.push(tx, q.queued, q.Payload); err != nil {
					return err
				}
				if err := s.t.queue.earlier.Ack(tx, m); err != nil {
					return err
				}
			}
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// look finds the lanes in the store: those that other processes fill are not told of.
func (s *Service) look(ctx context.Context, g *gate.Gate) error {
	due := map[string]time.Time{}
	err := job(g, "", "").View(ctx, func(tx *store.Tx) error {
		clear(due)
		for e, err := range s.t.queue.lanes.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			lane := e.Key.Text(0)
			if due[lane], err = s.t.queue.next(tx, lane); err != nil {
				return err
			}
		}
		return nil
	})
	for lane, at := range due {
		if !at.IsZero() {
			s.courier.expect(lane, at)
		}
	}
	return err
}

// claim takes the events of the turns, in one transaction.
func (s *Service) claim(ctx context.Context, g *gate.Gate, turns []turnOf) ([]queued, error) {
	ours, _ := s.courier.ours()
	got, next, left := make([][]queued, len(turns)), make([]time.Time, len(turns)), make([]laneLength, len(turns))
	err := job(g, "", "").Lease(ctx, func(tx *store.Tx) (err error) {
		for i, t := range turns {
			if got[i], next[i], err = s.t.queue.claim(tx, t.lane, t.n, lease, ours); err != nil {
				return err
			}
			if left[i], _, err = s.t.queue.lanes.Get(tx, store.K(t.lane)); err != nil {
				return err
			}
		}
		return nil
	})
	var batch []queued
	for i, t := range turns {
		if err != nil {
			got[i], next[i] = nil, s.Clock.Now() // they are still due
		}
		s.courier.claimed(t, len(got[i]), next[i], left[i].Events)
		batch = append(batch, got[i]...)
	}
	return batch, err
}

// prolong holds what this process is delivering; a delivery whose event was lost is ended.
func (s *Service) prolong(ctx context.Context, g *gate.Gate) {
	t := time.NewTicker(lease / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.report("hold asynchronous invocations", s.extend(ctx, g))
	}
}

func (s *Service) extend(ctx context.Context, g *gate.Gate) error {
	_, all := s.courier.ours()
	if len(all) == 0 {
		return nil
	}
	var lost []string
	err := job(g, "", "").Lease(ctx, func(tx *store.Tx) error {
		lost = nil
		for _, q := range all {
			err := s.t.queue.extend(tx, q, lease)
			if errors.Is(err, errTaken) {
				lost = append(lost, q.ID)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range lost {
		s.courier.lost(id) // one that has just been delivered is not held any more
	}
	return err
}

// sweep removes unpacked packages that no version and no layer refers to any more.
func (s *Service) sweep(ctx context.Context, g *gate.Gate) error {
	used, images := map[string]bool{}, map[string]bool{}
	err := job(g, "", "").View(ctx, func(tx *store.Tx) error {
		clear(used)
		clear(images)
		for e, err := range s.t.archives.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			used[e.Key.Text(0)] = true
		}
		for e, err := range s.t.images.images.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			images[e.Key.Text(0)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.journal.forget()
	_, err = s.Code.Sweep(s.Clock.Now(), func(sha string) bool { return used[sha] })
	_, ierr := s.Images.Sweep(s.Clock.Now(), func(sha string) bool { return images[sha] })
	return errors.Join(err, ierr)
}
