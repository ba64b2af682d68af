package guest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// Box is what holds a guest: the driver's part of an instance.
type Box interface {
	// Freeze holds every process, and Thaw lets them go on. errors.ErrUnsupported leaves it to the
	// agent, which sends signals.
	Freeze() error
	Thaw() error
	// Bring shows late code and sets the limits that come with it, before the agent hears of it. The
	// specification is as the delivery changes it.
	Bring(sandbox.Spec, sandbox.Delivery) error
	// Weigh is told how many bytes of /tmp are in use.
	Weigh(tmp uint64)
	// Peak is the most memory that it had, in bytes.
	Peak() (int64, error)
	// Kill begins the end of everything; it is called before End in any case, and may be called often.
	Kill()
	// End returns when nothing is left. It is called once.
	End() End
}

// End is how a box ended.
type End struct {
	OOMKilled bool
	Peak      int64
	Why       error // what it said of an end that nobody asked for; nil for nothing
	Err       error // what of it could not be removed
}

// Options are the driver's choices for a start.
type Options struct {
	Proc      bool                               // mount /proc
	Filter    []byte                             // the seccomp program, as in control.Setup; empty: none
	Limits    func(sandbox.Spec) []control.Limit // the process's resource limits
	Unchanged bool                               // leave the host name
}

// Guest is the driver's end of an agent's stream.
type Guest struct {
	t      *tether.Tether
	stands chan struct{} // closed when the agent has spoken
	lost   chan struct{} // closed when the stream has ended
	why    error         // read after lost

	mu   sync.Mutex
	inst *instance
}

// Connect begins to talk to the agent at the other end of stream.
func Connect(stream io.ReadWriteCloser) *Guest {
	g := &Guest{stands: make(chan struct{}), lost: make(chan struct{})}
	g.t = tether.New(stream, tether.Handlers{Message: g.told, Opened: g.opened, Datagram: g.gram, Output: g.output})
	go func() {
		g.why = g.t.Run()
		close(g.lost)
	}()
	return g
}

// Stands is closed when the agent has said its first word.
func (g *Guest) Stands() <-chan struct{} { return g.stands }

// Lost is closed when the stream has ended.
func (g *Guest) Lost() <-chan struct{} { return g.lost }

// Weigh asks the agent how much of /tmp is in use, which Box.Weigh is told.
func (g *Guest) Weigh() error { return g.t.Message(tether.Usage, nil) }

// Close cuts the stream, at which the agent ends.
func (g *Guest) Close() error {
	if err := g.t.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // it has ended already
}

func (g *Guest) instance() *instance {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inst
}

// told takes the agent's words.
func (g *Guest) told(kind byte, body []byte) error {
	i := g.instance()
	if i == nil {
		select {
		case <-g.stands:
			return tether.ErrBroken
		default:
		}
		if control.Kind(kind) != control.Done {
			return tether.ErrBroken
		}
		close(g.stands)
		return nil
	}
	return i.told(kind, body)
}

func (g *Guest) opened(s *tether.Stream, p tether.Place) error {
	i := g.instance()
	if i == nil {
		return tether.ErrBroken
	}
	if p.Door == tether.DialedDoor {
		return i.reached(s, p)
	}
	d := i.door(p.Door)
	at, ok := address(p.At)
	from, known := address(p.From)
	if d == nil || d.conns == nil || !ok || !known {
		return tether.ErrBroken
	}
	d.arrive(conn{s, net.TCPAddrFromAddrPort(at), net.TCPAddrFromAddrPort(from)})
	return nil
}

func (g *Guest) gram(p tether.Place, b []byte) error {
	i := g.instance()
	if i == nil {
		return tether.ErrBroken
	}
	d := i.door(p.Door)
	from, ok := address(p.From)
	if d == nil || d.grams == nil || !ok {
		return tether.ErrBroken
	}
	select {
	case d.grams <- gram{from, append([]byte(nil), b...)}:
	default: // as a full socket buffer does
	}
	return nil
}

func (g *Guest) output(id uint32, b []byte) {
	if i := g.instance(); i != nil {
		i.take(id, b)
	}
}

