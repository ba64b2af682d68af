package item

import (
	"encoding/binary"
	"errors"
)

// The binary form is what the store keeps: a version byte, then the attributes as count and
// (name, value) pairs; a value is its type byte and its content, lengths as unsigned varints.
// Equal items have equal bytes.
const binaryVersion = 1

// ErrCorrupt is returned for bytes that no item encodes to.
var ErrCorrupt = errors.New("item: stored bytes are not an item")

// AppendBinary appends the item's binary form.
func (it Item) AppendBinary(dst []byte) []byte {
	return appendAttrs(append(dst, binaryVersion), it)
}

func appendAttrs(dst []byte, it Item) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(it)))
	for i := range it {
		dst = appendText(dst, it[i].Name)
		dst = it[i].Value.appendBinary(dst)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (v Value) appendBinary(dst []byte) []byte {
	dst = append(dst, byte(v.typ))
	switch v.typ {
	case String, Number, Binary:
		return appendText(dst, v.text)
	case Bool:
		if v.flag {
			return append(dst, 1)
		}
		return append(dst, 0)
	case Map:
		return appendAttrs(dst, v.attrs)
	case List:
		dst = binary.AppendUvarint(dst, uint64(len(v.list)))
		for i := range v.list {
			dst = v.list[i].appendBinary(dst)
		}
	case StringSet, NumberSet, BinarySet: // the members' type follows from the set's
		dst = binary.AppendUvarint(dst, uint64(len(v.list)))
		for i := range v.list {
			dst = appendText(dst, v.list[i].text)
		}
	}
	return dst
}

// FromBinary reads what AppendBinary wrote. The item does not share data's memory.
func FromBinary(data []byte) (Item, error) {
	if len(data) == 0 || data[0] != binaryVersion {
		return nil, ErrCorrupt
	}
	r := reader{s: string(data[1:])} // one copy; names and texts are parts of it
	it := r.attrs(0)
	if r.failed || r.s != "" {
		return nil, ErrCorrupt
	}
	return it, nil
}

type reader struct {
	s      string
	failed bool
}

func (r *reader) byte() byte {
	if r.s == "" {
		r.failed = true
		return 0
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

// count reads a length; each counted thing takes at least one byte, so that a count beyond what
// is left is refused before anything is allocated for it.
func (r *reader) count() int {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if n > uint64(len(r.s)) {
				break
			}
			return int(n)
		}
	}
	r.failed = true
	r.s = ""
	return 0
}

func (r *reader) text() string {
	n := r.count()
	out := r.s[:n]
	r.s = r.s[n:]
	return out
}

func (r *reader) attrs(depth int) Item {
	n := r.count()
	it := make(Item, 0, min(n, 64)) // more only as more is really there
	for i := 0; i < n && !r.failed; i++ {
		name := r.text()
		if i > 0 && it[i-1].Name >= name {
			r.failed = true
		}
		it = append(it, Attr{name, r.value(depth + 1)})
	}
	return it
}

func (r *reader) value(depth int) Value {
	v := Value{typ: Type(r.byte())}
	if depth > MaxDepth {
		r.failed = true
		return v
	}
	switch v.typ {
	case String, Number, Binary:
		v.text = r.text()
	case Bool:
		v.flag = r.byte() == 1
	case Null:
	case Map:
		v.attrs = r.attrs(depth)
	case List:
		n := r.count()
		v.list = make([]Value, 0, min(n, 64))
		for i := 0; i < n && !r.failed; i++ {
			v.list = append(v.list, r.value(depth+1))
		}
	case StringSet, NumberSet, BinarySet:
		n := r.count()
		v.list = make([]Value, 0, min(n, 64))
		for i := 0; i < n && !r.failed; i++ {
			v.list = append(v.list, Value{typ: v.typ.Element(), text: r.text()})
		}
	default:
		r.failed = true
	}
	return v
}
