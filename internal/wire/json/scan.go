package json

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound what a document may cost. Zero members take the defaults.
type Limits struct {
	Depth    int // of nested arrays and objects; 256 by default
	Elements int // decoded list elements and map entries in all; 200,000 by default
}

const (
	defaultDepth    = 256
	defaultElements = 200_000
)

// SyntaxError is a body that is no JSON, or JSON beyond the limits.
type SyntaxError struct {
	Offset int
	What   string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at offset %d", e.What, e.Offset) }

// TypeError is JSON of another type than the model has, worded as AWS words it.
type TypeError struct{ What string }

func (e *TypeError) Error() string { return e.What }

// scanner walks over the bytes of one document.
type scanner struct {
	data  []byte
	pos   int
	depth int // levels that may still be opened
}

func (s *scanner) fail(what string) error { return &SyntaxError{s.pos, what} }

// peek is the next byte that is no white space; 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.fail("expected '" + string(rune(c)) + "'")
	}
	s.pos++
	return nil
}

func (s *scanner) open() error {
	if s.depth--; s.depth < 0 {
		return s.fail("nesting is too deep")
	}
	s.pos++
	return nil
}

func (s *scanner) close() { s.depth++; s.pos++ }

// next moves to the next element of an array or object that ends with end; first is whether none
// was read yet. It reports false, past the end, when there is none.
func (s *scanner) next(end byte, first bool) (bool, error) {
	c := s.peek()
	if c == end {
		s.close()
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, s.fail("expected ',' or '" + string(rune(end)) + "'")
	}
	s.pos++
	if s.peek() == end {
		return false, s.fail("unexpected trailing comma")
	}
	return true, nil
}

// literal steps over true, false or null.
func (s *scanner) literal(word string) error {
	if end := s.pos + len(word); end <= len(s.data) && string(s.data[s.pos:end]) == word {
		s.pos = end
		return nil
	}
	return s.fail("invalid literal")
}

// number steps over a number and returns its bytes.
func (s *scanner) number() ([]byte, error) {
	start, d := s.pos, s.data
	i := start
	digits := func() bool {
		from := i
		for i < len(d) && d[i] >= '0' && d[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(d) && d[i] == '-' {
		i++
	}
	if i < len(d) && d[i] == '0' {
		i++
	} else if !digits() {
		return nil, s.fail("invalid number")
	}
	if i < len(d) && d[i] == '.' {
		i++
		if !digits() {
			return nil, s.fail("invalid number")
		}
	}
	if i < len(d) && (d[i] == 'e' || d[i] == 'E') {
		i++
		if i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		if !digits() {
			return nil, s.fail("invalid number")
		}
	}
	s.pos = i
	return d[start:i], nil
}

// rawString steps over a string and returns what stands between the quotes, and whether it holds
// escapes.
func (s *scanner) rawString() (raw []byte, escaped bool, err error) {
	start := s.pos + 1
	ascii := true
	for i := start; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			raw = s.data[start:i]
			s.pos = i + 1
			if !ascii && !utf8.Valid(raw) {
				return nil, false, s.fail("invalid UTF-8 in string")
			}
			return raw, escaped, nil
		case c == '\\':
			n, err := s.escape(i)
			if err != nil {
				return nil, false, err
			}
			escaped = true
			i += n
		case c < 0x20:
			s.pos = i
			return nil, false, s.fail("control character in string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.pos = len(s.data)
	return nil, false, s.fail("unexpected end of string")
}

// escape checks the escape whose backslash stands at i and says how many bytes follow it.
func (s *scanner) escape(i int) (int, error) {
	if i+1 < len(s.data) {
		switch s.data[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			return 1, nil
		case 'u':
			if i+6 <= len(s.data) {
				if _, err := strconv.ParseUint(string(s.data[i+2:i+6]), 16, 32); err == nil {
					return 5, nil
				}
			}
		}
	}
	s.pos = i
	return 0, s.fail("invalid escape in string")
}

// text is the string at the scanner.
func (s *scanner) text() (string, error) {
	if s.peek() != '"' {
		return "", s.fail("expected a string")
	}
	raw, escaped, err := s.rawString()
	if err != nil || !escaped {
		return string(raw), err
	}
	return string(unescape(raw)), nil
}

// unescape resolves the escapes of a string that rawString has checked; a lone surrogate becomes
// U+FFFD, as in Go's own decoder.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				if i+6 < len(raw)+0 && raw[i+1] == '\\' && raw[i+2] == 'u' {
					if both := utf16.DecodeRune(r, hex4(raw[i+3:])); both != utf8.RuneError {
						r, i = both, i+6
					}
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}

func hex4(b []byte) rune {
	n, err := strconv.ParseUint(string(b[:4]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// skip steps over any value, checking it.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '"':
		_, _, err := s.rawString()
		return err
	case c == '{' || c == '[':
		return s.skipNested(c)
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || c >= '0' && c <= '9':
		_, err := s.number()
		return err
	case c == 0 && s.pos >= len(s.data):
		return s.fail("unexpected end of input")
	}
	return s.fail("unexpected character")
}

func (s *scanner) skipNested(c byte) error {
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.next(c+2, first) // '{'+2 is '}', '['+2 is ']'
		if err != nil || !more {
			return err
		}
		if c == '{' {
			if s.peek() != '"' {
				return s.fail("expected a member name")
			}
			if _, _, err := s.rawString(); err != nil {
				return err
			}
			if err := s.expect(':'); err != nil {
				return err
			}
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}
