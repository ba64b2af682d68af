package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// writer is the one place that writes: a baton over the one writing connection. Whoever holds the
// baton runs its closure under a savepoint of the open SQLite transaction, and then either hands
// the baton to the next in line and waits for the shared commit, or, being the last, commits for
// all. So a lone caller pays for no switch of goroutines, closures run in their callers' own
// goroutines (a panic or t.FailNow stays there), and a crowd shares each sync.
type writer struct {
	c       *conn
	tables  map[string]int64 // the version last written to each table since the start; baton holder only
	broken  error            // baton holder only
	cleared int64            // the version of the last Clear; baton holder only

	mu     sync.Mutex
	held   bool
	queue  []*turn
	closed bool

	batch *batch // the open transaction; baton holder only
	last  int    // size of the batch before
}

// turn is one waiting caller.
type turn struct{ ready chan struct{} }

// batch is one commit in the making.
type batch struct {
	done    chan struct{}
	err     error
	n       int // transactions that succeeded
	started time.Time
	hooks   []func()
	dirty   map[string]struct{}
	keys    map[string]struct{} // rows written, also by transactions that failed then
	cleared bool                // whole spaces were, too
}

// A batch is committed at the latest after so many transactions or so long a time, whichever is
// first: it bounds what the first of them waits.
const (
	maxBatch     = 512
	maxBatchTime = 20 * time.Millisecond
)

// Update runs fn alone and returns nil after its writes have been synced to disk. An error or
// panic from fn rolls back all that it wrote. Once fn has run, ctx no longer matters: the outcome is
// awaited. Errors beside fn's own: ErrClosed, ErrBroken, *ReserveError, *ScopeError, the context's.
func (db *DB) Update(ctx context.Context, s Scope, fn func(*Tx) error) error {
	b, err := db.join(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // fn panicked or left through runtime.Goexit; the others go on
			db.handOn(b)
		}
	}()
	err = db.runIn(b, s, fn)
	returned = true
	db.handOn(b)
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// join takes the baton and the open batch, beginning one if there is none.
func (db *DB) join(ctx context.Context) (*batch, error) {
	w := &db.w
	if err := w.acquire(ctx); err != nil {
		return nil, err
	}
	err := w.broken
	if w.closed {
		err = ErrClosed
	}
	if err == nil && w.batch == nil {
		if err = w.c.begin(true); err != nil {
			err = fmt.Errorf("store: begin: %w", err)
		} else {
			w.batch = &batch{done: make(chan struct{}), started: db.opt.Clock.Now(), dirty: map[string]struct{}{}, keys: map[string]struct{}{}}
		}
	}
	if err != nil {
		w.pass() // no batch is open: a batch that breaks down is ended by whom it breaks for
		return nil, err
	}
	return w.batch, nil
}

// handOn passes the baton with the batch still open, or, when nobody is waiting or the batch is
// full, commits it first.
func (db *DB) handOn(b *batch) {
	w := &db.w
	if b.n < maxBatch && db.opt.Clock.Now().Sub(b.started) < maxBatchTime && w.broken == nil {
		// Callers that shared the last commit were just woken and are about to come again: let them
		// join this one rather than wait for a sync of their own. A lone caller skips this.
		for i := 0; ; i++ {
			if w.give() {
				return
			}
			if b.n >= w.last || i == 4 {
				break
			}
			runtime.Gosched()
		}
	}
	db.commit(b)
	w.pass()
}

// runIn runs fn under a savepoint of the batch.
func (db *DB) runIn(b *batch, s Scope, fn func(*Tx) error) (err error) {
	w := &db.w
	if err := w.c.save(); err != nil {
		return w.breakdown(fmt.Errorf("store: savepoint: %w", err))
	}
	var tx *Tx
	kept := false
	defer func() {
		if tx != nil {
			tx.done = true
		}
		if !kept {
			if uerr := w.c.undo(); uerr != nil {
				err = errors.Join(err, w.breakdown(fmt.Errorf("store: undo: %w", uerr)))
			}
		}
	}()
	if db.opt.RunTwice {
		tx = db.newTx(w.c, s, true, db.seq.Load())
		if err := fn(tx); err == nil { // an error must come again by itself
			tx.done = true
		}
		tx.done = true
		if err := w.c.do("ROLLBACK TO s"); err != nil {
			return w.breakdown(err)
		}
	}
	tx = db.newTx(w.c, s, true, db.seq.Load())
	if err := fn(tx); err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if err := w.c.release(); err != nil {
		return w.breakdown(fmt.Errorf("store: release: %w", err))
	}
	kept = true
	b.n++
	b.hooks = append(b.hooks, tx.hooks...)
	for _, sp := range tx.dirty {
		b.dirty[sp] = struct{}{}
	}
	return nil
}

// breakdown makes the batch unable to commit: the connection is in a state nobody intended.
func (w *writer) breakdown(err error) error {
	if w.broken == nil {
		w.broken = errors.Join(ErrBroken, err)
	}
	return err
}

// commit ends the batch and tells all who wait for it.
func (db *DB) commit(b *batch) {
	w := &db.w
	w.batch, w.last = nil, b.n
	err := w.broken
	if err == nil && b.n > 0 {
		err = db.write(b)
	}
	if err != nil || b.n == 0 {
		if rerr := w.c.rollback(); rerr != nil && w.broken == nil && b.n == 0 {
			err = w.breakdown(fmt.Errorf("store: rollback: %w", rerr))
		} // after a failed commit SQLite may have rolled back by itself, and says so by an error here
	}
	if err == nil {
		db.stable.Store(db.seq.Load())
		for _, f := range b.hooks {
			f()
		}
		db.watch.tell(b.dirty)
	}
	b.err = err
	close(b.done)
}

// write makes the batch durable and visible. While it does, no View uses another's snapshot or keeps
// a row: one that sees the batch must not be followed by one that does not.
func (db *DB) write(b *batch) error {
	w := &db.w
	db.newest.Store(0)
	defer func() { db.newest.Store(db.seq.Load()) }()
	db.kept.forget(b)
	_ = db.readers.idle.settle() // a connection that fails is closed and missed by nobody
	if err := w.c.commit(); err != nil {
		err = fmt.Errorf("store: commit: %w", err)
		if fatal(err) {
			err = w.breakdown(err)
		}
		return err
	}
	return nil
}

// acquire waits for the baton.
func (w *writer) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	if !w.held {
		w.held = true
		w.mu.Unlock()
		return nil
	}
	t := &turn{ready: make(chan struct{})}
	w.queue = append(w.queue, t)
	w.mu.Unlock()
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	for i, q := range w.queue {
		if q == t {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			w.mu.Unlock()
			return ctx.Err()
		}
	}
	w.mu.Unlock()
	<-t.ready // it was handed over in the meantime: the baton is ours, and the turn must be taken
	return nil
}

// give hands the baton to the next in line, and reports whether there was one.
func (w *writer) give() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return false
	}
	t := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	close(t.ready)
	return true
}

// pass gives the baton up, with no batch open.
func (w *writer) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.held = false
		return
	}
	t := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	close(t.ready)
}

// closeWriter waits its turn behind the transactions already queued, commits what they left open
// and closes the connection.
func (db *DB) closeWriter() error {
	w := &db.w
	if err := w.acquire(context.Background()); err != nil {
		return err
	}
	if w.batch != nil {
		db.commit(w.batch)
	}
	var err error
	if w.broken == nil {
		err = w.c.do("PRAGMA wal_checkpoint(TRUNCATE)")
	}
	err = errors.Join(err, w.c.close())
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.pass()
	return err
}
