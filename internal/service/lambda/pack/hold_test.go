package pack

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// TestHolds: what a call took in and nobody uses goes with the last hold on it, and nothing else does.
func TestHolds(t *testing.T) {
	no, yes := func() (bool, error) { return false, nil }, func() (bool, error) { return true, nil }
	broken := errors.New("broken")
	z := archiveOf(t, item{"a", "1", 0})
	sha := hashOf(z)
	for _, c := range []struct {
		name string
		do   func(s *Store, add func(), h *Hold) error
		left bool
	}{
		{"used by nobody", func(_ *Store, add func(), h *Hold) error { add(); return h.Release(no) }, false},
		{"used", func(_ *Store, add func(), h *Hold) error { add(); return h.Release(yes) }, true},
		{"never added", func(_ *Store, _ func(), h *Hold) error { return h.Release(no) }, false},
		{"not known", func(_ *Store, add func(), h *Hold) error {
			add()
			if err := h.Release(func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
				return errors.New("no error")
			}
			return nil
		}, true},
		{"held by another", func(s *Store, add func(), h *Hold) error { add(); s.Hold(sha); return h.Release(no) }, true},
		{"let go by another too", func(s *Store, add func(), h *Hold) error {
			add()
			return errors.Join(s.Hold(sha).Release(no), h.Release(no))
		}, false},
		{"wanted meanwhile", func(s *Store, add func(), h *Hold) error { add(); s.Has(sha); return h.Release(no) }, true},
		{"taken up while it was looked at", func(s *Store, add func(), h *Hold) error {
			add()
			asked := 0
			return h.Release(func() (bool, error) {
				if asked++; asked == 1 {
					return false, s.Hold(sha).Release(yes)
				}
				return true, nil
			})
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := OpenStore(dir, "boot")
			if err != nil {
				t.Fatal(err)
			}
			add := func() {
				if _, err := s.Add(bytes.NewReader(z), int64(len(z)), sha, ample); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.do(s, add, s.Hold(sha)); err != nil {
				t.Fatal(err)
			}
			list, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := s.Dir(sha); ok != c.left || !c.left && len(list) != 1 {
				t.Errorf("there: %v, with %v", ok, list)
			}
			add() // it can be had again
			if !s.Has(sha) {
				t.Error("not added again")
			}
		})
	}
}

// TestHoldLeavesWhatWasThere: an invocation may still read what was unpacked before the call.
func TestHoldLeavesWhatWasThere(t *testing.T) {
	s, err := OpenStore(t.TempDir(), "boot")
	if err != nil {
		t.Fatal(err)
	}
	z := archiveOf(t, item{"a", "1", 0})
	sha := hashOf(z)
	no := func() (bool, error) { return false, nil }
	for range 2 {
		h := s.Hold(sha)
		if _, err := s.Add(bytes.NewReader(z), int64(len(z)), sha, ample); err != nil {
			t.Fatal(err)
		}
		s.Has(sha)
		if err := h.Release(no); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Dir(sha); !ok {
			t.Fatal("gone")
		}
	}
	h := s.Hold(sha)
	if err := h.Release(no); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Dir(sha); !ok {
		t.Error("what was there before the hold is gone")
	}
	now := time.Unix(0, 0)
	for _, at := range []time.Time{now, now.Add(Grace)} {
		if _, err := s.Sweep(at, func(string) bool { return false }); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.Dir(sha); ok {
		t.Error("the sweep left it")
	}
}
