package store

import (
	"sync"
	"sync/atomic"
)

// keptTables hold rows of tables made with Keep: the definitions that every request reads and
// hardly any writes. A kept row is used only while nothing has been written to its table since it
// was read, not even by a transaction that has not committed, so that it is what a read would find.
type keptTables struct {
	byPrefix sync.Map     // table prefix → *keptTable
	cleared  atomic.Int64 // the version of the last Clear
}

type keptTable struct {
	written atomic.Int64 // the version last given to a write, committed or not

	mu   sync.RWMutex
	at   int64 // the version that rows are as of
	rows map[string]keptRow
}

type keptRow struct {
	value   []byte
	version int64
}

// keptUse is a table of which a View used kept rows, as of a version.
type keptUse struct {
	t  *keptTable
	at int64
}

const (
	maxKept      = 1024 // rows of a table; a full one starts anew
	maxKeptValue = 64 << 10
)

// table is also asked for by every write, to any table: a reader that begins to keep rows while a
// write is under way must see its version.
func (k *keptTables) table(prefix string) *keptTable {
	if t, ok := k.byPrefix.Load(prefix); ok {
		return t.(*keptTable)
	}
	t, _ := k.byPrefix.LoadOrStore(prefix, &keptTable{})
	return t.(*keptTable)
}

// last is the version of the last write that may show in the table.
func (k *keptTables) last(t *keptTable) int64 { return max(t.written.Load(), k.cleared.Load()) }

// recall is the row under key as the transaction would read it, if it is kept.
func (tx *Tx) recall(t *keptTable, key []byte) (row keptRow, ok bool) {
	at := tx.db.kept.last(t)
	if tx.anew || !tx.write && at > tx.base {
		return row, false // the snapshot may be older than the last write
	}
	t.mu.RLock()
	if t.at == at {
		row, ok = t.rows[string(key)]
	}
	t.mu.RUnlock()
	if ok && !tx.write {
		tx.used = append(tx.used, keptUse{t, at})
	}
	return row, ok
}

// keep remembers a row that was just read. What an Update reads is not kept: it may never commit.
func (tx *Tx) keep(t *keptTable, key []byte, r keptRow) {
	at := tx.db.kept.last(t)
	if tx.write || at > tx.base || len(r.value) > maxKeptValue {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.at > at:
		return // a later reader was here first
	case t.at < at || t.rows == nil || len(t.rows) >= maxKept:
		t.at, t.rows = at, map[string]keptRow{}
	}
	t.rows[string(key)] = r
}

// stale reports whether a View mixed kept rows with a snapshot that may be newer than they are.
func (tx *Tx) stale() bool {
	for _, u := range tx.used {
		if tx.db.kept.last(u.t) != u.at {
			return true
		}
	}
	return false
}
