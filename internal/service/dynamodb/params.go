package dynamodb

import (
	"sort"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// ref is a table as a request names it.
type ref struct{ account, region, name string }

// where is the account and region that a call works in.
type where interface {
	Account() string
	Region() string
}

// refer reads a TableName, which may be an ARN. A table of another region cannot be reached.
func refer(w where, name string) (ref, error) {
	r := ref{w.Account(), w.Region(), name}
	if strings.HasPrefix(name, "arn:") {
		a, err := arn.Parse(name)
		table, ok := strings.CutPrefix(a.Resource, "table/")
		if err != nil || !ok || a.Service != "dynamodb" || strings.Contains(table, "/") {
			return r, invalid("Invalid TableName or Table ARN: %s", name)
		}
		if a.Region != r.region {
			return r, invalid("The provided ARN is in another region than the request: %s", name)
		}
		r = ref{a.Account, a.Region, table}
	}
	if !tableName(r.name) {
		return r, invalid("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", r.name)
	}
	if len(r.name) > 255 {
		return r, invalid("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: "+
			"Member must have length less than or equal to 255", r.name)
	}
	return r, nil
}

func tableName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return s != ""
}

func raw(it item.Item) wire.RawJSON {
	if it == nil {
		return nil
	}
	return it.AppendJSON(make([]byte, 0, 256))
}

// parse reads an item or key; one whose values are not acceptable is refused.
func parse(text wire.RawJSON) (item.Item, error) {
	it, err := item.ParseItem(string(text))
	if err != nil {
		return nil, err
	}
	if msg := it.Err(); msg != "" {
		return nil, invalid("%s", msg)
	}
	return it, nil
}

// param is a parameter of a request and whether it is there.
type param struct {
	name  string
	given bool
}

func given(ps []param) []string {
	var out []string
	for _, p := range ps {
		if p.given {
			out = append(out, p.name)
		}
	}
	return out
}

// checkParams refuses expressions beside the parameters that they replaced, and placeholders
// without expressions. Values belong to the expressions before the projection.
func checkParams(exprs, old []param, names map[string]string, values wire.RawJSON) error {
	if names == nil && values == nil && (len(given(exprs)) == 0 || len(given(old)) == 0) {
		return nil
	}
	have := given(exprs)
	if legacy := given(old); len(have) > 0 && len(legacy) > 0 {
		return invalid("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {%s} Expression parameters: {%s}",
			strings.Join(legacy, ", "), strings.Join(have, ", "))
	}
	if names != nil && len(have) == 0 {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if values == nil {
		return nil
	}
	var users []string
	for _, p := range exprs {
		switch {
		case p.name == "ProjectionExpression":
		case p.given:
			return nil
		default:
			users = append(users, p.name)
		}
	}
	verb := "is"
	if len(users) > 1 {
		verb = "are"
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: %s %s null", strings.Join(users, " and "), verb)
}

// open begins a request's expressions; values may be missing.
func (s *Service) open(names map[string]string, values wire.RawJSON) (*expression.Scope, error) {
	var vals item.Item
	if values != nil {
		var err error
		if vals, err = item.ParseItem(string(values)); err != nil {
			return nil, err
		}
	}
	return s.exprs.Open(names, vals)
}

// condition binds a condition where there is one.
func condition(scope *expression.Scope, text *string) (*expression.Predicate, error) {
	if text == nil {
		return nil, nil
	}
	return scope.Predicate(expression.Condition, *text)
}

// expected is the predicate of an Expected parameter.
func expected(in map[string]api.ExpectedAttributeValue, operator *string) (*expression.Predicate, error) {
	var cs []expression.Comparison
	for _, name := range sortedNames(in) {
		c, err := expectation(name, in[name])
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return expression.Comparisons(cs, wire.Val(operator) == "OR")
}

func expectation(name string, e api.ExpectedAttributeValue) (expression.Comparison, error) {
	c := expression.Comparison{Name: name, Operator: wire.Val(e.ComparisonOperator)}
	list, err := values(e.AttributeValueList)
	if err != nil {
		return c, err
	}
	if e.Value != nil {
		v, err := item.ParseValue(string(e.Value))
		if err != nil {
			return c, err
		}
		c.Values = []item.Value{v}
	}
	switch {
	case e.Value != nil && e.AttributeValueList != nil:
		return c, invalid(invalidParam+"Value and AttributeValueList cannot be used together for Attribute: %s", name)
	case c.Operator != "" && e.Exists != nil:
		return c, invalid(invalidParam+"Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
	case c.Operator != "":
		if e.AttributeValueList != nil {
			c.Values = list
		} else if e.Value == nil && c.Operator != "NULL" && c.Operator != "NOT_NULL" {
			return c, invalid(invalidParam+"Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", c.Operator, name)
		}
		return c, nil
	case e.AttributeValueList != nil:
		return c, invalid(invalidParam+"AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", name)
	}
	exists := e.Exists == nil || *e.Exists
	switch {
	case exists && e.Value == nil:
		said := "null"
		if e.Exists != nil {
			said = "true"
		}
		return c, invalid(invalidParam+"Value must be provided when Exists is %s for Attribute: %s", said, name)
	case !exists && e.Value != nil:
		return c, invalid(invalidParam+"Value cannot be used when Exists is false for Attribute: %s", name)
	case exists:
		c.Operator = "EQ"
	default:
		c.Operator = "NULL"
	}
	return c, nil
}

// comparisons are the entries of a ScanFilter, QueryFilter or KeyConditions.
func comparisons(in map[string]api.Condition) ([]expression.Comparison, error) {
	var out []expression.Comparison
	for _, name := range sortedNames(in) {
		vs, err := values(in[name].AttributeValueList)
		if err != nil {
			return nil, err
		}
		out = append(out, expression.Comparison{Name: name, Operator: in[name].ComparisonOperator, Values: vs})
	}
	return out, nil
}

// values reads a list of attribute values.
func values(list wire.RawJSON) ([]item.Value, error) {
	if list == nil {
		return nil, nil
	}
	v, err := item.ParseValue(`{"L":` + string(list) + `}`)
	if err != nil {
		return nil, err
	}
	if msg := v.Err(); msg != "" {
		return nil, invalid("%s", msg)
	}
	return v.Elements(), nil
}

// selection is what a read wants of the items: a projection, attributes by name, or nil for all.
func selection(scope *expression.Scope, projection *string, attributes []string) (*expression.Selection, error) {
	switch {
	case projection != nil:
		return scope.Selection(*projection)
	case attributes != nil:
		seen := map[string]bool{}
		for _, a := range attributes {
			if seen[a] {
				return nil, invalid(invalidParam+"Duplicate value in attribute name: %s", a)
			}
			seen[a] = true
		}
		return expression.Attributes(attributes...), nil
	}
	return nil, nil
}

func sortedNames[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
