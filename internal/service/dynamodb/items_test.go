package dynamodb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

func TestAnItemsLife(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	const key = `"TableName":"simple","Key":{"pk":{"S":"a"}}`
	r.ok("GetItem", `{`+key+`}`, `{}`)
	r.ok("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"},"n":{"N":"1.50"},"m":{"M":{"x":{"L":[{"BOOL":true},{"NULL":true}]}}}}}`, `{}`)
	r.ok("GetItem", `{`+key+`}`, `{"Item":{"pk":{"S":"a"},"n":{"N":"1.5"},"m":{"M":{"x":{"L":[{"BOOL":true},{"NULL":true}]}}}}}`)
	r.ok("GetItem", `{`+key+`,"ProjectionExpression":"m.x[0], #n","ExpressionAttributeNames":{"#n":"n"}}`, `{"Item":{"n":{"N":"1.5"},"m":{"M":{"x":{"L":[{"BOOL":true}]}}}}}`)
	r.ok("GetItem", `{`+key+`,"AttributesToGet":["pk","zz"]}`, `{"Item":{"pk":{"S":"a"}}}`)
	r.ok("GetItem", `{`+key+`,"ProjectionExpression":"zz"}`, `{"Item":{}}`)
	r.ok("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"},"v":{"S":"2"}},"ReturnValues":"ALL_OLD"}`,
		`{"Attributes":{"pk":{"S":"a"},"n":{"N":"1.5"},"m":{"M":{"x":{"L":[{"BOOL":true},{"NULL":true}]}}}}}`)
	r.ok("UpdateItem", `{`+key+`,"UpdateExpression":"SET hits = if_not_exists(hits, :z) + :one REMOVE v","ExpressionAttributeValues":{":z":{"N":"0"},":one":{"N":"1"}},"ReturnValues":"ALL_NEW"}`,
		`{"Attributes":{"pk":{"S":"a"},"hits":{"N":"1"}}}`)
	for mode, want := range map[string]string{"UPDATED_NEW": `{"Attributes":{"tag":{"S":"y"}}}`, "UPDATED_OLD": `{}`, "NONE": `{}`} {
		r.ok("UpdateItem", `{`+key+`,"UpdateExpression":"REMOVE tag"}`, `{}`)
		r.ok("UpdateItem", `{`+key+`,"UpdateExpression":"SET tag = :y","ExpressionAttributeValues":{":y":{"S":"y"}},"ReturnValues":"`+mode+`"}`, want)
	}
	r.ok("UpdateItem", `{`+key+`,"UpdateExpression":"SET tag = :x","ExpressionAttributeValues":{":x":{"S":"x"}},"ReturnValues":"ALL_OLD"}`,
		`{"Attributes":{"pk":{"S":"a"},"hits":{"N":"1"},"tag":{"S":"y"}}}`)
	r.ok("DeleteItem", `{`+key+`,"ReturnValues":"ALL_OLD"}`, `{"Attributes":{"pk":{"S":"a"},"hits":{"N":"1"},"tag":{"S":"x"}}}`)
	r.ok("DeleteItem", `{`+key+`,"ReturnValues":"ALL_OLD"}`, `{}`)
	r.ok("UpdateItem", `{`+key+`}`, `{}`) // without an expression an update makes the item
	r.ok("GetItem", `{`+key+`}`, `{"Item":{"pk":{"S":"a"}}}`)
}

