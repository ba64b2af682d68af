package main

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// Attributes that every mount has.
const plain = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// stagings are directories over which the new root may be mounted until it is pivoted into; any one
// that exists does, as nobody else sees this mount namespace.
var stagings = []string{"/tmp", "/run", "/mnt", "/var", "/usr"}

// devices are what programs expect of /dev and that give nothing away.
var devices = []string{"null", "zero", "full", "random", "urandom"}

// masked are files of /proc that tell about the host or its other users; /dev/null lies over them.
var masked = []string{"keys", "key-users", "kallsyms", "kcore", "timer_list", "sysrq-trigger"}

// always are the directories of every root.
var always = []string{"/proc", "/dev", "/tmp", "/opt", "/var/task"}

// buildRoot puts the root together, pivots into it and seals it. It returns the root directory and,
// for a waiting sandbox that has one, the store.
func buildRoot(s *control.Setup, fds []int) (root, store int, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return -1, -1, wrap("make the mounts private", err)
	}
	b := &builder{fds: fds, store: -1}
	if err := b.take(s.Tree, s.Mounts, s.Layers); err != nil {
		return -1, -1, err
	}
	if err := b.stock(s); err != nil {
		return -1, -1, err
	}
	if root, err = b.ground(s); err != nil {
		return -1, -1, err
	}
	if err := stage(root); err != nil {
		return -1, -1, err
	}
	b.root = root
	for _, step := range []func(*control.Setup) error{b.dirs, b.files, b.attach, b.await, b.devices, b.proc, b.tmp} {
		if err := step(s); err != nil {
			return -1, -1, err
		}
	}
	if err := pivot(root); err != nil {
		return -1, -1, err
	}
	seal := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &seal); err != nil {
		return -1, -1, wrap("seal the root", err)
	}
	return root, b.store, nil
}

// newFS mounts a new file system, attached nowhere yet; options are pairs.
func newFS(kind string, attrs int, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, wrap("open a "+kind, err)
	}
	defer unix.Close(fs)
	for i := 0; i+1 < len(options); i += 2 {
		if err := unix.FsconfigSetString(fs, options[i], options[i+1]); err != nil {
			return -1, wrap("set "+options[i]+" of a "+kind, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, wrap("create a "+kind, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return -1, wrap("mount a "+kind, err)
	}
	return fd, nil
}

// stage attaches the new root somewhere, because a detached tree takes no mounts and no pivot.
func stage(root int) error {
	var last error
	for _, dir := range stagings {
		last = unix.MoveMount(root, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
		if last == nil {
			return nil
		}
	}
	return wrap("attach the new root", last)
}

// pivot makes root the root directory and lets go of the old one with everything on it.
func pivot(root int) error {
	if err := unix.Fchdir(root); err != nil {
		return wrap("enter the new root", err)
	}
	// with both arguments the same the old root ends up on top of the new one: pivot_root(2), NOTES
	if err := unix.PivotRoot(".", "."); err != nil {
		return wrap("pivot into the new root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return wrap("let go of the old root", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return wrap("go to the new root", err)
	}
	return nil
}

// builder furnishes a root directory. It never follows a symbolic link on the way to a target: a
// code package or a layer may be full of them, and before the pivot they would lead to the host.
type builder struct {
	root  int
	fds   []int // mounts that the driver sent, in order of use
	store int   // as initProcess.store
}

func (b *builder) dirs(s *control.Setup) error {
	made := always
	if len(s.Tree) > 0 {
		made = covered
	}
	for _, list := range [][]string{made, s.Dirs} {
		for _, dir := range list {
			fd, err := b.dir(dir)
			if err != nil {
				return err
			}
			unix.Close(fd)
		}
	}
	return nil
}

// dir opens a directory below the root, making what is missing.
func (b *builder) dir(path string) (int, error) {
	at, err := unix.FcntlInt(uintptr(b.root), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, wrap("make "+path, err)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" {
			continue
		}
		next, err := step(at, part)
		unix.Close(at)
		if err != nil {
			return -1, wrap("make "+path, err)
		}
		at = next
	}
	return at, nil
}

func step(at int, name string) (int, error) {
	if name == ".." || name == "." {
		return -1, unix.EINVAL
	}
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(at, name, flags, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	if err := unix.Mkdirat(at, name, 0o755); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return unix.Openat(at, name, flags, 0)
}

// parent opens the directory that path lies in.
func (b *builder) parent(path string) (int, string, error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 || path[i+1:] == "" || path[i+1:] == ".." || path[i+1:] == "." {
		return -1, "", wrap("not a path: "+path, nil)
	}
	fd, err := b.dir(path[:i])
	return fd, path[i+1:], err
}

func (b *builder) files(s *control.Setup) error {
	for _, f := range s.Files {
		if err := b.file(f.Path, f.Mode, f.Content); err != nil {
			return err
		}
	}
	for _, l := range s.Links {
		at, name, err := b.parent(l.Path)
		if err != nil {
			return err
		}
		err = unix.Symlinkat(l.Target, at, name)
		unix.Close(at)
		if err != nil {
			return wrap("link "+l.Path, err)
		}
	}
	return nil
}

func (b *builder) file(path string, mode uint32, content string) error {
	at, name, err := b.parent(path)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	fd, err := unix.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return wrap("make "+path, err)
	}
	defer unix.Close(fd)
	for rest := []byte(content); len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return wrap("write "+path, err)
		}
		rest = rest[n:]
	}
	return nil
}
