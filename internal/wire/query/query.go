package query

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Limits bound what a request may cost. Zero members take the defaults.
type Limits struct {
	Depth      int // of dotted names; 32 by default
	Parameters int // in all; 50,000 by default
	// EC2 reads names as EC2 has them: members in upper case at the front, whatever they are in XML,
	// and lists without a "member" in between. Source: botocore's EC2QuerySerializer; a name that the
	// model gives for queries alone is none of the operations' that are built.
	EC2 bool
}

const (
	defaultDepth      = 32
	defaultParameters = 50_000
)

// node is one dotted name with what stands under it.
type node struct {
	value    string
	set      bool
	children map[string]*node
}

// Decode reads form, as a body or a query string has it, into v, a struct with the plan p.
func Decode(form string, p *plan.Struct, v reflect.Value, check *plan.Check, l Limits) error {
	root, err := parse(form, l)
	if err != nil {
		return err
	}
	return dialect(l.EC2).structure(root, p, v, check)
}

// dialect is whether it is EC2's.
type dialect bool

// member is the node of a member.
func (d dialect) member(n *node, name string) *node {
	if d && name != "" {
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	return n.children[name]
}

// Get is the first value of a parameter in form, without parsing the rest of it.
func Get(form, name string) (string, bool) {
	for len(form) > 0 {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != name {
			continue
		}
		s, err := url.QueryUnescape(v)
		return s, err == nil
	}
	return "", false
}

func parse(form string, l Limits) (*node, error) {
	depth, left := cmp.Or(l.Depth, defaultDepth), cmp.Or(l.Parameters, defaultParameters)
	root := &node{}
	for len(form) > 0 {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		if pair == "" {
			continue
		}
		if left--; left < 0 {
			return nil, errors.New("too many parameters")
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		if err != nil || !utf8.ValidString(name) {
			return nil, errors.New("malformed parameter name")
		}
		value, err := url.QueryUnescape(v)
		if err != nil || !utf8.ValidString(value) {
			return nil, errors.New("malformed parameter value")
		}
		if strings.Count(name, ".") >= depth {
			return nil, errors.New("parameter names are too deep")
		}
		n := root
		for part := range strings.SplitSeq(name, ".") {
			n = n.child(part)
		}
		n.value, n.set = value, true
	}
	return root, nil
}

func (n *node) child(name string) *node {
	if c := n.children[name]; c != nil {
		return c
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := &node{}
	n.children[name] = c
	return c
}

func (d dialect) structure(n *node, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	var seen uint64
	for _, f := range p.Fields {
		c := d.member(n, f.Wire)
		if c == nil {
			continue
		}
		seen |= f.Bit
		check.Enter(f.Label, 0)
		if err := d.value(c, &f.Value, f.Make(v), f.Flattened, check); err != nil {
			return err
		}
		check.Leave()
	}
	if missing := p.Required &^ seen; missing != 0 {
		check.Missing(p, missing)
	}
	return nil
}

func (d dialect) value(n *node, p *plan.Value, v reflect.Value, flat bool, check *plan.Check) error {
	switch p.Kind {
	case plan.Structure:
		return d.structure(n, p.Struct, v, check)
	case plan.List:
		return d.list(n, p, v, flat, check)
	case plan.Map:
		return d.mapping(n, p, v, flat, check)
	}
	if !n.set {
		return fmt.Errorf("parameter %s has no value of its own", p.Wire)
	}
	return plan.SetText(p, v, n.value)
}

// indexed are the children with whole numbers for names, in that order; gaps are allowed.
func (n *node) indexed() ([]*node, error) {
	order := make([]int, 0, len(n.children))
	for name := range n.children {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || strconv.Itoa(i) != name {
			return nil, fmt.Errorf("%q is no index of a list", name)
		}
		order = append(order, i)
	}
	slices.Sort(order)
	out := make([]*node, len(order))
	for i, at := range order {
		out[i] = n.children[strconv.Itoa(at)]
	}
	return out, nil
}

func (d dialect) list(n *node, p *plan.Value, v reflect.Value, flat bool, check *plan.Check) error {
	if !flat && !bool(d) {
		if c := n.children["member"]; c != nil {
			n = c
		} else if c := n.children[p.Elem.Wire]; c != nil {
			n = c
		}
	}
	plan.EmptyList(v)
	items, err := n.indexed()
	if err != nil {
		return err
	}
	for i, c := range items {
		check.Enter("", i+1)
		if err := d.value(c, p.Elem, plan.Grow(v), false, check); err != nil {
			return err
		}
		check.Leave()
	}
	return nil
}

func (d dialect) mapping(n *node, p *plan.Value, v reflect.Value, flat bool, check *plan.Check) error {
	if c := n.children["entry"]; c != nil && !flat {
		n = c
	}
	v.Set(reflect.MakeMap(p.Type))
	entries, err := n.indexed()
	if err != nil {
		return err
	}
	for _, c := range entries {
		k, e := c.children[cmp.Or(p.Key.Wire, "key")], c.children[cmp.Or(p.Elem.Wire, "value")]
		if k == nil || e == nil {
			return fmt.Errorf("an entry of %s lacks its key or value", p.Wire)
		}
		elem := reflect.New(p.Elem.Type).Elem()
		check.Enter(k.value, 0)
		if err := d.value(e, p.Elem, elem, false, check); err != nil {
			return err
		}
		check.Leave()
		v.SetMapIndex(reflect.ValueOf(k.value).Convert(p.Type.Key()), elem)
	}
	return nil
}
