package dynamodb

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	maxTransactBytes = 4 << 20
	tokenLife        = 10 * time.Minute
)

// actions are the names of a transaction's actions in policies.
var actions = [...]string{put: "PutItem", update: "UpdateItem", remove: "DeleteItem", check: "ConditionCheckItem"}

func (s *Service) transactWrite(c *gate.Call, in *api.TransactWriteItemsInput) (*api.TransactWriteItemsOutput, error) {
	writes, err := s.parseTransaction(c, in)
	if err != nil {
		return nil, err
	}
	if wire.Val(in.ReturnItemCollectionMetrics) == "SIZE" {
		return nil, notBuilt("ReturnItemCollectionMetrics of TransactWriteItems")
	}
	hash, err := fingerprint(in)
	if err != nil {
		return nil, err
	}
	var bills []*spent
	err = c.Update(func(tx *store.Tx) error {
		bills = nil
		done, err := s.redeem(tx, c, wire.Val(in.ClientRequestToken), hash)
		if err != nil || done {
			return err
		}
		bills, err = s.transaction(tx, writes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.TransactWriteItemsOutput{ConsumedCapacity: reports(bills, wire.Val(in.ReturnConsumedCapacity))}, nil
}

// transaction does all writes or, with the reasons, none.
func (s *Service) transaction(tx *store.Tx, writes []*write) ([]*spent, error) {
	var bills []*spent
	reasons := make([]*awserr.Error, len(writes))
	failed := false
	seen := make(map[store.Key]bool, len(writes))
	for i, w := range writes {
		if err := s.once(tx, w, seen); err != nil {
			return nil, err
		}
		o, err := s.apply(tx, w)
		if err != nil {
			if reasons[i] = cancels(err); reasons[i] == nil {
				return nil, err
			}
			failed = true
			continue
		}
		bills = addBill(bills, o.spent(true), o)
	}
	if failed {
		return nil, cancelled(reasons)
	}
	return bills, nil
}

// once refuses a second action on one item.
func (s *Service) once(tx *store.Tx, w *write, seen map[store.Key]bool) error {
	t, ok, err := s.table(tx, w.ref)
	if err != nil || !ok {
		return err // apply says that there is no table
	}
	if t.checkItem(w.item) != nil && t.checkKey(w.item) != nil {
		return nil // so does it about a key that is none
	}
	key := t.itemKey(w.item)
	if seen[key] {
		return invalid("Transaction request cannot include multiple operations on one item")
	}
	seen[key] = true
	return nil
}

// cancels is the error of an action that cancels its transaction; nil for one that is reported
// as it is.
func cancels(err error) *awserr.Error {
	e := awserr.Wrap(err)
	if e.Code == "ConditionalCheckFailedException" || e.Code == "ValidationException" {
		return e
	}
	return nil
}

var reasonCodes = map[string]string{"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}

// cancelled is the error of a transaction with a reason for each action, None for those that
// would have passed.
func cancelled(reasons []*awserr.Error) error {
	list := make([]api.CancellationReason, len(reasons))
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = "None"
		if r != nil {
			codes[i] = reasonCodes[r.Code]
			list[i].Message = &r.Message
			if it, ok := r.Fields["Item"].(wire.RawJSON); ok {
				list[i].Item = it
			}
		}
		list[i].Code = &codes[i]
	}
	err := awserr.New("TransactionCanceledException", 400, "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]",
		strings.Join(codes, ", "))
	err.Fields = map[string]any{"CancellationReasons": list}
	return err
}

// fingerprint is the same for the same transaction, its token aside.
func fingerprint(in *api.TransactWriteItemsInput) ([32]byte, error) {
	text, err := json.Marshal(in.TransactItems)
	if err != nil {
		return [32]byte{}, fmt.Errorf("dynamodb: %w", err)
	}
	return sha256.Sum256(text), nil
}

// redeem reports whether a transaction with the token was done already; otherwise it notes the
// token. Some tokens that have run out go with each call.
func (s *Service) redeem(tx *store.Tx, c *gate.Call, text string, hash [32]byte) (bool, error) {
	if text == "" {
		return false, nil
	}
	key := tokenKey(c.Account(), c.Region(), text)
	old, ok, err := s.t.tokens.Get(tx, key)
	if err != nil {
		return false, err
	}
	now := tx.Now()
	if ok && now.Before(old.Expires) {
		if old.Hash != hash {
			return false, awserr.New("IdempotentParameterMismatchException", 400, "The request uses the same client token as a previous, but non-identical request.")
		}
		return true, nil
	}
	for e, err := range s.t.tokens.By("expires").Scan(tx, store.Key{}, store.Range{To: store.K(now.Unix()), Limit: 4}) {
		if err != nil {
			return false, err
		}
		if _, err := s.t.tokens.Delete(tx, e.Key); err != nil {
			return false, err
		}
	}
	return false, s.t.tokens.Put(tx, key, token{Hash: hash, Expires: now.Add(tokenLife)})
}

func (s *Service) parseTransaction(c where, in *api.TransactWriteItemsInput) ([]*write, error) {
	out := make([]*write, len(in.TransactItems))
	size := 0
	for i := range in.TransactItems {
		w, err := s.parseAction(c, &in.TransactItems[i])
		if err != nil {
			return nil, err
		}
		w.needOld = true
		size += w.item.Size()
		out[i] = w
	}
	if size > maxTransactBytes {
		return nil, invalid("Collection size of items exceeded, which can also be caused by the aggregate size of the items in the transaction exceeding the 4MB limit")
	}
	return out, nil
}

func (s *Service) parseAction(c where, x *api.TransactWriteItem) (*write, error) {
	n := 0
	for _, is := range []bool{x.ConditionCheck != nil, x.Put != nil, x.Delete != nil, x.Update != nil} {
		if is {
			n++
		}
	}
	if n != 1 {
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	switch {
	case x.Put != nil:
		p := x.Put
		return s.parsePut(c, &api.PutItemInput{TableName: p.TableName, Item: p.Item, ConditionExpression: p.ConditionExpression,
			ExpressionAttributeNames: p.ExpressionAttributeNames, ExpressionAttributeValues: p.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: p.ReturnValuesOnConditionCheckFailure})
	case x.Delete != nil:
		d := x.Delete
		return s.parseDelete(c, &api.DeleteItemInput{TableName: d.TableName, Key: d.Key, ConditionExpression: d.ConditionExpression,
			ExpressionAttributeNames: d.ExpressionAttributeNames, ExpressionAttributeValues: d.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: d.ReturnValuesOnConditionCheckFailure})
	case x.Update != nil:
		u := x.Update
		return s.parseUpdate(c, &api.UpdateItemInput{TableName: u.TableName, Key: u.Key, UpdateExpression: &u.UpdateExpression,
			ConditionExpression: u.ConditionExpression, ExpressionAttributeNames: u.ExpressionAttributeNames,
			ExpressionAttributeValues: u.ExpressionAttributeValues, ReturnValuesOnConditionCheckFailure: u.ReturnValuesOnConditionCheckFailure})
	}
	k := x.ConditionCheck
	w, err := s.parseDelete(c, &api.DeleteItemInput{TableName: k.TableName, Key: k.Key, ConditionExpression: &k.ConditionExpression,
		ExpressionAttributeNames: k.ExpressionAttributeNames, ExpressionAttributeValues: k.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: k.ReturnValuesOnConditionCheckFailure})
	if err != nil {
		return nil, err
	}
	w.action = check
	return w, nil
}

func (s *Service) transactGet(c *gate.Call, in *api.TransactGetItemsInput) (*api.TransactGetItemsOutput, error) {
	gets := make([]*get, len(in.TransactItems))
	for i, x := range in.TransactItems {
		if x.Get == nil {
			return nil, invalid("TransactItems[%d].Get must not be null", i)
		}
		g, err := s.parseGet(c, x.Get.TableName, x.Get.Key, x.Get.ProjectionExpression, nil, x.Get.ExpressionAttributeNames)
		if err != nil {
			return nil, err
		}
		gets[i] = g
	}
	var out *api.TransactGetItemsOutput
	var bills []*spent
	err := c.View(func(tx *store.Tx) error {
		var err error
		out, bills, err = s.readAll(tx, gets)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.ConsumedCapacity = reports(bills, wire.Val(in.ReturnConsumedCapacity))
	return out, nil
}

func (s *Service) readAll(tx *store.Tx, gets []*get) (*api.TransactGetItemsOutput, []*spent, error) {
	out := &api.TransactGetItemsOutput{Responses: make([]api.ItemResponse, len(gets))}
	var bills []*spent
	reasons := make([]*awserr.Error, len(gets))
	seen := make(map[store.Key]bool, len(gets))
	failed, size := false, 0
	for i, g := range gets {
		t, it, err := s.read(tx, g)
		if err != nil {
			if reasons[i] = cancels(err); reasons[i] == nil {
				return nil, nil, err
			}
			failed = true
			continue
		}
		key := t.itemKey(g.key)
		if seen[key] {
			return nil, nil, invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[key] = true
		if it != nil {
			size += it.Size()
			out.Responses[i].Item = raw(g.selection.Of(it))
		}
		bills = addRead(bills, t, it)
	}
	switch {
	case failed:
		return nil, nil, cancelled(reasons)
	case size > maxTransactBytes:
		return nil, nil, invalid("Collection size of items exceeded, which can also be caused by the aggregate size of the items in the transaction exceeding the 4MB limit")
	}
	return out, bills, nil
}

func addRead(bills []*spent, t *table, it item.Item) []*spent {
	units := 2 * readUnits(sizeOf(it), true)
	for _, b := range bills {
		if b.table.ID == t.ID {
			b.read += units
			b.base += units
			return bills
		}
	}
	return append(bills, &spent{table: t, read: units, base: units, transact: true})
}
