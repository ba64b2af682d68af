package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// several is what an instance knows of the processes beside its first one, and of connections that
// are being opened into it.
type several struct {
	count   int                  // of those spawned; under control
	spawned chan control.Failure // the answer to the one Spawn under way
	ended   chan sandbox.Ended

	mu    sync.Mutex
	tag   uint32
	dials map[uint32]chan dialed // that await their answers; nil once no answer comes any more
}

type dialed struct {
	c   net.Conn
	err error
}

func newSeveral() several {
	// no process ends twice, so that a slow reader of ended never keeps the instance
	return several{spawned: make(chan control.Failure, 1), ended: make(chan sandbox.Ended, sandbox.MaxProcesses+1), dials: map[uint32]chan dialed{}}
}

// awake refuses what a frozen agent could not answer; under control.
func (i *instance) awake() error {
	select {
	case <-i.done:
		return errEnded
	default:
	}
	if i.frozen {
		return errors.New("sandbox: the instance is frozen")
	}
	return nil
}

// Begin implements sandbox.Several.
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
	return i.run(ctx, i.spec)
}

// Spawn implements sandbox.Several.
func (i *instance) Spawn(ctx context.Context, p sandbox.Process) (int, error) {
	p, err := p.Prepared(i.spec.Dir)
	if err != nil {
		return 0, err
	}
	i.control.Lock()
	defer i.control.Unlock()
	if err := i.awake(); err != nil {
		return 0, err
	}
	if i.several.count >= sandbox.MaxProcesses {
		return 0, fmt.Errorf("sandbox: more than %d processes", sandbox.MaxProcesses)
	}
	i.several.count++
	number := i.several.count
	stdout, stderr := writerOf(p.Stdout), writerOf(p.Stderr)
	if err := i.write(number, stdout, stderr); err != nil {
		return 0, err
	}
	c := control.Child{Number: uint64(number), Process: control.Process{Argv: p.Argv, Env: p.Env, Dir: p.Dir}}
	if err := i.guest.t.Message(byte(control.Spawn), c.Append([]byte{carriedOutput(stdout, stderr)})); err != nil {
		return 0, errors.Join(errEnded, err)
	}
	select {
	case f := <-i.several.spawned:
		if f.Stage != "" {
			return number, &sandbox.StartError{ID: i.spec.ID, Stage: f.Stage, Err: syscall.Errno(f.Errno)}
		}
		return number, nil
	case <-i.done:
		return 0, errEnded
	case <-ctx.Done():
		return 0, errors.Join(&sandbox.StartError{ID: i.spec.ID, Stage: "wait for a process", Err: ctx.Err()}, i.Kill())
	}
}

// writerOf is a file as a writer; none is nil.
func writerOf(f *os.File) io.Writer {
	if f == nil {
		return nil
	}
	return f
}

// answered takes the answer to a Spawn.
func (s *several) answered(body []byte) error {
	f, err := control.ParseFailure(body)
	if err != nil {
		return err
	}
	select {
	case s.spawned <- f:
		return nil
	default:
		return tether.ErrBroken
	}
}

// Signal implements sandbox.Several.
func (i *instance) Signal(number int, sig syscall.Signal) error {
	i.control.Lock()
	defer i.control.Unlock()
	if err := i.awake(); err != nil {
		return err
	}
	return i.ask(control.Signal, control.Sign{Number: uint64(number), Signal: uint64(sig)}.Append(nil))
}

// Ended implements sandbox.Several.
func (i *instance) Ended() <-chan sandbox.Ended { return i.several.ended }

// endedBeside takes the end of one of several processes.
func (i *instance) endedBeside(body []byte) error {
	v, err := control.ParseEnd(body)
	if err != nil || v.Number > sandbox.MaxProcesses {
		return tether.ErrBroken
	}
	e := sandbox.Ended{Number: int(v.Number)}
	if e.Code, e.Signal = status(v.Status); e.Number == 0 {
		i.ended(v.Status)
	}
	select {
	case i.several.ended <- e:
		return nil
	default:
		return tether.ErrBroken
	}
}

// Dial implements sandbox.Dialer.
func (i *instance) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	to := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: err}
	}
	answer := make(chan dialed, 1)
	s := &i.several
	s.mu.Lock()
	if s.dials == nil {
		s.mu.Unlock()
		return fail(errEnded)
	}
	s.tag++
	tag := s.tag
	s.dials[tag] = answer
	s.mu.Unlock()
	if err := i.guest.t.Message(tether.Dial, tether.Call{Tag: tag, Value: uint32(port)}.Append(nil)); err != nil {
		return fail(errors.Join(errEnded, err))
	}
	select {
	case d := <-answer:
		if d.err != nil {
			return fail(d.err)
		}
		return d.c, nil
	case <-ctx.Done():
		go func() { // the answer comes, at the latest with the instance's end
			if d := <-answer; d.err == nil {
				_ = d.c.Close() // nobody has used it
			}
		}()
		return fail(ctx.Err())
	}
}

// answer gives a Dial its answer.
func (s *several) answer(tag uint32, d dialed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.dials[tag]
	if c == nil {
		return tether.ErrBroken
	}
	delete(s.dials, tag)
	c <- d // has room
	return nil
}

// reached takes a connection that was asked for.
func (i *instance) reached(s *tether.Stream, p tether.Place) error {
	tag, err := tether.ParseTag(p.At)
	if err != nil {
		return err
	}
	return i.several.answer(tag, dialed{c: conn{s, stream{}, stream{}}})
}

// unreached takes the news that one could not be made.
func (i *instance) unreached(body []byte) error {
	c, err := tether.ParseCall(body)
	if err != nil {
		return err
	}
	return i.several.answer(c.Tag, dialed{err: syscall.Errno(c.Value)})
}

// close lets everybody go who waits for the agent, which has gone.
func (s *several) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.dials {
		c <- dialed{err: errEnded}
	}
	s.dials = nil
	close(s.ended)
}

// What an agent can have, and what a driver can ask of it, is the same.
var _ [sandbox.MaxProcesses]struct{} = [tether.MaxProcesses]struct{}{}

var (
	_ sandbox.Several = (*instance)(nil)
	_ sandbox.Dialer  = (*instance)(nil)
)
