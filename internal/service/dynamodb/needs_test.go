package dynamodb

import (
	"strings"
	"testing"
)

const tableARN = `arn:aws:dynamodb:eu-west-1:123456789012:table/orders`

// Each request is tried under each policy; want says which may pass.
func TestPoliciesDecide(t *testing.T) {
	r := newRig(t)
	stock(r)
	r.ok("TagResource", `{"ResourceArn":"`+tableARN+`","Tags":[{"Key":"team","Value":"blue"}]}`, "")
	allow := func(actions, resource, condition string) string {
		if condition != "" {
			condition = `,"Condition":` + condition
		}
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"` + resource + `"` + condition + `}]}`
	}
	const item = `"dynamodb:GetItem","dynamodb:PutItem","dynamodb:UpdateItem","dynamodb:DeleteItem","dynamodb:Query","dynamodb:BatchGetItem","dynamodb:ConditionCheckItem"`
	leading := allow(item, tableARN, `{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":["a"]},"Null":{"dynamodb:LeadingKeys":"false"}}`)
	columns := allow(item, tableARN, `{"ForAllValues:StringEquals":{"dynamodb:Attributes":["pk","sk","note"]},"StringEqualsIfExists":{"dynamodb:Select":"SPECIFIC_ATTRIBUTES"}}`)
	tagged := allow(item, "*", `{"StringEquals":{"aws:ResourceTag/team":"blue"}}`)
	table := allow(item, tableARN, "")
	index := allow(item, tableARN+"/index/*", "")
	inside := allow(item, tableARN, `{"StringEquals":{"dynamodb:EnclosingOperation":"TransactWriteItems"}}`)
	const get = `{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"0"}}`
	const query = `{"TableName":"orders","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}}`
	for _, c := range []struct {
		name, policy, op, body string
		want                   bool
	}{
		{"own key", leading, "GetItem", get + `}`, true},
		{"other key", leading, "GetItem", strings.Replace(get, `"a"`, `"b"`, 1) + `}`, false},
		{"own item", leading, "PutItem", `{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"9"}}}`, true},
		{"other item", leading, "PutItem", `{"TableName":"orders","Item":{"pk":{"S":"b"},"sk":{"N":"9"}}}`, false},
		{"own query", leading, "Query", query + `}`, true},
		{"other query", leading, "Query", strings.Replace(query, `"a"`, `"b"`, 1) + `}`, false},
		{"scan has no leading keys", leading, "Scan", `{"TableName":"orders"}`, false},
		{"own batch", leading, "BatchGetItem", `{"RequestItems":{"orders":{"Keys":[{"pk":{"S":"a"},"sk":{"N":"0"}}]}}}`, true},
		{"batch with another's", leading, "BatchGetItem", `{"RequestItems":{"orders":{"Keys":[{"pk":{"S":"a"},"sk":{"N":"0"}},{"pk":{"S":"b"},"sk":{"N":"0"}}]}}}`, false},
		{"named columns", columns, "GetItem", get + `,"ProjectionExpression":"note"}`, true},
		{"another column", columns, "GetItem", get + `,"ProjectionExpression":"note, #s","ExpressionAttributeNames":{"#s":"status"}}`, false},
		{"all columns", columns, "GetItem", get + `}`, false},
		{"written columns", columns, "UpdateItem", get + `,"UpdateExpression":"SET note = :n","ExpressionAttributeValues":{":n":{"S":"x"}}}`, true},
		{"another written", columns, "UpdateItem", get + `,"UpdateExpression":"SET extra = :n","ExpressionAttributeValues":{":n":{"S":"x"}}}`, false},
		{"read in a condition", columns, "UpdateItem", get + `,"UpdateExpression":"SET note = :n","ConditionExpression":"attribute_exists(secret)","ExpressionAttributeValues":{":n":{"S":"x"}}}`, false},
		{"tag", tagged, "GetItem", get + `}`, true},
		{"table", table, "Query", query + `}`, true},
		{"index is not table", table, "Query", query + `,"IndexName":"local"}`, false},
		{"index", index, "Query", query + `,"IndexName":"local"}`, true},
		{"table is not index", index, "Query", query + `}`, false},
		{"transaction", inside, "TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"8"}}}}]}`, true},
		{"outside one", inside, "PutItem", `{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"8"}}}`, false},
		{"transaction of two actions", allow(`"dynamodb:PutItem"`, "*", ""), "TransactWriteItems",
			`{"TransactItems":[{"Put":{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"8"}}}},{"Delete":{"TableName":"orders","Key":{"pk":{"S":"a"},"sk":{"N":"7"}}}}]}`, false},
		{"another account's table", table, "GetItem", strings.Replace(get, "orders", "arn:aws:dynamodb:eu-west-1:999999999999:table/orders", 1) + `}`, false},
	} {
		r.dir.allow(t, c.policy)
		code, body := r.send(c.op, c.body)
		if (code == 200) != c.want {
			t.Errorf("%s: %d %s", c.name, code, body)
		}
		if !c.want && !strings.Contains(body, "AccessDenied") {
			t.Errorf("%s is refused for another reason: %s", c.name, body)
		}
	}
}

func TestTagsAtCreationNeedPermission(t *testing.T) {
	r := newRig(t)
	tagged := strings.Replace(simple, `"TableName"`, `"Tags":[{"Key":"a","Value":"b"}],"TableName"`, 1)
	r.dir.allow(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:CreateTable","Resource":"*"}]}`)
	if code, body := r.send("CreateTable", tagged); code != 400 || !strings.Contains(body, "dynamodb:TagResource") {
		t.Errorf("%d %s", code, body)
	}
	r.ok("CreateTable", simple, "")
}
