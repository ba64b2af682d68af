package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/guest"
)

// Config is how to run without isolation.
type Config struct {
	// Named says that somebody has asked for this driver by its name; without it, New refuses.
	Named bool
	Dir   string // for the instances' files, which go with them; empty: a temporary one
	Init  []byte // as in sandbox.Config
}

// Driver runs processes; see the package comment.
type Driver struct {
	dir   string
	own   bool
	agent string // the agent's program
	host  *cgroup.Host
	stop  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	boxes  map[string]*box              // by instance id; nil while one is being made
	links  map[string]map[string]string // of trees that were shown
	closed bool
}

// ErrUnnamed is New without somebody's word for it.
var ErrUnnamed = errors.New("process: functions would run without isolation: name the driver, if that is meant (--driver process)")

// glance is how often memory is looked at.
const glance = 50 * time.Millisecond

// New prepares the driver.
func New(c Config) (*Driver, error) {
	if !c.Named {
		return nil, ErrUnnamed
	}
	program, err := sandbox.InitProgram(c.Init)
	if err != nil {
		return nil, err
	}
	d := &Driver{dir: c.Dir, own: c.Dir == "", boxes: map[string]*box{}, links: map[string]map[string]string{}, stop: make(chan struct{}), done: make(chan struct{})}
	if d.own {
		if d.dir, err = os.MkdirTemp("", "bastide-process-"); err != nil {
			return nil, fmt.Errorf("process: %w", err)
		}
	} else if err := errors.Join(os.RemoveAll(d.dir), os.MkdirAll(d.dir, 0o700)); err != nil { // what a killed Bastide left
		return nil, fmt.Errorf("process: %w", err)
	}
	if d.dir, err = filepath.EvalSymlinks(d.dir); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	d.agent = filepath.Join(d.dir, "agent")
	if err := os.WriteFile(d.agent, program, 0o700); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	if d.host, err = cgroup.Open(); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	go d.look()
	return d, nil
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "process" }

// Lacks implements sandbox.Limited: nothing keeps a process from the host's network, files and disk.
func (d *Driver) Lacks() []sandbox.Setting {
	return []sandbox.Setting{sandbox.Profiled, sandbox.WaysOut, sandbox.IPv6Ways, sandbox.Images, sandbox.TmpBound}
}

// Start implements sandbox.Driver.
func (d *Driver) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Instance, error) {
	spec, err := spec.Prepared()
	if err != nil {
		return nil, err
	}
	if err := spec.Unconfined(d.Name()); err != nil {
		return nil, err
	}
	if spec.Late || spec.Root.Tree != "" {
		return nil, &sandbox.StartError{ID: spec.ID, Stage: "start without isolation what takes a root of its own", Err: errors.ErrUnsupported}
	}
	if err := d.admit(spec.ID); err != nil {
		return nil, &sandbox.StartError{ID: spec.ID, Stage: "admit", Err: err}
	}
	b, g, err := d.open(spec)
	if err != nil {
		d.forget(spec.ID)
		return nil, err
	}
	d.mu.Lock()
	d.boxes[spec.ID] = b
	d.mu.Unlock()
	inside := b.translated(spec)
	inside.Doors = nil // they are this side's
	inst, err := g.Start(ctx, inside, b, guest.Options{Limits: limits, Unchanged: true})
	if err != nil {
		return nil, err
	}
	return &instance{Instance: inst, Several: inst.(sandbox.Several), Dialer: inst.(sandbox.Dialer), box: b}, nil
}

// limits are the process's resource limits. The number of processes is counted for the whole user here,
// so that it cannot be bounded for one function.
func limits(spec sandbox.Spec) []control.Limit {
	all := []control.Limit{{Resource: unix.RLIMIT_NOFILE, Value: uint64(spec.NoFile)}, {Resource: unix.RLIMIT_CORE}}
	for n := range all {
		var own unix.Rlimit
		if unix.Getrlimit(int(all[n].Resource), &own) == nil {
			all[n].Value = min(all[n].Value, own.Max)
		}
	}
	return all
}

func (d *Driver) admit(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("the driver is closed")
	}
	if _, lives := d.boxes[id]; lives {
		return errors.New("an instance with this id lives")
	}
	d.boxes[id] = nil
	return nil
}

func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, id)
}

func (d *Driver) all() []*box {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Values(d.boxes)), func(b *box) bool { return b == nil })
}

// look is the watch of memory.
func (d *Driver) look() {
	defer close(d.done)
	t := time.NewTicker(glance)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-d.stop:
			return
		}
		for _, b := range d.all() {
			b.check()
		}
	}
}

// Close kills every instance and gives up what the driver holds.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	for _, b := range d.all() {
		b.Kill()
		<-b.ended
	}
	close(d.stop)
	<-d.done
	err := d.host.Close()
	if d.own {
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	return errors.Join(err, os.Remove(d.agent))
}

// instance is a guest whose doors are on this side, and whose paths and addresses are the host's.
type instance struct {
	sandbox.Instance
	sandbox.Several
	sandbox.Dialer
	box *box
}

// Doors implements sandbox.Instance.
func (i *instance) Doors() map[string]sandbox.Door { return i.box.held() }

// Spawn implements sandbox.Several.
func (i *instance) Spawn(ctx context.Context, p sandbox.Process) (int, error) {
	p.Argv, p.Env, p.Dir = i.box.moves(p.Argv, p.Env, p.Dir)
	return i.Several.Spawn(ctx, p)
}

var _ sandbox.Several = (*instance)(nil)
var (
	_ sandbox.Driver  = (*Driver)(nil)
	_ sandbox.Limited = (*Driver)(nil)
)
