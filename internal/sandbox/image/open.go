package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Local is an image in a file or folder of this machine.
type Local struct {
	top     []byte // manifest or index
	index   v1.ImageIndex
	images  []v1.Image
	scratch string
}

// Open opens an OCI layout (a folder, or a tar archive of one) or an archive that `docker save` wrote;
// archives may be gzipped. Errors: *Error for what holds no image, or more than one.
func Open(file string) (*Local, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return openLayout(file, "")
	}
	names, err := contents(file)
	if err != nil {
		return nil, err
	}
	switch {
	case names["index.json"]:
		dir, err := os.MkdirTemp("", "bastide-image-")
		if err != nil {
			return nil, err
		}
		l, err := expand(file, dir)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		return l, nil
	case names["manifest.json"]:
		img, err := tarball.Image(func() (io.ReadCloser, error) { return archive(file) }, nil)
		if err != nil {
			return nil, refuse("%s: %v", file, err)
		}
		return one(img)
	}
	return nil, refuse("%s is neither an OCI layout nor what docker save writes", file)
}

// Close removes what Open has unpacked.
func (l *Local) Close() error {
	if l.scratch == "" {
		return nil
	}
	return os.RemoveAll(l.scratch)
}

func one(img v1.Image) (*Local, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return nil, refuse("%v", err)
	}
	return &Local{top: raw, images: []v1.Image{img}}, nil
}

// openLayout opens a folder; the one that was made for it is removed with it.
func openLayout(dir, scratch string) (*Local, error) {
	ix, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, refuse("%s is no OCI layout: %v", dir, err)
	}
	m, err := ix.IndexManifest()
	if err != nil {
		return nil, refuse("%s: %v", dir, err)
	}
	if len(m.Manifests) != 1 {
		return nil, refuse("%s holds %d images; leave one", dir, len(m.Manifests))
	}
	l := &Local{scratch: scratch}
	if d := m.Manifests[0]; d.MediaType.IsIndex() {
		if l.index, err = ix.ImageIndex(d.Digest); err == nil {
			l.top, err = l.index.RawManifest()
		}
	} else {
		var img v1.Image
		if img, err = ix.Image(d.Digest); err == nil {
			l.images = []v1.Image{img}
			l.top, err = img.RawManifest()
		}
	}
	if err != nil {
		return nil, refuse("%s: %v", dir, err)
	}
	return l, nil
}

// Manifest implements Source.
func (l *Local) Manifest(_ context.Context, digest string) ([]byte, error) {
	if digest == "" || digest == DigestOf(l.top) {
		return l.top, nil
	}
	h, err := v1.NewHash(digest)
	if err != nil || l.index == nil {
		return nil, refuse("it has no manifest %s", digest)
	}
	img, err := l.index.Image(h)
	if err != nil {
		return nil, refuse("it has no manifest %s: %v", digest, err)
	}
	l.images = append(l.images, img)
	return img.RawManifest()
}

// Blob implements Source, for the images whose manifests were asked for.
func (l *Local) Blob(_ context.Context, digest string) (io.ReadCloser, error) {
	h, err := v1.NewHash(digest)
	if err != nil {
		return nil, refuse("the digest %q is none", digest)
	}
	for _, img := range l.images {
		if name, err := img.ConfigName(); err == nil && name == h {
			raw, err := img.RawConfigFile()
			return io.NopCloser(strings.NewReader(string(raw))), err
		}
		if layer, err := img.LayerByDigest(h); err == nil {
			return layer.Compressed()
		}
	}
	return nil, refuse("it has no %s", digest)
}

// archive opens a tar archive, gzipped or not.
func archive(file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(f, 64<<10)
	if head, _ := b.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b { // a short file is no archive, as will be seen
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, errors.Join(refuse("%s: %v", file, err), f.Close())
		}
		return joined{z, f}, nil
	}
	return joined{b, f}, nil
}

type joined struct {
	io.Reader
	io.Closer
}

const maxMembers = 4096 // of an archive that holds an image

// members calls fn for every file of an archive.
func members(file string, fn func(name string, h *tar.Header, r io.Reader) error) (err error) {
	in, err := archive(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	t := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return refuse("%s is no archive: %v", file, err)
		}
		if n >= maxMembers {
			return refuse("%s has more than %d members", file, maxMembers)
		}
		if err := fn(path.Clean(h.Name), h, t); err != nil {
			return err
		}
	}
}

func contents(file string) (map[string]bool, error) {
	names := map[string]bool{}
	err := members(file, func(name string, _ *tar.Header, _ io.Reader) error {
		names[name] = true
		return nil
	})
	return names, err
}

// ofLayout are the files of a layout. What else an archive has is no part of it.
var ofLayout = regexp.MustCompile(`^(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// expand writes an archived layout into dir.
func expand(file, dir string) (*Local, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
		return nil, err
	}
	left := int64(maxBytes)
	err := members(file, func(name string, h *tar.Header, r io.Reader) (err error) {
		if h.Typeflag != tar.TypeReg || !ofLayout.MatchString(name) {
			return nil
		}
		if left -= h.Size; left < 0 {
			return refuse("%s is larger than %d bytes", file, int64(maxBytes))
		}
		f, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("image: %s: %w", file, err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		_, err = io.Copy(f, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return openLayout(dir, dir)
}

var _ Source = (*Local)(nil)
