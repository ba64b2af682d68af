package template

import (
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// segment is a piece of Fn::Sub's text: literal, or a name in ${…}.
type segment struct{ literal, name string }

var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// segments splits Fn::Sub's text. ${!x} is the literal ${x}.
func segments(s string, p Pos) ([]segment, error) {
	var out []segment
	for s != "" {
		i := strings.Index(s, "${")
		if i < 0 {
			return append(out, segment{literal: s}), nil
		}
		if i > 0 {
			out = append(out, segment{literal: s[:i]})
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return append(out, segment{literal: s[i:]}), nil
		}
		name := s[i+2 : i+end]
		s = s[i+end+1:]
		if rest, ok := strings.CutPrefix(name, "!"); ok {
			out = append(out, segment{literal: "${" + rest + "}"})
			continue
		}
		if name = strings.TrimSpace(name); !subName.MatchString(name) || strings.HasSuffix(name, ".") {
			return nil, tree.Errorf(p, "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons")
		}
		out = append(out, segment{name: name})
	}
	return out, nil
}

// subParts reads the two forms of Fn::Sub's argument: text, and [text, variables].
func subParts(arg *Node, p Pos) (string, *Node, error) {
	if arg.Is(tree.String) {
		return arg.Text, nil, nil
	}
	if arg.Is(tree.List) && len(arg.Items) == 2 && arg.Items[0].Is(tree.String) && arg.Items[1].Is(tree.Map) {
		return arg.Items[0].Text, arg.Items[1], nil
	}
	return "", nil, tree.Errorf(p, "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string")
}

func (e *evaluator) sub(arg, n *Node) (result, error) {
	src, vars, err := subParts(arg, n.Pos)
	if err != nil {
		return result{}, err
	}
	segs, err := segments(src, n.Pos)
	if err != nil {
		return result{}, err
	}
	waits := false
	known := &Node{Kind: tree.Map, Pos: n.Pos}
	if vars != nil {
		// Not eval: a single variable named Ref would look like a function.
		r, err := e.fields(vars)
		if err != nil {
			return result{}, err
		}
		known, waits = r.node, r.pending
	}
	var b strings.Builder
	for _, s := range segs {
		if s.name == "" {
			b.WriteString(s.literal)
			continue
		}
		v, pending, err := e.variable(s.name, known, n)
		if err != nil {
			return result{}, err
		}
		if pending {
			waits = true
			continue
		}
		b.WriteString(v)
	}
	if !waits {
		return result{node: &Node{Kind: tree.String, Text: b.String(), Pos: n.Pos}}, nil
	}
	if vars == nil {
		return e.wait("Fn::Sub", arg, n)
	}
	return e.wait("Fn::Sub", at(tree.L(arg.Items[0], known), arg.Pos), n)
}

// variable is the text for one ${name}: a variable of the Sub, a parameter or pseudo parameter, a
// resource's id, or "Resource.Attribute".
func (e *evaluator) variable(name string, known, n *Node) (string, bool, error) {
	if v := known.Get(name); v != nil {
		if _, _, fn := v.Intrinsic(); fn {
			return "", true, nil
		}
		return scalarFor("Fn::Sub", v)
	}
	if v, ok := e.g.constant(name); ok {
		return scalarFor("Fn::Sub", at(v.Clone(), n.Pos))
	}
	id, attr, _ := strings.Cut(name, ".")
	v, pending, err := e.resource(id, attr, n)
	if err != nil || pending {
		return "", pending, err
	}
	return scalarFor("Fn::Sub", at(v, n.Pos))
}

func scalarFor(fn string, v *Node) (string, bool, error) {
	if v.Scalar() {
		return v.Text, false, nil
	}
	if fn == "Fn::Sub" && v.Is(tree.List) {
		// A list parameter in Fn::Sub is joined by commas.
		var parts []string
		for _, it := range v.Items {
			parts = append(parts, text(it))
		}
		return strings.Join(parts, ","), false, nil
	}
	return "", false, tree.Errorf(v.Pos, "Template error: every value of %s must be a string", fn)
}
