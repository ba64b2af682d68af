package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// brood are the sandboxes whose processes are forked from one that waits in a nest. The nest is a sandbox
// like any other, but that its init also launches theirs, below its own user and pid namespaces. It
// and the process that waits own their user namespaces, which is the right to enter them and reaches nothing
// else; neither ever holds anything of a function's, and no function can see or name them. Beside functions'
// own filter of system calls, that process may enter namespaces, and it has no Landlock ruleset, since its forks would
// keep it, in roots that are no part of it: each loads filter and ruleset after it has entered.
type brood struct {
	driver *Namespace
	like   Spec // what its sandboxes have in common
	block  int  // the first of their ids on the host
	nest   *instance
	limits []control.Limit // of each fork
	made   chan struct{}   // closed when the nest is there, or cannot be made
	err    error           // read after made

	turn sync.Mutex // one launch, or one word to the process that waits, at a time
	born chan hatched

	mu      sync.Mutex
	count   int                    // of all that it has taken
	living  map[*instance]int      // by the pid that the nest's init sees; 0 before it is known
	orphans map[int]control.Status // while a fork enters
	retired bool
}

// hatched is the nest's answer to a launch.
type hatched struct {
	born control.Born
	fd   int // -1: none
}

// nestle gives an instance its place in a nest, which is made if need be.
func (n *Namespace) nestle(ctx context.Context, i *instance) error {
	if n.waived["user"] {
		return errors.New("processes are forked into user namespaces only, which were waived")
	}
	s := i.spec
	like := Spec{Account: s.Account, Argv: s.Argv, Env: s.Env, Dir: s.Dir, Root: s.Root, Pids: s.Pids, NoFile: s.NoFile}
	n.mu.Lock()
	var b *brood
	for _, have := range n.broods {
		if reflect.DeepEqual(have.like, like) && have.take(i) {
			b = have
			break
		}
	}
	fresh := b == nil
	if fresh {
		block, err := n.users.block()
		if err != nil {
			n.mu.Unlock()
			return err
		}
		b = &brood{driver: n, like: like, made: make(chan struct{}), born: make(chan hatched),
			living: map[*instance]int{}, orphans: map[int]control.Status{}, block: block}
		b.take(i)
		n.broods = append(n.broods, b)
	}
	n.mu.Unlock()
	if fresh {
		b.err = b.make(ctx, i.spec.ID)
		close(b.made)
	}
	select {
	case <-b.made:
	case <-ctx.Done():
		b.over(i)
		return ctx.Err()
	}
	if b.err != nil {
		b.over(i)
		return b.err
	}
	i.fork.from = b
	return nil
}

// take gives an instance a place; false if the nest takes no more.
func (b *brood) take(i *instance) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retired || b.count >= ForksAtMost {
		return false
	}
	i.fork.number = b.count
	b.count++
	b.living[i] = 0
	return true
}

// make starts the nest, and has its process wait to be forked.
func (b *brood) make(ctx context.Context, id string) error {
	s := b.like
	var said firstWords
	s.ID, s.Channel, s.Stdout, s.Stderr = "z-"+id, true, &said, &said
	b.nest = newInstance(b.driver, s.withDefaults())
	b.nest.brood = b
	if _, err := b.driver.begin(ctx, b.nest); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = b.nest.channel.Close() })
	defer stop()
	// frames of package runtimeapi: it says that it waits, and hears for what
	head := make([]byte, 9)
	_, err := io.ReadFull(b.nest.channel, head)
	if err == nil && (binary.BigEndian.Uint32(head) != 0 || head[4] != 'W') {
		err = control.ErrFrame
	}
	if err == nil {
		_, err = b.nest.channel.Write([]byte{0, 0, 0, 0, 'P', 0, 0, 0, 0})
	}
	if err == nil {
		_, err = io.ReadFull(b.nest.channel, head[:1])
	}
	if err == nil && head[0] != 'Z' {
		err = control.ErrFrame
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the process does not wait to be forked: %w", err), b.nest.Kill(), said.err())
	}
	return nil
}

