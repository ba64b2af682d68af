package dynamodb

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

func TestBatches(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	r.ok("CreateTable", orders, "")
	r.ok("BatchWriteItem", `{"RequestItems":{"simple":[{"PutRequest":{"Item":{"pk":{"S":"a"}}}},{"PutRequest":{"Item":{"pk":{"S":"b"}}}}],
		"orders":[{"PutRequest":{"Item":{"pk":{"S":"a"},"sk":{"N":"1"}}}}]},"ReturnConsumedCapacity":"TOTAL"}`,
		`{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"orders","CapacityUnits":1},{"TableName":"simple","CapacityUnits":2}]}`)
	r.ok("BatchWriteItem", `{"RequestItems":{"simple":[{"DeleteRequest":{"Key":{"pk":{"S":"b"}}}}]}}`, `{"UnprocessedItems":{}}`)
	r.ok("BatchGetItem", `{"RequestItems":{"simple":{"Keys":[{"pk":{"S":"a"}},{"pk":{"S":"b"}}]},
		"orders":{"Keys":[{"pk":{"S":"a"},"sk":{"N":"1.0"}}],"ProjectionExpression":"sk"}}}`,
		`{"Responses":{"simple":[{"pk":{"S":"a"}}],"orders":[{"sk":{"N":"1"}}]},"UnprocessedKeys":{}}`)
	r.invalid("BatchGetItem", `{"RequestItems":{"simple":{"Keys":[{"pk":{"S":"a"}},{"pk":{"S":"a"}}]}}}`, "Provided list of item keys contains duplicates")
	r.invalid("BatchWriteItem", `{"RequestItems":{"simple":[{"PutRequest":{"Item":{"pk":{"S":"c"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"c"}}}}]}}`, "Provided list of item keys contains duplicates")
	r.ok("GetItem", `{"TableName":"simple","Key":{"pk":{"S":"c"}}}`, `{}`)
	r.fails("BatchGetItem", `{"RequestItems":{"none":{"Keys":[{"pk":{"S":"a"}}]}}}`, "ResourceNotFoundException", "Requested resource not found")
	var many []string
	for i := 0; i < 26; i++ {
		many = append(many, fmt.Sprintf(`{"DeleteRequest":{"Key":{"pk":{"S":"%d"}}}}`, i))
	}
	r.invalid("BatchWriteItem", `{"RequestItems":{"simple":[`+strings.Join(many[:13], ",")+`],"orders":[`+strings.Join(many[13:], ",")+`]}}`,
		"Too many items requested for the BatchWriteItem call")
}

