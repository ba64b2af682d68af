package main

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// door is a socket that the agent listens at.
type door struct {
	number int
	raw    syscall.RawConn
	file   *os.File

	datagram bool
	mu       sync.Mutex // held while a connection is admitted
}

// openDoors opens further doors, which are numbered in order.
func (a *agent) openDoors(doors []control.Door) error {
	fds, err := openDoors(doors)
	if err != nil {
		return err
	}
	for n, fd := range fds {
		f, err := pollable(fd, "door")
		if err != nil {
			return err
		}
		raw, err := f.SyscallConn()
		if err != nil {
			return wrap("hold a door", err)
		}
		d := &door{number: len(a.doors), raw: raw, file: f, datagram: doors[n].Datagram}
		a.doors = append(a.doors, d)
		if doors[n].Datagram {
			go a.receive(d)
		} else {
			go a.accept(d)
		}
	}
	return nil
}

// accept carries each connection at a door.
func (a *agent) accept(d *door) {
	for d.raw.Read(func(l uintptr) bool { return a.admit(d, int(l)) }) == nil {
	}
}

// admit takes what waits at a door, and tells whether something did.
func (a *agent) admit(d *door, listener int) bool {
	d.mu.Lock() // who has admitted has said so to the pumps
	defer d.mu.Unlock()
	for some := false; ; some = true {
		fd, from, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EAGAIN:
			return some
		case err == unix.EINTR || err == unix.ECONNABORTED:
			continue // who connected has gone
		case err != nil:
			return true // there are too many: it is refused
		}
		at, _ := unix.Getsockname(fd) // an address that cannot be told is empty
		a.carry(os.NewFile(uintptr(fd), "connection"), tether.Place{Door: d.number, At: wireAddress(at), From: wireAddress(from)})
	}
}

// sweep takes what processes that have ended had connected before.
func (a *agent) sweep() {
	for _, d := range a.doors {
		if !d.datagram {
			_ = d.raw.Control(func(l uintptr) { a.admit(d, int(l)) }) // it is open until the agent ends
		}
	}
}

// wireAddress is an address as the driver reads it: 4 or 16 bytes and the port.
func wireAddress(sa unix.Sockaddr) string {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return string(append(sa.Addr[:], byte(sa.Port>>8), byte(sa.Port)))
	case *unix.SockaddrInet6:
		return string(append(sa.Addr[:], byte(sa.Port>>8), byte(sa.Port)))
	}
	return ""
}

// readAddress is wireAddress backwards; nil when it is none.
func readAddress(s string) unix.Sockaddr {
	if len(s) < 2 {
		return nil
	}
	_, sa := sockaddr(control.Door{IP: s[:len(s)-2], Port: uint16(s[len(s)-2])<<8 | uint16(s[len(s)-1])})
	return sa
}

// carry joins a socket to a stream of the tether, in both directions.
func (a *agent) carry(f *os.File, p tether.Place) {
	s, err := a.t.Open(p)
	if err != nil {
		f.Close()
		return
	}
	both := make(chan struct{}, 2)
	a.pumps.Add(1)
	go func() {
		defer a.pumps.Done()
		pump(after{&a.out, s}, f) // as an answer to Bastide follows what was written before it
		if s.CloseWrite() != nil {
			s.Close()
		}
		both <- struct{}{}
	}()
	go func() {
		if !pump(f, s) {
			s.Close() // nobody inside reads any more
		}
		shutdown(f)
		both <- struct{}{}
	}()
	go func() {
		<-both
		<-both
		f.Close()
		s.Close()
	}()
}

// reader and writer are io's, which need not be linked for this.
type (
	reader interface{ Read([]byte) (int, error) }
	writer interface{ Write([]byte) (int, error) }
)

// pump copies until the end, and tells whether it was the source's.
func pump(to writer, from reader) bool {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return false
			}
		}
		if err != nil {
			return true
		}
	}
}

// shutdown says that nothing more is written.
func shutdown(f *os.File) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }) // it may be closed
	}
}

// receive carries each datagram at a door.
func (a *agent) receive(d *door) {
	buf := make([]byte, tether.MaxDatagram)
	for {
		n, from, err := 0, unix.Sockaddr(nil), error(nil)
		rerr := d.raw.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), buf, 0)
			return err != unix.EAGAIN
		})
		if rerr != nil {
			return
		}
		if err == nil {
			_ = a.t.Datagram(tether.Place{Door: d.number, From: wireAddress(from)}, buf[:n]) // lost with the driver
		}
	}
}

// answer sends the driver's datagram from a door.
func (a *agent) answer(p tether.Place, b []byte) error {
	to := readAddress(p.From)
	if p.Door >= len(a.doors) || to == nil {
		return tether.ErrBroken
	}
	return a.doors[p.Door].raw.Control(func(fd uintptr) {
		_ = unix.Sendto(int(fd), b, 0, to) // datagrams may be lost
	})
}
