package edge

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

type verbs map[string]apigateway.Method

func TestEventOfREST(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	s := r.restAPI(restResource("/tasks/{id}", verbs{"POST": method("NONE")}))
	s.Stage.Variables = map[string]string{"color": "blue"}
	w := r.want(withBody(request("POST", "/prod/tasks/7?a=1&a=2", "X-Many", "one", "X-Many", "two"), `{"x":1}`), 200, "hello")
	if w.Header().Get("X-Amzn-Requestid") == "" || w.Header().Get("X-Amz-Apigw-Id") == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v", w.Header())
	}
	got := r.functions.last()
	ctx := got["requestContext"].(map[string]any)
	for k, want := range map[string]any{"resource": "/tasks/{id}", "path": "/tasks/7", "httpMethod": "POST", "body": `{"x":1}`, "isBase64Encoded": false,
		"queryStringParameters": map[string]any{"a": "2"}, "multiValueQueryStringParameters": map[string]any{"a": []any{"1", "2"}},
		"pathParameters": map[string]any{"id": "7"}, "stageVariables": map[string]any{"color": "blue"}} {
		if d := cmp.Diff(want, got[k]); d != "" {
			t.Errorf("%s: %s", k, d)
		}
	}
	for k, want := range map[string]any{"resourceId": "rtasks/{id}", "resourcePath": "/tasks/{id}", "path": "/prod/tasks/7", "stage": "prod", "deploymentId": "d1",
		"requestTime": "02/Jan/2030:03:04:05 +0000", "apiId": apiName, "accountId": account, "httpMethod": "POST"} {
		if d := cmp.Diff(want, ctx[k]); d != "" {
			t.Errorf("%s: %s", k, d)
		}
	}
	if id := ctx["identity"].(map[string]any); id["sourceIp"] != "127.0.0.1" || id["user"] != nil {
		t.Errorf("%v", id)
	}
	if h := got["multiValueHeaders"].(map[string]any)["X-Many"]; !cmp.Equal(h, []any{"one", "two"}) || got["headers"].(map[string]any)["X-Many"] != "two" {
		t.Errorf("%v", h)
	}
	if _, ok := got["version"]; ok {
		t.Error("a REST API's event has no version")
	}
	if src := r.functions.calls[0].SourceARN; src != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/POST/tasks/{id}" {
		t.Errorf("source %s", src)
	}
	s.API.BinaryMediaTypes = []string{"image/*"}
	r.rest.version++
	r.want(withBody(request("POST", "/prod/tasks/7", "Content-Type", "image/png"), "abc"), 200, "")
	if got := r.functions.last(); got["body"] != "YWJj" || got["isBase64Encoded"] != true {
		t.Errorf("%v", got["body"])
	}
}

func TestResourcesOfREST(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = func(e map[string]any) (any, error) {
		return map[string]any{"body": e["resource"]}, nil
	}
	r.restAPI(restResource("/", verbs{"GET": method("NONE")}), restResource("/a", verbs{"GET": method("NONE")}), restResource("/a/{x}", verbs{"ANY": method("NONE")}),
		restResource("/a/b", verbs{"POST": method("NONE")}), restResource("/{proxy+}", verbs{"GET": method("NONE")}), restResource("/empty", nil))
	for target, want := range map[string]string{"GET /prod": "/", "GET /prod/": "/", "GET /prod/a": "/a", "GET /prod/a/": "/a", "PUT /prod/a/c": "/a/{x}",
		"POST /prod/a/b": "/a/b", "GET /prod/z/y": "/{proxy+}", "GET /prod/a/b/c": "/{proxy+}", "GET /prod/empty": "/{proxy+}"} {
		verb, path, _ := strings.Cut(target, " ")
		if w := r.do(request(verb, path)); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s took %s (%d)", target, w.Body, w.Code)
		}
	}
	for _, target := range []string{"GET /prod/a/b", "POST /prod/a", "POST /prod/z", "TRACE /prod/a"} {
		verb, path, _ := strings.Cut(target, " ")
		w := r.want(request(verb, path), 403, `{"message":"Missing Authentication Token"}`)
		if w.Header().Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" {
			t.Errorf("%v", w.Header())
		}
	}
	r.want(request("GET", "/a"), 403, `{"message":"Forbidden"}`)
	r.want(request("GET", "/test/a"), 403, `{"message":"Forbidden"}`)
}