func TestABatchAnswersSixteenMegabytes(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", simple, "")
	var keys []string
	for i := 0; i < 45; i++ {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"simple","Item":{"pk":{"S":"%02d"},"x":{"S":"%s"}}}`, i, strings.Repeat("x", 390<<10)), `{}`)
		keys = append(keys, fmt.Sprintf(`{"pk":{"S":"%02d"}}`, i))
	}
	out := r.ok("BatchGetItem", `{"RequestItems":{"simple":{"Keys":[`+strings.Join(keys, ",")+`],"ProjectionExpression":"pk","ConsistentRead":true}}}`, "")
	got := len(out["Responses"].(map[string]any)["simple"].([]any))
	rest := out["UnprocessedKeys"].(map[string]any)["simple"].(map[string]any)
	if got != 43 || len(rest["Keys"].([]any)) != 2 || rest["ProjectionExpression"] != "pk" || rest["ConsistentRead"] != true {
		t.Errorf("%d items, the rest %v", got, rest)
	}
}

func TestTransactions(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	r.ok("CreateTable", orders, "")
	r.ok("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"stock"},"n":{"N":"2"}}}`, `{}`)
	order := func(n int) string {
		return fmt.Sprintf(`{"TransactItems":[
			{"Update":{"TableName":"simple","Key":{"pk":{"S":"stock"}},"UpdateExpression":"SET n = n - :one","ConditionExpression":"n >= :one","ExpressionAttributeValues":{":one":{"N":"1"}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
			{"Put":{"TableName":"orders","Item":{"pk":{"S":"order"},"sk":{"N":"%d"},"status":{"S":"new"}},"ConditionExpression":"attribute_not_exists(pk)"}},
			{"ConditionCheck":{"TableName":"simple","Key":{"pk":{"S":"closed"}},"ConditionExpression":"attribute_not_exists(pk)"}},
			{"Delete":{"TableName":"simple","Key":{"pk":{"S":"cart"}}}}]`, n)
	}
	r.ok("TransactWriteItems", order(1)+`,"ReturnConsumedCapacity":"TOTAL"}`,
		`{"ConsumedCapacity":[{"TableName":"simple","CapacityUnits":6,"WriteCapacityUnits":6},{"TableName":"orders","CapacityUnits":4,"WriteCapacityUnits":4}]}`)
	r.ok("TransactWriteItems", order(2)+`}`, `{}`)
	out := r.fails("TransactWriteItems", order(2)+`}`, "TransactionCanceledException",
		"Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, ConditionalCheckFailed, None, None]")
	got, _ := json.Marshal(out["CancellationReasons"])
	want := `[{"Code":"ConditionalCheckFailed","Item":{"n":{"N":"0"},"pk":{"S":"stock"}},"Message":"The conditional request failed"},` +
		`{"Code":"ConditionalCheckFailed","Message":"The conditional request failed"},{"Code":"None"},{"Code":"None"}]`
	if string(got) != want {
		t.Errorf("reasons\n got %s\nwant %s", got, want)
	}
	r.ok("Query", `{"TableName":"orders","IndexName":"keys","KeyConditionExpression":"#s = :n","ExpressionAttributeNames":{"#s":"status"},"ExpressionAttributeValues":{":n":{"S":"new"}},"Select":"COUNT"}`,
		`{"Count":2,"ScannedCount":2}`)
	// a fault that only shows at the item cancels too; nothing of the transaction stays
	out = r.fails("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"simple","Item":{"pk":{"S":"x"}}}},
		{"Update":{"TableName":"simple","Key":{"pk":{"S":"stock"}},"UpdateExpression":"SET a = b"}}]}`, "TransactionCanceledException",
		"Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]")
	if len(out["CancellationReasons"].([]any)) != 2 {
		t.Errorf("reasons: %v", out["CancellationReasons"])
	}
	r.ok("GetItem", `{"TableName":"simple","Key":{"pk":{"S":"x"}}}`, `{}`)
	r.invalid("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"simple","Item":{"pk":{"S":"x"}}}},{"Delete":{"TableName":"simple","Key":{"pk":{"S":"x"}}}}]}`,
		"Transaction request cannot include multiple operations on one item")
	r.invalid("TransactWriteItems", `{"TransactItems":[{}]}`, "TransactItems can only contain one of Check, Put, Update or Delete")
	r.ok("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"simple","Key":{"pk":{"S":"stock"}}}},{"Get":{"TableName":"simple","Key":{"pk":{"S":"none"}}}},
		{"Get":{"TableName":"orders","Key":{"pk":{"S":"order"},"sk":{"N":"1"}},"ProjectionExpression":"sk"}}],"ReturnConsumedCapacity":"TOTAL"}`,
		`{"Responses":[{"Item":{"pk":{"S":"stock"},"n":{"N":"0"}}},{},{"Item":{"sk":{"N":"1"}}}],
		"ConsumedCapacity":[{"TableName":"simple","CapacityUnits":4,"ReadCapacityUnits":4},{"TableName":"orders","CapacityUnits":2,"ReadCapacityUnits":2}]}`)
}

func TestClientTokens(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	add := func(n, token string) string {
		return `{"ClientRequestToken":"` + token + `","TransactItems":[{"Update":{"TableName":"simple","Key":{"pk":{"S":"a"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"` + n + `"}}}}]}`
	}
	value := func(want string) {
		t.Helper()
		r.ok("GetItem", `{"TableName":"simple","Key":{"pk":{"S":"a"}},"ProjectionExpression":"n"}`, `{"Item":{"n":{"N":"`+want+`"}}}`)
	}
	r.ok("TransactWriteItems", add("1", "t1"), `{}`)
	r.ok("TransactWriteItems", add("1", "t1"), `{}`)
	value("1")
	r.fails("TransactWriteItems", add("2", "t1"), "IdempotentParameterMismatchException", "The request uses the same client token as a previous, but non-identical request.")
	r.ok("TransactWriteItems", add("1", "t2"), `{}`)
	value("2")
	r.clock.Advance(11 * time.Minute)
	r.ok("TransactWriteItems", add("1", "t1"), `{}`)
	value("3")
}
