package guest

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// errEnded is asking something of an instance that has ended.
var errEnded = errors.New("sandbox: the instance has ended")

// instance is a sandbox.Instance.
type instance struct {
	guest   *Guest
	spec    sandbox.Spec
	box     Box
	limits  func(sandbox.Spec) []control.Limit
	channel net.Conn
	outputs outputs
	several several

	started  chan struct{} // closed when the process runs, or cannot
	startErr error         // read after started
	ran      chan struct{} // closed when it has been executed
	acks     chan struct{}

	control   sync.Mutex // one Freeze, Thaw, Deliver, Begin, Spawn or Signal at a time, and the next three
	delivered bool
	frozen    bool
	begun     bool // a held process

	asked atomic.Bool // somebody wants the end

	mu    sync.Mutex
	doors []*door
	exit  sandbox.Exit
	said  bool // the agent has told of the process's end

	done chan struct{} // closed when nothing is left
	left chan sandbox.Exit
	// read after done
	leftErr error
}

func newInstance(g *Guest, spec sandbox.Spec, box Box) *instance {
	return &instance{
		guest: g, spec: spec, box: box,
		started: make(chan struct{}), ran: make(chan struct{}), acks: make(chan struct{}, 1),
		done: make(chan struct{}), left: make(chan sandbox.Exit, 1), several: newSeveral(),
		exit: sandbox.Exit{Code: -1, Signal: int(unix.SIGKILL)}, // unless the agent says otherwise
	}
}

// told takes the agent's words.
func (i *instance) told(kind byte, body []byte) error {
	switch {
	case kind == tether.Usage:
		n, err := tether.ParseUsage(body)
		if err != nil {
			return err
		}
		i.box.Weigh(n)
		return nil
	case control.Kind(kind) == control.Ready:
		if i.waits() {
			i.settle(nil)
		}
		return nil
	case control.Kind(kind) == control.Started:
		select {
		case <-i.ran:
			return tether.ErrBroken
		default:
		}
		close(i.ran)
		i.settle(nil)
		return nil
	case control.Kind(kind) == control.Done:
		select {
		case i.acks <- struct{}{}:
			return nil
		default:
			return tether.ErrBroken
		}
	case control.Kind(kind) == control.Exited:
		return i.exited(body)
	case control.Kind(kind) == control.Spawned:
		return i.several.answered(body)
	case control.Kind(kind) == control.Ended:
		return i.endedBeside(body)
	case kind == tether.Dialed:
		return i.unreached(body)
	case control.Kind(kind) == control.Failed:
		err := failure(i.spec.ID, body)
		i.mu.Lock()
		i.exit.Err = err
		i.mu.Unlock()
		i.settle(err)
		return nil
	}
	return tether.ErrBroken
}

func (i *instance) exited(body []byte) error {
	s, err := control.ParseStatus(body)
	if err != nil {
		return err
	}
	i.ended(s)
	return nil
}

// ended notes how the process ended that all this was for.
func (i *instance) ended(s control.Status) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.said = true
	i.exit.Code, i.exit.Signal = status(s)
}

// status is as in sandbox.Exit.
func status(s control.Status) (code, signal int) {
	if s.Signal != 0 {
		return -1, int(s.Signal)
	}
	return int(s.Code), 0
}

// settle decides the start, the first time it is called.
func (i *instance) settle(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.started:
	default:
		i.startErr = err
		close(i.started)
	}
}

// follow waits for the end and takes everything away.
func (i *instance) follow() {
	<-i.guest.lost
	asked := i.asked.Swap(true)
	i.box.Kill()
	i.settle(&sandbox.StartError{ID: i.spec.ID, Stage: "the sandbox ended before the process ran", Err: errors.Join(sandbox.ErrCutShort, i.guest.why)})
	end := i.box.End()
	i.mu.Lock()
	exit := i.exit
	if end.OOMKilled {
		exit.Code, exit.Signal, exit.OOMKilled = -1, int(unix.SIGKILL), true
	}
	if !i.said && !asked && !end.OOMKilled && exit.Err == nil {
		exit.Err = &sandbox.StartError{ID: i.spec.ID, Stage: "the sandbox ended by itself", Err: end.Why}
	}
	doors := i.doors
	i.mu.Unlock()
	exit.Peak = end.Peak
	i.leftErr = end.Err
	for _, d := range doors {
		d.end()
	}
	i.leftErr = errors.Join(i.leftErr, i.outputs.close())
	exit.Err = errors.Join(exit.Err, i.leftErr)
	i.left <- exit
	close(i.left)
	close(i.done)
	i.several.close()
}