// Start has the agent run spec's process, and returns when it has been executed. From then on the box
// is the instance's. When it fails, the box has ended.
func (g *Guest) Start(ctx context.Context, spec sandbox.Spec, box Box, o Options) (sandbox.Instance, error) {
	i := newInstance(g, spec, box)
	i.limits = o.Limits
	if err := i.wires(); err != nil {
		return nil, errors.Join(&sandbox.StartError{ID: spec.ID, Stage: "lay the wires", Err: err}, i.abandon())
	}
	select {
	case <-g.stands: // its first word is no answer to anything
	case <-g.lost:
	case <-ctx.Done():
		return nil, errors.Join(&sandbox.StartError{ID: spec.ID, Stage: "wait for the agent", Err: ctx.Err()}, i.abandon())
	}
	g.mu.Lock()
	g.inst = i
	g.mu.Unlock()
	go i.follow()
	if err := i.instruct(o); err != nil {
		<-g.lost // with a better reason, perhaps
		i.settle(&sandbox.StartError{ID: spec.ID, Stage: "instruct the agent", Err: errors.Join(err, g.why)})
	}
	select {
	case <-i.started:
	case <-ctx.Done():
		return nil, errors.Join(&sandbox.StartError{ID: spec.ID, Stage: "wait for the process", Err: ctx.Err()}, i.Kill())
	}
	if i.startErr != nil {
		box.Kill()
		<-i.done
		return nil, errors.Join(i.startErr, i.leftErr)
	}
	return i, nil
}

// instruct says everything at once; the agent works it off.
func (i *instance) instruct(o Options) error {
	_, doors, err := sandbox.Wire(i.spec.Doors, i.spec.Late)
	if err != nil {
		return err
	}
	s := control.Setup{Proc: o.Proc, TmpBytes: uint64(i.spec.TmpBytes), Doors: doors, Limits: o.Limits(i.spec), Filter: o.Filter, Late: i.spec.Late}
	if !o.Unchanged {
		s.Hostname = i.spec.Hostname
	}
	if err := i.guest.t.Message(byte(control.Config), s.Append([]byte{i.carried()})); err != nil {
		return err
	}
	if i.waits() {
		return nil
	}
	return i.execute(i.spec.Argv, i.spec.Env, i.spec.Dir)
}

func (i *instance) execute(argv, env []string, dir string) error {
	p := control.Process{Argv: argv, Env: env, Dir: dir}
	return i.guest.t.Message(byte(control.Start), p.Append(nil))
}

// waits tells whether the start is not the process's: a delivery or Begin says when it is executed.
func (i *instance) waits() bool { return len(i.spec.Argv) == 0 || i.spec.Held }

// carried are the wires that the agent is to lay.
func (i *instance) carried() byte {
	b := carriedOutput(i.spec.Stdout, i.spec.Stderr)
	if i.spec.Channel {
		b |= tether.WireChannel
	}
	return b
}

func carriedOutput(stdout, stderr io.Writer) (b byte) {
	if stdout != nil {
		b |= tether.WireStdout
	}
	if stderr != nil {
		b |= tether.WireStderr
	}
	if stdout != nil && stdout == stderr {
		b |= tether.WireJoined
	}
	return b
}

// wires makes the driver's ends of what is carried.
func (i *instance) wires() error {
	if err := i.write(0, i.spec.Stdout, i.spec.Stderr); err != nil {
		return err
	}
	if err := i.hang(i.spec.Doors); err != nil {
		return err
	}
	if i.spec.Channel {
		i.channel = conn{i.guest.t.Stream(tether.Channel), stream{}, stream{}}
	}
	return nil
}

// hang makes the outer ends of further doors.
func (i *instance) hang(specs []sandbox.DoorSpec) error {
	specs, _, err := sandbox.Wire(specs, i.spec.Late)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, spec := range specs {
		at, err := netip.ParseAddrPort(spec.Address)
		if err != nil {
			return err
		}
		i.doors = append(i.doors, newDoor(len(i.doors), spec, at, i.guest.t))
	}
	return nil
}

// failure is a Failed message as an error.
func failure(id string, body []byte) error {
	f, err := control.ParseFailure(body)
	if err != nil {
		return &sandbox.StartError{ID: id, Stage: "read the agent's failure", Err: err}
	}
	e := &sandbox.StartError{ID: id, Stage: f.Stage}
	if f.Errno != 0 {
		e.Err = syscall.Errno(f.Errno)
	}
	return e
}
