package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// TestRecordHides holds that no secret and no content of an item gets into a record, and that what is
// beside it does.
func TestRecordHides(t *testing.T) {
	secret, item := "hunter2", wire.RawJSON(`{"k":{"S":"hunter2"}}`)
	const hidden = `"HIDDEN_DUE_TO_SECURITY_REASONS"`
	for _, c := range []struct {
		name string
		op   *wire.Operation
		x    any
		want string
	}{
		{"a function's environment and code", lambda.OpCreateFunction, &lambda.CreateFunctionInput{FunctionName: "f", Code: &lambda.FunctionCode{ZipFile: []byte(secret)},
			Environment: &lambda.Environment{Variables: map[string]string{"K": secret}}}, `"environment":{"variables":` + hidden + `}`},
		{"the same in an answer", lambda.OpCreateFunction, &lambda.CreateFunctionOutput{FunctionName: new("f"),
			Environment: &lambda.EnvironmentResponse{Variables: map[string]string{"K": secret}}}, `"variables":` + hidden},
		{"an event", lambda.OpInvoke, &lambda.InvokeInput{FunctionName: "f", Payload: []byte(secret)}, `{"functionName":"f"}`},
		{"an item", dynamodb.OpPutItem, &dynamodb.PutItemInput{TableName: "abc", Item: item}, `"item":` + hidden},
		{"the key of an item is no secret", dynamodb.OpGetItem, &dynamodb.GetItemInput{TableName: "abc", Key: wire.RawJSON(`{"id":{"S":"7"}}`)}, `"key":{"id":{"S":"7"}}`},
		{"the values of a query", dynamodb.OpQuery, &dynamodb.QueryInput{TableName: "abc", ExpressionAttributeValues: item}, `"expressionAttributeValues":` + hidden},
		{"an access key", iam.OpCreateAccessKey, &iam.CreateAccessKeyOutput{AccessKey: &iam.AccessKey{AccessKeyId: "AKIA", SecretAccessKey: secret}},
			`"secretAccessKey":` + hidden},
		{"a session", sts.OpAssumeRole, &sts.AssumeRoleOutput{Credentials: &sts.Credentials{AccessKeyId: "ASIA", SecretAccessKey: secret, SessionToken: secret}},
			`"sessionToken":` + hidden},
		{"the code of a device", sts.OpAssumeRole, &sts.AssumeRoleInput{RoleArn: "r", RoleSessionName: "s", TokenCode: &secret}, `"tokenCode":` + hidden},
		{"what an application logs", logs.OpPutLogEvents, &logs.PutLogEventsInput{LogGroupName: "g", LogStreamName: "s", LogEvents: []logs.InputLogEvent{{Message: secret}}},
			`"logEvents":` + hidden},
		{"an object and its key", s3.OpPutObject, &s3.PutObjectInput{Bucket: "b", Key: "k", SSECustomerKey: &secret, Body: strings.NewReader(secret)}, `"bucket":"b"`},
	} {
		got := string(c.op.Record(c.x))
		if strings.Contains(got, secret) || strings.Contains(got, "aHVudGVyMg") || !strings.Contains(got, c.want) || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s, want in it %s", c.name, got, c.want)
		}
	}
}

// TestRecordIsBounded holds that no caller makes a record large.
func TestRecordIsBounded(t *testing.T) {
	long := string(iam.OpCreateUser.Record(&iam.CreateUserInput{UserName: strings.Repeat("a", 1<<20)}))
	if len(long) > 5<<10 || !strings.Contains(long, "aaa…") || !json.Valid([]byte(long)) {
		t.Errorf("a long name makes %d bytes", len(long))
	}
	tags := make([]iam.Tag, 10_000)
	for i := range tags {
		tags[i] = iam.Tag{Key: "key-of-a-tag", Value: "value"}
	}
	if many := string(iam.OpTagUser.Record(&iam.TagUserInput{UserName: "ann", Tags: tags})); many != `{"requestParametersOmitted":true}` {
		t.Errorf("many tags make %d bytes", len(many))
	}
	if got := string(iam.OpCreateUser.Record(nil)); got != "null" {
		t.Errorf("nothing is recorded as %s", got)
	}
}
