package dynamodb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

func TestTables(t *testing.T) {
	r := newRig(t)
	r.fails("DescribeTable", `{"TableName":"simple"}`, "ResourceNotFoundException", "Requested resource not found: Table: simple not found")
	out := r.ok("CreateTable", simple, "")
	d := out["TableDescription"].(map[string]any)
	if d["TableArn"] != "arn:aws:dynamodb:eu-west-1:123456789012:table/simple" || d["TableStatus"] != "ACTIVE" || d["ItemCount"] != 0.0 {
		t.Errorf("the new table: %v", d)
	}
	r.fails("CreateTable", simple, "ResourceInUseException", "Table already exists: simple")
	r.ok("CreateTable", orders, "")
	for i := 0; i < 3; i++ {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"orders","Item":{"pk":{"S":"k%d"},"sk":{"N":"1"},"status":{"S":"s"}}}`, i), `{}`)
	}
	table := r.ok("DescribeTable", `{"TableName":"arn:aws:dynamodb:eu-west-1:123456789012:table/orders"}`, "")["Table"].(map[string]any)
	if table["ItemCount"] != 3.0 || table["TableSizeBytes"] != 3*(4+4+7.0) {
		t.Errorf("%v items of %v bytes", table["ItemCount"], table["TableSizeBytes"])
	}
	global := table["GlobalSecondaryIndexes"].([]any)
	if len(global) != 2 || global[1].(map[string]any)["ItemCount"] != 3.0 || global[0].(map[string]any)["ItemCount"] != 0.0 || len(table["LocalSecondaryIndexes"].([]any)) != 1 {
		t.Errorf("indexes: %v", global)
	}
	r.ok("ListTables", `{}`, `{"TableNames":["orders","simple"]}`)
	r.ok("ListTables", `{"Limit":1}`, `{"TableNames":["orders"],"LastEvaluatedTableName":"orders"}`)
	r.ok("ListTables", `{"Limit":1,"ExclusiveStartTableName":"orders"}`, `{"TableNames":["simple"]}`)
	r.ok("UpdateTable", `{"TableName":"orders","DeletionProtectionEnabled":true}`, "")
	r.invalid("DeleteTable", `{"TableName":"orders"}`, "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	r.ok("UpdateTable", `{"TableName":"orders","DeletionProtectionEnabled":false}`, "")
	gone := r.ok("DeleteTable", `{"TableName":"orders"}`, "")["TableDescription"].(map[string]any)
	if gone["TableStatus"] != "DELETING" {
		t.Errorf("a table that is deleted is %v", gone["TableStatus"])
	}
	r.ok("CreateTable", orders, "")
	r.ok("Scan", `{"TableName":"orders","Select":"COUNT"}`, `{"Count":0,"ScannedCount":0}`)
	r.ok("Scan", `{"TableName":"orders","IndexName":"keys","Select":"COUNT"}`, `{"Count":0,"ScannedCount":0}`)
	r.ok("DescribeEndpoints", `{}`, `{"Endpoints":[{"Address":"localhost:4566","CachePeriodInMinutes":1440}]}`)
}

func TestTablesThatAreRefused(t *testing.T) {
	r := newRig(t)
	const inv = "One or more parameter values were invalid: "
	def := func(names ...string) string {
		var out []string
		for _, n := range names {
			out = append(out, `{"AttributeName":"`+n+`","AttributeType":"S"}`)
		}
		return `"AttributeDefinitions":[` + strings.Join(out, ",") + `]`
	}
	key := func(names ...string) string {
		out := `"KeySchema":[{"AttributeName":"` + names[0] + `","KeyType":"HASH"}`
		if len(names) > 1 {
			out += `,{"AttributeName":"` + names[1] + `","KeyType":"RANGE"}`
		}
		return out + `]`
	}
	const free = `,"BillingMode":"PAY_PER_REQUEST"`
	all := `,"Projection":{"ProjectionType":"ALL"}`
	for body, want := range map[string]string{
		`"TableName":"ab",` + def("a") + `,` + key("a") + free: "TableName must be at least 3 characters long and at most 255 characters long",
		def("a") + `,` + key("a"):                              inv + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
		def("a") + `,` + key("a") + free + `,"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`: inv + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
		def("a") + `,` + key("b") + free:                                           inv + "Some index key attributes are not defined in AttributeDefinitions. Keys: [b], AttributeDefinitions: [a]",
		def("a", "b") + `,` + key("a") + free:                                      inv + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
		def("a") + `,` + key("a", "a") + free:                                      "Both the Hash Key and the Range Key element in the KeySchema have the same name",
		def("a") + `,"KeySchema":[{"AttributeName":"a","KeyType":"RANGE"}]` + free: "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
		def("a", "b") + `,` + key("a") + free + `,"LocalSecondaryIndexes":[{"IndexName":"idx",` + key("a", "b") + all + `}]`:                                                      inv + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
		def("a", "b") + `,` + key("a", "b") + free + `,"LocalSecondaryIndexes":[{"IndexName":"idx",` + key("b", "a") + all + `}]`:                                                 inv + "Index KeySchema does not have the same leading hash key as table KeySchema for index: idx. index hash key: b, table hash key: a",
		def("a", "b") + `,` + key("a") + free + `,"GlobalSecondaryIndexes":[{"IndexName":"idx",` + key("b") + `,"Projection":{}}]`:                                                inv + "Unknown ProjectionType: null",
		def("a", "b") + `,` + key("a") + free + `,"GlobalSecondaryIndexes":[{"IndexName":"idx",` + key("b") + `,"Projection":{"ProjectionType":"ALL","NonKeyAttributes":["x"]}}]`: inv + "ProjectionType is ALL, but NonKeyAttributes is specified",
		def("a", "b") + `,` + key("a") + free + `,"GlobalSecondaryIndexes":[{"IndexName":"idx",` + key("b") + all + `},{"IndexName":"idx",` + key("b") + all + `}]`:               inv + "Duplicate index name: idx",
		def("a", "b") + `,` + key("a") + free + `,"GlobalSecondaryIndexes":[]`:                                                                                                    inv + "List of GlobalSecondaryIndexes is empty",
	} {
		if !strings.Contains(body, "TableName") {
			body = `"TableName":"abc",` + body
		}
		r.invalid("CreateTable", `{`+body+`}`, want)
	}
	for _, extra := range []string{`"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}`, `"SSESpecification":{"Enabled":true}`, `"ResourcePolicy":"{}"`} {
		status, got := r.send("CreateTable", `{"TableName":"abc",`+def("a")+`,`+key("a")+free+`,`+extra+`}`)
		if status < 400 || !strings.Contains(got, "is not built in this version of Bastide") {
			t.Errorf("%s: %d %s", extra, status, got)
		}
	}
}

