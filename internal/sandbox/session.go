package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// session is the driver's end of the control socket.
type session struct{ conn *net.UnixConn }

// newSession makes a control socket; the second descriptor is the init's.
func newSession() (*session, int, error) {
	c, theirs, err := socketPair("control")
	if err != nil {
		return nil, -1, err
	}
	return &session{conn: c}, theirs, nil
}

// socketPair makes a stream socket pair: one end for Go's poller, one a bare descriptor.
func socketPair(name string) (*net.UnixConn, int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, err
	}
	f := os.NewFile(uintptr(fds[0]), name)
	c, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, -1, errors.Join(err, unix.Close(fds[1]))
	}
	return c.(*net.UnixConn), fds[1], nil
}

// send writes one frame with descriptors, which stay the caller's.
func (s *session) send(k control.Kind, body []byte, fds []int) error {
	b := control.Header{Kind: k, FDs: len(fds), Body: len(body)}.Append(make([]byte, 0, control.HeaderSize+len(body)))
	b = append(b, body...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	n, _, err := s.conn.WriteMsgUnix(b, oob, nil)
	for err == nil && n < len(b) {
		b = b[n:]
		n, err = s.conn.Write(b)
	}
	return err
}

// receive reads one frame; its descriptors are the caller's then.
func (s *session) receive() (control.Kind, []byte, []int, error) {
	head := make([]byte, control.HeaderSize)
	oob := make([]byte, unix.CmsgSpace(control.MaxFDs*4))
	n, oobn, _, _, err := s.conn.ReadMsgUnix(head, oob)
	if err != nil {
		return 0, nil, nil, err
	}
	if n == 0 {
		return 0, nil, nil, io.EOF
	}
	fds, err := attached(oob[:oobn])
	if err != nil {
		return 0, nil, nil, err
	}
	if _, err := io.ReadFull(s.conn, head[n:]); err != nil {
		return 0, nil, nil, errors.Join(err, closeAll(fds))
	}
	h, err := control.ParseHeader(head)
	if err == nil && h.FDs != len(fds) {
		err = fmt.Errorf("descriptors are missing from a frame: %w", control.ErrFrame)
	}
	if err != nil {
		return 0, nil, nil, errors.Join(err, closeAll(fds))
	}
	body := make([]byte, h.Body)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return 0, nil, nil, errors.Join(err, closeAll(fds))
	}
	return h.Kind, body, fds, nil
}

func attached(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		more, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return nil, errors.Join(err, closeAll(fds))
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func closeAll(fds []int) error {
	var errs []error
	for _, fd := range fds {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// failure is a Failed frame as an error.
func failure(id string, body []byte) error {
	f, err := control.ParseFailure(body)
	if err != nil {
		return &StartError{ID: id, Stage: "read the init's failure", Err: err}
	}
	e := &StartError{ID: id, Stage: f.Stage}
	if f.Errno != 0 {
		e.Err = syscall.Errno(f.Errno)
	}
	return e
}
