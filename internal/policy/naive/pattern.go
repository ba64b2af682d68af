package naive

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// What stars and question marks mean.
const (
	plain    = iota // any text
	resource        // before the fifth colon only a star that ends its segment crosses colons
	arn             // before the fifth colon none does; a pattern cut short by a star goes on
)

// piece is one sign of a pattern, a character that means itself, or a value put in for a variable.
type piece struct {
	sign rune // '*', '?' or 0
	text string
	made bool // from a variable
}

// pieces reads a pattern; false when a variable has no value. look is nil where variables are text.
func pieces(p string, look func(string) ([]string, bool)) ([]piece, bool) {
	var out []piece
	for p != "" {
		if look != nil && strings.HasPrefix(p, "${") {
			inside, rest := cutVariable(p[2:])
			p = rest
			if inside == "*" || inside == "?" || inside == "$" {
				out = append(out, piece{text: inside})
				continue
			}
			key, fallback, hasFallback := strings.Cut(inside, ",")
			v, ok := look(strings.TrimSpace(key))
			switch {
			case ok && len(v) == 1:
				out = append(out, piece{text: v[0], made: true})
			case hasFallback:
				out = append(out, piece{text: strings.Trim(strings.TrimSpace(fallback), "'"), made: true})
			default:
				return nil, false
			}
			continue
		}
		c, size := utf8.DecodeRuneInString(p)
		if c == '*' || c == '?' {
			out = append(out, piece{sign: c})
		} else {
			out = append(out, piece{text: p[:size]})
		}
		p = p[size:]
	}
	return out, true
}

// cutVariable finds the end of a variable, minding a default in quotes.
func cutVariable(s string) (inside, rest string) {
	quoted := false
	for i, c := range s {
		if c == '\'' {
			quoted = !quoted
		}
		if c == '}' && !quoted {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// substitute puts variables in where stars and question marks mean themselves.
func substitute(p string, look func(string) ([]string, bool)) (string, bool) {
	all, ok := pieces(p, look)
	var b strings.Builder
	for _, x := range all {
		if x.sign != 0 {
			b.WriteRune(x.sign)
		}
		b.WriteString(x.text)
	}
	return b.String(), ok
}

// matches compares through a regular expression made for the occasion.
func matches(p, s string, rules int, look func(string) ([]string, bool)) bool {
	all, ok := pieces(p, look)
	if !ok {
		return false
	}
	if rules == arn {
		colons := 0
		for _, x := range all {
			if !x.made && x.text == ":" {
				colons++
			}
		}
		if colons < 5 {
			if p != "*" && !strings.HasSuffix(p, ":*") {
				return false
			}
			for ; colons < 5; colons++ {
				all = append(all, piece{text: ":"}, piece{sign: '*'})
			}
		}
	}
	var b strings.Builder
	b.WriteString(`(?s)^`)
	colons := 0
	for i, x := range all {
		free := rules == plain || colons >= 5
		switch {
		case x.sign == '*':
			ends := i+1 == len(all) || !all[i+1].made && all[i+1].text == ":"
			if free || rules == resource && ends {
				b.WriteString(`.*`)
			} else {
				b.WriteString(`[^:]*`)
			}
		case x.sign == '?' && free:
			b.WriteString(`.`)
		case x.sign == '?':
			b.WriteString(`[^:]`)
		case x.made:
			if !free && strings.Contains(x.text, ":") {
				return false
			}
			b.WriteString(regexp.QuoteMeta(x.text))
		default:
			if x.text == ":" {
				colons++
			}
			b.WriteString(regexp.QuoteMeta(x.text))
		}
	}
	b.WriteString(`$`)
	re, err := regexp.Compile(b.String())
	return err == nil && re.MatchString(s)
}
