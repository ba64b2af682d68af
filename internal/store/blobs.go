package store

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/store/internal/system"
)

// Blobs is the blob area together with the rows that say which blobs are in use:
//
//	ref, err := db.Blobs().Put(ctx, body, limit)
//	err = db.Update(ctx, scope, func(tx *store.Tx) error {
//		if err := db.Blobs().Keep(tx, ref); err != nil { return err }
//		return objects.Put(tx, key, Object{Body: ref})
//	})
//
// A blob that is never kept, and one that was dropped, is removed by Sweep.
//
// A small blob is no file but a row (see Writer): Keep writes it with the rest of the transaction,
// which costs one sync where a file costs three. Who uses a blob cannot tell the two apart.
type Blobs struct {
	*blob.Area
	db   *DB
	ids  ids.Source
	hold sync.RWMutex // read-held by a backup, so that nothing it needs is swept
}

// Grace is how long an unreferenced blob is left alone: a blob just written may be waiting for
// its transaction, one just dropped may be about to be opened by who read its reference before.
const Grace = 15 * time.Minute

func openBlobs(db *DB) (*Blobs, error) {
	var source ids.Source
	a, err := blob.Open(filepath.Join(db.opt.Dir, blobDir), source)
	if err != nil {
		return nil, err
	}
	return &Blobs{Area: a, db: db, ids: source}, nil
}

// Blobs is the database's blob area.
func (db *DB) Blobs() *Blobs { return db.blobs }

type dropped struct {
	At time.Time `json:"at"`
}

// blobRef says that a file is in use, and by which space.
type blobRef struct {
	blob.Ref
	Owner string `json:"owner,omitempty"`
}

func blobRefs() Table[blobRef] {
	return SystemTable[blobRef](system.Table{Space: "_blob", Name: "refs"})
}

func blobDrops() Table[dropped] {
	return SystemTable[dropped](system.Table{Space: "_blob", Name: "dropped"}).UseReserve()
}

// Keep records that the transaction's rows refer to the blob. A blob has one owner: kept once,
// dropped once.
func (b *Blobs) Keep(tx *Tx, ref blob.Ref) error {
	owner := ""
	if len(tx.scope) > 0 {
		owner = tx.scope[0]
	}
	if isSmall(ref.ID) {
		return keepSmall(tx, ref, owner)
	}
	if _, err := blobDrops().Delete(tx, K(ref.ID)); err != nil {
		return err
	}
	return blobRefs().Put(tx, K(ref.ID), blobRef{ref, owner})
}

// Drop records that nothing refers to the blob any more.
func (b *Blobs) Drop(tx *Tx, id string) error {
	if !isSmall(id) {
		ok, err := blobRefs().Delete(tx, K(id))
		if err != nil || !ok {
			return err
		}
	}
	return blobDrops().Put(tx, K(id), dropped{At: tx.Now()})
}

// dropOf drops every blob that the named spaces keep: their rows are about to go.
func dropOf(tx *Tx, spaces []string) error {
	for e, err := range blobRefs().Scan(tx, Key{}, Range{}) {
		if err != nil {
			return err
		}
		if e.Value.Owner == "" || !slices.Contains(spaces, e.Value.Owner) {
			continue
		}
		if err := tx.db.blobs.Drop(tx, e.Key.Text(0)); err != nil {
			return err
		}
	}
	return clearSmall(tx, spaces)
}

// Sweep removes the blobs that have been dropped, or have never been kept, for longer than Grace,
// and reports how many. To be run every few minutes by one process.
func (b *Blobs) Sweep(ctx context.Context) (removed int, err error) {
	b.hold.Lock()
	defer b.hold.Unlock()
	now := b.db.opt.Clock.Now()
	gone, err := b.removeDropped(ctx, now)
	if err != nil {
		return gone, err
	}
	var old []string
	err = b.Area.Walk(func(id string, _ int64, written time.Time) error {
		if now.Sub(written) > Grace {
			old = append(old, id)
		}
		return ctx.Err()
	})
	if err != nil {
		return gone, err
	}
	for _, id := range old {
		used := false
		err := b.db.View(ctx, Scope{}, func(tx *Tx) error {
			kept, err := blobRefs().Has(tx, K(id))
			waits, derr := blobDrops().Has(tx, K(id))
			used = kept || waits
			return errors.Join(err, derr)
		})
		if err != nil {
			return gone, err
		}
		if used {
			continue
		}
		if err := b.Remove(id); err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}

// sweepBatch bounds the rows of one transaction of a sweep: others wait behind it.
const sweepBatch = 200

func (b *Blobs) removeDropped(ctx context.Context, now time.Time) (n int, err error) {
	var at Key
	for {
		due, err := b.due(ctx, now, at)
		if err != nil || len(due) == 0 {
			return n, err
		}
		at = due[len(due)-1]
		for _, k := range due {
			// The file goes first: a crash in between leaves a row whose file is gone, which the next
			// sweep clears.
			if err := b.Remove(k.Text(0)); err != nil {
				return n, err
			}
		}
		err = b.db.Update(ctx, Scope{}, func(tx *Tx) error {
			for _, k := range due {
				_, err1 := blobDrops().Delete(tx, k)
				_, err2 := smallBlobs().Delete(tx, k) // of a small blob; a file's has none
				if err := errors.Join(err1, err2); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(due)
	}
}

// due are the next blobs behind one that were dropped longer than Grace ago.
func (b *Blobs) due(ctx context.Context, now time.Time, behind Key) (due []Key, err error) {
	err = b.db.View(ctx, Scope{}, func(tx *Tx) error {
		due = nil
		for e, err := range blobDrops().Scan(tx, Key{}, Range{After: behind}) {
			if err != nil {
				return err
			}
			if now.Sub(e.Value.At) > Grace {
				if due = append(due, e.Key); len(due) == sweepBatch {
					break
				}
			}
		}
		return nil
	})
	return due, err
}
