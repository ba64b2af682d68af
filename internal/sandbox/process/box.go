package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/guest"
)

// What the agent takes, with the threads that it makes ahead.
const (
	overheadBytes = 32 << 20
	overheadPids  = 32
)

// box is one agent and the processes below it.
type box struct {
	driver  *Driver
	spec    sandbox.Spec
	dir     string   // what stands for the root
	targets []string // paths inside that are elsewhere
	doors   []*door
	group   *cgroup.Group
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the agent has ended
	hold    chan struct{} // closed to let the thread go that started it

	mu     sync.Mutex // the fields below, and the group against its removal
	frozen bool
	gone   bool
	oom    bool
	most   int64
}

// open lays an instance's files out and starts its agent.
func (d *Driver) open(spec sandbox.Spec) (*box, *guest.Guest, error) {
	b := &box{driver: d, spec: spec, dir: filepath.Join(d.dir, spec.ID), ended: make(chan struct{}), hold: make(chan struct{})}
	fail := func(stage string, err error) (*box, *guest.Guest, error) {
		b.closeDoors()
		err = errors.Join(err, os.RemoveAll(b.dir))
		if b.group != nil {
			err = errors.Join(err, b.group.Remove())
		}
		return nil, nil, stageError(spec.ID, stage, err)
	}
	if err := b.stage(spec); err != nil {
		return fail("lay out the files", err)
	}
	var err error
	b.group, err = d.host.Create(spec.ID, cgroup.Limits{
		Memory: spec.MemoryBytes + overheadBytes, Pids: int64(spec.Pids + overheadPids), CPU: int64(spec.CPU),
	})
	if err != nil {
		return fail("make the cgroup", err)
	}
	c, theirs, err := guest.Pair()
	if err != nil {
		return fail("make the stream", err)
	}
	if err = b.launch(theirs); err != nil {
		err = errors.Join(err, c.Close())
	}
	if err := errors.Join(err, theirs.Close()); err != nil {
		return fail("start the agent", err)
	}
	return b, guest.Connect(c), nil
}

// launch starts the agent from a thread that lives as long as it does: Bastide's end is the agent's.
func (b *box) launch(stream *os.File) error {
	b.cmd = exec.Command(b.driver.agent, "agent")
	b.cmd.Dir, b.cmd.Env = "/", []string{"GOMAXPROCS=1"}
	b.cmd.Stdin = stream
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := b.group.Start(b.cmd)
		started <- err
		if err == nil {
			<-b.hold
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	go func() {
		_ = b.cmd.Wait() // how it ended, the agent has told
		close(b.hold)
		close(b.ended)
	}()
	return nil
}

// Freeze implements guest.Box.
func (b *box) Freeze() error { return b.still(b.group.Freeze, true) }

// Thaw implements guest.Box.
func (b *box) Thaw() error { return b.still(b.group.Thaw, false) }

func (b *box) still(f func() error, frozen bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return os.ErrClosed
	}
	err := f()
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		b.frozen = frozen
	}
	return err
}

// Bring implements guest.Box; no specification of this driver waits.
func (b *box) Bring(sandbox.Spec, sandbox.Delivery) error { return errors.ErrUnsupported }

// Weigh implements guest.Box; /tmp is a part of the host's files.
func (b *box) Weigh(uint64) {}

// check kills an instance whose processes have more than they were granted.
func (b *box) check() {
	b.mu.Lock()
	over := !b.gone && !b.frozen && b.look() > b.spec.MemoryBytes+overheadBytes
	b.oom = b.oom || over
	b.mu.Unlock()
	if over {
		b.Kill()
	}
}

// look reads the memory in use; mu is held.
func (b *box) look() int64 {
	have := memoryOf(b.cmd.Process.Pid)
	b.most = max(b.most, have)
	return have
}

// Peak implements guest.Box.
func (b *box) Peak() (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.gone {
		b.look()
	}
	return b.most, nil
}

// Kill implements guest.Box. Where there is no cgroup, the agent's children are told of its end by the
// kernel, and what they have left goes to the host.
func (b *box) Kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	_ = b.group.Kill() // what it leaves is killed one by one
	b.group.KillEach()
	killTree(b.cmd.Process.Pid)
}

// End implements guest.Box.
func (b *box) End() guest.End {
	<-b.ended
	b.mu.Lock()
	defer b.mu.Unlock()
	e := guest.End{OOMKilled: b.oom, Peak: b.most}
	if n, err := b.group.OOMKills(); err == nil && n > 0 {
		e.OOMKilled = true
	}
	b.gone = true
	b.closeDoors()
	e.Err = errors.Join(b.group.Remove(), os.RemoveAll(b.dir))
	b.driver.forget(b.spec.ID)
	return e
}

var _ guest.Box = (*box)(nil)
