package expression

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// KeyTest is one condition of a query on a key attribute. Operator is EQ, LT, LE, GT, GE, BETWEEN
// or BEGINS_WITH; BETWEEN has two values, the others one.
type KeyTest struct {
	Name     string
	Operator string
	Values   []item.Value
}

var keyOperators = map[op]string{opEQ: "EQ", opLT: "LT", opLE: "LE", opGT: "GT", opGE: "GE", opBetween: "BETWEEN", opCall: "BEGINS_WITH"}

// mirrored are the comparators with their sides changed: :v < a means a > :v.
var mirrored = map[op]op{opEQ: opEQ, opLT: opGT, opLE: opGE, opGT: opLT, opGE: opLE}

// Keys compiles and binds a key condition: conditions on different attributes, joined by AND.
func (s *Scope) Keys(text string) ([]KeyTest, error) {
	pred, err := s.Predicate(KeyCondition, text)
	if err != nil {
		return nil, err
	}
	var out []KeyTest
	if msg := pred.b.keys(pred.b.root, &out); msg != "" {
		return nil, Invalid("%s", msg)
	}
	return out, nil
}

func (b *bound) keys(n *node, out *[]KeyTest) string {
	switch {
	case n.op == opOr || n.op == opNot || n.op == opIn || n.op == opNE:
		return "Invalid operator used in KeyConditionExpression: " + opText[n.op]
	case n.op == opCall && n.fn != "begins_with":
		return "Invalid operator used in KeyConditionExpression: " + n.fn
	case n.op == opAnd:
		if msg := b.keys(n.args[0], out); msg != "" {
			return msg
		}
		return b.keys(n.args[1], out)
	case (n.op == opBetween || n.op == opCall) && n.args[0].op != opPath:
		name := n.fn
		if n.op == opBetween {
			name = opText[n.op]
		}
		return "Invalid condition in KeyConditionExpression: " + name + " operator must have the key attribute as its first operand"
	}
	return b.key(n, out)
}

func (b *bound) key(n *node, out *[]KeyTest) string {
	t := KeyTest{}
	o := n.op
	for i, a := range n.args {
		switch a.op {
		case opCall:
			return "KeyConditionExpressions cannot contain nested operations"
		case opValue:
			t.Values = append(t.Values, b.valueOf[a.value])
			continue
		}
		switch {
		case t.Name != "":
			return "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
		case len(a.path) > 1:
			return "KeyConditionExpressions cannot have conditions on nested attributes"
		case i > 0:
			o = mirrored[o]
		}
		t.Name = b.elemName(a.path[0])
	}
	if t.Name == "" {
		return "Invalid condition in KeyConditionExpression: No key attribute specified"
	}
	for _, other := range *out {
		if other.Name == t.Name {
			return "KeyConditionExpressions must only contain one condition per key"
		}
	}
	t.Operator = keyOperators[o]
	*out = append(*out, t)
	return ""
}

// Holds reports whether v satisfies the condition.
func (t KeyTest) Holds(v item.Value) bool {
	switch t.Operator {
	case "BEGINS_WITH":
		return beginsWith(v, t.Values[0])
	case "BETWEEN":
		return ordered(opGE, v, t.Values[0]) && ordered(opLE, v, t.Values[1])
	case "EQ":
		return item.Equal(v, t.Values[0])
	case "LT":
		return ordered(opLT, v, t.Values[0])
	case "LE":
		return ordered(opLE, v, t.Values[0])
	case "GT":
		return ordered(opGT, v, t.Values[0])
	}
	return ordered(opGE, v, t.Values[0])
}

// String is for messages and traces.
func (t KeyTest) String() string {
	parts := make([]string, len(t.Values))
	for i, v := range t.Values {
		parts[i] = shown(v)
	}
	return t.Name + " " + t.Operator + " " + strings.Join(parts, ", ")
}