// firstWords keeps the beginning of what is written, to explain a failure with.
type firstWords struct {
	mu   sync.Mutex
	text []byte
}

func (w *firstWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p[:min(len(p), 2048-len(w.text))]...)
	return len(p), nil
}

func (w *firstWords) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.text) == 0 {
		return nil
	}
	return errors.New(string(bytes.TrimSpace(w.text)))
}

// launch has the nest's init fork another one.
func (b *brood) launch(i *instance, files []int) (pid, pidFD int, err error) {
	enter, _ := i.group.Tasks()
	home, _ := b.nest.group.Tasks()
	tasks, err := openTasks(enter, home)
	defer func() { _ = closeAll(tasks) }()
	if err != nil {
		return 0, -1, err
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	if err := b.nest.session.send(control.Launch, i.birth().Append(nil), append(files, tasks...)); err != nil {
		return 0, -1, errors.Join(errEnded, err)
	}
	var h hatched
	select {
	case h = <-b.born:
	case <-b.nest.done:
		return 0, -1, b.nest.ending()
	}
	if h.born.Failure.Stage != "" {
		err = fmt.Errorf("%s: %w", h.born.Failure.Stage, syscall.Errno(h.born.Failure.Errno))
	}
	if h.fd < 0 {
		return 0, -1, err
	}
	pid, perr := pidOf(h.fd)
	if err = errors.Join(err, perr); err == nil && i.group.FD() >= 0 {
		err = i.group.Move(pid) // the nest's init may not fork into a group that is not its own
	}
	return pid, h.fd, err
}

// openTasks opens the files by which a thread moves itself.
func openTasks(lists ...[]string) (fds []int, err error) {
	for _, list := range lists {
		for _, path := range list {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fds, &os.PathError{Op: "open", Path: path, Err: err}
			}
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// pidOf is the pid of a process on this host.
func pidOf(pidFD int) (int, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidFD))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Pid:"); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, errors.New("a pidfd without a pid")
}

// brooded hears what only a nest's init says.
func (i *instance) brooded(kind control.Kind, body []byte, fds []int) error {
	if i.brood == nil || len(fds) > 1 {
		return errors.Join(control.ErrFrame, closeAll(fds))
	}
	if kind == control.Orphan {
		w, err := control.ParseWard(body)
		if err == nil {
			i.brood.orphan(int(w.PID), w.Status)
		}
		return errors.Join(err, closeAll(fds))
	}
	born, err := control.ParseBorn(body)
	if err != nil {
		return errors.Join(control.ErrFrame, closeAll(fds))
	}
	h := hatched{born: born, fd: -1}
	if len(fds) == 1 {
		h.fd = fds[0]
	}
	i.brood.born <- h
	return nil
}

// orphan passes the end of a forked process on to its sandbox. The nest's init, whose child it became,
// does not know what it was: one of a sandbox that is not known yet, an init, or a fork that failed.
func (b *brood) orphan(pid int, s control.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range b.living {
		if p == pid {
			i.bereave(s)
			return
		}
	}
	if b.entering() {
		b.orphans[pid] = s
	}
}

// entering tells whether a fork is on its way whose pid is not known yet; the lock is held.
func (b *brood) entering() bool {
	for _, pid := range b.living {
		if pid == 0 {
			return true
		}
	}
	return false
}

// over forgets an instance that has ended; with the last one the nest ends.
func (b *brood) over(i *instance) {
	b.mu.Lock()
	delete(b.living, i)
	last := len(b.living) == 0 && !b.retired
	b.retired = b.retired || last
	b.mu.Unlock()
	if !last {
		return
	}
	b.forget()
	if b.nest != nil {
		b.nest.kill()
	}
}

// spend lets a nest take no more; those in it go on.
func (b *brood) spend() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.count = ForksAtMost
	b.mu.Unlock()
}

// forget takes a nest off those that may be asked for a place.
func (b *brood) forget() {
	n := b.driver
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, have := range n.broods {
		if have == b {
			n.broods = append(n.broods[:k:k], n.broods[k+1:]...)
			return
		}
	}
}
