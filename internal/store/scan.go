package store

import (
	"fmt"
	"iter"
)

// Range narrows a scan. Its keys are whole keys, beginning with the scan's prefix, and bound it
// whatever the direction: From is the lowest that may come, To the first above the last. After
// excludes everything up to and including one key, in the direction of the scan. Limit 0 is none.
type Range struct {
	From, To, After Key
	Reverse         bool
	Limit           int
}

// Scan yields the rows whose keys begin with the parts of prefix, in order. The transaction may
// read and write between entries; rows written ahead of the scan may or may not be seen. After
// an error the scan ends.
func (t Table[T]) Scan(tx *Tx, prefix Key, r Range) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		s := t.cursor(tx, false, t.id.prefix, prefix, r)
		for {
			x, ok, err := s.next()
			if err != nil {
				yield(Entry[T]{}, err)
				return
			}
			if !ok {
				return
			}
			k := Key{string(x.key[len(t.id.prefix):])}
			e := Entry[T]{Key: k, Cursor: k, Version: x.version}
			if e.Value, err = t.decode(x.value, k); err != nil {
				yield(Entry[T]{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Secondary finds rows by one of their table's indexes.
type Secondary[T any] struct {
	t  Table[T]
	ix Index[T]
}

// By is the table seen through the index of that name, which must have been declared with it.
func (t Table[T]) By(index string) Secondary[T] {
	for _, ix := range t.indexes {
		if ix.Name == index {
			return Secondary[T]{t, ix}
		}
	}
	panic(fmt.Sprintf("store: %s has no index %q", t.Name(), index))
}

// Scan yields the rows whose secondary keys begin with the parts of prefix, ordered by secondary
// key and then by key. Bounds of r are secondary keys; After is an Entry.Cursor.
func (s Secondary[T]) Scan(tx *Tx, prefix Key, r Range) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		lead := s.t.entryPrefix(s.ix)
		c := s.t.cursor(tx, true, lead, prefix, r)
		for {
			x, ok, err := c.next()
			if err != nil {
				yield(Entry[T]{}, err)
				return
			}
			if !ok {
				return
			}
			k := Key{string(x.value)}
			v, version, ok, err := s.t.GetVersioned(tx, k)
			if err != nil {
				yield(Entry[T]{}, err)
				return
			}
			if !ok {
				continue // deleted by this transaction since the entry was fetched
			}
			if !yield(Entry[T]{Key: k, Value: v, Version: version, Cursor: Key{string(x.key[len(lead):])}}, nil) {
				return
			}
		}
	}
}

// Get is the first row with exactly the secondary key s, and whether there is one.
func (s Secondary[T]) Get(tx *Tx, key Key) (e Entry[T], ok bool, err error) {
	for e, err := range s.Scan(tx, key, Range{Limit: 1}) {
		return e, err == nil, err
	}
	return e, false, nil
}

// cursor walks raw rows, fetching them in growing portions: no statement stays open while the
// caller works, so that the caller may use the transaction.
type cursor struct {
	tx      *Tx
	id      tableID
	ix      bool
	lo, hi  []byte
	reverse bool
	left    int // rows still wanted; -1 for all
	portion int
	buf     []row
	at      int
	done    bool
	set     *scanRead
	err     error
}

func (t Table[T]) cursor(tx *Tx, ix bool, lead string, prefix Key, r Range) *cursor {
	c := &cursor{tx: tx, id: t.id, ix: ix, reverse: r.Reverse, left: r.Limit, portion: 16}
	if c.left <= 0 {
		c.left = -1
	}
	c.lo = []byte(lead + prefix.s)
	c.hi = successor(c.lo)
	bound := func(k Key) []byte { return append([]byte(lead), k.s...) }
	if lo := bound(r.From); r.From.s != "" && string(lo) > string(c.lo) {
		c.lo = lo
	}
	if hi := bound(r.To); r.To.s != "" && string(hi) < string(c.hi) {
		c.hi = hi
	}
	if r.After.s != "" {
		c.behind(bound(r.After))
	}
	if c.err = tx.enter(t.id, false); c.err == nil {
		c.set = tx.sawScan(t.id.prefix, ix, c.lo, c.hi, r.Reverse)
	}
	return c
}

// behind narrows the cursor to what follows key in its direction.
func (c *cursor) behind(key []byte) {
	if c.reverse {
		if string(key) < string(c.hi) {
			c.hi = key
		}
		return
	}
	if after := append(append([]byte(nil), key...), 0); string(after) > string(c.lo) {
		c.lo = after
	}
}

func (c *cursor) next() (row, bool, error) {
	if c.err != nil {
		return row{}, false, c.err
	}
	if c.at == len(c.buf) && !c.done {
		c.fetch()
		if c.err != nil {
			return row{}, false, c.err
		}
	}
	if c.at == len(c.buf) {
		return row{}, false, nil
	}
	x := c.buf[c.at]
	c.at++
	c.set.add(x)
	return x, true, nil
}

func (c *cursor) fetch() {
	n := c.portion
	if c.left >= 0 && c.left < n {
		n = c.left
	}
	if n == 0 || string(c.lo) >= string(c.hi) {
		c.done = true
		if n > 0 {
			c.set.ended()
		}
		return
	}
	if c.err = c.tx.enter(c.id, false); c.err != nil {
		return
	}
	var err error
	c.buf, err = c.tx.scan(c.buf[:0], c.ix, c.lo, c.hi, c.reverse, n)
	c.at = 0
	if err != nil {
		c.err = c.tx.fail(fmt.Errorf("store: scan %s/%s: %w", c.id.space, c.id.name, err))
		return
	}
	if c.left > 0 {
		c.left -= len(c.buf)
	}
	if len(c.buf) < n {
		c.done = true
		c.set.endsAfter(c.buf)
		return
	}
	c.behind(c.buf[len(c.buf)-1].key)
	c.portion = min(2*c.portion, 256)
}
