package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// node is one JSON value with the place where it begins. encoding/json is not used because it
// keeps the last of two equal keys, replaces broken UTF-8 and forgets positions: two readers could
// then see two policies in one document.
type node struct {
	kind   nodeKind
	text   string // the decoded string, the number as written, "true" or "false"
	fields []field
	items  []*node
	start  int // byte offsets into the document
	end    int
}

type field struct {
	key   string
	start int
	value *node
}

type nodeKind uint8

const (
	jsonObject nodeKind = iota
	jsonArray
	jsonString
	jsonNumber
	jsonBool
	jsonNull
)

type jsonReader struct {
	src   string
	pos   int
	depth int
}

// readJSON reads exactly one value from src, nested at most depth levels.
func readJSON(src string, depth int) (*node, *fault) {
	r := &jsonReader{src: src, depth: depth}
	n, err := r.value()
	if err != nil {
		return nil, err
	}
	r.space()
	if r.pos < len(src) {
		return nil, r.fail("unexpected text after the document")
	}
	return n, nil
}

func (r *jsonReader) fail(format string, args ...any) *fault {
	return &fault{at: r.pos, detail: fmt.Sprintf(format, args...)}
}

func (r *jsonReader) space() {
	for r.pos < len(r.src) {
		switch r.src[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *jsonReader) value() (*node, *fault) {
	r.space()
	if r.pos >= len(r.src) {
		return nil, r.fail("the document ends too early")
	}
	n := &node{start: r.pos}
	var err *fault
	switch c := r.src[r.pos]; {
	case c == '{' || c == '[':
		if r.depth--; r.depth < 0 {
			return nil, r.fail("nested too deeply")
		}
		if c == '{' {
			err = r.object(n)
		} else {
			err = r.array(n)
		}
		r.depth++
	case c == '"':
		n.kind = jsonString
		n.text, err = r.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind = jsonNumber
		n.text, err = r.number()
	default:
		err = r.word(n)
	}
	n.end = r.pos
	return n, err
}

func (r *jsonReader) word(n *node) *fault {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(r.src[r.pos:], w) {
			r.pos += len(w)
			n.kind, n.text = jsonBool, w
			if w == "null" {
				n.kind = jsonNull
			}
			return nil
		}
	}
	return r.fail("expected a JSON value")
}

func (r *jsonReader) object(n *node) *fault {
	n.kind = jsonObject
	r.pos++
	seen := map[string]bool{}
	for {
		r.space()
		if r.accept('}') && len(n.fields) == 0 {
			return nil
		}
		if r.pos >= len(r.src) || r.src[r.pos] != '"' {
			return r.fail("expected a key in double quotes")
		}
		f := field{start: r.pos}
		var err *fault
		if f.key, err = r.str(); err != nil {
			return err
		}
		if seen[f.key] {
			return &fault{at: f.start, detail: fmt.Sprintf("duplicate key %q", clip(f.key))}
		}
		seen[f.key] = true
		if r.space(); !r.accept(':') {
			return r.fail("expected a colon after the key")
		}
		if f.value, err = r.value(); err != nil {
			return err
		}
		n.fields = append(n.fields, f)
		r.space()
		if r.accept('}') {
			return nil
		}
		if !r.accept(',') {
			return r.fail("expected a comma or a closing brace")
		}
	}
}

func (r *jsonReader) array(n *node) *fault {
	n.kind = jsonArray
	r.pos++
	if r.space(); r.accept(']') {
		return nil
	}
	for {
		v, err := r.value()
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
		r.space()
		if r.accept(']') {
			return nil
		}
		if !r.accept(',') {
			return r.fail("expected a comma or a closing bracket")
		}
	}
}

func (r *jsonReader) accept(c byte) bool {
	if r.pos < len(r.src) && r.src[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

func (r *jsonReader) digits() int {
	from := r.pos
	for r.pos < len(r.src) && r.src[r.pos] >= '0' && r.src[r.pos] <= '9' {
		r.pos++
	}
	return r.pos - from
}

func (r *jsonReader) number() (string, *fault) {
	from := r.pos
	r.accept('-')
	lead := r.pos
	if n := r.digits(); n == 0 || n > 1 && r.src[lead] == '0' {
		return "", r.fail("not a number")
	}
	if r.accept('.') && r.digits() == 0 {
		return "", r.fail("not a number")
	}
	if r.accept('e') || r.accept('E') {
		if !r.accept('+') {
			r.accept('-')
		}
		if r.digits() == 0 {
			return "", r.fail("not a number")
		}
	}
	return r.src[from:r.pos], nil
}

// str reads a string; the common one without escapes is a slice of the document.
func (r *jsonReader) str() (string, *fault) {
	r.pos++
	from := r.pos
	for r.pos < len(r.src) {
		switch c := r.src[r.pos]; {
		case c == '"':
			s := r.src[from:r.pos]
			if !utf8.ValidString(s) {
				return "", r.fail("the text is not valid UTF-8")
			}
			r.pos++
			return s, nil
		case c == '\\':
			return r.escaped(from)
		case c < 0x20:
			return "", r.fail("control character in a string")
		default:
			r.pos++
		}
	}
	return "", r.fail("the string is not closed")
}

func (r *jsonReader) escaped(from int) (string, *fault) {
	var b strings.Builder
	b.WriteString(r.src[from:r.pos])
	for r.pos < len(r.src) {
		c := r.src[r.pos]
		switch {
		case c == '"':
			r.pos++
			if s := b.String(); utf8.ValidString(s) {
				return s, nil
			}
			return "", r.fail("the text is not valid UTF-8")
		case c < 0x20:
			return "", r.fail("control character in a string")
		case c == '\\':
			if err := r.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			r.pos++
		}
	}
	return "", r.fail("the string is not closed")
}

func (r *jsonReader) escape(b *strings.Builder) *fault {
	rest := r.src[r.pos:]
	if len(rest) < 2 {
		return r.fail("the string is not closed")
	}
	if i := strings.IndexByte(`"\/bfnrt`, rest[1]); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		r.pos += 2
		return nil
	}
	c, ok := hex4(rest)
	if !ok {
		return r.fail("unknown escape in a string")
	}
	r.pos += 6
	if utf16.IsSurrogate(c) {
		low, ok := hex4(r.src[r.pos:])
		if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
			return r.fail("half of a surrogate pair in a string")
		}
		r.pos += 6
	}
	b.WriteRune(c)
	return nil
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}
