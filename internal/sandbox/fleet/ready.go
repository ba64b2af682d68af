package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// How an instance came to be, as AWS_LAMBDA_INITIALIZATION_TYPE says.
const (
	OnDemand    = "on-demand"
	Provisioned = "provisioned-concurrency"
	SnapStart   = "snap-start"
)

// Wish is a version of a function that is to have instances ready before anybody calls.
type Wish struct {
	Function Function // Function.InitType says what for
	Ready    int
}

// Readiness is how far a wish has been fulfilled.
type Readiness struct {
	Ready   int    // instances that are initialised: resting ones and busy ones
	Failure string // why the last one did not start; "" where it did
}

const (
	renewAhead = 5 * time.Minute // before an instance's credentials end its use, another takes its place
	tendEvery  = time.Minute
	retryFirst = time.Second // after a start that failed; doubled each time in a row
	retryMost  = time.Minute
)

// wish is one that is being tended. Its fields are the fleet's, under its lock.
type wish struct {
	fn      Function
	n       int
	failure string
	wake    chan struct{} // something has changed
	gone    bool
}

func (w *wish) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Keep says which versions are to have instances ready, all of them: it takes the place of what it
// said before. Instances that are not wished for any more end as others do, when they have rested for
// long.
func (f *Fleet) Keep(wishes []Wish) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	next := map[groupKey]*wish{}
	for _, in := range wishes {
		key := groupKey{arn: in.Function.ARN, version: in.Function.Version}
		if in.Ready <= 0 || next[key] != nil {
			continue
		}
		w := f.wishes[key]
		switch {
		case w == nil || w.gone:
			w = &wish{wake: make(chan struct{}, 1), fn: in.Function, n: in.Ready}
			f.tending.Go(func() { f.tend(key, w) })
		case w.n != in.Ready || w.fn.Revision != in.Function.Revision || w.fn.InitType != in.Function.InitType:
			if w.fn.Revision != in.Function.Revision {
				w.failure = ""
			}
			w.fn, w.n = in.Function, in.Ready
			w.nudge()
		}
		next[key] = w
	}
	old := f.wishes
	f.wishes = next
	for key, w := range old {
		if next[key] != w {
			w.gone = true
			w.nudge()
		}
		f.linger(key)
	}
}

// linger lets the idle instances of a version end again that were held ready. The fleet's lock is held.
func (f *Fleet) linger(key groupKey) {
	if g := f.groups[key]; g != nil {
		for _, i := range g.idle {
			i.await()
		}
	}
}

// Ready is how many instances of a version are initialised, and why there are not more.
func (f *Fleet) Ready(functionARN, version string) Readiness {
	key := groupKey{arn: functionARN, version: version}
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.wishes[key]
	if w == nil {
		return Readiness{}
	}
	return Readiness{Ready: min(w.n, f.members(f.groups[key], w)), Failure: w.failure}
}

// members counts the instances of a group that are of the wish's revision and stay usable for a while.
func (f *Fleet) members(g *group, w *wish) int {
	if g == nil || g.revision != w.fn.Revision {
		return 0
	}
	n := 0
	for i := range f.living {
		if i.group == g && f.lasting(i) {
			n++
		}
	}
	return n
}

// lasting tells whether an instance's credentials outlive the next look at it.
func (f *Fleet) lasting(i *instance) bool {
	return i.expires.IsZero() || i.expires.After(f.deps.Clock.Now().Add(i.fn.Timeout+time.Minute+renewAhead))
}

// held tells whether an instance that has rested for long is one of those to be kept. The fleet's lock
// is held.
func (f *Fleet) held(g *group) bool {
	w := f.wishes[g.key]
	return w != nil && !w.gone && f.members(g, w) <= w.n
}

// missed wakes who tends a group that has lost an instance. The fleet's lock is held.
func (f *Fleet) missed(g *group) {
	if w := f.wishes[g.key]; w != nil {
		w.nudge()
	}
}

// tend keeps a wish fulfilled until it is gone.
func (f *Fleet) tend(key groupKey, w *wish) {
	pause := time.Duration(0)
	for {
		fn, g, step, end := f.lack(key, w)
		for _, i := range end {
			go i.close()
		}
		wait := tendEvery
		switch step {
		case stop:
			return
		case start:
			if err := f.open(g, fn, w); err != nil {
				pause = min(max(retryFirst, 2*pause), retryMost)
				wait = pause
			} else {
				pause = 0
				continue
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-w.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

type step int

const (
	rested step = iota // all are there
	start
	stop
)

// lack decides what a wish wants next. What it returns in end is in nobody's hands any more.
func (f *Fleet) lack(key groupKey, w *wish) (fn *Function, g *group, s step, end []*instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.gone || f.closed {
		return nil, nil, stop, nil
	}
	fn = new(w.fn)
	g = f.groups[key]
	if g != nil && g.revision != fn.Revision {
		end = f.retire(g)
		g = nil
	}
	if g == nil {
		g = &group{key: key, revision: fn.Revision}
		f.groups[key] = g
	}
	if f.members(g, w) >= w.n {
		w.failure = ""
		kept := g.idle[:0]
		for _, i := range g.idle { // replaced by now
			if f.lasting(i) {
				kept = append(kept, i)
			} else {
				end = append(end, i)
			}
		}
		g.idle = kept
		return fn, g, rested, end
	}
	if len(f.living)+f.starting >= f.deps.Instances {
		oldest := f.oldest()
		if oldest == nil {
			w.failure = fmt.Sprintf("this machine holds %d instances, and all of them are in use", f.deps.Instances)
			return fn, g, rested, end
		}
		end = append(end, oldest)
	}
	f.starting++
	return fn, g, start, end
}

// open starts one instance and lets it rest.
func (f *Fleet) open(g *group, fn *Function, w *wish) error {
	i, err := f.start(context.Background(), g, fn)
	if i == nil || i.box == nil {
		f.started(nil)
	} else {
		f.started(i)
		if err != nil {
			_ = i.close() // it is of no more use
		}
	}
	if !f.rest(i, g, w, err) && err == nil {
		_ = i.close() // nobody wants it any more
	}
	return err
}

// rest notes how a start went, and gives the new instance to its group, if that still wants it.
func (f *Fleet) rest(i *instance, g *group, w *wish, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.failure = ""
	if err != nil {
		w.failure = failureOf(err)
	}
	if err != nil || !f.living[i] || g.retired || f.closed {
		return false
	}
	g.idle = slices.Insert(g.idle, 0, i) // warm ones are used first
	i.sleep(f.deps.Clock.Now())
	return true
}

// failureOf words a start that failed for the function's owner.
func failureOf(err error) string {
	if e, ok := errors.AsType[*runtimeapi.InitError](err); ok {
		return e.Type
	}
	return err.Error()
}

// await lets an instance that rests for long end when its time has come.
func (i *instance) await() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.rest >= restless && !i.armed && !i.closed {
		i.arm(i.fleet.deps.EndAfter)
	}
}
