package wire_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func decode(t *testing.T, r *http.Request, body string) (wire.In, wire.Routed, error) {
	t.Helper()
	rt := wire.NewRouter("us-east-1", allServices())
	routed, err := rt.Route(r, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	in, err := routed.Decode([]byte(body), nil)
	return in, routed, err
}

func target(op string) *http.Request {
	return request("POST", local+"/", signed("eu-west-1", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810."+op)
}

func form(service string) *http.Request {
	return request("POST", local+"/", signed("us-east-1", service), "Content-Type", "application/x-www-form-urlencoded")
}

// TestRefusalsOfInput holds the wording of validation in every protocol.
func TestRefusalsOfInput(t *testing.T) {
	fn := request("POST", local+"/2015-03-31/functions", signed("eu-west-1", "lambda"))
	for _, c := range []struct {
		name, body string
		req        *http.Request
		code, text string
	}{
		{"null", `{"Item":{}}`, target("PutItem"), "ValidationException",
			"1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"},
		{"two at once", `{}`, target("PutItem"), "ValidationException",
			"2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null; Value null at 'item' failed to satisfy constraint: Member must not be null"},
		{"enumeration", `{"TableName":"abc","Item":{},"ReturnValues":"SOME"}`, target("PutItem"), "ValidationException",
			"1 validation error detected: Value 'SOME' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [NONE, ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATED_NEW]"},
		{"number", `{"TableName":"abc","Limit":0}`, target("Query"), "ValidationException",
			"1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"in a list", `{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`,
			target("CreateTable"), "ValidationException",
			"1 validation error detected: Value null at 'attributeDefinitions.2.member.attributeName' failed to satisfy constraint: Member must not be null"},
		{"wrong type", `{"TableName":5}`, target("DescribeTable"), "SerializationException", "NUMBER_VALUE cannot be converted to String"},
		{"no JSON", `{"TableName":`, target("DescribeTable"), "SerializationException", "offset"},
		{"query", "Action=CreateUser&Version=2010-05-08&UserName=a%20b", form("iam"), "ValidationError",
			`1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		{"query list", "Action=CreateStack&Version=2010-05-15&StackName=a&Capabilities.member.1=ALL", form("cloudformation"), "ValidationError",
			"1 validation error detected: Value '[ALL]' at 'capabilities' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: ["},
		{"lambda runtime", `{"FunctionName":"f","Role":"arn:aws:iam::123456789012:role/r","Code":{},"Runtime":"cobol"}`, fn, "InvalidParameterValueException",
			"Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["},
		{"lambda null", `{"Role":"arn:aws:iam::123456789012:role/r","Code":{}}`, fn, "ValidationException", "Value null at 'functionName'"},
		{"lambda no JSON", `{`, fn, "InvalidRequestContentException", "Could not parse request body into json"},
		{"logs", `{"logGroupName":""}`, request("POST", local+"/", signed("eu-west-1", "logs"), "X-Amz-Target", "Logs_20140328.CreateLogGroup"), "InvalidParameterException",
			"2 validation errors detected: Value '' at 'logGroupName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"s3 parameter", "", request("GET", local+"/photos?max-keys=x", signed("eu-west-1", "s3")), "InvalidArgument", "MaxKeys"},
		{"s3 document", `<Delete><Object>`, request("POST", local+"/photos?delete", signed("eu-west-1", "s3")), "MalformedXML", "The XML you provided was not well-formed"},
		{"s3 document type", `<!DOCTYPE x [<!ENTITY a "b">]><Delete/>`, request("POST", local+"/photos?delete", signed("eu-west-1", "s3")), "MalformedXML", "The XML you provided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, routed, err := decode(t, c.req, c.body)
			if err == nil {
				t.Fatalf("accepted: %+v", in.Value())
			}
			if code, _ := routed.Code(err); code != c.code {
				t.Errorf("code %s, want %s", code, c.code)
			}
			var e *awserr.Error
			if !errors.As(err, &e) || !strings.Contains(e.Message, c.text) {
				t.Errorf("message %q, want %q", e.Message, c.text)
			}
		})
	}
}

func TestDecodeKeepsPresence(t *testing.T) {
	in, _, err := decode(t, target("Query"), `{"TableName":"abc","ScanIndexForward":false,"AttributesToGet":["a"],"QueryFilter":null,"Unknown":{"x":[1,{}]},`+
		`"ExpressionAttributeNames":{},"ExclusiveStartKey":{"k":{"S":"\u00e9\ud83d\ude00"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	q := in.Value().(*dynamodb.QueryInput)
	if q.ScanIndexForward == nil || *q.ScanIndexForward || q.QueryFilter != nil || q.ExpressionAttributeNames == nil {
		t.Errorf("%+v", q)
	}
	if string(q.ExclusiveStartKey) != `{"k":{"S":"\u00e9\ud83d\ude00"}}` {
		t.Errorf("raw %s", q.ExclusiveStartKey)
	}
}

// TestStreamHeaders holds what reaches PutObject of aws-chunked framing and of presigned headers.
func TestStreamHeaders(t *testing.T) {
	chunked := request("PUT", local+"/photos/a", signed("eu-west-1", "s3"), "Content-Encoding", "aws-chunked,gzip", "X-Amz-Decoded-Content-Length", "5", "Content-Length", "99")
	in, _, err := decode(t, chunked, "")
	if err != nil {
		t.Fatal(err)
	}
	put := in.Value().(*s3.PutObjectInput)
	if wire.Val(put.ContentEncoding) != "gzip" || wire.Val(put.ContentLength) != 5 || put.Body == nil {
		t.Errorf("%v %v", wire.Val(put.ContentEncoding), wire.Val(put.ContentLength))
	}
	presigned := request("PUT", local+"/photos/a?X-Amz-Credential=AK%2F20240229%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=00&x-amz-acl=private"+
		"&x-amz-meta-a=1&x-amz-copy-source=other%2Fsecret&x-amz-checksum-crc32=AAAAAA%3D%3D", "", "X-Amz-Meta-A", "2")
	in, routed, err := decode(t, presigned, "")
	if err != nil {
		t.Fatal(err)
	}
	put = in.Value().(*s3.PutObjectInput)
	if routed.Name != "PutObject" || wire.Val(put.ACL) != "private" || put.Metadata["a"] != "2" || put.ChecksumCRC32 != nil {
		t.Errorf("%s %+v", routed.Name, put)
	}
}

func TestAccept(t *testing.T) {
	if _, err := iam.OpCreateUser.Accept(&iam.CreateUserInput{UserName: "a b"}); !strings.Contains(err.Error(), "'userName'") {
		t.Errorf("bad name: %v", err)
	}
	if _, err := dynamodb.OpPutItem.Accept(&dynamodb.PutItemInput{TableName: "abc"}); !strings.Contains(err.Error(), "Value null at 'item'") {
		t.Errorf("no item: %v", err)
	}
	if _, err := iam.OpCreateUser.Accept(&iam.GetUserInput{}); err == nil {
		t.Error("took the input of another operation")
	}
	in, err := iam.OpCreateUser.Accept(&iam.CreateUserInput{UserName: "ann"})
	if err != nil || in.Operation() != iam.OpCreateUser || in.Value().(*iam.CreateUserInput).UserName != "ann" {
		t.Errorf("%+v %v", in, err)
	}
}

func TestEncodeDetails(t *testing.T) {
	rt := wire.NewRouter("us-east-1", allServices())
	t.Run("ranges are partial", func(t *testing.T) {
		routed, err := rt.Route(request("GET", local+"/photos/a", signed("eu-west-1", "s3")), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := "bytes 0-3/10"
		w := httptest.NewRecorder()
		if err := routed.Encode(w, &s3.GetObjectOutput{ContentRange: &r}, "id"); err != nil || w.Code != 206 {
			t.Errorf("%d %v", w.Code, err)
		}
	})
	t.Run("a bucket's region is text", func(t *testing.T) {
		routed, err := rt.Route(request("GET", local+"/photos?location", signed("eu-west-1", "s3")), nil)
		if err != nil {
			t.Fatal(err)
		}
		region := "eu-west-1"
		w := httptest.NewRecorder()
		err = routed.Encode(w, &s3.GetBucketLocationOutput{LocationConstraint: &region}, "id")
		if err != nil || !strings.HasSuffix(w.Body.String(), `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>`) {
			t.Errorf("%s %v", w.Body, err)
		}
	})
	t.Run("errors carry their members", func(t *testing.T) {
		routed, err := rt.Route(target("TransactWriteItems"), nil)
		if err != nil {
			t.Fatal(err)
		}
		code := "ConditionalCheckFailed"
		e := awserr.New("TransactionCanceledException", 400, "cancelled")
		e.Fields = map[string]any{"CancellationReasons": []dynamodb.CancellationReason{{Code: &code, Item: wire.RawJSON(`{"k":{"S":"v"}}`)}}, "Absent": (*string)(nil), "Odd": []any{1}}
		w := httptest.NewRecorder()
		routed.Fail(w, e, "id")
		want := `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled","CancellationReasons":[{"Item":{"k":{"S":"v"}},"Code":"ConditionalCheckFailed"}]}`
		if w.Code != 400 || w.Body.String() != want || w.Header().Get("X-Amz-Crc32") == "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("what is no output is an internal error", func(t *testing.T) {
		routed, err := rt.Route(target("GetItem"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := routed.Encode(w, &dynamodb.PutItemOutput{}, "id"); err == nil || w.Code != 500 || strings.Contains(w.Body.String(), "PutItemOutput") {
			t.Errorf("%d %s %v", w.Code, w.Body, err)
		}
	})
}
