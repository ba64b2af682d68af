package policy

import (
	"strings"
)

// pattern is a compiled policy value that a request value is compared with: literal text,
// wildcards and variables.
type pattern struct {
	shape shape
	lit   string  // the whole text (literal) or what precedes the final star (prefix)
	toks  []token // for mixed
	tail  string  // literal text that every match ends with
}

type shape uint8

const (
	shapeMixed shape = iota
	shapeLiteral
	shapePrefix
	shapeAny
	shapeNever
)

type token struct {
	op    tokenOp
	lit   string
	value *variable
}

type tokenOp uint8

const (
	opLit     tokenOp = iota
	opOne             // any one character
	opOneSeg          // any one character but a colon
	opStar            // any text
	opStarSeg         // any text without a colon
	opVar             // a value from the request
)

// variable is ${key} or ${key, 'fallback'}.
type variable struct {
	key      string // lower case
	fallback string
	hasFall  bool
	segment  bool // stands before the fifth colon: its value may not move the colons
}

// dialect says what the signs of a pattern mean.
type dialect uint8

const (
	dialectExact    dialect = iota // StringEquals: no wildcards
	dialectGlob                    // StringLike: wildcards match anything
	dialectResource                // Resource: a star ending a segment crosses colons, others do not
	dialectARN                     // ArnLike: the six segments are compared one by one
)

// compilePattern reads src. Variables and the escapes ${*}, ${?}, ${$} are read only when vars
// (documents of version 2012-10-17); otherwise "${" is text.
//
// "If the * wildcard is the last character of a resource ARN segment, it can expand to match beyond
// the colon boundaries" (IAM User Guide, Resource); "each of the six colon-delimited components of
// the ARN is checked separately" (ARN condition operators). After the fifth colon both are plain
// globs, since resource names hold colons of their own.
func compilePattern(src string, d dialect, vars bool) (pattern, *fault) {
	c := patternCompiler{src: src, dialect: d}
	for c.pos < len(src) {
		rest := src[c.pos:]
		if vars && strings.HasPrefix(rest, "${") {
			if f := c.variable(rest); f != nil {
				return pattern{}, f
			}
			continue
		}
		c.char(rest)
		c.pos++
	}
	c.flush()
	if d == dialectARN && c.colons < 5 {
		// A pattern that stops early with a star ("*", "arn:aws:s3:*") means whatever follows.
		if src != "*" && !strings.HasSuffix(src, ":*") {
			return pattern{shape: shapeNever}, nil
		}
		for ; c.colons < 5; c.colons++ {
			c.toks = append(c.toks, token{op: opLit, lit: ":"}, token{op: opStar})
		}
	}
	return finish(c.toks), nil
}

type patternCompiler struct {
	src     string
	dialect dialect
	pos     int
	colons  int
	lit     strings.Builder
	toks    []token
}

func (c *patternCompiler) flush() {
	if c.lit.Len() > 0 {
		c.toks = append(c.toks, token{op: opLit, lit: c.lit.String()})
		c.lit.Reset()
	}
}

func (c *patternCompiler) char(rest string) {
	free := c.dialect == dialectGlob || c.colons >= 5
	switch ch := rest[0]; {
	case ch == '*' && c.dialect != dialectExact:
		c.flush()
		ends := c.dialect == dialectResource && (len(rest) == 1 || rest[1] == ':')
		c.star(free || ends)
	case ch == '?' && c.dialect != dialectExact:
		c.flush()
		op := opOneSeg
		if free {
			op = opOne
		}
		c.toks = append(c.toks, token{op: op})
	default:
		if ch == ':' {
			c.colons++
		}
		c.lit.WriteByte(ch)
	}
}

// star adds a star, folding neighbours into one: two stars match what the freer one matches.
func (c *patternCompiler) star(free bool) {
	op := opStarSeg
	if free {
		op = opStar
	}
	if n := len(c.toks); n > 0 && (c.toks[n-1].op == opStar || c.toks[n-1].op == opStarSeg) {
		if free {
			c.toks[n-1].op = opStar
		}
		return
	}
	c.toks = append(c.toks, token{op: op})
}

func (c *patternCompiler) variable(rest string) *fault {
	if len(rest) >= 4 && rest[3] == '}' && strings.IndexByte("*?$", rest[2]) >= 0 {
		c.lit.WriteByte(rest[2])
		c.pos += 4
		return nil
	}
	end := strings.IndexAny(rest[2:], ",}")
	if end < 0 {
		return faultAt(0, "", "the variable is not closed: %q", clip(rest))
	}
	v := &variable{key: strings.ToLower(strings.TrimSpace(rest[2 : 2+end]))}
	if v.key == "" || strings.ContainsAny(v.key, "${'*?") {
		return faultAt(0, "", "not a policy variable: %q", clip(rest))
	}
	n := 2 + end
	if rest[n] == ',' {
		tail := strings.TrimLeft(rest[n+1:], " ")
		quote := -1
		if strings.HasPrefix(tail, "'") {
			quote = strings.IndexByte(tail[1:], '\'')
		}
		if quote < 0 {
			return faultAt(0, "", "the default of a variable stands in single quotes: %q", clip(rest))
		}
		v.fallback, v.hasFall = tail[1:1+quote], true
		tail = strings.TrimLeft(tail[quote+2:], " ")
		if !strings.HasPrefix(tail, "}") {
			return faultAt(0, "", "the variable is not closed: %q", clip(rest))
		}
		n = len(rest) - len(tail)
	}
	v.segment = (c.dialect == dialectResource || c.dialect == dialectARN) && c.colons < 5
	c.flush()
	c.toks = append(c.toks, token{op: opVar, value: v})
	c.pos += n + 1
	return nil
}

