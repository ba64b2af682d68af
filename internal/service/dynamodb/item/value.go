package item

import (
	"sort"
	"strings"
)

// Type is the kind of a value; its String is the member name that the JSON form uses.
type Type uint8

// The kinds of value. Absent is the zero Value: no attribute at all.
const (
	Absent Type = iota
	String
	Number
	Binary
	StringSet
	NumberSet
	BinarySet
	Map
	List
	Bool
	Null
	invalid // a value that was sent but is not acceptable; text holds the reason
)

var typeNames = [...]string{"", "S", "N", "B", "SS", "NS", "BS", "M", "L", "BOOL", "NULL", ""}

// longNames are the words that the service uses for a type where an operator, rather than a
// function, refuses it.
var longNames = [...]string{"", "STRING", "NUMBER", "BINARY", "STRING_SET", "NUMBER_SET", "BINARY_SET",
	"MAP", "LIST", "BOOLEAN", "NULL", ""}

func (t Type) String() string { return typeNames[t] }

// LongName is the type as update operators word it: STRING, NUMBER, MAP …
func (t Type) LongName() string { return longNames[t] }

// TypeOf is the type that name (S, N, BOOL …) stands for, or Absent.
func TypeOf(name string) Type {
	for t := String; t <= Null; t++ {
		if typeNames[t] == name {
			return t
		}
	}
	return Absent
}

// IsSet reports whether t is one of the three set types.
func (t Type) IsSet() bool { return t == StringSet || t == NumberSet || t == BinarySet }

// Element is the type of a set's members: S for SS, N for NS, B for BS; Absent for other types.
func (t Type) Element() Type {
	if t.IsSet() {
		return t - StringSet + String
	}
	return Absent
}

// Value is one attribute value. The zero Value is absent.
type Value struct {
	typ   Type
	flag  bool    // BOOL
	text  string  // S, N (canonical), B (raw bytes); of an invalid value the reason
	list  []Value // L; SS, NS and BS sorted and without duplicates
	attrs Item    // M
}

// Attr is one named value of an item or map.
type Attr struct {
	Name  string
	Value Value
}

// Item is a set of attributes, sorted by name (bytewise) and without duplicates; build it with Of,
// With or ParseItem so that it stays so.
type Item []Attr

// S is a string value.
func S(s string) Value { return Value{typ: String, text: s} }

// B is a binary value; raw holds the bytes themselves, not base64.
func B(raw string) Value { return Value{typ: Binary, text: raw} }

// N is a number value; text in any form that DynamoDB reads. A text that is no number makes an
// invalid value, which Err explains.
func N(text string) Value {
	canon, msg := canonical(text)
	if msg != "" {
		return bad(msg)
	}
	return Value{typ: Number, text: canon}
}

// BOOL is a truth value.
func BOOL(b bool) Value { return Value{typ: Bool, flag: b} }

// NULL is the null value.
func NULL() Value { return Value{typ: Null} }

// L is a list value.
func L(vs ...Value) Value { return Value{typ: List, list: vs} }

// M is a map value.
func M(attrs Item) Value { return Value{typ: Map, attrs: attrs} }

// Of builds an item from attributes in any order; of equal names the last one counts.
func Of(attrs ...Attr) Item { return normalize(append(Item{}, attrs...)) }

func bad(msg string) Value { return Value{typ: invalid, text: msg} }

// Err is the reason why a value that was sent is not acceptable, as DynamoDB words it; empty for
// good values.
func (v Value) Err() string {
	if v.typ == invalid {
		return v.text
	}
	return ""
}

// Type is the value's kind.
func (v Value) Type() Type { return v.typ }

// Exists reports whether there is a value at all.
func (v Value) Exists() bool { return v.typ != Absent }

// Text is the string of an S, the canonical number of an N or the raw bytes of a B.
func (v Value) Text() string { return v.text }

// Elements are the members of a list or set; the caller must not change them.
func (v Value) Elements() []Value { return v.list }

// Attrs are the attributes of a map; the caller must not change them.
func (v Value) Attrs() Item { return v.attrs }

// Get is the attribute with that name, or the absent value.
func (it Item) Get(name string) Value {
	if i, ok := it.find(name); ok {
		return it[i].Value
	}
	return Value{}
}

// With is the item with name set to v; the receiver is left as it is.
func (it Item) With(name string, v Value) Item {
	i, ok := it.find(name)
	if ok {
		out := append(Item(nil), it...)
		out[i].Value = v
		return out
	}
	out := make(Item, 0, len(it)+1)
	out = append(append(append(out, it[:i]...), Attr{name, v}), it[i:]...)
	return out
}

