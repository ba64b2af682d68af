package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Limits of batches (Developer Guide, "Quotas", "API-specific limits").
const (
	maxBatchGet   = 100
	maxBatchWrite = 25
	maxBatchBytes = 16 << 20
)

// batchReads is what a BatchGetItem asks of one table.
type batchReads struct {
	name string
	in   api.KeysAndAttributes
	gets []*get
}

func (s *Service) batchGet(c *gate.Call, in *api.BatchGetItemInput) (*api.BatchGetItemOutput, error) {
	plan, err := s.parseBatchGet(c, in)
	if err != nil {
		return nil, err
	}
	out := &api.BatchGetItemOutput{Responses: map[string]wire.RawJSON{}, UnprocessedKeys: map[string]api.KeysAndAttributes{}}
	var bills []*spent
	err = c.View(func(tx *store.Tx) error {
		bills = bills[:0]
		total := 0
		for _, b := range plan {
			bill, err := s.batchRead(tx, b, out, &total)
			if err != nil {
				return err
			}
			bills = append(bills, bill)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.ConsumedCapacity = reports(bills, wire.Val(in.ReturnConsumedCapacity))
	return out, nil
}

// batchRead answers for one table, until the whole answer has reached its size.
func (s *Service) batchRead(tx *store.Tx, b *batchReads, out *api.BatchGetItemOutput, total *int) (*spent, error) {
	bill := &spent{}
	buf := []byte{'['}
	seen := make(map[store.Key]bool, len(b.gets))
	for i, g := range b.gets {
		if *total >= maxBatchBytes {
			rest := b.in
			rest.Keys = b.in.Keys[i:]
			out.UnprocessedKeys[b.name] = rest
			break
		}
		t, it, err := s.read(tx, g)
		if err != nil {
			return nil, err
		}
		key := t.itemKey(g.key)
		if seen[key] {
			return nil, invalid("Provided list of item keys contains duplicates")
		}
		seen[key] = true
		bill.table = t
		size := sizeOf(it)
		bill.read += readUnits(size, wire.Val(b.in.ConsistentRead))
		if it == nil {
			continue
		}
		*total += size
		if len(buf) > 1 {
			buf = append(buf, ',')
		}
		buf = g.selection.Of(it).AppendJSON(buf)
	}
	bill.base = bill.read
	out.Responses[b.name] = append(buf, ']')
	return bill, nil
}

func (s *Service) parseBatchGet(c where, in *api.BatchGetItemInput) ([]*batchReads, error) {
	var out []*batchReads
	n := 0
	for _, name := range sortedNames(in.RequestItems) {
		b := &batchReads{name: name, in: in.RequestItems[name]}
		if n += len(b.in.Keys); n > maxBatchGet {
			return nil, invalid("Too many items requested for the BatchGetItem call")
		}
		err := checkParams([]param{{"ProjectionExpression", b.in.ProjectionExpression != nil}},
			[]param{{"AttributesToGet", b.in.AttributesToGet != nil}}, b.in.ExpressionAttributeNames, nil)
		if err != nil {
			return nil, err
		}
		sel, err := s.selected(b.in.ProjectionExpression, b.in.AttributesToGet, b.in.ExpressionAttributeNames)
		if err != nil {
			return nil, err
		}
		ref, err := refer(c, name)
		if err != nil {
			return nil, err
		}
		for _, text := range b.in.Keys {
			key, err := parse(text)
			if err != nil {
				return nil, err
			}
			b.gets = append(b.gets, &get{ref: ref, key: key, selection: sel})
		}
		out = append(out, b)
	}
	return out, nil
}

func (s *Service) batchWrite(c *gate.Call, in *api.BatchWriteItemInput) (*api.BatchWriteItemOutput, error) {
	writes, err := s.parseBatchWrite(c, in)
	if err != nil {
		return nil, err
	}
	mode := wire.Val(in.ReturnConsumedCapacity)
	var bills []*spent
	err = c.Update(func(tx *store.Tx) error {
		bills, err = s.applyAll(tx, writes)
		return err
	})
	if err != nil {
		return nil, err
	}
	if wire.Val(in.ReturnItemCollectionMetrics) == "SIZE" {
		return nil, notBuilt("ReturnItemCollectionMetrics of BatchWriteItem")
	}
	return &api.BatchWriteItemOutput{UnprocessedItems: map[string][]api.WriteRequest{}, ConsumedCapacity: reports(bills, mode)}, nil
}

// applyAll does the writes of a batch, which must be of different items.
func (s *Service) applyAll(tx *store.Tx, writes []*write) ([]*spent, error) {
	var bills []*spent
	seen := make(map[store.Key]bool, len(writes))
	for _, w := range writes {
		o, err := s.apply(tx, w)
		if err != nil {
			return nil, err
		}
		key := o.table.itemKey(w.item)
		if seen[key] {
			return nil, invalid("Provided list of item keys contains duplicates")
		}
		seen[key] = true
		bills = addBill(bills, o.spent(false), o)
	}
	return bills, nil
}

// addBill adds a write to the bill of its table.
func addBill(bills []*spent, fresh *spent, o *outcome) []*spent {
	for _, b := range bills {
		if b.table.ID == o.table.ID {
			b.addWrite(o)
			return bills
		}
	}
	return append(bills, fresh)
}

func reports(bills []*spent, mode string) []api.ConsumedCapacity {
	var out []api.ConsumedCapacity
	for _, b := range bills {
		if r := b.report(mode); r != nil {
			out = append(out, *r)
		}
	}
	return out
}

func (s *Service) parseBatchWrite(c where, in *api.BatchWriteItemInput) ([]*write, error) {
	var out []*write
	for _, name := range sortedNames(in.RequestItems) {
		ref, err := refer(c, name)
		if err != nil {
			return nil, err
		}
		for _, r := range in.RequestItems[name] {
			w := &write{ref: ref, needOld: in.ReturnConsumedCapacity != nil}
			switch {
			case r.PutRequest != nil && r.DeleteRequest == nil:
				w.action = put
				w.item, err = parse(r.PutRequest.Item)
				if err == nil && w.item.Size() > item.MaxSize {
					err = invalid("Item size has exceeded the maximum allowed size")
				}
			case r.DeleteRequest != nil && r.PutRequest == nil:
				w.action = remove
				w.item, err = parse(r.DeleteRequest.Key)
			default:
				err = invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
			}
			if err != nil {
				return nil, err
			}
			out = append(out, w)
		}
	}
	if len(out) > maxBatchWrite {
		return nil, expression.Invalid("Too many items requested for the BatchWriteItem call")
	}
	return out, nil
}
