package main

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// generator turns one service's model into Go.
type generator struct {
	svc     *service
	m       *model
	ops     []*operation      // served, sorted by name
	rest    []*operation      // of the model, not served
	names   map[string]string // structure shape → Go type
	aliases [][2]string       // Go alias, Go type
	empty   []string          // inputs and outputs that the model leaves out
	inputs  map[string]bool   // shapes that an input reaches: the ones whose constraints matter
	order   []string          // structures to emit, sorted by Go name
}

func newGenerator(svc *service, m *model) (*generator, error) {
	g := &generator{svc: svc, m: m, names: map[string]string{}, inputs: map[string]bool{}}
	want := map[string]bool{}
	for _, name := range svc.ops {
		if m.Operations[name] == nil {
			return nil, fmt.Errorf("%s has no operation %s", svc.name, name)
		}
		want[name] = true
	}
	for name, op := range m.Operations {
		op.Name = name
		if want[name] {
			g.ops = append(g.ops, op)
		} else {
			g.rest = append(g.rest, op)
		}
	}
	byName := func(s []*operation) { sort.Slice(s, func(i, j int) bool { return s[i].Name < s[j].Name }) }
	byName(g.ops)
	byName(g.rest)
	return g, g.resolve()
}

// resolve names every structure that a served operation reaches: an input or output used by one
// operation only after that operation, any other after its shape.
func (g *generator) resolve() error {
	uses, nested, all := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, op := range g.ops {
		for _, r := range []*ref{op.Input, op.Output} {
			if r != nil {
				uses[r.Shape]++
				g.reach(r.Shape, all, nested)
			}
		}
		if op.Input != nil {
			g.reach(op.Input.Shape, g.inputs, map[string]bool{})
		}
		for _, e := range op.Errors {
			for _, m := range g.m.Shapes[e.Shape].Members {
				g.reach(m.Shape, all, nested)
				g.nest(m.Shape, nested)
			}
		}
	}
	for _, op := range g.ops {
		for suffix, r := range map[string]*ref{"Input": op.Input, "Output": op.Output} {
			switch name := op.Name + suffix; {
			case r == nil:
				g.empty = append(g.empty, name)
			case uses[r.Shape] == 1 && !nested[r.Shape]:
				g.names[r.Shape] = name
			case exported(r.Shape) != name:
				g.aliases = append(g.aliases, [2]string{name, exported(r.Shape)})
			}
		}
	}
	sort.Strings(g.empty)
	sort.Slice(g.aliases, func(i, j int) bool { return g.aliases[i][0] < g.aliases[j][0] })
	for name := range all {
		if g.m.Shapes[name].Type != "structure" || g.svc.raw[name] || g.m.Shapes[name].Document {
			continue
		}
		if g.names[name] == "" {
			g.names[name] = exported(name)
		}
		g.order = append(g.order, name)
	}
	sort.Slice(g.order, func(i, j int) bool { return g.names[g.order[i]] < g.names[g.order[j]] })
	return g.unique()
}

func (g *generator) unique() error {
	seen := map[string]string{"Service": "the service", "Client": "the client"}
	take := func(name, what string) error {
		if seen[name] != "" {
			return fmt.Errorf("%s: %s and %s would both be called %s", g.svc.name, seen[name], what, name)
		}
		seen[name] = what
		return nil
	}
	for _, s := range g.order {
		if err := take(g.names[s], "shape "+s); err != nil {
			return err
		}
	}
	for _, a := range g.aliases {
		if err := take(a[0], "alias of "+a[1]); err != nil {
			return err
		}
	}
	for _, e := range g.empty {
		if err := take(e, "empty "+e); err != nil {
			return err
		}
	}
	return nil
}

// reach adds to all the shapes under name, and to nested those structures that stand inside
// another shape.
func (g *generator) reach(name string, all, nested map[string]bool) {
	if all[name] {
		return
	}
	all[name] = true
	s := g.m.Shapes[name]
	if s == nil {
		panic(fmt.Sprintf("%s: no shape %s", g.svc.name, name)) // a model that botocore itself could not load
	}
	if g.svc.raw[name] {
		return
	}
	under := []*ref{s.Member, s.Key, s.Value}
	for i := range s.Members {
		under = append(under, &s.Members[i].ref)
	}
	for _, r := range under {
		if r != nil {
			g.nest(r.Shape, nested)
			g.reach(r.Shape, all, nested)
		}
	}
}

func (g *generator) nest(name string, nested map[string]bool) {
	if g.m.Shapes[name].Type == "structure" {
		nested[name] = true
	}
}

// exported is a Go name for a shape or member: its own, beginning with a capital, without the
// characters that Go names lack.
func exported(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, strings.TrimLeft(name, "_"))
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(r)) + name[n:]
}
