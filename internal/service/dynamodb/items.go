package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) putItem(c *gate.Call, in *api.PutItemInput) (*api.PutItemOutput, error) {
	w, err := s.parsePut(c, in)
	if err != nil {
		return nil, err
	}
	var done *outcome
	var metrics *api.ItemCollectionMetrics
	err = c.Update(func(tx *store.Tx) error {
		if done, err = s.apply(tx, w); err != nil {
			return err
		}
		metrics, err = s.collection(tx, done, w.item, wire.Val(in.ReturnItemCollectionMetrics))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.PutItemOutput{ItemCollectionMetrics: metrics}
	if wire.Val(in.ReturnValues) == "ALL_OLD" {
		out.Attributes = raw(done.old)
	}
	if mode := wire.Val(in.ReturnConsumedCapacity); mode != "" {
		out.ConsumedCapacity = done.spent(false).report(mode)
	}
	return out, nil
}

func (s *Service) parsePut(c where, in *api.PutItemInput) (*write, error) {
	w := &write{action: put, showOld: wire.Val(in.ReturnValuesOnConditionCheckFailure) == "ALL_OLD"}
	err := checkParams([]param{{"ConditionExpression", in.ConditionExpression != nil}}, []param{{"Expected", in.Expected != nil}},
		in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if w.item, err = parse(in.Item); err != nil {
		return nil, err
	}
	switch wire.Val(in.ReturnValues) {
	case "", "NONE":
	case "ALL_OLD":
		w.needOld = true
	default:
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	if w.item.Size() > item.MaxSize {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	if in.ReturnConsumedCapacity != nil {
		w.needOld = true // the larger of the two items is charged
	}
	if w.cond, err = s.conditionOf(in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.Expected, in.ConditionalOperator); err != nil {
		return nil, err
	}
	w.ref, err = refer(c, in.TableName)
	return w, err
}

// conditionOf is a write's condition when it has no other expression.
func (s *Service) conditionOf(text *string, names map[string]string, vals wire.RawJSON,
	old map[string]api.ExpectedAttributeValue, operator *string) (*expression.Predicate, error) {
	if text == nil {
		return expected(old, operator)
	}
	scope, err := s.open(names, vals)
	if err != nil {
		return nil, err
	}
	cond, err := condition(scope, text)
	if err != nil {
		return nil, err
	}
	return cond, scope.Close()
}

func (s *Service) deleteItem(c *gate.Call, in *api.DeleteItemInput) (*api.DeleteItemOutput, error) {
	w, err := s.parseDelete(c, in)
	if err != nil {
		return nil, err
	}
	var done *outcome
	var metrics *api.ItemCollectionMetrics
	err = c.Update(func(tx *store.Tx) error {
		if done, err = s.apply(tx, w); err != nil {
			return err
		}
		metrics, err = s.collection(tx, done, w.item, wire.Val(in.ReturnItemCollectionMetrics))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.DeleteItemOutput{ItemCollectionMetrics: metrics}
	if wire.Val(in.ReturnValues) == "ALL_OLD" {
		out.Attributes = raw(done.old)
	}
	if mode := wire.Val(in.ReturnConsumedCapacity); mode != "" {
		out.ConsumedCapacity = done.spent(false).report(mode)
	}
	return out, nil
}

func (s *Service) parseDelete(c where, in *api.DeleteItemInput) (*write, error) {
	w := &write{action: remove, needOld: true, showOld: wire.Val(in.ReturnValuesOnConditionCheckFailure) == "ALL_OLD"}
	err := checkParams([]param{{"ConditionExpression", in.ConditionExpression != nil}}, []param{{"Expected", in.Expected != nil}},
		in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if w.item, err = parse(in.Key); err != nil {
		return nil, err
	}
	if r := wire.Val(in.ReturnValues); r != "" && r != "NONE" && r != "ALL_OLD" {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	if w.cond, err = s.conditionOf(in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.Expected, in.ConditionalOperator); err != nil {
		return nil, err
	}
	w.ref, err = refer(c, in.TableName)
	return w, err
}

func (s *Service) updateItem(c *gate.Call, in *api.UpdateItemInput) (*api.UpdateItemOutput, error) {
	w, err := s.parseUpdate(c, in)
	if err != nil {
		return nil, err
	}
	var done *outcome
	var metrics *api.ItemCollectionMetrics
	err = c.Update(func(tx *store.Tx) error {
		if done, err = s.apply(tx, w); err != nil {
			return err
		}
		metrics, err = s.collection(tx, done, w.item, wire.Val(in.ReturnItemCollectionMetrics))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.UpdateItemOutput{ItemCollectionMetrics: metrics}
	out.Attributes = w.returned(done, wire.Val(in.ReturnValues))
	if mode := wire.Val(in.ReturnConsumedCapacity); mode != "" {
		out.ConsumedCapacity = done.spent(false).report(mode)
	}
	return out, nil
}

// returned is what ReturnValues asks an update for; nothing where there is nothing of it.
func (w *write) returned(o *outcome, mode string) wire.RawJSON {
	switch mode {
	case "ALL_OLD":
		return raw(o.old)
	case "ALL_NEW":
		return raw(o.new)
	}
	it := o.old
	if mode == "UPDATED_NEW" {
		it = o.new
	} else if mode != "UPDATED_OLD" {
		return nil
	}
	if w.change == nil {
		return nil
	}
	if part := w.change.Touched().Of(it); len(part) > 0 {
		return raw(part)
	}
	return nil
}

func (s *Service) parseUpdate(c where, in *api.UpdateItemInput) (*write, error) {
	w := &write{action: update, showOld: wire.Val(in.ReturnValuesOnConditionCheckFailure) == "ALL_OLD"}
	err := checkParams([]param{{"UpdateExpression", in.UpdateExpression != nil}, {"ConditionExpression", in.ConditionExpression != nil}},
		[]param{{"AttributeUpdates", in.AttributeUpdates != nil}, {"Expected", in.Expected != nil}},
		in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if w.item, err = parse(in.Key); err != nil {
		return nil, err
	}
	if in.UpdateExpression != nil || in.ConditionExpression != nil {
		err = s.updateExpressions(w, in.UpdateExpression, in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	} else {
		err = w.assignments(in)
	}
	if err != nil {
		return nil, err
	}
	w.ref, err = refer(c, in.TableName)
	return w, err
}

func (s *Service) updateExpressions(w *write, change, cond *string, names map[string]string, vals wire.RawJSON) error {
	scope, err := s.open(names, vals)
	if err != nil {
		return err
	}
	if change != nil {
		if w.change, err = scope.Change(*change); err != nil {
			return err
		}
	}
	if w.cond, err = condition(scope, cond); err != nil {
		return err
	}
	return scope.Close()
}

// assignments reads AttributeUpdates and Expected.
func (w *write) assignments(in *api.UpdateItemInput) error {
	var as []expression.Assignment
	for _, name := range sortedNames(in.AttributeUpdates) {
		u := in.AttributeUpdates[name]
		a := expression.Assignment{Name: name, Action: wire.Val(u.Action)}
		if u.Value != nil {
			v, err := item.ParseValue(string(u.Value))
			if err != nil {
				return err
			}
			a.Value = v
		}
		as = append(as, a)
	}
	var err error
	if len(as) > 0 {
		if w.change, err = expression.Assignments(as); err != nil {
			return err
		}
	}
	w.cond, err = expected(in.Expected, in.ConditionalOperator)
	return err
}

func (s *Service) getItem(c *gate.Call, in *api.GetItemInput) (*api.GetItemOutput, error) {
	g, err := s.parseGet(c, in.TableName, in.Key, in.ProjectionExpression, in.AttributesToGet, in.ExpressionAttributeNames)
	if err != nil {
		return nil, err
	}
	var t *table
	var it item.Item
	err = c.View(func(tx *store.Tx) error {
		t, it, err = s.read(tx, g)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.GetItemOutput{}
	if it != nil {
		out.Item = raw(g.selection.Of(it))
	}
	if mode := wire.Val(in.ReturnConsumedCapacity); mode != "" {
		units := readUnits(sizeOf(it), wire.Val(in.ConsistentRead))
		out.ConsumedCapacity = (&spent{table: t, read: units, base: units}).report(mode)
	}
	return out, nil
}

// get is one item to be read.
type get struct {
	ref       ref
	key       item.Item
	selection *expression.Selection
}

func (s *Service) parseGet(c where, name string, key wire.RawJSON, projection *string, attributes []string, names map[string]string) (*get, error) {
	g := &get{}
	err := checkParams([]param{{"ProjectionExpression", projection != nil}}, []param{{"AttributesToGet", attributes != nil}}, names, nil)
	if err != nil {
		return nil, err
	}
	if g.key, err = parse(key); err != nil {
		return nil, err
	}
	if g.selection, err = s.selected(projection, attributes, names); err != nil {
		return nil, err
	}
	g.ref, err = refer(c, name)
	return g, err
}

// selected is what a read wants when it has no other expression.
func (s *Service) selected(projection *string, attributes []string, names map[string]string) (*expression.Selection, error) {
	if projection == nil && attributes == nil {
		return nil, nil
	}
	scope, err := s.open(names, nil)
	if err != nil {
		return nil, err
	}
	sel, err := selection(scope, projection, attributes)
	if err != nil {
		return nil, err
	}
	return sel, scope.Close()
}

// read is the table and the item, nil when there is none.
func (s *Service) read(tx *store.Tx, g *get) (*table, item.Item, error) {
	t, ok, err := s.table(tx, g.ref)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, notFound()
	}
	if err := t.checkKey(g.key); err != nil {
		return nil, nil, err
	}
	it, err := s.stored(tx, t.itemKey(g.key))
	return t, it, err
}

// maxCollection bounds what is read to tell a collection's size.
const maxCollection = 10_000

// collection is the ItemCollectionMetrics of a write, which only tables with local indexes have:
// the size of everything under one partition key, as a range in GB.
func (s *Service) collection(tx *store.Tx, o *outcome, it item.Item, mode string) (*api.ItemCollectionMetrics, error) {
	if mode != "SIZE" || !o.table.hasLocal() {
		return nil, nil
	}
	t := o.table
	hash := it.Get(t.Key.Hash)
	numbers := []int{0}
	for i := range t.Indexes {
		if t.Indexes[i].Local {
			numbers = append(numbers, t.Indexes[i].N)
		}
	}
	bytes, rows := 0, 0
	for _, n := range numbers {
		prefix := t.rows(n).Begin(string(appendPartition(nil, hash)))
		for e, err := range s.t.items.Scan(tx, prefix, store.Range{Limit: maxCollection}) {
			if err != nil {
				return nil, err
			}
			bytes += len(e.Value)
			rows++
		}
	}
	low := float64(bytes >> 30)
	return &api.ItemCollectionMetrics{ItemCollectionKey: raw(item.Of(item.Attr{Name: t.Key.Hash, Value: hash})),
		SizeEstimateRangeGB: []float64{low, low + 1}}, nil
}
