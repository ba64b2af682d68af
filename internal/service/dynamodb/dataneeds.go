package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// The needs of operations on items: one for each table, or for each action of a transaction.

func (s *Service) needPut(a *gate.Ask, in *api.PutItemInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	f.leading, f.returns, f.consumed = leads(in.Item), in.ReturnValues, in.ReturnConsumedCapacity
	f.named([]wire.RawJSON{in.Item}, in.ExpressionAttributeNames, in.ExpressionAttributeValues, func(sc *expression.Scope, out *attributes) error {
		for name := range in.Expected {
			out.add(name)
		}
		return out.condition(sc, expression.Condition, in.ConditionExpression)
	})
	return []gate.Need{f.need("PutItem")}, nil
}

func (s *Service) needUpdate(a *gate.Ask, in *api.UpdateItemInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	f.leading, f.returns, f.consumed = leads(in.Key), in.ReturnValues, in.ReturnConsumedCapacity
	f.named([]wire.RawJSON{in.Key}, in.ExpressionAttributeNames, in.ExpressionAttributeValues, func(sc *expression.Scope, out *attributes) error {
		for name := range in.Expected {
			out.add(name)
		}
		for name := range in.AttributeUpdates {
			out.add(name)
		}
		if err := out.change(sc, in.UpdateExpression); err != nil {
			return err
		}
		return out.condition(sc, expression.Condition, in.ConditionExpression)
	})
	return []gate.Need{f.need("UpdateItem")}, nil
}

func (s *Service) needDelete(a *gate.Ask, in *api.DeleteItemInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	f.leading, f.returns, f.consumed = leads(in.Key), in.ReturnValues, in.ReturnConsumedCapacity
	f.named([]wire.RawJSON{in.Key}, in.ExpressionAttributeNames, in.ExpressionAttributeValues, func(sc *expression.Scope, out *attributes) error {
		for name := range in.Expected {
			out.add(name)
		}
		return out.condition(sc, expression.Condition, in.ConditionExpression)
	})
	return []gate.Need{f.need("DeleteItem")}, nil
}

func (s *Service) needGet(a *gate.Ask, in *api.GetItemInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	f.consumed = in.ReturnConsumedCapacity
	f.reads([]wire.RawJSON{in.Key}, in.ProjectionExpression, in.AttributesToGet, in.ExpressionAttributeNames)
	return []gate.Need{f.need("GetItem")}, nil
}

// reads are the facts of reading items by key. Without a projection all attributes are asked for,
// which Select says.
func (f *facts) reads(keys []wire.RawJSON, projection *string, old []string, names map[string]string) {
	f.leading, f.sel = leads(keys...), selects(nil, projection, old)
	if projection == nil && old == nil {
		return
	}
	f.named(keys[:min(1, len(keys))], names, nil, func(sc *expression.Scope, out *attributes) error {
		return out.projection(sc, projection, old)
	})
}

// selects is the value of dynamodb:Select: what the request says or what that defaults to.
func selects(said, projection *string, old []string) *string {
	switch {
	case said != nil:
		return said
	case projection != nil || old != nil:
		return ptr("SPECIFIC_ATTRIBUTES")
	}
	return ptr("ALL_ATTRIBUTES")
}

func (s *Service) needQuery(a *gate.Ask, in *api.QueryInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	f.index, f.consumed = wire.Val(in.IndexName), in.ReturnConsumedCapacity
	f.sel = selects(in.Select, in.ProjectionExpression, in.AttributesToGet)
	f.leading = func(t *table) ([]string, error) { return s.queried(t, in) }
	if in.ProjectionExpression != nil || in.AttributesToGet != nil {
		f.named(nil, in.ExpressionAttributeNames, in.ExpressionAttributeValues, func(sc *expression.Scope, out *attributes) error {
			for name := range in.KeyConditions {
				out.add(name)
			}
			for name := range in.QueryFilter {
				out.add(name)
			}
			if err := out.condition(sc, expression.KeyCondition, in.KeyConditionExpression); err != nil {
				return err
			}
			if err := out.condition(sc, expression.Filter, in.FilterExpression); err != nil {
				return err
			}
			return out.projection(sc, in.ProjectionExpression, in.AttributesToGet)
		})
	}
	return []gate.Need{f.need("Query")}, nil
}

