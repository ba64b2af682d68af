package tree

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Value is n as Go values: nil, bool, int64, float64 (also whole numbers beyond int64), string,
// []any and map[string]any.
func (n *Node) Value() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Int:
		if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
			return i
		}
		f, _ := strconv.ParseFloat(n.Text, 64)
		return f
	case Float:
		f, _ := strconv.ParseFloat(n.Text, 64)
		return f
	case String:
		return n.Text
	case List:
		out := make([]any, len(n.Items))
		for i, it := range n.Items {
			out[i] = it.Value()
		}
		return out
	case Map:
		out := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			out[f.Key] = f.Value.Value()
		}
		return out
	}
	return nil
}

// FromValue is the tree of Go values as Value makes them, and of what encoding/json makes besides.
// Keys of maps are put in order. Other types are an error.
func FromValue(v any) (*Node, error) {
	switch v := v.(type) {
	case nil:
		return Nil(), nil
	case *Node:
		return v, nil
	case bool:
		return Truth(v), nil
	case int:
		return Integer(v), nil
	case int32:
		return Integer(int(v)), nil
	case int64:
		return &Node{Kind: Int, Text: strconv.FormatInt(v, 10)}, nil
	case float64:
		return number(v), nil
	case json.Number:
		return numberText(v.String()), nil
	case string:
		return Str(v), nil
	case []string:
		return Strs(v...), nil
	case []any:
		return fromList(v)
	case map[string]any:
		return fromMap(v)
	}
	return nil, fmt.Errorf("tree: a %T has no place in a template", v)
}

func fromList(v []any) (*Node, error) {
	n := L()
	for _, it := range v {
		c, err := FromValue(it)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, c)
	}
	return n, nil
}

func fromMap(v map[string]any) (*Node, error) {
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	n := M()
	for _, k := range keys {
		c, err := FromValue(v[k])
		if err != nil {
			return nil, err
		}
		n.Fields = append(n.Fields, Field{Key: k, Value: c})
	}
	return n, nil
}

func number(f float64) *Node {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return &Node{Kind: Int, Text: strconv.FormatInt(int64(f), 10)}
	}
	return &Node{Kind: Float, Text: floatText(f)}
}

func numberText(s string) *Node {
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			s = "0"
		}
		return &Node{Kind: Int, Text: s}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return &Node{Kind: String, Text: s} // out of range: keep what was written
	}
	return &Node{Kind: Float, Text: floatText(f)}
}

// floatText writes a float as Python's repr does: shortest digits that read back the same,
// an exponent below 1e-4 and from 1e16 on, and always a point or an exponent. The hashes in the
// names of SAM's generated resources depend on it.
func floatText(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// JSON renders n with keys in the order of the source; indent as for json.MarshalIndent, "" for
// one line.
func (n *Node) JSON(indent string) string {
	w := writer{indent: indent, item: ",", colon: ": "}
	if indent == "" {
		w.colon = ":"
	}
	w.node(n, 0)
	return w.b.String()
}

// Canonical renders n on one line with sorted keys and only ASCII: the form that is hashed.
func (n *Node) Canonical() string {
	w := writer{item: ",", colon: ":", sorted: true, ascii: true}
	w.node(n, 0)
	return w.b.String()
}

type writer struct {
	b                   strings.Builder
	indent, item, colon string
	sorted, ascii       bool
}

func (w *writer) node(n *Node, depth int) {
	if n == nil {
		w.b.WriteString("null")
		return
	}
	switch n.Kind {
	case Null:
		w.b.WriteString("null")
	case Bool, Int, Float:
		w.b.WriteString(n.Text)
	case String:
		w.str(n.Text)
	case List:
		w.list(n, depth)
	case Map:
		w.fields(n, depth)
	}
}

func (w *writer) list(n *Node, depth int) {
	w.b.WriteByte('[')
	for i, it := range n.Items {
		if i > 0 {
			w.b.WriteString(w.item)
		}
		w.line(depth + 1)
		w.node(it, depth+1)
	}
	if len(n.Items) > 0 {
		w.line(depth)
	}
	w.b.WriteByte(']')
}

func (w *writer) fields(n *Node, depth int) {
	fields := n.Fields
	if w.sorted {
		fields = append([]Field(nil), fields...)
		sort.Slice(fields, func(i, j int) bool { return fields[i].Key < fields[j].Key })
	}
	w.b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			w.b.WriteString(w.item)
		}
		w.line(depth + 1)
		w.str(f.Key)
		w.b.WriteString(w.colon)
		w.node(f.Value, depth+1)
	}
	if len(fields) > 0 {
		w.line(depth)
	}
	w.b.WriteByte('}')
}

func (w *writer) line(depth int) {
	if w.indent != "" {
		w.b.WriteByte('\n')
		for range depth {
			w.b.WriteString(w.indent)
		}
	}
}

func (w *writer) str(s string) {
	w.b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(r)
		case r == '\n':
			w.b.WriteString(`\n`)
		case r == '\r':
			w.b.WriteString(`\r`)
		case r == '\t':
			w.b.WriteString(`\t`)
		case r == '\b':
			w.b.WriteString(`\b`)
		case r == '\f':
			w.b.WriteString(`\f`)
		case r < 0x20, w.ascii && r >= 0x7f && r < 0x10000 && (r != 0x7f):
			fmt.Fprintf(&w.b, `\u%04x`, r)
		case w.ascii && r >= 0x10000:
			r -= 0x10000
			fmt.Fprintf(&w.b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		case r == utf8.RuneError:
			w.b.WriteRune(utf8.RuneError)
		default:
			w.b.WriteRune(r)
		}
	}
	w.b.WriteByte('"')
}
