package item

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// scanner walks one JSON text. It checks as much grammar as reading needs; members that nobody
// knows are skipped without recursion, so that no depth of input can exhaust the stack.
type scanner struct {
	s string
	i int
}

func serialization(msg string) error { return awserr.New("SerializationException", 400, "%s", msg) }

// malformed is also what a text that ends early gets.
func (p *scanner) malformed() error {
	if p.i >= len(p.s) {
		return serialization("Unexpected end of JSON input")
	}
	return serialization("Unexpected character " + strconv.QuoteRune(rune(p.s[p.i])) + " at offset " + strconv.Itoa(p.i))
}

func (p *scanner) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// peek is the next significant byte, or 0 at the end.
func (p *scanner) peek() byte {
	p.space()
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// end reports whether nothing but space is left.
func (p *scanner) end() bool {
	p.space()
	return p.i == len(p.s)
}

func (p *scanner) eat(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

func (p *scanner) want(c byte) error {
	if !p.eat(c) {
		return p.malformed()
	}
	return nil
}

// word reads one of true, false and null.
func (p *scanner) word(w string) bool {
	if strings.HasPrefix(p.s[p.i:], w) {
		p.i += len(w)
		return true
	}
	return false
}

// str reads a JSON string; the result shares the text's memory when nothing is escaped.
func (p *scanner) str() (string, error) {
	if err := p.want('"'); err != nil {
		return "", err
	}
	start := p.i
	ascii := true
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			out := p.s[start:p.i]
			p.i++
			if !ascii {
				out = strings.ToValidUTF8(out, "\ufffd")
			}
			return out, nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.malformed()
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", p.malformed()
}

func (p *scanner) escaped(start int) (string, error) {
	b := append(make([]byte, 0, p.i-start+64), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			return strings.ToValidUTF8(string(b), "\ufffd"), nil
		case c < ' ':
			return "", p.malformed()
		case c != '\\':
			b = append(b, c)
			p.i++
		default:
			p.i++
			var ok bool
			if b, ok = p.escapeSequence(b); !ok {
				return "", p.malformed()
			}
		}
	}
	return "", p.malformed()
}

func (p *scanner) escapeSequence(b []byte) ([]byte, bool) {
	if p.i >= len(p.s) {
		return b, false
	}
	c := p.s[p.i]
	p.i++
	switch c {
	case '"', '\\', '/':
		return append(b, c), true
	case 'b':
		return append(b, '\b'), true
	case 'f':
		return append(b, '\f'), true
	case 'n':
		return append(b, '\n'), true
	case 'r':
		return append(b, '\r'), true
	case 't':
		return append(b, '\t'), true
	case 'u':
		r, ok := p.hex4()
		if !ok {
			return b, false
		}
		if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
			mark := p.i
			p.i += 2
			low, ok := p.hex4()
			if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
				return utf8.AppendRune(b, pair), true
			}
			p.i = mark
		}
		return utf8.AppendRune(b, r), true // a lone surrogate becomes U+FFFD
	}
	return b, false
}

func (p *scanner) hex4() (rune, bool) {
	if p.i+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
	p.i += 4
	return rune(n), err == nil
}

// skip passes over one value of any kind.
func (p *scanner) skip() error {
	depth := 0
	for {
		switch c := p.peek(); c {
		case 0:
			return p.malformed()
		case '"':
			if _, err := p.str(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			p.i++
			continue
		case '}', ']':
			depth--
			p.i++
		case ',', ':':
			if depth == 0 {
				return p.malformed()
			}
			p.i++
			continue
		default:
			if !p.literal() {
				return p.malformed()
			}
		}
		if depth <= 0 {
			if depth < 0 {
				return p.malformed()
			}
			return nil
		}
	}
}

// literal passes over a number, true, false or null.
func (p *scanner) literal() bool {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte("+-.0123456789eEtrufalsn", p.s[p.i]) >= 0 {
		p.i++
	}
	return p.i > start
}

// kind words what stands next as the service words a wrong type.
func (p *scanner) kind() string {
	switch p.peek() {
	case '"':
		return "STRING_VALUE"
	case 't':
		return "TRUE_VALUE"
	case 'f':
		return "FALSE_VALUE"
	}
	return "NUMBER_VALUE"
}

// members calls each for every member of the object that stands next; each must consume the
// member's value.
func (p *scanner) members(each func(name string) error) error {
	if err := p.want('{'); err != nil {
		return err
	}
	if p.eat('}') {
		return nil
	}
	for {
		p.space()
		name, err := p.str()
		if err != nil {
			return err
		}
		if err := p.want(':'); err != nil {
			return err
		}
		if err := each(name); err != nil {
			return err
		}
		if p.eat('}') {
			return nil
		}
		if err := p.want(','); err != nil {
			return err
		}
	}
}

// elements calls each for every element of the array that stands next.
func (p *scanner) elements(each func() error) error {
	if err := p.want('['); err != nil {
		return err
	}
	if p.eat(']') {
		return nil
	}
	for {
		if err := each(); err != nil {
			return err
		}
		if p.eat(']') {
			return nil
		}
		if err := p.want(','); err != nil {
			return err
		}
	}
}
