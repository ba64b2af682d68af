package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// MemoryUsed is all that the group takes in bytes, page cache and tmpfs included: never less than what its
// processes hold. It is called by one goroutine at a time, as is Peak, and neither beside Remove.
func (g *Group) MemoryUsed() (int64, error) {
	switch {
	case g.host.v2["memory"]:
		return g.used.read(g.unified(), "memory.current")
	case g.host.v1["memory"] != "":
		return g.used.read(g.v1("memory"), "memory.usage_in_bytes")
	}
	return 0, errors.ErrUnsupported
}

// Peak is the most memory that the group ever used, page cache and tmpfs included, in bytes; 0 where the kernel does not say (v2
// before 5.19).
func (g *Group) Peak() (n int64, err error) {
	switch {
	case g.host.v2["memory"]:
		n, err = g.peak.read(g.unified(), "memory.peak")
	case g.host.v1["memory"] != "":
		n, err = g.peak.read(g.v1("memory"), "memory.max_usage_in_bytes")
	default:
		err = errors.ErrUnsupported
	}
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// gauge is a kernel file of one number, kept open: a reading is then one system call rather than
// three, and the path is not walked again. It was a sixth of what a short invocation cost.
type gauge struct{ file *int }

func (g *gauge) read(dir, name string) (int64, error) {
	if g.file == nil {
		path := filepath.Join(dir, name)
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, &os.PathError{Op: "open", Path: path, Err: err}
		}
		g.file = &fd
	}
	var text [32]byte
	n, err := syscall.Pread(*g.file, text[:], 0)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Pread(*g.file, text[:], 0)
	}
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: filepath.Join(dir, name), Err: err}
	}
	return strconv.ParseInt(strings.TrimSpace(string(text[:n])), 10, 64)
}

func (g *gauge) close() error {
	if g.file == nil {
		return nil
	}
	err := syscall.Close(*g.file)
	g.file = nil
	return err
}
