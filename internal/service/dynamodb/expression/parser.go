package expression

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of an expression (Developer Guide, "Quotas", "Expression parameters").
const (
	maxText      = 4096
	maxOperators = 300
	maxOperands  = 100 // of IN
	maxPath      = 32
)

// parser turns tokens into a program. The first syntax error ends it; what else is wrong with a
// text is collected by rank, because the service reports the most basic fault first, wherever in
// the text it stands.
type parser struct {
	text      string
	toks      []token
	i         int
	prog      *program
	operators int
	failed    string           // syntax error
	faults    [numRanks]string // the first of each rank
}

type rank int

const (
	rankParens rank = iota
	rankFunction
	rankMisused
	rankSection
	rankReserved
	rankLimit
	numRanks
)

// conditionRanks and updateRanks are the orders in which the service reports.
var (
	conditionRanks = []rank{rankLimit, rankParens, rankFunction, rankMisused, rankReserved}
	updateRanks    = []rank{rankLimit, rankReserved, rankFunction, rankSection}
)

// compile parses text; what is wrong with it ends up in the program, so that it is cached too.
func compile(kind Kind, text string) *program {
	prog := &program{kind: kind}
	switch {
	case text == "":
		prog.err = "The expression can not be empty;"
		return prog
	case len(text) > maxText:
		prog.err = fmt.Sprintf("Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
		return prog
	}
	p := &parser{text: text, toks: tokens(text), prog: prog}
	ranks := conditionRanks
	switch kind {
	case Update:
		p.sections()
		ranks = updateRanks
	case Projection:
		p.projection()
		ranks = updateRanks
	default:
		prog.root = p.condition()
	}
	if p.peek().kind != tokEOF {
		p.unexpected()
	}
	if p.operators > maxOperators { // the service reports the first count beyond the limit
		p.fault(rankLimit, "The expression contains too many operators; operator count: %d", maxOperators+1)
	}
	prog.err = p.failed
	for _, r := range ranks {
		if prog.err == "" {
			prog.err = p.faults[r]
		}
	}
	return prog
}

func (p *parser) peek() token { return p.toks[p.i] }

func (p *parser) textOf(t token) string { return p.text[t.start:t.end] }

func (p *parser) take() string {
	t := p.toks[p.i]
	if t.kind != tokEOF {
		p.i++
	}
	return p.textOf(t)
}

// is reports whether the next token is the punctuation s.
func (p *parser) is(s string) bool {
	t := p.peek()
	return t.kind == tokPunct && p.textOf(t) == s
}

func (p *parser) eat(s string) bool {
	if !p.is(s) {
		return false
	}
	p.i++
	return true
}

func (p *parser) want(s string) {
	if !p.eat(s) {
		p.unexpected()
	}
}

// keyword reports whether the next token is the word w in any case.
func (p *parser) keyword(w string) bool {
	t := p.peek()
	return t.kind == tokIdent && strings.EqualFold(p.textOf(t), w)
}

func (p *parser) eatKeyword(w string) bool {
	if !p.keyword(w) {
		return false
	}
	p.i++
	return true
}

// unexpected reports the next token; the service shows it with its neighbours.
func (p *parser) unexpected() {
	if p.failed != "" {
		return
	}
	t := p.peek()
	text := p.textOf(t)
	if t.kind == tokEOF {
		text = "<EOF>"
	}
	start, end := t.start, t.end
	if p.i > 0 {
		start = p.toks[p.i-1].start
	}
	if p.i+1 < len(p.toks) {
		end = p.toks[p.i+1].end
	}
	near := strings.TrimSpace(p.text[start:end])
	p.failed = fmt.Sprintf("Syntax error; token: %q, near: %q", text, near)
	if strings.ContainsAny(text+near, "\"\\\n\r\t") || !isASCII(text+near) { // the service quotes without escaping
		p.failed = `Syntax error; token: "` + text + `", near: "` + near + `"`
	}
	p.i = len(p.toks) - 1 // nothing more can be parsed
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 || s[i] < ' ' {
			return false
		}
	}
	return true
}

func (p *parser) fault(r rank, format string, args ...any) {
	if p.faults[r] == "" {
		p.faults[r] = fmt.Sprintf(format, args...)
	}
}

func index(list []string, s string) ([]string, int) {
	for i := range list {
		if list[i] == s {
			return list, i
		}
	}
	return append(list, s), len(list)
}

// pathFrom reads a document path: name{.name|[index]}.
func (p *parser) pathFrom() path {
	out := path{p.pathName()}
	return p.pathTail(out)
}

func (p *parser) pathName() elem {
	switch t := p.peek(); t.kind {
	case tokIdent:
		name := p.take()
		if isReserved(name) {
			p.fault(rankReserved, "Attribute name is a reserved keyword; reserved keyword: %s", name)
		}
		return elem{name: name, ref: -1}
	case tokName:
		var e elem
		p.prog.names, e.ref = index(p.prog.names, p.take())
		return e
	}
	p.unexpected()
	return elem{ref: -1}
}

func (p *parser) pathTail(out path) path {
	for {
		switch {
		case p.eat("."):
			out = append(out, p.pathName())
		case p.eat("["):
			t := p.peek()
			if t.kind != tokNumber {
				p.unexpected()
				return out
			}
			n, err := strconv.Atoi(p.take())
			if err != nil || n > 1<<31-1 {
				p.fault(rankLimit, "List index is not within the allowable range; index: [%s]", p.textOf(t))
			}
			out = append(out, elem{index: n, list: true, ref: -1})
			p.want("]")
		default:
			if len(out) > maxPath {
				p.fault(rankLimit, "The document path has too many nesting elements; nesting levels: %d", len(out))
			}
			return out
		}
	}
}

func (p *parser) placeholder() *node {
	n := &node{op: opValue}
	p.prog.values, n.value = index(p.prog.values, p.take())
	return n
}

// call reads name(operand, …); the name has been checked to precede a parenthesis.
func (p *parser) call(operand func() *node) *node {
	n := &node{op: opCall, fn: p.take()}
	p.operators++
	p.want("(")
	for {
		n.args = append(n.args, operand())
		if !p.eat(",") {
			break
		}
	}
	p.want(")")
	return n
}

// isCall reports whether a function's name stands next.
func (p *parser) isCall() bool {
	t := p.peek()
	if t.kind != tokIdent {
		return false
	}
	after := p.toks[p.i+1]
	return after.kind == tokPunct && p.textOf(after) == "("
}

// projection reads path{, path}.
func (p *parser) projection() {
	for {
		p.prog.paths = append(p.prog.paths, p.pathFrom())
		if !p.eat(",") {
			return
		}
	}
}
