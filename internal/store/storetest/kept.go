package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/bastide-cloud/bastide/internal/store"
)

var keptRows = store.NewTable[int]("town", "kept").Keep()

// kept: rows that are kept in memory are those that a read would find.
func kept(s *suite) {
	db := s.db()
	k := store.K("k")
	get := func(tx *store.Tx) int {
		n, _, err := keptRows.Get(tx, k)
		s.ok(err)
		return n
	}
	seen := func() (n int) {
		s.view(db, func(tx *store.Tx) error { n = get(tx); return nil })
		return n
	}
	put := func(n int) {
		s.update(db, func(tx *store.Tx) error { return keptRows.Put(tx, k, n) })
	}
	put(1)
	for n := 2; n < 6; n++ { // each is seen at once, though the one before is kept
		if was := seen(); was != n-1 || seen() != was {
			s.Fatalf("found %d, wrote %d", was, n-1)
		}
		put(n)
	}
	seen()
	undo := errors.New("undo")
	err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
		s.ok(keptRows.Put(tx, k, 100))
		if n := get(tx); n != 100 {
			s.Errorf("its own write: %d", n)
		}
		if n := seen(); n != 5 {
			s.Errorf("a reader beside an uncommitted write: %d", n)
		}
		return undo
	})
	if !errors.Is(err, undo) || seen() != 5 {
		s.Fatalf("after an undone write: %d, %v", seen(), err)
	}
	s.view(db, func(tx *store.Tx) error {
		before := get(tx)
		if _, _, err := counters.Get(tx, k); err != nil { // the snapshot is taken here at the latest
			return err
		}
		if !s.opt.RunTwice {
			put(before + 1)
		}
		if n := get(tx); n != before && !s.opt.RunTwice && n != before+1 {
			s.Errorf("%d became %d in one View", before, n)
		}
		return nil
	})
	s.ok(db.Clear(s.Context(), "town"))
	s.view(db, func(tx *store.Tx) error {
		if _, ok, err := keptRows.Get(tx, k); ok || err != nil {
			return fmt.Errorf("a row after Clear: %v %w", ok, err)
		}
		return nil
	})
}

// keptTogether: a View that mixes kept rows with others sees both at one moment.
func keptTogether(s *suite) {
	db := s.db()
	k := store.K("k")
	const rounds = 200
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range rounds {
			s.update(db, func(tx *store.Tx) error {
				return errors.Join(keptRows.Put(tx, k, n), counters.Put(tx, k, n))
			})
		}
	})
	for range 4 {
		wg.Go(func() {
			for last := -1; last < rounds-1; {
				var a, b int
				err := db.View(s.Context(), store.In("town"), func(tx *store.Tx) (err error) {
					var kerr error
					a, _, kerr = keptRows.Get(tx, k)
					b, _, err = counters.Get(tx, k)
					return errors.Join(err, kerr)
				})
				if err != nil || a != b || a < last {
					s.Errorf("kept %d beside %d, after %d: %v", a, b, last, err)
					return
				}
				last = a
			}
		})
	}
	wg.Wait()
}

// keptSums: transfers among rows, half of which are kept, leave their sum as it is for every
// transaction, while others make the kept rows come and go.
func keptSums(s *suite) {
	db := s.db()
	const accounts, writers, rounds = 8, 3, 120
	table := func(i int) store.Table[int] {
		if i%2 == 0 {
			return keptRows
		}
		return counters
	}
	sum := func(tx *store.Tx, first int) (total int, err error) {
		for n := range accounts {
			i := (first + n) % accounts
			v, _, err := table(i).Get(tx, store.K(i))
			if err != nil {
				return 0, err
			}
			total += v
		}
		return total, nil
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range rounds {
				from, to := (n+w)%accounts, (n*3+w*5+1)%accounts
				s.update(db, func(tx *store.Tx) error {
					for i, by := range map[int]int{from: -1, to: 1} {
						if from == to {
							by = 0
						}
						v, _, err := table(i).Get(tx, store.K(i))
						if err == nil {
							err = table(i).Put(tx, store.K(i), v+by)
						}
						if err != nil {
							return err
						}
					}
					if total, err := sum(tx, n); err != nil || total != 0 {
						return fmt.Errorf("an Update sees the sum %d: %w", total, err)
					}
					return nil
				})
			}
		})
		wg.Go(func() {
			for n := range rounds * 5 {
				s.view(db, func(tx *store.Tx) error {
					if total, err := sum(tx, n+w); err != nil || total != 0 {
						return fmt.Errorf("a View sees the sum %d: %w", total, err)
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
}

var keptLarge = store.NewTable[[]byte]("town", "keptLarge").Keep()

// keptMany: more is read than is kept, and what a caller does with a value is nobody else's affair.
func keptMany(s *suite) {
	db := s.db()
	const rows, size = 300, 60_000 // 18 MB
	for i := range rows {
		s.update(db, func(tx *store.Tx) error {
			return keptLarge.Put(tx, store.K(i), bytes.Repeat([]byte{byte(i)}, size))
		})
	}
	for n := range 3 * rows {
		i := n / 3 // three times in a row: from the table, and twice kept
		s.view(db, func(tx *store.Tx) error {
			v, ok, err := keptLarge.Get(tx, store.K(i))
			if err != nil || !ok || len(v) != size || v[0] != byte(i) || v[size-1] != byte(i) {
				return fmt.Errorf("row %d is not what was written: %v %w", i, ok, err)
			}
			clear(v)
			return nil
		})
	}
}
