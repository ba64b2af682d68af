package template

import "github.com/bastide-cloud/bastide/internal/template/tree"

// checkRules evaluates the Rules section: where a rule's condition holds, so must its assertions.
func (g *Graph) checkRules() error {
	sec := g.t.root.Get("Rules")
	if sec.Absent() {
		return nil
	}
	for _, f := range sec.Fields {
		if c := f.Value.Get("RuleCondition"); c != nil {
			on, err := g.rule(c)
			if err != nil {
				return err
			}
			if !on {
				continue
			}
		}
		list := f.Value.Get("Assertions")
		if !list.Is(tree.List) {
			return tree.Errorf(f.Pos, "Template format error: Rule %s requires a list of Assertions.", f.Key)
		}
		for _, a := range list.Items {
			ok, err := g.rule(a.Get("Assert"))
			if err != nil {
				return err
			}
			if !ok {
				msg := "the assertion is false"
				if d := a.Get("AssertDescription"); d.Is(tree.String) {
					msg = d.Text
				}
				return tree.Errorf(a.Pos, "Template error: Rule %s failed with error: %s", f.Key, msg)
			}
		}
	}
	return nil
}

// rule evaluates a rule-specific function or a condition function over such.
func (g *Graph) rule(n *Node) (bool, error) {
	name, arg, _ := n.Intrinsic()
	e := &evaluator{g: g, block: "Rules"}
	switch name {
	case "Fn::Not", "Fn::And", "Fn::Or":
		if !arg.Is(tree.List) || len(arg.Items) == 0 {
			break
		}
		out := name == "Fn::And"
		for _, it := range arg.Items {
			v, err := g.rule(it)
			if err != nil {
				return false, err
			}
			switch name {
			case "Fn::And":
				out = out && v
			case "Fn::Or":
				out = out || v
			default:
				out = !v
			}
		}
		return out, nil
	case "Fn::Equals":
		return g.equals(arg, n, e)
	case "Fn::Contains", "Fn::EachMemberIn", "Fn::EachMemberEquals":
		return g.members(name, arg, n, e)
	case "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll":
		return false, tree.Unbuiltf(n.Pos, "%s in Rules is not built.", name)
	}
	p := Pos{}
	if n != nil {
		p = n.Pos
	}
	return false, tree.Errorf(p, "Template error: a rule must be a rule-specific intrinsic function")
}

func (g *Graph) members(name string, arg, n *Node, e *evaluator) (bool, error) {
	message := "Template error: every " + name + " object requires two parameters, a list of strings and what to look for"
	a, pending, err := e.args(arg, n, 2, message)
	if err != nil {
		return false, err
	}
	if pending || !a[0].Is(tree.List) {
		return false, tree.Errorf(n.Pos, "%s", message)
	}
	in := func(list []*Node, v *Node) bool {
		for _, it := range list {
			if text(it) == text(v) {
				return true
			}
		}
		return false
	}
	if name == "Fn::Contains" {
		return in(a[0].Items, a[1]), nil
	}
	want := a[1].Items
	if a[1].Scalar() {
		want = []*Node{a[1]}
	}
	for _, v := range a[0].Items {
		if !in(want, v) {
			return false, nil
		}
	}
	return true, nil
}
