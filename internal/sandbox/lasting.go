package sandbox

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/rights"
)

// What processes have said before they ended stays to be heard: a program may answer and end at once,
// and its end must not overtake its answer. The two types here keep what the kernel holds for this side
// when the descriptor goes, which is when the instance has ended. Neither can block then, as nobody is
// left who could say more.

// lasting is Bastide's end of a process's descriptor 3.
type lasting struct {
	*net.UnixConn
	in *rights.End // reads and closes it

	mu   sync.Mutex // held for a Read
	over bool
	rest []byte // read when it was over
}

// Read implements net.Conn; after the end it gives what is left, and then io.EOF.
func (l *lasting) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		return l.in.Read(b)
	}
	if len(l.rest) == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// Close implements net.Conn.
func (l *lasting) Close() error { return l.in.Close() }

// end gives the descriptor back.
func (l *lasting) end() error {
	// The processes are gone, but their end may be on its way somewhere: nothing is said on it any more, and
	// who waits in Read is let go. It fails where its user has closed it.
	_ = l.in.Shut()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest, l.over = l.in.Rest(), true
	return ignoreClosed(l.in.Close())
}

// Arrivals is the listener of a door. Connections that were made before its end can be accepted after it.
type Arrivals struct {
	*net.TCPListener

	mu     sync.Mutex // held for an Accept
	ending atomic.Bool
	over   bool
	rest   []net.Conn // accepted when it was over
}

// Accept implements net.Listener.
func (a *Arrivals) Accept() (net.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		c, err := a.TCPListener.Accept()
		if err == nil || !a.ending.Load() {
			return c, err
		}
		_ = a.gather() // whoever ends it hears of that too
	}
	if len(a.rest) == 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: a.Addr(), Err: net.ErrClosed}
	}
	c := a.rest[0]
	a.rest = a.rest[1:]
	return c, nil
}

// End gives the descriptor back, when nobody is left to connect.
func (a *Arrivals) End() error {
	a.ending.Store(true)
	if err := a.SetDeadline(time.Unix(1, 0)); err != nil { // so that who waits in Accept lets go
		return ignoreClosed(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gather()
}

// gather accepts what waits and closes; mu is held.
func (a *Arrivals) gather() error {
	if a.over {
		return nil
	}
	a.over = true
	raw, err := a.SyscallConn()
	if err != nil {
		return ignoreClosed(err)
	}
	err = raw.Control(func(fd uintptr) { a.rest = accepted(int(fd)) })
	return errors.Join(ignoreClosed(err), ignoreClosed(a.TCPListener.Close()))
}

func accepted(listener int) (all []net.Conn) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			return all
		}
		f := os.NewFile(uintptr(fd), "connection")
		if c, err := net.FileConn(f); err == nil {
			all = append(all, c)
		}
		_ = f.Close() // a copy of it is held
	}
}

// Close implements net.Listener: its user is done, and what waits is turned away.
func (a *Arrivals) Close() error {
	err := a.TCPListener.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, c := range a.rest {
		_ = c.Close() // nobody wants it
	}
	a.rest = nil
	return err
}

var (
	_ net.Conn     = (*lasting)(nil)
	_ net.Listener = (*Arrivals)(nil)
)
