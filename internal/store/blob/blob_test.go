package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

func open(t *testing.T, dir string) *blob.Area {
	t.Helper()
	a, err := blob.Open(dir, ids.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func names(t *testing.T, a *blob.Area) (out []string) {
	t.Helper()
	err := a.Walk(func(id string, _ int64, _ time.Time) error { out = append(out, id); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPutAndRead(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "blobs"))
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	ref, err := a.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(body[:1000])), 1000)
	if err != nil || ref.Size != 1000 || len(ref.SHA256) != 64 {
		t.Fatalf("%+v %v", ref, err)
	}
	big, err := a.Put(t.Context(), bytes.NewReader(body), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 3, "012"}, {499_998, 10, "89"}, {500_000, 5, ""}, {15, 0, ""}} {
		r, err := a.Range(big.ID, c.off, c.n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(got) != c.want {
			t.Errorf("range %d+%d: %q, %v", c.off, c.n, got, err)
		}
	}
	wrong := big
	wrong.SHA256 = ref.SHA256
	if err := a.Verify(t.Context(), wrong); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("another hash: %v", err)
	}
}

func TestNothingIsLeftOfAFailedPut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	a := open(t, dir)
	if _, err := a.Put(t.Context(), strings.NewReader("12345"), 4); !errors.Is(err, blob.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	boom := errors.New("boom")
	if _, err := a.Put(t.Context(), io.MultiReader(strings.NewReader("1"), iotest.ErrReader(boom)), -1); !errors.Is(err, boom) {
		t.Errorf("failing reader: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Put(ctx, strings.NewReader("1"), -1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left := names(t, a); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	w, err := a.Create() // a process that ends in the middle of a write
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("left after reopening: %v %v", left, err)
	}
}

func TestNamesStayInside(t *testing.T) {
	dir := t.TempDir()
	a := open(t, filepath.Join(dir, "blobs"))
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "../secret", "/etc/passwd", strings.Repeat("A", 32), strings.Repeat("a", 31), "../" + strings.Repeat("a", 29), strings.Repeat("a", 31) + "\x00", strings.Repeat("0", 32)} {
		if f, err := a.Open(id); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%q: %v %v", id, f, err)
		}
		if err := a.Remove(id); err != nil && !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("remove %q: %v", id, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "secret")); err != nil {
		t.Fatal(err)
	}
}
