package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Key is a tuple of strings, byte strings and integers, encoded so that comparing the bytes
// compares the tuples part by part. Keys are comparable with ==. The zero Key is the empty tuple,
// the prefix of every key.
type Key struct{ s string }

// Part tags. A string or byte string follows its tag, with 0x00 written as 0x01 0x01 and 0x01 as
// 0x01 0x02, and ends with 0x00: so the end sorts below any continuation and cannot be mistaken
// for content, which keeps the rows under a prefix together and apart from others.
// An integer follows its tag in eight big-endian bytes with the sign bit flipped.
const (
	tagBytes  = 0x01
	tagString = 0x02
	tagInt    = 0x03
)

var errKey = errors.New("store: malformed key")

// K makes a key of string, []byte, int and int64 parts, and panics on any other type, which only
// a programming error can pass.
func K(parts ...any) Key { return Key{}.With(parts...) }

// With is k followed by more parts.
func (k Key) With(parts ...any) Key {
	b := make([]byte, 0, len(k.s)+24*len(parts))
	b = append(b, k.s...)
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(appendEscaped(append(b, tagString), p), 0)
		case []byte:
			b = append(appendEscaped(append(b, tagBytes), string(p)), 0)
		case int:
			b = appendInt(b, int64(p))
		case int64:
			b = appendInt(b, p)
		default:
			panic(fmt.Sprintf("store: a key part cannot be a %T", p))
		}
	}
	return Key{string(b)}
}

// Begin is k followed by the beginning of a string part: a scan under it yields the keys whose
// next part starts with s. It is not a row's key.
func (k Key) Begin(s string) Key {
	return Key{string(appendEscaped(append([]byte(k.s), tagString), s))}
}

// End is the smallest bound above every key that k is a prefix of, for Range.From and Range.To.
func (k Key) End() Key { return Key{string(successor([]byte(k.s)))} }

// Bytes is the key's encoding, and KeyOf its inverse: what a page token carries.
func (k Key) Bytes() []byte { return []byte(k.s) }

// KeyOf reads an encoding that Bytes made; b may come from outside.
func KeyOf(b []byte) (Key, error) {
	k := Key{string(b)}
	if _, err := k.parts(); err != nil {
		return Key{}, err
	}
	return k, nil
}

// IsZero reports whether k is the empty tuple.
func (k Key) IsZero() bool { return k.s == "" }

// Len is the number of parts.
func (k Key) Len() int { return len(k.Parts()) }

// Parts are the key's parts: string, []byte or int64. A key made by Begin or End has none.
func (k Key) Parts() []any {
	p, err := k.parts()
	if err != nil {
		return nil
	}
	return p
}

// Text is the string in part i, or "" if there is none.
func (k Key) Text(i int) string {
	if p := k.Parts(); i < len(p) {
		s, _ := p[i].(string)
		return s
	}
	return ""
}

// Int is the integer in part i, or 0 if there is none.
func (k Key) Int(i int) int64 {
	if p := k.Parts(); i < len(p) {
		n, _ := p[i].(int64)
		return n
	}
	return 0
}

// String shows the parts, for messages.
func (k Key) String() string {
	var b strings.Builder
	for i, p := range k.Parts() {
		if i > 0 {
			b.WriteByte('/')
		}
		switch p := p.(type) {
		case string:
			b.WriteString(strconv.Quote(p))
		default:
			fmt.Fprintf(&b, "%v", p)
		}
	}
	return b.String()
}

func (k Key) parts() ([]any, error) {
	var out []any
	for s := k.s; s != ""; {
		tag := s[0]
		s = s[1:]
		switch tag {
		case tagInt:
			if len(s) < 8 {
				return nil, errKey
			}
			out = append(out, int64(binary.BigEndian.Uint64([]byte(s[:8]))^(1<<63)))
			s = s[8:]
		case tagString, tagBytes:
			text, rest, ok := unescape(s)
			if !ok {
				return nil, errKey
			}
			if tag == tagString {
				out = append(out, text)
			} else {
				out = append(out, []byte(text))
			}
			s = rest
		default:
			return nil, errKey
		}
	}
	return out, nil
}

func appendInt(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, tagInt), uint64(n)^(1<<63))
}

func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexAny(s, "\x00\x01")
		if i < 0 {
			return append(b, s...)
		}
		b = append(append(b, s[:i]...), 0x01, s[i]+1)
		s = s[i+1:]
	}
}

func unescape(s string) (text, rest string, ok bool) {
	text, rest, ok = strings.Cut(s, "\x00")
	if !ok || strings.IndexByte(text, 1) < 0 {
		return text, rest, ok
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == 1 {
			if i++; i == len(text) || text[i] != 1 && text[i] != 2 {
				return "", "", false
			}
			c = text[i] - 1
		}
		b = append(b, c)
	}
	return string(b), rest, true
}

// successor is the smallest byte string above every one that begins with b; nil if there is none.
func successor(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xFF {
			out := append([]byte(nil), b[:i+1]...)
			out[i]++
			return out
		}
	}
	return nil
}
