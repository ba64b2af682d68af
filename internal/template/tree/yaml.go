package tree

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlReader turns the library's nodes into ours. It resolves plain scalars itself, since
// CloudFormation reads YAML 1.1 (yes, no, on, off and 0777) without timestamps, where the library
// reads a mixture.
type yamlReader struct {
	budget
	open map[*yaml.Node]bool // anchors being expanded, to see one that holds itself
}

func parseYAML(src []byte) (*Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, Errorf(Pos{}, "Template format error: unsupported structure.")
		}
		return nil, yamlError(err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		return nil, Errorf(Pos{more.Line, more.Column}, "%s More than one document in the template.", notYAML)
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlError(err)
	}
	r := &yamlReader{budget: budget{MaxValues}, open: map[*yaml.Node]bool{}}
	n := &doc
	if doc.Kind == yaml.DocumentNode {
		if len(doc.Content) == 0 {
			return nil, Errorf(Pos{}, "Template format error: unsupported structure.")
		}
		n = doc.Content[0]
	}
	return r.value(n, 0)
}

func yamlError(err error) error {
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		m := e.Mark
		if m.Line == 0 {
			m = e.ContextMark
		}
		return Errorf(Pos{m.Line, m.Column}, "%s %s", notYAML, e.Message)
	}
	return Errorf(Pos{}, "%s", notYAML)
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*Node, error) {
	p := Pos{y.Line, y.Column}
	if err := r.spend(p, depth); err != nil {
		return nil, err
	}
	if y.Kind == yaml.AliasNode {
		if y.Alias == nil || r.open[y.Alias] {
			return nil, Errorf(p, "%s An alias may not hold itself.", notYAML)
		}
		return r.value(y.Alias, depth)
	}
	if y.Anchor != "" {
		r.open[y] = true
		defer delete(r.open, y)
	}
	if fn, ok := function(y.Tag); ok {
		return r.call(fn, y, depth)
	}
	return r.plain(y, depth)
}

// function is the long name of a short-form tag.
func function(tag string) (string, bool) {
	if !strings.HasPrefix(tag, "!") || strings.HasPrefix(tag, "!!") || len(tag) < 2 {
		return "", false
	}
	if tag == "!Ref" || tag == "!Condition" {
		return tag[1:], true
	}
	return "Fn::" + tag[1:], true
}

func (r *yamlReader) call(fn string, y *yaml.Node, depth int) (*Node, error) {
	arg, err := r.plain(y, depth+1)
	if err != nil {
		return nil, err
	}
	// The argument of a tag is text, whatever it looks like: !Ref 123, !Sub 1.0.
	if y.Kind == yaml.ScalarNode {
		arg.Kind, arg.Text = String, y.Value
	}
	if fn == "Fn::GetAtt" && arg.Kind == String {
		id, attr, ok := strings.Cut(arg.Text, ".")
		list := L(&Node{Kind: String, Text: id, Pos: arg.Pos})
		if ok {
			list.Add(&Node{Kind: String, Text: attr, Pos: arg.Pos})
		}
		list.Pos = arg.Pos
		arg = list
	}
	return &Node{Kind: Map, Pos: arg.Pos, Fields: []Field{{fn, arg.Pos, arg}}}, nil
}

// plain reads y without its short-form tag.
func (r *yamlReader) plain(y *yaml.Node, depth int) (*Node, error) {
	p := Pos{y.Line, y.Column}
	switch y.Kind {
	case yaml.SequenceNode:
		n := &Node{Kind: List, Pos: p}
		for _, c := range y.Content {
			v, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, v)
		}
		return n, nil
	case yaml.MappingNode:
		return r.mapping(y, depth)
	case yaml.ScalarNode:
		return scalar(y, p)
	}
	return nil, Errorf(p, notYAML)
}

func (r *yamlReader) mapping(y *yaml.Node, depth int) (*Node, error) {
	n := &Node{Kind: Map, Pos: Pos{y.Line, y.Column}}
	seen := map[string]Pos{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		p := Pos{k.Line, k.Column}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k == nil || k.Kind != yaml.ScalarNode {
			return nil, Errorf(p, "Template format error: a key must be a string.")
		}
		if k.Value == "<<" && k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
			merges = append(merges, v)
			continue
		}
		if first, dup := seen[k.Value]; dup {
			return nil, duplicate(k.Value, first, p)
		}
		seen[k.Value] = p
		c, err := r.value(v, depth+1)
		if err != nil {
			return nil, err
		}
		n.Fields = append(n.Fields, Field{k.Value, p, c})
	}
	for _, m := range merges {
		if err := r.merge(n, m, seen, depth); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// merge adds the entries of `<<: *anchor` (or of a list of anchors) that n does not have.
func (r *yamlReader) merge(n *Node, y *yaml.Node, seen map[string]Pos, depth int) error {
	v, err := r.value(y, depth+1)
	if err != nil {
		return err
	}
	from := []*Node{v}
	if v.Kind == List {
		from = v.Items
	}
	for _, m := range from {
		if m.Kind != Map {
			return Errorf(m.Pos, "%s A merge key needs a map.", notYAML)
		}
		for _, f := range m.Fields {
			if _, has := seen[f.Key]; !has {
				seen[f.Key] = f.Pos
				n.Fields = append(n.Fields, f)
			}
		}
	}
	return nil
}

var (
	decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9_]*)$`)
	octal   = regexp.MustCompile(`^[-+]?0[0-7_]+$`)
	based   = regexp.MustCompile(`^[-+]?0(x[0-9a-fA-F_]+|b[01_]+)$`)
	float   = regexp.MustCompile(`^[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?)$`)
)

func scalar(y *yaml.Node, p Pos) (*Node, error) {
	n := &Node{Kind: String, Pos: p, Text: y.Value}
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if y.Style&quoted != 0 || strings.HasPrefix(y.Tag, "!") && !strings.HasPrefix(y.Tag, "!!") {
		return n, nil
	}
	if y.Style&yaml.TaggedStyle != 0 {
		switch y.Tag {
		case "!!str":
			return n, nil
		case "!!binary", "!!omap", "!!pairs", "!!set", "!!timestamp":
			return nil, Errorf(p, "%s The tag %s is not supported.", notYAML, y.Tag)
		}
	}
	if k, text, ok := resolve(y.Value); ok {
		n.Kind, n.Text = k, text
	}
	return n, nil
}

// resolve reads a plain scalar by YAML 1.1's rules; timestamps and base-60 numbers stay text, as
// in CloudFormation ("2012-10-17", "22:22").
func resolve(s string) (Kind, string, bool) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return Null, "", true
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return Bool, "true", true
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		return Bool, "false", true
	}
	digits := strings.TrimPrefix(strings.ReplaceAll(s, "_", ""), "+")
	switch {
	case len(s) > 64:
	case decimal.MatchString(s):
		if digits == "-0" {
			digits = "0"
		}
		return Int, digits, true
	case octal.MatchString(s):
		i, err := strconv.ParseInt(digits, 8, 64)
		return Int, strconv.FormatInt(i, 10), err == nil
	case based.MatchString(s):
		i, err := strconv.ParseInt(digits, 0, 64)
		return Int, strconv.FormatInt(i, 10), err == nil
	case float.MatchString(s):
		f, err := strconv.ParseFloat(digits, 64)
		return Float, floatText(f), err == nil
	}
	return Null, "", false
}
