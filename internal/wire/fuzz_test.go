package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// FuzzRoute sends any head and body through routing and decoding: nothing may panic, every refusal
// is an *awserr.Error that can be written, and what is accepted can be recorded.
func FuzzRoute(f *testing.F) {
	f.Add("POST", "/", "127.0.0.1", signed("eu-west-1", "dynamodb"), "DynamoDB_20120810.PutItem", "", `{"TableName":"abc","Item":{"k":{"S":"v"}}}`)
	f.Add("POST", "/", "iam.amazonaws.com", signed("us-east-1", "iam"), "", "application/x-www-form-urlencoded", "Action=CreateUser&UserName=a&Tags.member.1.Key=k")
	f.Add("PUT", "/photos/a%2Fb?partNumber=1&uploadId=u", "photos.s3.localhost", signed("eu-west-1", "s3"), "", "", "bytes")
	f.Add("POST", "/photos?delete", "localhost", signed("eu-west-1", "s3"), "", "", "<Delete><Object><Key>a</Key></Object></Delete>")
	f.Add("POST", "/2015-03-31/functions", "localhost", signed("eu-west-1", "lambda"), "", "", `{"FunctionName":"f","Code":{"ZipFile":"AA=="}}`)
	f.Add("PUT", "/restapis/x?mode=merge&failonwarnings=true", "localhost", signed("eu-west-1", "apigateway"), "", "", "swagger")
	rt := wire.NewRouter("us-east-1", allServices())
	f.Fuzz(func(t *testing.T, method, target, host, auth, amz, ct, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.ContainsAny(method, " \r\n") || method == "" {
			return
		}
		r := &http.Request{Method: method, URL: u, Host: host, Header: http.Header{"Authorization": {auth}, "X-Amz-Target": {amz}, "Content-Type": {ct}}}
		rt.Peek(r)
		routed, err := rt.Route(r, []byte(body))
		if err == nil {
			var in wire.In
			if in, err = routed.Decode([]byte(body), bytes.NewReader([]byte(body))); err == nil {
				if b := routed.Operation.Record(in.Value()); !json.Valid(b) {
					t.Fatalf("record %s", b)
				}
				return
			}
		}
		var e *awserr.Error
		if !errors.As(err, &e) {
			t.Fatalf("error %T %v", err, err)
		}
		w := httptest.NewRecorder()
		routed.Fail(w, err, "id")
		if w.Code < 400 {
			t.Fatalf("a refusal with status %d", w.Code)
		}
	})
}