// One API calls another version of its function, and asks another authorizer, in each stage.
func TestStagesFillInURIs(t *testing.T) {
	r := newRig(t)
	path := "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/" + fn + ":${stageVariables.version}/invocations"
	m := method("CUSTOM")
	m.AuthorizerId, m.MethodIntegration.Uri = new("z1"), &path
	s := r.restAPI(restResource("/", verbs{"GET": m}))
	s.Authorizers = []apigateway.Authorizer{{Id: new("z1"), Name: new("guard"), Type: new("TOKEN"), IdentitySource: new("method.request.header.X-Token"),
		AuthorizerUri: new(strings.Replace(path, fn+":", guard+"-", 1))}}
	s.Stage.Variables = map[string]string{"version": "test"}
	r.functions.code[fn+":test"] = hello
	r.functions.allow(fn+":test", "*")
	r.functions.allow(guard+"-test", "*")
	r.functions.code[guard+"-test"] = func(e map[string]any) (any, error) {
		return map[string]any{"principalId": "u", "policyDocument": map[string]any{"Version": "2012-10-17", "Statement": []any{
			map[string]any{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": e["methodArn"]}}}}, nil
	}
	r.want(request("GET", "/prod", "X-Token", "t"), 200, "hello")
	s.Stage.Variables = nil
	r.rest.version++
	r.want(request("GET", "/prod", "X-Token", "t"), 500, "")
	if n := r.functions.count(fn + ":test"); n != 1 {
		t.Errorf("called %d times", n)
	}
}

func TestAnswersOfREST(t *testing.T) {
	r := newRig(t)
	r.restAPI(restResource("/a", verbs{"GET": method("NONE")}))
	for name, c := range map[string]struct {
		result string
		status int
		body   string
	}{
		"a response":               {`{"statusCode":201,"body":"x"}`, 201, "x"},
		"nothing required":         {`{}`, 200, ""},
		"null body":                {`{"statusCode":200,"body":null}`, 200, ""},
		"an unknown key":           {`{"statusCode":200,"message":"x"}`, 502, `{"message": "Internal server error"}`},
		"text":                     {`"x"`, 502, `{"message": "Internal server error"}`},
		"null":                     {`null`, 502, `{"message": "Internal server error"}`},
		"a body that is an object": {`{"statusCode":200,"body":{}}`, 502, `{"message": "Internal server error"}`},
	} {
		r.functions.code[fn] = func(map[string]any) (any, error) { return json.RawMessage(c.result), nil }
		w := r.do(request("GET", "/prod/a"))
		if w.Code != c.status || strings.ReplaceAll(w.Body.String(), " ", "") != strings.ReplaceAll(c.body, " ", "") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	r.functions.code[fn] = func(map[string]any) (any, error) {
		return json.RawMessage(`{"headers":{"A":"1","WWW-Authenticate":"x","Date":"y"},"multiValueHeaders":{"A":["2","3"]}}`), nil
	}
	w := r.do(request("GET", "/prod/a"))
	if d := cmp.Diff([]string{"2", "3"}, w.Header().Values("A")); d != "" || w.Header().Get("X-Amzn-Remapped-Www-Authenticate") != "x" || w.Header().Get("Www-Authenticate") != "" {
		t.Errorf("%v", w.Header())
	}
	r.functions.code[fn] = func(map[string]any) (any, error) { return nil, errors.New("boom") }
	r.want(request("GET", "/prod/a"), 502, `{"message":"Internal server error"}`)
	r.functions.code[fn] = func(map[string]any) (any, error) { return nil, awserr.New("TooManyRequestsException", 429, "x") }
	r.want(request("GET", "/prod/a"), 500, `{"message":"Internal server error"}`)
	r.rest.stages[0].Resources[0].ResourceMethods["GET"].MethodIntegration.TimeoutInMillis = new(int32(1))
	r.rest.version++
	r.functions.wait = true
	r.want(request("GET", "/prod/a"), 504, `{"message":"Endpoint request timed out"}`)
}

func corsMethod() apigateway.Method {
	return apigateway.Method{AuthorizationType: new("NONE"), MethodIntegration: &apigateway.Integration{Type: new("MOCK"),
		RequestTemplates: map[string]string{"application/json": "{\n  \"statusCode\" : 200\n}\n"},
		IntegrationResponses: map[string]apigateway.IntegrationResponse{"200": {StatusCode: new("200"), ResponseTemplates: map[string]string{"application/json": "{}\n"},
			ResponseParameters: map[string]string{"method.response.header.Access-Control-Allow-Origin": "'*'", "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'"}}}}}
}

func TestMockAnswersPreflights(t *testing.T) {
	r := newRig(t)
	r.restAPI(restResource("/a", verbs{"OPTIONS": corsMethod(), "GET": method("NONE")}))
	q := request("OPTIONS", "/prod/a", "Origin", "https://app.example", "Access-Control-Request-Method", "GET")
	q.RemoteAddr = "192.0.2.1:1" // a preflight tells what is configured and runs nothing
	w := r.want(q, 200, "{}\n")
	if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Methods") != "GET,OPTIONS" {
		t.Errorf("%v", w.Header())
	}
	far := request("GET", "/prod/a")
	far.RemoteAddr = "192.0.2.1:1"
	if w := r.do(far); w.Code != 403 || !strings.Contains(w.Body.String(), "bastide acknowledge") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	routes, err := r.edge.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Route{{Name: "a1b2c3d4e5 GET /a", Authorization: "NONE", URL: "http://a1b2c3d4e5.execute-api.localhost:4566/prod/a",
		PathURL: "http://127.0.0.1:4566/_aws/execute-api/a1b2c3d4e5/prod/a", Target: fn}}
	if d := cmp.Diff(want, routes); d != "" {
		t.Error(d)
	}
}

// The API's resource policy is judged on every request, also of callers without authorisation.
func TestResourcePolicies(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	s := r.restAPI(restResource("/a", verbs{"GET": method("NONE"), "PUT": method("AWS_IAM")}), restResource("/b", verbs{"GET": method("NONE")}))
	const base = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/"
	s.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"` + base + `prod/GET/a"},
		{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"` + base + `*","Condition":{"StringEquals":{"aws:UserAgent":"bad"}}}]}`
	r.want(request("GET", "/prod/a"), 200, "hello")
	w := r.want(request("GET", "/prod/b"), 403, `{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********9012:a1b2c3d4e5/prod/GET/b because no resource-based policy allows the execute-api:Invoke action"}`)
	if w.Header().Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("%v", w.Header())
	}
	r.want(request("GET", "/prod/a", "User-Agent", "bad"), 403, "")
	if rec := r.trail.last(); rec.Explanation == nil || len(rec.Explanation.Denials) == 0 {
		t.Errorf("a refusal without its reason: %+v", rec)
	}
	r.signer = signatures{who: r.role()}
	r.want(request("PUT", "/prod/a"), 403, "")
	r.allow(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + base + `prod/PUT/a"}]}`)
	r.want(request("PUT", "/prod/a"), 200, "hello")
	r.want(request("PUT", "/prod/a", "User-Agent", "bad"), 403, "")
	r.signer = signatures{err: awserr.Of(awserr.MissingAuthenticationToken, "x")}
	r.want(request("PUT", "/prod/a"), 403, `{"message":"Missing Authentication Token"}`)
}

// An integration with the caller's credentials invokes the function as the caller, whose lack of permission
// is told in the trail alone; without a signed caller it invokes nothing.
func TestIntegrationsAsTheCaller(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	signed, open := method("AWS_IAM"), method("NONE")
	for _, m := range []apigateway.Method{signed, open} {
		m.MethodIntegration.Credentials = new("arn:aws:iam::*:user/*")
	}
	r.restAPI(restResource("/a", verbs{"GET": signed, "PUT": open}))
	r.signer.who = r.role()
	r.want(request("GET", "/prod/a"), 403, "")
	r.allow(statements(`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}`))
	r.want(request("GET", "/prod/a"), 200, "hello")
	call := r.functions.calls[0]
	if call.Principal.ARN() != r.signer.who.ARN() || call.Principal.InvokedBy() != gateway || call.Source.IP.String() != "127.0.0.1" || call.SourceARN != "" || len(call.Keys) != 0 {
		t.Errorf("invoked as %+v", call)
	}
	r.functions.locked = true
	r.want(request("GET", "/prod/a"), 500, `{"message":"Internal server error"}`)
	if rec := r.trail.last(); rec.Err == nil || rec.Err.Cause == nil || !strings.Contains(rec.Err.Cause.Error(), "policy has changed") {
		t.Errorf("the record does not say why: %+v", rec.Err)
	}
	r.functions.locked = false
	r.want(request("PUT", "/prod/a"), 500, "")
	if n := len(r.functions.calls); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestTokenAuthorizer(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	closed := method("CUSTOM")
	closed.AuthorizerId = new("z1")
	s := r.restAPI(restResource("/a", verbs{"GET": closed}), restResource("/b", verbs{"GET": closed}))
	s.Authorizers = []apigateway.Authorizer{{Id: new("z1"), Name: new("guard"), Type: new("TOKEN"), IdentitySource: new("method.request.header.X-Token"),
		IdentityValidationExpression: new("x-[a-z]+"), AuthorizerUri: new("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/" + guard + "/invocations")}}
	r.functions.code[guard] = func(e map[string]any) (any, error) {
		if e["type"] != "TOKEN" || len(e) != 3 {
			return nil, errors.New("not a TOKEN event")
		}
		token := e["authorizationToken"].(string)
		if token == "x-stranger" {
			return nil, errors.New("Unauthorized")
		}
		effect := "Allow"
		if token == "x-deny" {
			effect = "Deny"
		}
		var context map[string]any
		switch token {
		case "x-nested":
			context = map[string]any{"a": []string{"b"}}
		default:
			context = map[string]any{"n": 1, "b": true, "s": "x"}
		}
		// The policy is for the method that was asked for first, and for no other.
		return map[string]any{"principalId": "ann", "context": context, "policyDocument": map[string]any{"Version": "2012-10-17",
			"Statement": []any{map[string]any{"Effect": effect, "Action": "execute-api:Invoke", "Resource": e["methodArn"]}}}}, nil
	}
	r.want(request("GET", "/prod/a"), 401, `{"message":"Unauthorized"}`)
	r.want(request("GET", "/prod/a", "X-Token", "y"), 401, `{"message":"Unauthorized"}`)
	r.want(request("GET", "/prod/a", "X-Token", "x-a and more"), 401, `{"message":"Unauthorized"}`)
	if n := r.functions.count(guard); n != 0 {
		t.Errorf("asked %d times about tokens that do not fit", n)
	}
	r.want(request("GET", "/prod/a", "X-Token", "x-good"), 200, "hello")
	auth := r.functions.last()["requestContext"].(map[string]any)["authorizer"].(map[string]any)
	if auth["principalId"] != "ann" || auth["n"] != "1" || auth["b"] != "true" || auth["s"] != "x" {
		t.Errorf("%v", auth)
	}
	r.want(request("GET", "/prod/b", "X-Token", "x-good"), 403, `{"Message":"User is not authorized to access this resource"}`) // the kept policy does not allow another method
	if n := r.functions.count(guard); n != 1 {
		t.Errorf("asked %d times about one token", n)
	}
	r.want(request("GET", "/prod/a", "X-Token", "x-deny"), 403, `{"Message":"User is not authorized to access this resource with an explicit deny in an identity-based policy"}`)
	r.want(request("GET", "/prod/a", "X-Token", "x-stranger"), 401, `{"message":"Unauthorized"}`)
	w := r.want(request("GET", "/prod/a", "X-Token", "x-nested"), 500, `{"message":null}`)
	if w.Header().Get("X-Amzn-Errortype") != "AuthorizerConfigurationException" {
		t.Errorf("%v", w.Header())
	}
	// A policy of the API counts beside the authorizer's; its denial wins.
	s.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"*"}]}`
	r.rest.version++
	r.want(request("GET", "/prod/a", "X-Token", "x-good"), 403, "")
	s.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"*"}]}`
	r.rest.version++
	r.want(request("GET", "/prod/b", "X-Token", "x-good"), 200, "hello")
	r.want(request("GET", "/prod/a", "X-Token", "x-deny"), 403, "")
	s.Policy = ""
	r.rest.version++
	r.clock.Advance(301 * time.Second)
	r.want(request("GET", "/prod/b", "X-Token", "x-good"), 200, "hello") // asked anew, for this method
}

