package dynamodb

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

func stock(r *rig) {
	r.Helper()
	r.ok("CreateTable", orders, "")
	for i, n := range []string{"-10", "-1.5", "0", "2", "10", "100"} {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"%s"},"status":{"S":"s%d"},"due":{"N":"%d"},"note":{"S":"n%d"}}}`, n, i%2, 10-i, i), `{}`)
	}
	r.ok("PutItem", `{"TableName":"orders","Item":{"pk":{"S":"ab"},"sk":{"N":"1"}}}`, `{}`)
	r.ok("PutItem", `{"TableName":"orders","Item":{"pk":{"S":"b"},"sk":{"N":"1"}}}`, `{}`)
}

// sorts are the sort keys of an answer, in order.
func sorts(out map[string]any) string {
	var keys []string
	items, _ := out["Items"].([]any)
	for _, it := range items {
		keys = append(keys, it.(map[string]any)["sk"].(map[string]any)["N"].(string))
	}
	return strings.Join(keys, " ")
}

func TestQueriesOfASortKey(t *testing.T) {
	r := newRig(t)
	stock(r)
	for cond, want := range map[string]string{
		"pk = :p":                              "-10 -1.5 0 2 10 100",
		"pk = :p AND sk = :two":                "2",
		"pk = :p AND sk < :two":                "-10 -1.5 0",
		"pk = :p AND sk <= :two":               "-10 -1.5 0 2",
		"pk = :p AND sk > :two":                "10 100",
		"sk >= :two AND pk = :p":               "2 10 100",
		":two < sk AND pk = :p":                "10 100",
		"pk = :p AND sk BETWEEN :neg AND :two": "-1.5 0 2",
	} {
		vals := map[string]any{":p": map[string]string{"S": "a"}}
		if strings.Contains(cond, ":two") {
			vals[":two"] = map[string]string{"N": "2.0"}
		}
		if strings.Contains(cond, ":neg") {
			vals[":neg"] = map[string]string{"N": "-2"}
		}
		v, _ := json.Marshal(vals)
		body := `{"TableName":"orders","KeyConditionExpression":"` + cond + `","ExpressionAttributeValues":` + string(v)
		if got := sorts(r.ok("Query", body+`}`, "")); got != want {
			t.Errorf("%s: %s, want %s", cond, got, want)
		}
		fields := strings.Fields(want)
		for i, j := 0, len(fields)-1; i < j; i, j = i+1, j-1 {
			fields[i], fields[j] = fields[j], fields[i]
		}
		if got := sorts(r.ok("Query", body+`,"ScanIndexForward":false}`, "")); got != strings.Join(fields, " ") {
			t.Errorf("%s backwards: %s", cond, got)
		}
	}
	r.ok("Query", `{"TableName":"orders","KeyConditions":{"pk":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]},
		"sk":{"ComparisonOperator":"GT","AttributeValueList":[{"N":"10"}]}},"AttributesToGet":["note"]}`, `{"Count":1,"ScannedCount":1,"Items":[{"note":{"S":"n5"}}]}`)
}

func TestPagesOfAQuery(t *testing.T) {
	r := newRig(t)
	stock(r)
	for _, backwards := range []bool{false, true} {
		start, got := "", ""
		for pages := 0; pages < 10; pages++ {
			out := r.ok("Query", fmt.Sprintf(`{"TableName":"orders","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}},"Limit":2,"ScanIndexForward":%v%s}`, !backwards, start), "")
			if s := sorts(out); s != "" {
				got += s + " | "
			}
			last, more := out["LastEvaluatedKey"]
			if !more {
				break
			}
			k, _ := json.Marshal(last)
			start = `,"ExclusiveStartKey":` + string(k)
		}
		want := "-10 -1.5 | 0 2 | 10 100 | "
		if backwards {
			want = "100 10 | 2 0 | -1.5 -10 | "
		}
		if got != want {
			t.Errorf("pages %q, want %q", got, want)
		}
	}
	// of an index: the key to go on from holds the table's keys and the index's
	r.ok("Query", `{"TableName":"orders","IndexName":"by-status","KeyConditionExpression":"#s = :s AND due > :n","ExpressionAttributeNames":{"#s":"status"},
		"ExpressionAttributeValues":{":s":{"S":"s1"},":n":{"N":"0"}},"ProjectionExpression":"sk","Limit":1}`,
		`{"Count":1,"ScannedCount":1,"Items":[{"sk":{"N":"100"}}],"LastEvaluatedKey":{"pk":{"S":"a"},"sk":{"N":"100"},"status":{"S":"s1"},"due":{"N":"5"}}}`)
	r.ok("Query", `{"TableName":"orders","IndexName":"by-status","KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"status"},
		"ExpressionAttributeValues":{":s":{"S":"s1"}},"Select":"COUNT","ExclusiveStartKey":{"pk":{"S":"a"},"sk":{"N":"100"},"status":{"S":"s1"},"due":{"N":"5"}}}`,
		`{"Count":2,"ScannedCount":2}`)
	const q = `{"TableName":"orders","KeyConditionExpression":"pk = :p AND sk > :n","ExpressionAttributeValues":{":p":{"S":"a"},":n":{"N":"1"}},"ExclusiveStartKey":`
	r.invalid("Query", q+`{"pk":{"S":"a"}}}`, "The provided starting key is invalid")
	r.invalid("Query", q+`{"pk":{"S":"a"},"sk":{"S":"1"}}}`, "The provided starting key is invalid")
	r.invalid("Query", q+`{"pk":{"S":"b"},"sk":{"N":"2"}}}`, "The provided starting key is outside query boundaries based on provided conditions")
	r.invalid("Query", q+`{"pk":{"S":"a"},"sk":{"N":"0"}}}`, "The provided starting key does not match the range key predicate")
}

