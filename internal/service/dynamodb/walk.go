package dynamodb

import (
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// pageSize is how much a Query or Scan reads before it answers, in bytes of item size.
const pageSize = 1 << 20

// walk is a range of rows of a table or index, to be read in order.
type walk struct {
	*listing
	table *table
	index *index // nil for the table itself
	key   keySchema

	prefix, from, to, after store.Key
	reverse                 bool
	// whole: rows of the index lack attributes that are asked for, so items are read from the table.
	whole bool
}

// page is what one Query or Scan answers.
type page struct {
	items          wire.RawJSON // nil for COUNT
	count, scanned int32
	last           item.Item // LastEvaluatedKey
	spent          *spent
}

// beginWalk checks a listing against its table and index.
func (s *Service) beginWalk(tx *store.Tx, l *listing) (*walk, error) {
	t, ok, err := s.table(tx, l.ref)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound()
	}
	w := &walk{listing: l, table: t, key: t.Key, prefix: t.rows(0)}
	if l.index != "" {
		if w.index, ok = t.index(l.index); !ok {
			return nil, invalid("The table does not have the specified index: %s", l.index)
		}
		if t.filling(w.index.N) {
			return nil, invalid("Cannot read from backfilling global secondary index: %s", l.index)
		}
		w.key, w.prefix = w.index.Key, t.rows(w.index.N)
		if err := w.checkIndex(); err != nil {
			return nil, err
		}
	}
	if err := t.checkPredicate(l.filter); err != nil {
		return nil, err
	}
	return w, w.resume()
}

// checkIndex finds what an index cannot give: a global one only what it projects, a local one
// anything, from the table.
func (w *walk) checkIndex() error {
	ix := w.index
	missing := ""
	note := func(name string) {
		if missing == "" && !w.table.projects(ix, name) {
			missing = name
		}
	}
	if w.selection != nil {
		for _, name := range w.selection.Heads() {
			note(name)
		}
	}
	w.filter.Paths(func(head string, _ bool) {
		if ix.Local {
			note(head)
		}
	})
	all := w.sel == "ALL_ATTRIBUTES" && ix.Projection != "ALL"
	if ix.Local {
		w.whole = missing != "" || all
		return nil
	}
	switch {
	case w.consistent:
		return invalid("Consistent reads are not supported on global secondary indexes")
	case all:
		return invalid(invalidParam+"Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", ix.Name)
	case missing != "":
		return invalid(invalidParam+"Global secondary index %s does not project [%s]", ix.Name, missing)
	}
	return nil
}

// resume takes up the walk behind ExclusiveStartKey, which must hold exactly the keys.
func (w *walk) resume() error {
	if w.start == nil {
		return nil
	}
	names := w.table.Key.names()
	for _, n := range w.key.names() {
		if !w.table.Key.has(n) {
			names = append(names, n)
		}
	}
	for _, n := range names {
		if w.start.Get(n).Type() != w.table.typeOf(n) {
			return invalid("The provided starting key is invalid")
		}
	}
	if len(w.start) != len(names) {
		return invalid("The provided starting key is invalid")
	}
	w.after = w.rowKey(w.start)
	return nil
}

func (w *walk) rowKey(it item.Item) store.Key {
	if w.index != nil {
		return w.table.indexKey(w.index, it)
	}
	return w.table.itemKey(it)
}

// bounds narrows the walk to one partition and a condition on the sort key.
func (w *walk) bounds(partition []byte, sort *expression.KeyTest) {
	begin := func(v item.Value) store.Key {
		return w.prefix.Begin(string(item.AppendKey(append([]byte(nil), partition...), v)))
	}
	whole := w.prefix.Begin(string(partition))
	rows := w.prefix
	w.prefix = whole
	if sort == nil {
		return
	}
	w.prefix = rows
	switch sort.Operator {
	case "EQ":
		w.prefix = begin(sort.Values[0])
	case "LT":
		w.to = begin(sort.Values[0])
	case "LE":
		w.to = begin(sort.Values[0]).End()
	case "GT":
		w.from = begin(sort.Values[0]).End()
	case "GE":
		w.from = begin(sort.Values[0])
	case "BETWEEN":
		w.from, w.to = begin(sort.Values[0]), begin(sort.Values[1]).End()
	case "BEGINS_WITH":
		w.prefix = rows.Begin(string(item.AppendKeyPrefix(append([]byte(nil), partition...), sort.Values[0].Text())))
	}
	if sort.Operator != "EQ" && sort.Operator != "BEGINS_WITH" {
		w.prefix = whole
	}
}

// walk reads one page.
func (s *Service) walk(tx *store.Tx, w *walk) (*page, error) {
	p := &page{spent: &spent{table: w.table}}
	var out []byte
	if w.sel != "COUNT" {
		out = append(make([]byte, 0, 4096), '[')
	}
	size, extra := 0, 0.0
	for e, err := range s.t.items.Scan(tx, w.prefix, store.Range{From: w.from, To: w.to, After: w.after, Reverse: w.reverse}) {
		if err != nil {
			return nil, err
		}
		it, err := item.FromBinary(e.Value)
		if err != nil {
			return nil, err
		}
		row := it
		size += it.Size()
		if w.whole {
			if it, err = s.stored(tx, w.table.itemKey(row)); err != nil {
				return nil, err
			}
			extra += readUnits(it.Size(), w.consistent)
		}
		p.scanned++
		if w.filter.Match(it) {
			p.count++
			if out != nil {
				if len(out) > 1 {
					out = append(out, ',')
				}
				out = w.selection.Of(it).AppendJSON(out)
			}
		}
		if (w.limit > 0 && int(p.scanned) >= w.limit) || size >= pageSize {
			p.last = w.keyOf(row)
			break
		}
	}
	if out != nil {
		p.items = append(out, ']')
	}
	w.charge(p, size, extra)
	return p, nil
}

// keyOf is the LastEvaluatedKey of a row: the table's keys and the index's.
func (w *walk) keyOf(it item.Item) item.Item {
	return it.Pick(append(w.table.Key.names(), w.key.names()...)...)
}

func (w *walk) charge(p *page, size int, extra float64) {
	units := readUnits(size, w.consistent)
	if p.scanned == 0 {
		units = readUnits(0, w.consistent)
	}
	p.spent.read = units + extra
	p.spent.base = extra
	if w.index == nil {
		p.spent.base = units
		return
	}
	p.spent.onIndex(w.index.Name, units)
}
