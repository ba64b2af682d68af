// Package storetest is the behaviour that every store backend must show, as one suite of tests:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, opt store.Options) *store.DB { … })
//	}
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Open gives a test an empty database and closes it at the test's end. It fills in opt.Dir.
type Open func(t *testing.T, opt store.Options) *store.DB

// Run runs the whole suite, plainly and with every closure run twice.
func Run(t *testing.T, open Open) {
	for _, twice := range []bool{false, true} {
		mode := "once"
		if twice {
			mode = "twice"
		}
		for name, f := range tests {
			t.Run(mode+"/"+name, func(t *testing.T) {
				f(&suite{T: t, open: open, opt: store.Options{RunTwice: twice}})
			})
		}
	}
}

var tests = map[string]func(*suite){
	"rows":         rows,
	"codecs":       codecs,
	"scans":        scans,
	"indexes":      indexes,
	"scope":        scope,
	"rollback":     rollback,
	"panic":        panics,
	"concurrency":  concurrency,
	"snapshot":     snapshot,
	"readset":      readset,
	"watch":        watch,
	"outbox":       outbox,
	"limits":       limits,
	"blobs":        blobs,
	"smallBlobs":   smallBlobs,
	"blobSizes":    blobSizes,
	"hooks":        hooks,
	"kept":         kept,
	"keptTogether": keptTogether,
	"keptSums":     keptSums,
	"keptMany":     keptMany,
}

type suite struct {
	*testing.T
	open Open
	opt  store.Options
	clk  *clock.Manual
}

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func (s *suite) db() *store.DB {
	s.Helper()
	s.clk = clock.NewManual(epoch)
	s.opt.Clock = s.clk
	return s.open(s.T, s.opt)
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) update(db *store.DB, fn func(tx *store.Tx) error) {
	s.Helper()
	s.ok(db.Update(s.Context(), store.In("town"), fn))
}

func (s *suite) view(db *store.DB, fn func(tx *store.Tx) error) {
	s.Helper()
	s.ok(db.View(s.Context(), store.In("town"), fn))
}

type house struct {
	Name  string
	Tags  []string
	Floor int
}

var (
	houses = store.NewTable("town", "houses",
		store.Index[house]{Name: "name", Unique: true, Keys: func(h house) []store.Key { return []store.Key{store.K(h.Name)} }},
		store.Index[house]{Name: "tag", Keys: func(h house) (out []store.Key) {
			for _, t := range h.Tags {
				out = append(out, store.K(t))
			}
			return out
		}})
	counters = store.NewTable[int]("town", "counters")
	foreign  = store.NewTable[int]("country", "counters")
	rawRows  = store.NewTable[[]byte]("town", "raw")
	points   = store.NewTable[point]("town", "points")
)

type point struct{ x, y byte }

func (p point) AppendBinary(b []byte) ([]byte, error) { return append(b, p.x, p.y), nil }
func (p *point) UnmarshalBinary(b []byte) error {
	if len(b) != 2 {
		return errors.New("a point has two bytes")
	}
	p.x, p.y = b[0], b[1]
	return nil
}

func rows(s *suite) {
	db := s.db()
	k := store.K("acct", "eu-west-1", "a")
	s.update(db, func(tx *store.Tx) error {
		if _, ok, err := counters.Get(tx, k); ok || err != nil {
			return fmt.Errorf("an empty table has a row: %v %w", ok, err)
		}
		if err := counters.Put(tx, k, 1); err != nil {
			return err
		}
		n, ok, err := counters.Get(tx, k)
		if n != 1 || !ok {
			return fmt.Errorf("own write not seen: %d %v %w", n, ok, err)
		}
		return err
	})
	var first, second int64
	s.view(db, func(tx *store.Tx) (err error) {
		_, first, _, err = counters.GetVersioned(tx, k)
		return err
	})
	s.update(db, func(tx *store.Tx) error { return counters.Put(tx, k, 2) })
	s.view(db, func(tx *store.Tx) error {
		n, v, ok, err := counters.GetVersioned(tx, k)
		second = v
		if n != 2 || !ok {
			return fmt.Errorf("got %d %v %w", n, ok, err)
		}
		return err
	})
	if first <= 0 || second <= first {
		s.Fatalf("versions %d then %d do not grow", first, second)
	}
	s.update(db, func(tx *store.Tx) error {
		ok, err := counters.Delete(tx, k)
		if !ok {
			return fmt.Errorf("delete says there was none: %w", err)
		}
		if ok, _ := counters.Delete(tx, k); ok {
			return errors.New("second delete says there was one")
		}
		return err
	})
	s.view(db, func(tx *store.Tx) error {
		if ok, err := counters.Has(tx, k); ok || err != nil {
			return fmt.Errorf("deleted row is there: %w", err)
		}
		return nil
	})
}

