// Package tree is a template as a tree of values, each of which knows where it was written.
//
// A Node is a null, boolean, number, string, list or map. Maps keep the order of their keys and
// refuse a key given twice. A short-form tag is read into its long form, so that
//
//	Name: !Sub "${Stage}-tasks"      # line 3, column 9
//
// and {"Name": {"Fn::Sub": "${Stage}-tasks"}} are the same tree but for the positions. Parse reads
// YAML (1.1, as CloudFormation does) and JSON, within limits of size, depth and number of values.
package tree

import (
	"fmt"
	"strconv"
)

// Kind says what a Node holds.
type Kind uint8

// The kinds of values. Int and Float are kept as their canonical text, so that a large account
// number loses no digit.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

// Pos is a place in the source, both counted from 1; the zero Pos is "nowhere".
type Pos struct{ Line, Column int }

func (p Pos) String() string {
	return "line " + strconv.Itoa(p.Line) + ", column " + strconv.Itoa(p.Column)
}

// Field is one entry of a map. Pos is where the key stands.
type Field struct {
	Key   string
	Pos   Pos
	Value *Node
}

// Node is one value. Text holds a string, the canonical form of a number, or "true" and "false".
type Node struct {
	Kind   Kind
	Pos    Pos
	Text   string
	Items  []*Node
	Fields []Field
}

// Str, Integer, Truth, Nil, L and M build values that stand nowhere yet (see At).

// Str is a string.
func Str(s string) *Node { return &Node{Kind: String, Text: s} }

// Integer is a whole number.
func Integer(i int) *Node { return &Node{Kind: Int, Text: strconv.Itoa(i)} }

// Truth is a boolean.
func Truth(b bool) *Node { return &Node{Kind: Bool, Text: strconv.FormatBool(b)} }

// Nil is null.
func Nil() *Node { return &Node{} }

// L is a list of items.
func L(items ...*Node) *Node { return &Node{Kind: List, Items: items} }

// Strs is a list of strings.
func Strs(ss ...string) *Node {
	n := L()
	for _, s := range ss {
		n.Items = append(n.Items, Str(s))
	}
	return n
}

// M is a map of alternating keys (string) and values (*Node, string, int or bool). A nil value
// leaves its key out.
func M(pairs ...any) *Node {
	n := &Node{Kind: Map}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := of(pairs[i+1]); v != nil {
			n.Fields = append(n.Fields, Field{Key: pairs[i].(string), Value: v})
		}
	}
	return n
}

func of(v any) *Node {
	switch v := v.(type) {
	case *Node:
		return v
	case string:
		return Str(v)
	case int:
		return Integer(v)
	case bool:
		return Truth(v)
	}
	panic(fmt.Sprintf("tree: M cannot hold %T", v))
}

// Is reports whether n exists and is of the kind.
func (n *Node) Is(k Kind) bool { return n != nil && n.Kind == k }

// Absent reports whether n does not exist or is null.
func (n *Node) Absent() bool { return n == nil || n.Kind == Null }

// IsString reports whether n is exactly the string s.
func (n *Node) IsString(s string) bool { return n.Is(String) && n.Text == s }

// True reports whether n is the boolean true.
func (n *Node) True() bool { return n.Is(Bool) && n.Text == "true" }

// Empty reports whether n says nothing: absent, false, zero, or an empty string, list or map.
func (n *Node) Empty() bool {
	if n == nil {
		return true
	}
	switch n.Kind {
	case Null:
		return true
	case Bool:
		return n.Text != "true"
	case Int, Float:
		f, err := strconv.ParseFloat(n.Text, 64)
		return err == nil && f == 0
	case String:
		return n.Text == ""
	case List:
		return len(n.Items) == 0
	}
	return len(n.Fields) == 0
}

// Scalar reports whether n is a string, number or boolean.
func (n *Node) Scalar() bool { return n != nil && n.Kind >= Bool && n.Kind <= String }

// Get is the value of a key, nil when n is not a map or has no such key.
func (n *Node) Get(key string) *Node {
	if f := n.Field(key); f != nil {
		return f.Value
	}
	return nil
}

// Field is the entry of a key, nil when there is none.
func (n *Node) Field(key string) *Field {
	if !n.Is(Map) {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Key == key {
			return &n.Fields[i]
		}
	}
	return nil
}

// Has reports whether a map has the key, whatever its value.
func (n *Node) Has(key string) bool { return n.Field(key) != nil }

// Dig follows keys through maps; nil when one is missing.
func (n *Node) Dig(keys ...string) *Node {
	for _, k := range keys {
		n = n.Get(k)
	}
	return n
}

// Set puts a value under a key, in the place of an older value or at the end.
func (n *Node) Set(key string, v *Node) {
	if f := n.Field(key); f != nil {
		f.Value = v
		return
	}
	n.Fields = append(n.Fields, Field{Key: key, Pos: v.Pos, Value: v})
}

// Delete takes a key out of a map.
func (n *Node) Delete(key string) {
	if n == nil {
		return
	}
	for i := range n.Fields {
		if n.Fields[i].Key == key {
			n.Fields = append(n.Fields[:i:i], n.Fields[i+1:]...)
			return
		}
	}
}

// Add appends items to a list.
func (n *Node) Add(items ...*Node) { n.Items = append(n.Items, items...) }

// Clone is a deep copy.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Items, c.Fields = nil, nil
	for _, it := range n.Items {
		c.Items = append(c.Items, it.Clone())
	}
	for _, f := range n.Fields {
		c.Fields = append(c.Fields, Field{f.Key, f.Pos, f.Value.Clone()})
	}
	return &c
}

// At gives n, and everything in it that stands nowhere, the position p.
func (n *Node) At(p Pos) *Node {
	if n == nil {
		return nil
	}
	if n.Pos == (Pos{}) {
		n.Pos = p
	}
	for _, it := range n.Items {
		it.At(n.Pos)
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		if f.Pos == (Pos{}) {
			f.Pos = n.Pos
		}
		f.Value.At(f.Pos)
	}
	return n
}

// Equal compares values and ignores positions and the order of keys.
func Equal(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !Equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Fields {
		if !Equal(a.Fields[i].Value, b.Get(a.Fields[i].Key)) {
			return false
		}
	}
	return true
}

// Intrinsic reports the function that n calls: a map of the one key Ref, Condition or Fn::….
func (n *Node) Intrinsic() (name string, arg *Node, ok bool) {
	if !n.Is(Map) || len(n.Fields) != 1 {
		return "", nil, false
	}
	k := n.Fields[0].Key
	if k == "Ref" || k == "Condition" || len(k) > 4 && k[:4] == "Fn::" {
		return k, n.Fields[0].Value, true
	}
	return "", nil, false
}

// NoValue reports whether n is {"Ref": "AWS::NoValue"}, which removes what it is the value of.
func (n *Node) NoValue() bool {
	name, arg, ok := n.Intrinsic()
	return ok && name == "Ref" && arg.IsString("AWS::NoValue")
}

// List is the items of a list, none for anything else.
func (n *Node) List() []*Node {
	if n.Is(List) {
		return n.Items
	}
	return nil
}

// Map is the entries of a map, none for anything else.
func (n *Node) Map() []Field {
	if n.Is(Map) {
		return n.Fields
	}
	return nil
}

// Place gives n and everything in it the position p, whatever they had: what comes from another
// file has its place where the file is named.
func (n *Node) Place(p Pos) {
	n.Pos = p
	for _, it := range n.Items {
		it.Place(p)
	}
	for i := range n.Fields {
		n.Fields[i].Pos = p
		n.Fields[i].Value.Place(p)
	}
}
