package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

func panics(s *suite) {
	db := s.db()
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			defer func() {
				if r := recover(); (r != nil) != (i%3 == 0) {
					s.Errorf("transaction %d: recovered %v", i, r)
				}
			}()
			err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
				err := counters.Put(tx, store.K(i), i)
				switch i % 3 {
				case 0:
					panic("at the disco")
				case 1:
					runtime.Goexit() // what t.FailNow does
				}
				return err
			})
			if err != nil {
				s.Error(err)
			}
		})
	}
	wg.Wait()
	s.view(db, func(tx *store.Tx) error {
		n := 0
		for e, err := range counters.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil || e.Value%3 != 2 {
				return fmt.Errorf("row %d: %w", e.Value, err)
			}
			n++
		}
		if n != 10 {
			return fmt.Errorf("%d rows, want 10", n)
		}
		return nil
	})
}

func concurrency(s *suite) {
	db := s.db()
	const callers, rounds = 16, 25
	odd := errors.New("odd")
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range rounds {
				err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
					n, _, err := counters.Get(tx, store.K("sum"))
					if err != nil {
						return err
					}
					if err := counters.Put(tx, store.K("sum"), n+1); err != nil {
						return err
					}
					if (c+i)%5 == 0 {
						return odd // rolled back among others that commit
					}
					return nil
				})
				if err != nil && !errors.Is(err, odd) {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.view(db, func(tx *store.Tx) error {
		if n, _, err := counters.Get(tx, store.K("sum")); n != callers*rounds*4/5 {
			return fmt.Errorf("%d increments are there, want %d: %w", n, callers*rounds*4/5, err)
		}
		return nil
	})
}

func snapshot(s *suite) {
	db := s.db()
	s.update(db, func(tx *store.Tx) error { return counters.Put(tx, store.K("a"), 1) })
	other := 1
	s.view(db, func(tx *store.Tx) error {
		if n, _, err := counters.Get(tx, store.K("a")); n != other {
			return fmt.Errorf("at first %d: %w", n, err)
		}
		s.update(db, func(tx *store.Tx) error { return counters.Put(tx, store.K("a"), 2) })
		defer func() { s.update(db, func(tx *store.Tx) error { return counters.Put(tx, store.K("a"), 1) }) }()
		n, _, err := counters.Get(tx, store.K("a"))
		if n != 1 {
			return fmt.Errorf("the snapshot moved: %d", n)
		}
		return err
	})
}

func readset(s *suite) {
	db := s.db()
	s.update(db, func(tx *store.Tx) error {
		for i := range 50 {
			if err := houses.Put(tx, store.K("x", i), house{Name: fmt.Sprint(i), Tags: []string{"t"}}); err != nil {
				return err
			}
		}
		return counters.Put(tx, store.K("a"), 1)
	})
	put := func(i int) func(tx *store.Tx) error {
		return func(tx *store.Tx) error {
			return houses.Put(tx, store.K("x", i), house{Name: fmt.Sprint(i), Tags: []string{"t"}})
		}
	}
	scan := func(seq func(tx *store.Tx) (n int, err error)) func(tx *store.Tx) error {
		return func(tx *store.Tx) error { _, err := seq(tx); return err }
	}
	drain := func(limit, stop int) func(tx *store.Tx) error {
		return scan(func(tx *store.Tx) (n int, err error) {
			for _, err := range houses.Scan(tx, store.K("x"), store.Range{Limit: limit}) {
				if n++; n == stop || err != nil {
					return n, err
				}
			}
			return n, nil
		})
	}
	get := func(k any) func(tx *store.Tx) error {
		return func(tx *store.Tx) error { _, _, err := houses.Get(tx, store.K("x", k)); return err }
	}
	byTag := scan(func(tx *store.Tx) (n int, err error) {
		for _, err := range houses.By("tag").Scan(tx, store.K("t"), store.Range{}) {
			if err != nil {
				return n, err
			}
		}
		return n, nil
	})
	del := func(i int) func(tx *store.Tx) error {
		return func(tx *store.Tx) error { _, err := houses.Delete(tx, store.K("x", i)); return err }
	}
	other := func(tx *store.Tx) error { return counters.Put(tx, store.K("a"), 9) }
	for _, c := range []struct {
		name        string
		read, write func(tx *store.Tx) error
		same        bool
	}{
		{"another table", get(5), other, true},
		{"another row", get(5), put(6), true},
		{"the row", get(5), put(5), false},
		{"an absent row appears", get(1000), put(1000), false},
		{"deleted and made again", get(7), func(tx *store.Tx) error { return errors.Join(del(7)(tx), put(7)(tx)) }, false},
		{"a row of the scan", drain(0, 0), put(49), false},
		{"a row behind the scan", drain(0, 0), put(2000), false},
		{"behind where it stopped", drain(0, 10), put(30), true},
		{"before where it stopped", drain(0, 10), put(9), false},
		{"behind its limit", drain(10, 0), put(30), true},
		{"a row gone", drain(0, 10), del(3), false},
		{"found by index", byTag, put(20), false},
		{"left the index", byTag, func(tx *store.Tx) error { return houses.Put(tx, store.K("x", 21), house{Name: "21"}) }, false},
	} {
		var rs *store.ReadSet
		s.view(db, func(tx *store.Tx) error { rs = tx.Record(); return c.read(tx) })
		check := func(want bool) {
			s.update(db, func(tx *store.Tx) error {
				ok, err := tx.Unchanged(rs)
				if ok != want {
					s.Errorf("%s: unchanged is %v", c.name, ok)
				}
				return err
			})
		}
		if rs.Len() == 0 {
			s.Errorf("%s: nothing recorded", c.name)
		}
		check(true)
		s.update(db, c.write)
		check(c.same)
	}
}

