package sandbox

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
)

// cores keeps the accounts apart on the threads of a core ("Core Scheduling" in the kernel's
// documentation): processes with one cookie may run on a core's threads side by side, others may not.
// Each account has one cookie, and a thread that does nothing but hold it. Where the kernel has no core
// scheduling, or no core has several threads, there is nothing to do.
type cores struct {
	mu      sync.Mutex
	keepers map[string]chan<- tag // by account
	closed  bool
}

// tag asks a keeper to give its cookie to a process.
type tag struct {
	pid  int
	done chan<- error
}

// Scopes of PR_SCHED_CORE, from linux/prctl.h and pid.h.
const (
	oneThread   = unix.PR_SCHED_CORE_SCOPE_THREAD
	wholeThread = unix.PR_SCHED_CORE_SCOPE_THREAD_GROUP
)

// works tells whether this kernel gives cookies here.
func (c *cores) works() bool {
	out := make(chan error, 1)
	thread.Go(func() {
		out <- unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_CREATE, 0, oneThread, 0)
	})
	return <-out == nil
}

// enter gives a process, and what it will start, the cookie of an account.
func (c *cores) enter(account string, pid int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	k, ok := c.keepers[account]
	if !ok {
		asks, made := make(chan tag), make(chan error, 1)
		thread.Go(func() { keep(asks, made) })
		if err := <-made; err != nil {
			asks = nil // this kernel has none: doctor says so
		}
		if c.keepers == nil {
			c.keepers = map[string]chan<- tag{}
		}
		k = asks
		c.keepers[account] = k
	}
	if k == nil {
		return nil
	}
	done := make(chan error, 1)
	k <- tag{pid, done}
	return <-done
}

// keep holds a cookie, which is its thread's, and gives it to whom it is told.
func keep(asks <-chan tag, made chan<- error) {
	err := unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_CREATE, 0, oneThread, 0)
	made <- err
	if err != nil {
		return
	}
	for t := range asks {
		t.done <- unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_SHARE_TO, uintptr(t.pid), wholeThread, 0)
	}
}

// close lets the keepers go.
func (c *cores) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, k := range c.keepers {
		if k != nil {
			close(k)
		}
	}
}
