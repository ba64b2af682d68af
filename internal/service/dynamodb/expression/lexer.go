package expression

type kind uint8

const (
	tokEOF    kind = iota
	tokIdent       // name, keyword or function
	tokName        // #placeholder
	tokValue       // :placeholder
	tokNumber      // list index
	tokPunct       // ( ) [ ] , . = <> < <= > >= + -
	tokBad         // a character that no expression has
)

type token struct {
	kind       kind
	start, end int
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isPart(c byte) bool   { return isLetter(c) || isDigit(c) || c == '_' }

// tokens cuts text into tokens, ended by tokEOF. It never fails: what cannot be a token is tokBad,
// which the parser refuses where it stands.
func tokens(text string) []token {
	out := make([]token, 0, 16)
	for i := 0; ; {
		for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
			i++
		}
		if i == len(text) {
			return append(out, token{tokEOF, i, i})
		}
		t := next(text, i)
		out = append(out, t)
		i = t.end
	}
}

func next(text string, i int) token {
	c, end := text[i], i+1
	more := func(ok func(byte) bool) int {
		for end < len(text) && ok(text[end]) {
			end++
		}
		return end
	}
	switch {
	case isLetter(c): // a leading underscore needs a #name
		return token{tokIdent, i, more(isPart)}
	case isDigit(c):
		return token{tokNumber, i, more(isDigit)}
	case c == '#' || c == ':':
		if more(isPart) == i+1 {
			return token{tokBad, i, end}
		}
		if c == '#' {
			return token{tokName, i, end}
		}
		return token{tokValue, i, end}
	case c == '<' || c == '>':
		if end < len(text) && (text[end] == '=' || (c == '<' && text[end] == '>')) {
			end++
		}
		return token{tokPunct, i, end}
	case c == '(' || c == ')' || c == '[' || c == ']' || c == ',' || c == '.' || c == '=' || c == '+' || c == '-':
		return token{tokPunct, i, end}
	}
	for end < len(text) && text[end]&0xc0 == 0x80 { // keep a UTF-8 sequence whole in the message
		end++
	}
	return token{tokBad, i, end}
}
