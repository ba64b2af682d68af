package lambda

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// courier decides which events are delivered next. Each function's wait in a lane of their own, and
// lanes take turns: a function that is throttled, or whose events run long, holds up no other. A lane
// begins with a few events at a time, runs more while they succeed, and when it is throttled as many
// as just ran: no burst meets a function that has no room for it. All of this is in memory and bounds
// only this process; what waits, and who holds it, is in the store.
type courier struct {
	wake chan struct{}

	mu     sync.Mutex
	lanes  map[string]*lane
	flying int // events being delivered, in all lanes
	served uint64
	held   map[string]*flight
}

// flight is an event that this process holds.
type flight struct {
	queued
	stop context.CancelFunc // ends the delivery: the lease was lost
}

// lane is one line of events.
type lane struct {
	due    time.Time // of its first event; zero where none is known
	news   uint64    // grows when due is lowered from outside
	flying int
	window float64       // how many fly at most
	left   int64         // events that waited or flew at the last claim, less those that have ended
	start  time.Duration // what starting an instance takes, on the mean; 0 where none was
	work   time.Duration // what an event takes
	step   float64       // by how much it grows with each event that ran
	limit  int           // of the function's reserved concurrency; 0 for none
	paused time.Time
	pauses int
	served uint64 // when it had its last turn
}

const (
	firstWindow = 4
	probes      = 8               // events that run in each place before one more is tried after a throttling
	maxDelay    = 5 * time.Minute // between attempts that were throttled
)

func newCourier() *courier {
	return &courier{wake: make(chan struct{}, 1), lanes: map[string]*lane{}, held: map[string]*flight{}}
}

func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// expect says that an event of a lane is due at a time.
func (c *courier) expect(name string, due time.Time) {
	c.mu.Lock()
	l := c.lane(name)
	if l.due.IsZero() || due.Before(l.due) {
		l.due = due
	}
	l.news++
	c.mu.Unlock()
	c.nudge()
}

func (c *courier) lane(name string) *lane {
	l := c.lanes[name]
	if l == nil {
		l = &lane{window: firstWindow, step: 1}
		c.lanes[name] = l
	}
	return l
}

// turnOf is a lane's turn: how many events to claim.
type turnOf struct {
	lane string
	n    int
	news uint64
}

// plan says which lanes are to be served now, who waits longest first, and otherwise when to look
// again. Each lane that has nothing flying gets one event at least, so that nobody waits for the long
// ones of others; beyond that they share the places.
func (c *courier) plan(now time.Time) (turns []turnOf, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ready []string
	active := 0
	soonest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for name, l := range c.lanes {
		switch at := later(l.due, l.paused); {
		case l.due.IsZero():
			if l.flying == 0 && !l.paused.After(now) {
				delete(c.lanes, name) // nothing is known of it that matters
				continue
			}
		case at.After(now):
			soonest(at)
		default:
			ready = append(ready, name)
		}
		if l.flying > 0 || !l.due.IsZero() && !l.due.After(now) {
			active++
		}
	}
	slices.SortFunc(ready, func(a, b string) int { return cmp.Compare(c.lanes[a].served, c.lanes[b].served) })
	for _, name := range ready {
		l := c.lanes[name]
		n := min(l.room(), parallel/max(active, 1)-l.flying, parallel-c.flying)
		if l.flying == 0 {
			n = max(n, 1)
		}
		if n <= 0 {
			continue // a delivery that ends wakes us
		}
		c.served++
		l.served = c.served
		l.flying += n
		c.flying += n
		turns = append(turns, turnOf{name, n, l.news})
	}
	return turns, next
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// room is how many more may fly. A lane whose events would be done sooner than another instance is
// started waits for those that run: each event that meets none starts one.
func (l *lane) room() int {
	n := int(l.window)
	if l.start > 0 {
		n = min(n, max(firstWindow, int(float64(l.left)*float64(l.work)/float64(l.start))))
	}
	if l.limit > 0 {
		n = min(n, l.limit)
	}
	return n - l.flying
}

// claimed tells what came of a turn: fewer events than planned, when the next one is due, and how many
// there are in all.
func (c *courier) claimed(t turnOf, got int, next time.Time, left int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[t.lane]
	l.flying -= t.n - got
	c.flying -= t.n - got
	l.left = left
	if l.news == t.news || l.due.IsZero() || !next.IsZero() && next.Before(l.due) {
		l.due = next
	}
}

// ours are the events that this process holds.
func (c *courier) ours() (ids map[string]bool, all []queued) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids = make(map[string]bool, len(c.held))
	for id, f := range c.held {
		ids[id] = true
		all = append(all, f.queued)
	}
	return ids, all
}

func (c *courier) take(q queued, stop context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[q.ID] = &flight{q, stop}
}

// lost ends the delivery of an event that another process has taken.
func (c *courier) lost(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.held[id]; f != nil {
		f.stop()
	}
}

// landing is how a delivery ended.
type landing int

const (
	wasRun    landing = iota // the function ran, well or not
	hadNoRoom                // it was throttled
	wasNotRun                // there was nothing to run, or trouble of ours
)

// flown is what a delivery tells of its lane.
type flown struct {
	how   landing
	limit int           // the function's reserved concurrency, 0 for none
	start time.Duration // of the instance that was started for it; 0 where one was ready
	work  time.Duration // of the function
}

// landed ends a delivery.
func (c *courier) landed(q queued, f flown, now time.Time) {
	c.mu.Lock()
	l := c.lanes[q.lane()]
	delete(c.held, q.ID)
	c.flying--
	l.flying--
	l.limit = f.limit
	switch f.how {
	case wasRun:
		l.pauses = 0
		l.left--
		l.work = mean(l.work, f.work)
		if f.start > 0 {
			l.start = mean(l.start, f.start)
		}
		l.grow()
	case hadNoRoom:
		// What flies now had room; a lane that has nothing flying waits.
		l.window = max(1, float64(l.flying))
		l.step = 1 / (probes * l.window)
		if l.flying == 0 && !l.paused.After(now) {
			l.paused = now.Add(backoff(l.pauses))
			l.pauses++
		}
	case wasNotRun:
	}
	c.mu.Unlock()
	c.nudge()
}

// mean is a moving one.
func mean(was, now time.Duration) time.Duration {
	if was == 0 {
		return now
	}
	return was + (now-was)/8
}

// grow widens a window, the faster the longer there was room.
func (l *lane) grow() {
	was := int(l.window)
	l.window = min(l.window+l.step, parallel)
	if int(l.window) > was {
		l.step = min(1, 2*l.step)
	}
}

// backoff is how long the next attempt after n throttled ones waits. Source: AWS Lambda Developer
// Guide, "How Lambda handles errors and retries with asynchronous invocation".
func backoff(n int) time.Duration { return min(maxDelay, time.Second<<min(n, 16)) }
