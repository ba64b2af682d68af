package sandbox

import (
	"context"
	"errors"
	"os"
	"strconv"
)

// Forks implements Forker.
func (n *Namespace) Forks() error {
	n.tryForks.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		n.noForks = n.tryFork(ctx)
	})
	return n.noForks
}

// tryFork makes a nest, in which the init's own program waits, and has a sandbox launched in it.
func (n *Namespace) tryFork(ctx context.Context) error {
	program, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(n.initFD))
	if err != nil {
		return err
	}
	i := newInstance(n, Spec{
		ID: "forks", Argv: []string{"/probe", "probe", "wait"}, Dir: "/", Late: true, Channel: true, Fork: true,
		Root: RootFS{Files: map[string]File{"/probe": {Content: string(program), Mode: 0o755}}},
	}.withDefaults())
	if err := n.nestle(ctx, i); err != nil {
		return err
	}
	if err := n.admit(i); err != nil {
		i.fork.from.over(i)
		return err
	}
	if err := i.launch(); err != nil {
		i.fork.from.over(i)
		return errors.Join(err, i.cleanUp())
	}
	go i.run()
	select {
	case <-i.fork.stands:
		return i.Kill()
	case <-i.done:
		return i.startErr
	case <-ctx.Done():
		return errors.Join(ctx.Err(), i.Kill())
	}
}

// forkLayer tells of it.
func (n *Namespace) forkLayer() Layer {
	if err := n.Forks(); err != nil {
		return Layer{Name: "forks", State: Weaker, Detail: "ready pythons are executed one by one: " + err.Error(),
			Fix: "let user namespaces nest: sysctl user.max_user_namespaces, and what namespaces above take"}
	}
	return Layer{Name: "forks", State: Full, Detail: "ready pythons are forked from one that waits, into sandboxes of their own"}
}
