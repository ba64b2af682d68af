package expression

// conditionFunctions are the functions of conditions with their number of operands.
var conditionFunctions = map[string]int{"attribute_exists": 1, "attribute_not_exists": 1,
	"attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1}

// condition reads a whole condition: OR binds weakest, then AND, then NOT.
func (p *parser) condition() *node { return p.asCondition(p.or()) }

func (p *parser) or() *node {
	left := p.and()
	for p.keyword("OR") {
		left = p.asCondition(left)
		p.take()
		p.operators++
		left = &node{op: opOr, args: []*node{left, p.asCondition(p.and())}}
	}
	return left
}

func (p *parser) and() *node {
	left := p.not()
	for p.keyword("AND") {
		left = p.asCondition(left)
		p.take()
		p.operators++
		left = &node{op: opAnd, args: []*node{left, p.asCondition(p.not())}}
	}
	return left
}

func (p *parser) not() *node {
	if p.eatKeyword("NOT") {
		p.operators++
		return &node{op: opNot, args: []*node{p.asCondition(p.not())}}
	}
	return p.comparison()
}

// asCondition refuses an operand where a truth is needed: a bare path or value is a syntax error
// at the token that follows it, size() a misuse.
func (p *parser) asCondition(n *node) *node {
	switch {
	case p.failed != "":
	case n.op == opPath || n.op == opValue:
		p.unexpected()
	case n.op == opCall && n.fn == "size":
		p.misused(n)
	}
	return n
}

func (p *parser) misused(n *node) {
	p.fault(rankMisused, "The function is not allowed to be used this way in an expression; function: %s", n.fn)
}

// asOperand refuses a truth where a value is needed: a condition in parentheses is a syntax error,
// any function but size() a misuse.
func (p *parser) asOperand(n *node) *node {
	switch {
	case p.failed != "" || n.op == opPath || n.op == opValue:
	case n.op == opCall:
		if n.fn != "size" {
			p.misused(n)
		}
	default:
		p.unexpected()
	}
	return n
}

var comparators = map[string]op{"=": opEQ, "<>": opNE, "<": opLT, "<=": opLE, ">": opGT, ">=": opGE}

func (p *parser) comparison() *node {
	left := p.primary()
	if p.failed != "" {
		return left
	}
	t := p.peek()
	if t.kind == tokPunct {
		if c, ok := comparators[p.textOf(t)]; ok {
			left = p.asOperand(left)
			p.take()
			p.operators++
			return &node{op: c, args: []*node{left, p.asOperand(p.primary())}}
		}
	}
	switch {
	case p.keyword("BETWEEN"):
		left = p.asOperand(left)
		p.take()
		p.operators++
		low := p.asOperand(p.primary())
		if !p.eatKeyword("AND") {
			p.unexpected()
		}
		return &node{op: opBetween, args: []*node{left, low, p.asOperand(p.primary())}}
	case p.keyword("IN"):
		left = p.asOperand(left)
		p.take()
		p.operators++
		return p.in(left)
	}
	return left
}

func (p *parser) in(left *node) *node {
	n := &node{op: opIn, args: []*node{left}}
	p.want("(")
	for {
		n.args = append(n.args, p.asOperand(p.primary()))
		if !p.eat(",") {
			break
		}
	}
	p.want(")")
	if len(n.args)-1 > maxOperands {
		p.fault(rankLimit, "The IN operator is provided with too many operands; number of operands: %d", len(n.args)-1)
	}
	return n
}

// primary reads a path, a :value, a function call or something in parentheses; what stands in
// parentheses may turn out to be an operand or a condition.
func (p *parser) primary() *node {
	switch t := p.peek(); {
	case p.failed != "":
	case p.is("("):
		return p.parenthesis()
	case t.kind == tokValue:
		return p.placeholder()
	case p.isCall():
		n := p.call(func() *node { return p.asOperand(p.primary()) })
		if _, ok := conditionFunctions[n.fn]; !ok {
			p.fault(rankFunction, "Invalid function name; function: %s", n.fn)
		}
		return n
	case t.kind == tokIdent && p.structural(), t.kind == tokPunct, t.kind == tokNumber, t.kind == tokBad, t.kind == tokEOF:
		p.unexpected()
	default:
		return &node{op: opPath, path: p.pathFrom()}
	}
	return &node{op: opPath}
}

// structural reports whether the next word is one of the grammar's own.
func (p *parser) structural() bool {
	return p.keyword("AND") || p.keyword("OR") || p.keyword("NOT") || p.keyword("BETWEEN") || p.keyword("IN")
}

func (p *parser) parenthesis() *node {
	p.take()
	n := p.or()
	p.want(")")
	if p.failed != "" {
		return n
	}
	if n.op == opPath && (p.is(".") || p.is("[")) { // (a.b)[0]
		n.path = p.pathTail(n.path)
		n.parens = 0
		return n
	}
	n.parens++
	if n.parens > 1 {
		p.fault(rankParens, "The expression has redundant parentheses;")
	}
	return n
}
