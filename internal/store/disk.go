package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

const lockFile = "lock"

// makeDir makes the data directory for its owner only, and its name durable in its parent.
func makeDir(dir string) error {
	if dir == "" {
		return errors.New("store: no data directory given")
	}
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if missing == nil {
		return nil
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// lockDir takes the directory for this process; the kernel gives it back when the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		b := make([]byte, 20)
		n, _ := f.ReadAt(b, 0)
		pid, _ := strconv.Atoi(string(bytes.TrimSpace(b[:n])))
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &LockedError{Dir: dir, PID: pid}
		}
		return nil, fmt.Errorf("store: lock %s: %w", dir, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err == nil {
			return f, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("store: cannot write %s", filepath.Join(dir, lockFile))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("store: free space: %w", err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// reserve refuses writes while the disk is nearly full. It measures at most once a second and
// after every 8 MiB written in between.
type reserve struct {
	reserve uint64
	measure func() (uint64, error)
	clock   clock.Clock

	mu      sync.Mutex
	at      time.Time
	written uint64
	free    uint64
}

func (r *reserve) admit(n int, privileged bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written += uint64(n)
	if now := r.clock.Now(); r.at.IsZero() || now.Sub(r.at) >= time.Second || r.written > 8<<20 {
		free, err := r.measure()
		if err != nil {
			return err
		}
		r.at, r.free, r.written = now, free, uint64(n)
	}
	need := r.reserve
	if privileged {
		need /= 4
	}
	if r.free < need {
		return &ReserveError{Free: r.free, Reserve: need}
	}
	return nil
}
