package sandbox

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// instance is one sandbox of the namespace driver. One goroutine, run, receives what the init says
// and, when it has ended, takes everything away.
type instance struct {
	driver           *Namespace
	spec             Spec
	hostUID, hostGID int

	pid     int
	pidFD   int // closed by cleanUp, under mu
	group   *cgroup.Group
	session *session
	channel *lasting // nil: none
	output  output
	mounts  []int // descriptors until they are sent
	held    []int // the process's, while it is not executed

	brood *brood // of a nest's own sandbox
	fork  forked

	started  chan struct{}   // closed when the process runs, or cannot
	startErr error           // read after started
	ran      chan struct{}   // closed when the process has been executed
	doors    map[string]Door // replaced under mu
	late     []DoorSpec      // that the delivery's answer brings
	acks     chan struct{}
	fault    error // why the init ended; read after done
	several

	observers sync.WaitGroup
	control   sync.Mutex // one Freeze, Thaw or Deliver at a time, and delivered
	delivered bool
	mu        sync.Mutex // the fields below, and the cgroup against its removal
	frozen    bool
	waits     bool // for its code, behind all others
	appetite  appetite
	gone      bool
	peak      int64 // without a cgroup
	holdings  holdings
	oom       atomic.Bool

	done    chan struct{} // closed when nothing is left
	leftErr error         // what could not be taken away; read after done
	exit    chan Exit
}

func newInstance(n *Namespace, spec Spec) *instance {
	return &instance{
		driver: n, spec: spec, waits: spec.Late, pidFD: -1, several: newSeveral(),
		fork: forked{stands: make(chan struct{})}, started: make(chan struct{}), ran: make(chan struct{}), done: make(chan struct{}),
		doors: map[string]Door{}, acks: make(chan struct{}, 1), exit: make(chan Exit, 1),
	}
}

// Doors implements Instance.
func (i *instance) Doors() map[string]Door {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.doors
}

// Channel implements Instance.
func (i *instance) Channel() net.Conn {
	if i.channel == nil {
		return nil // not an interface that holds none
	}
	return i.channel
}

// Wait implements Instance.
func (i *instance) Wait() <-chan Exit { return i.exit }

// Kill implements Instance.
func (i *instance) Kill() error {
	i.kill()
	<-i.done
	return i.leftErr
}

// kill begins the end; run does the rest. A frozen v1 group must thaw to die.
func (i *instance) kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return
	}
	if i.group != nil {
		// the first process's death, below, ends all the others with it in any case
		_ = i.group.Kill()
	}
	// it may have ended by itself
	_ = unix.PidfdSendSignal(i.pidFD, unix.SIGKILL, nil, 0)
}

// run follows the instance to its end.
func (i *instance) run() {
	exit := Exit{Code: -1, Signal: int(unix.SIGKILL)} // unless the init says otherwise, it was killed
	ended := false
	for {
		kind, body, fds, err := i.session.receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				exit.Err = errors.Join(exit.Err, i.refuse(err))
			}
			break
		}
		switch kind {
		case control.Ready:
			if err := i.openDoors(i.spec.Doors, fds); err != nil {
				exit.Err = i.refuse(err)
				break
			}
			close(i.fork.stands)
			if len(i.spec.Argv) == 0 || i.spec.Held {
				i.settle(nil)
			}
		case control.Observed:
			if err := i.observe(fds); err != nil {
				exit.Err = i.refuse(err)
			}
		case control.Started:
			close(i.ran)
			i.settle(nil)
		case control.Done:
			if err := i.openDoors(i.late, fds); err != nil {
				exit.Err = i.refuse(err)
			}
			i.late = nil
			i.acks <- struct{}{}
		case control.Exited:
			if st, err := control.ParseStatus(body); err == nil {
				said := statusExit(st)
				exit.Code, exit.Signal, ended = said.Code, said.Signal, true
			}
		case control.Failed:
			exit.Err = failure(i.spec.ID, body)
			i.fault = exit.Err
			i.settle(exit.Err)
		case control.Launched, control.Orphan:
			if err := i.brooded(kind, body, fds); err != nil {
				exit.Err = i.refuse(err)
			}
		case control.Spawned, control.Ended, control.Dialed:
			said, own, err := i.hear(kind, body, fds)
			if err != nil {
				exit.Err = i.refuse(err)
			} else if own {
				exit.Code, exit.Signal, ended = said.Code, said.Signal, true
				i.brood.spend() // of a nest: what was to be forked has ended
			}
		default:
			exit.Err = i.refuse(fmt.Errorf("the init said %d: %w", kind, control.ErrFrame))
		}
	}
	i.kill() // when the init has not ended by itself, there is nothing more to hear from it
	i.reap()
	i.settle(&StartError{ID: i.spec.ID, Stage: "the init ended before the process ran", Err: ErrCutShort})
	i.several.close()
	i.leaveNest()
	i.output.wait()
	i.observers.Wait()
	i.close(exit, ended)
}