func watch(s *suite) {
	db := s.db()
	c, cancel := db.Watch("town")
	quiet, stop := db.Watch("country")
	defer stop()
	for range 3 {
		s.update(db, func(tx *store.Tx) error { return counters.Put(tx, store.K("a"), 1) })
	}
	if _, ok := <-c; !ok {
		s.Fatal("no signal after a commit")
	}
	s.view(db, func(tx *store.Tx) error { _, _, err := counters.Get(tx, store.K("a")); return err })
	_ = db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
		s.ok(counters.Put(tx, store.K("a"), 2))
		return errors.New("no")
	})
	select {
	case <-c:
		s.Fatal("a signal without a change")
	case <-quiet:
		s.Fatal("a signal for another space")
	default:
	}
	cancel()
	cancel()
	if _, ok := <-c; ok {
		s.Fatal("a signal after cancel")
	}
}

func outbox(s *suite) {
	db := s.db()
	box := store.NewOutbox("town", "box")
	s.update(db, func(tx *store.Tx) error {
		_, err1 := box.Enqueue(tx, store.Message{ID: "late", Kind: "k", NotBefore: epoch.Add(time.Hour)})
		_, err2 := box.Enqueue(tx, store.Message{ID: "a", Kind: "k", Payload: []byte("p")})
		_, err3 := box.Enqueue(tx, store.Message{ID: "a", Kind: "again"})
		id, err4 := box.Enqueue(tx, store.Message{Kind: "k"})
		if id == "" {
			s.Error("no id")
		}
		return errors.Join(err1, err2, err3, err4)
	})
	claim := func() (got []store.Message) {
		s.update(db, func(tx *store.Tx) (err error) { got, err = box.Claim(tx, 10, time.Minute); return err })
		return got
	}
	got := claim()
	if len(got) != 2 || len(claim()) != 0 {
		s.Fatalf("claimed %v", got)
	}
	i := slices.IndexFunc(got, func(m store.Message) bool { return m.ID == "a" })
	a, b := got[i], got[1-i]
	if string(a.Payload) != "p" || a.Attempts != 1 || a.Kind != "k" {
		s.Fatalf("got %+v", a)
	}
	s.update(db, func(tx *store.Tx) error { return box.Ack(tx, a) })
	s.update(db, func(tx *store.Tx) error { return box.Retry(tx, b, 10*time.Minute, "busy") })
	s.clk.Advance(5 * time.Minute)
	if got := claim(); len(got) != 0 {
		s.Fatalf("came before its time: %v", got)
	}
	s.clk.Advance(6 * time.Minute)
	first := claim()
	s.clk.Advance(2 * time.Minute) // the lease runs out
	second := claim()
	if len(first) != 1 || len(second) != 1 || second[0].Attempts != 3 || second[0].LastError != "busy" {
		s.Fatalf("claimed %v then %v", first, second)
	}
	err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error { return box.Ack(tx, first[0]) })
	if !errors.Is(err, store.ErrLeaseLost) {
		s.Fatalf("acknowledged under a lost lease: %v", err)
	}
	s.update(db, func(tx *store.Tx) error {
		if err := box.Extend(tx, second[0], time.Hour); err != nil {
			return err
		}
		return box.Ack(tx, second[0])
	})
	s.view(db, func(tx *store.Tx) error {
		at, ok, err := box.Next(tx)
		n, _ := box.Len(tx, 100)
		if !ok || !at.Equal(epoch.Add(time.Hour)) || n != 1 {
			return fmt.Errorf("next %v %v, %d left: %w", at, ok, n, err)
		}
		return err
	})
}

