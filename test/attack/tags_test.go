package attack

import (
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/test/harness"
)

// TestReservedTags: nobody passes for CloudFormation by its tags, neither in a call nor through a
// template; CloudFormation itself puts them.
func TestReservedTags(t *testing.T) {
	s := harness.Start(t)
	c, ctx := s.Client(t), t.Context()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	template := "Resources:\n  Table:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      TableName: made\n      BillingMode: PAY_PER_REQUEST\n      KeySchema: [{AttributeName: k, KeyType: HASH}]\n      AttributeDefinitions: [{AttributeName: k, AttributeType: S}]\n"
	stack := func(name, body string) error {
		return c.Query(ctx, "cloudformation", "2010-05-15", "CreateStack", url.Values{"StackName": {name}, "TemplateBody": {body}}, nil)
	}
	status := func(name string) string {
		var out struct {
			Status string `xml:"DescribeStacksResult>Stacks>member>StackStatus"`
		}
		if err := c.Query(ctx, "cloudformation", "2010-05-15", "DescribeStacks", url.Values{"StackName": {name}}, &out); err != nil {
			t.Fatal(err)
		}
		return out.Status
	}
	if err := stack("made", template); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, "the stack", func() bool { return status("made") == "CREATE_COMPLETE" })
	table := "arn:aws:dynamodb:us-east-1:123456789012:table/made"
	var tagged struct{ Tags []struct{ Key, Value string } }
	if err := c.JSON(ctx, "dynamodb", "DynamoDB_20120810.ListTagsOfResource", map[string]any{"ResourceArn": table}, &tagged); err != nil || len(tagged.Tags) != 3 {
		t.Fatalf("CloudFormation left the tags %+v (%v)", tagged, err)
	}
	iam := func(action string, in url.Values) error { return c.Query(ctx, "iam", "2010-05-08", action, in, nil) }
	if err := iam("CreateRole", url.Values{"RoleName": {"r"}, "AssumeRolePolicyDocument": {trust}}); err != nil {
		t.Fatal(err)
	}
	tags := []map[string]string{{"Key": "AWS:cloudformation:stack-id", "Value": "mine"}}
	form := url.Values{"Tags.member.1.Key": {"aws:cloudformation:stack-id"}, "Tags.member.1.Value": {"mine"}}
	with := func(more url.Values) url.Values {
		for k, v := range form {
			more[k] = v
		}
		return more
	}
	for _, x := range []struct {
		what, code string
		err        error
	}{
		{"TagRole", "InvalidInput", iam("TagRole", with(url.Values{"RoleName": {"r"}}))},
		{"UntagRole", "InvalidInput", iam("UntagRole", url.Values{"RoleName": {"r"}, "TagKeys.member.1": {"aws:cloudformation:stack-id"}})},
		{"CreateUser", "InvalidInput", iam("CreateUser", with(url.Values{"UserName": {"u"}}))},
		{"CreatePolicy", "InvalidInput", iam("CreatePolicy", with(url.Values{"PolicyName": {"p"}, "PolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`}}))},
		{"a table's TagResource", "ValidationException", c.JSON(ctx, "dynamodb", "DynamoDB_20120810.TagResource", map[string]any{"ResourceArn": table, "Tags": tags}, nil)},
		{"a table's UntagResource", "ValidationException", c.JSON(ctx, "dynamodb", "DynamoDB_20120810.UntagResource", map[string]any{"ResourceArn": table, "TagKeys": []string{"aws:cloudformation:stack-id"}}, nil)},
		{"a log group", "InvalidParameterException", c.JSON(ctx, "logs", "Logs_20140328.CreateLogGroup", map[string]any{"logGroupName": "/g", "tags": map[string]string{"aws:x": "y"}}, nil)},
		{"an HTTP API", "BadRequestException", c.REST(ctx, "apigateway", "POST", "/v2/apis", map[string]any{"name": "a", "protocolType": "HTTP", "tags": map[string]string{"aws:x": "y"}}, nil)},
		{"an HTTP API's definition", "BadRequestException", c.REST(ctx, "apigateway", "PUT", "/v2/apis", map[string]any{"body": `{"openapi":"3.0.1","info":{"title":"a"},"paths":{},"tags":[{"name":"aws:x","x-amazon-apigateway-tag-value":"y"}]}`}, nil)},
		{"a REST API", "BadRequestException", c.REST(ctx, "apigateway", "POST", "/restapis", map[string]any{"name": "a", "tags": map[string]string{"aws:x": "y"}}, nil)},
		{"a session", "ValidationError", c.Query(ctx, "sts", "2011-06-15", "AssumeRole", with(url.Values{"RoleArn": {adminTrusts(t, c)}, "RoleSessionName": {"s"}}), nil)},
	} {
		if !client.Is(x.err, x.code) {
			t.Errorf("%s: %v, want %s", x.what, x.err, x.code)
		}
	}
	forged := strings.Replace(strings.Replace(template, "made", "forged", 1), "      BillingMode", "      Tags: [{Key: \"aws:cloudformation:stack-id\", Value: mine}]\n      BillingMode", 1)
	if err := stack("forged", forged); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, "the other stack", func() bool { return strings.HasSuffix(status("forged"), "ROLLBACK_COMPLETE") })
	if err := c.JSON(ctx, "dynamodb", "DynamoDB_20120810.DescribeTable", map[string]any{"TableName": "forged"}, nil); !client.Is(err, "ResourceNotFoundException") {
		t.Errorf("the table with forged tags: %v", err)
	}
}

// adminTrusts is a role that the account's own principals may assume with tags.
func adminTrusts(t *testing.T, c *client.Client) string {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	if err := c.Query(t.Context(), "iam", "2010-05-08", "CreateRole", url.Values{"RoleName": {"open"}, "AssumeRolePolicyDocument": {trust}}, nil); err != nil {
		t.Fatal(err)
	}
	return "arn:aws:iam::123456789012:role/open"
}