func TestRequestAuthorizerOfREST(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	closed := method("CUSTOM")
	closed.AuthorizerId = new("z1")
	s := r.restAPI(restResource("/a/{id}", verbs{"GET": closed}))
	s.Authorizers = []apigateway.Authorizer{{Id: new("z1"), Name: new("guard"), Type: new("REQUEST"), IdentitySource: new("method.request.header.A, method.request.querystring.b"),
		AuthorizerUri: new(guard)}}
	r.functions.code[guard] = func(e map[string]any) (any, error) {
		if e["type"] != "REQUEST" || e["methodArn"] != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/a/7" || e["pathParameters"].(map[string]any)["id"] != "7" {
			return nil, errors.New("not a REQUEST event")
		}
		if _, ok := e["body"]; ok {
			return nil, errors.New("an authorizer sees no body")
		}
		return map[string]any{"principalId": 7, "policyDocument": map[string]any{"Version": "2012-10-17",
			"Statement": []any{map[string]any{"Effect": "Allow", "Action": "execute-api:*", "Resource": "arn:aws:execute-api:*:*:a1b2c3d4e5/prod/*"}}}}, nil
	}
	r.want(request("GET", "/prod/a/7?b=1"), 401, `{"message":"Unauthorized"}`)
	r.want(request("GET", "/prod/a/7", "A", "1"), 401, `{"message":"Unauthorized"}`)
	r.want(request("GET", "/prod/a/7?b=1", "A", "1"), 200, "hello")
	if who := r.trail.last().Principal.Caller(); who.PrincipalID != "7" {
		t.Errorf("%+v", who)
	}
}

func TestThrottlingOfREST(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	s := r.restAPI(restResource("/a", verbs{"GET": method("NONE"), "PUT": method("NONE")}))
	s.Stage.MethodSettings = map[string]apigateway.MethodSetting{"a/GET": {ThrottlingRateLimit: new(1.0), ThrottlingBurstLimit: new(int32(1))},
		"*/*": {ThrottlingRateLimit: new(-1.0), ThrottlingBurstLimit: new(int32(-1))}}
	r.want(request("GET", "/prod/a"), 200, "")
	w := r.want(request("GET", "/prod/a"), 429, `{"message":"Too Many Requests"}`)
	if w.Header().Get("X-Amzn-Errortype") != "TooManyRequestsException" {
		t.Errorf("%v", w.Header())
	}
	for range 3 {
		r.want(request("PUT", "/prod/a"), 200, "")
	}
	s.API.DisableExecuteApiEndpoint = new(true)
	r.rest.version++
	r.want(request("PUT", "/prod/a"), http.StatusForbidden, `{"message":"Forbidden"}`)
}
