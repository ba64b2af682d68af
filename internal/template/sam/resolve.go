package sam

import (
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// variable is what the transform itself replaces in the text of an Fn::Sub.
var variable = regexp.MustCompile(`\$\{([A-Za-z0-9.]+|AWS::[A-Z][A-Za-z]*)\}`)

// resolve puts the values of parameters into n, in place, and returns it (or the value, when n
// itself is a Ref to a parameter). References to resources stay. That the template is changed in
// place is SAM's behaviour: a CodeUri that refers to a parameter comes out with the value in it
// when the function publishes versions.
func (t *transformer) resolve(n *Node) *Node {
	if n == nil {
		return nil
	}
	switch name, arg, _ := n.Intrinsic(); name {
	case "Ref":
		if !arg.Is(tree.String) {
			break
		}
		v, ok := t.opt.Parameters[arg.Text]
		if !ok {
			return n
		}
		v = v.Clone()
		v.At(n.Pos)
		return v
	case "Fn::Sub":
		t.resolveSub(arg)
	}
	for i, it := range n.Items {
		n.Items[i] = t.resolve(it)
	}
	for i := range n.Fields {
		n.Fields[i].Value = t.resolve(n.Fields[i].Value)
	}
	return n
}

func (t *transformer) resolveSub(arg *Node) {
	text := arg
	if arg.Is(tree.List) && len(arg.Items) > 0 {
		text = arg.Items[0]
	}
	if !text.Is(tree.String) {
		return
	}
	text.Text = variable.ReplaceAllStringFunc(text.Text, func(m string) string {
		if v, ok := t.opt.Parameters[m[2:len(m)-1]]; ok && v.Scalar() {
			return v.Text
		}
		return m
	})
}

// rewrite turns references to a serverless resource's parts ("Function.Alias", "Api.Stage") and to
// resources whose id changed into references to what was generated.
func (t *transformer) rewrite(n *Node) {
	if n == nil {
		return
	}
	if d := n.Get("DependsOn"); d.Is(tree.String) {
		t.rename(d)
	} else if d.Is(tree.List) {
		for _, it := range d.Items {
			t.rename(it)
		}
	}
	switch name, arg, _ := n.Intrinsic(); name {
	case "Ref":
		if arg.Is(tree.String) {
			t.rename(arg)
			if id, ok := t.refs[arg.Text]; ok {
				arg.Text = id
			}
		}
	case "Fn::GetAtt":
		t.rewriteGetAtt(arg)
	case "Fn::Sub":
		text := arg
		if arg.Is(tree.List) && len(arg.Items) > 0 {
			text = arg.Items[0]
		}
		if text.Is(tree.String) {
			text.Text = variable.ReplaceAllStringFunc(text.Text, t.rewriteVariable)
		}
	}
	for _, it := range n.Items {
		t.rewrite(it)
	}
	for _, f := range n.Fields {
		t.rewrite(f.Value)
	}
}

func (t *transformer) rename(n *Node) {
	if n.Is(tree.String) {
		if id, ok := t.renamed[n.Text]; ok {
			n.Text = id
		}
	}
}

// rewriteGetAtt handles [Id.Part, Attr] and [Id, Part.Attr], which mean the same.
func (t *transformer) rewriteGetAtt(arg *Node) {
	if !arg.Is(tree.List) || len(arg.Items) < 2 {
		return
	}
	var words []string
	for _, it := range arg.Items {
		if !it.Is(tree.String) {
			return
		}
		words = append(words, it.Text)
	}
	parts := strings.Split(strings.Join(words, "."), ".")
	changed := false
	if id, ok := t.renamed[parts[0]]; ok {
		parts[0], changed = id, true
	}
	if id, ok := t.refs[parts[0]+"."+parts[1]]; ok {
		parts, changed = append([]string{id}, parts[2:]...), true
	}
	if changed {
		p := arg.Pos
		arg.Items = tree.Strs(parts...).At(p).Items
	}
}

func (t *transformer) rewriteVariable(m string) string {
	parts := strings.Split(m[2:len(m)-1], ".")
	if id, ok := t.renamed[parts[0]]; ok {
		parts[0] = id
	}
	if len(parts) > 1 {
		if id, ok := t.refs[parts[0]+"."+parts[1]]; ok {
			parts = append([]string{id}, parts[2:]...)
		}
	}
	return "${" + strings.Join(parts, ".") + "}"
}

// refer remembers which generated resource a reference to a part of the macro means: the last one
// of the type.
func (m *macro) refer(made []*generated, parts ...string) {
	for i := 0; i+1 < len(parts); i += 2 {
		for _, g := range made {
			if g.typ == parts[i+1] {
				m.t.refs[m.id+"."+parts[i]] = g.id
			}
		}
	}
}
