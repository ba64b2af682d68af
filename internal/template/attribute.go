package template

import "github.com/bastide-cloud/bastide/internal/template/tree"

// Attribute is a place where the template asks a resource for an attribute.
type Attribute struct {
	LogicalID, Type string
	Name            string
	Function        string // Fn::GetAtt or Fn::Sub
	Waits           bool   // the name depends on a resource and is not known
	Pos             Pos
}

// Attributes lists all that is asked of resources, in the template's order: also where a condition
// leaves it out, as CloudFormation checks it.
func (g *Graph) Attributes() []Attribute {
	var out []Attribute
	e := &evaluator{g: g, block: "Resources"}
	res := g.t.root.Get("Resources")
	for _, block := range []string{"Resources", "Outputs"} {
		walkRefs(g.t.root.Get(block), func(r reference) {
			typ := res.Dig(r.name, "Type")
			if !typ.Is(tree.String) || r.fn == "Ref" || r.fn == "Fn::If" {
				return
			}
			a := Attribute{LogicalID: r.name, Type: typ.Text, Name: r.attr, Function: r.fn, Pos: r.pos}
			if r.fn == "Fn::GetAtt" {
				_, name, waits, err := e.attribute(r.arg, &Node{Pos: r.pos})
				if err != nil {
					return // in what is not used: elsewhere the evaluation has said so
				}
				a.Name, a.Waits = name, waits
			}
			if a.Name != "" || a.Waits {
				out = append(out, a)
			}
		})
	}
	return out
}
