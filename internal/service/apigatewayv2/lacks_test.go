package apigatewayv2

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLacksOfADefinition(t *testing.T) {
	said := func(body string) []string {
		t.Helper()
		var props map[string]any
		if err := json.Unmarshal([]byte(`{"Body":`+body+`}`), &props); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, l := range lacksOfAPI(props) {
			out = append(out, strings.Join(l.Path[1:], " ")+": "+l.What)
		}
		return out
	}
	got := said(`{"components":{"securitySchemes":{"guard":{"x-amazon-apigateway-authorizer":{"type":"request","authorizerCredentials":{"Fn::GetAtt":["R","Arn"]}}}}},
	 "paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"HTTP_PROXY","uri":{"Ref":"U"},"credentials":"arn:aws:iam::*:user/*"}}},
	  "/b":{"parameters":[],"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy","uri":{"Fn::Sub":"x"},"payloadFormatVersion":2}}}}}`)
	want := []string{
		"components securitySchemes guard x-amazon-apigateway-authorizer authorizerCredentials: the authorizer guard has credentials (FunctionInvokeRole), which are not built",
		"paths /a get x-amazon-apigateway-integration credentials: credentials of integrations are not built",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := said(samBody); len(got) > 0 {
		t.Errorf("what can be imported lacks %v", got)
	}
}
