package gvisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/guest"
	"github.com/bastide-cloud/bastide/internal/sandbox/seccomp"
)

// Config is how to isolate with gVisor.
type Config struct {
	Runsc    string // the program; empty: "runsc" in PATH
	Platform string // of runsc, such as "systrap"; empty: its default
	// Ready is how many sandboxes are kept created; negative: none; 0: 2. Each holds some 60 MB.
	Ready int
	// Dir is a directory that the driver may mount over, where only it sees it; empty: a temporary one.
	Dir  string
	Init []byte // as in sandbox.Config
	// Stall is how long a sandbox may take to execute a process before another is tried; 0: 20 seconds.
	Stall time.Duration
}

// Driver isolates with gVisor; see the package comment.
type Driver struct {
	runsc, platform string
	host            *cgroup.Host
	yard            *yard
	own             string // a temporary directory to remove
	stall           time.Duration
	clock           *time.Ticker
	filling         chan struct{} // a word that the pool may want filling
	stop            context.CancelFunc
	helpers         sync.WaitGroup

	mu     sync.Mutex
	next   int
	broken int
	want   int
	ready  []*box
	boxes  map[*box]bool
	living map[string]bool // instances' ids
	closed bool
	fault  error // why the pool's last sandbox could not be created
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "gvisor" }

// Lacks implements sandbox.Limited: the host sees no system call of a function's to learn from or refuse,
// and gVisor's loopback answers for all of IPv4 alone.
func (d *Driver) Lacks() []sandbox.Setting {
	return []sandbox.Setting{sandbox.Profiled, sandbox.IPv6Ways}
}

// glance is how often the watch looks at memory.
const glance = 50 * time.Millisecond

// New prepares the driver. It fails where runsc cannot be had or this user cannot run it so.
func New(c Config) (*Driver, error) {
	d := &Driver{platform: c.Platform, want: c.Ready, boxes: map[*box]bool{}, living: map[string]bool{}, filling: make(chan struct{}, 1)}
	if c.Ready == 0 {
		d.want = 2
	}
	if d.stall = c.Stall; d.stall == 0 {
		d.stall = 20 * time.Second
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("gvisor: the driver mounts functions' files on the host, which takes root")
	}
	var err error
	if d.runsc, err = find(c.Runsc); err != nil {
		return nil, err
	}
	program, err := sandbox.InitProgram(c.Init)
	if err != nil {
		return nil, err
	}
	if d.host, err = cgroup.Open(); err != nil {
		return nil, err
	}
	if can := d.host.Abilities(); can.Memory == "" {
		return nil, errors.Join(fmt.Errorf("gvisor: only a cgroup can bound its memory, and there is none to be had: %v", d.host.Faults), d.host.Close())
	}
	if err := d.openYard(c.Dir, program); err != nil {
		return nil, errors.Join(fmt.Errorf("gvisor: %w", err), d.host.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop, d.clock = stop, time.NewTicker(glance)
	d.helpers.Go(func() { d.look(ctx) })
	d.helpers.Go(func() { d.fill(ctx) })
	d.more()
	return d, nil
}

// find is the path of runsc.
func find(name string) (string, error) {
	if name == "" {
		name = "runsc"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("gvisor: this machine has no runsc (Debian: apt-get install runsc): %w", err)
	}
	return filepath.Abs(path)
}

// openYard makes the yard, with the agent's root in it.
func (d *Driver) openYard(dir string, program []byte) error {
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bastide-gvisor-"); err != nil {
			return err
		}
		d.own = dir
	} else if err = os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if d.yard, err = openYard(dir); err != nil {
		return errors.Join(err, d.leave())
	}
	err = d.yard.do(func() error {
		rootfs := filepath.Join(dir, "rootfs")
		for _, p := range []string{"proc", "hole", "dev", "sys", "tmp"} {
			if err := os.MkdirAll(filepath.Join(rootfs, p), 0o755); err != nil {
				return err
			}
		}
		return os.WriteFile(filepath.Join(rootfs, agentPath), program, 0o755)
	})
	if err != nil {
		d.yard.close()
		return errors.Join(err, d.leave())
	}
	return nil
}

// leave removes the temporary directory.
func (d *Driver) leave() error {
	if d.own == "" {
		return nil
	}
	return os.Remove(d.own)
}

// look is the watch of memory.
func (d *Driver) look(ctx context.Context) {
	t := time.NewTicker(glance)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		d.mu.Lock()
		all := slices.Collect(maps.Keys(d.boxes))
		d.mu.Unlock()
		for _, b := range all {
			b.check()
		}
	}
}

// more asks for the pool to be filled.
func (d *Driver) more() {
	select {
	case d.filling <- struct{}{}:
	default:
	}
}

// fill keeps the pool full, one sandbox at a time. What fails is tried again with the next start, which
// meets the same fault itself and reports it.
func (d *Driver) fill(ctx context.Context) {
	for {
		select {
		case <-d.filling:
		case <-ctx.Done():
			return
		}
		for d.short() {
			within, cancel := context.WithTimeout(ctx, d.stall)
			b, err := d.make(within, false)
			cancel()
			d.mu.Lock()
			d.fault = err
			if err == nil && !d.closed {
				d.ready = append(d.ready, b)
				b = nil
			}
			d.mu.Unlock()
			if err != nil {
				break
			}
			if b != nil {
				b.dismiss() // closed meanwhile
			}
		}
	}
}

