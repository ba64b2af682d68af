package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// Receiver is an Instance that was started before its code (Spec.Late), as a pool of ready sandboxes
// wants it.
type Receiver interface {
	// Deliver gives the sandbox what it was waiting for. It can be done once, and returns when all of
	// it is in force; with it the sandbox loses its last right to mount. A process that runs already
	// learns of it from its caller. After an error the instance is of no more use. The error is a
	// *StartError when the process could not be executed.
	Deliver(Delivery) error
}

// Delivery is what a waiting sandbox receives; the fields are as in Spec, whose values they replace.
// What is zero stays as it was.
type Delivery struct {
	Code   string
	Layers []string
	Doors  []DoorSpec // further ones

	TmpBytes    int64
	MemoryBytes int64
	Pids        int // not more than it had
	CPU         int

	// What to execute where the Spec named no program; empty otherwise.
	Argv []string
	Env  []string
	Dir  string // default /var/task
}

// Deliver implements Receiver.
func (i *instance) Deliver(d Delivery) error {
	i.control.Lock()
	defer i.control.Unlock()
	if !i.spec.Late || i.delivered {
		return errors.New("sandbox: the instance awaits no code")
	}
	i.delivered = true
	if _, err := i.spec.Received(d); err != nil {
		return err
	}
	if err := i.rebound(d); err != nil {
		return err
	}
	if err := i.bring(d); err != nil {
		return err
	}
	if len(d.Argv) == 0 {
		return i.acknowledged()
	}
	p, err := i.process(d.Argv, d.Env, either(d.Dir, i.spec.Dir))
	if err != nil {
		return err
	}
	held := i.release()
	err = i.session.send(control.Start, p.Append(nil), held)
	if err = errors.Join(err, closeAll(held)); err != nil {
		return errors.Join(errEnded, err)
	}
	if err := i.acknowledged(); err != nil {
		return err
	}
	return i.running()
}

// running waits until the process has been executed. One that has ended since has been, too.
func (i *instance) running() error {
	select {
	case <-i.ran:
		return nil
	case <-i.done:
	}
	select {
	case <-i.ran:
		return nil
	default:
		return i.ending()
	}
}

// release takes the process's descriptors over, to be sent and closed.
func (i *instance) release() []int {
	i.mu.Lock()
	defer i.mu.Unlock()
	held := i.held
	i.held = nil
	return held
}

func either[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// rebound sets the limits that the cgroup and the watch keep.
func (i *instance) rebound(d Delivery) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return errEnded
	}
	was := i.limits()
	i.spec.TmpBytes, i.spec.MemoryBytes = either(d.TmpBytes, i.spec.TmpBytes), either(d.MemoryBytes, i.spec.MemoryBytes)
	i.spec.Pids, i.spec.CPU = either(d.Pids, i.spec.Pids), either(d.CPU, i.spec.CPU)
	i.waits = false
	if err := errors.Join(i.group.Background(false), i.group.Change(was, i.limits())); err != nil {
		return &StartError{ID: i.spec.ID, Stage: "change the cgroup", Err: err}
	}
	return nil
}

// limits are what the cgroup is to bound.
func (i *instance) limits() cgroup.Limits {
	return cgroup.Limits{
		Memory: i.spec.MemoryBytes + i.spec.TmpBytes + overheadBytes,
		Pids:   int64(i.spec.Pids + overheadPids + control.InitThreads),
		CPU:    int64(i.spec.CPU),

		DiskBytes: diskBytes, DiskOps: diskOps,
	}
}

// bring sends the delivery. Its mounts are cloned for a user of its own; an init that has Bastide's user takes
// them from the store.
func (i *instance) bring(d Delivery) error {
	d.Doors = openable(d.Doors)
	doors, err := doorsOf(d.Doors, true)
	if err != nil {
		return err
	}
	v := control.Delivery{TmpBytes: uint64(d.TmpBytes), Doors: doors}
	var fds []int
	defer func() { _ = closeAll(fds) }() // this side's copies
	take := func(source, target string) (control.Mount, error) {
		m := control.Mount{Target: target}
		if !i.driver.users.own() {
			var err error
			m.Source, err = below(i.spec.Store, source)
			return m, err
		}
		fd, err := i.driver.cloneTree(source)
		if err == nil {
			fds = append(fds, fd)
		}
		return m, err
	}
	code, err := take(d.Code, "/var/task")
	if err != nil {
		return err
	}
	v.Mounts = []control.Mount{code}
	for _, l := range d.Layers {
		m, err := take(l, "")
		if err != nil {
			return err
		}
		v.Layers = append(v.Layers, m)
	}
	if v.Limits, err = i.lateLimits(d); err != nil {
		return err
	}
	i.late = d.Doors
	if err := i.session.send(control.Deliver, v.Append(nil), fds); err != nil {
		return errors.Join(errEnded, err)
	}
	return nil
}

// lateLimits are the resource limits that come with the function.
func (i *instance) lateLimits(d Delivery) ([]control.Limit, error) {
	var want []control.Limit
	if d.Pids != 0 {
		want = append(want, control.Limit{Resource: unix.RLIMIT_NPROC, Value: uint64(d.Pids + overheadPids)})
	}
	if i.driver.can.Memory == "" {
		want = append(want, control.Limit{Resource: unix.RLIMIT_DATA, Value: dataBound(i.spec.MemoryBytes)})
	}
	return allowed(want)
}

// below is the path of source inside store, without any step upwards.
func below(store, source string) (string, error) {
	if store == "" {
		return "", errors.New("sandbox: without root, code comes late only from the store that the specification names")
	}
	rel, err := filepath.Rel(store, source)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("sandbox: %s is not in the store", source)
	}
	return rel, nil
}

// acknowledged waits for the init's Done.
func (i *instance) acknowledged() error {
	select {
	case <-i.acks:
		return nil
	case <-i.done:
	}
	select {
	case <-i.acks: // before it ended
		return nil
	default:
		return i.ending()
	}
}

// ending is why an instance that has ended did not answer.
func (i *instance) ending() error { return errors.Join(errEnded, i.fault) }

var _ Receiver = (*instance)(nil)
