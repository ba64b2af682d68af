package expression

import (
	"sort"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// Change is an update expression that is ready to be applied to items. It is safe for concurrent
// use.
type Change struct {
	b      *bound
	root   *edit
	paths  [][]step
	legacy bool // from AttributeUpdates, which words a wrong type differently
}

// edit is a place that the update reaches: an action at a leaf, more places below otherwise.
type edit struct {
	step step
	act  *action
	kids []*edit
}

// Change compiles and binds an update expression.
func (s *Scope) Change(text string) (*Change, error) {
	p := s.cache.program(Update, text)
	if p.err != "" {
		return nil, p.invalid(p.err)
	}
	c := &Change{b: s.bind(p)}
	if msg := c.check(); msg != "" {
		return nil, p.invalid(msg)
	}
	c.plant()
	return c, nil
}

// plant arranges the actions as a tree of places; paths do not overlap, so that each has its own.
func (c *Change) plant() {
	c.root = &edit{}
	for i := range c.paths {
		at := c.root
		for _, s := range c.paths[i] {
			at = at.grow(s)
		}
		at.act = &c.b.actions[i]
	}
	c.root.sort()
}

func (e *edit) grow(s step) *edit {
	for _, k := range e.kids {
		if k.step == s {
			return k
		}
	}
	k := &edit{step: s}
	e.kids = append(e.kids, k)
	return k
}

func (e *edit) sort() {
	sort.SliceStable(e.kids, func(i, j int) bool { return e.kids[i].step.index < e.kids[j].step.index })
	for _, k := range e.kids {
		k.sort()
	}
}

// check reports undefined names, then undefined values, paths that overlap, operands of ADD and
// DELETE, and last operands of functions.
func (c *Change) check() string {
	b := c.b
	for i := range b.names {
		if b.nameOf[i] == "" {
			return b.undefinedName(path{{ref: i}})
		}
	}
	for i := range b.values {
		if msg := b.undefinedValue(i); msg != "" {
			return msg
		}
	}
	for _, a := range b.actions {
		c.paths = append(c.paths, b.resolve(a.path))
	}
	if msg := overlaps(c.paths); msg != "" {
		return msg
	}
	for _, a := range b.actions {
		if a.verb == add || a.verb == del {
			t := b.valueOf[a.value.value].Type()
			if !t.IsSet() && (a.verb != add || t != item.Number) {
				return "Incorrect operand type for operator or function; operator: " + verbText[a.verb] + ", operand type: " + t.LongName()
			}
		}
	}
	msg := ""
	for _, a := range b.actions {
		if a.verb == set {
			b.walk(a.value, func(n *node) {
				if msg == "" {
					msg = b.checkUpdate(n)
				}
			})
		}
	}
	return msg
}

func (b *bound) checkUpdate(n *node) string {
	if msg := b.counted(n); msg != "" {
		return msg
	}
	switch {
	case n.fn == "if_not_exists":
		if n.args[0].op != opPath {
			return "Operator or function requires a document path; operator or function: " + n.fn
		}
	case n.fn == "list_append":
		return b.constants(n, n.fn, item.List)
	case n.op == opPlus || n.op == opMinus:
		return b.constants(n, opText[n.op], item.Number)
	}
	return ""
}

// constants refuses operands whose type is known and is not want.
func (b *bound) constants(n *node, function string, want item.Type) string {
	for _, a := range n.args {
		if a.op == opValue && b.valueOf[a.value].Type() != want {
			return wrongType(function, b.valueOf[a.value].Type().String())
		}
	}
	return ""
}

// Paths calls each for every path of the expression, the targets first: its top-level attribute,
// whether the path goes deeper, and whether it is a target.
func (c *Change) Paths(each func(head string, nested, target bool)) {
	if c == nil {
		return
	}
	for _, p := range c.paths {
		each(p[0].name, len(p) > 1, true)
	}
	for _, a := range c.b.actions {
		if a.value != nil {
			c.b.walk(a.value, func(n *node) {
				if n.op == opPath {
					each(c.b.elemName(n.path[0]), len(n.path) > 1, false)
				}
			})
		}
	}
}

// Touched is the selection of what the update writes, for UPDATED_OLD and UPDATED_NEW.
func (c *Change) Touched() *Selection { return newSelection(c.paths) }

const (
	errNoSuchPath = "The document path provided in the update expression is invalid for update"
	errMissing    = "The provided expression refers to an attribute that does not exist in the item"
	errOperand    = "An operand in the update expression has an incorrect data type"
	errDepth      = "Nesting Levels have exceeded supported limits"
)

// Apply is the item after the update. All values are read from the item as it was; the item itself
// is not changed. A nil Change leaves the item as it is.
func (c *Change) Apply(it item.Item) (item.Item, error) {
	if c == nil {
		return it, nil
	}
	values := make(map[*action]item.Value, len(c.b.actions))
	for i := range c.b.actions {
		a := &c.b.actions[i]
		if a.verb != set {
			continue
		}
		v, msg := c.b.evaluate(a.value, it)
		if msg != "" {
			return nil, Invalid("%s", msg)
		}
		values[a] = v
	}
	r := run{b: c.b, values: values}
	changes := make(item.Item, 0, len(c.root.kids))
	for _, k := range c.root.kids {
		v, msg := r.apply(k, it.Get(k.step.name))
		if msg == "" && v.Depth() > item.MaxDepth {
			msg = errDepth
		}
		if msg == errOperand && c.legacy {
			msg = "Type mismatch for attribute to update"
		}
		if msg != "" {
			return nil, Invalid("%s", msg)
		}
		changes = append(changes, item.Attr{Name: k.step.name, Value: v})
	}
	return it.Merge(changes), nil
}

// evaluate is the value of the right-hand side of a SET.
func (b *bound) evaluate(n *node, it item.Item) (item.Value, string) {
	switch n.op {
	case opValue:
		return b.valueOf[n.value], ""
	case opPath:
		v := b.lookup(n.path, it)
		if !v.Exists() {
			return v, errMissing
		}
		return v, ""
	}
	if n.fn == "if_not_exists" {
		if v := b.lookup(n.args[0].path, it); v.Exists() {
			return v, ""
		}
		return b.evaluate(n.args[1], it)
	}
	left, msg := b.evaluate(n.args[0], it)
	if msg != "" {
		return left, msg
	}
	right, msg := b.evaluate(n.args[1], it)
	if msg != "" {
		return right, msg
	}
	want := item.Number
	if n.op == opCall {
		want = item.List
	}
	if left.Type() != want || right.Type() != want {
		return item.Value{}, errOperand
	}
	return combine(n.op, left, right)
}

func combine(o op, left, right item.Value) (item.Value, string) {
	var v item.Value
	switch o {
	case opPlus:
		v = item.Add(left, right)
	case opMinus:
		v = item.Sub(left, right)
	default:
		all := make([]item.Value, 0, len(left.Elements())+len(right.Elements()))
		v = item.L(append(append(all, left.Elements()...), right.Elements()...)...)
	}
	return v, v.Err()
}

// run is one application of a change.
type run struct {
	b      *bound
	values map[*action]item.Value
}

// apply is what stands at e's place afterwards, where old stood before; absent to remove it.
func (r run) apply(e *edit, old item.Value) (item.Value, string) {
	switch {
	case e.act != nil:
		return r.act(e.act, old)
	case e.kids[0].step.list:
		return r.elements(e, old)
	case old.Type() != item.Map:
		return old, errNoSuchPath
	}
	changes := make(item.Item, 0, len(e.kids))
	for _, k := range e.kids {
		v, msg := r.apply(k, old.Attrs().Get(k.step.name))
		if msg != "" {
			return old, msg
		}
		changes = append(changes, item.Attr{Name: k.step.name, Value: v})
	}
	return item.M(old.Attrs().Merge(changes)), ""
}

// elements edits a list: indexes are those before the update, removed elements close up, and
// values beyond the end are appended in the order of their indexes.
func (r run) elements(e *edit, old item.Value) (item.Value, string) {
	if old.Type() != item.List {
		return old, errNoSuchPath
	}
	elems := append(make([]item.Value, 0, len(old.Elements())+len(e.kids)), old.Elements()...)
	end := len(elems)
	for _, k := range e.kids {
		if k.step.index < end {
			v, msg := r.apply(k, elems[k.step.index])
			if msg != "" {
				return old, msg
			}
			elems[k.step.index] = v
			continue
		}
		if k.act == nil {
			return old, errNoSuchPath
		}
		v, msg := r.act(k.act, item.Value{})
		if msg != "" {
			return old, msg
		}
		elems = append(elems, v)
	}
	kept := elems[:0]
	for _, v := range elems {
		if v.Exists() {
			kept = append(kept, v)
		}
	}
	return item.L(kept...), ""
}

func (r run) act(a *action, old item.Value) (item.Value, string) {
	switch a.verb {
	case set:
		return r.values[a], ""
	case remove:
		return item.Value{}, ""
	}
	operand := r.b.valueOf[a.value.value]
	switch {
	case !old.Exists() && a.verb == add:
		return operand, ""
	case !old.Exists():
		return old, ""
	case old.Type() != operand.Type():
		return old, errOperand
	case a.verb == del:
		return item.Minus(old, operand), ""
	case operand.Type() == item.Number:
		v := item.Add(old, operand)
		return v, v.Err()
	}
	return item.Union(old, operand), ""
}