func TestConditions(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	const failed = "The conditional request failed"
	const fresh = `{"TableName":"simple","Item":{"pk":{"S":"a"},"v":{"N":"1"}},"ConditionExpression":"attribute_not_exists(pk)"`
	r.ok("PutItem", fresh+`}`, `{}`)
	out := r.fails("PutItem", fresh+`}`, "ConditionalCheckFailedException", failed)
	if _, shown := out["Item"]; shown {
		t.Error("the item is shown though nobody asked for it")
	}
	out = r.fails("PutItem", fresh+`,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`, "ConditionalCheckFailedException", failed)
	if fmt.Sprint(out["Item"]) != "map[pk:map[S:a] v:map[N:1]]" {
		t.Errorf("the item that stood in the way: %v", out["Item"])
	}
	const one = `"TableName":"simple","Key":{"pk":{"S":"a"}},"ConditionExpression":"v = :v","ExpressionAttributeValues":`
	r.fails("DeleteItem", `{`+one+`{":v":{"N":"2"}}}`, "ConditionalCheckFailedException", failed)
	r.fails("UpdateItem", `{`+one+`{":v":{"N":"2"}}}`, "ConditionalCheckFailedException", failed)
	r.ok("DeleteItem", `{`+one+`{":v":{"N":"1.0"}}}`, `{}`)
	// the parameters from before expressions
	r.ok("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"b"}},"Expected":{"pk":{"Exists":false}}}`, `{}`)
	r.fails("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"b"}},"Expected":{"pk":{"Exists":false}}}`, "ConditionalCheckFailedException", failed)
	r.ok("UpdateItem", `{"TableName":"simple","Key":{"pk":{"S":"b"}},"AttributeUpdates":{"n":{"Action":"ADD","Value":{"N":"5"}}},
		"Expected":{"pk":{"Value":{"S":"b"}}},"ReturnValues":"UPDATED_NEW"}`, `{"Attributes":{"n":{"N":"5"}}}`)
	r.fails("DeleteItem", `{"TableName":"simple","Key":{"pk":{"S":"b"}},"Expected":{"n":{"ComparisonOperator":"GT","AttributeValueList":[{"N":"5"}]}}}`,
		"ConditionalCheckFailedException", failed)
}

func TestWhatIsRefused(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	r.ok("CreateTable", orders, "")
	const inv = "One or more parameter values were invalid: "
	put := func(item, message string) {
		t.Helper()
		r.invalid("PutItem", `{"TableName":"orders","Item":`+item+`}`, message)
	}
	put(`{}`, inv+"Missing the key pk in the item")
	put(`{"pk":{"S":"a"}}`, inv+"Missing the key sk in the item")
	put(`{"pk":{"N":"1"},"sk":{"N":"1"}}`, inv+"Type mismatch for key pk expected: S actual: N")
	put(`{"pk":{"S":""},"sk":{"N":"1"}}`, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk")
	put(`{"pk":{"S":"`+strings.Repeat("x", 2049)+`"},"sk":{"N":"1"}}`, inv+"Size of hashkey has exceeded the maximum size limit of2048 bytes")
	put(`{"pk":{"S":"a"},"sk":{"N":"1"},"status":{"N":"1"}}`, inv+"Type mismatch for Index Key status Expected: S Actual: N IndexName: by-status")
	put(`{"pk":{"S":"a"},"sk":{"N":"1"},"status":{"S":""}}`, "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-status, IndexKey: status")
	put(`{"pk":{"S":"a"},"sk":{"N":"1"},"big":{"S":"`+strings.Repeat("x", 400<<10)+`"}}`, "Item size has exceeded the maximum allowed size")
	put(`{"pk":{"S":"a"},"sk":{"N":"x"}}`, "The parameter cannot be converted to a numeric value: x")
	r.fails("PutItem", `{"TableName":"simple","Item":{"pk":{"S":1}}}`, "SerializationException", "NUMBER_VALUE cannot be converted to String")
	r.invalid("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"}},"ReturnValues":"ALL_NEW"}`, "ReturnValues can only be ALL_OLD or NONE")
	r.invalid("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"}},"ExpressionAttributeValues":{":v":{"S":"a"}}}`,
		"ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
	r.invalid("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"}},"Expected":{"pk":{"Exists":false}},"ConditionExpression":"attribute_not_exists(pk)"}`,
		"Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}")
	for _, key := range []string{`{}`, `{"b":{"S":"a"}}`, `{"pk":{"S":"a"},"b":{"S":"a"}}`, `{"pk":{"N":"1"}}`, `{"pk":{"BOOL":true}}`, `{"pk":{"SS":["a"]}}`} {
		for _, op := range []string{"GetItem", "DeleteItem", "UpdateItem"} {
			r.invalid(op, `{"TableName":"simple","Key":`+key+`}`, "The provided key element does not match the schema")
		}
	}
	update := func(expr, values, message string) {
		t.Helper()
		r.invalid("UpdateItem", `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"1"}},"UpdateExpression":"`+expr+`"`+values+`}`, message)
	}
	one := `,"ExpressionAttributeValues":{":a":{"N":"1"}}`
	update("SET pk = :a", one, inv+"Cannot update attribute pk. This attribute is part of the key")
	update("ADD sk :a", one, inv+"Cannot update attribute sk. This attribute is part of the key")
	update("SET x = pk.a + sk[1]", "", "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk")
	update("SET due[1] = :a", one, "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: due")
	update("SET #s = :a", `,"ExpressionAttributeNames":{"#s":"status"}`+one, inv+"Type mismatch for Index Key status Expected: S Actual: N IndexName: by-status")
	update("SET x = y", "", "The provided expression refers to an attribute that does not exist in the item")
	r.fails("GetItem", `{"TableName":"none","Key":{"pk":{"S":"a"}}}`, "ResourceNotFoundException", "Requested resource not found")
	r.fails("PutItem", `{"TableName":"none","Item":{"pk":{"S":"a"}}}`, "ResourceNotFoundException", "Requested resource not found")
	r.invalid("PutItem", `{"TableName":"bad table!@#","Item":{"pk":{"S":"a"}}}`,
		"1 validation error detected: Value 'bad table!@#' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
}

// What a write does to the indexes is seen through queries of them.
func TestIndexesFollowTheItems(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", orders, "")
	count := func(index, status string) int {
		t.Helper()
		out := r.ok("Query", `{"TableName":"orders","IndexName":"`+index+`","KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"status"},"ExpressionAttributeValues":{":s":{"S":"`+status+`"}}}`, "")
		return int(out["Count"].(float64))
	}
	r.ok("PutItem", `{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"1"},"status":{"S":"new"},"note":{"S":"n"},"other":{"S":"o"}}}`, `{}`)
	if count("by-status", "new") != 0 || count("keys", "new") != 1 {
		t.Error("an item must be in the indexes whose keys it has, and in no other")
	}
	r.ok("UpdateItem", `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"1"}},"UpdateExpression":"SET due = :n","ExpressionAttributeValues":{":n":{"N":"5"}}}`, `{}`)
	if count("by-status", "new") != 1 {
		t.Error("an update that gives the keys must enter the item")
	}
	r.ok("Query", `{"TableName":"orders","IndexName":"keys","KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"status"},"ExpressionAttributeValues":{":s":{"S":"new"}}}`,
		`{"Count":1,"ScannedCount":1,"Items":[{"pk":{"S":"a"},"sk":{"N":"1"},"status":{"S":"new"},"note":{"S":"n"}}]}`)
	r.ok("PutItem", `{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"1"},"status":{"S":"done"},"due":{"N":"6"}}}`, `{}`)
	if count("by-status", "new") != 0 || count("by-status", "done") != 1 || count("keys", "new") != 0 {
		t.Error("an item whose keys change must move")
	}
	r.ok("DeleteItem", `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"1"}}}`, `{}`)
	if count("by-status", "done")+count("keys", "done") != 0 {
		t.Error("a deleted item must leave the indexes")
	}
}

