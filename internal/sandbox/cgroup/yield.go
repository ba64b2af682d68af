package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Used is the processor time that the group's processes have used. The unified hierarchy tells it,
// whether or not it has the controller.
func (g *Group) Used() (time.Duration, error) {
	if g.dir == nil {
		return 0, errors.ErrUnsupported
	}
	if g.cpu.file == nil {
		fd, err := syscall.Open(filepath.Join(g.unified(), "cpu.stat"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		g.cpu.file = &fd
	}
	var text [64]byte
	n, err := syscall.Pread(*g.cpu.file, text[:], 0)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text[:n]), "\n")
	micros, ok := strings.CutPrefix(first, "usage_usec ")
	if !ok {
		return 0, os.ErrInvalid
	}
	us, err := strconv.ParseInt(micros, 10, 64)
	return time.Duration(us) * time.Microsecond, err
}

// Yield gives the group a tenth of the weight of others that want a processor, or its own again.
func (g *Group) Yield(on bool) error {
	if on {
		return g.weigh("10", "102")
	}
	return g.Background(false)
}
