package xml

import (
	"fmt"
	"reflect"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Decode gives v, a struct with the plan p, the members that n holds. The root's own name is not
// looked at: clients differ in it.
func Decode(n *Node, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	var seen uint64
	for _, f := range p.Fields {
		if f.In != plan.Body {
			continue
		}
		there, err := member(n, f, v, check)
		if err != nil {
			return err
		}
		if there {
			seen |= f.Bit
		}
	}
	if missing := p.Required &^ seen; missing != 0 {
		check.Missing(p, missing)
	}
	return nil
}

func member(n *Node, f *plan.Field, v reflect.Value, check *plan.Check) (bool, error) {
	check.Enter(f.Label, 0)
	defer check.Leave()
	switch {
	case f.Attr:
		local := f.Wire
		for i := range local {
			if local[i] == ':' {
				local = local[i+1:]
				break
			}
		}
		for _, a := range n.Attrs {
			if a.Name.Local == local {
				return true, scalar(&f.Value, f.Make(v), a.Value)
			}
		}
		return false, nil
	case f.Flattened && f.Kind == plan.List:
		return flatList(n, f, v, check)
	case f.Flattened && f.Kind == plan.Map:
		return flatMap(n, f, v, check)
	}
	c := n.Child(f.Wire)
	if c == nil {
		return false, nil
	}
	return true, Value(c, &f.Value, f.Make(v), check)
}

// Value gives v the value that the element n holds.
func Value(n *Node, p *plan.Value, v reflect.Value, check *plan.Check) error {
	switch p.Kind {
	case plan.Structure:
		return Decode(n, p.Struct, v, check)
	case plan.List:
		plan.EmptyList(v)
		for i, c := range n.Children {
			check.Enter("", i+1)
			if err := Value(c, p.Elem, plan.Grow(v), check); err != nil {
				return err
			}
			check.Leave()
		}
		return nil
	case plan.Map:
		v.Set(reflect.MakeMap(p.Type))
		for _, c := range n.Children {
			if err := entry(c, p, v, check); err != nil {
				return err
			}
		}
		return nil
	}
	if len(n.Children) > 0 {
		return fmt.Errorf("unexpected element %s in %s", n.Children[0].Name, n.Name)
	}
	return scalar(p, v, n.Text)
}

func scalar(p *plan.Value, v reflect.Value, s string) error {
	if err := plan.SetText(p, v, s); err != nil {
		return fmt.Errorf("%s: %w", p.Wire, err)
	}
	return nil
}

func flatList(n *Node, f *plan.Field, v reflect.Value, check *plan.Check) (bool, error) {
	list := f.Make(v)
	for _, c := range n.Children {
		if c.Name != f.Wire && (f.Elem.Wire == "" || c.Name != f.Elem.Wire) {
			continue
		}
		plan.EmptyList(list)
		check.Enter("", list.Len()+1)
		if err := Value(c, f.Elem, plan.Grow(list), check); err != nil {
			return false, err
		}
		check.Leave()
	}
	return !list.IsNil(), nil
}

func flatMap(n *Node, f *plan.Field, v reflect.Value, check *plan.Check) (bool, error) {
	m := f.Make(v)
	for _, c := range n.Children {
		if c.Name != f.Wire {
			continue
		}
		if m.IsNil() {
			m.Set(reflect.MakeMap(f.Type))
		}
		if err := entry(c, &f.Value, m, check); err != nil {
			return false, err
		}
	}
	return !m.IsNil(), nil
}

func entry(n *Node, p *plan.Value, m reflect.Value, check *plan.Check) error {
	k, e := n.Child(nameOr(p.Key, "key")), n.Child(nameOr(p.Elem, "value"))
	if k == nil || e == nil {
		return fmt.Errorf("an entry of %s lacks its key or value", p.Wire)
	}
	v := reflect.New(p.Elem.Type).Elem()
	check.Enter(k.Text, 0)
	if err := Value(e, p.Elem, v, check); err != nil {
		return err
	}
	check.Leave()
	m.SetMapIndex(reflect.ValueOf(k.Text).Convert(p.Type.Key()), v)
	return nil
}

func nameOr(p *plan.Value, name string) string {
	if p.Wire != "" {
		return p.Wire
	}
	return name
}