func codecs(s *suite) {
	db := s.db()
	s.update(db, func(tx *store.Tx) error {
		return errors.Join(rawRows.Put(tx, store.K(1), []byte{0, 255}), rawRows.Put(tx, store.K(2), nil),
			points.Put(tx, store.K(1), point{3, 4}), houses.Put(tx, store.K(1), house{Name: "mill", Floor: 2}))
	})
	s.view(db, func(tx *store.Tx) error {
		r, ok1, err1 := rawRows.Get(tx, store.K(1))
		e, ok2, err2 := rawRows.Get(tx, store.K(2))
		p, ok3, err3 := points.Get(tx, store.K(1))
		h, ok4, err4 := houses.Get(tx, store.K(1))
		if string(r) != "\x00\xff" || len(e) != 0 || p != (point{3, 4}) || h.Floor != 2 || !ok1 || !ok2 || !ok3 || !ok4 {
			return fmt.Errorf("got %v %v %v %v", r, e, p, h)
		}
		return errors.Join(err1, err2, err3, err4)
	})
}

func scans(s *suite) {
	db := s.db()
	s.update(db, func(tx *store.Tx) error {
		for _, a := range []string{"a", "a\x00", "ab", "b"} {
			for i := range 300 {
				if err := counters.Put(tx, store.K(a, i-100), i); err != nil {
					return err
				}
			}
		}
		return nil
	})
	k := store.K
	for name, c := range map[string]struct {
		prefix      store.Key
		r           store.Range
		n           int
		first, last int // values
	}{
		"all":           {k(), store.Range{}, 1200, 0, 299},
		"part":          {k("a"), store.Range{}, 300, 0, 299},
		"limit":         {k("a"), store.Range{Limit: 17}, 17, 0, 16},
		"reverse":       {k("a"), store.Range{Reverse: true}, 300, 299, 0},
		"reverse limit": {k("ab"), store.Range{Reverse: true, Limit: 40}, 40, 299, 260},
		"from to":       {k("a"), store.Range{From: k("a", -5), To: k("a", 5)}, 10, 95, 104},
		"back from to":  {k("a"), store.Range{From: k("a", -5), To: k("a", 5), Reverse: true}, 10, 104, 95},
		"after":         {k("a"), store.Range{After: k("a", 100)}, 99, 201, 299},
		"back after":    {k("a"), store.Range{After: k("a", 100), Reverse: true}, 200, 199, 0},
		"after all":     {k("a"), store.Range{After: k("a", 199)}, 0, 0, 0},
		"begin":         {k().Begin("a"), store.Range{}, 900, 0, 299},
		"end":           {k(), store.Range{From: k("ab").End()}, 300, 0, 299},
		"none":          {k("zz"), store.Range{}, 0, 0, 0},
	} {
		s.view(db, func(tx *store.Tx) error {
			var got []int
			for e, err := range counters.Scan(tx, c.prefix, c.r) {
				if err != nil {
					return err
				}
				got = append(got, e.Value)
			}
			if len(got) != c.n || c.n > 0 && (got[0] != c.first || got[c.n-1] != c.last) {
				s.Errorf("%s: %d rows, want %d from %d to %d", name, len(got), c.n, c.first, c.last)
			}
			return nil
		})
	}
	s.update(db, func(tx *store.Tx) error { // deleting while scanning
		for e, err := range counters.Scan(tx, k("b"), store.Range{}) {
			if err != nil {
				return err
			}
			if _, err := counters.Delete(tx, e.Key); err != nil {
				return err
			}
		}
		for e := range counters.Scan(tx, k("b"), store.Range{}) {
			return fmt.Errorf("%v is left", e.Key)
		}
		return nil
	})
}

