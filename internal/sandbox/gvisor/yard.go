package gvisor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
)

// yard is a thread with a mount namespace of its own, in which the sandboxes' files lie and from which
// they are started: who is started there sees the yard, and is sent a death signal when the thread ends.
type yard struct {
	dir  string // where the yard's file system is, in the yard
	jobs chan func()
	done chan struct{}
}

// openYard makes a yard whose files are in memory, over dir.
func openYard(dir string) (*yard, error) {
	y := &yard{dir: dir, jobs: make(chan func()), done: make(chan struct{})}
	made := make(chan error, 1)
	thread.Go(func() { // and the namespace ends with it
		defer close(y.done)
		err := fence(dir)
		made <- err
		if err != nil {
			return
		}
		for job := range y.jobs {
			job()
		}
	})
	return y, <-made
}

// fence gives the calling thread its namespace.
func fence(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("take a mount namespace: %w", err)
	}
	// what the host mounts still arrives; what is mounted here stays
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep mounts here: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=512m"); err != nil {
		return fmt.Errorf("mount over %s: %w", dir, err)
	}
	// sandboxes copy the namespace, and must see what is mounted here later
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with sandboxes: %w", err)
	}
	return nil
}

// do runs f on the yard's thread.
func (y *yard) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case y.jobs <- func() { result <- f() }:
		return <-result
	case <-y.done:
		return os.ErrClosed
	}
}

// close ends the thread.
func (y *yard) close() {
	close(y.jobs)
	<-y.done
}

// discard takes away a sandbox's directory, with whatever runsc has mounted below it.
func discard(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		err = nil // it was not mounted yet
	}
	return errors.Join(err, os.RemoveAll(dir))
}
