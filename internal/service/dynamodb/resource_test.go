package dynamodb

import (
	"encoding/json"
	"fmt"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
)

func props(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheCloudFormationResource(t *testing.T) {
	r := newRig(t)
	res := r.service.Resources()[0]
	m := gate.Making{Caller: gate.Client{Gate: r.gate, Principal: r.who, Region: region}, Account: account, Region: region, Name: "stack-Orders-1ABC"}
	before := props(t, `{"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"g","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"ProvisionedThroughput":{"ReadCapacityUnits":"5","WriteCapacityUnits":5},
		"GlobalSecondaryIndexes":[{"IndexName":"one","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"},"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}],
		"TimeToLiveSpecification":{"AttributeName":"ttl","Enabled":"true"},"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"}]}`)
	for attempt := 0; attempt < 2; attempt++ { // the second as after a crash
		made, err := res.Create(t.Context(), m, before)
		if err != nil || made.ID != "stack-Orders-1ABC" || made.Attributes["Arn"] != "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-Orders-1ABC" {
			t.Fatalf("%+v (%v)", made, err)
		}
	}
	after := props(t, `{"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"h","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST","DeletionProtectionEnabled":false,
		"GlobalSecondaryIndexes":[{"IndexName":"two","KeySchema":[{"AttributeName":"h","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]}}],
		"TimeToLiveSpecification":{"AttributeName":"expires","Enabled":true},"Tags":[{"Key":"b","Value":"3"}]}`)
	made, err := res.Update(t.Context(), m, "stack-Orders-1ABC", before, after)
	if err != nil || made.ID != "stack-Orders-1ABC" {
		t.Fatalf("%+v (%v)", made, err)
	}
	c := api.Client{Caller: m}
	d, err := c.DescribeTable(t.Context(), &api.DescribeTableInput{TableName: made.ID})
	if err != nil || len(d.Table.GlobalSecondaryIndexes) != 1 || *d.Table.GlobalSecondaryIndexes[0].IndexName != "two" || *d.Table.BillingModeSummary.BillingMode != "PAY_PER_REQUEST" {
		t.Errorf("%+v (%v)", d, err)
	}
	ttl, err := c.DescribeTimeToLive(t.Context(), &api.DescribeTimeToLiveInput{TableName: made.ID})
	if err != nil || *ttl.TimeToLiveDescription.AttributeName != "expires" {
		t.Errorf("%+v (%v)", ttl, err)
	}
	tags, err := c.ListTagsOfResource(t.Context(), &api.ListTagsOfResourceInput{ResourceArn: *d.Table.TableArn})
	if err != nil || fmt.Sprint(tags.Tags) != "[{b 3}]" {
		t.Errorf("%v (%v)", tags, err)
	}
	for attempt := 0; attempt < 2; attempt++ {
		if err := res.Delete(t.Context(), m, made.ID, after); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := res.Create(t.Context(), m, props(t, `{"KeySchema":"pk"}`)); err == nil {
		t.Error("a property of the wrong form must be refused")
	}
}

// A name that the template gives belongs to nobody else's table.
func TestANamedTableThatExistsIsNotTaken(t *testing.T) {
	r := newRig(t)
	r.ok("CreateTable", simple, "")
	m := gate.Making{Caller: gate.Client{Gate: r.gate, Principal: r.who, Region: region}, Account: account, Region: region, Name: "stack-X"}
	_, err := r.service.Resources()[0].Create(t.Context(), m, props(t, `{"TableName":"simple","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`))
	if err == nil || err.Error() != "ResourceInUseException: Table already exists: simple" {
		t.Errorf("creating over a table: %v", err)
	}
}