func limits(s *suite) {
	free := uint64(1 << 40)
	s.opt.MaxValue, s.opt.MaxKey, s.opt.Reserve = 1000, 100, 4000
	s.opt.FreeBytes = func() (uint64, error) { return free, nil }
	db := s.db()
	thrifty := store.NewTable[[]byte]("town", "records").UseReserve()
	s.update(db, func(tx *store.Tx) error {
		err := rawRows.Put(tx, store.K(1), make([]byte, 1001))
		if e, ok := errors.AsType[*store.TooLargeError](err); !ok || e.What != "value" {
			s.Errorf("a large value: %v", err)
		}
		err = rawRows.Put(tx, store.K(strings.Repeat("x", 100)), nil)
		if e, ok := errors.AsType[*store.TooLargeError](err); !ok || e.What != "key" {
			s.Errorf("a large key: %v", err)
		}
		return rawRows.Put(tx, store.K(1), make([]byte, 1000))
	})
	put := func(t store.Table[[]byte]) error {
		s.clk.Advance(2 * time.Second)
		return db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error { return t.Put(tx, store.K(2), nil) })
	}
	free = 2000
	if _, ok := errors.AsType[*store.ReserveError](put(rawRows)); !ok {
		s.Error("a write was accepted on a full disk")
	}
	s.ok(put(thrifty))
	s.update(db, func(tx *store.Tx) error { _, err := rawRows.Delete(tx, store.K(1)); return err })
	free = 500
	if _, ok := errors.AsType[*store.ReserveError](put(thrifty)); !ok {
		s.Error("the reserve has no floor")
	}
	free = 1 << 40
	s.ok(put(rawRows))
}

func hooks(s *suite) {
	db := s.db()
	var ran []int
	for i := range 4 {
		err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error {
			tx.AfterCommit(func() { ran = append(ran, i) })
			if i%2 == 1 {
				return errors.New("no")
			}
			return counters.Put(tx, store.K(i), i)
		})
		if (err != nil) != (i%2 == 1) {
			s.Fatal(err)
		}
	}
	if !slices.Equal(ran, []int{0, 2}) {
		s.Fatalf("hooks ran: %v", ran)
	}
}

func blobs(s *suite) {
	db := s.db()
	b := db.Blobs()
	body := bytes.Repeat([]byte("stone"), 100_000)
	put := func() blob.Ref {
		ref, err := b.Put(s.Context(), bytes.NewReader(body), int64(len(body)))
		s.ok(err)
		return ref
	}
	kept, orphan := put(), put()
	s.update(db, func(tx *store.Tx) error { return b.Keep(tx, kept) })
	s.ok(b.Verify(s.Context(), kept))
	sweep := func(want int) {
		s.Helper()
		n, err := b.Sweep(s.Context())
		s.ok(err)
		if n != want {
			s.Fatalf("swept %d, want %d", n, want)
		}
	}
	s.clk.Advance(time.Until(epoch) * -1) // files carry the machine's time
	sweep(0)
	s.clk.Advance(2 * store.Grace)
	sweep(1)
	if _, err := b.Open(orphan.ID); !errors.Is(err, blob.ErrNotFound) {
		s.Fatalf("the orphan is there: %v", err)
	}
	r, err := b.Range(kept.ID, 5, 10)
	s.ok(err)
	part, err := io.ReadAll(r)
	s.ok(errors.Join(err, r.Close()))
	if string(part) != "stonestone" {
		s.Fatalf("range: %q", part)
	}
	s.update(db, func(tx *store.Tx) error { return b.Drop(tx, kept.ID) })
	sweep(0)
	s.clk.Advance(2 * store.Grace)
	sweep(1)
	sweep(0)
	if err := b.Verify(s.Context(), kept); !errors.Is(err, blob.ErrNotFound) {
		s.Fatalf("the dropped blob is there: %v", err)
	}
}