// abandon ends what never became an instance.
func (i *instance) abandon() error {
	i.box.Kill()
	err := i.guest.Close()
	<-i.guest.lost
	return errors.Join(err, i.box.End().Err, i.outputs.close())
}

func (i *instance) door(n int) *door {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n >= len(i.doors) {
		return nil
	}
	return i.doors[n]
}

// Doors implements sandbox.Instance.
func (i *instance) Doors() map[string]sandbox.Door {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := map[string]sandbox.Door{}
	for _, d := range i.doors {
		all[d.spec.Name] = d.door()
	}
	return all
}

// Channel implements sandbox.Instance.
func (i *instance) Channel() net.Conn { return i.channel }

// Wait implements sandbox.Instance.
func (i *instance) Wait() <-chan sandbox.Exit { return i.left }

// Kill implements sandbox.Instance.
func (i *instance) Kill() error {
	i.asked.Store(true)
	i.box.Kill()
	<-i.done
	return i.leftErr
}

// MemoryPeak implements sandbox.Instance.
func (i *instance) MemoryPeak() (int64, error) {
	select {
	case <-i.done:
		return 0, errEnded
	default:
		return i.box.Peak()
	}
}

// Weight implements sandbox.Weigher, for a box that is one.
func (i *instance) Weight() int64 {
	if w, ok := i.box.(sandbox.Weigher); ok {
		return w.Weight()
	}
	return 0
}

// Freeze implements sandbox.Instance.
func (i *instance) Freeze() error { return i.hold(i.box.Freeze, control.Stop, true) }

// Thaw implements sandbox.Instance.
func (i *instance) Thaw() error { return i.hold(i.box.Thaw, control.Continue, false) }

func (i *instance) hold(box func() error, word control.Kind, still bool) error {
	i.control.Lock()
	defer i.control.Unlock()
	select {
	case <-i.done:
		return errEnded
	default:
	}
	err := box()
	if errors.Is(err, errors.ErrUnsupported) {
		err = i.ask(word, nil)
	}
	if err == nil {
		i.frozen = still
	}
	return err
}

// ask says something and waits for the agent's Done.
func (i *instance) ask(word control.Kind, body []byte) error {
	if err := i.guest.t.Message(byte(word), body); err != nil {
		return errors.Join(errEnded, err)
	}
	select {
	case <-i.acks:
		return nil
	case <-i.done:
	}
	select {
	case <-i.acks: // before it ended
		return nil
	default:
		return errors.Join(errEnded, i.leftErr)
	}
}

// Deliver implements sandbox.Receiver.
func (i *instance) Deliver(d sandbox.Delivery) error {
	i.control.Lock()
	defer i.control.Unlock()
	if !i.spec.Late || i.delivered {
		return errors.New("sandbox: the instance awaits no code")
	}
	i.delivered = true
	spec, err := i.spec.Received(d)
	if err != nil {
		return err
	}
	d.Doors, _, err = sandbox.Wire(d.Doors, true)
	if err != nil {
		return err
	}
	_, doors, err := sandbox.Wire(d.Doors, true)
	if err != nil {
		return err
	}
	if err := errors.Join(i.box.Bring(spec, d), i.hang(d.Doors)); err != nil {
		return err
	}
	v := control.Delivery{TmpBytes: uint64(d.TmpBytes), Doors: doors, Limits: i.limits(spec)}
	if err := i.ask(control.Deliver, v.Append(nil)); err != nil || len(d.Argv) == 0 {
		return err
	}
	return i.run(context.Background(), spec)
}

// run has the process executed that was waited with.
func (i *instance) run(ctx context.Context, spec sandbox.Spec) error {
	if err := i.execute(spec.Argv, spec.Env, spec.Dir); err != nil {
		return errors.Join(errEnded, err)
	}
	select {
	case <-i.ran:
		return nil
	case <-i.done:
	}
	select {
	case <-i.ran: // it has been executed, and has ended since
		return nil
	default:
		i.mu.Lock()
		defer i.mu.Unlock()
		return errors.Join(errEnded, i.exit.Err)
	case <-ctx.Done():
		return errors.Join(&sandbox.StartError{ID: spec.ID, Stage: "wait for the process", Err: ctx.Err()}, i.Kill())
	}
}

var (
	_ sandbox.Instance = (*instance)(nil)
	_ sandbox.Receiver = (*instance)(nil)
	_ sandbox.Weigher  = (*instance)(nil)
)
