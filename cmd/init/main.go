// Command init is the first process of a sandbox. It starts in fresh namespaces with the
// capabilities to furnish them, and with one socket to the driver, over which it speaks the protocol
// of internal/sandbox/control:
//
//	it brings loopback up, opens the doors (listening sockets) and hands their descriptors out;
//	builds the read-only root and pivots into it;
//	starts the process, or several, without capabilities, under no_new_privs and the seccomp filter;
//	gives up its own capabilities, reaps, and reports how the process ended.
//
// When it ends, the kernel ends every process of the sandbox; it ends when the process has ended, or
// when the driver's end of the socket closes. It is a program of its own, and small, because
// starting it is part of every cold start.
//
// Called as "launch" it is the launcher, outside of any sandbox: the small process that inits are
// forked from, because forking Bastide itself would copy its page tables each time. Called as "agent" it is
// the init of sandboxes that no descriptor can be passed out of (agent.go). Called as "probe"
// it is what `bastide doctor` runs inside.
package main

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// Descriptors that the driver starts the init with. 1 and 2 are the process's output.
const controlFD = 3

func main() {
	if len(os.Args) > 2 && os.Args[1] == "probe" {
		probeWaiting()
	}
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		os.Exit(probe())
	}
	if len(os.Args) > 1 && os.Args[1] == "launch" {
		offer(oomLauncher)
		launch()
	}
	offer(oomFunction)
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		runAgent(strings.Join(os.Args[2:], ""))
	}
	unix.CloseOnExec(controlFD)
	closeFrom(controlFD + 1)
	in := &initProcess{conn: conn{fd: controlFD}}
	if err := in.settle(); err != nil {
		in.fail(err)
	}
	if len(os.Args) > 1 && os.Args[1] == "nest" {
		if err := in.nest(); err != nil {
			in.fail(err)
		}
	}
	for {
		if err := in.serve(); err != nil {
			in.fail(err)
		}
	}
}

// closeFrom closes what Bastide itself was started with by mistake and has handed down; a function
// would inherit it.
func closeFrom(fd uint) {
	if err := unix.CloseRange(fd, 1<<31-1, 0); err != nil {
		os.Exit(1) // Linux before 5.9: too old for the mounts as well
	}
}

// initProcess is the state of the one init.
type initProcess struct {
	conn    conn
	setup   *control.Setup
	root    int           // the root directory, for mounts that are delivered later
	store   int           // the mount that a waiting sandbox's code is taken from, or -1
	started bool          // the process has been started
	given   bool          // what was awaited has been delivered
	dropped bool          // the init's rights have been given up
	procs   atomic.Uint64 // processes and threads of what the init starts; 0: not bounded

	writing  sync.Mutex     // one frame at a time
	nursery  *nursery       // what forks
	births   chan birth     // what a nest launches; nil if the init is none
	deaths   chan os.Signal // SIGCHLD, where processes become children that were not forked here
	children children
}

// tell sends one frame to the driver.
func (in *initProcess) tell(k control.Kind, body []byte, fds []int) error {
	in.writing.Lock()
	defer in.writing.Unlock()
	return in.conn.write(k, body, fds)
}

// settle protects the init from the processes that it will start: they share its user.
func (in *initProcess) settle() error {
	name := []byte("bastide-init\x00") // what ps shows; else it is the number of a descriptor
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
		return wrap("name the init", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return wrap("make the init undumpable", err)
	}
	ignoreSignals()
	return nil
}

// serve reads one frame and does what it asks.
func (in *initProcess) serve() error {
	h, body, fds, err := in.conn.read()
	if err == errClosed {
		os.Exit(0) // the driver is gone
	}
	if err != nil {
		return err
	}
	switch {
	case h.Kind == control.Config && in.setup == nil:
		return in.furnish(body, fds)
	case h.Kind == control.Deliver && in.setup != nil && in.setup.Late && !in.given:
		return in.deliver(body, fds)
	case h.Kind == control.Start && in.setup != nil && !in.started:
		return in.start(body, fds)
	case h.Kind == control.Spawn && in.setup != nil:
		return in.spawn(body, fds)
	case h.Kind == control.Launch && in.births != nil:
		in.births <- birth{body, fds}
		return nil
	case h.Kind == control.Adopt && in.setup != nil && !in.started:
		return in.adopt(body)
	case h.Kind == control.Adopted && in.started:
		return in.lost(body)
	case h.Kind == control.Signal:
		return in.signal(body)
	case h.Kind == control.Dial && in.setup != nil:
		return in.dial(body)
	case h.Kind == control.Stop:
		return in.signalAll(syscall.SIGSTOP)
	case h.Kind == control.Continue:
		return in.signalAll(syscall.SIGCONT)
	}
	return wrap("frame out of order", nil)
}

// furnish builds the sandbox.
func (in *initProcess) furnish(body []byte, fds []int) error {
	s, err := control.ParseSetup(body)
	if err != nil {
		return wrap("read the configuration", nil)
	}
	in.setup = s
	if s.Hostname != "" {
		if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
			return wrap("set the host name", err)
		}
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	doors, err := openDoors(s.Doors)
	if err != nil {
		return err
	}
	if in.root, in.store, err = buildRoot(s, fds); err != nil {
		return err
	}
	if err := in.tell(control.Ready, nil, doors); err != nil {
		return err
	}
	for _, fd := range doors {
		unix.Close(fd)
	}
	return nil
}

// signalAll signals every process but the init itself: kill(2) with -1 does so under the kernel's
// task list lock, so that no fork escapes it.
func (in *initProcess) signalAll(sig syscall.Signal) error {
	if err := unix.Kill(-1, sig); err != nil && err != unix.ESRCH {
		return wrap("signal the processes", err)
	}
	return in.tell(control.Done, nil, nil)
}

// fail reports and ends.
func (in *initProcess) fail(err error) {
	f := control.Failure{Stage: err.Error()}
	if e, ok := err.(*stageError); ok {
		f = control.Failure{Stage: e.stage, Errno: uint64(e.errno)}
	}
	// the driver may be gone; there is nobody else to tell
	_ = in.tell(control.Failed, f.Append(nil), nil)
	os.Exit(1)
}

// stageError is a failure with the stage at which it happened.
type stageError struct {
	stage string
	errno syscall.Errno
}

func (e *stageError) Error() string {
	if e.errno == 0 {
		return e.stage
	}
	return e.stage + ": " + e.errno.Error()
}

func wrap(stage string, err error) error {
	e := &stageError{stage: stage}
	if errno, ok := err.(syscall.Errno); ok {
		e.errno = errno
	}
	return e
}
