package mapping

import (
	"context"
	"errors"
	"sync"
	"time"
)

// QueueMapping gives a queue's messages to a function.
type QueueMapping struct {
	Config
	Deps
	Source Queue

	mu      sync.Mutex
	flying  int
	window  float64 // invocations at once, as the function has had room for
	paused  time.Time
	pauses  int
	changed chan struct{}
}

// queueShard is the name under which a queue is leased: one process works for a mapping.
const queueShard = "queue"

// Run works until ctx ends.
func (q *QueueMapping) Run(ctx context.Context) error {
	q.changed = make(chan struct{}, 1)
	q.window = 5
	for ctx.Err() == nil {
		_, token, ok, err := q.Ledger.Acquire(ctx, queueShard, leaseFor)
		if err != nil || !ok {
			if err := rest(ctx, lookEvery, nil); err != nil {
				return err
			}
			continue
		}
		q.lead(ctx, token)
	}
	return ctx.Err()
}

// lead works while the lease is held.
func (q *QueueMapping) lead(ctx context.Context, token int64) {
	leading, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() {
		defer stop()
		for rest(leading, leaseFor/3, nil) == nil {
			if err := q.Ledger.Save(leading, queueShard, token, Checkpoint{}, leaseFor); errors.Is(err, ErrLost) {
				return
			}
		}
	})
	failed := 0
	for q.room(leading) {
		batch, err := q.gather(leading)
		if err != nil && leading.Err() == nil {
			q.Report(SourceFailed)
			failed++
			_ = rest(leading, backoff(failed), nil) // it ends with the loop
			continue
		}
		failed = 0
		if len(batch) == 0 {
			continue
		}
		q.mu.Lock()
		q.flying++
		q.mu.Unlock()
		all.Go(func() {
			// A batch that was taken is finished although the mapping ends.
			throttled := q.deliver(context.WithoutCancel(ctx), batch)
			q.landed(throttled)
		})
	}
	stop()
	all.Wait()
	// The lease runs out by itself where it cannot be given back.
	_ = q.Ledger.Save(context.WithoutCancel(ctx), queueShard, token, Checkpoint{}, 0)
}

// room waits until another invocation may begin; it reports false when ctx has ended.
func (q *QueueMapping) room(ctx context.Context) bool {
	for ctx.Err() == nil {
		q.mu.Lock()
		wait := q.paused.Sub(q.Clock.Now())
		free := q.flying < min(int(q.window), q.Concurrency)
		q.mu.Unlock()
		if free && wait <= 0 {
			return true
		}
		if wait <= 0 {
			wait = time.Hour // until one ends
		}
		_ = rest(ctx, wait, q.changed) // the loop looks
	}
	return false
}

// landed learns from an invocation how much room the function has.
func (q *QueueMapping) landed(throttled bool) {
	q.mu.Lock()
	q.flying--
	if throttled {
		q.window = max(1, float64(q.flying))
		if q.flying == 0 {
			q.paused = q.Clock.Now().Add(backoff(q.pauses))
			q.pauses++
		}
	} else {
		q.window += 1 / q.window
		q.pauses = 0
	}
	q.mu.Unlock()
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// gather takes messages for one batch. Those that the filters drop are deleted.
func (q *QueueMapping) gather(ctx context.Context) (batch []Record, err error) {
	var until time.Time
	size := 0
	for len(batch) < q.BatchSize && size < MaxEvent {
		wait := longPoll
		if len(batch) > 0 {
			if wait = min(longPoll, until.Sub(q.Clock.Now())); wait <= 0 {
				break
			}
		}
		got, err := q.Source.Receive(ctx, q.BatchSize-len(batch), wait)
		if err != nil {
			q.release(ctx, batch, 0)
			return nil, err
		}
		wanted, dropped := q.sift(got)
		if len(dropped) > 0 {
			if err := q.Source.Delete(ctx, dropped); err != nil {
				q.release(ctx, append(batch, wanted...), 0)
				return nil, err
			}
		}
		if len(batch) == 0 && len(wanted) > 0 {
			until = q.Clock.Now().Add(q.Window)
		}
		batch = append(batch, wanted...)
		for _, r := range wanted {
			size += len(r.Event)
		}
		if len(batch) == 0 {
			return nil, nil // the lease and the room are looked at
		}
	}
	return batch, nil
}

// sift tells the messages that are wanted from the handles of those that are not.
func (q *QueueMapping) sift(got []Record) (wanted []Record, dropped []string) {
	for _, r := range got {
		if q.wants(r) {
			wanted = append(wanted, r)
		} else {
			dropped = append(dropped, r.Handle)
		}
	}
	return wanted, dropped
}

// deliver gives a batch to the function, in as many events as it needs, and deletes what was taken.
func (q *QueueMapping) deliver(ctx context.Context, batch []Record) (throttled bool) {
	for len(batch) > 0 {
		n := fits(batch, q.BatchSize)
		part := batch[:n]
		batch = batch[n:]
		answer, err := q.Function.Invoke(ctx, eventOf(part))
		var taken, left []Record
		switch {
		case err != nil:
			if throttled = errors.Is(err, ErrThrottled); throttled {
				q.Report(Throttled)
			} else {
				q.Report(FunctionFailed)
			}
			q.mu.Lock()
			wait := backoff(q.pauses)
			q.mu.Unlock()
			q.release(ctx, append(part, batch...), wait)
			return throttled
		case answer.Error != "":
			left = part
		default:
			taken, left = q.taken(answer, part)
		}
		if len(left) > 0 {
			q.Report(FunctionFailed)
		} else {
			q.Report(OK)
		}
		q.delete(ctx, taken)
		if q.FIFO && len(left) > 0 {
			// What comes behind them in their groups must not overtake them; the queue holds it back.
			q.release(ctx, batch, 0)
			return false
		}
	}
	return false
}

// taken tells what the function took from what it left. What is left comes again by itself.
func (q *QueueMapping) taken(answer Answer, part []Record) (taken, left []Record) {
	if !q.PartialFailures {
		return part, nil
	}
	failed, all := failures(answer.Payload, part)
	if all {
		return nil, part
	}
	for i, r := range part {
		if len(failed) > 0 && failed[0] == i {
			left, failed = append(left, r), failed[1:]
		} else {
			taken = append(taken, r)
		}
	}
	return taken, left
}

func (q *QueueMapping) delete(ctx context.Context, records []Record) {
	if len(records) == 0 {
		return
	}
	for try := range 5 {
		if q.Source.Delete(ctx, handles(records)) == nil {
			return
		}
		if rest(ctx, backoff(try), nil) != nil {
			return
		}
	}
	q.Report(SourceFailed) // they come again: duplicates, as the guide says
}

// release lets messages come again soon. Where that fails they come when their hiding ends.
func (q *QueueMapping) release(ctx context.Context, records []Record, wait time.Duration) {
	if len(records) > 0 {
		_ = q.Source.Release(context.WithoutCancel(ctx), handles(records), wait)
	}
}

func handles(records []Record) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = r.Handle
	}
	return out
}

// rest waits, until news at most.
func rest(ctx context.Context, d time.Duration, news <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-news:
	case <-t.C:
	}
	return nil
}
