package mapping

import (
	"context"
	"errors"
	"slices"
	"time"
)

// laneOf is one of a reading's sequences of batches. Its current batch may be split: the function gets
// the first piece until it has taken it.
type laneOf struct {
	*reading
	index   int
	waiting []*entry  // read, in no batch yet
	since   time.Time // when the first of them came

	batch    []*entry
	split    []int // lengths of its pieces
	attempts int   // in which its first record failed
	delays   int   // in a row, when the function could not run
	last     *Answer
	ready    time.Time // not before
	busy     bool
	giveUp   string // why the first piece is to be discarded

	was *Retry // what an earlier reading left of its first batch
}

// begin starts the next invocation, if it is time; otherwise it says when it will be, the zero time
// where a record or a result must come first.
func (l *laneOf) begin(ctx context.Context) time.Time {
	if l.busy {
		return time.Time{}
	}
	now := l.Clock.Now()
	if len(l.batch) == 0 {
		if at := l.form(now); len(l.batch) == 0 {
			return at
		}
	}
	if now.Before(l.ready) {
		return l.ready
	}
	if l.giveUp == "" {
		l.tooOld(now)
	}
	piece := l.piece()
	l.busy = true
	if l.giveUp != "" {
		d := Discarded{Shard: l.shard, Condition: l.giveUp, Attempts: l.attempts, Records: piece, Answer: l.last}
		go func() {
			err := l.Discard(context.WithoutCancel(ctx), d)
			l.results <- result{lane: l, err: err, discarded: true}
		}()
		return time.Time{}
	}
	go func() {
		answer, err := l.Function.Invoke(context.WithoutCancel(ctx), eventOf(piece))
		l.results <- result{lane: l, answer: answer, err: err}
	}()
	return time.Time{}
}

// form makes a batch of what waits, if it is full or has waited for its window.
func (l *laneOf) form(now time.Time) time.Time {
	if len(l.waiting) == 0 {
		return time.Time{}
	}
	records := make([]Record, len(l.waiting))
	for i, e := range l.waiting {
		records[i] = e.Record
	}
	n := fits(records, l.BatchSize)
	full := n == l.BatchSize || n < len(records)
	if at := l.since.Add(l.Window); !full && now.Before(at) && !l.ended {
		return at
	}
	l.batch, l.waiting, l.since = slices.Clone(l.waiting[:n]), l.waiting[n:], now
	l.split, l.attempts, l.delays, l.last, l.ready = []int{n}, 0, 0, nil, time.Time{}
	if was := l.was; was != nil && was.First == l.batch[0].ID {
		l.attempts, l.split = was.Attempts, resplit(was.Split, n)
	}
	l.was = nil
	return time.Time{}
}

// resplit applies a split to a batch of n.
func resplit(was []int, n int) (out []int) {
	for _, k := range was {
		if k = min(k, n); k > 0 {
			out, n = append(out, k), n-k
		}
	}
	if n > 0 {
		out = append(out, n)
	}
	return out
}

// tooOld gives the records up that are, which come first.
func (l *laneOf) tooOld(now time.Time) {
	if l.Age < 0 {
		return
	}
	n := 0
	for n < len(l.batch) && now.Sub(l.batch[n].At) > l.Age {
		n++
	}
	if n == 0 {
		return
	}
	l.giveUp = TooOld
	l.split = append([]int{n}, resplit(tail(l.split, n), len(l.batch)-n)...)
}

// tail is a split without its first n records.
func tail(split []int, n int) (out []int) {
	for _, k := range split {
		cut := min(k, n)
		n -= cut
		if k > cut {
			out = append(out, k-cut)
		}
	}
	return out
}

func (l *laneOf) piece() []Record {
	out := make([]Record, l.split[0])
	for i := range out {
		out[i] = l.batch[i].Record
	}
	return out
}

// landed decides by what came of the first piece.
func (l *laneOf) landed(r result) {
	l.busy = false
	now := l.Clock.Now()
	switch {
	case r.err != nil:
		if errors.Is(r.err, ErrThrottled) {
			l.Report(Throttled)
		} else {
			l.Report(FunctionFailed)
		}
		l.ready = now.Add(backoff(l.delays))
		l.delays++
		return
	case r.discarded:
		l.giveUp, l.attempts = "", 0
		l.done(l.split[0])
		return
	}
	l.delays, l.last = 0, &r.answer
	first := l.firstFailure(r.answer)
	if first == l.split[0] {
		l.Report(OK)
		l.attempts = 0
		l.done(first)
		return
	}
	l.Report(FunctionFailed)
	l.failedAt(first, now)
}

// firstFailure is the first record of the piece that the function did not take; the piece's length
// where it took all.
func (l *laneOf) firstFailure(a Answer) int {
	if a.Error != "" {
		return 0
	}
	if !l.PartialFailures {
		return l.split[0]
	}
	failed, all := failures(a.Payload, l.piece())
	switch {
	case all:
		return 0
	case len(failed) == 0:
		return l.split[0]
	}
	return failed[0]
}

// failedAt goes on after a failure. What stands before the record that failed is done; a batch that is
// to be bisected is split there, or in halves, which counts as no attempt.
func (l *laneOf) failedAt(first int, now time.Time) {
	switch {
	case first > 0:
		rest := l.split[0] - first
		l.done(first)
		l.split[0] = rest
		l.attempts = 1
		if l.Bisect {
			l.attempts = 0
		}
	case l.Bisect && l.split[0] > 1:
		half := (l.split[0] + 1) / 2
		l.split = append([]int{half, l.split[0] - half}, l.split[1:]...)
	default:
		l.attempts++
	}
	l.dirty = true
	if l.Retries >= 0 && l.attempts > l.Retries {
		l.giveUp = Exhausted
		return
	}
	l.ready = now.Add(backoff(l.attempts))
}

// done ends the first n records of the batch, which are the first piece or begin it.
func (l *laneOf) done(n int) {
	for _, e := range l.batch[:n] {
		e.done = true
	}
	l.batch = l.batch[n:]
	if l.split[0] -= n; l.split[0] == 0 {
		l.split = l.split[1:]
	}
	l.dirty = true
}

// retry is what the next reading is to know of the batch.
func (l *laneOf) retry() (Retry, bool) {
	if len(l.batch) == 0 || l.attempts == 0 && len(l.split) == 1 {
		return Retry{}, false
	}
	return Retry{First: l.batch[0].ID, Attempts: l.attempts, Split: slices.Clone(l.split)}, true
}
