package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// The user and group inside, as Lambda's functions have them.
const (
	insideUID = 993
	insideGID = 990
)

// launcher is the small process that inits are forked from. A fork into a user namespace cannot share
// memory with its parent, so that it copies the parent's page tables: from a server with 100 MB that
// is 7 ms, from the launcher under 1 ms.
//
// It ends when its socket closes. It is started from a thread that lives as long as the driver, since
// the kernel sends the parent's death signal when that thread ends: so Bastide's death is the
// launcher's, and the launcher's is every sandbox's.
type launcher struct {
	mu      sync.Mutex // one launch at a time
	session *session
	pid     int
	hold    chan struct{} // closed to let the thread go
}

// startLauncher executes the program at initFD as the launcher.
func startLauncher(initFD int, null *os.File, ids *subordinate) (*launcher, error) {
	s, theirs, err := newSession()
	if err != nil {
		return nil, fmt.Errorf("sandbox: a socket for the launcher: %w", err)
	}
	defer func() { _ = unix.Close(theirs) }() // this side's copy
	l := &launcher{session: s, hold: make(chan struct{})}
	started := make(chan error, 1)
	sys := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if ids != nil {
		sys.Cloneflags, sys.AmbientCaps = unix.CLONE_NEWUSER|unix.CLONE_NEWNS, launchPowers
	}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var err error
		l.pid, err = syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(initFD), []string{"bastide-launcher", "launch"}, &syscall.ProcAttr{
			Dir: "/", Env: []string{"GOMAXPROCS=1", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"},
			Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), uintptr(theirs), uintptr(initFD)},
			Sys:   sys,
		})
		started <- err
		if err == nil {
			<-l.hold
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: start the launcher: %w", err), s.conn.Close())
	}
	if ids != nil { // it does nothing before the first frame
		if err := ids.grant(l.pid); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	return l, nil
}

// close ends the launcher, and with it whatever it has launched.
func (l *launcher) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.session.conn.Close()
	for {
		if _, werr := unix.Wait4(l.pid, nil, 0, nil); werr != unix.EINTR {
			break
		}
	}
	close(l.hold)
	return err
}

// fork starts one init. fds are its descriptors from 0 on, then the cgroup's if b says so.
func (l *launcher) fork(b *control.Birth, fds []int) (pid, pidFD int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.session.send(control.Launch, b.Append(nil), fds); err != nil {
		return 0, -1, fmt.Errorf("tell the launcher: %w", err)
	}
	kind, body, got, err := l.session.receive()
	if err != nil {
		return 0, -1, fmt.Errorf("hear from the launcher: %w", err)
	}
	born, err := control.ParseBorn(body)
	if err == nil && (kind != control.Launched || (len(got) == 1) != (born.PID != 0)) {
		err = control.ErrFrame
	}
	if err != nil {
		return 0, -1, errors.Join(fmt.Errorf("hear from the launcher: %w", err), closeAll(got))
	}
	if born.Failure.Stage != "" {
		err = fmt.Errorf("%s: %w", born.Failure.Stage, syscall.Errno(born.Failure.Errno))
	}
	if born.PID == 0 {
		return 0, -1, err
	}
	return int(born.PID), got[0], err
}

// birth is what the launcher must know of an instance.
func (i *instance) birth() *control.Birth {
	n := i.driver
	enter, home := i.group.Tasks()
	if i.fork.from != nil {
		return &control.Birth{
			UID: i.fork.id(insideUID), GID: i.fork.id(insideGID), InsideUID: insideUID, InsideGID: insideGID,
			User: true, IPC: !n.waived["ipc"], UTS: !n.waived["uts"], Setgroups: n.users.own(), Tasks: uint64(len(enter)),
		}
	}
	spare := uint64(0)
	if i.brood != nil && n.users.own() {
		spare = uint64(i.brood.block)
	}
	gid := i.hostGID
	if n.users.own() {
		gid = i.hostUID // as the launcher sees it
	}
	return &control.Birth{
		Nest: i.brood != nil, Spare: spare,
		UID: uint64(i.hostUID), GID: uint64(gid), InsideUID: insideUID, InsideGID: insideGID,
		User: !n.waived["user"], IPC: !n.waived["ipc"], UTS: !n.waived["uts"],
		Setgroups: n.users.own(), IntoCgroup: i.group.FD() >= 0, Enter: enter, Home: home,
	}
}
