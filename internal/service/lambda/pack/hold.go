package pack

import (
	"fmt"
	"os"
	"path/filepath"
)

// Hold is a call's hold on a package that it takes in:
//
//	h := s.Hold(sha)
//	defer h.Release(used)
//	info, err := s.Add(r, size, sha, lim)
//
// What was not there before is removed at once when the last hold on it ends and nobody uses it. What
// was there before is left to Sweep, for an invocation may still read it.
type Hold struct {
	s   *Store
	sha string
}

// holding is what the holds on one package share.
type holding struct {
	now   int  // holds that there are
	ever  int  // and were
	fresh bool // only holders have had the package
}

// Hold begins a hold on a package, before it is added.
func (s *Store) Hold(sha string) *Hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holds[sha]
	if h == nil {
		_, there := s.Dir(sha)
		h = &holding{fresh: !there && s.flights[sha] == nil}
		s.holds[sha] = h
	}
	h.now++
	h.ever++
	return &Hold{s, sha}
}

// Release ends the hold. used tells whether anybody uses the package, now that the call is over; it is
// asked without a lock held, and again when others have come and gone meanwhile.
func (h *Hold) Release(used func() (bool, error)) error {
	s := h.s
	s.mu.Lock()
	is := s.holds[h.sha]
	for is.now == 1 && is.fresh {
		ever := is.ever
		s.mu.Unlock()
		kept, err := used()
		s.mu.Lock()
		if is.ever != ever {
			continue
		}
		if kept || err != nil || !is.fresh {
			s.end(h.sha, is)
			s.mu.Unlock()
			return err
		}
		gone, err := s.take(h.sha)
		s.end(h.sha, is)
		s.mu.Unlock()
		if err != nil || gone == "" {
			return err
		}
		return remove(gone)
	}
	s.end(h.sha, is)
	s.mu.Unlock()
	return nil
}

func (s *Store) end(sha string, h *holding) {
	if h.now--; h.now == 0 {
		delete(s.holds, sha)
	}
}

// take puts a package out of reach, so that nobody finds half of it, and says where it is; "" where it
// is not there.
func (s *Store) take(sha string) (string, error) {
	dir, ok := s.Dir(sha)
	if !ok {
		return "", nil // it was refused
	}
	delete(s.idle, sha)
	s.taken++
	gone := filepath.Join(s.dir, fmt.Sprintf("%s%d-%s", unfinished, s.taken, sha))
	return gone, os.Rename(dir, gone)
}
