package main

import (
	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// A sandbox may be built before its code is known. Until then /var/task and /opt are stand-ins: small,
// empty and read-only but for a folder lib, since the C library's loader remembers of the folders in
// LD_LIBRARY_PATH that do not exist that they never will.
//
// An init that is an ordinary user's finds the code by its path, for which it keeps the store that the
// code lies in: a mount at /opt, below the stand-in that covers it, where no path leads; its own
// descriptor of it is out of reach, since it is undumpable. What runs meanwhile is Bastide's own
// program, and the store is gone before anything else does.

// stock takes the store off the host, before anything covers the way there.
func (b *builder) stock(s *control.Setup) error {
	if !s.Late || s.Store == "" {
		return nil
	}
	store, err := unix.OpenTree(unix.AT_FDCWD, s.Store, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return wrap("take the store", err)
	}
	attr := unix.MountAttr{Attr_set: plain | unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(store, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return wrap("restrict the store", err)
	}
	b.store = store
	return nil
}

// await attaches the store and the stand-ins.
func (b *builder) await(s *control.Setup) error {
	if !s.Late {
		return nil
	}
	if b.store >= 0 {
		again, err := unix.FcntlInt(uintptr(b.store), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return wrap("hold the store", err)
		}
		if err := b.put(again, "/opt"); err != nil {
			return err
		}
	}
	for _, target := range []string{"/var/task", "/opt"} {
		tree, err := standIn()
		if err != nil {
			return err
		}
		if err := b.put(tree, target); err != nil {
			return err
		}
	}
	return nil
}

// standIn is an empty folder with a folder lib.
func standIn() (int, error) {
	tree, err := newFS("tmpfs", plain, "mode", "0755", "size", "4k", "nr_inodes", "4")
	if err != nil {
		return -1, err
	}
	if err := unix.Mkdirat(tree, "lib", 0o755); err != nil {
		return -1, wrap("make a stand-in", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return -1, wrap("seal a stand-in", err)
	}
	return tree, nil
}

// deliver gives a waiting sandbox its code, doors and limits, after which the init has no rights left
// unless the process is still to be started.
func (in *initProcess) deliver(body []byte, fds []int) error {
	d, err := control.ParseDelivery(body)
	if err != nil {
		return wrap("read the delivery", nil)
	}
	in.given = true
	if fds, err = in.fetch(d, fds); err != nil {
		return err
	}
	if err := in.clear(); err != nil {
		return err
	}
	b := builder{root: in.root, fds: fds}
	if err := b.mounts(d.Mounts); err != nil {
		return err
	}
	if err := b.layers(d.Layers, "/opt"); err != nil {
		return err
	}
	if err := resizeTmp(d.TmpBytes); err != nil {
		return err
	}
	doors, err := openDoors(d.Doors)
	if err != nil {
		return err
	}
	if err := in.limit(d.Limits); err != nil {
		return err
	}
	if in.started {
		if err := in.surrender(); err != nil {
			return err
		}
	}
	if err := in.tell(control.Done, nil, doors); err != nil {
		return err
	}
	for _, fd := range doors {
		unix.Close(fd)
	}
	return nil
}

// fetch makes every mount of a delivery a descriptor, in order: those that were sent, or clones of what
// the store has under their names.
func (in *initProcess) fetch(d *control.Delivery, sent []int) ([]int, error) {
	var fds []int
	for _, list := range [][]control.Mount{d.Mounts, d.Layers} {
		for _, m := range list {
			if m.Source == "" {
				if len(sent) == 0 {
					return nil, wrap("no descriptor for "+m.Target, nil)
				}
				fds, sent = append(fds, sent[0]), sent[1:]
				continue
			}
			tree, err := in.fromStore(m.Source)
			if err != nil {
				return nil, err
			}
			fds = append(fds, tree)
		}
	}
	return fds, nil
}

func (in *initProcess) fromStore(name string) (int, error) {
	place, err := unix.Openat2(in.store, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return -1, wrap("find "+name+" in the store", err)
	}
	defer unix.Close(place)
	tree, err := unix.OpenTree(place, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, wrap("take "+name+" from the store", err)
	}
	return tree, nil
}

// clear takes away what stood at /opt: the stand-in, and the store below it.
func (in *initProcess) clear() error {
	if err := unix.Unmount("/opt", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return wrap("let go of the stand-in", err)
	}
	if in.setup.Store == "" {
		return nil
	}
	err := unix.Unmount("/opt", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	unix.Close(in.store) // through which even a detached store could be walked
	in.store = -1
	if err != nil {
		return wrap("let go of the store", err)
	}
	return nil
}

// resizeTmp changes the bound of /tmp.
func resizeTmp(size uint64) error {
	if size == 0 {
		return nil
	}
	fs, err := unix.Fspick(unix.AT_FDCWD, "/tmp", unix.FSPICK_CLOEXEC|unix.FSPICK_SYMLINK_NOFOLLOW)
	if err != nil {
		return wrap("take up /tmp", err)
	}
	defer unix.Close(fs)
	for o := tmpBounds(size); len(o) > 0; o = o[2:] {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return wrap("set "+o[0]+" of /tmp", err)
		}
	}
	if err := unix.FsconfigReconfigure(fs); err != nil {
		return wrap("change the bound of /tmp", err)
	}
	return nil
}

// limit lowers limits of the process, and of the init, which may start others.
func (in *initProcess) limit(limits []control.Limit) error {
	if err := in.bound(); err != nil {
		return err
	}
	in.children.mu.Lock()
	defer in.children.mu.Unlock()
	for _, l := range limits {
		if err := in.abide(l); err != nil {
			return wrap("set a limit that came late", err)
		}
		lim := unix.Rlimit{Cur: l.Value, Max: l.Value}
		if pid := in.children.pids[0]; pid != 0 {
			if err := unix.Prlimit(pid, int(l.Resource), &lim, nil); err != nil && err != unix.ESRCH {
				return wrap("set a limit that came late", err)
			}
		}
	}
	return nil
}
