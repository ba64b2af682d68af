package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Options say where the data is and how it is kept. Only Dir is required.
type Options struct {
	// Dir is the data directory, made if missing, for the owner only.
	Dir string
	// Clock gives Tx.Now; the system's by default.
	Clock clock.Clock
	// Readers bounds concurrent Views; 4 a processor, at least 8, by default.
	Readers int
	// MaxValue and MaxKey bound an encoded value and key, in bytes: 8 MiB and 8 KiB by default.
	MaxValue, MaxKey int
	// Reserve is the free disk space, in bytes, below which only deletes are accepted: 128 MiB by
	// default. Tables made with UseReserve may write down to a quarter of it.
	Reserve uint64
	// FreeBytes measures the free space of the data disk; statfs by default.
	FreeBytes func() (uint64, error)
	// RunTwice runs every closure twice, rolling the first run back: what a closure leaves outside
	// its transaction then shows. For tests.
	RunTwice bool
}

// DB is an open data directory. It is safe for concurrent use.
type DB struct {
	opt     Options
	lock    *os.File
	w       writer
	readers readers
	watch   watchers
	kept    keptRows
	space   reserve
	blobs   *Blobs
	seq     atomic.Int64 // last version given out; advanced only by the writer
	stable  atomic.Int64 // every version up to here is committed and visible to a new View
	newest  atomic.Int64 // what a snapshot taken now would be; 0 while a commit decides that
	txs     atomic.Uint64
	closed  atomic.Bool
}

const (
	dbFile    = "bastide.db"
	blobDir   = "blobs"
	epochBits = 44 // versions of one opening: 2^44 writes; the epoch above them makes later ones larger
)

// Open opens the data directory, making it if needed, and takes its lock. Errors: *LockedError
// when another process owns it, *SchemaError when a newer program wrote it.
func Open(ctx context.Context, opt Options) (*DB, error) {
	opt.defaults()
	if err := makeDir(opt.Dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	db := &DB{opt: opt, lock: lock}
	if err := db.open(ctx); err != nil {
		if db.w.c != nil {
			err = errors.Join(err, db.w.c.close())
		}
		return nil, errors.Join(err, lock.Close())
	}
	return db, nil
}

func (o *Options) defaults() {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Readers == 0 {
		o.Readers = max(8, 4*runtime.GOMAXPROCS(0))
	}
	if o.MaxValue == 0 {
		o.MaxValue = 8 << 20
	}
	if o.MaxKey == 0 {
		o.MaxKey = 8 << 10
	}
	if o.Reserve == 0 {
		o.Reserve = 128 << 20
	}
	if o.FreeBytes == nil {
		dir := o.Dir
		o.FreeBytes = func() (uint64, error) { return freeBytes(dir) }
	}
}

func (db *DB) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(db.opt.Dir, dbFile)
	// Made here so that SQLite's own files, which copy its mode, are the owner's too.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if db.w.c, err = openConn(path, true); err != nil {
		return err
	}
	epoch, err := db.w.c.migrate()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	// SQLite syncs the directory for its log, not for the database file itself.
	if err := syncDir(db.opt.Dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	db.seq.Store(epoch << epochBits)
	db.stable.Store(epoch << epochBits)
	db.newest.Store(epoch << epochBits)
	db.w.tables = map[string]int64{}
	db.readers = newReaders(path, db.opt.Readers)
	db.space = reserve{reserve: db.opt.Reserve, measure: db.opt.FreeBytes, clock: db.opt.Clock}
	db.blobs, err = openBlobs(db)
	return err
}

// Dir is the data directory.
func (db *DB) Dir() string { return db.opt.Dir }

// Clock is the clock that transactions read.
func (db *DB) Clock() clock.Clock { return db.opt.Clock }

// Close waits for the running transactions, folds the log into the file and gives the lock back.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return ErrClosed
	}
	db.watch.close()
	err := db.readers.close()
	if werr := db.closeWriter(); werr != nil {
		err = errors.Join(err, werr)
	}
	return errors.Join(err, db.lock.Close())
}

// Check examines the database file for damage; it reads all of it.
func (db *DB) Check(ctx context.Context) error {
	c, err := db.readers.take(ctx)
	if err != nil {
		return err
	}
	defer db.readers.give(c)
	return c.check()
}

// readers is the pool of read connections, opened when first needed. The connection given back last
// is taken first: its page cache is the warmest, and those of a burst's others go cold unread.
//
// A connection that is given back keeps its snapshot while that is the newest, so that the next View
// neither takes one nor reads again what is in the page cache. Who is about to commit ends the
// snapshots of idle connections: they would keep the log from being folded into the file.
type readers struct {
	path  string
	slots chan struct{} // one for each connection that is not in use, open or not
	done  chan struct{}
	once  *sync.Once
	idle  *idleReaders
}

// idleReaders are the open connections that nobody uses.
type idleReaders struct {
	mu    sync.Mutex
	stack []*conn
}

func (i *idleReaders) push(c *conn) {
	i.mu.Lock()
	i.stack = append(i.stack, c)
	i.mu.Unlock()
}

// pop is nil when none is open.
func (i *idleReaders) pop() (c *conn) {
	i.mu.Lock()
	if n := len(i.stack); n > 0 {
		c, i.stack = i.stack[n-1], i.stack[:n-1]
	}
	i.mu.Unlock()
	return c
}

// settle ends the snapshots of all idle connections.
func (i *idleReaders) settle() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var err error
	for n, c := range i.stack {
		if c.snapshot == 0 {
			continue
		}
		if cerr := c.endSnapshot(); cerr != nil {
			err = errors.Join(err, cerr, c.close())
			i.stack[n] = nil
		}
	}
	i.stack = slices.DeleteFunc(i.stack, func(c *conn) bool { return c == nil })
	return err
}

func newReaders(path string, n int) readers {
	r := readers{path: path, slots: make(chan struct{}, n), done: make(chan struct{}), once: &sync.Once{}, idle: &idleReaders{}}
	for range n {
		r.slots <- struct{}{}
	}
	return r
}

func (r readers) take(ctx context.Context) (*conn, error) {
	select {
	case <-r.done:
		return nil, ErrClosed
	default:
	}
	select {
	case <-r.slots:
	default:
		select {
		case <-r.slots:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.done:
			return nil, ErrClosed
		}
	}
	if c := r.idle.pop(); c != nil {
		return c, nil
	}
	c, err := openConn(r.path, false)
	if err != nil {
		r.slots <- struct{}{}
		return nil, err
	}
	return c, nil
}

func (r readers) give(c *conn) {
	r.idle.push(c)
	r.slots <- struct{}{}
}

// drop gives the slot back without its connection, which is in an unknown state.
func (r readers) drop(c *conn) error { r.slots <- struct{}{}; return c.close() }

func (r readers) close() (err error) {
	r.once.Do(func() {
		close(r.done)
		for range cap(r.slots) {
			<-r.slots
		}
		for c := r.idle.pop(); c != nil; c = r.idle.pop() {
			err = errors.Join(err, c.close())
		}
	})
	return err
}
