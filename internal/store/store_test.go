package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/storetest"
)

func open(t *testing.T, opt store.Options) *store.DB {
	t.Helper()
	opt.Dir = filepath.Join(t.TempDir(), "data")
	db, err := store.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func TestStore(t *testing.T) { storetest.Run(t, open) }

func TestOneOwner(t *testing.T) {
	db := open(t, store.Options{})
	_, err := store.Open(t.Context(), store.Options{Dir: db.Dir()})
	e, ok := errors.AsType[*store.LockedError](err)
	if !ok || e.PID != os.Getpid() || e.Dir != db.Dir() {
		t.Fatalf("second owner: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), store.Options{Dir: db.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOwnersEyesOnly(t *testing.T) {
	db := open(t, store.Options{})
	err := db.Update(t.Context(), store.In("town"), func(tx *store.Tx) error {
		return store.NewTable[int]("town", "n").Put(tx, store.K(1), 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(db.Dir(), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClosed(t *testing.T) {
	db := open(t, store.Options{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	nop := func(*store.Tx) error { return nil }
	if err := db.Update(t.Context(), store.Scope{}, nop); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Update: %v", err)
	}
	if err := db.View(t.Context(), store.Scope{}, nop); !errors.Is(err, store.ErrClosed) {
		t.Errorf("View: %v", err)
	}
}
