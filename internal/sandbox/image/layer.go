package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Limits bound what an image may unpack to.
type Limits struct {
	Bytes   int64 // of all its layers uncompressed
	Entries int   // files, folders and links of all its layers
}

const maxBytes = 10 << 30 // "Lambda quotas": 10 GB, the maximum uncompressed image size, including all layers

// Standard are the limits of Lambda, and as many files as a machine of developers has.
func Standard() Limits { return Limits{Bytes: maxBytes, Entries: 1_000_000} }

// unpacker reads layers, lowest first.
type unpacker struct {
	picture *picture
	spool   string // folder of the files' contents, by number
	files   int
	left    int64 // bytes of archives that may come yet
	room    int64 // bytes that files may come to yet: holes are none of an archive
	limits  Limits
}

// layer reads one layer, checked against its digests. Errors: *Error for a layer that is refused.
func (u *unpacker) layer(ctx context.Context, n int, l Layer, r io.Reader) error {
	stored, plain := &hashing{r: r, sum: sha256.New(), limit: l.Size}, &hashing{sum: sha256.New(), limit: u.left}
	plain.ctx, stored.ctx = ctx, ctx
	body, stop, err := decompress(stored)
	if err != nil {
		return u.fault(l, stored, plain, err)
	}
	defer stop()
	plain.r = body
	if err = u.entries(n, tar.NewReader(plain)); err == nil {
		// what follows the archive's end belongs to its digests all the same
		if _, err = io.Copy(io.Discard, plain); err == nil {
			_, err = io.Copy(io.Discard, stored)
		}
	}
	if err != nil {
		return u.fault(l, stored, plain, err)
	}
	u.left -= plain.read
	if got := stored.digest(); stored.read != l.Size || got != l.Digest {
		return refuse("the layer %s has %d bytes of the digest %s", l.Digest, stored.read, got)
	}
	if got := plain.digest(); got != l.DiffID {
		return refuse("the layer %s uncompressed has the digest %s, not %s", l.Digest, got, l.DiffID)
	}
	return nil
}

// fault tells what is wrong with the image from what went wrong on this machine.
func (u *unpacker) fault(l Layer, stored, plain *hashing, err error) error {
	switch {
	case stored.over:
		return refuse("the layer %s is longer than %d bytes", l.Digest, l.Size)
	case plain.over:
		return refuse("uncompressed it is larger than %d bytes", u.limits.Bytes)
	case stored.err != nil:
		return stored.err
	case errors.As(err, new(*Error)), errors.As(err, new(*fs.PathError)), errors.As(err, new(*os.LinkError)):
		return err
	}
	return refuse("the layer %s cannot be read: %v", l.Digest, err)
}

// hashing reads, counts and hashes; more than limit is an error.
type hashing struct {
	ctx   context.Context
	r     io.Reader
	sum   hash.Hash
	read  int64
	limit int64
	over  bool
	err   error // of r, but its end
}

var errOver = errors.New("too long")

func (h *hashing) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		h.err = err
		return 0, err
	}
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	if h.read += int64(n); h.read > h.limit {
		h.over = true
		return 0, errOver
	}
	if err != nil && !errors.Is(err, io.EOF) {
		h.err = err
	}
	return n, err
}

func (h *hashing) digest() string { return algorithm + hex.EncodeToString(h.sum.Sum(nil)) }

// maxWindow bounds what zstd may hold of the past, in bytes; its own tools make up to 8 MB unless asked.
const maxWindow = 128 << 20

// decompress reads gzip, zstd, or neither, by the first bytes.
func decompress(r io.Reader) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		z, err := gzip.NewReader(b)
		return z, func() {}, err
	case len(head) == 4 && string(head) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// The names that hide: whiteouts of the image specification ("Representing Changes").
const (
	hides     = ".wh."
	hidesMeta = ".wh..wh." // of AUFS itself
	hidesAll  = ".wh..wh..opq"
)

func (u *unpacker) entries(layer int, t *tar.Reader) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		parts, err := clean(h.Name)
		if err != nil {
			return err
		}
		if err := u.entry(layer, parts, h, t); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(layer int, parts []string, h *tar.Header, t *tar.Reader) error {
	if len(parts) > 0 {
		in, name := parts[:len(parts)-1], parts[len(parts)-1]
		switch {
		case name == hidesAll:
			return u.picture.opaque(in, layer)
		case strings.HasPrefix(name, hidesMeta):
			return nil
		case strings.HasPrefix(name, hides):
			name = name[len(hides):]
			if name == "" || name == "." || name == ".." {
				return refuse("the whiteout %q names no file", h.Name)
			}
			return u.picture.whiteout(append(in[:len(in):len(in)], name), layer)
		}
	}
	n := &node{layer: layer}
	switch h.Typeflag {
	case tar.TypeDir:
		n.kind, n.perm, n.modified = fs.ModeDir, readable(h.Mode), h.ModTime
	case tar.TypeSymlink:
		if n.kind, n.target = fs.ModeSymlink, h.Linkname; n.target == "" || len(n.target) > maxLink || strings.IndexByte(n.target, 0) >= 0 {
			return refuse("the link %q leads to a name of %d bytes", h.Name, len(n.target))
		}
	case tar.TypeLink:
		return u.hardLink(layer, parts, h)
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := u.content(n, h, t); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		if len(parts) > 0 && parts[0] == "dev" {
			return nil // /dev is the sandbox's own
		}
		return refuse("%q is a device or pipe", h.Name)
	default:
		return refuse("%q is of the unknown kind %q", h.Name, h.Typeflag)
	}
	return u.picture.put(parts, n)
}

// readable is what everybody may do with a file by its mode, whom the sandbox's user is one of, without
// the right to write, which nobody has: for the owner too, since a sandbox without root runs as the
// owner.
func readable(mode int64) fs.FileMode {
	other := fs.FileMode(mode) & 5
	return other<<6 | other<<3 | other
}

// content keeps a file's bytes under the next number.
func (u *unpacker) content(n *node, h *tar.Header, t *tar.Reader) (err error) {
	n.file = u.files
	u.files++
	f, err := os.OpenFile(u.kept(n.file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if u.room -= h.Size; u.room < 0 {
		return refuse("uncompressed it is larger than %d bytes", u.limits.Bytes)
	}
	if _, err := io.Copy(f, t); err != nil {
		return err
	}
	if err := f.Chmod(readable(h.Mode)); err != nil {
		return err
	}
	return os.Chtimes(f.Name(), time.Time{}, h.ModTime) // python compares it with what it has compiled
}

func (u *unpacker) kept(file int) string { return filepath.Join(u.spool, strconv.Itoa(file)) }

// hardLink is another name for what an earlier entry brought.
func (u *unpacker) hardLink(layer int, parts []string, h *tar.Header) error {
	to, err := clean(h.Linkname)
	if err != nil {
		return err
	}
	old, err := u.picture.find(to)
	if err != nil {
		return err
	}
	if old == nil || old.kind == fs.ModeDir {
		return refuse("%q is a hard link to %q, which is no file of the image", h.Name, h.Linkname)
	}
	return u.picture.put(parts, &node{layer: layer, kind: old.kind, target: old.target, file: old.file})
}