// smallBlobs are rows of the transaction that keeps them: there with it, gone with it.
func smallBlobs(s *suite) {
	db := s.db()
	b := db.Blobs()
	ref, err := b.Put(s.Context(), strings.NewReader("a pebble"), 8)
	s.ok(err)
	if _, err := b.Put(s.Context(), strings.NewReader("a pebble"), 7); !errors.Is(err, blob.ErrTooLarge) {
		s.Errorf("beyond its limit: %v", err)
	}
	absent := func(when string) {
		s.Helper()
		if _, err := b.Open(ref.ID); !errors.Is(err, blob.ErrNotFound) {
			s.Errorf("%s: %v", when, err)
		}
	}
	absent("before it is kept")
	no := errors.New("no")
	err = db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error { return errors.Join(b.Keep(tx, ref), no) })
	if !errors.Is(err, no) {
		s.Fatal(err)
	}
	absent("after a transaction that failed")
	s.update(db, func(tx *store.Tx) error { return b.Keep(tx, ref) })
	s.ok(b.Verify(s.Context(), ref))
	stored := ref
	stored.Content = "" // as a row has it
	if err := db.Update(s.Context(), store.In("town"), func(tx *store.Tx) error { return b.Keep(tx, stored) }); err == nil {
		s.Error("a reference without its content was kept")
	}
	part, err := b.Range(ref.ID, 2, 3)
	s.ok(err)
	if text, err := io.ReadAll(part); err != nil || string(text) != "peb" {
		s.Errorf("range: %q %v", text, err)
	}
	open, err := b.Open(ref.ID)
	s.ok(err)
	s.update(db, func(tx *store.Tx) error { return b.Drop(tx, ref.ID) })
	s.ok(b.Verify(s.Context(), ref)) // who read the reference before may still come
	s.clk.Advance(2 * store.Grace)
	if n, err := b.Sweep(s.Context()); err != nil || n != 1 {
		s.Errorf("swept %d, %v", n, err)
	}
	absent("after the sweep")
	if text, err := io.ReadAll(open); err != nil || string(text) != "a pebble" {
		s.Errorf("an open blob: %q %v", text, err)
	}
}

// blobSizes walks around the length at which a blob becomes a file.
func blobSizes(s *suite) {
	db := s.db()
	b := db.Blobs()
	want := map[string]int64{}
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 64, 64<<10 + 65, 200_000} {
		w, err := b.Create()
		s.ok(err)
		for left := bytes.Repeat([]byte("stone"), size)[:size]; len(left) > 0; { // in pieces
			n, err := w.Write(left[:min(len(left), 1000)])
			s.ok(err)
			left = left[n:]
		}
		ref, err := w.Commit()
		s.ok(err)
		w.Abort()
		if _, err := w.Write([]byte("x")); err == nil {
			s.Error("written to after its end")
		}
		s.update(db, func(tx *store.Tx) error { return b.Keep(tx, ref) })
		s.ok(b.Verify(s.Context(), ref))
		want[ref.ID] = int64(size)
	}
	s.ok(b.Walk(s.Context(), func(id string, size int64) error {
		if want[id] != size {
			s.Errorf("%s has %d bytes, not %d", id, size, want[id])
		}
		delete(want, id)
		return nil
	}))
	if len(want) > 0 {
		s.Errorf("not met: %v", want)
	}
}
