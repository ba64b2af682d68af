package template

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

func loop(key string) bool { return strings.HasPrefix(key, "Fn::ForEach::") }

// looper expands Fn::ForEach of AWS::LanguageExtensions in place: an entry
//
//	Fn::ForEach::Topics: [Name, [a, b], {"Topic${Name}": {...}}]
//
// becomes one entry for each value, with ${Name} (and Ref of it) replaced in keys and values.
type looper struct {
	params map[string]*Node
	left   int // values that may still be made
}

func expandLoops(root *Node, params []Parameter, in Inputs) error {
	l := &looper{params: in.pseudo(), left: tree.MaxValues}
	for _, p := range params {
		l.params[p.Name] = p.Value
	}
	for _, sec := range []string{"Conditions", "Resources", "Outputs"} {
		if n := root.Get(sec); n != nil {
			if err := l.expand(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *looper) expand(n *Node) error {
	for _, it := range n.Items {
		if err := l.expand(it); err != nil {
			return err
		}
	}
	var out []tree.Field
	seen := map[string]Pos{}
	for _, f := range n.Fields {
		made := []tree.Field{f}
		if loop(f.Key) {
			var err error
			if made, err = l.iterate(f); err != nil {
				return err
			}
		} else if err := l.expand(f.Value); err != nil {
			return err
		}
		for _, m := range made {
			if first, dup := seen[m.Key]; dup {
				e := tree.Errorf(first, "Template format error: Duplicate key %q found.", m.Key)
				e.At = append(e.At, m.Pos)
				return e
			}
			seen[m.Key] = m.Pos
			out = append(out, m)
		}
	}
	n.Fields = out
	return nil
}

func (l *looper) iterate(f tree.Field) ([]tree.Field, error) {
	bad := tree.Errorf(f.Pos, "Template error: %s could not be resolved: it requires a name, a list of values and a map", f.Key)
	if !f.Value.Is(tree.List) || len(f.Value.Items) != 3 || !f.Value.Items[0].Is(tree.String) || !f.Value.Items[2].Is(tree.Map) {
		return nil, bad
	}
	name, body := f.Value.Items[0].Text, f.Value.Items[2]
	over := f.Value.Items[1]
	if fn, arg, ok := over.Intrinsic(); ok && fn == "Ref" && arg.Is(tree.String) {
		over = l.params[arg.Text]
	}
	if !over.Is(tree.List) {
		return nil, bad
	}
	var values []string
	for _, v := range over.Items {
		if fn, arg, ok := v.Intrinsic(); ok && fn == "Ref" && arg.Is(tree.String) {
			v = l.params[arg.Text]
		}
		switch {
		case v.Scalar():
			values = append(values, v.Text)
		case v.Is(tree.List):
			for _, it := range v.Items {
				values = append(values, text(it))
			}
		default:
			return nil, bad
		}
	}
	var out []tree.Field
	for _, v := range values {
		made := l.replace(body, name, v)
		if l.left < 0 {
			return nil, tree.Errorf(f.Pos, "Template format error: more than %d values.", tree.MaxValues)
		}
		if err := l.expand(made); err != nil {
			return nil, err
		}
		out = append(out, made.Fields...)
	}
	return out, nil
}

// replace copies n with the loop's variable put in: ${Name} as it stands, &{Name} without what is
// not alphanumeric.
func (l *looper) replace(n *Node, name, value string) *Node {
	if l.left--; l.left < 0 {
		return tree.Nil()
	}
	if fn, arg, ok := n.Intrinsic(); ok && fn == "Ref" && arg.IsString(name) {
		return at(tree.Str(value), n.Pos)
	}
	swap := strings.NewReplacer("${"+name+"}", value, "&{"+name+"}", alphanumeric(value))
	c := &Node{Kind: n.Kind, Pos: n.Pos, Text: n.Text}
	if n.Kind == tree.String {
		c.Text = swap.Replace(n.Text)
	}
	for _, it := range n.Items {
		c.Items = append(c.Items, l.replace(it, name, value))
	}
	for _, f := range n.Fields {
		c.Fields = append(c.Fields, tree.Field{Key: swap.Replace(f.Key), Pos: f.Pos, Value: l.replace(f.Value, name, value)})
	}
	return c
}

func alphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}
