package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// startBeside starts one more process. That it cannot be executed is the driver's to judge.
func (a *agent) startBeside(wires byte, body []byte) error {
	ch, err := control.ParseChild(body)
	if err != nil || len(ch.Process.Argv) == 0 || ch.Number == 0 || ch.Number > tether.MaxProcesses {
		return wrap("read the process to start beside the other", nil)
	}
	if !a.children.beside(ch.Number) {
		return wrap("the number of a process that lives", nil)
	}
	if err := a.lived(); err != nil { // it will have, and must find nothing to take
		return err
	}
	inside, err := a.pipes(wires, int(ch.Number))
	if err != nil {
		return err
	}
	said := func() error { return a.t.Message(byte(control.Spawned), control.Failure{}.Append(nil)) }
	err = a.children.bear(ch.Number, func() (int, error) { return a.spawn(&ch.Process, inside) }, said, a.reap)
	closeInside(inside)
	if e, ok := err.(*stageError); ok {
		return a.t.Message(byte(control.Spawned), control.Failure{Stage: e.stage, Errno: uint64(e.errno)}.Append(nil))
	}
	return err
}

// dial connects to a listener inside, and carries the connection as those that arrive at a door.
func (a *agent) dial(body []byte) error {
	c, err := tether.ParseCall(body)
	if err != nil || c.Value == 0 || c.Value > 1<<16-1 {
		return wrap("read the port to dial", nil)
	}
	go func() {
		f, errno := connect(int(c.Value))
		if errno != 0 {
			_ = a.t.Message(tether.Dialed, tether.Call{Tag: c.Tag, Value: uint32(errno)}.Append(nil)) // the driver may be gone
			return
		}
		a.carry(f, tether.Place{Door: tether.DialedDoor, At: tether.TagText(c.Tag)})
	}()
	return nil
}

// connect opens a connection to 127.0.0.1.
func connect(port int) (*os.File, syscall.Errno) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, errnoOf(err)
	}
	f := os.NewFile(uintptr(fd), "dialed")
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == unix.EINPROGRESS || err == unix.EINTR {
		err = connected(f)
	}
	if err != nil {
		f.Close()
		return nil, errnoOf(err)
	}
	return f, 0
}

// connected waits for the kernel's answer to a connection that was begun.
func connected(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		if _, err := unix.Getpeername(int(fd)); err == nil {
			return true
		}
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			failed = err
		case errno != 0:
			failed = syscall.Errno(errno)
		}
		return failed != nil
	})
	if failed == nil {
		failed = err
	}
	return failed
}

// errnoOf is an error's number; that of an error without one is EIO.
func errnoOf(err error) syscall.Errno {
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return unix.EIO
}
