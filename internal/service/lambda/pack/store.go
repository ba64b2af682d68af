package pack

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Store keeps packages unpacked in a folder of its own. It is safe for concurrent use by the one
// process that owns the folder.
type Store struct {
	dir string

	mu      sync.Mutex
	flights map[string]*flight
	idle    map[string]time.Time // since when a package was found unused
	holds   map[string]*holding
	taken   int // packages removed at the end of a hold
	took    map[string]time.Duration
}

// flight is a package being unpacked; others who want it wait.
type flight struct {
	done chan struct{}
	info Info
	err  error
}

const (
	unfinished = ".new-"
	bootFile   = "boot"
	// Grace is how long an unused package stays: longer than the longest invocation (15 minutes)
	// that may still read it.
	Grace = 20 * time.Minute
)

// OpenStore opens the store in dir, making it if needed. boot names the machine's current run: what
// was unpacked before another one is dropped, for the bytes may not have reached the disk.
func OpenStore(dir, boot string) (*Store, error) {
	// Functions get what is in it by mounts, and none walks there.
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)); err != nil {
		return nil, err
	}
	have, err := os.ReadFile(filepath.Join(dir, bootFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	same := boot != "" && string(have) == boot
	for _, e := range list {
		if !e.IsDir() || same && !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if err := remove(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	if !same {
		if err := os.WriteFile(filepath.Join(dir, bootFile), []byte(boot), 0o600); err != nil {
			return nil, err
		}
	}
	return &Store{dir: dir, flights: map[string]*flight{}, idle: map[string]time.Time{}, holds: map[string]*holding{}, took: map[string]time.Duration{}}, nil
}

// Dir is where the package of that hash (of the archive, SHA-256 in hex) is unpacked, if it is.
func (s *Store) Dir(sha string) (string, bool) {
	dir := filepath.Join(s.dir, sha)
	if !validHash(sha) {
		return "", false
	}
	st, err := os.Stat(dir)
	return dir, err == nil && st.IsDir()
}

// Has reports whether the package is unpacked, for who is going to use it, and keeps it from being
// swept for a while.
func (s *Store) Has(sha string) bool {
	s.mu.Lock()
	if h := s.holds[sha]; h != nil {
		h.fresh = false
	}
	s.mu.Unlock()
	return s.has(sha)
}

func (s *Store) has(sha string) bool {
	s.mu.Lock()
	delete(s.idle, sha)
	s.mu.Unlock()
	_, ok := s.Dir(sha)
	return ok
}

// Add makes sure that the archive, whose hash is sha, is unpacked, and says what it holds. Errors:
// *Error and *TooLarge for an archive that is refused.
func (s *Store) Add(r io.ReaderAt, size int64, sha string, lim Limits) (Info, error) {
	if !validHash(sha) {
		return Info{}, fmt.Errorf("pack: %q is no hash", sha)
	}
	if s.has(sha) {
		return Check(r, size, lim)
	}
	return s.Fill(sha, func(dir string) (Info, error) {
		info, err := Unpack(r, size, dir, lim)
		if err == nil {
			err = seal(dir)
		}
		return info, err
	})
}

// Fill makes sure that what sha names is there: fill writes it, read-only, into an empty folder, unless
// somebody else has or is about to. The Info is fill's; of what was there already it is zero.
func (s *Store) Fill(sha string, fill func(dir string) (Info, error)) (Info, error) {
	if !validHash(sha) {
		return Info{}, fmt.Errorf("pack: %q is no hash", sha)
	}
	if s.has(sha) {
		return Info{}, nil
	}
	s.mu.Lock()
	f, ok := s.flights[sha]
	if !ok {
		f = &flight{done: make(chan struct{})}
		s.flights[sha] = f
	}
	delete(s.idle, sha)
	s.mu.Unlock()
	if ok {
		<-f.done
		return f.info, f.err
	}
	begun := clock.System{}.Now()
	f.info, f.err = s.fill(sha, fill)
	s.mu.Lock()
	if f.err == nil && len(s.took) < maxTook {
		s.took[sha] = clock.System{}.Now().Sub(begun)
	}
	delete(s.flights, sha)
	s.mu.Unlock()
	close(f.done)
	return f.info, f.err
}

// maxTook bounds the packages of which the time is kept.
const maxTook = 10_000

// Took is how long it took to unpack a package since the start; 0 where that is not known.
func (s *Store) Took(sha string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.took[sha]
}

func (s *Store) fill(sha string, fill func(dir string) (Info, error)) (info Info, err error) {
	tmp, err := os.MkdirTemp(s.dir, unfinished)
	if err != nil {
		return Info{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(tmp))
		}
	}()
	if info, err = fill(tmp); err != nil {
		return Info{}, err
	}
	final := filepath.Join(s.dir, sha)
	if _, ok := s.Dir(sha); ok {
		return info, remove(tmp) // another flight ended between the look and this one
	}
	return info, os.Rename(tmp, final)
}

// Sweep removes the packages that used says nobody uses and that were found so for longer than
// Grace, and reports how many. To be called every few minutes.
func (s *Store) Sweep(now time.Time, used func(sha string) bool) (int, error) {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range list {
		sha := e.Name()
		if !e.IsDir() || !validHash(sha) || !s.expired(sha, now, used(sha)) {
			continue
		}
		// Renamed first, so that nobody finds half of it.
		gone := filepath.Join(s.dir, unfinished+sha)
		if err := os.Rename(filepath.Join(s.dir, sha), gone); err != nil {
			return n, err
		}
		if err := remove(gone); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s *Store) expired(sha string, now time.Time, used bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.idle[sha]
	switch {
	case used:
		delete(s.idle, sha)
		return false
	case !ok:
		s.idle[sha] = now
		return false
	case now.Sub(since) < Grace:
		return false
	}
	delete(s.idle, sha)
	return true
}

// seal takes the right to write from every folder; files have none from the start.
func seal(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(p, 0o555)
	})
}

// remove deletes a sealed folder: its owner must be able to write into it again.
func remove(dir string) error {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(p, 0o700)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

func validHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && strings.ToLower(s) == s
}
