package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

// TestIdleSnapshotsLetTheLogGo: a View follows on every commit, so that there is always a connection
// with a snapshot, and the log is folded into the file and begun anew all the same.
func TestIdleSnapshotsLetTheLogGo(t *testing.T) {
	db := open(t, store.Options{})
	rows := store.NewTable[[]byte]("town", "rows")
	const rounds, enough = 200, 32 << 20 // 50 MB in all; the log begins anew after 16 MB
	for i := range rounds {
		value := bytes.Repeat([]byte{byte(i)}, 256<<10)
		err := db.Update(t.Context(), store.In("town"), func(tx *store.Tx) error { return rows.Put(tx, store.K(i%3), value) })
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(t.Context(), store.In("town"), func(tx *store.Tx) error {
			_, _, err := rows.Get(tx, store.K(i%3))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(db.Dir(), "bastide.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > enough {
		t.Errorf("the log has grown to %d bytes", info.Size())
	}
}

// TestViewsNeverGoBack: whoever has seen a commit, even one that is not yet acknowledged, sees it
// from then on, whichever connection serves.
func TestViewsNeverGoBack(t *testing.T) {
	db := open(t, store.Options{})
	rows := store.NewTable[int]("town", "rows")
	const rounds = 300
	read := func() (n int, err error) {
		err = db.View(t.Context(), store.In("town"), func(tx *store.Tx) (err error) {
			n, _, err = rows.Get(tx, store.K(1))
			return err
		})
		return n, err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; n <= rounds; n++ {
			err := db.Update(t.Context(), store.In("town"), func(tx *store.Tx) error { return rows.Put(tx, store.K(1), n) })
			seen, rerr := read()
			if err != nil || rerr != nil || seen != n {
				t.Errorf("%d after writing %d: %v %v", seen, n, err, rerr)
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for last := 0; last < rounds; {
				n, err := read()
				if err != nil || n < last {
					t.Errorf("%d after %d: %v", n, last, err)
					return
				}
				last = n
			}
		})
	}
	wg.Wait()
}
