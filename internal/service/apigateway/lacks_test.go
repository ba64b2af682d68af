package apigateway

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/gate"
)

func said(list []gate.Lack) []string {
	var out []string
	for _, l := range list {
		out = append(out, strings.Join(l.Path, " ")+": "+l.What)
	}
	slices.Sort(out)
	return out
}

func read(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A template's definition is refused with all that it lacks, and each in its place.
func TestLacksOfADefinition(t *testing.T) {
	const pending = `{"Fn::Sub":"arn:${F.Arn}"}`
	got := said(lacksOfAPI(read(t, `{"Body":{"swagger":"2.0","x-amazon-apigateway-gateway-responses":{"DEFAULT_4XX":{}},"x-amazon-apigateway-request-validator":"all",
	 "securityDefinitions":{
	  "pool":{"type":"apiKey","x-amazon-apigateway-authtype":"cognito_user_pools","x-amazon-apigateway-authorizer":{"type":"cognito_user_pools","providerARNs":[`+pending+`]}},
	  "guard":{"type":"apiKey","x-amazon-apigateway-authorizer":{"type":"token","authorizerUri":`+pending+`,"authorizerCredentials":`+pending+`}},
	  "api_key":{"type":"apiKey","name":"x-api-key","in":"header"}},
	 "paths":{
	  "/a":{"get":{"security":[{"pool":["read"]},{"api_key":[]}],"x-amazon-apigateway-request-validator":"body-only",
	    "x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":`+pending+`,"credentials":"arn:aws:iam::123456789012:role/r","responseTransferMode":"STREAM"}}},
	  "/b":{"x-amazon-apigateway-any-method":{"security":[{"guard":["write"]}],"x-amazon-apigateway-integration":{"type":"http_proxy","credentials":{"Fn::GetAtt":["R","Arn"]}}}},
	  "/c":{"parameters":[],"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":`+pending+`,"credentials":"arn:aws:iam::*:user/*"}}}}}}`)))
	want := []string{
		"Body paths /a get security 1 api_key: API keys (ApiKeyRequired) are not built",
		"Body paths /a get x-amazon-apigateway-integration credentials: " + roleCredentials,
		"Body paths /a get x-amazon-apigateway-integration: Streamed responses: not built",
		"Body paths /a get x-amazon-apigateway-request-validator: request validators are not built",
		"Body paths /b x-amazon-apigateway-any-method security 0 guard: authorization scopes of REST APIs are not built",
		"Body paths /b x-amazon-apigateway-any-method x-amazon-apigateway-integration credentials: " + roleCredentials,
		"Body securityDefinitions guard x-amazon-apigateway-authorizer authorizerCredentials: the authorizer guard has credentials (FunctionInvokeRole), which are not built",
		"Body securityDefinitions pool: the authorizer pool needs Cognito user pools, which are not built",
		"Body x-amazon-apigateway-gateway-responses DEFAULT_4XX: gateway responses are not built",
		"Body x-amazon-apigateway-request-validator: request validators are not built",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := said(lacksOfAPI(read(t, `{"Body":`+samBody+`}`))); len(got) > 0 {
		t.Errorf("what can be imported lacks %v", got)
	}
}

func TestLacksOfAMethod(t *testing.T) {
	got := said(lacksOfMethod(read(t, `{"RequestModels":{"application/json":"Task","text/plain":"Empty"},"Integration":{"Type":"HTTP","IntegrationHttpMethod":"GET","Uri":"https://x","RequestTemplates":{"application/json":"{}"},"Credentials":{"Fn::GetAtt":["R","Arn"]}}}`)))
	want := []string{"Integration Credentials: " + roleCredentials, "Integration: Mapping templates: the request template for application/json: not built", "RequestModels application/json: models are not built"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, good := range []string{`{}`, `{"Integration":{"Type":"MOCK","RequestTemplates":{"application/json":"{\"statusCode\":200}"}}}`,
		`{"Integration":{"Type":"AWS_PROXY","IntegrationHttpMethod":"POST","Uri":{"Fn::Sub":"x"},"Credentials":"arn:aws:iam::*:user/*"}}`} {
		if got := said(lacksOfMethod(read(t, good))); len(got) > 0 {
			t.Errorf("%s lacks %v", good, got)
		}
	}
}
