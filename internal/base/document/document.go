// Package document reads a JSON or YAML document that a caller sent, such as an OpenAPI definition,
// into a Value that can be asked for its parts without checking each step:
//
//	doc, err := document.Parse(body)
//	doc.Get("info", "title").Text()
//
// What is not there is the zero Value, whose parts are not there either. Size, depth and the number
// of values are bounded, so that a document cannot cost more than its length.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Limits of what Parse accepts.
const (
	MaxSize   = 6 << 20 // bytes: API Gateway's for an imported definition
	MaxDepth  = 100     // nested lists and maps
	MaxValues = 300_000
)

// Errors of Parse, beside those of the syntax.
var (
	ErrTooLarge  = errors.New("the document is too large")
	ErrTooDeep   = errors.New("the document is nested too deeply")
	ErrDuplicate = errors.New("the document has a key twice")
	ErrForm      = errors.New("the document is not a map")
)

// Value is a part of a document: a map, a list, text, a number, a boolean, or nothing.
type Value struct{ v any }

// Parse reads JSON or YAML whose outermost value is a map.
func Parse(b []byte) (Value, error) {
	if len(b) > MaxSize {
		return Value{}, ErrTooLarge
	}
	var root yaml.Node
	// JSON as API Gateway takes it is YAML too, but for tabs between its tokens.
	if trimmed := bytes.TrimSpace(b); len(trimmed) > 0 && trimmed[0] == '{' {
		if v, err := parseJSON(trimmed); err == nil {
			return v, nil
		} else if errors.Is(err, ErrTooDeep) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrDuplicate) {
			return Value{}, err
		}
	}
	if err := yaml.Unmarshal(b, &root); err != nil {
		return Value{}, fmt.Errorf("the document cannot be read: %w", err)
	}
	if len(root.Content) != 1 {
		return Value{}, ErrForm
	}
	r := reader{left: MaxValues}
	v, err := r.node(root.Content[0], 0)
	if err != nil {
		return Value{}, err
	}
	if _, ok := v.(map[string]any); !ok {
		return Value{}, ErrForm
	}
	return Value{v}, nil
}

func parseJSON(b []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	r := reader{left: MaxValues}
	v, err := r.json(d, 0)
	if err != nil {
		return Value{}, err
	}
	if d.More() {
		return Value{}, errors.New("the document has something behind its end")
	}
	return Value{v}, nil
}

// reader counts what it has read.
type reader struct{ left int }

func (r *reader) count(depth int) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	if r.left--; r.left < 0 {
		return ErrTooLarge
	}
	return nil
}

func (r *reader) json(d *json.Decoder, depth int) (any, error) {
	if err := r.count(depth); err != nil {
		return nil, err
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(d, depth)
		}
		list := []any{}
		for d.More() {
			v, err := r.json(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	case json.Number:
		return number(t.String()), nil
	}
	return t, nil
}

func (r *reader) object(d *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		k, ok := t.(string)
		if !ok {
			return nil, ErrForm
		}
		if _, twice := m[k]; twice {
			return nil, fmt.Errorf("%w: %q", ErrDuplicate, k)
		}
		if m[k], err = r.json(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return m, err
}

func (r *reader) node(n *yaml.Node, depth int) (any, error) {
	if err := r.count(depth); err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			v, err := r.node(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i].Value // "200" and 200 are the same key to OpenAPI
			if _, twice := m[k]; twice {
				return nil, fmt.Errorf("%w: %q", ErrDuplicate, k)
			}
			v, err := r.node(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m[k] = v
		}
		return m, nil
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int", "!!float":
		return number(n.Value), nil
	}
	return n.Value, nil
}

// number keeps a number in its own notation, so that an account's number loses no digit.
// What YAML takes for one and JSON does not (0x1F, 1_000) stays text.
func number(s string) any {
	if !json.Valid([]byte(s)) {
		return s
	}
	return json.Number(s)
}

// Of is a Value of what encoding/json makes.
func Of(v any) Value { return Value{v} }

// Get is the part that the keys lead to.
func (v Value) Get(keys ...string) Value {
	for _, k := range keys {
		m, _ := v.v.(map[string]any)
		v = Value{m[k]}
	}
	return v
}

// Exists reports whether there is a value, and it is not null.
func (v Value) Exists() bool { return v.v != nil }

// Keys are a map's keys in order; none of another value.
func (v Value) Keys() []string {
	m, _ := v.v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// IsMap reports whether the value is a map.
func (v Value) IsMap() bool { _, ok := v.v.(map[string]any); return ok }

// List is a list's values; a value that is no list is a list of itself.
func (v Value) List() []Value {
	list, ok := v.v.([]any)
	if !ok {
		if v.v == nil {
			return nil
		}
		return []Value{v}
	}
	out := make([]Value, len(list))
	for i, x := range list {
		out[i] = Value{x}
	}
	return out
}

// Texts is List, as text.
func (v Value) Texts() []string {
	var out []string
	for _, x := range v.List() {
		out = append(out, x.Text())
	}
	return out
}

// Text is text, or a number or boolean as it is written; else "".
func (v Value) Text() string {
	switch x := v.v.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case int:
		return strconv.Itoa(x)
	case int64:
		return strconv.FormatInt(x, 10)
	}
	return ""
}

// Pointer is Text, nil where there is none.
func (v Value) Pointer() *string {
	if v.v == nil {
		return nil
	}
	s := v.Text()
	return &s
}

// Int is a whole number, also one written as text, and whether there is one.
func (v Value) Int() (int32, bool) {
	f, err := strconv.ParseFloat(v.Text(), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, false
	}
	return int32(f), true
}

// Bool is a truth, also one written as text, and whether there is one.
func (v Value) Bool() (value, ok bool) {
	switch v.Text() {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// TextMap is a map of text.
func (v Value) TextMap() map[string]string {
	m, _ := v.v.(map[string]any)
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, x := range m {
		out[k] = Value{x}.Text()
	}
	return out
}

// JSON is the value as JSON, its keys in order.
func (v Value) JSON() string {
	b, err := json.Marshal(v.v)
	if err != nil {
		return "" // cannot be: only what encoding/json knows is ever kept
	}
	return string(b)
}

// With is a map with another value under a key; nil takes the key away.
func (v Value) With(key string, value any) Value {
	m, ok := v.v.(map[string]any)
	if !ok {
		return v
	}
	m = maps.Clone(m)
	if m[key] = value; value == nil {
		delete(m, key)
	}
	return Value{m}
}

// Settled is the value without what a template's functions have yet to say: maps of the one key Ref or
// Fn::….
func (v Value) Settled() Value { return Value{settled(v.v)} }

func settled(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, settled(x))
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			if len(v) == 1 && (k == "Ref" || strings.HasPrefix(k, "Fn::")) {
				return nil
			}
			if x = settled(x); x != nil {
				out[k] = x
			}
		}
		return out
	}
	return v
}
