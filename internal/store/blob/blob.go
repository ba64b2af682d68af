// Package blob is the area for bytes too large for rows: objects, function code, audit segments.
// (store.Blobs, through which others reach it, keeps small ones in rows all the same.) A blob is
// written once, under a random name, and never changes:
//
//	ref, err := area.Put(ctx, body, limit) // durable when it returns
//	f, err := area.Open(ref.ID)            // io.ReaderAt, io.ReadSeeker
//
// A blob's name and content are on disk, file and directory synced, before Put returns, so that a
// transaction may record the reference. What no row refers to is swept later (store.Blobs); a crash
// in between leaves an orphan, never a reference without its bytes.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/ids"
)

// Ref is what a row keeps of a blob: its name, its length in bytes and its content's hash (hex).
type Ref struct {
	ID     string `json:"id"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`

	// Content is that of a blob small enough for a row, from its writing until it is kept.
	Content string `json:"-"`
}

// Errors that a caller may branch on.
var (
	ErrNotFound = errors.New("blob: no such blob")
	ErrTooLarge = errors.New("blob: content exceeds the limit")
	ErrDamaged  = errors.New("blob: content does not match its reference")
)

// Area is a directory of blobs, safe for concurrent use by the process that owns the directory.
type Area struct {
	dir string
	ids ids.Source
}

const (
	tmpDir = "tmp"
	shards = 16 // directories by the first digit of the name
)

// Open opens the area in dir, making it if needed, for the owner only. Unfinished writes of an
// earlier process are removed.
func Open(dir string, src ids.Source) (*Area, error) {
	a := &Area{dir: dir, ids: src}
	if err := os.RemoveAll(filepath.Join(dir, tmpDir)); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, tmpDir), 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	// All shards are made now: making one later would need a second directory sync at each Put.
	for i := range shards {
		err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("%x", i)), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("blob: %w", err)
		}
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return a, nil
}

// Put writes all of r, at most limit bytes (no limit when negative), and returns once it is
// durable. Errors: ErrTooLarge, the context's, r's own.
func (a *Area) Put(ctx context.Context, r io.Reader, limit int64) (Ref, error) {
	w, err := a.Create()
	if err != nil {
		return Ref{}, err
	}
	defer w.Abort()
	if err := Fill(ctx, w, r, limit); err != nil {
		return Ref{}, err
	}
	return w.Commit()
}

// Fill writes all of r to w, at most limit bytes (no limit when negative). Errors: ErrTooLarge, the
// context's, r's own, w's own.
func Fill(ctx context.Context, w io.Writer, r io.Reader, limit int64) error {
	buf := make([]byte, 128<<10)
	for size := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if size += int64(n); limit >= 0 && size > limit {
			return ErrTooLarge
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Writer is a blob being written; it exists for others only after Commit.
type Writer struct {
	a    *Area
	id   string
	f    *os.File
	hash hash.Hash
	size int64
}

// Create begins a blob.
func (a *Area) Create() (*Writer, error) {
	id := hex.EncodeToString(a.ids.Bytes(16))
	f, err := os.OpenFile(filepath.Join(a.dir, tmpDir, id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Writer{a: a, id: id, f: f, hash: sha256.New()}, nil
}

// Write appends p.
func (w *Writer) Write(p []byte) (int, error) {
	if w.f == nil {
		return 0, os.ErrClosed
	}
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("blob: %w", err)
	}
	return n, nil
}

// Commit makes the blob durable and gives its reference.
func (w *Writer) Commit() (Ref, error) {
	if w.f == nil {
		return Ref{}, os.ErrClosed
	}
	f := w.f
	w.f = nil
	tmp, path := f.Name(), w.a.path(w.id)
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return Ref{}, errors.Join(fmt.Errorf("blob: %w", err), os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return Ref{}, errors.Join(fmt.Errorf("blob: %w", err), os.Remove(tmp))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return Ref{}, fmt.Errorf("blob: %w", err)
	}
	return Ref{ID: w.id, Size: w.size, SHA256: hex.EncodeToString(w.hash.Sum(nil))}, nil
}

// Abort discards the blob; after Commit it does nothing.
func (w *Writer) Abort() {
	if w.f != nil {
		// What cannot be removed now goes with the next Open.
		_ = errors.Join(w.f.Close(), os.Remove(w.f.Name()))
		w.f = nil
	}
}

// File is an open blob.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Open opens a blob for reading; it stays readable while open even if it is removed. Error:
// ErrNotFound, also for a name that cannot be a blob's.
func (a *Area) Open(id string) (File, error) {
	if !valid(id) {
		return nil, ErrNotFound
	}
	f, err := os.Open(a.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return f, nil
}

// Range opens n bytes from off; fewer come when the blob ends before.
func (a *Area) Range(id string, off, n int64) (io.ReadCloser, error) {
	f, err := a.Open(id)
	if err != nil {
		return nil, err
	}
	return Section(f, off, n), nil
}

// Section reads n bytes of f from off, and closes f when it is closed.
func Section(f File, off, n int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}
}

// Verify reads the blob and compares it with its reference. Errors: ErrNotFound, ErrDamaged.
func (a *Area) Verify(ctx context.Context, ref Ref) error {
	f, err := a.Open(ref.ID)
	if err != nil {
		return err
	}
	return errors.Join(ref.Matches(ctx, f), f.Close())
}

// Matches compares all that r gives with the reference. Errors: ErrDamaged, r's own, the context's.
func (ref Ref) Matches(ctx context.Context, r io.Reader) error {
	h := sha256.New()
	buf := make([]byte, 128<<10)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("blob: %w", err)
		}
	}
	if size != ref.Size || hex.EncodeToString(h.Sum(nil)) != ref.SHA256 {
		return ErrDamaged
	}
	return nil
}

// Remove deletes a blob; one that is not there is no error. The removal is not synced: after a
// power cut the blob may be back, as an orphan.
func (a *Area) Remove(id string) error {
	if !valid(id) {
		return ErrNotFound
	}
	if err := os.Remove(a.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Walk calls fn with every blob's name, size in bytes and time of writing, in order of names.
func (a *Area) Walk(fn func(id string, size int64, written time.Time) error) error {
	for i := range shards {
		entries, err := os.ReadDir(filepath.Join(a.dir, fmt.Sprintf("%x", i)))
		if err != nil {
			return fmt.Errorf("blob: %w", err)
		}
		for _, e := range entries {
			if !valid(e.Name()) {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("blob: %w", err)
			}
			if err := fn(e.Name(), info.Size(), info.ModTime()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Path is the blob's path below the area's directory, "a/abcdef…", for a backup.
func Path(id string) (string, error) {
	if !valid(id) {
		return "", ErrNotFound
	}
	return id[:1] + "/" + id, nil
}

func (a *Area) path(id string) string { return filepath.Join(a.dir, id[:1], id) }

// valid admits exactly the names that Create makes, so that no name can leave the area.
func valid(id string) bool {
	if len(id) != 32 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
