package rights

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is an end and its other one, a bare descriptor in blocking mode.
func pair(t *testing.T, take func(Socket, func()) (*End, error), told func()) (*End, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "end")
	c, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	e, err := take(c.(*net.UnixConn), told)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e, fds[1]
}

// lingering is a connection whose first end, a bare descriptor, has unsent bytes and waits a day for its
// second to read them.
func lingering(t *testing.T) (int, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err := errors.Join(err, c.Close(), unix.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 64<<10))
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 86400}); err != nil {
		t.Fatal(err)
	}
	return fd, other.(*net.TCPConn)
}

// give sends a lingering end and keeps nothing of it; inside of another socket if it is nested.
func give(t *testing.T, to, flags int, nested bool) *net.TCPConn {
	t.Helper()
	fd, other := lingering(t)
	gift := fd
	if nested {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(unix.Sendmsg(fds[0], []byte("."), unix.UnixRights(fd), nil, 0), unix.Close(fds[0]), unix.Close(fd)); err != nil {
			t.Fatal(err)
		}
		gift = fds[1]
	}
	if err := errors.Join(unix.Sendmsg(to, []byte("."), unix.UnixRights(gift), nil, flags), unix.Close(gift)); err != nil {
		t.Fatal(err)
	}
	return other
}

// TestTake: whatever comes is closed, and nobody waits for it.
func TestTake(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  int
		nested bool
	}{{"in band", 0, false}, {"out of band", unix.MSG_OOB, false}, {"in another socket", 0, true}} {
		t.Run(c.name, func(t *testing.T) {
			var told sync.WaitGroup
			told.Add(1) // a second call would panic
			e, theirs := pair(t, Take, told.Done)
			if _, err := unix.Write(theirs, []byte("before")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 6)
			if n, err := e.Read(b); err != nil || string(b[:n]) != "before" {
				t.Errorf("%q %v", b[:n], err)
			}
			var others []*net.TCPConn
			for range 3 {
				others = append(others, give(t, theirs, c.flags, c.nested))
			}
			if _, err := unix.Write(theirs, []byte("after")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if n, err := e.Read(b); n != 0 || err != ErrSent {
					t.Errorf("%d %v", n, err)
				}
			}
			told.Wait()
			if err := e.Close(); err != nil { // what was not read is in the socket
				t.Error(err)
			}
			if err := unix.Sendmsg(theirs, []byte("."), nil, nil, unix.MSG_NOSIGNAL); err != unix.EPIPE {
				t.Errorf("it can be said on: %v", err)
			}
			for _, other := range others {
				if _, err := io.Copy(io.Discard, other); err != nil && !errors.Is(err, unix.ECONNRESET) {
					t.Error(err) // it ends only when the kernel has closed its other end
				}
			}
			if err := unix.Close(theirs); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRefuse: where the kernel can, the sender is told, and its socket goes on.
func TestRefuse(t *testing.T) {
	e, theirs := pair(t, Refuse, nil)
	if !e.refuses {
		give(t, theirs, 0, false)
		if _, err := e.Read(make([]byte, 1)); err != ErrSent {
			t.Errorf("on an older kernel: %v", err)
		}
		return
	}
	for _, flags := range []int{0, unix.MSG_OOB} {
		if err := unix.Sendmsg(theirs, []byte("."), unix.UnixRights(theirs), nil, flags); err != unix.EPERM {
			t.Errorf("flags %#x: %v", flags, err)
		}
	}
	if _, err := unix.Write(theirs, []byte("bytes")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 9)
	if n, err := e.Read(b); err != nil || string(b[:n]) != "bytes" {
		t.Errorf("%q %v", b[:n], err)
	}
}

// TestShut: who waits is let go though the other end is open, and what was said is not lost.
func TestShut(t *testing.T) {
	for name, take := range map[string]func(Socket, func()) (*End, error){"Refuse": Refuse, "Take": Take} {
		e, theirs := pair(t, take, nil)
		read := make(chan error)
		go func() {
			_, err := e.Read(make([]byte, 1))
			read <- err
		}()
		if err := e.Shut(); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if err := unix.Sendmsg(theirs, []byte("."), nil, nil, unix.MSG_NOSIGNAL); err != unix.EPIPE {
			t.Errorf("%s: %v", name, err)
		}
		e, theirs = pair(t, take, nil)
		if _, err := unix.Write(theirs, []byte("last words")); err != nil {
			t.Fatal(err)
		}
		if err := e.Shut(); err != nil {
			t.Fatal(err)
		}
		if got := string(e.Rest()); got != "last words" {
			t.Errorf("%s: %q", name, got)
		}
		if err := e.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := e.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s, closed: %v", name, err)
		}
	}
}
