package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/guest"
)

const megabyte = 1 << 20

// What a sandbox needs beside its function: runsc's three processes with gVisor's kernel. The bound of
// the kernel's cgroup is above all of it; within, the watch compares what the function has taken with
// what it was granted.
const (
	overheadBytes = 192 * megabyte
	slackBytes    = 32 * megabyte
	overheadPids  = 512
)

// box is one sandbox: runsc and what it has started.
type box struct {
	driver   *Driver
	name     string
	dir      string // in the yard
	writable bool
	group    *cgroup.Group
	cmd      *exec.Cmd
	said     *tail
	guest    *guest.Guest
	ended    chan struct{} // closed when runsc has ended

	mu     sync.Mutex // the fields below, and the group against its removal
	spec   *sandbox.Spec
	base   int64 // memory that it held before its function
	tmp    uint64
	most   int64
	frozen bool
	gone   bool
	oom    bool
	// memory that was held when the agent was asked for the use of /tmp, and looks since
	suspect int64
	looks   int
}

// create starts a sandbox, which then waits for its function.
func (d *Driver) create(ctx context.Context, name string, writable bool) (*box, error) {
	b := &box{driver: d, name: name, dir: filepath.Join(d.yard.dir, name), writable: writable, said: &tail{}, ended: make(chan struct{})}
	fail := func(stage string, err error) (*box, error) {
		return nil, &sandbox.StartError{ID: name, Stage: stage, Err: err}
	}
	var err error
	if b.group, err = d.host.Create(name, cgroup.Limits{}); err != nil {
		return fail("make the cgroup", err)
	}
	ours, theirs, err := guest.Pair()
	if err == nil {
		err = errors.Join(d.yard.do(func() error { return b.launch(theirs) }), theirs.Close())
	}
	if err != nil {
		if ours != nil {
			err = errors.Join(err, ours.Close())
		}
		return fail("start runsc", errors.Join(err, b.group.Remove(), d.yard.do(func() error { return discard(b.dir) })))
	}
	go func() {
		_ = b.cmd.Wait() // how it ended is told by the agent, or by said
		close(b.ended)
	}()
	b.guest = guest.Connect(ours)
	select {
	case <-b.guest.Stands():
		return b, nil
	case <-b.guest.Lost():
		err = errAtOnce
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.Kill()
	end := b.End()
	return fail("create a sandbox with runsc", errors.Join(err, b.said.error(), b.guest.Close(), end.Err))
}

var errAtOnce = errors.New("it ended at once")

// launch starts runsc from the yard's thread.
func (b *box) launch(stream *os.File) error {
	d := b.driver
	if err := writeBundle(b.dir, filepath.Join(d.yard.dir, "rootfs"), b.writable); err != nil {
		return err
	}
	args := []string{"--root", filepath.Join(b.dir, "state"), "--network", "none", "--ignore-cgroups", "--overlay2", "none"}
	if d.platform != "" {
		args = append(args, "--platform", d.platform)
	}
	b.cmd = exec.Command(d.runsc, append(args, "run", "--bundle", b.dir, b.name)...)
	b.cmd.Dir = "/"
	b.cmd.Env = []string{"PATH=/usr/bin:/bin"}
	b.cmd.Stdin, b.cmd.Stdout, b.cmd.Stderr = stream, b.said, b.said
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	return b.group.Start(b.cmd)
}

// begin gives the sandbox to a function.
func (b *box) begin(spec sandbox.Spec) error {
	fail := func(stage string, err error) error {
		return &sandbox.StartError{ID: spec.ID, Stage: stage, Err: err}
	}
	base, err := b.group.Held()
	if err != nil {
		return fail("read the cgroup", err)
	}
	if err := b.group.Limit(bounds(spec)); err != nil {
		return fail("bound the cgroup", err)
	}
	err = b.inRoot(func(r *rooter) error { return r.furnish(spec) })
	if err != nil {
		return fail("lay out the root", err)
	}
	b.mu.Lock()
	b.spec, b.base = &spec, base
	b.mu.Unlock()
	return nil
}

// bounds are what the cgroup is to keep.
func bounds(spec sandbox.Spec) cgroup.Limits {
	return cgroup.Limits{
		Memory: spec.MemoryBytes + spec.TmpBytes + overheadBytes,
		Pids:   int64(2*spec.Pids + overheadPids), // gVisor has host processes for the function's
		CPU:    int64(spec.CPU),
	}
}

// inRoot does something to the function's root.
func (b *box) inRoot(f func(*rooter) error) error {
	return b.driver.yard.do(func() error {
		r, err := openRoot(filepath.Join(b.dir, "hole", "root"))
		if err != nil {
			return err
		}
		return errors.Join(f(r), r.close())
	})
}

// Bring implements guest.Box.
func (b *box) Bring(spec sandbox.Spec, d sandbox.Delivery) error {
	b.mu.Lock()
	was := *b.spec
	b.spec = &spec
	b.mu.Unlock()
	if err := b.group.Change(bounds(was), bounds(spec)); err != nil {
		return &sandbox.StartError{ID: spec.ID, Stage: "change the cgroup", Err: err}
	}
	return b.inRoot(func(r *rooter) error { return r.code(d.Code, d.Layers) })
}

// Freeze implements guest.Box.
func (b *box) Freeze() error { return b.hold(b.group.Freeze, true) }

// Thaw implements guest.Box.
func (b *box) Thaw() error { return b.hold(b.group.Thaw, false) }

func (b *box) hold(f func() error, still bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return os.ErrClosed
	}
	err := f()
	if err == nil {
		b.frozen = still
	}
	return err
}