func TestConsumedCapacity(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", orders, "")
	item := func(n int) string {
		return `{"pk":{"S":"a"},"sk":{"N":"1"},"status":{"S":"s"},"due":{"N":"1"},"note":{"S":"` + strings.Repeat("x", n) + `"}}`
	}
	r.ok("PutItem", `{"TableName":"orders","Item":`+item(100)+`,"ReturnConsumedCapacity":"INDEXES"}`,
		`{"ConsumedCapacity":{"TableName":"orders","CapacityUnits":4,"Table":{"CapacityUnits":1},
		"GlobalSecondaryIndexes":{"by-status":{"CapacityUnits":1},"keys":{"CapacityUnits":1}},"LocalSecondaryIndexes":{"local":{"CapacityUnits":1}}}}`)
	r.ok("PutItem", `{"TableName":"orders","Item":`+item(3000)+`,"ReturnConsumedCapacity":"TOTAL"}`, `{"ConsumedCapacity":{"TableName":"orders","CapacityUnits":9}}`)
	r.ok("GetItem", `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"1"}},"ProjectionExpression":"pk","ReturnConsumedCapacity":"TOTAL"}`,
		`{"Item":{"pk":{"S":"a"}},"ConsumedCapacity":{"TableName":"orders","CapacityUnits":0.5}}`)
	r.ok("GetItem", `{"TableName":"orders","Key":{"pk":{"S":"b"},"sk":{"N":"1"}},"ConsistentRead":true,"ReturnConsumedCapacity":"INDEXES"}`,
		`{"ConsumedCapacity":{"TableName":"orders","CapacityUnits":1,"Table":{"CapacityUnits":1}}}`)
	r.ok("DeleteItem", `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"1"}},"ReturnItemCollectionMetrics":"SIZE"}`,
		`{"ItemCollectionMetrics":{"ItemCollectionKey":{"pk":{"S":"a"}},"SizeEstimateRangeGB":[0,1]}}`)
}

// A write that fails leaves no record of a change, and one that is done leaves exactly one, with
// the key but not the item.
func TestRecords(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", simple, "")
	r.ok("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"},"secret":{"S":"hidden"}}}`, `{}`)
	r.fails("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"a"}},"ConditionExpression":"attribute_not_exists(pk)"}`,
		"ConditionalCheckFailedException", "The conditional request failed")
	r.ok("DeleteItem", `{"TableName":"simple","Key":{"pk":{"S":"a"}}}`, `{}`)
	if len(r.trail.kept) != 3 || len(r.trail.notes) != 1 || r.trail.notes[0].Err == nil {
		t.Fatalf("%d changes and %d notes", len(r.trail.kept), len(r.trail.notes))
	}
	for _, k := range r.trail.kept {
		if strings.Contains(fmt.Sprintf("%+v %+v", k.In, k.Out), "hidden") {
			t.Errorf("the record of %s holds the item", k.Op.Name)
		}
	}
}
