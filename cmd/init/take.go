package main

import (
	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// take answers a Take frame: a mount of a host's file or directory, attached nowhere. The launcher of an
// ordinary user who has subordinate ids makes these in mounts of its own: Bastide may make none, and the
// sandbox, which is another user, may not walk to what Bastide's can read.
func take(c conn, body []byte) error {
	t, err := control.ParseTaking(body)
	var tree int
	if err == nil {
		tree, err = unix.OpenTree(unix.AT_FDCWD, t.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	}
	if err != nil {
		e := wrap("take "+t.Path, err).(*stageError)
		return c.write(control.Taken, control.Failure{Stage: e.stage, Errno: uint64(e.errno)}.Append(nil), nil)
	}
	defer unix.Close(tree)
	return c.write(control.Taken, control.Failure{}.Append(nil), []int{tree})
}
