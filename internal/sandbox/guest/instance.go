package guest

import (
	"errors"
	"io"
	"net"
	"os"
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
	writers [2]io.Writer // of descriptors 1 and 2; nil: none
	files   []*os.File   // those of them that are this instance's

	started  chan struct{} // closed when the process runs, or cannot
	startErr error         // read after started
	ran      chan struct{} // closed when it has been executed
	acks     chan struct{}

	control   sync.Mutex // one Freeze, Thaw or Deliver at a time, and delivered
	delivered bool

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
		done: make(chan struct{}), left: make(chan sandbox.Exit, 1),
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
		if len(i.spec.Argv) == 0 {
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
	i.mu.Lock()
	defer i.mu.Unlock()
	i.said = true
	if s.Signal != 0 {
		i.exit.Signal = int(s.Signal)
	} else {
		i.exit.Code, i.exit.Signal = int(s.Code), 0
	}
	return nil
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

// write carries output. A writer that refuses is not asked again: its owner knows, and the processes
// must not be held up.
func (i *instance) write(id uint32, b []byte) {
	n := id - tether.Stdout
	if w := i.writers[n]; w != nil {
		if _, err := w.Write(b); err != nil {
			i.writers[n] = nil
		}
	}
}

// follow waits for the end and takes everything away.
func (i *instance) follow() {
	<-i.guest.lost
	asked := i.asked.Swap(true)
	i.box.Kill()
	i.settle(&sandbox.StartError{ID: i.spec.ID, Stage: "the sandbox ended before the process ran", Err: i.guest.why})
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
		_ = d.Close() // its user may have
	}
	for _, f := range i.files {
		i.leftErr = errors.Join(i.leftErr, f.Close())
	}
	if i.channel != nil {
		_ = i.channel.Close() // only this end is left
	}
	exit.Err = errors.Join(exit.Err, i.leftErr)
	i.left <- exit
	close(i.left)
	close(i.done)
}

// abandon ends what never became an instance.
func (i *instance) abandon() error {
	i.box.Kill()
	err := i.guest.Close()
	<-i.guest.lost
	err = errors.Join(err, i.box.End().Err)
	for _, f := range i.files {
		err = errors.Join(err, f.Close())
	}
	return err
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

// Freeze implements sandbox.Instance.
func (i *instance) Freeze() error { return i.hold(i.box.Freeze, control.Stop) }

// Thaw implements sandbox.Instance.
func (i *instance) Thaw() error { return i.hold(i.box.Thaw, control.Continue) }

func (i *instance) hold(box func() error, word control.Kind) error {
	i.control.Lock()
	defer i.control.Unlock()
	select {
	case <-i.done:
		return errEnded
	default:
	}
	err := box()
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return i.ask(word, nil)
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
	if err := i.execute(spec.Argv, spec.Env, spec.Dir); err != nil {
		return errors.Join(errEnded, err)
	}
	select {
	case <-i.ran:
		return nil
	case <-i.done:
		i.mu.Lock()
		defer i.mu.Unlock()
		return errors.Join(errEnded, i.exit.Err)
	}
}

var (
	_ sandbox.Instance = (*instance)(nil)
	_ sandbox.Receiver = (*instance)(nil)
)
