package sandboxtest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/image"
)

// Entry is one of an image's layer: a file, or by its kind (tar.TypeSymlink and so on) something else,
// of which Body is the target.
type Entry struct {
	Name, Body string
	Kind       byte
	Mode       int64
}

// Layer is the archive of entries.
func Layer(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Typeflag: e.Kind, Mode: e.Mode, Linkname: e.Body}
		if e.Kind == 0 || e.Kind == tar.TypeReg {
			h.Typeflag, h.Linkname, h.Size = tar.TypeReg, "", int64(len(e.Body))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(e.Body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Unpack unpacks an image of such layers into a new folder, which image.OpenTree reads.
func Unpack(t testing.TB, layers ...[]byte) (dir string, err error) {
	t.Helper()
	img, blobs := &image.Image{}, map[string][]byte{}
	for _, b := range layers {
		sum := sha256.Sum256(b)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		img.Layers, blobs[digest] = append(img.Layers, image.Layer{Digest: digest, DiffID: digest, Size: int64(len(b))}), b
	}
	if dir, err = os.MkdirTemp("", "bastide-image-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(p, 0o700) // an ordinary user may not remove a sealed tree
			}
			return nil
		})
		_ = os.RemoveAll(dir) // what is left is below the system's temporary folder
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = image.Unpack(context.Background(), img, dir, image.Standard(), func(l image.Layer) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blobs[l.Digest])), nil
	})
	return dir, err
}
