package sandbox

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Sight is what is seen of a sandbox's network.
type Sight interface {
	// Read gives the head of one packet. After Close it gives what had come until then.
	io.ReadCloser
	// Unseen is how many packets were lost for want of room since it was last asked; after Close, too.
	Unseen() (int64, error)
}

// sight is a packet socket (packet(7)).
type sight struct {
	f *os.File

	mu     sync.Mutex
	lost   int64    // not yet asked for
	left   [][]byte // that had come when it was closed
	closed bool
	err    error // of the counting at the end
}

// headBytes is room for what the watch keeps of a packet.
const headBytes = 64

func (s *sight) Read(b []byte) (int, error) {
	n, err := s.f.Read(b)
	if err == nil {
		return n, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		return 0, err
	}
	n = copy(b, s.left[0])
	s.left = s.left[1:]
	return n, nil
}

func (s *sight) Unseen() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.err = s.control(s.count)
	}
	n := s.lost
	s.lost = 0
	return n, s.err
}

// Close keeps what has come and the count of what did not, and closes the socket.
func (s *sight) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.closed = true
	s.err = s.control(func(fd int) error { return errors.Join(s.drain(fd), s.count(fd)) })
	return s.f.Close()
}

func (s *sight) control(do func(fd int) error) error {
	raw, err := s.f.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = do(int(fd)) }), err)
}

// count adds what the kernel has dropped since the last time, which asking sets back.
func (s *sight) count(fd int) error {
	stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err == nil {
		s.lost += int64(stats.Drops)
	}
	return err
}

// drain takes what waits to be read, which the socket's buffer bounds.
func (s *sight) drain(fd int) error {
	for {
		b := make([]byte, headBytes)
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		s.left = append(s.left, b[:n])
	}
}

var _ Sight = (*sight)(nil)
