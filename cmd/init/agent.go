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
	out     outlets

	children children
	pid      int // of the process that all this is for; 0 before it runs
	started  bool
	weighing bool           // /tmp
	dropped  bool           // the agent's capabilities
	given    bool           // what was awaited has been delivered
	pumps    sync.WaitGroup // what carries outwards
}

// lingering bounds the wait for connections to carry what the processes had written when they ended.
const lingering = time.Second

// runAgent is the agent; root as in the struct.
func runAgent(root string) {
	a := &agent{root: root}
	if root == "" {
		// The Go runtime has descriptors of its own by now; what was handed down by mistake goes no further.
		if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
			os.Exit(1)
		}
		stock()
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

// spare is how many threads the agent keeps on the host.
const spare = 16

// stock has the Go runtime make threads ahead, which it keeps. On the host they are counted with the
// function's, and a thread that it wanted and could not have would be its end.
func stock() {
	var there, gone sync.WaitGroup
	leave := make(chan struct{})
	for range spare {
		there.Add(1)
		gone.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			there.Done()
			<-leave
		})
	}
	there.Wait()
	close(leave)
	gone.Wait()
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
	case kind == tether.Usage && a.root != "":
		err = a.answerUsage()
	case k == control.Config && a.setup == nil && len(body) > 0:
		err = a.furnish(body[0], body[1:])
	case k == control.Start && a.setup != nil && !a.started:
		err = a.start(body)
	case k == control.Deliver && a.setup != nil && a.setup.Late && !a.given:
		err = a.deliver(body)
	case k == control.Spawn && a.setup != nil && len(body) > 0:
		err = a.startBeside(body[0], body[1:])
	case k == control.Signal && a.setup != nil:
		if err = a.children.signal(body); err == nil {
			err = a.t.Message(byte(control.Done), nil)
		}
	case kind == tether.Dial && a.setup != nil:
		err = a.dial(body)
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
		if err := everywhereByAddress(); err != nil {
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
	fork := func() (int, error) {
		a.pid, err = a.spawn(p, a.inside)
		return a.pid, err
	}
	if err := a.children.bear(0, fork, func() error { return a.t.Message(byte(control.Started), nil) }, a.reap); err != nil {
		return err
	}
	closeInside(a.inside)
	a.inside = nil
	return a.lived()
}

// lived is for when a process runs.
func (a *agent) lived() error {
	if a.root == "" {
		return nil
	}
	if !a.weighing {
		a.weighing = true
		go a.weigh()
	}
	if a.setup.Late && !a.given {
		return nil // until deliver
	}
	return a.surrender()
}

// closeInside closes this side's copies of what a process has.
func closeInside(fds []uintptr) {
	for n, fd := range fds {
		if n == 0 || fd != fds[n-1] { // two may be one
			unix.Close(int(fd))
		}
	}
}

// reap waits for every process. When the one that all this was for has ended, the others are ended, what
// they have written is carried, and the driver is told; unless others were started beside it, of each of
// which the driver is told then, and decides.
func (a *agent) reap() {
	var s control.Status
	for ended := false; ; {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil && ended: // there are no more
			a.finish(s)
		case err != nil:
			a.children.await()
			continue
		}
		switch number, mine, several := a.children.bury(pid); {
		case mine && several:
			a.out.carry()                                                                                       // before its end is told
			_ = a.t.Message(byte(control.Ended), control.End{Number: number, Status: statusOf(ws)}.Append(nil)) // the driver may be gone
		case mine:
			s, ended = statusOf(ws), true
		}
		if ended {
			a.endAll()
		}
	}
}

func (a *agent) finish(s control.Status) {
	a.out.await()
	a.sweep()
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
	if a.setup == nil { // it has none yet
		return a.t.Message(tether.Usage, tether.AppendUsage(nil, 0))
	}
	used, err := a.used()
	if err != nil {
		return err
	}
	return a.t.Message(tether.Usage, tether.AppendUsage(nil, used))
}
