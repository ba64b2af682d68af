package dynamodb

import (
	"strconv"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
)

type action int

const (
	put action = iota
	update
	remove
	check // a condition alone, of a transaction
)

// write is one item to be written, parsed and checked as far as that can be done without its table.
type write struct {
	ref    ref
	action action
	item   item.Item // put: the whole item; otherwise the key
	cond   *expression.Predicate
	change *expression.Change
	// needOld asks for the item as it was even where nothing else needs it.
	needOld bool
	// showOld adds the item to the error when the condition fails.
	showOld bool
}

// outcome is what a write did.
type outcome struct {
	table    *table
	old, new item.Item // nil where there was or is none
	indexes  map[string]int
}

func conditionFailed(old item.Item) error {
	err := awserr.New("ConditionalCheckFailedException", 400, "The conditional request failed")
	if old != nil {
		err.Fields = map[string]any{"Item": raw(old)}
	}
	return err
}

// apply does one write in tx. An error leaves rows as they were.
func (s *Service) apply(tx *store.Tx, w *write) (*outcome, error) {
	t, ok, err := s.table(tx, w.ref)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound()
	}
	if err := w.checkTable(t); err != nil {
		return nil, err
	}
	out := &outcome{table: t}
	key := t.itemKey(w.item)
	if w.action == update || w.action == check || w.cond != nil || w.needOld || len(t.Indexes) > 0 || t.TTL != "" {
		if out.old, err = s.stored(tx, key); err != nil {
			return nil, err
		}
	}
	if !w.cond.Match(out.old) {
		if w.showOld {
			return nil, conditionFailed(out.old)
		}
		return nil, conditionFailed(nil)
	}
	switch w.action {
	case check:
		out.new = out.old
		return out, nil
	case put:
		out.new = w.item
	case update:
		if out.new, err = w.updated(t, out.old); err != nil {
			return nil, err
		}
	}
	return out, s.replace(tx, key, out)
}

func (w *write) checkTable(t *table) error {
	if w.action == put {
		if err := t.checkItem(w.item); err != nil {
			return err
		}
	} else if err := t.checkKey(w.item); err != nil {
		return err
	}
	if err := t.checkChange(w.change); err != nil {
		return err
	}
	return t.checkPredicate(w.cond)
}

// updated is the item after the update; one that does not exist begins as its key.
func (w *write) updated(t *table, old item.Item) (item.Item, error) {
	before := old
	if before == nil {
		before = w.item
	}
	after, err := w.change.Apply(before)
	if err != nil {
		return nil, err
	}
	if err := t.checkIndexKeys(after); err != nil {
		return nil, err
	}
	if after.Size() > item.MaxSize {
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	return after, nil
}

// replace brings the item's row and those of the indexes from out.old to out.new.
func (s *Service) replace(tx *store.Tx, key store.Key, out *outcome) error {
	t := out.table
	for i := range t.Indexes {
		if err := s.reindex(tx, &t.Indexes[i], out); err != nil {
			return err
		}
	}
	if t.TTL != "" {
		if err := s.reschedule(tx, out); err != nil {
			return err
		}
	}
	if out.new == nil {
		_, err := s.t.items.Delete(tx, key)
		return err
	}
	return s.t.items.Put(tx, key, out.new.AppendBinary(make([]byte, 0, 512)))
}

// reindex brings one index from the old item to the new one.
func (s *Service) reindex(tx *store.Tx, ix *index, out *outcome) error {
	t := out.table
	was, is := ix.holds(out.old), ix.holds(out.new)
	var before, after item.Item
	var oldKey, newKey store.Key
	if was {
		before, oldKey = t.project(ix, out.old), t.indexKey(ix, out.old)
	}
	if is {
		after, newKey = t.project(ix, out.new), t.indexKey(ix, out.new)
	}
	if was && is && oldKey == newKey && item.EqualItems(before, after) {
		return nil
	}
	out.charge(ix, was, is, oldKey == newKey, before, after)
	if was && (!is || oldKey != newKey) {
		if _, err := s.t.items.Delete(tx, oldKey); err != nil {
			return err
		}
	}
	if !is {
		return nil
	}
	return s.t.items.Put(tx, newKey, after.AppendBinary(nil))
}

// charge notes the write units of one index: moving an entry costs a delete and a put.
func (o *outcome) charge(ix *index, was, is, same bool, before, after item.Item) {
	units := 0
	switch {
	case was && is && same:
		units = max(writeUnits(before.Size()), writeUnits(after.Size()))
	default:
		if was {
			units += writeUnits(before.Size())
		}
		if is {
			units += writeUnits(after.Size())
		}
	}
	if o.indexes == nil {
		o.indexes = map[string]int{}
	}
	o.indexes[ix.Name] += units
}

// expiry is when the item expires, in seconds since 1970, if its attribute says so in a number.
func (t *table) expiry(it item.Item) (int64, bool) {
	v := it.Get(t.TTL)
	if t.TTL == "" || v.Type() != item.Number {
		return 0, false
	}
	at, err := strconv.ParseFloat(v.Text(), 64)
	if err != nil || at <= 0 || at > float64(1<<53) {
		return 0, false
	}
	return int64(at), true
}

// reschedule keeps the index of TTL in step with the item.
func (s *Service) reschedule(tx *store.Tx, out *outcome) error {
	t := out.table
	was, had := t.expiry(out.old)
	is, has := t.expiry(out.new)
	if had && has && was == is {
		return nil
	}
	if had {
		if _, err := s.t.items.Delete(tx, t.expiryKey(was, out.old)); err != nil {
			return err
		}
	}
	if has {
		return s.t.items.Put(tx, t.expiryKey(is, out.new), []byte{})
	}
	return nil
}
