package lambda

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// crowd is a function's room: how many may run, how many do, and how often there was none.
type crowd struct {
	room, running, most, throttled, ran atomic.Int32
}

func (c *crowd) run(work func()) (fleet.Outcome, error) {
	n := c.running.Add(1)
	defer c.running.Add(-1)
	if n > c.room.Load() {
		c.throttled.Add(1)
		return fleet.Outcome{}, &fleet.ThrottledError{Reason: fleet.ConcurrentExceeded}
	}
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	work()
	c.ran.Add(1)
	return fleet.Outcome{}, nil
}

// sendMany queues n events at once.
func (r *rig) sendMany(fn string, n int) {
	r.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { r.send(fn, `{}`) })
	}
	wg.Wait()
}

func TestABurstFindsTheRoomThatThereIs(t *testing.T) {
	r := newRig(t)
	r.create("f")
	var c crowd
	c.room.Store(3)
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return c.run(func() { time.Sleep(time.Millisecond) })
	})
	r.sendMany("f", 300)
	r.background()
	for r.queueLength() > 0 {
		r.clock.Advance(10 * time.Millisecond) // for those that were throttled
		r.until("progress", func() bool { return true })
	}
	if c.ran.Load() != 300 || c.most.Load() != 3 {
		t.Errorf("%d ran, %d at once", c.ran.Load(), c.most.Load())
	}
	// Without a window, 125 of them would be refused at once, and again in every round.
	if n := c.throttled.Load(); n > 45 {
		t.Errorf("%d attempts were throttled", n)
	}
}

func TestReservedConcurrencyIsNotTriedBeyond(t *testing.T) {
	r := newRig(t)
	r.create("f")
	_, err := r.client.PutFunctionConcurrency(t.Context(), &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 2})
	r.ok(err)
	var c crowd
	c.room.Store(2)
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) { return c.run(func() {}) })
	r.sendMany("f", 200)
	r.background()
	for r.queueLength() > 0 {
		r.clock.Advance(10 * time.Millisecond)
		r.until("progress", func() bool { return true })
	}
	if c.ran.Load() != 200 || c.throttled.Load() > firstWindow {
		t.Errorf("%d ran, %d were throttled", c.ran.Load(), c.throttled.Load())
	}
}

func TestNoFunctionHoldsUpAnother(t *testing.T) {
	r := newRig(t)
	for _, fn := range []string{"throttled", "endless", "broken", "good"} {
		r.create(fn)
	}
	release := make(chan struct{})
	defer close(release)
	var good atomic.Int32
	r.runner.handle(func(f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		switch f.Name {
		case "throttled":
			return fleet.Outcome{}, &fleet.ThrottledError{Reason: fleet.ReservedExceeded}
		case "endless":
			<-release
		case "broken":
			return failing(f, e)
		default:
			good.Add(1)
		}
		return fleet.Outcome{}, nil
	})
	r.background()
	for _, fn := range []string{"throttled", "endless", "broken"} {
		r.sendMany(fn, 2*parallel)
	}
	r.sendMany("good", 50)
	r.until("the good ones", func() bool { return good.Load() == 50 })
}

// A lane that begins while others hold every place gets one nevertheless.
func TestALaneBeginsThoughAllPlacesAreTaken(t *testing.T) {
	c := newCourier()
	now := time.Unix(1000, 0)
	fill := func(name string) int {
		c.expect(name, now)
		turns, _ := c.plan(now)
		for _, turn := range turns {
			if turn.lane == name {
				c.claimed(turn, turn.n, now, parallel)
				return turn.n
			}
		}
		return 0
	}
	c.expect("long", now)
	c.lane("long").window = parallel
	if n := fill("long"); n != parallel {
		t.Fatalf("alone it got %d of %d", n, parallel)
	}
	if n := fill("late"); n != 1 {
		t.Errorf("the late one got %d", n)
	}
	if n := fill("late"); n != 0 {
		t.Errorf("beyond all places it got %d more", n)
	}
}

// A few quick events use the instances that run: starting more for them would take longer. Many, or long
// ones, are worth it.
func TestInstancesAreStartedForWhatIsWorthIt(t *testing.T) {
	for _, c := range []struct {
		left int64
		work time.Duration
		want int
	}{
		{100, 5 * time.Millisecond, firstWindow},
		{100, time.Second, parallel},
		{2000, 5 * time.Millisecond, 20},
		{3, time.Minute, parallel},
	} {
		l := &lane{window: parallel, left: c.left, work: c.work, start: 500 * time.Millisecond}
		if got := l.room(); got != c.want {
			t.Errorf("%d events of %v: %d at once, want %d", c.left, c.work, got, c.want)
		}
	}
}

func TestAnEventThatComesWhileTheQueueIsReadIsSeen(t *testing.T) {
	c := newCourier()
	now := time.Unix(1000, 0)
	c.expect("f", now)
	turns, _ := c.plan(now)
	c.expect("f", now) // commits after the claim has looked
	c.claimed(turns[0], 0, time.Time{}, 0)
	if again, _ := c.plan(now); len(again) != 1 {
		t.Errorf("%+v", again)
	}
}

// A lease that is lost ends the delivery here; the event is another process's.
func TestALostLeaseIsNotSettled(t *testing.T) {
	r := newRig(t)
	r.create("f")
	started, release := make(chan struct{}, 2), make(chan struct{})
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		started <- struct{}{}
		<-release
		return fleet.Outcome{}, nil
	})
	r.send("f", "{}")
	r.background()
	<-started
	other := rigOn(t, r.db, r.clock)
	other.runner.handle(r.runner.handler)
	r.clock.Advance(lease + time.Second)
	other.background()
	<-started
	if err := r.service.extend(t.Context(), r.gate); err != nil {
		t.Error(err)
	}
	close(release)
	other.until("the end", func() bool { return other.queueLength() == 0 })
	r.until("its end here", func() bool { ids, _ := r.service.courier.ours(); return len(ids) == 0 })
	if mine, others := r.trail.attempts(), other.trail.attempts(); len(mine) != 0 || strings.Join(others, " ") != success {
		t.Errorf("records: %v and %v", mine, others)
	}
}

// BenchmarkQueue is the whole way of an event whose function takes no time: accepted, delivered and
// recorded, on a disk. events/s is what 64 callers and one process come to.
func BenchmarkQueue(b *testing.B) {
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	db, err := store.Open(b.Context(), store.Options{Dir: b.TempDir(), Clock: clk})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	r := rigOn(b, db, clk)
	for i := range 4 {
		r.create(fmt.Sprintf("f%d", i))
	}
	r.background()
	begun := time.Now()
	b.ResetTimer()
	b.SetParallelism(32)
	var n atomic.Int32
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.send(fmt.Sprintf("f%d", n.Add(1)%4), `{"n":1}`)
		}
	})
	r.until("all are delivered", func() bool { return r.queueLength() == 0 })
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "events/s")
}
