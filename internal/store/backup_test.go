package store_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
)

type pair struct {
	N    int
	Blob blob.Ref
}

// TestBackupWhileWriting backs up under writers that log an event and then change two rows together,
// and looks whether the copy holds the rows together, with their blobs, and the events before them.
func TestBackupWhileWriting(t *testing.T) {
	db := open(t, store.Options{})
	events, err := eventlog.Open(db.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := events.Close(); err != nil {
			t.Error(err)
		}
	}()
	rows := store.NewTable[pair]("town", "pairs")
	write := func(w, i int) error {
		body := fmt.Sprint(w, i)
		if i%2 == 0 {
			body = strings.Repeat(body, 40_000) // a file
		}
		if err := events.Append(eventlog.Stream{Group: "town", Name: fmt.Sprint(w)}, 1, []eventlog.Event{{At: 1, Message: fmt.Sprint(i)}}); err != nil {
			return err
		}
		ref, err := db.Blobs().Put(t.Context(), strings.NewReader(body), -1)
		if err != nil {
			return err
		}
		return db.Update(t.Context(), store.In("town"), func(tx *store.Tx) error {
			return errors.Join(db.Blobs().Keep(tx, ref), rows.Put(tx, store.K(w, "a"), pair{i, ref}), rows.Put(tx, store.K(w, "b"), pair{i, ref}))
		})
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		if err := write(w, 0); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(w, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if err := os.WriteFile(filepath.Join(db.Dir(), "root.key"), []byte("the root key"), 0o600); err != nil {
		t.Fatal(err)
	}
	var copies [3]bytes.Buffer
	for i := range copies {
		if err := db.Backup(t.Context(), &copies[i], events); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	for i := range copies {
		if bytes.Contains(copies[i].Bytes(), []byte("the root key")) {
			t.Fatal("the root key is in the backup")
		}
		dir := filepath.Join(t.TempDir(), "restored")
		if err := store.Restore(t.Context(), dir, &copies[i]); err != nil {
			t.Fatal(err)
		}
		checkPairs(t, dir, rows)
	}
	if left, err := filepath.Glob(filepath.Join(db.Dir(), "backup-*")); err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}
}

func checkPairs(t *testing.T, dir string, rows store.Table[pair]) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	events, err := eventlog.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := events.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = db.View(t.Context(), store.In("town"), func(tx *store.Tx) error {
		for w := range 3 {
			a, ok, err := rows.Get(tx, store.K(w, "a"))
			b, _, _ := rows.Get(tx, store.K(w, "b"))
			if !ok || a != b {
				return fmt.Errorf("pair %d: %v and %v: %w", w, a, b, err)
			}
			if err := db.Blobs().Verify(t.Context(), a.Blob); err != nil {
				return err
			}
			found := false
			for e, err := range events.Read(t.Context(), eventlog.Query{Group: "town", Streams: []string{fmt.Sprint(w)}}) {
				if err != nil {
					return err
				}
				found = found || e.Message == fmt.Sprint(a.N)
			}
			if !found {
				return fmt.Errorf("the event before pair %d of %d is not there", a.N, w)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	db := open(t, store.Options{})
	if _, err := db.Blobs().Put(t.Context(), strings.NewReader("content of a blob"+strings.Repeat(".", 80_000)), -1); err != nil {
		t.Fatal(err)
	}
	var good bytes.Buffer
	if err := db.Backup(t.Context(), &good, nil); err != nil {
		t.Fatal(err)
	}
	crafted := func(name string, typ byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: typ, Size: 0, Mode: 0o600, Linkname: "/etc/passwd"})
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, in := range map[string][]byte{
		"empty":           nil,
		"cut":             good.Bytes()[:good.Len()/2],
		"without its end": good.Bytes()[:good.Len()-4096],
		"blob altered":    bytes.Replace(bytes.Clone(good.Bytes()), []byte("content of a blob"), []byte("content of a bloB"), 1),
		"outside":         crafted("../evil", tar.TypeReg),
		"absolute":        crafted("/tmp/evil", tar.TypeReg),
		"blob outside":    crafted("blobs/../../"+strings.Repeat("a", 32), tar.TypeReg),
		"link":            crafted("bastide.db", tar.TypeSymlink),
		"events' link":    crafted("events.db", tar.TypeSymlink),
		"key":             crafted("root.key", tar.TypeReg),
	} {
		dir := filepath.Join(t.TempDir(), "restored")
		if err := store.Restore(t.Context(), dir, bytes.NewReader(in)); !errors.Is(err, store.ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
			t.Errorf("%s: left behind: %v %v", name, left, err)
		}
	}
	if err := store.Restore(t.Context(), db.Dir(), bytes.NewReader(good.Bytes())); err == nil {
		t.Error("restored over a directory in use")
	}
}

func FuzzRestore(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "bastide.db", Size: 3, Mode: 0o600}); err != nil {
		f.Fatal(err)
	}
	if _, err := io.WriteString(w, "abc"); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		parent := t.TempDir()
		if err := store.Restore(t.Context(), filepath.Join(parent, "d"), bytes.NewReader(in)); err == nil {
			t.Fatal("restored noise")
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
			t.Fatalf("left behind: %v %v", left, err)
		}
	})
}
