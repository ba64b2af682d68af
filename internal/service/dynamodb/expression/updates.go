package expression

// updateFunctions are the functions of update expressions with their number of operands.
var updateFunctions = map[string]int{"if_not_exists": 2, "list_append": 2}

// sections reads SET …, REMOVE …, ADD … and DELETE … in any order, each at most once.
func (p *parser) sections() {
	var seen [4]bool
	for first := true; first || (p.peek().kind != tokEOF && p.failed == ""); first = false {
		v, ok := p.verb()
		if !ok {
			p.unexpected()
			return
		}
		if seen[v] {
			p.fault(rankSection, "The %q section can only be used once in an update expression;", verbText[v])
		}
		seen[v] = true
		p.clauses(v)
	}
}

func (p *parser) verb() (verb, bool) {
	for v, word := range verbText {
		if p.eatKeyword(word) {
			return verb(v), true
		}
	}
	return 0, false
}

func (p *parser) clauses(v verb) {
	for {
		p.prog.actions = append(p.prog.actions, p.clause(v))
		if !p.eat(",") || p.failed != "" {
			return
		}
	}
}

func (p *parser) clause(v verb) action {
	a := action{verb: v}
	if p.sectionWord() {
		p.unexpected()
		return a
	}
	a.path = p.pathFrom()
	switch v {
	case set:
		p.want("=")
		if p.failed == "" {
			a.value = p.setValue()
		}
	case add, del:
		p.operators++
		if p.peek().kind != tokValue {
			p.unexpected()
			return a
		}
		a.value = p.placeholder()
	}
	return a
}

// sectionWord reports whether a section's name stands where a path or operand should.
func (p *parser) sectionWord() bool {
	return p.keyword("SET") || p.keyword("REMOVE") || p.keyword("ADD") || p.keyword("DELETE")
}

// setValue is operand, operand + operand or operand - operand; all of it may stand in one pair of
// parentheses, and so may each operand.
func (p *parser) setValue() *node {
	left := p.setOperand(true)
	return p.sum(left)
}

func (p *parser) sum(left *node) *node {
	o := opPlus
	switch {
	case p.failed != "":
		return left
	case p.eat("+"):
	case p.eat("-"):
		o = opMinus
	default:
		return left
	}
	p.operators++
	return &node{op: o, args: []*node{left, p.setOperand(false)}}
}

// setOperand reads one operand; with whole, parentheses may hold a sum, which then is the whole
// right-hand side.
func (p *parser) setOperand(whole bool) *node {
	switch t := p.peek(); {
	case p.failed != "":
	case p.eat("("):
		n := p.setOperand(false)
		if whole {
			n = p.sum(n)
		}
		p.want(")")
		if n.op == opPlus || n.op == opMinus {
			p.endOfClause()
		}
		return n
	case t.kind == tokValue:
		return p.placeholder()
	case p.isCall():
		n := p.call(func() *node { return p.setOperand(false) })
		if _, ok := updateFunctions[n.fn]; !ok {
			p.fault(rankFunction, "Invalid function name; function: %s", n.fn)
		}
		return n
	case t.kind == tokName, t.kind == tokIdent && !p.sectionWord():
		return &node{op: opPath, path: p.pathFrom()}
	default:
		p.unexpected()
	}
	return &node{op: opPath}
}

// endOfClause refuses to go on calculating after a sum in parentheses.
func (p *parser) endOfClause() {
	if p.is("+") || p.is("-") {
		p.unexpected()
	}
}
