package expression

import (
	"sort"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// Selection is a projection: which parts of an item are wanted. It is safe for concurrent use.
type Selection struct {
	root  *branch
	paths [][]step
}

// branch is a part of an item that is wanted: all of it when it has no branches of its own.
type branch struct {
	step step
	kids []*branch
}

// Selection compiles and binds a projection expression.
func (s *Scope) Selection(text string) (*Selection, error) {
	p := s.cache.program(Projection, text)
	if p.err != "" {
		return nil, p.invalid(p.err)
	}
	b := s.bind(p)
	paths := make([][]step, len(p.paths))
	for i := range p.paths {
		if msg := b.undefinedName(p.paths[i]); msg != "" {
			return nil, p.invalid(msg)
		}
		paths[i] = b.resolve(p.paths[i])
	}
	if msg := overlaps(paths); msg != "" {
		return nil, p.invalid(msg)
	}
	return newSelection(paths), nil
}

// Attributes is the selection of whole attributes.
func Attributes(names ...string) *Selection {
	paths := make([][]step, len(names))
	for i, n := range names {
		paths[i] = []step{{name: n}}
	}
	return newSelection(paths)
}

func newSelection(paths [][]step) *Selection {
	root := &branch{}
	for _, p := range paths {
		at := root
		for _, s := range p {
			at = at.grow(s)
		}
	}
	root.sort()
	return &Selection{root: root, paths: paths}
}

func (b *branch) grow(s step) *branch {
	for _, k := range b.kids {
		if k.step == s {
			return k
		}
	}
	k := &branch{step: s}
	b.kids = append(b.kids, k)
	return k
}

// sort puts list elements in the list's order, whatever the order in which they were asked for.
func (b *branch) sort() {
	sort.SliceStable(b.kids, func(i, j int) bool { return b.kids[i].step.index < b.kids[j].step.index })
	for _, k := range b.kids {
		k.sort()
	}
}

// Heads are the top-level attributes that the selection reads, in the order of the expression.
func (s *Selection) Heads() []string {
	out := make([]string, 0, len(s.paths))
	for _, p := range s.paths {
		out, _ = index(out, p[0].name)
	}
	return out
}

// Of is the selected part of the item; a nil Selection selects all of it.
func (s *Selection) Of(it item.Item) item.Item {
	if s == nil {
		return it
	}
	out := make([]item.Attr, 0, len(s.root.kids))
	for _, k := range s.root.kids {
		if v := k.of(it.Get(k.step.name)); v.Exists() {
			out = append(out, item.Attr{Name: k.step.name, Value: v})
		}
	}
	return item.Of(out...)
}

func (b *branch) of(v item.Value) item.Value {
	if len(b.kids) == 0 || !v.Exists() {
		return v
	}
	var attrs []item.Attr
	var elems []item.Value
	for _, k := range b.kids {
		got := k.of(child(v, k.step))
		switch {
		case !got.Exists():
		case k.step.list:
			elems = append(elems, got)
		default:
			attrs = append(attrs, item.Attr{Name: k.step.name, Value: got})
		}
	}
	switch {
	case attrs != nil:
		return item.M(item.Of(attrs...))
	case elems != nil:
		return item.L(elems...)
	}
	return item.Value{}
}
