package main

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// errClosed is the driver's end having closed.
var errClosed = errors.New("control socket closed")

// conn is the init's end of the control socket; blocking.
type conn struct{ fd int }

// read receives one frame with its descriptors.
func (c conn) read() (control.Header, []byte, []int, error) {
	head := make([]byte, control.HeaderSize)
	oob := make([]byte, unix.CmsgSpace(control.MaxFDs*4))
	n, oobn, _, _, err := retry4(func() (int, int, int, unix.Sockaddr, error) {
		return unix.Recvmsg(c.fd, head, oob, unix.MSG_CMSG_CLOEXEC)
	})
	if err != nil {
		return control.Header{}, nil, nil, wrap("read the control socket", err)
	}
	if n == 0 {
		return control.Header{}, nil, nil, errClosed
	}
	if err := c.fill(head[n:]); err != nil {
		return control.Header{}, nil, nil, err
	}
	h, err := control.ParseHeader(head)
	if err != nil {
		return h, nil, nil, err
	}
	fds, err := attached(oob[:oobn])
	if err != nil {
		return h, nil, nil, wrap("take descriptors", err)
	}
	if len(fds) != h.FDs {
		return h, nil, nil, wrap("descriptors are missing from a frame", nil)
	}
	body := make([]byte, h.Body)
	return h, body, fds, c.fill(body)
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
		f, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return nil, err
		}
		fds = append(fds, f...)
	}
	return fds, nil
}

func (c conn) fill(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(c.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return wrap("read the control socket", err)
		}
		if n == 0 {
			return errClosed
		}
		b = b[n:]
	}
	return nil
}

// write sends one frame with descriptors.
func (c conn) write(k control.Kind, body []byte, fds []int) error {
	b := control.Header{Kind: k, FDs: len(fds), Body: len(body)}.Append(nil)
	b = append(b, body...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, oob, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return wrap("write to the control socket", err)
		}
		b, oob = b[n:], nil
	}
	return nil
}

func retry4(f func() (int, int, int, unix.Sockaddr, error)) (int, int, int, unix.Sockaddr, error) {
	for {
		a, b, c, d, err := f()
		if err != unix.EINTR {
			return a, b, c, d, err
		}
	}
}
