package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/pool"
)

// Fleet keeps the instances of all functions. It is safe for concurrent use.
type Fleet struct {
	deps   Deps
	bundle string // file of the roots that functions trust
	etc    string // folder of the files that are laid over images' own
	pool   *pool.Pool

	mu       sync.Mutex
	turns    int
	groups   map[groupKey]*group
	accounts map[tenant]int // invocations running without a reservation, by account and region
	reserved map[string]int // invocations running, by function
	// invocations running on what is held ready for a version
	provisioned map[groupKey]int
	rates       map[string]*bucket
	wishes      map[groupKey]*wish
	tending     sync.WaitGroup
	living      map[*instance]bool
	stats       map[string]*stats // by function
	starting    int
	closed      bool
}

// tenant is an account in a region.
type tenant struct{ account, region string }

// groupKey names a version of a function, and the tenant whose instances these are, if the function
// keeps tenants apart.
type groupKey struct{ arn, version, tenant string }

// group are the instances of one revision of one version.
type group struct {
	key      groupKey
	revision string
	idle     []*instance // the most recently used last
	retired  bool        // by a newer revision: instances end when they are done

	busy  int // invocations that have an instance, or are starting one
	queue queue
}

// New makes a fleet.
func New(d Deps) (*Fleet, error) {
	f := &Fleet{deps: d.withDefaults(), turns: turns(), groups: map[groupKey]*group{}, accounts: map[tenant]int{}, reserved: map[string]int{},
		living: map[*instance]bool{}, provisioned: map[groupKey]int{}, stats: map[string]*stats{}, rates: map[string]*bucket{}, wishes: map[groupKey]*wish{}}
	// Instances get what is in it by mounts, and none walks there.
	if err := errors.Join(os.MkdirAll(d.Dir, 0o700), os.Chmod(d.Dir, 0o700)); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	dir, err := filepath.Abs(d.Dir)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f.bundle = filepath.Join(dir, "ca-bundle.pem")
	if err := os.WriteFile(f.bundle+".new", d.CA.Bundle(), 0o644); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	// a rename, so that whoever has the old one mounted keeps it whole
	if err := errors.Join(os.Chmod(f.bundle+".new", 0o644), os.Rename(f.bundle+".new", f.bundle)); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f.pool = pool.New(pool.Config{Driver: d.Driver, Clock: d.Clock, IDs: d.IDs, Size: d.Pool, MemoryBytes: d.PoolMemory})
	return f, f.etcFiles(dir)
}

var errClosed = errors.New("fleet: it is closed")

// take finds an instance that rests or is given back, or room for a new one: then it returns nil and
// the caller starts one, which it reports with started. The group counts the invocation as busy until
// done.
func (f *Fleet) take(fn *Function, of string) (*instance, *group, error) {
	for may := true; ; may = false {
		p, err := f.pick(fn, of, may && !fn.Once)
		for _, old := range p.end {
			go old.close()
		}
		for _, old := range p.old {
			time.AfterFunc(clearing, func() { _ = old.close() }) // as in put
		}
		i := p.instance
		if p.turn != nil {
			if i = <-p.turn; i == nil {
				continue
			}
		}
		if i == nil || err != nil {
			return nil, p.group, err
		}
		if i.wake() && f.fresh(i, fn) && i.listens() {
			return i, p.group, nil
		}
		f.done(p.group)
		go i.close()
	}
}

// fresh tells whether an instance's credentials outlive one more invocation.
func (f *Fleet) fresh(i *instance, fn *Function) bool {
	return i.expires.IsZero() || i.expires.After(f.deps.Clock.Now().Add(fn.Timeout+time.Minute))
}

// picked is an instance, a turn in the queue for one, or neither: then there is room for a new one.
type picked struct {
	instance *instance
	turn     chan *instance
	group    *group
	end, old []*instance // that the caller ends: to make room, or in its own time
}

// clearing is after how long the idle instances of what a function was before are ended: to take them
// away costs as much as the start that they would disturb.
const clearing = 100 * time.Millisecond