func indexes(s *suite) {
	db := s.db()
	s.update(db, func(tx *store.Tx) error {
		for i := range 40 {
			h := house{Name: fmt.Sprintf("h%02d", i), Tags: []string{"all", fmt.Sprintf("t%d", i%4)}}
			if err := houses.Put(tx, store.K("x", i), h); err != nil {
				return err
			}
		}
		return nil
	})
	count := func(tx *store.Tx, tag string, r store.Range) (n int, cursor store.Key) {
		for e, err := range houses.By("tag").Scan(tx, store.K(tag), r) {
			s.ok(err)
			n, cursor = n+1, e.Cursor
		}
		return n, cursor
	}
	s.view(db, func(tx *store.Tx) error {
		e, ok, err := houses.By("name").Get(tx, store.K("h07"))
		if !ok || e.Key != store.K("x", 7) || e.Value.Name != "h07" || e.Version == 0 {
			return fmt.Errorf("by name: %v %v %w", e, ok, err)
		}
		if n, _ := count(tx, "t1", store.Range{}); n != 10 {
			return fmt.Errorf("%d rows have t1", n)
		}
		n, c := count(tx, "all", store.Range{Limit: 15})
		m, _ := count(tx, "all", store.Range{After: c})
		if n != 15 || m != 25 {
			return fmt.Errorf("pages of %d and %d", n, m)
		}
		return err
	})
	err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
		err := houses.Put(tx, store.K("x", 99), house{Name: "h07"})
		if _, ok := errors.AsType[*store.ConflictError](err); !ok {
			return fmt.Errorf("a taken name: %v", err)
		}
		if err := houses.Put(tx, store.K("x", 7), house{Name: "h07", Tags: []string{"new"}}); err != nil {
			return fmt.Errorf("keeping its own name: %w", err)
		}
		if _, err := houses.Delete(tx, store.K("x", 8)); err != nil {
			return err
		}
		return houses.Put(tx, store.K("x", 98), house{Name: "h08"}) // freed by the delete
	})
	s.ok(err)
	s.view(db, func(tx *store.Tx) error {
		old, _ := count(tx, "t3", store.Range{})
		gone, _ := count(tx, "t0", store.Range{})
		is, _ := count(tx, "new", store.Range{})
		if old != 9 || gone != 9 || is != 1 {
			return fmt.Errorf("t3 %d, t0 %d, new %d", old, gone, is)
		}
		return nil
	})
}

func scope(s *suite) {
	db := s.db()
	err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
		s.ok(counters.Put(tx, store.K(1), 1))
		_ = foreign.Put(tx, store.K(1), 1) // an error that is ignored must not commit
		return nil
	})
	if _, ok := errors.AsType[*store.ScopeError](err); !ok {
		s.Fatalf("writing outside the scope: %v", err)
	}
	err = db.View(s.Context(), store.In("town", "country"), func(tx *store.Tx) error {
		if ok, err := counters.Has(tx, store.K(1)); ok || err != nil {
			return fmt.Errorf("a refused transaction left something: %w", err)
		}
		if _, err := foreign.Has(tx, store.K(1)); err != nil {
			return err
		}
		_, err := foreign.Has(tx.Within(store.In("town", "elsewhere")), store.K(1))
		return err
	})
	if _, ok := errors.AsType[*store.ScopeError](err); !ok {
		s.Fatalf("reading outside the narrowed scope: %v", err)
	}
	err = db.View(s.Context(), store.In("town"), func(tx *store.Tx) error { return counters.Put(tx, store.K(1), 1) })
	if !errors.Is(err, store.ErrReadOnly) {
		s.Fatalf("writing in a View: %v", err)
	}
	var kept *store.Tx
	s.update(db, func(tx *store.Tx) error { kept = tx; return nil })
	if err := counters.Put(kept, store.K(1), 1); !errors.Is(err, store.ErrDone) {
		s.Fatalf("writing after the end: %v", err)
	}
}

func rollback(s *suite) {
	db := s.db()
	s.update(db, func(tx *store.Tx) error { return counters.Put(tx, store.K("a"), 1) })
	boom := errors.New("boom")
	err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
		s.ok(counters.Put(tx, store.K("a"), 2))
		s.ok(counters.Put(tx, store.K("b"), 2))
		return boom
	})
	if !errors.Is(err, boom) {
		s.Fatalf("got %v", err)
	}
	s.view(db, func(tx *store.Tx) error {
		n, _, err := counters.Get(tx, store.K("a"))
		ok, _ := counters.Has(tx, store.K("b"))
		if n != 1 || ok {
			return fmt.Errorf("rolled back, yet a is %d and b is %v: %w", n, ok, err)
		}
		return err
	})
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if err := db.Update(ctx, store.In("town"), func(*store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		s.Fatalf("cancelled before it began: %v", err)
	}
}
