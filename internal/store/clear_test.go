package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

func TestClearEmptiesTheNamedSpacesOnly(t *testing.T) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	index := store.Index[string]{Name: "v", Keys: func(v string) []store.Key { return []store.Key{store.K(v)} }}
	gone, kept := store.NewTable("iam", "t", index), store.NewTable[string]("iamx", "t")
	scope := store.In("iam", "iamx")
	err = db.Update(ctx, scope, func(tx *store.Tx) error {
		if err := gone.Put(tx, store.K("a"), "v"); err != nil {
			return err
		}
		return kept.Put(tx, store.K("a"), "v")
	})
	if err != nil {
		t.Fatal(err)
	}
	var reads *store.ReadSet
	err = db.View(ctx, scope, func(tx *store.Tx) error {
		reads = tx.Record()
		_, _, err := gone.Get(tx, store.K("a"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := db.Changes("iam")
	if err := db.Clear(ctx, "iam"); err != nil {
		t.Fatal(err)
	}
	if db.Changes("iam") == before {
		t.Error("nobody is told")
	}
	err = db.Update(ctx, scope, func(tx *store.Tx) error {
		if same, err := tx.Unchanged(reads); err != nil || same {
			t.Errorf("what was read counts as unchanged (%v)", err)
		}
		if ok, err := gone.Has(tx, store.K("a")); err != nil || ok {
			t.Errorf("the row is still there (%v)", err)
		}
		if _, ok, err := gone.By("v").Get(tx, store.K("v")); err != nil || ok {
			t.Errorf("its index entry is still there (%v)", err)
		}
		if ok, err := kept.Has(tx, store.K("a")); err != nil || !ok {
			t.Errorf("another space lost its row (%v)", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestClearDropsBlobs: after a reset nothing is left of the blobs of the spaces that were cleared,
// in rows at once and in files after the next sweep, and everything of those of others.
func TestClearDropsBlobs(t *testing.T) {
	clk := clock.NewManual(time.Now())
	db := open(t, store.Options{Clock: clk})
	b := db.Blobs()
	refs := map[string][]blob.Ref{}
	for _, space := range []string{"s3", "audit"} {
		for _, size := range []int{10, 100_000} {
			ref, err := b.Put(t.Context(), strings.NewReader(strings.Repeat("x", size)), -1)
			if err == nil {
				err = db.Update(t.Context(), store.In(space), func(tx *store.Tx) error { return b.Keep(tx, ref) })
			}
			if err != nil {
				t.Fatal(err)
			}
			refs[space] = append(refs[space], ref)
		}
	}
	if err := db.Clear(t.Context(), "s3"); err != nil {
		t.Fatal(err)
	}
	clk.Advance(2 * store.Grace)
	if n, err := b.Sweep(t.Context()); err != nil || n != 1 {
		t.Errorf("%d swept, %v", n, err)
	}
	for i := range 2 {
		if _, err := b.Open(refs["s3"][i].ID); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("blob %d of what was cleared: %v", i, err)
		}
		if err := b.Verify(t.Context(), refs["audit"][i]); err != nil {
			t.Errorf("blob %d of another space: %v", i, err)
		}
	}
}
