package edge

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
)

// The event that a function gets is AWS's, member for member.
func TestEventOfPayload2(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	s := r.deploy("dev", "2.0", routed("POST /tasks/{id}/{rest+}"))
	s.Stage.StageVariables = map[string]string{"color": "blue"}
	q := request("POST", "/dev/tasks/7%2F8/a/b%20c?x=1&x=2&y=%26", "Cookie", "a=1; b=2", "X-Many", "one", "X-Many", "two",
		"Content-Type", "application/json", "User-Agent", "test", "X-Amzn-Trace-Id", "Root=1-1-1", "Connection", "X-Secret-Hop", "X-Secret-Hop", "1")
	q.Body, q.ContentLength = http.NoBody, 0
	q = withBody(q, `{"a":1}`)
	w := r.want(q, 200, "hello")
	if ct := w.Header().Get("Content-Type"); ct != "text/plain;charset=UTF-8" {
		t.Errorf("content type %q", ct)
	}
	got := r.functions.last()
	ctx := got["requestContext"].(map[string]any)
	if ctx["requestId"] != w.Header().Get("Apigw-Requestid") || ctx["requestId"] == "" {
		t.Errorf("request id %v, header %q", ctx["requestId"], w.Header().Get("Apigw-Requestid"))
	}
	delete(ctx, "requestId")
	want := map[string]any{
		"version": "2.0", "routeKey": "POST /tasks/{id}/{rest+}", "rawPath": "/dev/tasks/7%2F8/a/b c", "rawQueryString": "x=1&x=2&y=%26",
		"cookies": []any{"a=1", "b=2"},
		"headers": map[string]any{"content-length": "7", "content-type": "application/json", "host": host, "user-agent": "test", "x-many": "one,two",
			"x-amzn-trace-id": "Root=1-1-1", "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "4566", "x-forwarded-proto": "http"},
		"queryStringParameters": map[string]any{"x": "1,2", "y": "&"},
		"pathParameters":        map[string]any{"id": "7/8", "rest": "a/b c"},
		"stageVariables":        map[string]any{"color": "blue"},
		"body":                  `{"a":1}`, "isBase64Encoded": false,
		"requestContext": map[string]any{"accountId": account, "apiId": apiName, "domainName": apiName + ".execute-api.localhost", "domainPrefix": apiName,
			"http":     map[string]any{"method": "POST", "path": "/dev/tasks/7%2F8/a/b c", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"},
			"routeKey": "POST /tasks/{id}/{rest+}", "stage": "dev", "time": "02/Jan/2030:03:04:05 +0000", "timeEpoch": 1893553445000.0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if src := r.functions.calls[0].SourceARN; src != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/dev/POST/tasks/{id}/{rest+}" {
		t.Errorf("source %s", src)
	}
	rec := r.trail.last()
	if rec.Op.Name != "Invoke" || rec.Service.EventSource != "execute-api.amazonaws.com" || rec.Err != nil || rec.Account != account {
		t.Errorf("record %+v", rec)
	}
	if b := string(opInvoke.Record(rec.In)); b != `{"apiId":"a1b2c3d4e5","stage":"dev","routeKey":"POST /tasks/{id}/{rest+}","httpMethod":"POST","path":"/tasks/7%2F8/a/b c"}` {
		t.Errorf("recorded %s", b)
	}
}

func withBody(q *http.Request, body string) *http.Request {
	n := httptest.NewRequest(q.Method, q.URL.String(), strings.NewReader(body))
	n.Header, n.Host, n.RemoteAddr = q.Header, q.Host, q.RemoteAddr
	return n
}

func TestEventOfPayload1(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	r.deploy("$default", "1.0", routed("$default"))
	r.want(withBody(request("PUT", "/x?a=1&a=2", "Content-Type", "image/png"), "\xff\xd8"), 200, "hello")
	got := r.functions.last()
	for k, want := range map[string]any{"version": "1.0", "resource": "$default", "path": "/x", "httpMethod": "PUT", "body": "/9g=", "isBase64Encoded": true,
		"queryStringParameters": map[string]any{"a": "2"}, "multiValueQueryStringParameters": map[string]any{"a": []any{"1", "2"}},
		"pathParameters": nil, "stageVariables": nil} {
		if d := cmp.Diff(want, got[k]); d != "" {
			t.Errorf("%s: %s", k, d)
		}
	}
	if src := r.functions.calls[0].SourceARN; src != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/$default/$default" {
		t.Errorf("source %s", src)
	}
}

func TestTheClosestRouteIsTaken(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = func(e map[string]any) (any, error) { return e["routeKey"], nil }
	r.deploy("$default", "2.0", routed("GET /pets/dog/1"), routed("GET /pets/dog/{id}"), routed("GET /pets/{proxy+}"), routed("ANY /{proxy+}"), routed("$default"), routed("GET /"))
	r.deploy("beta", "2.0", routed("GET /pets"))
	for target, want := range map[string]string{
		"GET /pets/dog/1": "GET /pets/dog/1", "GET /pets/dog/2": "GET /pets/dog/{id}", "GET /pets/cat/1": "GET /pets/{proxy+}",
		"POST /pets/dog/1": "ANY /{proxy+}", "GET /": "GET /", "POST /": "$default", "GET /pets": "ANY /{proxy+}",
		"GET /beta/pets": "GET /pets", "GET /pets/": "ANY /{proxy+}", "GET /pets/dog%2F1": "GET /pets/{proxy+}", "GET /Pets/dog/1": "ANY /{proxy+}",
		"GET /pets/../pets/dog/1": "GET /pets/{proxy+}", "GET //pets/dog/1": "ANY /{proxy+}",
	} {
		method, path, _ := strings.Cut(target, " ")
		w := r.do(request(method, path))
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s took %s (%d)", target, w.Body, w.Code)
		}
	}
	r.want(request("GET", "/beta/dogs"), 404, `{"message":"Not Found"}`)
	r.want(request("TRACE", "/pets/dog/1"), 404, `{"message":"Not Found"}`)
}

func TestPathFormsNameTheStage(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = func(e map[string]any) (any, error) { return e["rawPath"], nil }
	r.deploy("$default", "2.0", routed("GET /pets"))
	r.deploy("beta", "2.0", routed("GET /pets"))
	for target, want := range map[string]string{
		"http://127.0.0.1:4566/_aws/execute-api/a1b2c3d4e5/beta/pets":              "/beta/pets",
		"http://127.0.0.1:4566/_aws/execute-api/a1b2c3d4e5/$default/pets":          "/pets",
		"http://127.0.0.1:4566/_aws/execute-api/a1b2c3d4e5/%24default/pets":        "/pets",
		"http://a1b2c3d4e5.execute-api.localhost.localstack.cloud:4566/pets":       "/pets",
		"http://A1B2C3D4E5.execute-api.eu-west-1.amazonaws.com/beta/pets":          "/beta/pets",
		"http://a1b2c3d4e5.execute-api.localhost/_aws/execute-api/other/beta/pets": "404",
		"http://127.0.0.1:4566/_aws/execute-api/a1b2c3d4e5/gamma/pets":             "404",
		"http://127.0.0.1:4566/_aws/execute-api/zzzzzzzzzz/beta/pets":              "403",
		"http://a1b2c3d4e5.execute-api.localhost:4566/%zz/..%2f":                   "400",
	} {
		q := &http.Request{Method: "GET", Proto: "HTTP/1.1", Header: http.Header{}, RemoteAddr: "127.0.0.1:1", Body: http.NoBody}
		rest := strings.TrimPrefix(target, "http://")
		name, path, _ := strings.Cut(rest, "/")
		q.Host, q.RequestURI = name, "/"+path
		parsed := httptest.NewRequest("GET", "/", nil)
		q.URL = parsed.URL
		q.URL.Path, q.URL.RawPath = "/"+path, "/"+path
		if u, err := parsed.URL.Parse("/" + path); err == nil {
			q.URL = u
		}
		w := r.do(q)
		got := w.Body.String()
		if w.Code != 200 {
			got = http.StatusText(w.Code)
			got = map[string]string{"Not Found": "404", "Forbidden": "403", "Bad Request": "400"}[got]
		}
		if got != want && !(want == "400" && got == "404") {
			t.Errorf("%s gave %s, want %s", target, got, want)
		}
	}
	for _, target := range []string{"http://127.0.0.1:4566/", "http://127.0.0.1:4566/_aws/execute-api/", "http://127.0.0.1:4566/_AWS/execute-api/a1b2c3d4e5/x/",
		"http://x.y.execute-api.localhost/", "http://a1b2c3d4e5.execute-api.localhost.evil.example/"} {
		if r.edge.Owns(httptest.NewRequest("GET", target, nil)) {
			t.Errorf("%s is taken for an application's", target)
		}
	}
}

func TestAnswersOfPayload2(t *testing.T) {
	r := newRig(t)
	r.deploy("$default", "2.0", routed("$default"))
	for name, c := range map[string]struct {
		result string
		status int
		kind   string
		body   string
	}{
		"an object without status": {`{"message":"hi"}`, 200, "application/json", `{"message":"hi"}`},
		"text":                     {`"hi there"`, 200, "application/json", "hi there"},
		"a list":                   {`[1,2]`, 200, "application/json", "[1,2]"},
		"null":                     {`null`, 200, "application/json", "null"},
		"a response":               {`{"statusCode":201,"headers":{"content-type":"text/html","x-n":5},"body":"<p>"}`, 201, "text/html", "<p>"},
		"base64":                   {`{"statusCode":"200","isBase64Encoded":true,"body":"aGk="}`, 200, "text/plain;charset=UTF-8", "hi"},
		"no body":                  {`{"statusCode":204}`, 204, "text/plain;charset=UTF-8", ""},
		"an object for a body":     {`{"statusCode":200,"body":{"a":1}}`, 500, "application/json", `{"message":"Internal Server Error"}`},
		"a status out of range":    {`{"statusCode":99}`, 500, "application/json", `{"message":"Internal Server Error"}`},
		"a header that splits":     {`{"statusCode":200,"headers":{"x":"a\r\nset-cookie: b"}}`, 500, "application/json", `{"message":"Internal Server Error"}`},
		"wrong base64":             {`{"statusCode":200,"isBase64Encoded":true,"body":"!"}`, 500, "application/json", `{"message":"Internal Server Error"}`},
	} {
		r.functions.code[fn] = func(map[string]any) (any, error) { return json.RawMessage(c.result), nil }
		w := r.do(request("GET", "/"))
		if w.Code != c.status || w.Header().Get("Content-Type") != c.kind || w.Body.String() != c.body {
			t.Errorf("%s: %d %q %s", name, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	r.functions.code[fn] = func(map[string]any) (any, error) {
		return map[string]any{"statusCode": 200, "cookies": []string{"a=1", "b=2"}, "headers": map[string]string{"Transfer-Encoding": "chunked", "Connection": "close"}}, nil
	}
	w := r.do(request("GET", "/"))
	if d := cmp.Diff([]string{"a=1", "b=2"}, w.Header().Values("Set-Cookie")); d != "" {
		t.Error(d)
	}
	if w.Header().Get("Transfer-Encoding") != "" || w.Header().Get("Connection") != "" {
		t.Errorf("headers of the connection: %v", w.Header())
	}
}

func TestFailuresOfFunctions(t *testing.T) {
	r := newRig(t)
	s := r.deploy("$default", "2.0", routed("$default"))
	r.functions.code[fn] = func(map[string]any) (any, error) { return nil, errors.New("boom") }
	r.want(request("GET", "/"), 500, `{"message":"Internal Server Error"}`)
	if e := r.trail.last().Err; e == nil || e.Code != string(failure) {
		t.Errorf("recorded %v", e)
	}
	r.functions.code[fn] = func(map[string]any) (any, error) {
		return nil, awserr.New("TooManyRequestsException", 429, "Rate Exceeded.")
	}
	r.want(request("GET", "/"), 503, `{"message":"Service Unavailable"}`)
	// A function whose policy does not name the API is not called.
	r.functions.code[fn] = hello
	r.functions.allow(fn, "arn:aws:execute-api:eu-west-1:123456789012:other/*")
	r.want(request("GET", "/"), 500, `{"message":"Internal Server Error"}`)
	if n := len(r.functions.events); n != 2 {
		t.Errorf("the function ran %d times", n)
	}
	r.functions.allow(fn, "*")
	s.Integrations[0].TimeoutInMillis = new(int32(1))
	r.http.version++
	r.functions.wait = true // until the integration's time is over
	r.want(request("GET", "/"), 503, `{"message":"Service Unavailable"}`)
}

func TestOpenRoutesAnswerThisMachineOnly(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	s := r.deploy("$default", "2.0", routed("GET /health"))
	s.Cors = &v2.Cors{AllowOrigins: []string{"https://app.example"}}
	r.want(request("GET", "/health"), 200, "hello")
	six := request("GET", "/health")
	six.RemoteAddr = "[::1]:5"
	r.want(six, 200, "hello")
	r.want(request("GET", "/health", "X-Real-IP", "127.0.0.1", "X-Forwarded-For", "::1, 127.0.0.1"), 200, "hello") // a proxy for this machine
	r.want(request("GET", "/health", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "cross-site"), 200, "hello")
	r.want(request("GET", "/health", "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"), 200, "hello")
	r.want(request("GET", "/health", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), 200, "hello")

	far := request("GET", "/health")
	far.RemoteAddr = "192.0.2.7:5"
	spoofed := request("GET", "/health", "X-Forwarded-For", "127.0.0.1")
	spoofed.RemoteAddr = "192.0.2.7:5"
	nowhere := request("GET", "/health")
	nowhere.RemoteAddr = "@"
	rebound := httptest.NewRequest("GET", "http://evil.example:4566/_aws/execute-api/"+apiName+"/$default/health", nil)
	rebound.RemoteAddr = "127.0.0.1:5"
	function := request("GET", "/health")
	function.RemoteAddr = "arn:aws:lambda:us-east-1:123456789012:function:evil"
	strange := map[string]*http.Request{"another machine": far, "a spoofed address": spoofed, "no address": nowhere, "a function at its door": function, "DNS rebinding": rebound,
		"a tunnel":     request("GET", "/health", "X-Forwarded-For", "203.0.113.9"),
		"a proxy":      request("GET", "/health", "Forwarded", "for=203.0.113.9"),
		"nginx":        request("GET", "/health", "X-Real-IP", "203.0.113.9"),
		"nginx twice":  request("GET", "/health", "X-Real-IP", "127.0.0.1", "X-Real-IP", "203.0.113.9"),
		"nobody known": request("GET", "/health", "X-Real-IP", "unknown"),
		"a page":       request("GET", "/health", "Origin", "https://evil.example"),
		"a sandbox":    request("GET", "/health", "Origin", "null"),
		"an image tag": request("GET", "/health", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"),
	}
	calls := len(r.functions.events)
	for name, q := range strange {
		w := r.do(q)
		if w.Code != 403 || !strings.Contains(w.Body.String(), `bastide acknowledge \"a1b2c3d4e5 GET /health\"`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(r.functions.events) != calls {
		t.Error("a refused request reached the function")
	}
	if len(r.strangers.codes) != len(strange) {
		t.Errorf("%d refusals counted", len(r.strangers.codes))
	}
	r.acks[account+" a1b2c3d4e5 GET /health"] = true
	for name, q := range strange {
		if w := r.do(q); w.Code != 200 {
			t.Errorf("%s, acknowledged: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestCors(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = func(map[string]any) (any, error) {
		return map[string]any{"statusCode": 200, "headers": map[string]string{"access-control-allow-origin": "https://any.example", "access-control-allow-credentials": "true"}}, nil
	}
	closed := routed("ANY /tasks")
	closed.AuthorizationType = new("AWS_IAM")
	s := r.deploy("$default", "2.0", closed, routed("GET /open"))
	s.Cors = &v2.Cors{AllowOrigins: []string{"https://app.example"}, AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"authorization"},
		ExposeHeaders: []string{"x-a"}, MaxAge: new(int32(60)), AllowCredentials: new(true)}
	ask := func(origin string) http.Header {
		return r.want(request("OPTIONS", "/tasks", "Origin", origin, "Access-Control-Request-Method", "GET"), 204, "").Header()
	}
	h := ask("https://app.example") // no authorizer is asked
	for k, want := range map[string]string{"Origin": "https://app.example", "Methods": "GET,POST", "Headers": "authorization", "Credentials": "true"} {
		if got := h.Get("Access-Control-Allow-" + k); got != want {
			t.Errorf("%s: %q", k, got)
		}
	}
	if h.Get("Access-Control-Max-Age") != "60" || h.Get("Vary") != "Origin" {
		t.Errorf("%v", h)
	}
	for _, evil := range []string{"https://evil.example", "https://app.example.evil.example", "http://app.example", "null", "https://app.example:444"} {
		if h := ask(evil); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", evil, h)
		}
	}
	// The function's own headers do not count where the API is configured.
	w := r.want(request("GET", "/open", "Origin", "http://localhost:1"), 200, "")
	if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", w.Header())
	}
	// A configuration that would hand credentials to everybody hands them to nobody.
	s.Cors = &v2.Cors{AllowOrigins: []string{"*", "https://*"}, AllowCredentials: new(true)}
	r.http.version++
	if h := ask("https://evil.example"); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", h)
	}
	s.Cors = &v2.Cors{AllowOrigins: []string{"*"}}
	r.http.version++
	if h := ask("https://evil.example"); h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%v", h)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	s := r.deploy("$default", "2.0", routed("POST /a"))
	q := withBody(request("POST", "/a"), strings.Repeat("x", maxBody+1))
	r.want(q, 413, `{"message":"Request Entity Too Large"}`)
	q = withBody(request("POST", "/a"), strings.Repeat("x", maxBody+1))
	q.ContentLength = -1 // as with chunks
	r.want(q, 413, `{"message":"Request Entity Too Large"}`)
	q = request("POST", "/a")
	q.Body = io.NopCloser(iotest.ErrReader(awserr.Of(awserr.Throttled, "no room"))) // as front says
	r.want(q, 429, `{"message":"Too Many Requests"}`)
	r.want(request("POST", "/a", "X-Long", strings.Repeat("x", maxHead)), 431, "")
	if len(r.functions.events) != 0 {
		t.Error("an oversized request reached the function")
	}
	s.Stage.RouteSettings = map[string]v2.RouteSettings{"POST /a": {ThrottlingRateLimit: new(1.0), ThrottlingBurstLimit: new(int32(2))}}
	r.http.version++
	r.want(request("POST", "/a"), 200, "hello")
	r.want(request("POST", "/a"), 200, "hello")
	r.want(request("POST", "/a"), 429, `{"message":"Too Many Requests"}`)
	r.http.version++ // a deployment gives nobody new tokens
	r.want(request("POST", "/a"), 429, `{"message":"Too Many Requests"}`)
	r.clock.Advance(1e9)
	r.want(request("POST", "/a"), 200, "hello")
	r.want(request("POST", "/a"), 429, "")
}

func TestSignedRoutes(t *testing.T) {
	r := newRig(t)
	r.functions.code[fn] = hello
	closed := routed("GET /tasks/{id}")
	closed.AuthorizationType = new("AWS_IAM")
	r.deploy("$default", "2.0", closed)
	r.signer.err = awserr.Of(awserr.MissingAuthenticationToken, "Missing Authentication Token")
	r.want(request("GET", "/tasks/1"), 403, `{"message":"Forbidden"}`)
	r.signer.err = awserr.Of(awserr.SignatureDoesNotMatch, "no")
	r.want(request("GET", "/tasks/1"), 403, `{"message":"Forbidden"}`)
	r.signer = signatures{who: r.role()}
	r.want(request("GET", "/tasks/1"), 403, `{"message":"Forbidden"}`)
	rec := r.trail.last()
	if rec.Err == nil || rec.Err.Kind != awserr.AccessDenied || rec.Explanation == nil || rec.Resources[0] != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/$default/GET/tasks/1" {
		t.Errorf("record %+v", rec)
	}
	r.allow(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:*:*:a1b2c3d4e5/*/GET/*"},
		{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:*:*:a1b2c3d4e5/*/GET/tasks/2"}]}`)
	r.want(request("GET", "/tasks/1"), 200, "hello")
	r.want(request("GET", "/tasks/2"), 403, "")
	r.want(request("GET", "/tasks/%32"), 403, "") // another spelling of the same path
	iam := r.functions.last()["requestContext"].(map[string]any)["authorizer"].(map[string]any)["iam"].(map[string]any)
	if iam["userArn"] != r.role().ARN() || iam["accountId"] != account {
		t.Errorf("%v", iam)
	}
	if got := r.trail.last().Principal.Kind(); got != identity.KindAssumedRole {
		t.Errorf("recorded as %v", got)
	}
}