func statusExit(s control.Status) Exit {
	if s.Signal != 0 {
		return Exit{Code: -1, Signal: int(s.Signal)}
	}
	return Exit{Code: int(s.Code)}
}

// settle decides the start, the first time it is called.
func (i *instance) settle(err error) {
	select {
	case <-i.started:
	default:
		i.startErr = err
		close(i.started)
	}
}

// refuse ends an instance whose init does what it must not.
func (i *instance) refuse(err error) error {
	err = &StartError{ID: i.spec.ID, Stage: "talk to the init", Err: err}
	i.settle(err)
	i.kill()
	return err
}

// reap waits until the init, and so every process of its pid namespace, is gone. Its pidfd can be read
// when it has ended; the launcher's kernel reaps it a moment later, for which there is no event on all
// kernels, but from when on no signal finds it any more.
func (i *instance) reap() {
	p := []unix.PollFd{{Fd: int32(i.pidFD), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(p, -1); err != unix.EINTR {
			break
		}
	}
	for unix.PidfdSendSignal(i.pidFD, 0, nil, 0) == nil {
		time.Sleep(50 * time.Microsecond)
	}
}

// close takes the figures, takes everything away and tells.
func (i *instance) close(exit Exit, ended bool) {
	i.driver.watch.remove(i)
	exit.OOMKilled = i.oom.Load()
	if i.group != nil {
		if n, err := i.group.OOMKills(); err == nil && n > 0 {
			exit.OOMKilled = true
		}
	}
	if peak, err := i.MemoryPeak(); err == nil {
		exit.Peak = peak
	}
	i.leftErr = i.cleanUp()
	if i.leftErr != nil {
		exit.Err = errors.Join(exit.Err, i.leftErr)
	}
	if ended && exit.OOMKilled && i.oom.Load() {
		exit.Code, exit.Signal = -1, int(unix.SIGKILL)
	}
	i.exit <- exit
	close(i.exit)
	close(i.done)
}

// cleanUp removes what the instance held; it is the one place that does.
func (i *instance) cleanUp() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return nil
	}
	i.gone = true
	var errs []error
	if i.group != nil {
		errs = append(errs, i.group.Remove())
	}
	if i.pidFD >= 0 {
		errs = append(errs, unix.Close(i.pidFD))
	}
	if i.session != nil {
		errs = append(errs, i.session.conn.Close())
	}
	errs = append(errs, closeAll(i.mounts), closeAll(i.held)) // before the channel, of which they may be the other end
	i.mounts, i.held = nil, nil
	for _, d := range i.doors {
		errs = append(errs, d.close())
	}
	if i.channel != nil {
		errs = append(errs, i.channel.end())
	}
	i.driver.dismiss(i)
	return errors.Join(errs...)
}

// openDoors takes the sockets that the init opened, in the order of their specifications.
func (i *instance) openDoors(specs []DoorSpec, fds []int) error {
	if len(fds) != len(specs) {
		return errors.Join(fmt.Errorf("%d sockets for %d doors", len(fds), len(specs)), closeAll(fds))
	}
	if len(fds) == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.doors = maps.Clone(i.doors)
	for k, fd := range fds {
		f := os.NewFile(uintptr(fd), specs[k].Name)
		var d Door
		if specs[k].Network == watchNetwork {
			i.doors[specs[k].Name] = Door{Watch: &sight{f: f}}
			continue
		}
		var err error
		if specs[k].Network == "udp" {
			d.Packet, err = net.FilePacketConn(f)
		} else {
			d.Listener, err = arrivals(f)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, closeAll(fds[k+1:]))
		}
		i.doors[specs[k].Name] = d
	}
	return nil
}

func arrivals(f *os.File) (net.Listener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return &Arrivals{TCPListener: l.(*net.TCPListener)}, nil
}

func (d Door) close() error {
	if d.Watch != nil {
		return ignoreClosed(d.Watch.Close())
	}
	if d.Packet != nil {
		return ignoreClosed(d.Packet.Close())
	}
	if a, ok := d.Listener.(*Arrivals); ok {
		return a.End()
	}
	return ignoreClosed(d.Listener.Close())
}

// ignoreClosed drops the error of closing what its user has closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

var _ Instance = (*instance)(nil)
