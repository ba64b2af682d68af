package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bastide-cloud/bastide/internal/store/internal/system"
)

// Scope names the spaces that a transaction may touch.
type Scope struct{ Spaces []string }

// In is the scope of the named spaces.
func In(spaces ...string) Scope { return Scope{Spaces: spaces} }

// Tx is a transaction, usable only inside the closure that it was given to and by one goroutine
// at a time.
type Tx struct {
	*txn
	scope []string
}

// txn is what every narrowed Tx of one transaction shares.
type txn struct {
	db    *DB
	c     *conn    // of an Update
	read  *reading // of a View
	write bool
	done  bool
	id    uint64
	now   time.Time
	base  int64 // every version up to here is visible
	err   error // the first failure of the backend: the transaction cannot commit
	hooks []func()
	sets  []*ReadSet
	dirty []string // spaces written
	used  []*keptRow
	anew  bool // uses no kept rows
}

func (db *DB) newTx(c *conn, s Scope, write bool, base int64) *Tx {
	return &Tx{txn: &txn{db: db, c: c, write: write, id: db.txs.Add(1), base: base}, scope: s.Spaces}
}

// Within is the same transaction narrowed to those of the named spaces that tx may touch: what is
// handed to code that must not reach the rest.
func (tx *Tx) Within(s Scope) *Tx {
	var both []string
	for _, sp := range s.Spaces {
		if slices.Contains(tx.scope, sp) {
			both = append(both, sp)
		}
	}
	return &Tx{txn: tx.txn, scope: both}
}

// Now is the transaction's time: the same at every call.
func (tx *Tx) Now() time.Time {
	if tx.now.IsZero() {
		tx.now = tx.db.opt.Clock.Now()
	}
	return tx.now
}

// Writable reports whether this is an Update.
func (tx *Tx) Writable() bool { return tx.write }

// ID differs between any two transactions, and between two runs of one closure.
func (tx *Tx) ID() uint64 { return tx.id }

// NextSeq gives out a version number: larger than every one before it, in commit order, also
// across restarts. Numbers of transactions that fail are lost.
func (tx *Tx) NextSeq() int64 { return tx.db.seq.Add(1) }

// AfterCommit runs f once the transaction is durable, before Update returns and before the next
// transaction runs, so f must be short and must not use the database. Without a commit it never runs.
func (tx *Tx) AfterCommit(f func()) { tx.hooks = append(tx.hooks, f) }

// enter checks that the transaction may be used on a table of space.
func (tx *Tx) enter(id tableID, write bool) error {
	switch {
	case tx.done:
		return ErrDone
	case tx.err != nil:
		return tx.err
	case write && !tx.write:
		return ErrReadOnly
	case !id.system && !slices.Contains(tx.scope, id.space):
		return tx.fail(&ScopeError{Space: id.space, Table: id.name, Scope: tx.scope})
	}
	return nil
}

// fail marks the transaction so that it cannot commit even if the closure ignores err.
func (tx *Tx) fail(err error) error {
	if err != nil && tx.err == nil {
		tx.err = err
	}
	return err
}

// wrote notes that the row under key, of a table or of all of a space, has been written or deleted.
func (tx *Tx) wrote(id tableID, key []byte, version int64) {
	tx.db.w.tables[id.prefix] = version
	tx.db.w.batch.keys[string(key)] = struct{}{}
	if !slices.Contains(tx.dirty, id.space) {
		tx.dirty = append(tx.dirty, id.space)
	}
}

// tableID is a table's identity and the beginning of its rows' keys.
type tableID struct {
	space, name, prefix string
	system              bool // the store's own, open to its sub-packages in every scope
	reserve             bool // may write into the disk reserve
	keep                bool // see Keep
}

// View runs fn on one snapshot of everything committed so far. It may run beside Updates and does
// not wait for them. An error from fn is returned as it is. fn may run more than once.
func (db *DB) View(ctx context.Context, s Scope, fn func(*Tx) error) error {
	if db.closed.Load() {
		return ErrClosed
	}
	again, err := db.view(ctx, s, fn, false)
	if again {
		_, err = db.view(ctx, s, fn, true)
	}
	return err
}

// view is one attempt at a View; again when kept rows that it used changed while it ran.
func (db *DB) view(ctx context.Context, s Scope, fn func(*Tx) error, anew bool) (again bool, err error) {
	base := db.stable.Load() // before the snapshot: a lower bound of what it holds
	r := &reading{db: db, ctx: ctx}
	ended := false
	defer func() {
		if !ended && r.c != nil { // fn panicked or left through runtime.Goexit
			_ = db.readers.drop(r.c) // closing ends its transaction; the panic is what matters now
		}
	}()
	runs := 1
	if db.opt.RunTwice {
		runs = 2
	}
	for range runs {
		tx := db.newTx(nil, s, false, base)
		tx.read, tx.anew = r, anew
		err = fn(tx)
		tx.done = true
		if err == nil {
			err = tx.err
		}
		again = again || tx.stale()
	}
	ended = true
	if rerr := r.end(); rerr != nil {
		return false, rerr
	}
	return again, err
}

// reading is the snapshot of a View, taken at its first read that needs one.
type reading struct {
	db  *DB
	ctx context.Context
	c   *conn
}

func (r *reading) begin() error {
	c, err := r.db.readers.take(r.ctx)
	if err != nil {
		return err
	}
	newest := r.db.newest.Load()
	if newest == 0 || c.snapshot != newest {
		if c.snapshot != 0 {
			err = c.endSnapshot()
		}
		if err == nil {
			err = c.takeSnapshot(newest)
		}
		if err != nil {
			return errors.Join(err, r.db.readers.drop(c))
		}
	}
	r.c = c
	return nil
}

// end gives the connection back, with its snapshot while that is the newest.
func (r *reading) end() error {
	if r.c == nil {
		return nil
	}
	if r.c.snapshot != r.db.newest.Load() {
		if err := r.c.endSnapshot(); err != nil {
			return fmt.Errorf("store: %w", errors.Join(err, r.db.readers.drop(r.c)))
		}
	}
	r.db.readers.give(r.c)
	return nil
}

// on is the connection that the transaction reads from.
func (tx *Tx) on() (*conn, error) {
	if tx.read == nil {
		return tx.c, nil
	}
	if tx.read.c == nil {
		if err := tx.read.begin(); err != nil {
			return nil, err
		}
	}
	return tx.read.c, nil
}

func (tx *Tx) get(ix bool, key []byte) (value []byte, version int64, ok bool, err error) {
	c, err := tx.on()
	if err != nil {
		return nil, 0, false, err
	}
	return c.get(ix, key)
}

func (tx *Tx) scan(out []row, ix bool, lo, hi []byte, reverse bool, limit int) ([]row, error) {
	c, err := tx.on()
	if err != nil {
		return out, err
	}
	return c.scan(out, ix, lo, hi, reverse, limit)
}

// SystemTable declares a table of the store's own sub-packages, which every scope includes. The
// argument's package is internal to the store.
func SystemTable[T any](at system.Table, indexes ...Index[T]) Table[T] {
	t := NewTable(at.Space, at.Name, indexes...)
	t.id.system = true
	return t
}