// Without is the item without name; the receiver is left as it is.
func (it Item) Without(name string) Item {
	i, ok := it.find(name)
	if !ok {
		return it
	}
	out := make(Item, 0, len(it)-1)
	return append(append(out, it[:i]...), it[i+1:]...)
}

// Pick is the part of the item whose attributes are named; names that it has not are left out.
func (it Item) Pick(names ...string) Item {
	out := make(Item, 0, len(names))
	for _, n := range names {
		if i, ok := it.find(n); ok {
			out = append(out, it[i])
		}
	}
	return normalize(out)
}

// Err is the reason of the first attribute that is not acceptable, or empty.
func (it Item) Err() string {
	for i := range it {
		if it[i].Value.typ == invalid {
			return it[i].Value.text
		}
	}
	return ""
}

// find is where name is or would be inserted. Small items, the usual ones, are walked: comparing
// lengths first makes that cheaper than the binary search.
func (it Item) find(name string) (int, bool) {
	if len(it) > 12 {
		i := sort.Search(len(it), func(i int) bool { return it[i].Name >= name })
		return i, i < len(it) && it[i].Name == name
	}
	for i := range it {
		if it[i].Name >= name {
			return i, it[i].Name == name
		}
	}
	return len(it), false
}

// normalize sorts by name and keeps the last of equal names, in place.
func normalize(it Item) Item {
	sorted := true
	for i := 1; i < len(it); i++ {
		if it[i-1].Name >= it[i].Name {
			sorted = false
			break
		}
	}
	if sorted {
		return it
	}
	sort.SliceStable(it, func(i, j int) bool { return it[i].Name < it[j].Name })
	out := it[:0]
	for i := range it {
		if i+1 < len(it) && it[i+1].Name == it[i].Name {
			continue
		}
		out = append(out, it[i])
	}
	return out
}

// Set builds a set value of typ from its members (texts as Text gives them), which it sorts. It
// returns an invalid value when the set is empty or has duplicates.
func Set(typ Type, members ...string) Value {
	vs := make([]Value, len(members))
	for i, m := range members {
		if typ == NumberSet {
			vs[i] = N(m)
			if msg := vs[i].Err(); msg != "" {
				return vs[i]
			}
		} else {
			vs[i] = Value{typ: typ.Element(), text: m}
		}
	}
	return makeSet(typ, vs)
}

const invalidParam = "One or more parameter values were invalid: "

func makeSet(typ Type, members []Value) Value {
	if len(members) == 0 {
		switch typ { // the two spaces are the service's own
		case StringSet:
			return bad(invalidParam + "An string set  may not be empty")
		case NumberSet:
			return bad(invalidParam + "An number set  may not be empty")
		}
		return bad(invalidParam + "Binary sets should not be empty")
	}
	for _, m := range members {
		if m.text == "" && typ == StringSet {
			return bad(invalidParam + "An string set may not have a empty string as a member")
		}
		if m.text == "" && typ == BinarySet {
			return bad(invalidParam + "Binary sets may not contain null or empty values")
		}
	}
	sorted := members
	if !sort.SliceIsSorted(members, func(i, j int) bool { return less(members[i], members[j]) }) {
		sorted = append([]Value(nil), members...)
		sort.Slice(sorted, func(i, j int) bool { return less(sorted[i], sorted[j]) })
	}
	for i := 1; i < len(sorted); i++ {
		if sorted[i].text == sorted[i-1].text {
			return bad(duplicates(typ, members))
		}
	}
	return Value{typ: typ, list: sorted}
}

func duplicates(typ Type, members []Value) string {
	if typ == NumberSet {
		return "Input collection contains duplicates"
	}
	var b strings.Builder
	b.WriteString(invalidParam + "Input collection [")
	for i, m := range members {
		if b.Len() > 1000 { // a set may hold 400 KB; the answer need not repeat all of it
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if typ == BinarySet {
			b.WriteString(encodeBase64(m.text))
		} else {
			b.WriteString(m.text)
		}
	}
	if typ == BinarySet {
		return b.String() + "]of type BS contains duplicates."
	}
	return b.String() + "] contains duplicates."
}

// Merge is the item with each of the changes made: an absent value removes its attribute. The
// receiver is left as it is; changes need not be sorted.
func (it Item) Merge(changes Item) Item {
	if len(changes) == 0 {
		return it
	}
	all := normalize(append(append(make(Item, 0, len(it)+len(changes)), it...), changes...))
	out := all[:0]
	for _, a := range all {
		if a.Value.Exists() {
			out = append(out, a)
		}
	}
	return out
}
