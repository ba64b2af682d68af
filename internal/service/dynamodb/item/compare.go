package item

import "strings"

// Equal reports whether two values are of one type and have the same content; sets compare
// without order, numbers by value.
func Equal(a, b Value) bool {
	if a.typ != b.typ {
		return false
	}
	switch a.typ {
	case String, Number, Binary: // numbers are canonical, so that equal texts are equal numbers
		return a.text == b.text
	case Bool:
		return a.flag == b.flag
	case Null:
		return true
	case StringSet, NumberSet, BinarySet, List:
		if len(a.list) != len(b.list) {
			return false
		}
		for i := range a.list {
			if !Equal(a.list[i], b.list[i]) {
				return false
			}
		}
		return true
	case Map:
		return EqualItems(a.attrs, b.attrs)
	}
	return false
}

// EqualItems reports whether two items have the same attributes.
func EqualItems(a, b Item) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || !Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

// Compare orders two values of one ordered type (S by UTF-8 bytes, N by value, B by unsigned
// bytes). ok is false when they cannot be ordered.
func Compare(a, b Value) (c int, ok bool) {
	if a.typ != b.typ {
		return 0, false
	}
	switch a.typ {
	case String, Binary:
		return strings.Compare(a.text, b.text), true
	case Number:
		return compareNumbers(a.text, b.text), true
	}
	return 0, false
}

func less(a, b Value) bool {
	c, _ := Compare(a, b)
	return c < 0
}

// Contains reports whether v, as DynamoDB's contains function sees it, holds x: a string within a
// string, bytes within bytes, a member of a set, an element of a list.
func Contains(v, x Value) bool {
	switch v.typ {
	case String, Binary:
		return x.typ == v.typ && strings.Contains(v.text, x.text)
	case StringSet, NumberSet, BinarySet, List:
		for i := range v.list {
			if Equal(v.list[i], x) {
				return true
			}
		}
	}
	return false
}

// Union is the set of a's and b's members; both must be of one set type.
func Union(a, b Value) Value {
	out := make([]Value, 0, len(a.list)+len(b.list))
	i, j := 0, 0
	for i < len(a.list) && j < len(b.list) {
		switch {
		case less(a.list[i], b.list[j]):
			out = append(out, a.list[i])
			i++
		case less(b.list[j], a.list[i]):
			out = append(out, b.list[j])
			j++
		default:
			out = append(out, a.list[i])
			i, j = i+1, j+1
		}
	}
	out = append(append(out, a.list[i:]...), b.list[j:]...)
	return Value{typ: a.typ, list: out}
}

// Minus is the set of a's members that b has not; absent when none is left, because DynamoDB keeps
// no empty set.
func Minus(a, b Value) Value {
	var out []Value
	j := 0
	for i := range a.list {
		for j < len(b.list) && less(b.list[j], a.list[i]) {
			j++
		}
		if j < len(b.list) && b.list[j].text == a.list[i].text {
			continue
		}
		out = append(out, a.list[i])
	}
	if len(out) == 0 {
		return Value{}
	}
	return Value{typ: a.typ, list: out}
}
