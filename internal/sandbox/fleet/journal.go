package fleet

import (
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

const (
	tailBytes  = 4 << 10                // "the last 4 KB of the execution log" (Invoke, LogType)
	gather     = 250 * time.Millisecond // how long an event may wait for others while a function runs
	gatherMost = 256                    // events
)

// journal carries one instance's log events to the sink, a few at a time, and remembers the end of
// the running invocation's.
type journal struct {
	sink      Logs
	stream    Stream
	clock     clock.Clock
	allowance *allowance // of the function

	mu      sync.Mutex
	pending []LogEvent
	timer   *time.Timer
	armed   bool // the timer runs; it may find nothing pending
	tail    []byte
	loss    loss
}

// begin forgets the last invocation's tail.
func (j *journal) begin() {
	j.mu.Lock()
	j.tail = j.tail[:0]
	j.mu.Unlock()
}

// line adds an event of the platform's, without its line break.
func (j *journal) line(text string) { j.add(text, true) }

// output adds an event that the function or an extension has written, if its allowance holds it. The
// tail has it in any case.
func (j *journal) output(text string) { j.add(text, false) }

func (j *journal) add(text string, platform bool) {
	now := j.clock.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	text += "\n"
	if j.tail = append(j.tail, text...); len(j.tail) > 4*tailBytes {
		j.tail = append(j.tail[:0], j.tail[len(j.tail)-tailBytes:]...)
	}
	if j.loss.due(now, platform) {
		j.tellLoss(now)
	}
	if !platform && !j.allowance.take(now, len(text)) {
		j.loss.add(now, len(text))
		return
	}
	j.pending = append(j.pending, LogEvent{now, text, platform})
	switch {
	case len(j.pending) >= gatherMost:
		j.deliver()
	case j.armed:
	case j.timer == nil:
		j.armed, j.timer = true, time.AfterFunc(gather, j.late)
	default:
		j.armed = true
		j.timer.Reset(gather)
	}
}

// tellLoss adds the notice of what was dropped.
func (j *journal) tellLoss(now time.Time) {
	j.pending = append(j.pending, j.stream.Notice(now, j.loss.records, j.loss.bytes))
	j.loss = loss{}
}

// end delivers everything and returns the tail.
func (j *journal) end() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.deliver()
	return append([]byte{}, j.tail[max(0, len(j.tail)-tailBytes):]...)
}

// sofar is the tail of an invocation that goes on.
func (j *journal) sofar() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]byte{}, j.tail[max(0, len(j.tail)-tailBytes):]...)
}

// late delivers what has waited.
func (j *journal) late() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.armed = false
	j.deliver()
}

// flush delivers the last of an instance that has ended.
func (j *journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now := j.clock.Now(); j.loss.due(now, true) {
		j.tellLoss(now)
	}
	j.deliver()
}

// deliver hands over what is pending, under the lock so that the order is kept.
func (j *journal) deliver() {
	if len(j.pending) == 0 {
		return
	}
	events := j.pending
	j.pending = nil
	j.sink.Append(j.stream, events)
}
