package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

var ctx = context.Background()

// item is one entry of a layer.
type item struct {
	name string
	body string // of a file, or where a link leads
	kind byte   // a file if zero
	mode int64  // 0644 or 0755 if zero
}

var when = time.Unix(1_600_000_000, 0)

func layerOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: i.kind, Mode: i.mode, ModTime: when, Format: tar.FormatPAX, Uname: "root"}
		switch i.kind {
		case 0, tar.TypeReg:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(i.body))
		case tar.TypeSymlink, tar.TypeLink:
			h.Linkname = i.body
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if i.kind == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, i.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// imageOf is an image for this machine of such layers.
func imageOf(t testing.TB, layers ...[]byte) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for _, l := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, static.NewLayer(l, types.OCIUncompressedLayer)); err != nil {
			t.Fatal(err)
		}
	}
	return configured(t, img, Here(), v1.Config{Entrypoint: []string{"/app"}, Cmd: []string{"x"}, WorkingDir: "/srv", Env: []string{"A=1"}})
}

func configured(t testing.TB, img v1.Image, p Platform, c v1.Config) v1.Image {
	t.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = p.OS, p.Architecture, c
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return img
}

// unpacked flattens layers and returns the folder that holds the tree's folder, and the tree.
func unpacked(t testing.TB, layers ...[]byte) (string, Tree, error) {
	t.Helper()
	src, err := one(imageOf(t, layers...))
	if err != nil {
		t.Fatal(err)
	}
	img, err := Read(ctx, src, "", Here())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Unpack(ctx, img, dir, ample, blobsOf(src))
	if err != nil {
		return dir, Tree{}, err
	}
	tree, err := OpenTree(dir)
	t.Cleanup(func() { loosen(dir) })
	return dir, tree, err
}

var ample = Limits{Bytes: 1 << 20, Entries: 1000}

func blobsOf(src Source) func(Layer) (io.ReadCloser, error) {
	return func(l Layer) (io.ReadCloser, error) { return src.Blob(ctx, l.Digest) }
}

// loosen lets an ordinary user remove a sealed tree.
func loosen(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return nil
	})
}

// everything answers each question with the same manifest and configuration.
type everything struct{ manifest, config []byte }

func (e everything) Manifest(context.Context, string) ([]byte, error) { return e.manifest, nil }

func (e everything) Blob(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(e.config)), nil
}

// recorder is a network that nobody answers on.
type recorder struct{ urls []string }

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	r.urls = append(r.urls, q.URL.String())
	return nil, errors.New("nobody answers")
}
