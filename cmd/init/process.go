package main

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// start runs the process and gives up the init's own rights.
func (in *initProcess) start(body []byte, fds []int) error {
	p, err := control.ParseProcess(body)
	if err != nil || len(p.Argv) == 0 || len(fds) > 1 {
		return wrap("read the process to start", nil)
	}
	in.started = true
	if err := in.prepare(p); err != nil {
		return err
	}
	if err := in.bear(control.Started, nil, 0, p, files(1, 2, fds)); err != nil {
		return err
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	if in.setup.Late && !in.given {
		return nil // until Deliver
	}
	return in.surrender()
}

// files are a process's descriptors after its input.
func files(out, errs int, more []int) []uintptr {
	f := []uintptr{uintptr(out), uintptr(errs)}
	for _, fd := range more {
		f = append(f, uintptr(fd))
	}
	return f
}

// prepare sets the limits and makes what forks, before the first process, whose fence is around all.
func (in *initProcess) prepare(p *control.Process) error {
	if in.nursery != nil {
		return nil
	}
	if err := in.bound(); err != nil {
		return err
	}
	in.nursery = &nursery{jobs: make(chan job)}
	ready := make(chan error)
	thread.Go(func() { in.nursery.run(in, p, ready) })
	return <-ready
}

// bound sets the limits of what will be started, once.
func (in *initProcess) bound() error {
	for _, l := range in.setup.Limits {
		if err := in.abide(l); err != nil {
			return wrap("set a resource limit", err)
		}
	}
	in.setup.Limits = nil
	return nil
}

// abide sets a limit of the init, which its children begin with. Of processes and threads it keeps some for
// itself: the init shares a user with what it starts, and a program in Go that gets no thread ends.
func (in *initProcess) abide(l control.Limit) error {
	lim := unix.Rlimit{Cur: l.Value, Max: l.Value}
	if l.Resource == unix.RLIMIT_NPROC {
		var had unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NPROC, &had); err != nil {
			return err
		}
		in.procs.Store(l.Value)
		lim.Cur = min(l.Value+control.InitThreads, had.Max)
		lim.Max = lim.Cur
	}
	return unix.Setrlimit(int(l.Resource), &lim)
}

// share sets how many processes and threads a child of the init may have beside it.
func (in *initProcess) share(pid int) error {
	n := in.procs.Load()
	if n == 0 {
		return nil // not bounded, or not yet
	}
	err := unix.Prlimit(pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n}, nil)
	if err == unix.ESRCH {
		return nil // it has ended
	}
	return err
}

// nursery forks and executes processes from a thread of its own that has confined itself first: what
// a thread has given up, its children never had. So a process needs no second program between the
// init and itself. The thread stays, since the init's other ones have no right to confine another
// once they have surrendered.
type nursery struct{ jobs chan job }

type job struct {
	process *control.Process
	files   []uintptr // from descriptor 1 on
	result  chan<- result
}

type result struct {
	pid int
	err error
}

func (n *nursery) run(in *initProcess, p *control.Process, ready chan<- error) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		err = wrap("open /dev/null", err)
	} else {
		err = in.enclose(p)
	}
	ready <- err
	for j := range n.jobs {
		pid, err := syscall.ForkExec(j.process.Argv[0], j.process.Argv, &syscall.ProcAttr{
			Dir: j.process.Dir, Env: j.process.Env, Files: append([]uintptr{uintptr(null)}, j.files...), Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			err = wrap("execute "+j.process.Argv[0], err)
		}
		j.result <- result{pid, err}
	}
}

// enclose confines the calling thread, the filter that forbids such steps last.
func (in *initProcess) enclose(p *control.Process) error {
	if err := seclude(in.setup.CgroupNS); err != nil {
		return err
	}
	if err := confine(); err != nil {
		return err
	}
	if err := fence(p.Fence); err != nil {
		return err
	}
	if err := in.observe(p.Notify); err != nil {
		return err
	}
	if len(in.setup.Filter) == 0 {
		return nil // waived by name; the driver has said so
	}
	return install(in.setup.Filter)
}

// seclude gives the calling thread, and so what it forks, what belongs to threads and not to the
// init as a whole.
func seclude(cgroupNS bool) error {
	// the cgroup that the init was born into becomes the root of what can be seen
	if cgroupNS {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return wrap("take a cgroup namespace", err)
		}
	}
	// a session keyring of its own, or the process would hold the one of Bastide's session; a kernel
	// without keyrings has nothing to hide
	_, _, errno := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	if errno != 0 && errno != unix.ENOSYS {
		return wrap("take a session keyring", errno)
	}
	return nil
}

// Securebits, from linux/securebits.h: no root user with powers, no capabilities kept or raised,
// each locked.
const securebits = 0xaf

// confine takes every privilege from the calling thread, for good.
func confine() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return wrap("set no_new_privs", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, securebits, 0, 0, 0); err != nil {
		return wrap("set the securebits", err)
	}
	for c := uintptr(0); c < 64; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL {
			break // past the kernel's last capability
		}
		if err != nil {
			return wrap("drop a capability", err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return wrap("clear the ambient capabilities", err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return wrap("give up the capabilities", err)
	}
	return nil
}

// install loads a seccomp program for the calling thread.
func install(filter []byte) error {
	prog := unix.SockFprog{
		Len:    uint16(len(filter) / 8),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0])),
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return wrap("load the seccomp filter", errno)
	}
	return nil
}

// surrender gives up the capabilities of every thread of the init, which has nothing left to build.
func (in *initProcess) surrender() error {
	if in.dropped || in.births != nil { // a nest goes on building
		return nil
	}
	in.dropped = true
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return wrap("give up the init's capabilities", errno)
	}
	_, _, errno = syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	if errno != 0 {
		return wrap("set no_new_privs of the init", errno)
	}
	return nil
}

// ignoreSignals makes the init deaf to signals from inside. The kernel keeps signals with the default
// action from the first process of a pid namespace, but Go installs handlers for nearly all; and it
// keeps them only while the main thread does not block them, which it does in Go's handlers: then
// the signal is fatal to the other threads (kernel/signal.c, sig_task_ignored and complete_signal; seen
// with signal 34). What is ignored never kills. (A fault of the init's own still ends it: the kernel
// forces that one.)
func ignoreSignals() {
	type action struct {
		handler, flags, restorer, mask uintptr
	}
	ignore := action{handler: 1} // SIG_IGN
	for sig := uintptr(1); sig <= 64; sig++ {
		switch syscall.Signal(sig) {
		case syscall.SIGKILL, syscall.SIGSTOP, // cannot be
			syscall.SIGCHLD,    // ignoring it would reap by itself
			syscall.SIGURG, 33: // the Go runtime's own, with harmless handlers
			continue
		}
		// an unknown number is refused and needs no handling
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
	}
}
