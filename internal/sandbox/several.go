package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// several is what an instance knows of the processes beside its first one, and of connections that
// are being opened into it.
type several struct {
	begun bool // a held process; under control

	spawned chan control.Failure // the answer to the one Spawn under way
	ended   chan Ended
	count   int // of those spawned; under control

	dialing sync.Mutex
	dials   []chan dialed // that await their answers, in the order of the questions
	over    bool          // no answer comes any more
}

type dialed struct {
	fd  int
	err error
}

func newSeveral() several {
	// no process ends twice, so that a slow reader of ended never keeps the instance
	return several{spawned: make(chan control.Failure, 1), ended: make(chan Ended, MaxProcesses+1)}
}

func (i *instance) sendStart(fds []int) error {
	p, err := i.process(i.spec.Argv, i.spec.Env, i.spec.Dir)
	if err != nil {
		return err
	}
	return i.session.send(control.Start, p.Append(nil), fds)
}

// Begin implements Several.
func (i *instance) Begin(ctx context.Context) error {
	i.control.Lock()
	defer i.control.Unlock()
	if err := i.awake(); err != nil {
		return err
	}
	if !i.spec.Held || i.begun {
		return errors.New("sandbox: the process is not held")
	}
	i.begun = true
	held := i.release()
	if err := errors.Join(i.sendStart(held), closeAll(held)); err != nil {
		return errors.Join(errEnded, err)
	}
	select {
	case <-i.ran:
		return nil
	case <-i.done:
		return i.running()
	case <-ctx.Done():
		return errors.Join(&StartError{ID: i.spec.ID, Stage: "wait for the process", Err: ctx.Err()}, i.Kill())
	}
}

// Spawn implements Several.
func (i *instance) Spawn(ctx context.Context, p Process) (int, error) {
	p, err := p.Prepared(i.spec.Dir)
	if err != nil {
		return 0, err
	}
	i.control.Lock()
	defer i.control.Unlock()
	if err := i.awake(); err != nil {
		return 0, err
	}
	if i.count >= MaxProcesses {
		return 0, fmt.Errorf("sandbox: more than %d processes", MaxProcesses)
	}
	process, err := i.process(p.Argv, p.Env, p.Dir)
	if err != nil {
		return 0, err
	}
	i.count++
	c := control.Child{Number: uint64(i.count), Process: process}
	fds := []int{int(i.driver.null.Fd()), int(i.driver.null.Fd())}
	for n, f := range []*os.File{p.Stdout, p.Stderr} {
		if f != nil {
			fds[n] = int(f.Fd())
		}
	}
	if err := i.session.send(control.Spawn, c.Append(nil), fds); err != nil {
		return 0, errors.Join(errEnded, err)
	}
	select {
	case f := <-i.spawned:
		if f.Stage != "" {
			return i.count, &StartError{ID: i.spec.ID, Stage: f.Stage, Err: syscall.Errno(f.Errno)}
		}
		return i.count, nil
	case <-i.done:
		return 0, i.ending()
	case <-ctx.Done():
		return 0, errors.Join(&StartError{ID: i.spec.ID, Stage: "wait for a process", Err: ctx.Err()}, i.Kill())
	}
}

// awake refuses what a frozen init could not answer; under control.
func (i *instance) awake() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.gone:
		return errEnded
	case i.frozen:
		return errors.New("sandbox: the instance is frozen")
	}
	return nil
}

// Signal implements Several.
func (i *instance) Signal(number int, sig syscall.Signal) error {
	i.control.Lock()
	defer i.control.Unlock()
	if err := i.awake(); err != nil {
		return err
	}
	s := control.Sign{Number: uint64(number), Signal: uint64(sig)}
	if err := i.session.send(control.Signal, s.Append(nil), nil); err != nil {
		return errors.Join(errEnded, err)
	}
	return i.acknowledged()
}

// Ended implements Several.
func (i *instance) Ended() <-chan Ended { return i.ended }

// Dial implements Dialer.
func (i *instance) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	answer := make(chan dialed, 1)
	if err := i.ask(port, answer); err != nil {
		return nil, err
	}
	select {
	case d := <-answer:
		if d.err != nil {
			return nil, dialError(port, d.err)
		}
		return connected(ctx, d.fd, port)
	case <-ctx.Done():
		go func() { // the answer comes, at the latest with the instance's end
			if d := <-answer; d.err == nil {
				_ = unix.Close(d.fd)
			}
		}()
		return nil, dialError(port, ctx.Err())
	}
}

// ask sends a question, so that answers come in the order of dials.
func (i *instance) ask(port uint16, answer chan dialed) error {
	i.dialing.Lock()
	defer i.dialing.Unlock()
	if i.over {
		return dialError(port, errEnded)
	}
	if err := i.session.send(control.Dial, control.Port(port).Append(nil), nil); err != nil {
		return dialError(port, errors.Join(errEnded, err))
	}
	i.dials = append(i.dials, answer)
	return nil
}

func dialError(port uint16, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}, Err: err}
}

// connected waits for a connection that the init has begun.
func connected(ctx context.Context, fd int, port uint16) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "dialed")
	defer f.Close() // FileConn takes a copy
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, dialError(port, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer stop()
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		if _, err := unix.Getpeername(int(fd)); err == nil {
			return true
		}
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			failed = err
		} else if errno != 0 {
			failed = syscall.Errno(errno)
		}
		return failed != nil
	})
	if err = errors.Join(failed, err, ctx.Err()); err != nil {
		return nil, dialError(port, err)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, dialError(port, err)
	}
	return c, nil
}

// hear takes an answer of the init; own says that the specification's own process ended.
func (i *instance) hear(kind control.Kind, body []byte, fds []int) (said Ended, own bool, err error) {
	switch kind {
	case control.Spawned:
		f, err := control.ParseFailure(body)
		if err != nil {
			return said, false, err
		}
		select {
		case i.spawned <- f:
			return said, false, nil
		default:
			return said, false, control.ErrFrame
		}
	case control.Ended:
		v, err := control.ParseEnd(body)
		if err != nil || v.Number > MaxProcesses {
			return said, false, control.ErrFrame
		}
		e := statusExit(v.Status)
		said = Ended{Number: int(v.Number), Code: e.Code, Signal: e.Signal}
		select {
		case i.ended <- said:
			return said, said.Number == 0, nil
		default:
			return said, false, control.ErrFrame
		}
	}
	f, err := control.ParseFailure(body)
	if err != nil || (f.Stage == "") != (len(fds) == 1) {
		return said, false, errors.Join(control.ErrFrame, closeAll(fds))
	}
	i.dialing.Lock()
	defer i.dialing.Unlock()
	if len(i.dials) == 0 {
		return said, false, errors.Join(control.ErrFrame, closeAll(fds))
	}
	answer := dialed{fd: -1, err: syscall.Errno(f.Errno)}
	if len(fds) == 1 {
		answer = dialed{fd: fds[0]}
	}
	i.dials[0] <- answer // has room
	i.dials = i.dials[1:]
	return said, false, nil
}

// close lets everybody go who waits for the init.
func (s *several) close() {
	s.dialing.Lock()
	s.over = true
	for _, answer := range s.dials {
		answer <- dialed{fd: -1, err: errEnded}
	}
	s.dials = nil
	s.dialing.Unlock()
	close(s.ended)
}

var (
	_ Several = (*instance)(nil)
	_ Dialer  = (*instance)(nil)
)
