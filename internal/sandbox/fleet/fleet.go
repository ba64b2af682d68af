package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Fleet keeps the instances of all functions. It is safe for concurrent use.
type Fleet struct {
	deps   Deps
	bundle string // file of the roots that functions trust

	mu       sync.Mutex
	groups   map[string]*group // by function and version
	accounts map[string]int    // invocations running without a reservation, by account and region
	reserved map[string]int    // invocations running, by function
	living   map[*instance]bool
	starting int
	closed   bool
}

// group are the instances of one revision of one version.
type group struct {
	key, arn, revision string
	idle               []*instance // the most recently used last
	retired            bool        // by a newer revision: instances end when they are done
}

// New makes a fleet.
func New(d Deps) (*Fleet, error) {
	f := &Fleet{deps: d.withDefaults(), groups: map[string]*group{}, accounts: map[string]int{}, reserved: map[string]int{},
		living: map[*instance]bool{}}
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
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
	return f, nil
}

// ThrottledError is an invocation that may not run now; Reason is Lambda's word for why.
type ThrottledError struct{ Reason string }

func (e *ThrottledError) Error() string { return "fleet: throttled: " + e.Reason }

// The reasons of TooManyRequestsException.
const (
	ReservedExceeded   = "ReservedFunctionConcurrentInvocationLimitExceeded"
	ConcurrentExceeded = "ConcurrentInvocationLimitExceeded"
)

var errClosed = errors.New("fleet: it is closed")

// admit counts an invocation that begins; leave counts its end.
func (f *Fleet) admit(fn *Function) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	if fn.Reserved != nil {
		if f.reserved[fn.ARN] >= *fn.Reserved {
			return &ThrottledError{ReservedExceeded}
		}
		f.reserved[fn.ARN]++
		return nil
	}
	key := fn.Account + "/" + fn.Region
	if f.accounts[key] >= f.deps.Concurrency {
		return &ThrottledError{ConcurrentExceeded}
	}
	f.accounts[key]++
	return nil
}

func (f *Fleet) leave(fn *Function) {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts, key := f.accounts, fn.Account+"/"+fn.Region
	if fn.Reserved != nil {
		counts, key = f.reserved, fn.ARN
	}
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// take finds a resting instance, or room for a new one: then it returns nil and the caller starts
// one, which it reports with started.
func (f *Fleet) take(fn *Function) (*instance, *group, error) {
	for {
		i, g, end, err := f.pick(fn)
		for _, old := range end {
			go old.close()
		}
		if i == nil || err != nil {
			return nil, g, err
		}
		if i.wake() && f.fresh(i, fn) {
			return i, g, nil
		}
		go i.close()
	}
}

// fresh tells whether an instance's credentials outlive one more invocation.
func (f *Fleet) fresh(i *instance, fn *Function) bool {
	return i.expires.IsZero() || i.expires.After(f.deps.Clock.Now().Add(fn.Timeout+time.Minute))
}

func (f *Fleet) pick(fn *Function) (i *instance, g *group, end []*instance, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fn.ARN + ":" + fn.Version
	g = f.groups[key]
	if g != nil && g.revision != fn.Revision {
		end = f.retire(g)
		g = nil
	}
	if g == nil {
		g = &group{key: key, arn: fn.ARN, revision: fn.Revision}
		f.groups[key] = g
	}
	if n := len(g.idle); n > 0 {
		i = g.idle[n-1]
		g.idle = g.idle[:n-1]
		return i, g, end, nil
	}
	if len(f.living)+f.starting >= f.deps.Instances {
		oldest := f.oldest()
		if oldest == nil {
			return nil, g, end, &ThrottledError{ConcurrentExceeded}
		}
		end = append(end, oldest)
	}
	f.starting++
	return nil, g, end, nil
}

// oldest removes the instance that a function has left longest in its row of idle ones.
func (f *Fleet) oldest() *instance {
	for _, g := range f.groups {
		if len(g.idle) > 0 {
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

// put gives an instance back after an invocation, or ends it.
func (f *Fleet) put(i *instance, keep bool) {
	f.mu.Lock()
	keep = keep && !f.closed && !i.group.retired && f.living[i]
	if keep {
		i.sleep()
		i.group.idle = append(i.group.idle, i)
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
	if n >= 0 {
		i.group.idle = slices.Delete(i.group.idle, n, n+1)
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
	for _, g := range f.groups {
		if g.arn == functionARN {
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
	var all []*instance
	for i := range f.living {
		all = append(all, i)
	}
	f.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for n, i := range all {
		wg.Go(func() { errs[n] = i.close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
