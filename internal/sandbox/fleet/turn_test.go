package fleet

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

func TestWhatIsQuick(t *testing.T) {
	now := time.Unix(1e9, 0)
	slow, fast := 40*time.Millisecond, 100*time.Microsecond
	for name, c := range map[string]struct {
		took []time.Duration
		want bool
	}{
		"nothing known":                   {nil, false},
		"slow":                            {slices.Repeat([]time.Duration{slow}, 100), false},
		"one slow":                        {[]time.Duration{slow}, false},
		"one fast":                        {[]time.Duration{fast}, true},
		"fast among too many at once":     {append(slices.Repeat([]time.Duration{slow}, sample), fast), true},
		"fast not long ago":               {append([]time.Duration{fast}, slices.Repeat([]time.Duration{slow}, sample)...), true},
		"fast long ago":                   {append([]time.Duration{fast}, slices.Repeat([]time.Duration{slow}, 2*sample)...), false},
		"too short for the clock to show": {[]time.Duration{0}, true},
	} {
		var q queue
		for _, d := range c.took {
			q.learn(d)
		}
		if got := q.quick(now); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	q := queue{open: now.Add(1)}
	q.learn(fast)
	if q.quick(now) || !q.quick(now.Add(1)) {
		t.Error("nobody queues before the pause is over, and everybody after")
	}
}

func TestQueuePassesInOrder(t *testing.T) {
	var q queue
	now := time.Unix(1e9, 0)
	one, two := &instance{}, &instance{}
	first, second, third := q.join(now, func() {}), q.join(now, func() {}), q.join(now, func() {})
	if !q.pass(one, now) || !q.pass(two, now) || !q.pass(nil, now) || q.pass(one, now) {
		t.Error("three waited")
	}
	if <-first.instance != one || <-second.instance != two || <-third.instance != nil {
		t.Error("out of order")
	}
}

// A queue that stands still dissolves, and nobody queues for a while, for longer each time in a row.
func TestQueueThatStandsStillDissolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fleet{deps: Deps{Clock: clock.System{}}}
		g := &group{}
		q := &g.queue
		q.learn(quick / 2)
		join := func() turn {
			f.mu.Lock()
			defer f.mu.Unlock()
			if !q.quick(f.deps.Clock.Now()) {
				t.Fatal("it is not quick")
			}
			return q.join(f.deps.Clock.Now(), func() { f.still(g) })
		}
		for _, want := range []time.Duration{pause, 2 * pause, 4 * pause} {
			begun := time.Now()
			one, two := join(), join()
			if i := <-one.instance; i != nil || time.Since(begun) != stall {
				t.Errorf("got %v after %v", i, time.Since(begun))
			}
			<-two.instance
			if got := q.open.Sub(time.Now()); got != want {
				t.Errorf("a pause of %v, want %v", got, want)
			}
			time.Sleep(want)
		}
		time.Sleep(rests)
		begun := time.Now()
		var last turn
		for range 100 {
			last = join()
		}
		for len(last.instance) == 0 { // it moves, but too slowly
			time.Sleep(stall - 1)
			f.mu.Lock()
			q.pass(&instance{}, f.deps.Clock.Now())
			f.mu.Unlock()
		}
		if i := <-last.instance; i != nil || time.Since(begun) > longest+2*stall {
			t.Errorf("the longest wait: got %v after %v", i, time.Since(begun))
		}
		if got := q.open.Sub(time.Now()); got <= 0 || got > pause {
			t.Errorf("after a long time without one, a pause of %v", got)
		}
	})
}

// Many callers of a function that answers at once are served by no more instances than are needed.
func TestQuickFunctionsStayHot(t *testing.T) {
	l := newLab(t)
	l.Fleet.turns = 2
	fn := l.function(l.node, "quick", counter)
	l.want(l.invoke(fn, `1`), "", "1")
	l.Fleet.mu.Lock()
	for _, g := range l.groups {
		g.queue.learn(quick / 2) // whatever else the machine did just now
	}
	l.Fleet.mu.Unlock()
	var wg sync.WaitGroup
	var mu sync.Mutex
	counted, cold := 0, 0
	for range 8 {
		wg.Go(func() {
			for range 25 {
				out := l.invoke(fn, `1`)
				mu.Lock()
				if counted++; out.Cold {
					cold++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	l.Fleet.mu.Lock()
	defer l.Fleet.mu.Unlock()
	for _, g := range l.groups {
		if g.busy != 0 || len(g.queue.waiting) != 0 || counted != 200 {
			t.Errorf("%d are busy and %d wait after %d events", g.busy, len(g.queue.waiting), counted)
		}
		// one more was started, unless the queue stood still because the machine did
		if stood := !g.queue.open.IsZero(); cold > 1 && !stood {
			t.Errorf("%d cold starts", cold)
		}
	}
}

// Events that wait for an instance of an old revision run on the new one.
func TestChangeLetsTheQueueGo(t *testing.T) {
	l := newLab(t)
	g := &group{key: groupKey{"arn", "1", ""}}
	l.Fleet.mu.Lock()
	l.groups[g.key] = g
	waiting := g.queue.join(l.deps.Clock.Now(), func() {})
	l.Fleet.mu.Unlock()
	l.Retire("arn")
	if i := <-waiting.instance; i != nil {
		t.Errorf("got %v", i)
	}
}
