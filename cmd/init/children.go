package main

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// children are the processes that the driver asked for.
type children struct {
	mu      sync.Mutex     // held from a fork until the child is known
	numbers map[int]uint64 // by pid
	pids    map[uint64]int // of the living, by number
	born    *sync.Cond
	several bool // the end of process 0 is not the sandbox's
}

// bear has fork start a process under a number, and say tell of it. What that says comes before the
// process's end does. reap is run beside from the first one on.
func (c *children) bear(number uint64, fork func() (int, error), say func() error, reap func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := fork()
	if err != nil {
		return err
	}
	c.note(pid, number, reap)
	return say()
}

// note knows a process from now on; the lock is held.
func (c *children) note(pid int, number uint64, reap func()) {
	if c.numbers == nil {
		c.numbers, c.pids = map[int]uint64{}, map[uint64]int{}
		c.born = sync.NewCond(&c.mu)
		go reap()
	}
	c.numbers[pid], c.pids[number] = number, pid
	c.born.Signal()
}

// beside says that processes are several; false if the number is a living one's.
func (c *children) beside(number uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, taken := c.pids[number]
	c.several = true
	return !taken
}

// bury forgets a process that was waited for. Not every one is the driver's.
func (c *children) bury(pid int) (number uint64, mine, several bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number, mine = c.numbers[pid]
	delete(c.numbers, pid)
	if mine {
		delete(c.pids, number)
	}
	return number, mine, c.several
}

// signal signals a process and its group; one that has ended needs none. No pid is used again before
// it was reaped, which waits for the lock.
func (c *children) signal(body []byte) error {
	s, err := control.ParseSign(body)
	if err != nil || s.Signal > 64 {
		return wrap("read the signal", nil)
	}
	c.mu.Lock()
	if pid := c.pids[s.Number]; pid > 1 {
		err = unix.Kill(-pid, syscall.Signal(s.Signal))
	}
	c.mu.Unlock()
	if err != nil && err != unix.ESRCH {
		return wrap("signal a process", err)
	}
	return nil
}

// statusOf is how a process ended.
func statusOf(ws syscall.WaitStatus) control.Status {
	if ws.Signaled() {
		return control.Status{Signal: uint64(ws.Signal())}
	}
	return control.Status{Code: uint64(ws.ExitStatus())}
}

// bear starts a process under a number, says so, and watches it.
func (in *initProcess) bear(say control.Kind, body []byte, number uint64, p *control.Process, files []uintptr) error {
	fork := func() (int, error) {
		done := make(chan result)
		in.nursery.jobs <- job{p, files, done}
		r := <-done
		if r.err == nil {
			r.err = in.share(r.pid)
		}
		return r.pid, r.err
	}
	return in.children.bear(number, fork, func() error { return in.tell(say, body, nil) }, in.reap)
}

// reap waits for every process. It ends the sandbox with the one that it was made for, unless others
// were started beside it: then the driver decides.
func (in *initProcess) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err == syscall.ECHILD: // nor is there anything below that could become the init's
			if in.deaths != nil {
				<-in.deaths // children come here that were not forked here
			} else {
				in.children.await()
			}
		case err != nil:
			in.fail(wrap("wait for the processes", err))
		default:
			if err := in.ended(pid, ws); err != nil {
				in.fail(err)
			}
		}
	}
}

// await returns when there is a process to wait for.
func (c *children) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.numbers) == 0 {
		c.born.Wait()
	}
}

func (in *initProcess) ended(pid int, ws syscall.WaitStatus) error {
	number, mine, several := in.children.bury(pid)
	s := statusOf(ws)
	if !mine && in.births != nil {
		return in.tell(control.Orphan, control.Ward{PID: uint64(pid), Status: s}.Append(nil), nil)
	}
	if !mine {
		return nil
	}
	if several || in.births != nil {
		return in.tell(control.Ended, control.End{Number: number, Status: s}.Append(nil), nil)
	}
	if err := in.tell(control.Exited, s.Append(nil), nil); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// spawn starts one more process. That it cannot be executed is the driver's to judge.
func (in *initProcess) spawn(body []byte, fds []int) error {
	ch, err := control.ParseChild(body)
	if err != nil || len(ch.Process.Argv) == 0 || ch.Number == 0 || len(fds) != 2 {
		return wrap("read the process to start beside the other", nil)
	}
	if err := in.prepare(&ch.Process); err != nil {
		return err
	}
	if !in.setup.Late || in.given { // nothing is left to mount
		if err := in.surrender(); err != nil {
			return err
		}
	}
	if !in.children.beside(ch.Number) {
		return wrap("the number of a process that lives", nil)
	}
	err = in.bear(control.Spawned, control.Failure{}.Append(nil), ch.Number, &ch.Process, files(fds[0], fds[1], nil))
	for _, fd := range fds {
		unix.Close(fd)
	}
	if e, ok := err.(*stageError); ok {
		return in.tell(control.Spawned, control.Failure{Stage: e.stage, Errno: uint64(e.errno)}.Append(nil), nil)
	}
	return err
}

// signal signals a process.
func (in *initProcess) signal(body []byte) error {
	if err := in.children.signal(body); err != nil {
		return err
	}
	return in.tell(control.Done, nil, nil)
}

// dial begins a connection to a listener inside. The kernel's answer comes to whoever holds the
// socket, so that a port without a listener keeps nobody here.
func (in *initProcess) dial(body []byte) error {
	port, err := control.ParsePort(body)
	if err != nil {
		return wrap("read the port to dial", nil)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return wrap("open a socket to dial", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
	if err == nil || err == unix.EINPROGRESS || err == unix.EINTR {
		return in.tell(control.Dialed, control.Failure{}.Append(nil), []int{fd})
	}
	errno, _ := err.(syscall.Errno)
	return in.tell(control.Dialed, control.Failure{Stage: "connect", Errno: uint64(errno)}.Append(nil), nil)
}
