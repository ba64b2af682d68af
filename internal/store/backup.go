package store

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
)

// A backup is a tar stream: the database, the event log, the blobs, and at the end a manifest with the size and
// hash of each, without which the backup is incomplete. It holds nothing else of the data
// directory: the root key, in particular, is never in it.
const (
	backupFormat = 1
	manifestFile = "manifest.json"
	maxManifest  = 1 << 30
)

// ErrIncomplete: a backup ends before its manifest, or holds other content than that says.
var ErrIncomplete = errors.New("store: the backup is incomplete or damaged")

type manifest struct {
	Format  int                   `json:"format"`
	Schema  int                   `json:"schema"`
	Created time.Time             `json:"created"`
	Files   map[string]backupFile `json:"files"`
}

type backupFile struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Backup writes a consistent copy of everything to w while others go on reading and writing; events
// is the log that belongs to the database, nil for none. It needs room for a copy of the larger of
// the two on the data disk meanwhile.
func (db *DB) Backup(ctx context.Context, w io.Writer, events *eventlog.Log) (err error) {
	if db.closed.Load() {
		return ErrClosed
	}
	// Blobs are only ever added while this is held, and the copy of the database is made first: so
	// every blob that the copy refers to is there when its turn comes.
	db.blobs.hold.RLock()
	defer db.blobs.hold.RUnlock()
	dir, err := os.MkdirTemp(db.opt.Dir, "backup-")
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	snapshot := filepath.Join(dir, dbFile)
	c, err := openConn(filepath.Join(db.opt.Dir, dbFile), true)
	if err != nil {
		return err
	}
	if err := errors.Join(c.copyTo(snapshot), c.close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	out := backupWriter{ctx: ctx, tar: tar.NewWriter(w), now: db.opt.Clock.Now().UTC(), files: map[string]backupFile{}}
	if err := errors.Join(out.add(dbFile, snapshot), os.Remove(snapshot)); err != nil {
		return err
	}
	// The events come after the groups that they belong to: those of a group made in between are
	// nobody's, where otherwise events that somebody had been told are kept would be missing.
	if events != nil {
		snapshot = filepath.Join(dir, eventlog.File)
		if err := events.CopyTo(ctx, snapshot); err != nil {
			return fmt.Errorf("store: backup: %w", err)
		}
		if err := errors.Join(out.add(eventlog.File, snapshot), os.Remove(snapshot)); err != nil {
			return err
		}
	}
	err = db.blobs.Area.Walk(func(id string, _ int64, _ time.Time) error {
		rel, err := blob.Path(id)
		if err != nil {
			return err
		}
		return out.add(blobDir+"/"+rel, filepath.Join(db.opt.Dir, blobDir, rel))
	})
	if err != nil {
		return err
	}
	return out.finish()
}

type backupWriter struct {
	ctx   context.Context
	tar   *tar.Writer
	now   time.Time
	files map[string]backupFile
}

func (b *backupWriter) add(name, path string) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	if err := b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: b.now, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(b.tar, h), f)
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	b.files[name] = backupFile{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}
	return nil
}

func (b *backupWriter) finish() error {
	m, err := json.Marshal(manifest{Format: backupFormat, Schema: len(migrations), Created: b.now, Files: b.files})
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	err = b.tar.WriteHeader(&tar.Header{Name: manifestFile, Mode: 0o600, Size: int64(len(m)), ModTime: b.now, Format: tar.FormatPAX})
	if err == nil {
		_, err = b.tar.Write(m)
	}
	if err := errors.Join(err, b.tar.Close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return nil
}

// Restore makes dir from a backup. dir must not exist or be empty; it appears complete or not at
// all. Errors: ErrIncomplete, *SchemaError when a newer program wrote the backup.
func Restore(ctx context.Context, dir string, r io.Reader) (err error) {
	dir = filepath.Clean(dir)
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("store: restore: %s is not empty", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: restore: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restore-")
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }() // after the rename there is nothing left
	if err := unpack(ctx, tmp, r); err != nil {
		return err
	}
	db, err := Open(ctx, Options{Dir: tmp, Reserve: 1})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Check(ctx), db.Close(), checkEvents(ctx, tmp), os.Remove(filepath.Join(tmp, lockFile))); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: restore: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// checkEvents examines the event log, where the backup had one.
func checkEvents(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, eventlog.File)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l, err := eventlog.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(l.Check(ctx), l.Close())
}

func unpack(ctx context.Context, dir string, r io.Reader) error {
	in := tar.NewReader(bufio.NewReaderSize(r, 1<<20))
	have := map[string]backupFile{}
	for {
		h, err := in.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrIncomplete, err) // io.EOF too: no manifest was found
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if h.Name == manifestFile {
			return compare(in, h.Size, have)
		}
		path, ok := backupPath(dir, h.Name)
		if _, twice := have[h.Name]; !ok || twice || h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%w: %q has no place in a backup", ErrIncomplete, h.Name)
		}
		f, err := unpackFile(path, in)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: %w", ErrIncomplete, err)
		}
		if err != nil {
			return fmt.Errorf("store: restore: %w", err)
		}
		have[h.Name] = f
	}
}

// backupPath is where a backup's file goes; only the database, the event log and
// well-formed blob names have a place.
func backupPath(dir, name string) (string, bool) {
	if name == dbFile || name == eventlog.File {
		return filepath.Join(dir, name), true
	}
	id := name[strings.LastIndexByte(name, '/')+1:]
	rel, err := blob.Path(id)
	if err != nil || name != blobDir+"/"+rel {
		return "", false
	}
	return filepath.Join(dir, blobDir, filepath.FromSlash(rel)), true
}

func unpackFile(path string, r io.Reader) (backupFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return backupFile{}, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return backupFile{}, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return backupFile{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

func compare(r io.Reader, size int64, have map[string]backupFile) error {
	if size > maxManifest {
		return ErrIncomplete
	}
	var m manifest
	if err := json.NewDecoder(io.LimitReader(r, size)).Decode(&m); err != nil {
		return fmt.Errorf("%w: manifest: %w", ErrIncomplete, err)
	}
	if m.Format != backupFormat || m.Schema > len(migrations) {
		return &SchemaError{Have: m.Schema, Known: len(migrations)}
	}
	if _, ok := m.Files[dbFile]; !ok || len(m.Files) != len(have) {
		return ErrIncomplete
	}
	for name, want := range m.Files {
		if have[name] != want {
			return fmt.Errorf("%w: %s", ErrIncomplete, name)
		}
	}
	return nil
}
