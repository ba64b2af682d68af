package main

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// covered are the directories that a tree has for what every sandbox brings itself.
var covered = []string{"/proc", "/dev", "/tmp"}

// ground is what the root is built on: a tree that was given, read-only from the start, or an empty file
// system.
func (b *builder) ground(s *control.Setup) (int, error) {
	switch len(s.Tree) {
	case 0:
		return newFS("tmpfs", plain, "mode", "0755", "size", strconv.FormatUint(s.RootBytes, 10))
	case 1:
		return b.tree(s.Tree[0])
	}
	return -1, wrap("more than one tree", nil)
}

// devices gives /dev a file system of its own, where the root cannot take the few files in.
func (b *builder) devices(s *control.Setup) error {
	if len(s.Tree) == 0 {
		return b.dev(s)
	}
	own, err := newFS("tmpfs", plain, "mode", "0755", "size", "64k")
	if err != nil {
		return err
	}
	if err := b.put(own, "/dev"); err != nil {
		return err
	}
	if err := b.dev(s); err != nil {
		return err
	}
	at, err := b.dir("/dev")
	if err != nil {
		return err
	}
	defer unix.Close(at)
	seal := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(at, "", unix.AT_EMPTY_PATH, &seal); err != nil {
		return wrap("seal /dev", err)
	}
	return nil
}
