// Package rights keeps descriptors out of what functions say. Whoever holds one end of a unix socket may send
// descriptors to the other (SCM_RIGHTS, unix(7)), and what the receiver does not take the kernel closes in the
// receiver's own thread. The last close of a TCP socket with SO_LINGER waits as long as its owner has set,
// which is no wait that a server should be sent to.
//
// An End is Bastide's end of such a socket. Linux 6.16 and newer refuse the descriptors to their sender
// (SO_PASSRIGHTS). On others an End takes them all, which no function has a reason to send: its socket is of
// no use from then on, and a thread that ends closes them, since the kernel does not linger for one.
package rights

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
)

// ErrSent is what reading says after descriptors were sent.
var ErrSent = errors.New("descriptors were sent where only bytes are taken")

// most is how many descriptors one message carries (the kernel's SCM_MAX_FD).
const most = 253

// Socket is a connected unix socket in non-blocking mode: a *net.UnixConn or an *os.File.
type Socket interface {
	io.ReadCloser
	SyscallConn() (syscall.RawConn, error)
}

// End is an end that takes bytes and no descriptors. It is all that may read or close its Socket.
type End struct {
	socket  Socket
	raw     syscall.RawConn
	refuses bool // the kernel does
	told    func()
	once    sync.Once
	broken  atomic.Bool
	room    []byte // for what comes with the bytes that Read reads
}

// Refuse makes an end; before the other one is given away. told is called, once and in a goroutine of its
// own, if descriptors arrive nevertheless; nil: nobody is.
func Refuse(s Socket, told func()) (*End, error) { return take(s, told, true) }

// Take is Refuse as on a kernel that cannot.
func Take(s Socket, told func()) (*End, error) { return take(s, told, false) }

func take(s Socket, told func(), ask bool) (*End, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	e := &End{socket: s, raw: raw, told: told, room: make([]byte, unix.CmsgSpace(most*4))}
	cerr := raw.Control(func(fd uintptr) {
		if ask && refuse(int(fd)) {
			e.refuses, e.room = true, nil
			return
		}
		// or a byte out of band, with what is attached to it, is dropped at the next read
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	})
	return e, errors.Join(cerr, err)
}

// refuse asks the kernel, and whether it has understood.
func refuse(fd int) bool {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) != nil {
		return false
	}
	passes, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
	return err == nil && passes == 0
}

// Read implements io.Reader. The error is ErrSent once descriptors have come.
func (e *End) Read(b []byte) (int, error) {
	if e.refuses || len(b) == 0 {
		return e.socket.Read(b)
	}
	n, err := 0, error(nil)
	rerr := e.raw.Read(func(fd uintptr) bool { // one at a time
		n, err = e.receive(int(fd), b, e.room)
		return err != unix.EAGAIN
	})
	switch {
	case rerr != nil:
		return 0, rerr
	case e.broken.Load():
		return 0, ErrSent
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// receive reads once. What comes with the bytes breaks the end.
func (e *End) receive(fd int, b, room []byte) (int, error) {
	for {
		n, with, flags, _, err := unix.Recvmsg(fd, b, room, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err == nil && (with > 0 || flags&unix.MSG_CTRUNC != 0) {
			e.broken.Store(true)
			e.once.Do(func() {
				if e.told != nil {
					go e.told()
				}
			})
			discard(sent(room[:with]))
		}
		return max(n, 0), err
	}
}

// sent are the descriptors in a message.
func sent(with []byte) (fds []int) {
	all, err := unix.ParseSocketControlMessage(with)
	if err != nil {
		return nil // the kernel wrote it
	}
	for i := range all {
		some, err := unix.ParseUnixRights(&all[i])
		if err == nil {
			fds = append(fds, some...)
		}
	}
	return fds
}

// discard closes descriptors in the end of a thread, in which the kernel does not linger, neither for them
// nor for what they hold: a thread gets a table of its own, the one of all gives them up, the thread ends.
func discard(fds []int) {
	if len(fds) == 0 {
		return
	}
	apart, given := make(chan bool), make(chan struct{})
	go func() { // before that thread, so that it is none of its making
		defer close(given)
		if <-apart {
			closeAll(fds)
		}
	}()
	thread.Go(func() {
		err := unix.Unshare(unix.CLONE_FILES)
		if err != nil { // the kernel has no memory for it; this thread may wait then, and nobody for it
			for _, fd := range fds {
				_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // where it is a socket
			}
			closeAll(fds)
		}
		apart <- err == nil
		<-given
	})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // it was never wanted
	}
}

// Shut lets nothing more be said. Who waits in Read is let go, after what was said before.
func (e *End) Shut() error {
	var err error
	return errors.Join(e.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RD) }), err)
}

// Rest reads what was said before Shut; that is no more than the socket's buffer.
func (e *End) Rest() (all []byte) {
	_ = e.raw.Control(func(fd uintptr) { // it fails where its user has closed it
		b, room := make([]byte, 64<<10), make([]byte, len(e.room))
		for {
			n, err := e.receive(int(fd), b, room)
			if err != nil || n == 0 {
				return
			}
			if !e.broken.Load() {
				all = append(all, b[:n]...)
			}
		}
	})
	return all
}

// Close implements io.Closer. Nothing is left then that the kernel would close.
func (e *End) Close() error {
	if !e.refuses {
		_ = e.Shut() // it fails where it is closed
		e.Rest()
	}
	return e.socket.Close()
}
