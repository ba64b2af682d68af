package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// ReadSet is what a transaction read: rows with their versions, absences, and scans. A decision
// taken in a View stays right as long as an Update finds its ReadSet unchanged:
//
//	db.View(ctx, scope, func(tx *store.Tx) error { rs = tx.Record(); …read… })
//	db.Update(ctx, scope, func(tx *store.Tx) error { ok, err := tx.Unchanged(rs); … })
//
// It is used by one goroutine at a time.
type ReadSet struct {
	base   int64 // the recording transaction saw every version up to here
	points []pointRead
	scans  []*scanRead
	tables []string
}

type pointRead struct {
	key     string
	version int64
}

// scanRead is a range that was walked: the entries seen, as a count and a digest of their keys and
// versions, and whether the walk reached the range's end.
type scanRead struct {
	ix, reverse bool
	lo, hi      []byte
	n           int
	sum         hash.Hash
	atEnd       int // the number of entries seen at which the walk is complete; -1 if unknown
}

// Record begins to record everything that the transaction reads from here on.
func (tx *Tx) Record() *ReadSet {
	rs := &ReadSet{base: tx.base}
	tx.sets = append(tx.sets, rs)
	return rs
}

// Len is the number of reads recorded.
func (rs *ReadSet) Len() int { return len(rs.points) + len(rs.scans) }

// Unchanged reports whether reading everything in rs again, in this Update, would give what it
// gave then. It looks at each row only if something was written to its table in the meantime.
func (tx *Tx) Unchanged(rs *ReadSet) (bool, error) {
	switch {
	case tx.done:
		return false, ErrDone
	case !tx.write:
		return false, ErrReadOnly
	case tx.err != nil:
		return false, tx.err
	}
	same := tx.db.w.cleared <= rs.base
	for _, t := range rs.tables {
		if tx.db.w.tables[t] > rs.base {
			same = false
		}
	}
	if same {
		return true, nil
	}
	for _, p := range rs.points {
		_, version, _, err := tx.get(false, []byte(p.key))
		if err != nil {
			return false, tx.fail(fmt.Errorf("store: read set: %w", err))
		}
		if version != p.version {
			return false, nil
		}
	}
	for _, s := range rs.scans {
		if ok, err := s.same(tx); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (s *scanRead) same(tx *Tx) (bool, error) {
	again := &scanRead{sum: sha256.New(), atEnd: -1}
	lo, hi := s.lo, s.hi
	want := s.n
	if s.atEnd == s.n {
		want++ // one more than there was would be a change
	}
	for again.n < want && string(lo) < string(hi) {
		n := min(256, want-again.n)
		rows, err := tx.scan(nil, s.ix, lo, hi, s.reverse, n)
		if err != nil {
			return false, tx.fail(fmt.Errorf("store: read set: %w", err))
		}
		for _, x := range rows {
			again.add(x)
		}
		if len(rows) < n {
			break
		}
		if last := rows[n-1].key; s.reverse {
			hi = last
		} else {
			lo = append(append([]byte(nil), last...), 0)
		}
	}
	return again.n == s.n && string(again.sum.Sum(nil)) == string(s.sum.Sum(nil)), nil
}

func (tx *Tx) sawPoint(table string, key []byte, version int64) {
	for _, rs := range tx.sets {
		rs.points = append(rs.points, pointRead{string(key), version})
		rs.table(table)
	}
}

// sawScan records a walk over [lo, hi) in every open set; nil if there is none. One record serves
// all, for the walk is the same.
func (tx *Tx) sawScan(table string, ix bool, lo, hi []byte, reverse bool) *scanRead {
	if len(tx.sets) == 0 {
		return nil
	}
	s := &scanRead{ix: ix, reverse: reverse, lo: lo, hi: hi, sum: sha256.New(), atEnd: -1}
	for _, rs := range tx.sets {
		rs.scans = append(rs.scans, s)
		rs.table(table)
	}
	return s
}

func (rs *ReadSet) table(prefix string) {
	for _, t := range rs.tables {
		if t == prefix {
			return
		}
	}
	rs.tables = append(rs.tables, prefix)
}

// add notes an entry that the walk handed out.
func (s *scanRead) add(x row) {
	if s == nil {
		return
	}
	s.n++
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(len(x.key)))
	binary.BigEndian.PutUint64(b[8:], uint64(x.version))
	s.sum.Write(b[:])
	s.sum.Write(x.key)
	if s.ix {
		s.sum.Write(x.value) // the row's key; its version is recorded as a point
	}
}

// endsAfter notes that the range holds nothing behind rows, which are about to be handed out.
func (s *scanRead) endsAfter(rows []row) {
	if s != nil {
		s.atEnd = s.n + len(rows)
	}
}

func (s *scanRead) ended() { s.endsAfter(nil) }
