package expression

import (
	"sort"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// Comparison is one entry of the parameters that came before expressions: Expected, ScanFilter,
// QueryFilter and KeyConditions. Operator is EQ, NE, IN, LE, LT, GE, GT, BETWEEN, NOT_NULL, NULL,
// CONTAINS, NOT_CONTAINS or BEGINS_WITH.
type Comparison struct {
	Name     string
	Operator string
	Values   []item.Value
}

// arity is how many values an operator takes; −1 stands for one or more.
var arity = map[string]int{"NULL": 0, "NOT_NULL": 0, "EQ": 1, "NE": 1, "LE": 1, "LT": 1, "GE": 1, "GT": 1,
	"CONTAINS": 1, "NOT_CONTAINS": 1, "BEGINS_WITH": 1, "IN": -1, "BETWEEN": 2}

// scalarsOnly are the operators that take S, N and B alone; BEGINS_WITH takes S and B.
var scalarsOnly = map[string]bool{"LE": true, "LT": true, "GE": true, "GT": true, "CONTAINS": true,
	"NOT_CONTAINS": true, "IN": true, "BETWEEN": true, "BEGINS_WITH": true}

const invalidParam = "One or more parameter values were invalid: "

// Check reports what is wrong with the comparison itself.
func (c Comparison) Check() error {
	for _, v := range c.Values {
		if msg := v.Err(); msg != "" {
			return Invalid("%s", msg)
		}
	}
	want, n := arity[c.Operator], len(c.Values)
	if (want >= 0 && n != want) || (want < 0 && n == 0) {
		return Invalid("%sInvalid number of argument(s) for the %s ComparisonOperator", invalidParam, c.Operator)
	}
	for _, v := range c.Values {
		t := v.Type()
		if t != c.Values[0].Type() {
			return Invalid("%sAttributeValues inside AttributeValueList must be of same type", invalidParam)
		}
		scalar := t == item.String || t == item.Binary || (t == item.Number && c.Operator != "BEGINS_WITH")
		if scalarsOnly[c.Operator] && !scalar {
			return Invalid("%sComparisonOperator %s is not valid for %s AttributeValue type", invalidParam, c.Operator, t)
		}
	}
	if c.Operator == "BETWEEN" {
		if order, _ := item.Compare(c.Values[0], c.Values[1]); order > 0 {
			return Invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// Comparisons is the predicate that all of cs hold, or with either that one of them does. No
// comparisons make the nil Predicate, which every item satisfies.
func Comparisons(cs []Comparison, either bool) (*Predicate, error) {
	b := &bound{program: &program{kind: Condition}}
	join := opAnd
	if either {
		join = opOr
	}
	for _, c := range cs {
		if err := c.Check(); err != nil {
			return nil, err
		}
		n := b.comparison(c)
		if b.root != nil {
			n = &node{op: join, args: []*node{b.root, n}}
		}
		b.root = n
	}
	if b.root == nil {
		return nil, nil
	}
	return &Predicate{b}, nil
}

var legacyOps = map[string]op{"EQ": opEQ, "NE": opNE, "LE": opLE, "LT": opLT, "GE": opGE, "GT": opGT, "IN": opIn, "BETWEEN": opBetween}

var legacyCalls = map[string]string{"NOT_NULL": "attribute_exists", "NULL": "attribute_not_exists",
	"CONTAINS": "contains", "NOT_CONTAINS": "contains", "BEGINS_WITH": "begins_with"}

func (b *bound) comparison(c Comparison) *node {
	n := &node{op: legacyOps[c.Operator], args: []*node{{op: opPath, path: path{{name: c.Name, ref: -1}}}}}
	for _, v := range c.Values {
		n.args = append(n.args, b.constantNode(v))
	}
	if fn := legacyCalls[c.Operator]; fn != "" {
		n.op, n.fn = opCall, fn
	}
	if c.Operator == "NOT_CONTAINS" {
		return &node{op: opNot, args: []*node{n}}
	}
	return n
}

func (b *bound) constantNode(v item.Value) *node {
	b.valueOf = append(b.valueOf, v)
	return &node{op: opValue, value: len(b.valueOf) - 1}
}

// Assignment is one entry of AttributeUpdates, the parameter that came before update expressions.
// Action is PUT (or empty), ADD or DELETE; Value may be absent for DELETE.
type Assignment struct {
	Name   string
	Action string
	Value  item.Value
}

// Check reports what is wrong with the assignment itself.
func (a Assignment) Check() error {
	t := a.Value.Type()
	switch msg := a.Value.Err(); {
	case msg != "":
		return Invalid("%s", msg)
	case !a.Value.Exists() && a.Action != "DELETE":
		return Invalid("%sOnly DELETE action is allowed when no attribute value is specified", invalidParam)
	case a.Value.Exists() && a.Action == "DELETE" && !t.IsSet():
		return Invalid("%sDELETE action with value is not supported for the type %s", invalidParam, t)
	case a.Action == "ADD" && !t.IsSet() && t != item.Number && t != item.List:
		return Invalid("%sADD action is not supported for the type %s", invalidParam, t)
	}
	return nil
}

// Assignments is the change that makes all of as.
func Assignments(as []Assignment) (*Change, error) {
	b := &bound{program: &program{kind: Update}}
	c := &Change{b: b, legacy: true}
	sort.Slice(as, func(i, j int) bool { return as[i].Name < as[j].Name })
	for _, a := range as {
		if err := a.Check(); err != nil {
			return nil, err
		}
		act := action{path: path{{name: a.Name, ref: -1}}}
		switch {
		case !a.Value.Exists():
			act.verb = remove
		case a.Action == "DELETE":
			act.verb, act.value = del, b.constantNode(a.Value)
		case a.Action == "ADD" && a.Value.Type() == item.List:
			was := &node{op: opCall, fn: "if_not_exists", args: []*node{{op: opPath, path: act.path}, b.constantNode(item.L())}}
			act.value = &node{op: opCall, fn: "list_append", args: []*node{was, b.constantNode(a.Value)}}
		case a.Action == "ADD":
			act.verb, act.value = add, b.constantNode(a.Value)
		default:
			act.value = b.constantNode(a.Value)
		}
		b.actions = append(b.actions, act)
		c.paths = append(c.paths, b.resolve(act.path))
	}
	c.plant()
	return c, nil
}
