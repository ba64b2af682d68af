package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// test judges one decoded line.
type test func(any) bool

// parser reads a pattern over JSON.
type parser struct {
	s     string
	depth int
}

const maxNesting = 20

func compileJSON(s string) (func(string) bool, error) {
	if !strings.HasSuffix(s, "}") {
		return nil, errors.New("the closing brace is missing")
	}
	p := &parser{s: strings.TrimSpace(s[1 : len(s)-1])}
	t, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); p.s != "" {
		return nil, fmt.Errorf("%q is not expected", p.s)
	}
	return func(line string) bool {
		var v any
		if !strings.HasPrefix(strings.TrimSpace(line), "{") || json.Unmarshal([]byte(line), &v) != nil {
			return false
		}
		return t(v)
	}, nil
}

func (p *parser) space() { p.s = strings.TrimLeft(p.s, " \t") }

func (p *parser) take(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.s, token)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *parser) or() (test, error) {
	left, err := p.and()
	for err == nil && p.take("||") {
		var right test
		if right, err = p.and(); err == nil {
			l := left
			left = func(v any) bool { return l(v) || right(v) }
		}
	}
	return left, err
}

func (p *parser) and() (test, error) {
	left, err := p.term()
	for err == nil && p.take("&&") {
		var right test
		if right, err = p.term(); err == nil {
			l := left
			left = func(v any) bool { return l(v) && right(v) }
		}
	}
	return left, err
}

func (p *parser) term() (test, error) {
	if p.take("(") {
		if p.depth++; p.depth > maxNesting {
			return nil, errors.New("nested too deep")
		}
		t, err := p.or()
		if err == nil && !p.take(")") {
			err = errors.New("a closing parenthesis is missing")
		}
		p.depth--
		return t, err
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"!=", ">=", "<=", "=", ">", "<"} {
		if p.take(op) {
			return p.compare(path, op)
		}
	}
	switch {
	case p.take("NOT EXISTS"):
		return func(v any) bool { _, ok := path.of(v); return !ok }, nil
	case p.take("EXISTS"):
		return func(v any) bool { _, ok := path.of(v); return ok }, nil
	case p.take("IS NULL"):
		return func(v any) bool { x, ok := path.of(v); return ok && x == nil }, nil
	case p.take("IS TRUE"):
		return func(v any) bool { x, _ := path.of(v); return x == true }, nil
	case p.take("IS FALSE"):
		return func(v any) bool { x, _ := path.of(v); return x == false }, nil
	}
	return nil, fmt.Errorf("a comparison is expected before %q", p.s)
}

// steps are the names and indices of a path below $.
type steps []string

func (p *parser) path() (steps, error) {
	if !p.take("$") {
		return nil, fmt.Errorf("a path beginning with $ is expected before %q", p.s)
	}
	var out steps
	for p.s != "" {
		switch {
		case p.s[0] == '.':
			i := 1
			for i < len(p.s) && !strings.ContainsRune(" \t=!<>.[]()&|", rune(p.s[i])) {
				i++
			}
			out, p.s = append(out, p.s[1:i]), p.s[i:]
		case p.s[0] == '[':
			i := strings.IndexByte(p.s, ']')
			if i < 0 {
				return nil, errors.New("a closing bracket is missing")
			}
			out, p.s = append(out, strings.Trim(p.s[1:i], `'"`)), p.s[i+1:]
		default:
			return out, nil
		}
	}
	return out, nil
}

func (s steps) of(v any) (any, bool) {
	for _, name := range s {
		switch x := v.(type) {
		case map[string]any:
			y, ok := x[name]
			if !ok {
				return nil, false
			}
			v = y
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func (p *parser) compare(path steps, op string) (test, error) {
	p.space()
	quoted := strings.HasPrefix(p.s, `"`)
	i := strings.IndexAny(p.s, " \t)&|")
	if i < 0 || quoted {
		i = len(p.s)
	}
	word, rest := p.s[:i], p.s[i:]
	if quoted {
		var err error
		if word, rest, err = next(p.s); err != nil {
			return nil, err
		}
	}
	if word == "" && !quoted {
		return nil, errors.New("a value is missing")
	}
	p.s = rest
	if n, err := strconv.ParseFloat(word, 64); err == nil && !quoted {
		return number(path, op, n), nil
	}
	if op != "=" && op != "!=" {
		return nil, fmt.Errorf("%s compares numbers only", op)
	}
	return func(v any) bool {
		x, ok := path.of(v)
		s, isText := x.(string)
		if b, isBool := x.(bool); isBool && !quoted {
			s, isText = strconv.FormatBool(b), true
		}
		return ok && isText && glob(word, s) == (op == "=")
	}, nil
}

func number(path steps, op string, n float64) test {
	return func(v any) bool {
		x, ok := path.of(v)
		f, isNumber := x.(float64)
		if !ok || !isNumber {
			return false
		}
		switch op {
		case "=":
			return f == n
		case "!=":
			return f != n
		case ">":
			return f > n
		case ">=":
			return f >= n
		case "<":
			return f < n
		}
		return f <= n
	}
}

// glob matches a word in which * stands for any text.
func glob(word, s string) bool {
	parts := strings.Split(word, "*")
	if len(parts) == 1 {
		return word == s
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return strings.HasSuffix(rest, last)
}