// Weigh implements guest.Box.
func (b *box) Weigh(tmp uint64) {
	b.mu.Lock()
	b.tmp = tmp
	over := b.suspect > 0 && b.suspect-b.base-int64(tmp) > b.spec.MemoryBytes+slackBytes
	b.oom = b.oom || over
	b.suspect, b.looks = 0, 0
	b.mu.Unlock()
	if over {
		b.Kill()
	}
}

// patience is how many looks the agent has to say how much of what is held is /tmp's.
const patience = 20

// check is the watch's look: it kills a sandbox whose function has taken more than it was granted. What
// looks so may be a /tmp that is being filled, of which the agent is asked then.
func (b *box) check() {
	b.mu.Lock()
	have, ok := b.have()
	ask, over := false, false
	switch {
	case !ok || have <= b.spec.MemoryBytes+slackBytes:
	case b.suspect == 0:
		b.suspect, ask = have+b.base+int64(b.tmp), true
	default:
		b.looks++
		over = b.looks > patience
	}
	b.oom = b.oom || over
	b.mu.Unlock()
	if over || ask && b.guest.Weigh() != nil {
		b.Kill()
	}
}

// have is what the function has of memory, but for /tmp; not known for the frozen, who take no more. mu
// is held.
func (b *box) have() (int64, bool) {
	if b.gone || b.frozen || b.spec == nil {
		return 0, false
	}
	held, err := b.group.Held()
	if err != nil {
		return 0, false
	}
	have := max(held-b.base-int64(b.tmp), 0)
	b.most = max(b.most, have)
	return have, true
}

// Weight implements sandbox.Weigher: all that the sandbox holds of the host's memory, its kernel's with it.
func (b *box) Weight() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return 0
	}
	held, err := b.group.Held()
	if err != nil {
		return 0
	}
	return held
}

// Peak implements guest.Box: what the function has taken at most, as far as the looks of the watch tell.
func (b *box) Peak() (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.have()
	return b.most, nil
}

// Kill implements guest.Box. A frozen v1 group must thaw to die.
func (b *box) Kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	_ = b.group.Kill() // what it leaves is killed one by one
	b.group.KillEach()
}

// End implements guest.Box.
func (b *box) End() guest.End {
	for ended := false; !ended; {
		select {
		case <-b.ended:
			ended = true
		case <-b.driver.clock.C: // who was being forked as the others were killed
			b.Kill()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := guest.End{OOMKilled: b.oom, Peak: b.most, Why: b.said.error()}
	if n, err := b.group.OOMKills(); err == nil && n > 0 {
		e.OOMKilled = true
	}
	b.gone = true
	e.Err = errors.Join(b.group.Remove(), b.driver.yard.do(func() error { return discard(b.dir) }))
	b.driver.forget(b)
	return e
}

// tail keeps the last of what runsc says, for the error when it fails.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > most {
		t.b = append([]byte(nil), t.b[len(t.b)-most:]...)
	}
	return len(p), nil
}

func (t *tail) error() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.b) == 0 {
		return nil
	}
	return fmt.Errorf("runsc says: %q", strings.TrimSpace(string(t.b)))
}

var (
	_ guest.Box       = (*box)(nil)
	_ sandbox.Weigher = (*box)(nil)
)
