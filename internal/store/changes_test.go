package store_test

import (
	"context"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

func TestChangesHasGrownWhenUpdateReturns(t *testing.T) {
	db, err := store.Open(context.Background(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tab := store.NewTable[string]("iam", "t")
	for i := range 50 {
		before := db.Changes("iam")
		err := db.Update(context.Background(), store.In("iam"), func(tx *store.Tx) error { return tab.Put(tx, store.K(i), "v") })
		if err != nil {
			t.Fatal(err)
		}
		if db.Changes("iam") <= before {
			t.Fatalf("write %d: the count stayed at %d", i, before)
		}
	}
	if n := db.Changes("other"); n != 0 {
		t.Fatalf("an untouched space counts %d changes", n)
	}
}
