package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// agent is the init of a sandbox that no descriptor can be passed out of: its one link to the driver is
// descriptor 0, a stream with package tether on it. It speaks the same words as the init does. Doors are
// its own sockets, whose connections it carries; so are the process's output and descriptor 3.
//
// Where the kernel is the sandbox's own (gVisor), it is the first process, and the function's root is a
// directory that the driver furnishes from outside. On the host (the process driver) it merely looks
// after a tree of processes, all of which become its children when their parents end.
type agent struct {
	t    *tether.Tether
	root string // the function's root directory; "": the host's

	setup   *control.Setup
	wires   byte // what the driver wants carried: tether.WireChannel and so on
	doors   []*door
	channel *os.File
	inside  []uintptr // the process's descriptors from 1 on, until it has them
	out     []*outlet

	pid     int
	started bool
	given   bool           // what was awaited has been delivered
	pumps   sync.WaitGroup // what carries outwards
}

// lingering bounds the wait for connections to carry what the processes had written when they ended.
const lingering = time.Second

// runAgent is the agent; root as in the struct.
func runAgent(root string) {
	// The main thread is kept out of the way: what confines itself is a thread that can end.
	runtime.LockOSThread()
	go serveAgent(root)
	select {}
}

func serveAgent(root string) {
	a := &agent{root: root}
	if root == "" {
		// The Go runtime has descriptors of its own by now; what was handed down by mistake goes no further.
		if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
			os.Exit(1)
		}
		// what the tree leaves behind comes here, not to the host's first process
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			os.Exit(1)
		}
	}
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		os.Exit(1)
	}
	stream, err := pollable(fd, "tether")
	if err != nil {
		os.Exit(1)
	}
	a.t = tether.New(stream, tether.Handlers{Message: a.told, Datagram: a.answer})
	if err := a.t.Message(byte(control.Done), nil); err != nil { // it stands
		os.Exit(1)
	}
	_ = a.t.Run() // however it ended, the driver is gone
	a.endAll()
	os.Exit(0)
}

// pollable makes a descriptor one that goroutines wait for without a thread each.
func pollable(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, wrap("prepare the "+name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// told does what the driver says.
func (a *agent) told(kind byte, body []byte) error {
	var err error
	switch k := control.Kind(kind); {
	case kind == tether.Usage && a.started && a.root != "":
		err = a.answerUsage()
	case k == control.Config && a.setup == nil && len(body) > 0:
		err = a.furnish(body[0], body[1:])
	case k == control.Start && a.setup != nil && !a.started:
		err = a.start(body)
	case k == control.Deliver && a.setup != nil && a.setup.Late && !a.given:
		err = a.deliver(body)
	case k == control.Stop:
		err = a.signalAll(syscall.SIGSTOP)
	case k == control.Continue:
		err = a.signalAll(syscall.SIGCONT)
	default:
		err = wrap("message out of order", nil)
	}
	if err != nil {
		a.fail(err)
	}
	return nil
}

// fail reports and ends.
func (a *agent) fail(err error) {
	f := control.Failure{Stage: err.Error()}
	if e, ok := err.(*stageError); ok {
		f = control.Failure{Stage: e.stage, Errno: uint64(e.errno)}
	}
	_ = a.t.Message(byte(control.Failed), f.Append(nil)) // the driver may be gone
	a.endAll()
	os.Exit(1)
}

// furnish makes everything that the process needs but its files, which the driver lays out.
func (a *agent) furnish(wires byte, body []byte) error {
	s, err := control.ParseSetup(body)
	if err != nil {
		return wrap("read the configuration", nil)
	}
	a.setup, a.wires = s, wires
	if a.root != "" {
		if err := a.mountOwn(); err != nil {
			return err
		}
		if s.Hostname != "" {
			if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
				return wrap("set the host name", err)
			}
		}
	}
	if err := a.openDoors(s.Doors); err != nil {
		return err
	}
	if err := a.lay(); err != nil {
		return err
	}
	return a.t.Message(byte(control.Ready), nil)
}

// start runs the process.
func (a *agent) start(body []byte) error {
	p, err := control.ParseProcess(body)
	if err != nil || len(p.Argv) == 0 {
		return wrap("read the process to start", nil)
	}
	a.started = true
	if a.pid, err = a.spawn(p); err != nil {
		return err
	}
	for _, fd := range a.inside {
		unix.Close(int(fd))
	}
	a.inside = nil
	if err := a.t.Message(byte(control.Started), nil); err != nil {
		return err
	}
	go a.reap()
	if a.root == "" {
		return nil
	}
	go a.weigh()
	if a.setup.Late && !a.given {
		return nil // until deliver
	}
	return a.surrender()
}

// reap waits for every process. When the one that all this was for has ended, the others are ended, what
// they have written is carried, and the driver is told.
func (a *agent) reap() {
	var s control.Status
	for ended := false; ; {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil: // there are no more
			a.finish(s)
		}
		if pid == a.pid && !ended {
			ended = true
			if ws.Signaled() {
				s.Signal = uint64(ws.Signal())
			} else {
				s.Code = uint64(ws.ExitStatus())
			}
		}
		if ended {
			a.endAll()
		}
	}
}

func (a *agent) finish(s control.Status) {
	for _, o := range a.out {
		<-o.done
	}
	carried := make(chan struct{})
	go func() {
		a.pumps.Wait()
		close(carried)
	}()
	select {
	case <-carried:
	case <-time.After(lingering):
	}
	_ = a.t.Message(byte(control.Exited), s.Append(nil)) // the driver may be gone
	os.Exit(0)
}

// signalAll signals every process but the agent.
func (a *agent) signalAll(sig syscall.Signal) error {
	if a.root == "" {
		signalTree(os.Getpid(), sig)
	} else if err := unix.Kill(-1, sig); err != nil && err != unix.ESRCH {
		return wrap("signal the processes", err)
	}
	return a.t.Message(byte(control.Done), nil)
}

// endAll kills every process but the agent.
func (a *agent) endAll() {
	if a.root == "" {
		signalTree(os.Getpid(), syscall.SIGKILL)
		return
	}
	_ = unix.Kill(-1, syscall.SIGKILL) // ESRCH: there is none
}

// weigh tells how much of /tmp is in use, which the driver's bound of memory leaves out.
func (a *agent) weigh() {
	const step = 1 << 20
	told := uint64(0)
	for range time.Tick(50 * time.Millisecond) {
		used, err := a.used()
		if err != nil || used/step != told/step && a.t.Message(tether.Usage, tether.AppendUsage(nil, used)) != nil {
			return
		}
		told = used
	}
}

// used is how many bytes of /tmp are.
func (a *agent) used() (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(a.root+"/tmp", &st); err != nil {
		return 0, wrap("look at /tmp", err)
	}
	return (st.Blocks - st.Bfree) * uint64(st.Bsize), nil
}

// answerUsage tells it when it is asked for.
func (a *agent) answerUsage() error {
	used, err := a.used()
	if err != nil {
		return err
	}
	return a.t.Message(tether.Usage, tether.AppendUsage(nil, used))
}
