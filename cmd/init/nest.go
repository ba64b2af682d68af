package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// A nest is a sandbox in which a process waits to be forked, and from inside which the sandboxes are
// launched that its forks enter. Its init owns their user namespaces, as the process does, which is of the
// same user: that is the right to enter them, and it reaches nothing else. Its pid namespace holds theirs.
// Neither the init nor the process ever runs anything of a function's, and no sandbox sees its nest.

// birth is an init to launch.
type birth struct {
	body []byte
	fds  []int
}

// nest makes the init one that launches others. It stays dumpable, or the maps of their ids would not be its
// own to write; the process that shares its user may not trace what has more rights than itself.
func (in *initProcess) nest() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return wrap("make the nest's init dumpable", err)
	}
	in.births = make(chan birth)
	in.mourn()
	ready := make(chan error)
	thread.Go(func() { in.launchEach(ready) })
	return <-ready
}

// launchEach is the nest's launcher: a thread that keeps the mounts which the init started with, since it is
// from them that an ordinary user's sandboxes take theirs.
func (in *initProcess) launchEach(ready chan<- error) {
	ready <- standApart()
	for b := range in.births {
		born, pidFD := bear("/proc/self/exe", b.body, b.fds)
		var answer []int
		if pidFD >= 0 {
			answer = []int{pidFD}
		}
		err := in.tell(control.Launched, born.Append(nil), answer)
		for _, fd := range append(b.fds, answer...) {
			unix.Close(fd)
		}
		if err != nil {
			in.fail(err)
		}
	}
}

// standApart gives the calling thread mounts of its own, and the /proc in which its children are.
func standApart() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return wrap("keep the mounts", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return wrap("make the mounts private", err)
	}
	tree, err := newFS("proc", plain|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return wrap("mount the nest's /proc", err)
	}
	return nil
}

// mourn listens for the ends of children.
func (in *initProcess) mourn() {
	in.deaths = make(chan os.Signal, 1)
	signal.Notify(in.deaths, syscall.SIGCHLD)
}

// adopt takes on the process that has entered the sandbox from its nest, as if it had been started here.
func (in *initProcess) adopt(body []byte) error {
	a, err := control.ParseAdoption(body)
	if err != nil {
		return wrap("read the process to adopt", nil)
	}
	in.started = true
	if err := in.prepare(&a.Process); err != nil {
		return err
	}
	in.mourn()
	in.children.mu.Lock()
	in.children.note(int(a.PID), 0, in.reap)
	in.children.mu.Unlock()
	return in.tell(control.Started, nil, nil)
}

// lost is the end of the adopted process, of which only the nest's init heard.
func (in *initProcess) lost(body []byte) error {
	w, err := control.ParseWard(body)
	if err != nil {
		return wrap("read how the process ended", nil)
	}
	ws := syscall.WaitStatus(w.Status.Code << 8)
	if w.Status.Signal != 0 {
		ws = syscall.WaitStatus(w.Status.Signal)
	}
	return in.ended(int(w.PID), ws)
}