func TestUpdatesOfATable(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", `{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],
		"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":2},"Tags":[{"Key":"team","Value":"x"}]}`, "")
	for i := 0; i < 5; i++ {
		extra := fmt.Sprintf(`,"b":{"N":"%d"}`, i)
		if i == 4 {
			extra = `,"b":{"S":"not a number"}`
		}
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"abc","Item":{"a":{"S":"k%d"}%s}}`, i, extra), `{}`)
	}
	r.invalid("UpdateTable", `{"TableName":"abc"}`, "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	create := `{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"b","AttributeType":"N"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"idx",
		"KeySchema":[{"AttributeName":"b","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"},"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}}]}`
	out := r.ok("UpdateTable", create, "")["TableDescription"].(map[string]any)
	ix := out["GlobalSecondaryIndexes"].([]any)[0].(map[string]any)
	if ix["IndexStatus"] != "ACTIVE" || ix["ItemCount"] != 4.0 {
		t.Errorf("the new index: %v", ix)
	}
	r.invalid("UpdateTable", create, "Attempting to create an index which already exists")
	r.ok("Query", `{"TableName":"abc","IndexName":"idx","KeyConditionExpression":"b = :b","ExpressionAttributeValues":{":b":{"N":"2"}}}`,
		`{"Count":1,"ScannedCount":1,"Items":[{"a":{"S":"k2"},"b":{"N":"2"}}]}`)
	r.ok("PutItem", `{"TableName":"abc","Item":{"a":{"S":"k4"}}}`, `{}`) // an item that the index could not hold may be replaced
	r.ok("UpdateTable", `{"TableName":"abc","BillingMode":"PAY_PER_REQUEST"}`, "")
	d := r.ok("DescribeTable", `{"TableName":"abc"}`, "")["Table"].(map[string]any)
	if d["BillingModeSummary"].(map[string]any)["BillingMode"] != "PAY_PER_REQUEST" || d["ProvisionedThroughput"].(map[string]any)["ReadCapacityUnits"] != 0.0 {
		t.Errorf("on demand: %v", d)
	}
	r.ok("UpdateTable", `{"TableName":"abc","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"idx"}}]}`, "")
	d = r.ok("DescribeTable", `{"TableName":"abc"}`, "")["Table"].(map[string]any)
	if d["GlobalSecondaryIndexes"] != nil || len(d["AttributeDefinitions"].([]any)) != 1 {
		t.Errorf("without the index: %v", d)
	}
	r.fails("UpdateTable", `{"TableName":"abc","GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"idx"}}]}`, "ResourceNotFoundException", "Requested resource not found")

	const table = `"ResourceArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/abc"`
	r.ok("TagResource", `{`+table+`,"Tags":[{"Key":"env","Value":"test"},{"Key":"team","Value":"y"}]}`, "")
	r.ok("ListTagsOfResource", `{`+table+`}`, `{"Tags":[{"Key":"env","Value":"test"},{"Key":"team","Value":"y"}]}`)
	r.ok("UntagResource", `{`+table+`,"TagKeys":["env"]}`, "")
	r.ok("ListTagsOfResource", `{`+table+`}`, `{"Tags":[{"Key":"team","Value":"y"}]}`)
}

func TestNoTableHasBackups(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", orders, "")
	r.ok("DescribeContinuousBackups", `{"TableName":"orders"}`,
		`{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"DISABLED","PointInTimeRecoveryDescription":{"PointInTimeRecoveryStatus":"DISABLED"}}}`)
	r.fails("DescribeContinuousBackups", `{"TableName":"none"}`, "TableNotFoundException", "Table not found: none")
}

func TestTimeToLive(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", orders, "")
	now := r.clock.Now().Unix()
	put := func(sk int, ttl string) {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"%d"},"status":{"S":"s"},"ttl":%s}}`, sk, ttl), `{}`)
	}
	put(1, fmt.Sprintf(`{"N":"%d"}`, now+10))
	put(2, fmt.Sprintf(`{"N":"%d"}`, now+1000))
	put(3, `{"S":"never"}`)
	put(4, fmt.Sprintf(`{"N":"%d"}`, now-6*365*24*3600)) // too long ago to be meant
	r.ok("DescribeTimeToLive", `{"TableName":"orders"}`, `{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`)
	on := `{"TableName":"orders","TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}`
	r.ok("UpdateTimeToLive", on, `{"TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}`)
	r.invalid("UpdateTimeToLive", on, "TimeToLive is already enabled")
	r.ok("DescribeTimeToLive", `{"TableName":"orders"}`, `{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"ttl"}}`)
	put(5, fmt.Sprintf(`{"N":"%d"}`, now+10))
	put(6, fmt.Sprintf(`{"N":"%d"}`, now+10))
	put(6, fmt.Sprintf(`{"N":"%d"}`, now+500)) // a new time takes the place of the old
	put(7, fmt.Sprintf(`{"N":"%d"}`, now+10))
	r.ok("DeleteItem", `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"7"}}}`, `{}`)
	expire := func(want int) {
		t.Helper()
		n, err := r.expire()
		if n != want || err != nil {
			t.Errorf("%d items expired, want %d (%v)", n, want, err)
		}
	}
	expire(0)
	r.clock.Advance(60 * time.Second)
	expire(2)
	expire(0)
	if got := sorts(r.ok("Query", `{"TableName":"orders","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}}}`, "")); got != "2 3 4 6" {
		t.Errorf("%s are left", got)
	}
	r.ok("Scan", `{"TableName":"orders","IndexName":"keys","Select":"COUNT"}`, `{"Count":4,"ScannedCount":4}`)
	last := r.trail.kept[len(r.trail.kept)-1]
	if last.Event != "TimeToLive" || fmt.Sprintf("%+v", last.In) != "&{TableName:orders Items:2}" {
		t.Errorf("the record of the expiry: %+v", last)
	}
	r.ok("UpdateTimeToLive", `{"TableName":"orders","TimeToLiveSpecification":{"Enabled":false,"AttributeName":"ttl"}}`, "")
	r.clock.Advance(time.Hour)
	expire(0)
}

// expire runs the service's job until it has nothing to do and counts the items that it deleted.
func (r *rig) expire() (n int, err error) {
	r.Helper()
	before := len(r.trail.kept)
	for more := true; more && err == nil; {
		more, err = r.service.Work(r.Context(), r.gate)
	}
	for _, k := range r.trail.kept[before:] {
		n += k.In.(*expiredItems).Items
	}
	return n, err
}

// What touches more rows than one transaction should is finished by the job, and correct meanwhile.
func TestManyRowsAreDoneInParts(t *testing.T) {
	r := newRigOn(t, store.Options{})
	r.ok("CreateTable", simple, "")
	const n = 2*atOnce + 50
	for i := 0; i < n; i += 25 {
		var puts []string
		for j := i; j < i+25; j++ {
			puts = append(puts, fmt.Sprintf(`{"PutRequest":{"Item":{"pk":{"S":"%d"},"g":{"S":"all"}}}}`, j))
		}
		r.ok("BatchWriteItem", `{"RequestItems":{"simple":[`+strings.Join(puts, ",")+`]}}`, "")
	}
	index := func() map[string]any {
		d := r.ok("DescribeTable", `{"TableName":"simple"}`, "")["Table"].(map[string]any)
		return d["GlobalSecondaryIndexes"].([]any)[0].(map[string]any)
	}
	r.ok("UpdateTable", `{"TableName":"simple","AttributeDefinitions":[{"AttributeName":"g","AttributeType":"S"}],"GlobalSecondaryIndexUpdates":[{"Create":{"IndexName":"idx",
		"KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}}]}`, "")
	if ix := index(); ix["IndexStatus"] != "CREATING" || ix["Backfilling"] != true || ix["ItemCount"] != float64(atOnce) {
		t.Fatalf("the new index: %v", ix)
	}
	const query = `{"TableName":"simple","IndexName":"idx","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"all"}},"Select":"COUNT"}`
	r.invalid("Query", query, "Cannot read from backfilling global secondary index: idx")
	for i := 0; i < n; i += 10 { // changes overtake the filling
		r.ok("DeleteItem", fmt.Sprintf(`{"TableName":"simple","Key":{"pk":{"S":"%d"}}}`, i), "")
	}
	r.ok("PutItem", `{"TableName":"simple","Item":{"pk":{"S":"new"},"g":{"S":"all"}}}`, "")
	if _, err := r.expire(); err != nil {
		t.Fatal(err)
	}
	if out := r.ok("Query", query, ""); out["Count"] != float64(n-n/10+1) || index()["IndexStatus"] != "ACTIVE" {
		t.Errorf("%v items in the index, want %d", out["Count"], n-n/10+1)
	}
	r.ok("DeleteTable", `{"TableName":"simple"}`, "")
	rows := func() (n int) {
		if err := (gate.Job{Gate: r.gate, Service: api.Service}).View(t.Context(), func(tx *store.Tx) error {
			n = 0
			for _, err := range r.service.t.items.Scan(tx, store.Key{}, store.Range{}) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if rows() == 0 {
		t.Error("one call deleted everything: it held up other writers")
	}
	r.ok("CreateTable", simple, "")
	r.ok("Scan", `{"TableName":"simple","Select":"COUNT"}`, `{"Count":0,"ScannedCount":0}`)
	if _, err := r.expire(); err != nil || rows() != 0 {
		t.Errorf("%d rows of the deleted table are left (%v)", rows(), err)
	}
}
