package store

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Table is a typed table: rows of T under ordered keys. It is a description, declared once as a
// package variable; the rows are reached through a transaction.
//
// Values are kept as JSON, unless T is []byte (kept as it is) or T implements
// encoding.BinaryAppender and *T encoding.BinaryUnmarshaler.
type Table[T any] struct {
	id      tableID
	codec   codec
	indexes []Index[T]
}

// Index gives rows secondary keys, by which Table.By finds them. Keys must be a pure function of
// the row; a row may have none or several. In a Unique index a key belongs to at most one row.
type Index[T any] struct {
	Name   string
	Unique bool
	Keys   func(T) []Key
}

// Entry is a row as a scan yields it.
type Entry[T any] struct {
	Key     Key
	Value   T
	Version int64
	// Cursor continues a scan behind this entry, as Range.After. In a scan of the table it is Key.
	Cursor Key
}

type codec int

const (
	codecJSON codec = iota
	codecRaw
	codecBinary
)

// NewTable describes a table of space, which is the name of the service that it belongs to.
func NewTable[T any](space, name string, indexes ...Index[T]) Table[T] {
	if space == "" || name == "" || strings.ContainsRune(space+name, 0) {
		panic(fmt.Sprintf("store: %q/%q cannot name a table", space, name))
	}
	t := Table[T]{id: tableID{space: space, name: name, prefix: space + "\x00" + name + "\x00"}, indexes: indexes}
	var zero T
	_, appends := any(zero).(encoding.BinaryAppender)
	_, reads := any(&zero).(encoding.BinaryUnmarshaler)
	_, raw := any(zero).([]byte)
	switch {
	case raw:
		t.codec = codecRaw
	case appends && reads:
		t.codec = codecBinary
	}
	for i, ix := range indexes {
		if ix.Name == "" || ix.Keys == nil || slices.ContainsFunc(indexes[:i], func(o Index[T]) bool { return o.Name == ix.Name }) {
			panic(fmt.Sprintf("store: index %q of %s/%s has no name of its own or no keys", ix.Name, space, name))
		}
	}
	return t
}

// UseReserve is the table with the right to write into the disk reserve, for rows that a delete
// cannot do without, such as its audit record.
func (t Table[T]) UseReserve() Table[T] { t.id.reserve = true; return t }

// Keep is the table with the rows last read of it kept in memory while nobody writes to them.
func (t Table[T]) Keep() Table[T] { t.id.keep = true; return t }

// Name is "space/table".
func (t Table[T]) Name() string { return t.id.space + "/" + t.id.name }

// Get is the row under k, and whether there is one.
func (t Table[T]) Get(tx *Tx, k Key) (T, bool, error) {
	v, _, ok, err := t.GetVersioned(tx, k)
	return v, ok, err
}

// GetVersioned is Get with the row's version, which grows with every Put; 0 without a row.
func (t Table[T]) GetVersioned(tx *Tx, k Key) (v T, version int64, ok bool, err error) {
	raw, version, ok, err := t.read(tx, k)
	if err != nil || !ok {
		return v, 0, false, err
	}
	v, err = t.decode(raw, k)
	return v, version, err == nil, err
}

// Has reports whether there is a row under k.
func (t Table[T]) Has(tx *Tx, k Key) (bool, error) {
	_, _, ok, err := t.read(tx, k)
	return ok, err
}

func (t Table[T]) read(tx *Tx, k Key) ([]byte, int64, bool, error) {
	if err := tx.enter(t.id, false); err != nil {
		return nil, 0, false, err
	}
	key := t.rowKey(k)
	if t.id.keep {
		if r := tx.recall(key); r != nil {
			tx.sawPoint(t.id.prefix, key, r.version)
			return t.own(r.value), r.version, true, nil
		}
	}
	raw, version, ok, err := tx.get(false, key)
	if err != nil {
		return nil, 0, false, tx.fail(fmt.Errorf("store: get %s: %w", t.Name(), err))
	}
	if t.id.keep && ok {
		tx.keep(key, t.own(raw), version)
	}
	tx.sawPoint(t.id.prefix, key, version)
	return raw, version, ok, nil
}

// own is a value that may be changed without the other: decoding copies, but for raw bytes.
func (t Table[T]) own(raw []byte) []byte {
	if t.codec == codecRaw {
		return bytes.Clone(raw)
	}
	return raw
}

