package expression

import (
	"strconv"
	"strings"
)

// Kind is which parameter of a request an expression stands in; it is part of the messages.
type Kind string

// The kinds of expression.
const (
	Condition    Kind = "ConditionExpression"
	Filter       Kind = "FilterExpression"
	KeyCondition Kind = "KeyConditionExpression"
	Update       Kind = "UpdateExpression"
	Projection   Kind = "ProjectionExpression"
)

type op uint8

const (
	opPath op = iota
	opValue
	opCall
	opEQ
	opNE
	opLT
	opLE
	opGT
	opGE
	opBetween
	opIn
	opAnd
	opOr
	opNot
	opPlus
	opMinus
)

var opText = [...]string{opEQ: "=", opNE: "<>", opLT: "<", opLE: "<=", opGT: ">", opGE: ">=",
	opBetween: "BETWEEN", opIn: "IN", opAnd: "AND", opOr: "OR", opNot: "NOT", opPlus: "+", opMinus: "-"}

// node is one operation of an expression. Placeholders are indexes into the program's names and
// values, so that a compiled expression serves every request with the same text.
type node struct {
	op     op
	args   []*node
	path   path   // opPath
	value  int    // opValue
	fn     string // opCall
	parens int    // how many pairs of parentheses stood around it
}

// elem is one step of a document path: an attribute name, a #name (ref ≥ 0) or a list index.
type elem struct {
	name  string
	ref   int // index into program.names, or -1
	index int // list index when isIndex
	list  bool
}

type path []elem

// verb is a section of an update expression.
type verb uint8

const (
	set verb = iota
	remove
	add
	del
)

var verbText = [...]string{"SET", "REMOVE", "ADD", "DELETE"}

// action is one clause of an update expression.
type action struct {
	verb  verb
	path  path
	value *node // nil for REMOVE
}

// program is a compiled text, not yet bound to a request's placeholders; immutable.
type program struct {
	kind    Kind
	root    *node    // conditions
	actions []action // updates
	paths   []path   // projections
	names   []string // "#a": each placeholder once, in order of first use
	values  []string // ":a"
	err     string   // what is wrong with the text itself
}

// step is one element of a path whose placeholders are known.
type step struct {
	name  string
	index int
	list  bool
}

// pathText is a path as messages show it: [a, [0], b].
func pathText(p []step) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range p {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.list {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		} else {
			b.WriteString(s.name)
		}
	}
	b.WriteByte(']')
	return b.String()
}
