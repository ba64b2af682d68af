package expression

import (
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// Predicate is a condition or filter that is ready to be asked about items. It is safe for
// concurrent use.
type Predicate struct{ b *bound }

// Predicate compiles and binds a condition or filter expression.
func (s *Scope) Predicate(kind Kind, text string) (*Predicate, error) {
	p := s.cache.program(kind, text)
	if p.err != "" {
		return nil, p.invalid(p.err)
	}
	b := s.bind(p)
	if msg := b.check(p.root); msg != "" {
		return nil, p.invalid(msg)
	}
	return &Predicate{b}, nil
}

// Match reports whether the item, nil for one that does not exist, satisfies the predicate. A nil
// Predicate is satisfied by every item.
func (p *Predicate) Match(it item.Item) bool {
	return p == nil || p.b.truth(p.b.root, it)
}

// Paths calls each with the top-level attribute of every path that the predicate reads, and
// whether the path goes deeper.
func (p *Predicate) Paths(each func(head string, nested bool)) {
	if p != nil {
		p.b.walk(p.b.root, func(n *node) {
			if n.op == opPath {
				each(p.b.elemName(n.path[0]), len(n.path) > 1)
			}
		})
	}
}

// walk visits the operands of n before n itself.
func (b *bound) walk(n *node, visit func(*node)) {
	for _, a := range n.args {
		b.walk(a, visit)
	}
	visit(n)
}

func (b *bound) truth(n *node, it item.Item) bool {
	switch n.op {
	case opAnd:
		return b.truth(n.args[0], it) && b.truth(n.args[1], it)
	case opOr:
		return b.truth(n.args[0], it) || b.truth(n.args[1], it)
	case opNot:
		return !b.truth(n.args[0], it)
	case opCall:
		return b.function(n, it)
	}
	left := b.operand(n.args[0], it)
	switch n.op {
	case opBetween:
		return ordered(opGE, left, b.operand(n.args[1], it)) && ordered(opLE, left, b.operand(n.args[2], it))
	case opIn:
		for _, a := range n.args[1:] {
			if item.Equal(left, b.operand(a, it)) {
				return true
			}
		}
		return false
	}
	right := b.operand(n.args[1], it)
	switch n.op {
	case opEQ:
		return item.Equal(left, right)
	case opNE: // true of an attribute that does not exist
		return !item.Equal(left, right)
	}
	return ordered(n.op, left, right)
}

// ordered compares two values of one ordered type; others, and absent ones, are never in order.
func ordered(o op, left, right item.Value) bool {
	c, ok := item.Compare(left, right)
	if !ok {
		return false
	}
	switch o {
	case opLT:
		return c < 0
	case opLE:
		return c <= 0
	case opGT:
		return c > 0
	}
	return c >= 0
}

func (b *bound) function(n *node, it item.Item) bool {
	v := b.operand(n.args[0], it)
	switch n.fn {
	case "attribute_exists":
		return v.Exists()
	case "attribute_not_exists":
		return !v.Exists()
	}
	x := b.operand(n.args[1], it)
	switch n.fn {
	case "attribute_type":
		return v.Exists() && v.Type().String() == x.Text()
	case "begins_with":
		return beginsWith(v, x)
	case "contains":
		return item.Contains(v, x)
	}
	return false
}

func beginsWith(v, prefix item.Value) bool {
	t := v.Type()
	return (t == item.String || t == item.Binary) && prefix.Type() == t &&
		len(v.Text()) >= len(prefix.Text()) && v.Text()[:len(prefix.Text())] == prefix.Text()
}

// operand is the value that a path, a placeholder or size() stands for; absent when there is none.
func (b *bound) operand(n *node, it item.Item) item.Value {
	switch n.op {
	case opPath:
		return b.lookup(n.path, it)
	case opValue:
		return b.valueOf[n.value]
	case opCall:
		if n.fn == "size" {
			return size(b.operand(n.args[0], it))
		}
	}
	return item.Value{}
}

// size is a string's length in bytes, a binary's length or a collection's count; other types have
// no size.
func size(v item.Value) item.Value {
	n := 0
	switch v.Type() {
	case item.String, item.Binary:
		n = len(v.Text())
	case item.List, item.StringSet, item.NumberSet, item.BinarySet:
		n = len(v.Elements())
	case item.Map:
		n = len(v.Attrs())
	default:
		return item.Value{}
	}
	return number(n)
}

func (b *bound) lookup(p path, it item.Item) item.Value {
	v := it.Get(b.elemName(p[0]))
	for _, e := range p[1:] {
		v = child(v, step{name: b.elemName(e), index: e.index, list: e.list})
	}
	return v
}

// child is what a step leads to from v, absent when v has no such part.
func child(v item.Value, s step) item.Value {
	switch {
	case s.list && v.Type() == item.List && s.index < len(v.Elements()):
		return v.Elements()[s.index]
	case !s.list && v.Type() == item.Map:
		return v.Attrs().Get(s.name)
	}
	return item.Value{}
}
