package expression

import (
	"fmt"
	"strconv"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

func number(n int) item.Value { return item.N(strconv.Itoa(n)) }

// check finds what is wrong with a condition once its placeholders are known. The first faulty
// condition is reported, and of it the most basic fault.
func (b *bound) check(n *node) string {
	if n.op == opAnd || n.op == opOr || n.op == opNot {
		for _, a := range n.args {
			if msg := b.check(a); msg != "" {
				return msg
			}
		}
		return ""
	}
	for _, rule := range []func(*node) string{b.defined, b.counted, b.distinct, b.typed} {
		msg := ""
		b.walk(n, func(n *node) {
			if msg == "" {
				msg = rule(n)
			}
		})
		if msg != "" {
			return msg
		}
	}
	return ""
}

func (b *bound) defined(n *node) string {
	switch n.op {
	case opPath:
		return b.undefinedName(n.path)
	case opValue:
		return b.undefinedValue(n.value)
	}
	return ""
}

func (b *bound) counted(n *node) string {
	if n.op != opCall {
		return ""
	}
	functions := conditionFunctions
	if b.kind == Update {
		functions = updateFunctions
	}
	if functions[n.fn] == len(n.args) {
		return ""
	}
	return fmt.Sprintf("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d",
		n.fn, len(n.args))
}

func (b *bound) distinct(n *node) string {
	if len(n.args) != 2 || n.args[0].op != opPath || n.args[1].op != opPath {
		return ""
	}
	first, second := b.resolve(n.args[0].path), b.resolve(n.args[1].path)
	if len(first) != len(second) || relate(first, second) != overlapping {
		return ""
	}
	name := n.fn
	if n.op != opCall {
		name = opText[n.op]
	}
	return "The first operand must be distinct from the remaining operands for this operator or function; operator: " +
		name + ", first operand: " + pathText(first)
}

// constant is the type of an operand that does not depend on the item; Absent for one that does.
func (b *bound) constant(n *node) item.Type {
	switch {
	case n.op == opValue:
		return b.valueOf[n.value].Type()
	case n.op == opCall && n.fn == "size":
		return item.Number
	}
	return item.Absent
}

func wrongType(function, typ string) string {
	return "Incorrect operand type for operator or function; operator or function: " + function + ", operand type: " + typ
}

func (b *bound) typed(n *node) string {
	switch n.op {
	case opCall:
		return b.typedCall(n)
	case opLT, opLE, opGT, opGE, opBetween:
		for _, a := range n.args {
			switch t := b.constant(a); t {
			case item.Absent, item.String, item.Number, item.Binary:
			default:
				return wrongType(opText[n.op], t.LongName())
			}
		}
		if n.op == opBetween && n.args[1].op == opValue && n.args[2].op == opValue {
			return bounds(b.valueOf[n.args[1].value], b.valueOf[n.args[2].value])
		}
	}
	return ""
}

func bounds(low, high item.Value) string {
	what := ""
	if low.Type() != high.Type() {
		what = "same data type for lower and upper bounds"
	} else if c, _ := item.Compare(low, high); c > 0 {
		what = "upper bound to be greater than or equal to lower bound"
	}
	if what == "" {
		return ""
	}
	return "The BETWEEN operator requires " + what + "; lower bound operand: AttributeValue: " + shown(low) +
		", upper bound operand: AttributeValue: " + shown(high)
}

func shown(v item.Value) string { return "{" + v.Type().String() + ":" + v.Text() + "}" }

func (b *bound) typedCall(n *node) string {
	switch n.fn {
	case "attribute_exists", "attribute_not_exists":
		if n.args[0].op != opPath {
			return "Operator or function requires a document path; operator or function: " + n.fn
		}
	case "begins_with":
		for _, a := range n.args {
			if t := b.constant(a); t != item.Absent && t != item.String && t != item.Binary {
				return wrongType(n.fn, t.String())
			}
		}
	case "attribute_type":
		if t := b.constant(n.args[1]); t != item.String {
			if t == item.Absent {
				return wrongType(n.fn, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
			}
			return wrongType(n.fn, t.String())
		}
		if name := b.valueOf[n.args[1].value].Text(); item.TypeOf(name) == item.Absent {
			return "Invalid attribute type name found; type: " + name + ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
		}
	case "size":
		if t := b.constant(n.args[0]); t == item.Number || t == item.Bool || t == item.Null {
			return wrongType(n.fn, t.String())
		}
	}
	return ""
}
