package template

import (
	"sort"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Resource is one resource of the graph.
type Resource struct {
	LogicalID, Type string
	Condition       string // name of the condition that let it in, "" for none
	// DependsOn lists every resource that must exist before: named by DependsOn and implied by Ref,
	// Fn::GetAtt and Fn::Sub, in the template's order.
	DependsOn []string
	// DeletionPolicy and UpdateReplacePolicy are Delete unless the template says otherwise.
	DeletionPolicy, UpdateReplacePolicy string
	// Metadata, UpdatePolicy and CreationPolicy are as written, with what does not wait for a
	// resource evaluated; nil when absent.
	Metadata, UpdatePolicy, CreationPolicy any
	// Properties are evaluated as far as no other resource is needed; functions that wait for one
	// are still in it. Graph.Properties gives the whole.
	Properties *Node
	Pos        Pos

	node *Node
}

// readResources picks the resources whose condition holds.
func (g *Graph) readResources() error {
	var unknown []string
	var places []Pos
	for _, f := range g.t.root.Get("Resources").Fields {
		cond, on, err := g.enabled(f.Value)
		if err != nil {
			return err
		}
		typ := f.Value.Get("Type")
		if !typeName(typ.Text) {
			unknown, places = append(unknown, typ.Text), append(places, typ.Pos)
		}
		if !on {
			continue
		}
		r := &Resource{LogicalID: f.Key, Type: typ.Text, Condition: cond, Pos: f.Pos, node: f.Value}
		g.Resources = append(g.Resources, r)
		g.alive[f.Key], g.byID[f.Key] = true, r
	}
	if len(unknown) > 0 {
		return &tree.Error{Message: "Template format error: Unrecognized resource types: [" + strings.Join(unknown, ", ") + "]", At: places}
	}
	return nil
}

// typeName reports whether s can name a resource type; whether it is one, and built, the deployer
// knows (Unsupported).
func typeName(s string) bool {
	if strings.HasPrefix(s, "Custom::") {
		return len(s) > len("Custom::")
	}
	return strings.Count(s, "::") >= 2 && !strings.HasPrefix(s, "AWS::Serverless::")
}

// connect evaluates each resource as far as possible; the references that remain are its
// dependencies.
func (g *Graph) connect() error {
	e := &evaluator{g: g, block: "Resources"}
	for _, r := range g.Resources {
		needs := map[string]bool{}
		for _, part := range []struct {
			key string
			to  *any
		}{{"Properties", nil}, {"Metadata", &r.Metadata}, {"UpdatePolicy", &r.UpdatePolicy}, {"CreationPolicy", &r.CreationPolicy}} {
			n := r.node.Get(part.key)
			if n.Absent() {
				continue
			}
			v, err := e.eval(n)
			if err != nil {
				return err
			}
			walkRefs(v.node, func(ref reference) {
				if g.alive[ref.name] {
					needs[ref.name] = true
				}
			})
			if part.to != nil {
				*part.to = v.node.Value()
			} else {
				r.Properties = v.node
			}
		}
		if r.Properties.Absent() {
			r.Properties = at(tree.M(), r.Pos)
		}
		// What properties there are must be known before anything is made.
		if name, _, waits := r.Properties.Intrinsic(); !r.Properties.Is(tree.Map) || waits && name != "Condition" {
			return tree.Errorf(r.node.Get("Properties").Pos, "Template format error: [/Resources/%s/Properties] Properties must be a map.", r.LogicalID)
		}
		if err := g.attributes(r, e, needs); err != nil {
			return err
		}
		for _, f := range g.t.root.Get("Resources").Fields {
			if needs[f.Key] {
				r.DependsOn = append(r.DependsOn, f.Key)
			}
		}
	}
	return unresolved("Resources", e.missing, e.at)
}

func (g *Graph) attributes(r *Resource, e *evaluator, needs map[string]bool) error {
	for _, p := range []struct {
		key string
		to  *string
	}{{"DeletionPolicy", &r.DeletionPolicy}, {"UpdateReplacePolicy", &r.UpdateReplacePolicy}} {
		*p.to = "Delete"
		n := r.node.Get(p.key)
		if n == nil {
			continue
		}
		if g.t.uses(LanguageExtensions) {
			v, err := e.eval(n)
			if err != nil {
				return err
			}
			n = v.node
		}
		if n == nil {
			continue // AWS::NoValue
		}
		if err := retention(r.LogicalID, p.key, n); err != nil {
			return err
		}
		*p.to = n.Text
	}
	dep := r.node.Get("DependsOn")
	if dep.Absent() {
		return nil
	}
	list := []*Node{dep}
	if dep.Kind == tree.List {
		list = dep.Items
	}
	for _, d := range list {
		// One whose condition is false is not waited for.
		if g.alive[d.Text] {
			needs[d.Text] = true
		}
	}
	return nil
}

// order sorts Resources by dependency, otherwise by the template's order.
func (g *Graph) order() error {
	if cycle := g.cycle(); len(cycle) > 0 {
		e := &tree.Error{Message: "Circular dependency between resources: [" + strings.Join(cycle, ", ") + "]"}
		for _, id := range cycle {
			e.At = append(e.At, g.byID[id].Pos)
		}
		return e
	}
	var out []*Resource
	done := map[string]bool{}
	var visit func(r *Resource)
	visit = func(r *Resource) {
		if done[r.LogicalID] {
			return
		}
		done[r.LogicalID] = true
		for _, d := range r.DependsOn {
			visit(g.byID[d])
		}
		out = append(out, r)
	}
	for _, r := range g.Resources {
		visit(r)
	}
	g.Resources = out
	return nil
}

// cycle lists the resources that reach themselves, in the template's order.
func (g *Graph) cycle() []string {
	var out []string
	for _, r := range g.Resources {
		seen := map[string]bool{}
		stack := append([]string(nil), r.DependsOn...)
		for len(stack) > 0 {
			id := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !seen[id] {
				seen[id] = true
				stack = append(stack, g.byID[id].DependsOn...)
			}
		}
		if seen[r.LogicalID] {
			out = append(out, r.LogicalID)
		}
	}
	return out
}

// Resource is the resource of that logical id, nil when the graph has none.
func (g *Graph) Resource(logicalID string) *Resource { return g.byID[logicalID] }

// Properties are the resource's properties with every function resolved by got, which must know
// all that the resource depends on. Numbers are int64 or float64.
func (g *Graph) Properties(logicalID string, got Lookup) (map[string]any, error) {
	r := g.byID[logicalID]
	if r == nil {
		return nil, tree.Errorf(Pos{}, "Resource %s does not exist in the template", logicalID)
	}
	n := r.node.Get("Properties")
	if n.Absent() {
		return map[string]any{}, nil
	}
	v, err := (&evaluator{g: g, got: got, block: "Resources"}).eval(n)
	if err != nil {
		return nil, err
	}
	if v.node.Absent() {
		return map[string]any{}, nil
	}
	if !v.node.Is(tree.Map) {
		return nil, tree.Errorf(n.Pos, "Template format error: [/Resources/%s/Properties] Properties must be a map.", logicalID)
	}
	return v.node.Value().(map[string]any), nil
}

// OutputValue is an output of a created stack. Export is "" when it is not exported.
type OutputValue struct{ Name, Description, Value, Export string }

// Evaluate gives the outputs their values.
func (g *Graph) Evaluate(got Lookup) ([]OutputValue, error) {
	var out []OutputValue
	e := &evaluator{g: g, got: got, block: "Outputs"}
	for _, o := range g.Outputs {
		v := OutputValue{Name: o.Name, Description: o.Description}
		for _, p := range []struct {
			n  *Node
			to *string
		}{{o.value, &v.Value}, {o.export, &v.Export}} {
			if p.n == nil {
				continue
			}
			r, err := e.eval(p.n)
			if err != nil {
				return nil, err
			}
			if !r.node.Scalar() {
				return nil, tree.Errorf(p.n.Pos, "Template format error: The Value field of every Outputs member must evaluate to a String.")
			}
			*p.to = r.node.Text
		}
		out = append(out, v)
	}
	return out, nil
}

// Position is where a resource, or the value under a path of keys and list indices in its
// definition (such as "Properties", "Environment"), is written; as far down the path as it goes.
func (g *Graph) Position(logicalID string, path ...string) Pos {
	r := g.byID[logicalID]
	if r == nil {
		return Pos{}
	}
	n, p := r.node, r.Pos
	for _, k := range path {
		if n.Is(tree.List) {
			i := index(k, len(n.Items))
			if i < 0 {
				break
			}
			n = n.Items[i]
			p = n.Pos
			continue
		}
		f := n.Field(k)
		if f == nil {
			break
		}
		n, p = f.Value, f.Pos
	}
	return p
}

func index(s string, n int) int {
	i := 0
	for _, c := range s {
		if c < '0' || c > '9' || i > n {
			return -1
		}
		i = i*10 + int(c-'0')
	}
	if s == "" || i >= n {
		return -1
	}
	return i
}

// Missing is a resource of a type that the deployer has not built.
type Missing struct {
	LogicalID, Type string
	Pos             Pos // of the Type
}

// Unsupported lists the resources of types that supported does not know, in the template's order.
func (g *Graph) Unsupported(supported func(typ string) bool) []Missing {
	var out []Missing
	for _, r := range g.Resources {
		if !supported(r.Type) {
			out = append(out, Missing{r.LogicalID, r.Type, r.node.Get("Type").Pos})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return before(out[i].Pos, out[j].Pos) })
	return out
}

func before(a, b Pos) bool { return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column }
