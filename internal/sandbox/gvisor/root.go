package gvisor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// always are the directories of every root. Below those that code comes to there is one named lib, as
// the C library's loader remembers of the folders in LD_LIBRARY_PATH that do not exist that they never
// will.
var always = []string{"/proc", "/dev", "/tmp", "/opt/lib", "/var/task/lib"}

// rooter lays out a function's root in a directory of the yard. All of it runs on the yard's thread.
// Targets are resolved by os.Root: what is mounted there may be full of symbolic links, and none leads
// out of the root.
type rooter struct{ root *os.Root }

// openRoot is for the directory at dir.
func openRoot(dir string) (*rooter, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &rooter{r}, nil
}

func (r *rooter) close() error { return r.root.Close() }

// inside is a clean absolute path as os.Root wants it.
func inside(p string) string {
	if p == "/" {
		return "."
	}
	return strings.TrimPrefix(p, "/")
}

// furnish makes everything that spec names.
func (r *rooter) furnish(spec sandbox.Spec) error {
	if spec.Root.Tree != "" {
		return r.tree(spec.Root)
	}
	for _, list := range [][]string{always, spec.Root.Dirs} {
		for _, d := range list {
			if err := r.root.MkdirAll(inside(d), 0o755); err != nil {
				return fmt.Errorf("make %s: %w", d, err)
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(spec.Root.Files)) {
		if err := r.file(p, spec.Root.Files[p]); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(spec.Root.Links)) {
		if err := errors.Join(r.parent(p), r.root.Symlink(spec.Root.Links[p], inside(p))); err != nil {
			return fmt.Errorf("link %s: %w", p, err)
		}
	}
	for _, b := range spec.Root.Binds {
		if err := r.bind(b); err != nil {
			return err
		}
	}
	return r.code(spec.Code, spec.Layers)
}

// tree lays a whole root over the empty one.
func (r *rooter) tree(root sandbox.RootFS) error {
	if err := r.bind(sandbox.Bind{Source: root.Tree, Target: "/"}); err != nil {
		return err
	}
	over, err := os.OpenRoot(r.root.Name())
	if err != nil {
		return err
	}
	on := rooter{over}
	for _, b := range root.Binds {
		if err := on.bind(b); err != nil {
			return errors.Join(err, over.Close())
		}
	}
	return over.Close()
}

// code shows code and layers.
func (r *rooter) code(code string, layers []string) error {
	if code != "" {
		if err := r.bind(sandbox.Bind{Source: code, Target: "/var/task"}); err != nil {
			return err
		}
	}
	switch len(layers) {
	case 0:
		return nil
	case 1:
		return r.bind(sandbox.Bind{Source: layers[0], Target: "/opt"})
	}
	merged, err := merge(layers)
	if err != nil {
		return err
	}
	return r.attach(merged, "/opt")
}

func (r *rooter) parent(p string) error {
	if dir := inside(path.Dir(p)); dir != "" {
		return r.root.MkdirAll(dir, 0o755)
	}
	return nil
}

func (r *rooter) file(p string, f sandbox.File) error {
	mode := os.FileMode(f.Mode & 0o777)
	if mode == 0 {
		mode = 0o644
	}
	if err := r.parent(p); err != nil {
		return fmt.Errorf("make %s: %w", p, err)
	}
	out, err := r.root.OpenFile(inside(p), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("make %s: %w", p, err)
	}
	_, err = out.WriteString(f.Content)
	return errors.Join(err, out.Chmod(mode), out.Close())
}

// The attributes that every mount has.
const plain = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// bind shows a host's file or directory.
func (r *rooter) bind(b sandbox.Bind) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, b.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("take %s: %w", b.Source, err)
	}
	attr := unix.MountAttr{Attr_set: plain, Propagation: unix.MS_PRIVATE}
	if !b.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return errors.Join(fmt.Errorf("restrict the mount for %s: %w", b.Target, err), unix.Close(tree))
	}
	return r.attach(tree, b.Target)
}

// attach mounts a tree at target, making the file or directory that it covers, and closes it.
func (r *rooter) attach(tree int, target string) (err error) {
	defer func() { err = errors.Join(err, unix.Close(tree)) }()
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return fmt.Errorf("look at the mount for %s: %w", target, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = r.root.MkdirAll(inside(target), 0o755)
	} else if err = r.parent(target); err == nil {
		var f *os.File
		if f, err = r.root.OpenFile(inside(target), os.O_RDONLY|os.O_CREATE, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", target, err)
	}
	place, err := r.root.OpenFile(inside(target), unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", target, err)
	}
	err = unix.MoveMount(tree, "", int(place.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err := errors.Join(err, place.Close()); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// merge makes one tree of layers, a later one above an earlier, as Lambda lets a later layer win.
func merge(layers []string) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open an overlay for the layers: %w", err)
	}
	defer unix.Close(fs)
	lower := ""
	for _, l := range layers {
		fd, err := unix.Open(l, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, fmt.Errorf("take %s: %w", l, err)
		}
		defer unix.Close(fd)
		if lower != "" {
			lower = ":" + lower
		}
		// by descriptor, because a path may hold a colon, and all of them must fit into 256 bytes
		lower = "/proc/self/fd/" + strconv.Itoa(fd) + lower
	}
	if err := unix.FsconfigSetString(fs, "lowerdir", lower); err != nil {
		return -1, fmt.Errorf("name the layers of the overlay: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create the overlay of the layers: %w", err)
	}
	merged, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, plain|unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return -1, fmt.Errorf("mount the overlay of the layers: %w", err)
	}
	return merged, nil
}
