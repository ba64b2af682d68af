package fleet

import (
	"runtime"
	"time"
)

// A function that answers in less time than it takes to put its neighbour on a processor is served
// best by as few instances as keep the processors busy, each still warm from its last event. So an
// event of such a function queues while that many are busy, and takes over the first instance that is
// given back: 32 callers of a function that answers at once keep two instances hot on two processors instead of chasing 32
// through the caches. When the queue stands still, because the instances wait or compute for longer than
// they used to, everybody in it goes on as any other event does, on an instance that rests or on a new
// one, and for a while nobody queues.
const (
	quick   = time.Millisecond       // what answers within this is quick
	sample  = 32                     // invocations that tell
	stall   = 50 * time.Millisecond  // without an instance given back
	longest = 250 * time.Millisecond // in the queue
	pause   = time.Second            // after which events queue again; doubled each time in a row
	rests   = time.Minute            // the longest pause
)

// turns is how many instances of a quick function run before its events queue: one for each processor.
func turns() int { return runtime.GOMAXPROCS(0) }

// queue are a group's events that wait for an instance, the first one first.
type queue struct {
	waiting []turn
	least   [2]time.Duration // the shortest durations of the sample before this one, and of this one
	seen    int              // in this sample
	given   time.Time        // when an instance was last given back
	timer   *time.Timer      // runs while somebody waits
	open    time.Time        // until when nobody queues
	pause   time.Duration    // the last one
}

// turn is an event that waits. It receives an instance, or nil when it is to look for one itself.
type turn struct {
	instance chan *instance
	since    time.Time
}

// quick says that an event is served sooner by waiting for its turn.
func (q *queue) quick(now time.Time) bool {
	shortest := q.least[0]
	if q.seen > 0 && (shortest == 0 || q.least[1] < shortest) {
		shortest = q.least[1]
	}
	return 0 < shortest && shortest < quick && !now.Before(q.open)
}

// learn counts a duration. The shortest ones tell about the function; long ones may only tell that too
// many ran at once.
func (q *queue) learn(took time.Duration) {
	if q.seen == 0 || took < q.least[1] {
		q.least[1] = max(took, 1)
	}
	if q.seen++; q.seen == sample {
		q.least[0], q.seen = q.least[1], 0
	}
}

// join lets an event wait.
func (q *queue) join(now time.Time, still func()) turn {
	t := turn{make(chan *instance, 1), now}
	if q.waiting = append(q.waiting, t); len(q.waiting) == 1 {
		q.given = now
		if q.timer == nil {
			q.timer = time.AfterFunc(stall, still)
		} else {
			q.timer.Reset(stall)
		}
	}
	return t
}

// pass gives an instance that was given back to the event that has waited longest; nil lets that event
// look for itself. It tells whether somebody waited.
func (q *queue) pass(i *instance, now time.Time) bool {
	if len(q.waiting) == 0 {
		return false
	}
	q.waiting[0].instance <- i // has room for one
	q.waiting = q.waiting[1:]
	q.given = now
	if len(q.waiting) == 0 {
		q.timer.Stop()
	}
	return true
}

// dissolve lets everybody look for themselves.
func (q *queue) dissolve(now time.Time) {
	for q.pass(nil, now) {
	}
}

// still looks whether the queue has moved, while somebody waits.
func (f *Fleet) still(g *group) {
	now := f.deps.Clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	q := &g.queue
	switch {
	case len(q.waiting) == 0:
	case now.Sub(q.given) < stall && now.Sub(q.waiting[0].since) < longest:
		q.timer.Reset(stall)
	default:
		q.pause = min(max(pause, 2*q.pause), rests)
		if now.Sub(q.open) > 2*q.pause {
			q.pause = pause // it has paid for long
		}
		q.open = now.Add(q.pause)
		q.dissolve(now)
	}
}
