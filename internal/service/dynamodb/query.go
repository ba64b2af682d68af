package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) query(c *gate.Call, in *api.QueryInput) (*api.QueryOutput, error) {
	q, err := s.parseQuery(c, in)
	if err != nil {
		return nil, err
	}
	err = c.View(func(tx *store.Tx) error {
		w, err := s.beginWalk(tx, &q.listing)
		if err != nil {
			return err
		}
		if err := q.narrow(w); err != nil {
			return err
		}
		q.page, err = s.walk(tx, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	p := q.page
	return &api.QueryOutput{Items: p.items, Count: &p.count, ScannedCount: &p.scanned, LastEvaluatedKey: raw(p.last),
		ConsumedCapacity: p.spent.report(wire.Val(in.ReturnConsumedCapacity))}, nil
}

// listing is what Query and Scan have in common.
type listing struct {
	ref        ref
	index      string
	sel        string // Select
	consistent bool
	limit      int
	start      item.Item // ExclusiveStartKey
	filter     *expression.Predicate
	selection  *expression.Selection
	by         string // the parameter that selects, for messages
	verb       string // "Querying" or "Scanning", for messages
	page       *page
}

type queryPlan struct {
	listing
	tests   []expression.KeyTest
	reverse bool
}

func (s *Service) parseQuery(c where, in *api.QueryInput) (*queryPlan, error) {
	q := &queryPlan{reverse: in.ScanIndexForward != nil && !*in.ScanIndexForward}
	exprs := []param{{"ProjectionExpression", in.ProjectionExpression != nil}, {"FilterExpression", in.FilterExpression != nil},
		{"KeyConditionExpression", in.KeyConditionExpression != nil}}
	old := []param{{"AttributesToGet", in.AttributesToGet != nil}, {"QueryFilter", in.QueryFilter != nil}, {"ConditionalOperator", in.ConditionalOperator != nil}}
	if in.KeyConditionExpression != nil { // KeyConditions may stand beside the other expressions
		old = append(old, param{"KeyConditions", in.KeyConditions != nil})
	}
	if err := checkParams(exprs, old, in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return nil, err
	}
	if in.KeyConditionExpression == nil && in.KeyConditions == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	scope, err := s.open(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if q.tests, err = keyTests(scope, in); err != nil {
		return nil, err
	}
	if q.filter, err = filter(scope, in.FilterExpression, in.QueryFilter, in.ConditionalOperator); err != nil {
		return nil, err
	}
	if q.selection, err = selection(scope, in.ProjectionExpression, in.AttributesToGet); err != nil {
		return nil, err
	}
	if err := scope.Close(); err != nil {
		return nil, err
	}
	q.index, q.sel, q.consistent, q.verb = wire.Val(in.IndexName), wire.Val(in.Select), wire.Val(in.ConsistentRead), "Querying"
	q.limit = int(wire.Val(in.Limit))
	q.by = selector(in.ProjectionExpression)
	return q, q.finish(c, in.TableName, in.ExclusiveStartKey)
}

func selector(projection *string) string {
	if projection != nil {
		return "ProjectionExpression"
	}
	return "AttributesToGet"
}

// finish parses what remains of a listing.
func (l *listing) finish(c where, name string, start wire.RawJSON) error {
	var err error
	if start != nil {
		if l.start, err = item.ParseItem(string(start)); err != nil {
			return err
		}
		if msg := l.start.Err(); msg != "" {
			return invalid("The provided starting key is invalid: %s", msg)
		}
	}
	if err := l.checkSelect(); err != nil {
		return err
	}
	l.ref, err = refer(c, name)
	return err
}

func (l *listing) checkSelect() error {
	switch {
	case l.sel == "ALL_PROJECTED_ATTRIBUTES" && l.index == "":
		return invalid(invalidParam+"ALL_PROJECTED_ATTRIBUTES can be used only when %s using an IndexName", l.verb)
	case l.sel == "SPECIFIC_ATTRIBUTES" && l.selection == nil:
		return invalid(invalidParam + "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case l.selection != nil && l.sel != "" && l.sel != "SPECIFIC_ATTRIBUTES":
		return invalid("Cannot specify the %s when choosing to get %s", l.by, selectWords[l.sel])
	}
	return nil
}

var selectWords = map[string]string{"ALL_ATTRIBUTES": "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES": "ALL_PROJECTED_ATTRIBUTES", "COUNT": "only the Count"}

func filter(scope *expression.Scope, text *string, old map[string]api.Condition, operator *string) (*expression.Predicate, error) {
	if text != nil {
		return scope.Predicate(expression.Filter, *text)
	}
	cs, err := comparisons(old)
	if err != nil {
		return nil, err
	}
	return expression.Comparisons(cs, wire.Val(operator) == "OR")
}

func keyTests(scope *expression.Scope, in *api.QueryInput) ([]expression.KeyTest, error) {
	if in.KeyConditionExpression != nil {
		return scope.Keys(*in.KeyConditionExpression)
	}
	cs, err := comparisons(in.KeyConditions)
	if err != nil {
		return nil, err
	}
	var out []expression.KeyTest
	for _, c := range cs {
		if err := c.Check(); err != nil {
			return nil, err
		}
		switch c.Operator {
		case "NE", "IN", "NULL", "NOT_NULL", "CONTAINS", "NOT_CONTAINS":
			return nil, invalid("Attempted conditional constraint is not an indexable operation")
		}
		out = append(out, expression.KeyTest(c))
	}
	return out, nil
}

// narrow turns the key conditions into the range of rows that w walks.
func (q *queryPlan) narrow(w *walk) error {
	t, key := w.table, w.key
	hash, sort, err := q.conditions(t, key)
	if err != nil {
		return err
	}
	if err := q.checkFilter(key); err != nil {
		return err
	}
	w.reverse = q.reverse
	prefix := appendPartition(nil, hash.Values[0])
	w.bounds(prefix, sort)
	if w.after.IsZero() {
		return nil
	}
	switch {
	case !hash.Holds(q.start.Get(key.Hash)):
		return invalid("The provided starting key is outside query boundaries based on provided conditions")
	case sort != nil && !sort.Holds(q.start.Get(key.Range)):
		return invalid("The provided starting key does not match the range key predicate")
	}
	return nil
}

// conditions are the condition on the partition key and the one on the sort key, if any.
func (q *queryPlan) conditions(t *table, key keySchema) (hash, sort *expression.KeyTest, err error) {
	if len(q.tests) == 0 || len(q.tests) > 2 {
		return nil, nil, invalid("Conditions can be of length 1 or 2 only")
	}
	for i := range q.tests {
		switch q.tests[i].Name {
		case key.Hash:
			hash = &q.tests[i]
		case key.Range:
			sort = &q.tests[i]
		}
	}
	switch {
	case hash == nil:
		return nil, nil, invalid("Query condition missed key schema element: %s", key.Hash)
	case len(q.tests) == 2 && sort == nil && key.Range == "":
		return nil, nil, invalid("Query key condition not supported")
	case len(q.tests) == 2 && sort == nil:
		return nil, nil, invalid("Query condition missed key schema element: %s", key.Range)
	case hash.Operator != "EQ":
		return nil, nil, invalid("Query key condition not supported")
	}
	for i := range q.tests {
		name := q.tests[i].Name
		for _, v := range q.tests[i].Values {
			if v.Type() != t.typeOf(name) {
				return nil, nil, invalid(invalidParam + "Condition parameter type does not match schema type")
			}
			if empty := emptyKind(v); empty != "" {
				return nil, nil, invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", empty, name)
			}
		}
	}
	return hash, sort, nil
}

// checkFilter refuses filters on the keys that the query itself is about.
func (q *queryPlan) checkFilter(key keySchema) error {
	var err error
	q.filter.Paths(func(head string, _ bool) {
		if err == nil && key.has(head) {
			err = invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", head)
		}
	})
	return err
}
