package mapping

import (
	"context"
	"errors"
	"hash/fnv"
	"time"
)

// entry is a record that was read and is not yet behind the checkpoint.
type entry struct {
	Record
	lane int
	done bool
}

// reading is the reading of one shard under a lease: a loop that reads, hands batches to the lanes and
// moves the checkpoint behind what is done. Lanes are batches at once; records with one key are in one.
type reading struct {
	*StreamMapping
	shard string
	token int64
	saved Checkpoint
	until time.Time // of the lease

	entries []*entry // in order, from the first that is not done
	next    Position // where to read
	behind  Position // of the last entry that is done, or where reading began
	ended   bool     // the source has no more
	finish  bool     // and all of it is done
	poll    time.Time
	failed  int // reads in a row

	lanes   []*laneOf
	results chan result
	dirty   bool
}

// result is what came of a lane's invocation, or of discarding.
type result struct {
	lane      *laneOf
	answer    Answer
	err       error
	discarded bool
}

func newReading(m *StreamMapping, shard string, token int64, c Checkpoint) *reading {
	r := &reading{StreamMapping: m, shard: shard, token: token, saved: c, until: m.Clock.Now().Add(leaseFor), next: c.Next, behind: c.Next,
		results: make(chan result, max(m.Parallel, 1))}
	for i := range max(m.Parallel, 1) {
		l := &laneOf{reading: r, index: i}
		if retry, ok := c.Retries[i]; ok {
			l.was = &retry
		}
		r.lanes = append(r.lanes, l)
	}
	return r
}

// run reads until the shard or ctx ends, or the lease is lost.
func (r *reading) run(ctx context.Context) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	for working.Err() == nil {
		r.read(working)
		wake := r.poll
		if r.ended || r.full() {
			wake = r.until // an invocation that ends wakes the loop
		}
		for _, l := range r.lanes {
			if at := l.begin(working); !at.IsZero() && at.Before(wake) {
				wake = at
			}
		}
		r.advance()
		if r.ended && len(r.entries) == 0 {
			r.finish, r.dirty = true, true
		}
		if err := r.save(working, leaseFor); errors.Is(err, ErrLost) || err == nil && r.finish {
			break
		}
		r.await(working, wake)
	}
	stop()
	r.drain()
	if !r.saved.Ended {
		r.dirty = true
		// What the lanes have done meanwhile is kept where the lease is still ours, which is given back.
		_ = r.save(context.WithoutCancel(ctx), 0)
	}
}

func (r *reading) full() bool { return len(r.entries) >= r.most() }

// most is how many entries are held: enough for each lane to fill its batch.
func (r *reading) most() int { return 2 * r.BatchSize * len(r.lanes) }

// read reads a page, if there is room and it is time.
func (r *reading) read(ctx context.Context) {
	now := r.Clock.Now()
	if r.ended || r.full() || now.Before(r.poll) {
		return
	}
	page, err := r.Source.Read(ctx, r.shard, r.next, r.most()-len(r.entries))
	if err != nil {
		if ctx.Err() == nil {
			r.Report(SourceFailed)
		}
		r.poll = now.Add(backoff(r.failed))
		r.failed++
		return
	}
	r.failed = 0
	for _, rec := range page.Records {
		e := &entry{Record: rec, lane: laneOfKey(rec.Key, len(r.lanes))}
		r.entries = append(r.entries, e)
		if !r.wants(rec) {
			e.done = true
			continue
		}
		l := r.lanes[e.lane]
		l.waiting = append(l.waiting, e)
		if len(l.waiting) == 1 {
			l.since = now
		}
	}
	r.ended = page.End
	if len(page.Records) == 0 {
		r.poll = now.Add(pollEvery)
	}
	if r.next != page.Next {
		r.next = page.Next
		if len(r.entries) == 0 {
			r.behind, r.dirty = r.next, true // nothing lies between, and LATEST means another place by now
		}
	}
}

func laneOfKey(key string, lanes int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // it never fails
	return int(h.Sum32() % uint32(lanes))
}

// advance moves the checkpoint behind all that is done.
func (r *reading) advance() {
	for len(r.entries) > 0 && r.entries[0].done {
		r.behind, r.dirty = Position{Kind: After, Sequence: r.entries[0].ID}, true
		r.entries = r.entries[1:]
	}
	if len(r.entries) == 0 && r.behind != r.next && r.next.Kind != Latest {
		r.behind, r.dirty = r.next, true
	}
}

// save keeps the checkpoint where it has changed, or the lease is to be prolonged.
func (r *reading) save(ctx context.Context, lease time.Duration) error {
	now := r.Clock.Now()
	if !r.dirty && r.until.Sub(now) > leaseFor*2/3 {
		return nil
	}
	c := Checkpoint{Next: r.behind, Ended: r.finish, Retries: map[int]Retry{}}
	for _, l := range r.lanes {
		if retry, ok := l.retry(); ok {
			c.Retries[l.index] = retry
		}
	}
	if len(c.Retries) == 0 {
		c.Retries = nil
	}
	if err := r.Ledger.Save(ctx, r.shard, r.token, c, lease); err != nil {
		if !now.Before(r.until) {
			return ErrLost // nobody has said so, but it has run out
		}
		return err
	}
	r.saved, r.dirty, r.until = c, false, now.Add(lease)
	return nil
}

// await waits for a result, or until there is something to do.
func (r *reading) await(ctx context.Context, wake time.Time) {
	if at := r.until.Add(-leaseFor * 2 / 3); at.Before(wake) {
		wake = at
	}
	if r.dirty {
		wake = r.Clock.Now().Add(time.Second) // it could not be saved
	}
	t := time.NewTimer(max(wake.Sub(r.Clock.Now()), time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case res := <-r.results:
		res.lane.landed(res)
	}
}

// drain waits for the invocations that run: a function that has been called is let finish.
func (r *reading) drain() {
	for _, l := range r.lanes {
		for l.busy {
			res := <-r.results
			res.lane.landed(res)
		}
	}
	r.advance()
}
