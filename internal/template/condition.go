package template

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// condition is the value of a named condition, evaluated once.
func (g *Graph) condition(name string, p Pos) (bool, error) {
	if v, ok := g.Conditions[name]; ok {
		return v, nil
	}
	def := g.t.root.Get("Conditions").Field(name)
	if def == nil {
		return false, tree.Errorf(p, "Template error: unresolved condition dependency %s in Fn::If", name)
	}
	if g.testing[name] {
		return false, tree.Errorf(def.Pos, "Template format error: Found circular condition dependency through %s", name)
	}
	g.testing[name] = true
	defer delete(g.testing, name)
	v, err := g.test(def.Value, &evaluator{g: g, block: "Conditions"})
	if err != nil {
		return false, err
	}
	g.Conditions[name] = v
	return v, nil
}

// test evaluates a condition function.
func (g *Graph) test(n *Node, e *evaluator) (bool, error) {
	name, arg, ok := n.Intrinsic()
	if !ok {
		if n.Is(tree.Bool) {
			return n.Text == "true", nil
		}
		if n.Is(tree.String) && (n.Text == "true" || n.Text == "false") {
			return n.Text == "true", nil
		}
		if n.Is(tree.String) && g.t.root.Get("Conditions").Has(n.Text) {
			return g.condition(n.Text, n.Pos) // SAM names a condition by its bare name
		}
		return false, tree.Errorf(n.Pos, "Template format error: Conditions can only be boolean operations on parameters and other conditions")
	}
	switch name {
	case "Condition":
		if arg.Is(tree.String) {
			return g.condition(arg.Text, n.Pos)
		}
	case "Fn::Equals":
		return g.equals(arg, n, e)
	case "Fn::Not":
		if arg.Is(tree.List) && len(arg.Items) == 1 {
			v, err := g.test(arg.Items[0], e)
			return !v, err
		}
		return false, tree.Errorf(n.Pos, "Template error: every Fn::Not object requires one boolean parameter.")
	case "Fn::And", "Fn::Or":
		return g.all(name, arg, n, e)
	default:
		r, err := e.eval(n)
		if err != nil {
			return false, err
		}
		if r.node.Is(tree.Bool) || r.node.IsString("true") || r.node.IsString("false") {
			return r.node.Text == "true", nil
		}
	}
	return false, tree.Errorf(n.Pos, "Template format error: Conditions can only be boolean operations on parameters and other conditions")
}

// all evaluates every operand, so that a mistake in one is found whatever the others say.
func (g *Graph) all(name string, arg, n *Node, e *evaluator) (bool, error) {
	if !arg.Is(tree.List) || len(arg.Items) < 2 || len(arg.Items) > 10 {
		return false, tree.Errorf(n.Pos, "Template error: every %s object requires a list of at least 2 and at most 10 boolean parameters.", name)
	}
	and := name == "Fn::And"
	out := and
	for _, it := range arg.Items {
		v, err := g.test(it, e)
		if err != nil {
			return false, err
		}
		if and {
			out = out && v
		} else {
			out = out || v
		}
	}
	return out, nil
}

func (g *Graph) equals(arg, n *Node, e *evaluator) (bool, error) {
	a, pending, err := e.args(arg, n, 2, "Template error: every Fn::Equals object requires a list of 2 string parameters.")
	if err != nil {
		return false, err
	}
	if pending || len(e.missing) > 0 {
		return false, tree.Errorf(n.Pos, "Template format error: Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template", strings.Join(references(arg), ", "))
	}
	if a[0].Scalar() && a[1].Scalar() {
		return a[0].Text == a[1].Text, nil
	}
	return tree.Equal(a[0], a[1]), nil
}

// references lists the names that the functions in n refer to, in order, each once.
func references(n *Node) []string {
	var out []string
	seen := map[string]bool{}
	walkRefs(n, func(r reference) {
		if !seen[r.name] && !strings.HasPrefix(r.name, "AWS::") {
			seen[r.name] = true
			out = append(out, r.name)
		}
	})
	return out
}

// reference is one use of a name by Ref, Fn::GetAtt, Fn::Sub, or of a condition by Fn::If.
type reference struct {
	fn, name, attr string
	pos            Pos
	arg            *Node // of Fn::GetAtt
}

// walkRefs calls f for every reference in n. Malformed functions are left to the evaluation.
func walkRefs(n *Node, f func(reference)) {
	if n == nil {
		return
	}
	for _, it := range n.Items {
		walkRefs(it, f)
	}
	name, arg, ok := n.Intrinsic()
	if !ok {
		for _, fd := range n.Fields {
			walkRefs(fd.Value, f)
		}
		return
	}
	switch name {
	case "Ref":
		if arg.Is(tree.String) {
			f(reference{fn: "Ref", name: arg.Text, pos: n.Pos})
		}
	case "Fn::GetAtt":
		if arg.Is(tree.String) {
			id, attr, _ := strings.Cut(arg.Text, ".")
			f(reference{"Fn::GetAtt", id, attr, n.Pos, arg})
		} else if arg.Is(tree.List) && len(arg.Items) > 0 && arg.Items[0].Is(tree.String) {
			f(reference{fn: "Fn::GetAtt", name: arg.Items[0].Text, pos: n.Pos, arg: arg})
			for _, it := range arg.Items[1:] {
				walkRefs(it, f)
			}
		}
		return
	case "Fn::Sub":
		walkSub(arg, n.Pos, f)
		return
	case "Fn::If":
		if arg.Is(tree.List) && len(arg.Items) > 0 && arg.Items[0].Is(tree.String) {
			f(reference{fn: "Fn::If", name: arg.Items[0].Text, pos: arg.Items[0].Pos})
		}
	}
	walkRefs(arg, f)
}

func walkSub(arg *Node, p Pos, f func(reference)) {
	src, vars, err := subParts(arg, p)
	if err != nil {
		return
	}
	segs, err := segments(src, p)
	if err != nil {
		return
	}
	for _, s := range segs {
		if s.name == "" || vars.Has(s.name) {
			continue
		}
		id, attr, _ := strings.Cut(s.name, ".")
		f(reference{fn: "Fn::Sub", name: id, attr: attr, pos: p})
	}
	if vars != nil {
		for _, v := range vars.Fields {
			walkRefs(v.Value, f)
		}
	}
}