func TestFiltersAndSelect(t *testing.T) {
	r := newRig(t)
	stock(r)
	const base = `{"TableName":"orders","KeyConditionExpression":"pk = :p",`
	r.ok("Query", base+`"ExpressionAttributeValues":{":p":{"S":"a"},":x":{"S":"n4"}},"FilterExpression":"note >= :x","ProjectionExpression":"sk"}`,
		`{"Count":2,"ScannedCount":6,"Items":[{"sk":{"N":"10"}},{"sk":{"N":"100"}}]}`)
	r.ok("Query", base+`"ExpressionAttributeValues":{":p":{"S":"a"}},"Select":"COUNT","ReturnConsumedCapacity":"TOTAL"}`,
		`{"Count":6,"ScannedCount":6,"ConsumedCapacity":{"TableName":"orders","CapacityUnits":0.5}}`)
	one := base + `"ExpressionAttributeValues":{":p":{"S":"a"}}`
	r.invalid("Query", one+`,"FilterExpression":"attribute_exists(sk)"}`, "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk")
	r.invalid("Query", one+`,"Select":"SPECIFIC_ATTRIBUTES"}`, "One or more parameter values were invalid: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	r.invalid("Query", one+`,"Select":"ALL_PROJECTED_ATTRIBUTES"}`, "One or more parameter values were invalid: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	r.invalid("Query", one+`,"Select":"ALL_ATTRIBUTES","ProjectionExpression":"sk"}`, "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES")
	r.invalid("Query", one+`,"IndexName":"none"}`, "The table does not have the specified index: none")
	index := `{"TableName":"orders","KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"status"},"ExpressionAttributeValues":{":s":{"S":"s1"}},"IndexName":"keys"`
	r.invalid("Query", index+`,"ConsistentRead":true}`, "Consistent reads are not supported on global secondary indexes")
	r.invalid("Query", index+`,"Select":"ALL_ATTRIBUTES"}`, "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index keys because its projection type is not ALL")
	r.invalid("Query", index+`,"ProjectionExpression":"due"}`, "One or more parameter values were invalid: Global secondary index keys does not project [due]")
	// a local index gives from the table what it has not itself
	local := `{"TableName":"orders","IndexName":"local","KeyConditionExpression":"pk = :p AND due < :n","ExpressionAttributeValues":{":p":{"S":"a"},":n":{"N":"6"}}`
	r.ok("Query", local+`}`, `{"Count":1,"ScannedCount":1,"Items":[{"pk":{"S":"a"},"sk":{"N":"100"},"due":{"N":"5"}}]}`)
	r.ok("Query", local+`,"ProjectionExpression":"note"}`, `{"Count":1,"ScannedCount":1,"Items":[{"note":{"S":"n5"}}]}`)
	r.ok("Query", local+`,"Select":"ALL_ATTRIBUTES","ConsistentRead":true}`,
		`{"Count":1,"ScannedCount":1,"Items":[{"pk":{"S":"a"},"sk":{"N":"100"},"due":{"N":"5"},"status":{"S":"s1"},"note":{"S":"n5"}}]}`)
}

func TestKeyConditionsThatAreRefused(t *testing.T) {
	r := newRig(t)
	stock(r)
	for cond, want := range map[string]string{
		"sk = :n":                          "Query condition missed key schema element: pk",
		"pk = :p AND note = :n":            "Query condition missed key schema element: sk",
		"pk > :p":                          "Query key condition not supported",
		"pk = :n":                          "One or more parameter values were invalid: Condition parameter type does not match schema type",
		"pk = :p AND sk = :p":              "One or more parameter values were invalid: Condition parameter type does not match schema type",
		"pk = :e":                          "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
		"pk = :p OR sk = :n":               "Invalid operator used in KeyConditionExpression: OR",
		"pk = :p AND sk = :n AND due = :n": "Conditions can be of length 1 or 2 only",
	} {
		vals := ""
		for name, v := range map[string]string{":p": `{"S":"a"}`, ":n": `{"N":"1"}`, ":e": `{"S":""}`} {
			if strings.Contains(cond, name) {
				vals += `,"` + name + `":` + v
			}
		}
		r.invalid("Query", `{"TableName":"orders","KeyConditionExpression":"`+cond+`","ExpressionAttributeValues":{`+vals[1:]+`}}`, want)
	}
	r.invalid("Query", `{"TableName":"orders"}`, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	r.invalid("Query", `{"TableName":"orders","KeyConditionExpression":""}`, "Invalid KeyConditionExpression: The expression can not be empty;")
}

func TestScans(t *testing.T) {
	r := newRig(t)
	stock(r)
	if out := r.ok("Scan", `{"TableName":"orders"}`, ""); out["Count"] != 8.0 {
		t.Errorf("%v items", out["Count"])
	}
	r.ok("Scan", `{"TableName":"orders","FilterExpression":"attribute_exists(note) AND sk > :n","ExpressionAttributeValues":{":n":{"N":"10"}},"ProjectionExpression":"note"}`,
		`{"Count":1,"ScannedCount":8,"Items":[{"note":{"S":"n5"}}]}`)
	r.ok("Scan", `{"TableName":"orders","ScanFilter":{"note":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"n1"}]}},"Select":"COUNT"}`, `{"Count":1,"ScannedCount":8}`)
	if out := r.ok("Scan", `{"TableName":"orders","IndexName":"by-status","Select":"COUNT"}`, ""); out["Count"] != 6.0 {
		t.Errorf("%v items in the index", out["Count"])
	}
	r.invalid("Scan", `{"TableName":"orders","Segment":1}`, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	r.invalid("Scan", `{"TableName":"orders","TotalSegments":1}`, "The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	r.invalid("Scan", `{"TableName":"orders","Segment":4,"TotalSegments":4}`, "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 4 is not less than TotalSegments: 4")
}

// The segments of a parallel scan divide the table: together all, none twice, whatever the pages.
func TestSegments(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", simple, "")
	for i := 0; i < 200; i++ {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"simple","Item":{"pk":{"S":"key-%d"}}}`, i), `{}`)
	}
	for _, total := range []int{1, 3, 7, 100_000} {
		seen := map[string]int{}
		for segment := 0; segment < min(total, 10); segment++ {
			start := ""
			for {
				out := r.ok("Scan", fmt.Sprintf(`{"TableName":"simple","Segment":%d,"TotalSegments":%d,"Limit":17%s}`, segment, total, start), "")
				for _, it := range out["Items"].([]any) {
					seen[fmt.Sprint(it)]++
				}
				last, more := out["LastEvaluatedKey"]
				if !more {
					break
				}
				k, _ := json.Marshal(last)
				start = `,"ExclusiveStartKey":` + string(k)
			}
		}
		for key, n := range seen {
			if n != 1 {
				t.Fatalf("%d segments: %s came %d times", total, key, n)
			}
		}
		if total < 10 && len(seen) != 200 {
			t.Errorf("%d segments: %d of 200 items", total, len(seen))
		}
	}
}

func TestPagesEndAtOneMegabyte(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", orders, "")
	for i := 0; i < 8; i++ {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"%d"},"x":{"S":"%s"}}}`, i, strings.Repeat("x", 300<<10)), `{}`)
	}
	out := r.ok("Query", `{"TableName":"orders","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}},"Select":"COUNT","ReturnConsumedCapacity":"TOTAL"}`, "")
	if out["Count"] != 4.0 || fmt.Sprint(out["LastEvaluatedKey"]) != "map[pk:map[S:a] sk:map[N:3]]" {
		t.Errorf("a page of %v items that ends at %v", out["Count"], out["LastEvaluatedKey"])
	}
	if units := out["ConsumedCapacity"].(map[string]any)["CapacityUnits"]; units != 150.5 {
		t.Errorf("%v units for 4 × 300 KB, want 150.5", units)
	}
}