// Put writes the row under k, replacing one that is there. Errors: *ConflictError, *TooLargeError,
// *ReserveError; the transaction may go on after these.
func (t Table[T]) Put(tx *Tx, k Key, v T) error {
	if err := tx.enter(t.id, true); err != nil {
		return err
	}
	raw, err := t.encode(v)
	if err != nil {
		return fmt.Errorf("store: encode %s: %w", t.Name(), err)
	}
	opt := &tx.db.opt
	switch {
	case len(raw) > opt.MaxValue:
		return &TooLargeError{What: "value", Size: len(raw), Max: opt.MaxValue}
	case len(k.s) > opt.MaxKey || len(k.s) == 0:
		return &TooLargeError{What: "key", Size: len(k.s), Max: opt.MaxKey}
	}
	if err := tx.db.space.admit(len(raw)+len(k.s), t.id.reserve); err != nil {
		return err
	}
	key := t.rowKey(k)
	if len(t.indexes) > 0 {
		if err := t.reindex(tx, k, key, &v); err != nil {
			return err
		}
	}
	version := tx.NextSeq()
	tx.wrote(t.id, key, version)
	if err := tx.c.put(key, version, raw); err != nil {
		return tx.fail(fmt.Errorf("store: put %s: %w", t.Name(), err))
	}
	return nil
}

// Delete removes the row under k and reports whether there was one.
func (t Table[T]) Delete(tx *Tx, k Key) (bool, error) {
	if err := tx.enter(t.id, true); err != nil {
		return false, err
	}
	key := t.rowKey(k)
	if len(t.indexes) > 0 {
		if err := t.reindex(tx, k, key, nil); err != nil {
			return false, err
		}
	}
	ok, err := tx.c.delete(key)
	if err != nil {
		return false, tx.fail(fmt.Errorf("store: delete %s: %w", t.Name(), err))
	}
	if ok {
		tx.wrote(t.id, key, tx.NextSeq())
	}
	return ok, nil
}

// reindex moves the secondary entries of the row under key from those of its stored value to
// those of v, nil for a row that goes.
func (t Table[T]) reindex(tx *Tx, k Key, key []byte, v *T) error {
	raw, _, ok, err := tx.get(false, key)
	if err != nil {
		return tx.fail(fmt.Errorf("store: index %s: %w", t.Name(), err))
	}
	var old T
	if ok {
		if old, err = t.decode(raw, k); err != nil {
			return tx.fail(err)
		}
	}
	var drop, add [][]byte
	for _, ix := range t.indexes {
		var was, is []Key
		if ok {
			was = ix.Keys(old)
		}
		if v != nil {
			is = ix.Keys(*v)
		}
		for _, s := range was {
			if !slices.Contains(is, s) {
				drop = append(drop, t.entryKey(ix, s, k))
			}
		}
		for _, s := range is {
			e := t.entryKey(ix, s, k)
			if len(s.s) > tx.db.opt.MaxKey {
				return &TooLargeError{What: "key", Size: len(s.s), Max: tx.db.opt.MaxKey}
			}
			if slices.Contains(was, s) {
				continue
			}
			if ix.Unique {
				owner, _, taken, err := tx.get(true, e)
				if err != nil {
					return tx.fail(fmt.Errorf("store: index %s: %w", t.Name(), err))
				}
				if taken && string(owner) != k.s {
					return &ConflictError{Space: t.id.space, Table: t.id.name, Index: ix.Name}
				}
			}
			add = append(add, e)
		}
	}
	for _, e := range drop {
		if err := tx.c.ixDelete(e); err != nil {
			return tx.fail(fmt.Errorf("store: index %s: %w", t.Name(), err))
		}
	}
	for _, e := range add {
		if err := tx.c.ixPut(e, []byte(k.s)); err != nil {
			return tx.fail(fmt.Errorf("store: index %s: %w", t.Name(), err))
		}
	}
	return nil
}

func (t Table[T]) rowKey(k Key) []byte {
	return append(append(make([]byte, 0, len(t.id.prefix)+len(k.s)), t.id.prefix...), k.s...)
}

func (t Table[T]) entryPrefix(ix Index[T]) string { return t.id.prefix + ix.Name + "\x00" }

// entryKey is where the secondary key s of row k stands; in an index that is not unique the row's
// own key follows.
func (t Table[T]) entryKey(ix Index[T], s, k Key) []byte {
	b := append([]byte(t.entryPrefix(ix)), s.s...)
	if !ix.Unique {
		b = append(b, k.s...)
	}
	return b
}

func (t Table[T]) encode(v T) ([]byte, error) {
	switch t.codec {
	case codecRaw:
		return any(v).([]byte), nil
	case codecBinary:
		return any(v).(encoding.BinaryAppender).AppendBinary(nil)
	}
	return json.Marshal(v)
}

func (t Table[T]) decode(raw []byte, k Key) (v T, err error) {
	switch t.codec {
	case codecRaw:
		*any(&v).(*[]byte) = raw
	case codecBinary:
		err = any(&v).(encoding.BinaryUnmarshaler).UnmarshalBinary(raw)
	default:
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		return v, fmt.Errorf("store: decode %s %s: %w", t.Name(), k, err)
	}
	return v, nil
}
