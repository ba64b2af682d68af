package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/store/internal/system"
)

// maxSmall is how long a blob may be to stay in a row, in bytes: 64 KiB of content and what sealing
// adds to it. Beyond, a file is cheaper than the pages that a row goes over and their copies in the log.
const maxSmall = 64<<10 + 64

// smallPrefix begins the names of small blobs; no file can be called so (see blob.Path).
const smallPrefix = "row-"

func isSmall(id string) bool { return strings.HasPrefix(id, smallPrefix) }

// smallBlobs are the small blobs by name: the length of their owner's name, the name, the content.
// They are in use from the moment that they are written, and so need no row of blobRefs.
func smallBlobs() Table[[]byte] {
	return SystemTable[[]byte](system.Table{Space: "_blob", Name: "small"}).Keep()
}

func keepSmall(tx *Tx, ref blob.Ref, owner string) error {
	if int64(len(ref.Content)) != ref.Size {
		return tx.fail(fmt.Errorf("store: the content of blob %s is not at hand: it can be kept once", ref.ID))
	}
	row := append(binary.AppendUvarint(make([]byte, 0, 2+len(owner)+len(ref.Content)), uint64(len(owner))), owner...)
	return smallBlobs().Put(tx, K(ref.ID), append(row, ref.Content...))
}

// splitSmall reads a row of smallBlobs.
func splitSmall(row []byte) (owner string, content []byte, err error) {
	n, used := binary.Uvarint(row)
	if used <= 0 || n > uint64(len(row)-used) {
		return "", nil, blob.ErrDamaged
	}
	at := used + int(n)
	return string(row[used:at]), row[at:], nil
}

// clearSmall removes the small blobs of the named spaces.
func clearSmall(tx *Tx, spaces []string) error {
	for e, err := range smallBlobs().Scan(tx, Key{}, Range{}) {
		if err != nil {
			return err
		}
		owner, _, err := splitSmall(e.Value)
		if err != nil {
			return tx.fail(err)
		}
		for _, sp := range spaces {
			if sp != owner {
				continue
			}
			if _, err := smallBlobs().Delete(tx, e.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// Writer is a blob being written. What stays small is held in memory until Keep writes its row;
// what grows beyond goes to a file.
type Writer struct {
	b     *Blobs
	small []byte
	file  *blob.Writer
	done  bool
}

// Create begins a blob.
func (b *Blobs) Create() (*Writer, error) { return &Writer{b: b}, nil }

// Write appends p.
func (w *Writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, os.ErrClosed
	}
	if w.file == nil && len(w.small)+len(p) <= maxSmall {
		w.small = append(w.small, p...)
		return len(p), nil
	}
	if w.file == nil {
		file, err := w.b.Area.Create()
		if err != nil {
			return 0, err
		}
		w.file = file
		if _, err := file.Write(w.small); err != nil {
			return 0, err
		}
		w.small = nil
	}
	return w.file.Write(p)
}

// Commit gives the blob's reference. A file is durable by then; a small blob becomes durable with
// the transaction that keeps this very reference.
func (w *Writer) Commit() (blob.Ref, error) {
	if w.done {
		return blob.Ref{}, os.ErrClosed
	}
	w.done = true
	if w.file != nil {
		return w.file.Commit()
	}
	sum := sha256.Sum256(w.small)
	return blob.Ref{ID: smallPrefix + hex.EncodeToString(w.b.ids.Bytes(16)), Size: int64(len(w.small)),
		SHA256: hex.EncodeToString(sum[:]), Content: string(w.small)}, nil
}

// Abort discards the blob; after Commit it does nothing.
func (w *Writer) Abort() {
	w.done = true
	if w.file != nil {
		w.file.Abort()
	}
}

// Put writes all of r, at most limit bytes (no limit when negative). Errors: blob.ErrTooLarge, the
// context's, r's own.
func (b *Blobs) Put(ctx context.Context, r io.Reader, limit int64) (blob.Ref, error) {
	w, err := b.Create()
	if err != nil {
		return blob.Ref{}, err
	}
	defer w.Abort()
	if err := blob.Fill(ctx, w, r, limit); err != nil {
		return blob.Ref{}, err
	}
	return w.Commit()
}

// smallFile is an open small blob.
type smallFile struct{ *bytes.Reader }

func (smallFile) Close() error { return nil }

// Open opens a blob for reading; it stays readable while open even if it is removed. Error:
// blob.ErrNotFound, also for a name that cannot be a blob's.
func (b *Blobs) Open(id string) (blob.File, error) {
	if !isSmall(id) {
		return b.Area.Open(id)
	}
	var row []byte
	err := b.db.View(context.Background(), Scope{}, func(tx *Tx) (err error) {
		var ok bool
		if row, ok, err = smallBlobs().Get(tx, K(id)); err == nil && !ok {
			err = blob.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	_, content, err := splitSmall(row)
	if err != nil {
		return nil, err
	}
	return smallFile{bytes.NewReader(content)}, nil
}

// Range opens n bytes from off; fewer come when the blob ends before.
func (b *Blobs) Range(id string, off, n int64) (io.ReadCloser, error) {
	f, err := b.Open(id)
	if err != nil {
		return nil, err
	}
	return blob.Section(f, off, n), nil
}

// Verify reads the blob and compares it with its reference. Errors: blob.ErrNotFound,
// blob.ErrDamaged.
func (b *Blobs) Verify(ctx context.Context, ref blob.Ref) error {
	f, err := b.Open(ref.ID)
	if err != nil {
		return err
	}
	return errors.Join(ref.Matches(ctx, f), f.Close())
}

// Remove deletes a blob that was never kept; one that is not there is no error.
func (b *Blobs) Remove(id string) error {
	if isSmall(id) {
		return nil // it is nowhere until it is kept
	}
	return b.Area.Remove(id)
}

// Walk calls fn with the name and size in bytes of every blob: files, kept or not, and then rows.
func (b *Blobs) Walk(ctx context.Context, fn func(id string, size int64) error) error {
	err := b.Area.Walk(func(id string, size int64, _ time.Time) error { return fn(id, size) })
	if err != nil {
		return err
	}
	var rows []blob.Ref
	err = b.db.View(ctx, Scope{}, func(tx *Tx) error {
		rows = nil
		for e, err := range smallBlobs().Scan(tx, Key{}, Range{}) {
			if err != nil {
				return err
			}
			_, content, err := splitSmall(e.Value)
			if err != nil {
				return tx.fail(err)
			}
			rows = append(rows, blob.Ref{ID: e.Key.Text(0), Size: int64(len(content))})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := fn(r.ID, r.Size); err != nil {
			return err
		}
	}
	return nil
}

var _ blob.File = smallFile{}