func finish(toks []token) pattern {
	p := pattern{toks: toks}
	switch {
	case len(toks) == 0:
		return pattern{shape: shapeLiteral}
	case len(toks) == 1 && toks[0].op == opLit:
		return pattern{shape: shapeLiteral, lit: toks[0].lit}
	case len(toks) == 1 && toks[0].op == opStar:
		return pattern{shape: shapeAny}
	case len(toks) == 2 && toks[0].op == opLit && toks[1].op == opStar:
		return pattern{shape: shapePrefix, lit: toks[0].lit}
	}
	if toks[0].op == opLit {
		p.lit = toks[0].lit
	}
	if last := toks[len(toks)-1]; last.op == opLit {
		p.tail = last.lit
	}
	return p
}

// match reports whether s is what the pattern describes. A variable that the request has no value
// for matches nothing (IAM User Guide, "Policy variables with no value").
func (p *pattern) match(s string, e *evaluation) bool {
	switch p.shape {
	case shapeLiteral:
		return s == p.lit
	case shapePrefix:
		return strings.HasPrefix(s, p.lit)
	case shapeAny:
		return true
	case shapeNever:
		return false
	}
	if !strings.HasPrefix(s, p.lit) || !strings.HasSuffix(s, p.tail) {
		return false
	}
	return matchTokens(p.toks, s, e)
}

// matchTokens walks tokens and text together. Two places to come back to are enough: the last free
// star, and since it the last star held by a segment; the earliest end found for what lies before a
// free star is always the best one.
func matchTokens(toks []token, s string, e *evaluation) bool {
	ti, si := 0, 0
	free, freeAt, seg, segAt := -1, 0, -1, 0
	for {
		if ti == len(toks) {
			if si == len(s) {
				return true
			}
		} else {
			t := &toks[ti]
			if t.op == opStar {
				free, freeAt, seg = ti, si, -1
				ti++
				if ti == len(toks) {
					return true
				}
				continue
			}
			if t.op == opStarSeg {
				seg, segAt = ti, si
				ti++
				continue
			}
			n, ok := t.take(s[si:], e)
			if ok {
				si += n
				ti++
				continue
			}
			if n < 0 {
				return false // a variable without a value
			}
		}
		if seg >= 0 && segAt < len(s) && s[segAt] != ':' {
			segAt++
			ti, si = seg+1, segAt
			continue
		}
		if free < 0 || freeAt >= len(s) {
			return false
		}
		freeAt++
		if next := &toks[free+1]; next.op == opLit {
			i := strings.Index(s[freeAt:], next.lit)
			if i < 0 {
				return false
			}
			freeAt += i
		}
		ti, si, seg = free+1, freeAt, -1
	}
}

// take matches one token that is not a star at the start of s and says how much it took; -1 when
// nothing can ever match.
func (t *token) take(s string, e *evaluation) (int, bool) {
	switch t.op {
	case opLit:
		return len(t.lit), strings.HasPrefix(s, t.lit)
	case opOne, opOneSeg:
		if s == "" || t.op == opOneSeg && s[0] == ':' {
			return 0, false
		}
		return runeLen(s), true
	}
	v, ok := t.value.resolve(e)
	if !ok {
		return -1, false
	}
	return len(v), strings.HasPrefix(s, v)
}

// runeLen is the size of the first character of s. Stars may advance into the middle of one; any
// byte there counts as a character of its own, which changes no answer, since literals are whole.
func runeLen(s string) int {
	if s[0] < 0x80 {
		return 1
	}
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

// resolve gives the variable's value: the request's, when there is exactly one, or the fallback.
func (v *variable) resolve(e *evaluation) (string, bool) {
	s, ok := v.fallback, v.hasFall
	if got := e.lookup(v.key); got.Len() == 1 {
		s, ok = got.At(0), true
	}
	if v.segment && strings.IndexByte(s, ':') >= 0 {
		return "", false
	}
	return s, ok
}

// expand writes a pattern of literals and variables as text, for comparisons that need the whole
// value at once (StringEqualsIgnoreCase).
func (p *pattern) expand(e *evaluation) (string, bool) {
	if p.shape == shapeLiteral {
		return p.lit, true
	}
	var b strings.Builder
	for i := range p.toks {
		t := &p.toks[i]
		if t.op == opLit {
			b.WriteString(t.lit)
			continue
		}
		v, ok := t.value.resolve(e)
		if !ok {
			return "", false
		}
		b.WriteString(v)
	}
	return b.String(), true
}
