package store

import (
	"sync"
	"sync/atomic"
)

// keptRows hold rows of tables made with Keep, as they were last committed: what many requests read
// and few write. A commit takes the rows that it writes out before it becomes visible, and a row
// comes in only from a snapshot that is the newest at that moment: so what is there is what a
// transaction that begins now would read.
//
// A View may have begun before. It uses a kept row only if the row is no younger than what every
// snapshot of the View shows, and runs again without kept rows if one that it used has been taken
// out in the meantime: so it sees one moment, in kept rows and others together.
//
// The rows are in two generations. When the young one is full the old one goes, and with it what
// nobody has asked for since the last time.
type keptRows struct {
	mu         sync.RWMutex
	young, old map[string]*keptRow
	size       int // of the young, in bytes
}

type keptRow struct {
	value   []byte
	version int64
	gone    atomic.Bool // no longer watched: changed, about to be, or given up
}

const (
	maxKept      = 4 << 20 // bytes of a generation
	maxKeptValue = maxSmall + 64
	keptOverhead = 128 // about what a row takes beside its key and value
)

func (k *keptRows) get(key []byte) *keptRow {
	k.mu.RLock()
	r, young := k.young[string(key)]
	if !young {
		r = k.old[string(key)]
	}
	k.mu.RUnlock()
	if r != nil && !young {
		k.mu.Lock()
		if k.old[string(key)] == r { // nobody else has been here
			delete(k.old, string(key))
			k.add(string(key), r)
		}
		k.mu.Unlock()
	}
	return r
}

// add puts a row into the young generation; under mu.
func (k *keptRows) add(key string, r *keptRow) {
	if k.size > maxKept || k.young == nil {
		abandon(k.old)
		k.old, k.young, k.size = k.young, map[string]*keptRow{}, 0
	}
	k.young[key] = r
	k.size += len(key) + len(r.value) + keptOverhead
}

func abandon(rows map[string]*keptRow) {
	for _, r := range rows {
		r.gone.Store(true)
	}
}

// forget takes out the rows that a batch has written; the batch is about to be committed.
func (k *keptRows) forget(b *batch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b.cleared {
		abandon(k.young)
		abandon(k.old)
		k.young, k.old, k.size = nil, nil, 0
		return
	}
	for key := range b.keys {
		for _, rows := range []map[string]*keptRow{k.young, k.old} {
			if r := rows[key]; r != nil {
				r.gone.Store(true)
				delete(rows, key)
			}
		}
	}
}

// recall is the row under key as the transaction would read it, if it is kept.
func (tx *Tx) recall(key []byte) *keptRow {
	if tx.write {
		b := tx.db.w.batch
		if _, written := b.keys[string(key)]; written || b.cleared {
			return nil
		}
		return tx.db.kept.get(key) // no other commit can come between
	}
	if tx.anew {
		return nil
	}
	r := tx.db.kept.get(key)
	if r == nil || r.version > tx.base {
		return nil
	}
	tx.used = append(tx.used, r)
	return r
}

// keep remembers a row that was just read. What an Update reads is not kept: it may never commit.
func (tx *Tx) keep(key, value []byte, version int64) {
	if tx.write || len(value) > maxKeptValue {
		return
	}
	k := &tx.db.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if tx.read.c.snapshot != tx.db.newest.Load() || k.young[string(key)] != nil || k.old[string(key)] != nil {
		return
	}
	k.add(string(key), &keptRow{value: value, version: version})
}

// stale reports whether a View used a kept row that may have changed since.
func (tx *Tx) stale() bool {
	for _, r := range tx.used {
		if r.gone.Load() {
			return true
		}
	}
	return false
}