// pick chooses for a tenant, or for nobody in particular; an event may queue once.
func (f *Fleet) pick(fn *Function, of string, mayQueue bool) (p picked, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := groupKey{fn.ARN, fn.Version, of}
	g := f.groups[key]
	if g != nil && g.revision != fn.Revision {
		p.old = f.retire(g)
		g = nil
	}
	if g == nil {
		g = &group{key: key, revision: fn.Revision}
		f.groups[key] = g
	}
	p.group = g
	if now := f.deps.Clock.Now(); mayQueue && g.busy >= f.turns && g.queue.quick(now) {
		p.turn = g.queue.join(now, func() { f.still(g) }).instance
		return p, nil
	}
	if n := len(g.idle); n > 0 {
		p.instance = g.idle[n-1]
		g.idle = g.idle[:n-1]
		g.busy++
		return p, nil
	}
	if len(f.living)+f.starting >= f.deps.Instances {
		p.end, p.old = p.old, nil
		oldest := f.oldest()
		if oldest == nil {
			return p, &ThrottledError{ConcurrentExceeded}
		}
		p.end = append(p.end, oldest)
	}
	f.starting++
	g.busy++
	return p, nil
}

// done counts the end of an invocation that has no instance to give back.
func (f *Fleet) done(g *group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g.busy--
	g.queue.pass(nil, f.deps.Clock.Now())
}

// oldest removes the instance that a function has left longest in its row of idle ones.
func (f *Fleet) oldest() *instance {
	for _, g := range f.groups {
		if len(g.idle) > 0 && !f.held(g) {
			i := g.idle[0]
			g.idle = g.idle[1:]
			delete(f.living, i) // its place is free now
			return i
		}
	}
	return nil
}

// retire ends a group; the caller closes what it returns.
func (f *Fleet) retire(g *group) []*instance {
	g.retired = true
	end := g.idle
	g.idle = nil
	g.queue.dissolve(f.deps.Clock.Now()) // its events run on the newer one
	if f.groups[g.key] == g {
		delete(f.groups, g.key)
	}
	return end
}

// started counts the end of a start.
func (f *Fleet) started(i *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting--
	if i == nil {
		return
	}
	select {
	case <-i.ended: // gone was here before
	default:
		f.living[i] = true
	}
}

// put gives an instance back after an invocation that took so long, to the next event or to rest, or
// ends it.
func (f *Fleet) put(i *instance, took time.Duration, keep bool) {
	g, now := i.group, f.deps.Clock.Now()
	f.mu.Lock()
	g.queue.learn(took)
	keep = keep && !f.closed && !g.retired && !i.fn.Once && f.living[i]
	switch {
	case keep && g.queue.pass(i, now): // as busy as it was
	case keep:
		g.busy--
		i.sleep(now)
		g.idle = append(g.idle, i)
	default:
		g.busy--
		g.queue.pass(nil, now)
	}
	f.mu.Unlock()
	if !keep {
		_ = i.close() // what could not be taken away is the driver's to report
	}
}

// expire ends an instance that has been idle for long.
func (f *Fleet) expire(i *instance) {
	f.mu.Lock()
	n := slices.Index(i.group.idle, i)
	if n >= 0 && i.deep() && !f.held(i.group) { // not one that has run since
		i.group.idle = slices.Delete(i.group.idle, n, n+1)
	} else {
		n = -1
	}
	f.mu.Unlock()
	if n >= 0 {
		_ = i.close() // as in put
	}
}

// gone forgets an instance that has ended.
func (f *Fleet) gone(i *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.living, i)
	f.missed(i.group)
	if n := slices.Index(i.group.idle, i); n >= 0 {
		i.group.idle = slices.Delete(i.group.idle, n, n+1)
	}
	if len(i.group.idle) == 0 && i.group.retired && f.groups[i.group.key] == i.group {
		delete(f.groups, i.group.key)
	}
}

// Retire ends the instances of a function, busy ones when they are done: it was changed or deleted.
func (f *Fleet) Retire(functionARN string) {
	f.mu.Lock()
	var end []*instance
	delete(f.rates, functionARN)
	for _, g := range f.groups {
		if g.key.arn == functionARN {
			end = append(end, f.retire(g)...)
		}
	}
	f.mu.Unlock()
	for _, i := range end {
		go i.close()
	}
}

// Count is how many instances live, and how many of them rest.
func (f *Fleet) Count() (living, resting int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.groups {
		resting += len(g.idle)
	}
	return len(f.living), resting
}

// Close ends every instance; running invocations fail.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.closed = true
	for _, w := range f.wishes {
		w.nudge()
	}
	var all []*instance
	for i := range f.living {
		all = append(all, i)
	}
	f.mu.Unlock()
	errs := make([]error, len(all)+1)
	var wg sync.WaitGroup
	wg.Go(func() { errs[len(all)] = f.pool.Close() })
	for n, i := range all {
		wg.Go(func() { errs[n] = i.close() })
	}
	wg.Wait()
	f.tending.Wait()
	return errors.Join(errs...)
}
