package main

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

func (b *builder) attach(s *control.Setup) error {
	if err := b.mounts(s.Mounts); err != nil {
		return err
	}
	return b.layers(s.Layers, "/opt")
}

func (b *builder) mounts(ms []control.Mount) error {
	for _, m := range ms {
		tree, err := b.tree(m)
		if err != nil {
			return err
		}
		if err := b.put(tree, m.Target); err != nil {
			return err
		}
	}
	return nil
}

// take opens what mounts name by path, before anything covers it; afterwards every mount has its
// descriptor in b.fds, in the order of the lists.
func (b *builder) take(lists ...[]control.Mount) error {
	sent := b.fds
	b.fds = nil
	for _, m := range slices.Concat(lists...) {
		if m.Source == "" {
			if len(sent) == 0 {
				return wrap("no descriptor for "+m.Target, nil)
			}
			b.fds, sent = append(b.fds, sent[0]), sent[1:]
			continue
		}
		tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source,
			unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return wrap("take "+m.Source, err)
		}
		b.fds = append(b.fds, tree)
	}
	return nil
}

// tree is the next mount, attached nowhere yet, restricted.
func (b *builder) tree(m control.Mount) (int, error) {
	tree := b.fds[0]
	b.fds = b.fds[1:]
	// private: what the host mounts below it later stays outside
	attr := unix.MountAttr{Attr_set: plain, Propagation: unix.MS_PRIVATE}
	if !m.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return -1, wrap("restrict the mount for "+m.Target, err)
	}
	return tree, nil
}

// put attaches a tree at target, making the file or directory that it covers, and closes it.
func (b *builder) put(tree int, target string) error {
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return wrap("look at the mount for "+target, err)
	}
	place, err := b.place(target, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	err = unix.MoveMount(tree, "", place, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return wrap("mount "+target, err)
	}
	return nil
}

func (b *builder) place(target string, isDir bool) (int, error) {
	if isDir {
		return b.dir(target)
	}
	at, name, err := b.parent(target)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return -1, wrap("make "+target, err)
	}
	unix.Close(fd)
	fd, err = unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, wrap("open "+target, err)
	}
	return fd, nil
}

// layers merges trees at target. One is simply mounted; more become the lower directories of an
// overlay without an upper one, later layers first, as Lambda lets a later layer win.
func (b *builder) layers(ms []control.Mount, target string) error {
	if len(ms) == 0 {
		return nil
	}
	if len(ms) == 1 {
		return b.mounts([]control.Mount{{Target: target}})
	}
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return wrap("open an overlay for the layers", err)
	}
	defer unix.Close(fs)
	// an overlay names its lower directories by path and wants them mounted, so they need places for a
	// moment
	scratch, err := places(len(ms))
	if err != nil {
		return err
	}
	if err := b.put(scratch, target); err != nil {
		return err
	}
	lower, held, err := b.lowers(ms, target)
	if err != nil {
		return err
	}
	defer func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}()
	if err := unix.FsconfigSetString(fs, "lowerdir", lower); err != nil {
		return wrap("name the layers of the overlay", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return wrap("create the overlay of the layers", err)
	}
	merged, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, plain|unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return wrap("mount the overlay of the layers", err)
	}
	return b.swap(merged, target)
}

// places is a file system with n folders. It is sealed before it is attached, since a program that waits
// for its code has the init's user, and could write there.
func places(n int) (int, error) {
	scratch, err := newFS("tmpfs", plain, "mode", "0755", "size", "64k")
	if err != nil {
		return -1, err
	}
	for i := range n {
		if err := unix.Mkdirat(scratch, strconv.Itoa(i), 0o755); err != nil {
			return -1, wrap("make a layer's place", err)
		}
	}
	seal := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(scratch, "", unix.AT_EMPTY_PATH, &seal); err != nil {
		return -1, wrap("seal the layers' places", err)
	}
	return scratch, nil
}

// lowers mounts each layer below target and returns the overlay's list of them, which names them by
// descriptors, because their paths only mean something after the pivot.
func (b *builder) lowers(ms []control.Mount, target string) (lower string, held []int, err error) {
	for i := range ms {
		dir := target + "/" + strconv.Itoa(i)
		tree, err := b.tree(control.Mount{Target: dir})
		if err != nil {
			return "", nil, err
		}
		fd, err := unix.FcntlInt(uintptr(tree), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return "", nil, wrap("hold a layer", err)
		}
		held = append(held, fd)
		if err := b.put(tree, dir); err != nil {
			return "", nil, err
		}
		if lower != "" {
			lower = ":" + lower
		}
		lower = "/proc/self/fd/" + strconv.Itoa(fd) + lower
	}
	return lower, held, nil
}

// swap replaces the scratch mount and the layers on it by the merged tree.
func (b *builder) swap(merged int, target string) error {
	at, err := b.dir(target)
	if err != nil {
		return err
	}
	path := "/proc/self/fd/" + strconv.Itoa(at)
	err = unix.Unmount(path, unix.MNT_DETACH)
	unix.Close(at)
	if err != nil {
		return wrap("let go of the layers' places", err)
	}
	return b.put(merged, target)
}

// dev gives a /dev of harmless devices. Nobody can make devices in a user namespace, so they are
// the host's, and only they may be opened as devices.
func (b *builder) dev(*control.Setup) error {
	for _, name := range devices {
		tree, err := device(name)
		if err != nil {
			return err
		}
		if err := b.put(tree, "/dev/"+name); err != nil {
			return err
		}
	}
	return b.files(&control.Setup{Links: []control.Link{
		{Path: "/dev/fd", Target: "/proc/self/fd"},
		{Path: "/dev/stdin", Target: "/proc/self/fd/0"},
		{Path: "/dev/stdout", Target: "/proc/self/fd/1"},
		{Path: "/dev/stderr", Target: "/proc/self/fd/2"},
	}})
}

func device(name string) (int, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, wrap("take /dev/"+name, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return -1, wrap("restrict /dev/"+name, err)
	}
	return tree, nil
}

// proc mounts a /proc of this pid namespace: read-only, and other users' processes do not appear in
// it (hidepid), nor, since it is undumpable, does the init.
func (b *builder) proc(s *control.Setup) error {
	if !s.Proc {
		return nil
	}
	const attrs = plain | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_RDONLY
	tree, err := newFS("proc", attrs, "hidepid", "invisible")
	if err != nil {
		return err
	}
	if err := b.put(tree, "/proc"); err != nil {
		return err
	}
	at, err := b.dir("/proc")
	if err != nil {
		return err
	}
	defer unix.Close(at)
	for _, name := range masked {
		if err := mask(at, name); err != nil {
			return err
		}
	}
	return nil
}

// mask lays /dev/null over a file, if the kernel has it.
func mask(at int, name string) error {
	place, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return wrap("open /proc/"+name, err)
	}
	defer unix.Close(place)
	tree, err := device("null")
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	err = unix.MoveMount(tree, "", place, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return wrap("mask /proc/"+name, err)
	}
	return nil
}

// tmpBounds are the options that bound a /tmp. Half its pages as inodes, so that a flood of empty files
// is bounded too.
func tmpBounds(size uint64) []string {
	return []string{"size", strconv.FormatUint(size, 10), "nr_inodes", strconv.FormatUint(max(size/8192, 1024), 10)}
}

// tmp gives the private, bounded /tmp.
func (b *builder) tmp(s *control.Setup) error {
	tree, err := newFS("tmpfs", plain, append([]string{"mode", "1777"}, tmpBounds(s.TmpBytes)...)...)
	if err != nil {
		return err
	}
	return b.put(tree, "/tmp")
}
