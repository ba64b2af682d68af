package store_test

import (
	"context"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
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