func (d *Driver) short() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed && len(d.ready) < d.want
}

// make creates a sandbox and keeps it in mind.
func (d *Driver) make(ctx context.Context, writable bool) (*box, error) {
	d.mu.Lock()
	d.next++
	name := fmt.Sprintf("gv-%d-%d", os.Getpid(), d.next)
	d.mu.Unlock()
	b, err := d.create(ctx, name, writable)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes[b] = true
	return b, nil
}

// take finds a sandbox that waits, or makes one.
func (d *Driver) take(ctx context.Context, writable bool) (*box, error) {
	for !writable {
		d.mu.Lock()
		if len(d.ready) == 0 {
			d.mu.Unlock()
			break
		}
		b := d.ready[0]
		d.ready = d.ready[1:]
		d.mu.Unlock()
		d.more()
		select {
		case <-b.guest.Lost(): // it has ended while it waited
			b.dismiss()
			continue
		default:
			return b, nil
		}
	}
	return d.make(ctx, writable)
}

// Ready is how many sandboxes wait, and how many are wanted.
func (d *Driver) Ready() (have, want int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ready), max(d.want, 0)
}

// forget drops a box that has ended.
func (d *Driver) forget(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, b)
	if b.spec != nil {
		delete(d.living, b.spec.ID)
	}
}

// dismiss ends a box without a function.
func (b *box) dismiss() error {
	b.Kill()
	err := b.guest.Close()
	<-b.guest.Lost()
	return errors.Join(err, b.End().Err)
}

// tries is how many sandboxes are tried for one start.
const tries = 3

// Start implements sandbox.Driver. A sandbox that hangs, or ends, before it has executed the process has
// done nothing of the function's: another is tried.
func (d *Driver) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Instance, error) {
	spec, err := spec.Prepared()
	if err != nil {
		return nil, err
	}
	if err := spec.Unconfined(d.Name()); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		within, cancel := context.WithTimeout(ctx, d.stall)
		i, err := d.start(within, spec)
		cancel()
		broken := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sandbox.ErrCutShort) || errors.Is(err, errAtOnce)
		if !broken || ctx.Err() != nil {
			return i, err
		}
		d.mu.Lock()
		d.broken++
		d.mu.Unlock()
		if n == tries {
			return i, err
		}
	}
}

// Broken is how many sandboxes hung or ended before they had executed a process.
func (d *Driver) Broken() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

func (d *Driver) start(ctx context.Context, spec sandbox.Spec) (sandbox.Instance, error) {
	if err := d.admit(spec.ID); err != nil {
		return nil, &sandbox.StartError{ID: spec.ID, Stage: "admit", Err: err}
	}
	writable := slices.ContainsFunc(spec.Root.Binds, func(b sandbox.Bind) bool { return b.Writable })
	b, err := d.take(ctx, writable)
	if err != nil {
		d.mu.Lock()
		delete(d.living, spec.ID)
		d.mu.Unlock()
		return nil, err
	}
	if err := b.begin(spec); err != nil {
		b.mu.Lock()
		b.spec = &spec // whose id it gives back
		b.mu.Unlock()
		return nil, errors.Join(err, b.dismiss())
	}
	return b.guest.Start(ctx, spec, b, guest.Options{Proc: true, Filter: seccomp.Filter(), Limits: limits,
		Unchanged: spec.Hostname == "bastide"})
}

// limits are the process's resource limits, which gVisor's kernel enforces.
func limits(spec sandbox.Spec) []control.Limit {
	return []control.Limit{
		{Resource: unix.RLIMIT_NOFILE, Value: uint64(spec.NoFile)},
		{Resource: unix.RLIMIT_NPROC, Value: uint64(spec.Pids)},
		{Resource: unix.RLIMIT_CORE, Value: 0},
	}
}

func (d *Driver) admit(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return errors.New("the driver is closed")
	case d.living[id]:
		return errors.New("an instance with this id lives")
	}
	d.living[id] = true
	return nil
}

// Close kills every instance and gives up what the driver holds.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	ready := d.ready
	d.ready = nil
	d.mu.Unlock()
	d.stop()
	d.helpers.Wait()
	var errs []error
	for _, b := range ready {
		errs = append(errs, b.dismiss())
	}
	for {
		d.mu.Lock()
		all := slices.Collect(maps.Keys(d.boxes))
		d.mu.Unlock()
		if len(all) == 0 {
			break
		}
		for _, b := range all {
			b.Kill()
		}
		<-d.clock.C
	}
	d.clock.Stop()
	d.yard.close()
	return errors.Join(append(errs, d.leave(), d.host.Close())...)
}

// Version is what runsc calls itself.
func Version(ctx context.Context, runsc string) (string, error) {
	path, err := find(runsc)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("gvisor: %s --version: %w", path, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first, nil
}

var (
	_ sandbox.Driver  = (*Driver)(nil)
	_ sandbox.Limited = (*Driver)(nil)
)