// queried is the partition key that a query is about, of the index where it names one.
func (s *Service) queried(t *table, in *api.QueryInput) ([]string, error) {
	key := t.Key
	if in.IndexName != nil {
		ix, ok := t.index(*in.IndexName)
		if !ok {
			return nil, nil
		}
		key = ix.Key
	}
	scope, err := s.open(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	tests, err := keyTests(scope, in)
	if err != nil {
		return nil, err
	}
	for _, test := range tests {
		if test.Name == key.Hash && test.Operator == "EQ" {
			return []string{keyText(test.Values[0])}, nil
		}
	}
	return nil, nil
}

func (s *Service) needScan(a *gate.Ask, in *api.ScanInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	f.index, f.consumed, f.scan = wire.Val(in.IndexName), in.ReturnConsumedCapacity, true
	f.sel = selects(in.Select, in.ProjectionExpression, in.AttributesToGet)
	if in.ProjectionExpression != nil || in.AttributesToGet != nil {
		f.named(nil, in.ExpressionAttributeNames, in.ExpressionAttributeValues, func(sc *expression.Scope, out *attributes) error {
			for name := range in.ScanFilter {
				out.add(name)
			}
			if err := out.condition(sc, expression.Filter, in.FilterExpression); err != nil {
				return err
			}
			return out.projection(sc, in.ProjectionExpression, in.AttributesToGet)
		})
	}
	return []gate.Need{f.need("Scan")}, nil
}

func (s *Service) needBatchGet(a *gate.Ask, in *api.BatchGetItemInput) ([]gate.Need, error) {
	var needs []gate.Need
	for _, name := range sortedNames(in.RequestItems) {
		f, err := s.about(a, name)
		if err != nil {
			return nil, err
		}
		part := in.RequestItems[name]
		f.consumed = in.ReturnConsumedCapacity
		f.reads(part.Keys, part.ProjectionExpression, part.AttributesToGet, part.ExpressionAttributeNames)
		needs = append(needs, f.need("BatchGetItem"))
	}
	return needs, nil
}

func (s *Service) needBatchWrite(a *gate.Ask, in *api.BatchWriteItemInput) ([]gate.Need, error) {
	var needs []gate.Need
	for _, name := range sortedNames(in.RequestItems) {
		f, err := s.about(a, name)
		if err != nil {
			return nil, err
		}
		var texts []wire.RawJSON
		for _, r := range in.RequestItems[name] {
			if r.PutRequest != nil {
				texts = append(texts, r.PutRequest.Item)
			}
			if r.DeleteRequest != nil {
				texts = append(texts, r.DeleteRequest.Key)
			}
		}
		f.leading, f.consumed = leads(texts...), in.ReturnConsumedCapacity
		f.named(texts, nil, nil, nil)
		needs = append(needs, f.need("BatchWriteItem"))
	}
	return needs, nil
}

func (s *Service) needTransactGet(a *gate.Ask, in *api.TransactGetItemsInput) ([]gate.Need, error) {
	var needs []gate.Need
	for _, x := range in.TransactItems {
		if x.Get == nil {
			continue // the handler refuses it
		}
		f, err := s.about(a, x.Get.TableName)
		if err != nil {
			return nil, err
		}
		f.consumed, f.enclosing = in.ReturnConsumedCapacity, "TransactGetItems"
		f.reads([]wire.RawJSON{x.Get.Key}, x.Get.ProjectionExpression, nil, x.Get.ExpressionAttributeNames)
		needs = append(needs, f.need("GetItem"))
	}
	return needs, nil
}

func (s *Service) needTransactWrite(a *gate.Ask, in *api.TransactWriteItemsInput) ([]gate.Need, error) {
	var needs []gate.Need
	for i := range in.TransactItems {
		for _, p := range parts(&in.TransactItems[i]) {
			f, err := s.about(a, p.table)
			if err != nil {
				return nil, err
			}
			f.leading, f.consumed, f.enclosing = leads(p.item), in.ReturnConsumedCapacity, "TransactWriteItems"
			f.named([]wire.RawJSON{p.item}, p.names, p.values, func(sc *expression.Scope, out *attributes) error {
				if err := out.change(sc, p.change); err != nil {
					return err
				}
				return out.condition(sc, expression.Condition, p.cond)
			})
			needs = append(needs, f.need(actions[p.action]))
		}
	}
	return needs, nil
}

// part is one action of a transaction, as policies see it.
type part struct {
	action       action
	table        string
	item         wire.RawJSON
	change, cond *string
	names        map[string]string
	values       wire.RawJSON
}

// parts are the actions that an entry holds: one, or the handler refuses it.
func parts(x *api.TransactWriteItem) []part {
	var out []part
	if c := x.ConditionCheck; c != nil {
		out = append(out, part{check, c.TableName, c.Key, nil, &c.ConditionExpression, c.ExpressionAttributeNames, c.ExpressionAttributeValues})
	}
	if p := x.Put; p != nil {
		out = append(out, part{put, p.TableName, p.Item, nil, p.ConditionExpression, p.ExpressionAttributeNames, p.ExpressionAttributeValues})
	}
	if d := x.Delete; d != nil {
		out = append(out, part{remove, d.TableName, d.Key, nil, d.ConditionExpression, d.ExpressionAttributeNames, d.ExpressionAttributeValues})
	}
	if u := x.Update; u != nil {
		out = append(out, part{update, u.TableName, u.Key, &u.UpdateExpression, u.ConditionExpression, u.ExpressionAttributeNames, u.ExpressionAttributeValues})
	}
	return out
}
