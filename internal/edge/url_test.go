package edge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	urlName   = "abcdefghijklmnopqrstuvwxyz012345"
	forbade   = `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`
	mayCall   = `{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"` + fn + `","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}}`
	mayInvoke = `{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + fn + `","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}`
)

func statements(s ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(s, ",") + `]}`
}

// openURL is a function URL that anybody may call.
func (r *rig) openURL() *FunctionURL {
	r.functions.code[fn] = hello
	u := &FunctionURL{ID: urlName, Account: account, Region: region, FunctionARN: fn, AuthType: "NONE", Policy: statements(mayCall, mayInvoke)}
	r.urls[urlName] = u
	return u
}

func toURL(method, target string, header ...string) *http.Request {
	q := request(method, target, header...)
	q.Host = urlName + ".lambda-url.localhost:4566"
	return q
}

func TestEventOfAFunctionURL(t *testing.T) {
	r := newRig(t)
	u := r.openURL()
	u.AuthType, u.Policy = "AWS_IAM", ""
	r.signer.who = r.role()
	r.allow(statements(`{"Effect":"Allow","Action":["lambda:InvokeFunctionUrl","lambda:InvokeFunction"],"Resource":"` + fn + `"}`))
	w := r.want(withBody(toURL("POST", "/a%2Fb/c?x=1&x=2", "Cookie", "a=1; b=2", "Content-Type", "application/json", "User-Agent", "test", "X-Amzn-Trace-Id", "Root=1-1-1"), `{"a":1}`), 200, "hello")
	if r.signer.service != "lambda" {
		t.Errorf("signed for %s", r.signer.service)
	}
	got := r.functions.last()
	ctx := got["requestContext"].(map[string]any)
	if id := w.Header().Get("X-Amzn-Requestid"); ctx["requestId"] != id || id == "" {
		t.Errorf("request id %v, header %q", ctx["requestId"], id)
	}
	delete(ctx, "requestId")
	h := urlName + ".lambda-url.localhost"
	want := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": "/a%2Fb/c", "rawQueryString": "x=1&x=2", "cookies": []any{"a=1", "b=2"},
		"headers": map[string]any{"content-length": "7", "content-type": "application/json", "host": h + ":4566", "user-agent": "test",
			"x-amzn-trace-id": "Root=1-1-1", "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "4566", "x-forwarded-proto": "http"},
		"queryStringParameters": map[string]any{"x": "1,2"}, "body": `{"a":1}`, "isBase64Encoded": false,
		"requestContext": map[string]any{"accountId": account, "apiId": urlName, "domainName": h, "domainPrefix": urlName, "authentication": nil,
			"authorizer": map[string]any{"iam": map[string]any{"accessKey": "", "accountId": account, "callerId": "AROAEXAMPLE:session", "cognitoIdentity": nil,
				"principalOrgId": nil, "userArn": "arn:aws:sts::" + account + ":assumed-role/app/session", "userId": "AROAEXAMPLE:session"}},
			"http":     map[string]any{"method": "POST", "path": "/a%2Fb/c", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"},
			"routeKey": "$default", "stage": "$default", "time": "02/Jan/2030:03:04:05 +0000", "timeEpoch": 1893553445000.0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	call := r.functions.calls[0]
	if call.Principal.ARN() != r.signer.who.ARN() || call.Principal.InvokedBy() != "lambda.amazonaws.com" || call.Source.IP.String() != "127.0.0.1" || call.SourceARN != "" {
		t.Errorf("invoked as %+v", call)
	}
	rec := r.trail.last()
	if rec.Op.Name != "InvokeFunctionUrl" || rec.Service.EventSource != "lambda.amazonaws.com" || rec.Err != nil || rec.Account != account || rec.Principal.ARN() != r.signer.who.ARN() {
		t.Errorf("record %+v", rec)
	}
	if b := string(opInvokeURL.Record(rec.In)); b != `{"urlId":"`+urlName+`","functionArn":"`+fn+`","httpMethod":"POST","path":"/a%2Fb/c"}` {
		t.Errorf("recorded %s", b)
	}
}

// Both actions must be allowed: by the caller's policies or the function's within an account, by the
// function's for nobody.
func TestWhoMayCallAFunctionURL(t *testing.T) {
	allowed := func(action, more string) string {
		return `{"Effect":"Allow","Action":"` + action + `","Resource":"*"` + more + `}`
	}
	both := statements(allowed("lambda:InvokeFunctionUrl", ""), allowed("lambda:InvokeFunction", ""))
	for name, c := range map[string]struct {
		auth, resource, identity string
		status                   int
		refused                  string // the action
	}{
		"open":                             {"NONE", statements(mayCall, mayInvoke), "", 200, ""},
		"open without a policy":            {"NONE", "", "", 403, "lambda:InvokeFunctionUrl"},
		"open without the call":            {"NONE", statements(mayInvoke), "", 403, "lambda:InvokeFunctionUrl"},
		"open without the invocation":      {"NONE", statements(mayCall), "", 403, "lambda:InvokeFunction"},
		"open, allowed for signed callers": {"NONE", statements(strings.Replace(mayCall, "NONE", "AWS_IAM", 1), mayInvoke), "", 403, "lambda:InvokeFunctionUrl"},
		"open, allowed to another account": {"NONE", statements(strings.Replace(mayCall, `"*"`, `{"AWS":"210987654321"}`, 1), mayInvoke), "", 403, "lambda:InvokeFunctionUrl"},
		"signed, by identity":              {"AWS_IAM", "", both, 200, ""},
		"signed, by half an identity":      {"AWS_IAM", "", statements(allowed("lambda:InvokeFunctionUrl", "")), 403, "lambda:InvokeFunction"},
		"signed, by the other half":        {"AWS_IAM", "", statements(allowed("lambda:InvokeFunction", "")), 403, "lambda:InvokeFunctionUrl"},
		"signed, each by another":          {"AWS_IAM", statements(mayInvoke), statements(allowed("lambda:InvokeFunctionUrl", "")), 200, ""},
		"signed, by conditions": {"AWS_IAM", "", statements(allowed("lambda:InvokeFunctionUrl", `,"Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"AWS_IAM"}}`),
			allowed("lambda:InvokeFunction", `,"Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}`)), 200, ""},
		"signed, nothing":      {"AWS_IAM", "", statements(allowed("s3:*", "")), 403, "lambda:InvokeFunctionUrl"},
		"signed, denied there": {"AWS_IAM", statements(strings.Replace(mayInvoke, "Allow", "Deny", 1)), both, 403, "lambda:InvokeFunction"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			u := r.openURL()
			u.AuthType, u.Policy = c.auth, c.resource
			r.signer.who = r.role()
			if c.identity != "" {
				r.allow(c.identity)
			}
			body := forbade
			if c.status == 200 {
				body = "hello"
			}
			w := r.want(toURL("GET", "/"), c.status, body)
			if n := len(r.functions.events); (n == 1) != (c.status == 200) {
				t.Errorf("%d calls", n)
			}
			rec := r.trail.last()
			if c.status == 200 {
				return
			}
			if got := w.Header().Get("X-Amzn-Errortype"); got != "AccessDeniedException" {
				t.Errorf("error type %q", got)
			}
			if rec.Err == nil || rec.Err.Kind != awserr.AccessDenied || rec.Explanation == nil || rec.Explanation.Action != c.refused || rec.Explanation.Resource != fn {
				t.Errorf("the record does not explain: %+v", rec)
			}
		})
	}
}

// Between accounts, both must allow both.
func TestAnotherAccountCallsAFunctionURL(t *testing.T) {
	const other = "210987654321"
	both := statements(`{"Effect":"Allow","Action":["lambda:InvokeFunctionUrl","lambda:InvokeFunction"],"Resource":"` + fn + `"}`)
	grant := func(actions string) string {
		return statements(`{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":` + actions + `,"Resource":"` + fn + `"}`)
	}
	for name, c := range map[string]struct {
		resource, identity string
		status             int
	}{
		"both":                  {grant(`["lambda:InvokeFunctionUrl","lambda:InvokeFunction"]`), both, 200},
		"their own word":        {"", both, 403},
		"half of ours":          {grant(`"lambda:InvokeFunctionUrl"`), both, 403},
		"ours without theirs":   {grant(`["lambda:InvokeFunctionUrl","lambda:InvokeFunction"]`), statements(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`), 403},
		"ours, for open access": {statements(mayCall, mayInvoke), both, 403},
	} {
		r := newRig(t)
		u := r.openURL()
		u.AuthType, u.Policy = "AWS_IAM", c.resource
		r.allow(c.identity)
		r.signer.who = r.roleOf(other)
		w := r.want(toURL("GET", "/"), c.status, "")
		if rec := r.trail.last(); rec.Account != account || rec.Principal.Account() != other {
			t.Errorf("%s: %d, recorded in %s of %s", name, w.Code, rec.Account, rec.Principal.Account())
		}
	}
}

// What the function's own door refuses is the caller's refusal, not a fault of the function.
func TestAPolicyThatChangesMeanwhile(t *testing.T) {
	r := newRig(t)
	r.openURL()
	r.functions.locked = true
	r.want(toURL("GET", "/"), 403, forbade)
	if rec := r.trail.last(); rec.Err == nil || rec.Err.Kind != awserr.AccessDenied {
		t.Errorf("record %+v", rec.Err)
	}
}

func TestUnsignedAndWrongSignaturesOnAFunctionURL(t *testing.T) {
	r := newRig(t)
	r.openURL().AuthType = "AWS_IAM"
	for kind, want := range map[awserr.Kind][2]string{
		awserr.MissingAuthenticationToken: {"AccessDeniedException", forbade},
		awserr.SignatureDoesNotMatch:      {"InvalidSignatureException", `{"message":"as it is"}`},
		awserr.UnknownAccessKey:           {"UnrecognizedClientException", `{"message":"as it is"}`},
		awserr.ExpiredToken:               {"ExpiredTokenException", `{"message":"as it is"}`},
	} {
		r.signer.err = awserr.Of(kind, "as it is")
		w := r.want(toURL("GET", "/"), 403, want[1])
		if got := w.Header().Get("X-Amzn-Errortype"); got != want[0] {
			t.Errorf("%v: error type %q", kind, got)
		}
	}
	r.signer.err = errors.New("the keys cannot be read")
	r.want(toURL("GET", "/"), 500, "Internal Server Error")
	if n := len(r.functions.events); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// An open URL answers this machine only, until it is acknowledged; its policy counts either way.
func TestAnOpenFunctionURLAnswersThisMachine(t *testing.T) {
	strangers := map[string]func(*http.Request){
		"other machine": func(q *http.Request) { q.RemoteAddr = "192.0.2.7:1" },
		"other name":    func(q *http.Request) { q.Host, q.URL.Path = "example.com", "/_aws/lambda-url/"+urlName+"/" },
		"proxy":         func(q *http.Request) { q.Header.Set("X-Forwarded-For", "192.0.2.7") },
		"page":          func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") },
	}
	for name, change := range strangers {
		r := newRig(t)
		u := r.openURL()
		q := toURL("GET", "/")
		change(q)
		w := r.want(q, 403, "")
		if !strings.Contains(w.Body.String(), `bastide acknowledge \"`+urlName+` $default\"`) || len(r.functions.events) != 0 {
			t.Errorf("%s: %s", name, w.Body)
		}
		r.acks[account+" "+urlName+" $default"] = true
		r.want(q, 200, "hello")
		u.Policy = ""
		r.want(q, 403, forbade)
	}
}

func TestAnswersOfAFunctionURL(t *testing.T) {
	r := newRig(t)
	r.openURL()
	for name, c := range map[string]struct {
		result any
		status int
		body   string
		header map[string]string
	}{
		"inferred":  {map[string]any{"a": 1}, 200, `{"a":1}`, map[string]string{"Content-Type": "application/json"}},
		"text":      {"hello", 200, "hello", map[string]string{"Content-Type": "application/json"}},
		"nothing":   {nil, 200, "null", nil},
		"full":      {map[string]any{"statusCode": 201, "body": "b", "headers": map[string]any{"X-One": "1", "www-authenticate": "Basic"}, "cookies": []string{"a=1; Secure"}}, 201, "b", map[string]string{"Content-Type": "application/json", "X-One": "1", "X-Amzn-Remapped-Www-Authenticate": "Basic", "Set-Cookie": "a=1; Secure"}},
		"base64":    {map[string]any{"statusCode": 200, "body": "/9g=", "isBase64Encoded": true, "headers": map[string]any{"content-type": "image/png"}}, 200, "\xff\xd8", map[string]string{"Content-Type": "image/png"}},
		"no status": {map[string]any{"statusCode": "many"}, 502, "Internal Server Error", map[string]string{"Content-Type": "application/json"}},
		"injection": {map[string]any{"statusCode": 200, "headers": map[string]any{"X": "a\r\nSet-Cookie: b"}}, 502, "Internal Server Error", nil},
		"throws":    {errors.New("as told"), 502, "Internal Server Error", nil},
		"busy": {&awserr.Error{Code: "TooManyRequestsException", Status: 429, Message: "Rate Exceeded.", Fields: map[string]any{"Reason": "ConcurrentInvocationLimitExceeded"}},
			429, `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`, map[string]string{"X-Amzn-Errortype": "TooManyRequestsException"}},
		"too large": {awserr.New("RequestTooLargeException", 413, "too large"), 413, `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`, nil},
		"gone":      {awserr.New("ResourceNotFoundException", 404, "none"), 500, "Internal Server Error", nil},
	} {
		r.functions.code[fn] = func(map[string]any) (any, error) {
			if err, ok := c.result.(error); ok {
				return nil, err
			}
			return c.result, nil
		}
		w := r.want(toURL("GET", "/"), c.status, c.body)
		for k, v := range c.header {
			if got := w.Header().Get(k); got != v {
				t.Errorf("%s: %s is %q", name, k, got)
			}
		}
		if w.Header().Get("X-Amzn-Requestid") == "" || w.Header().Get("Apigw-Requestid") != "" {
			t.Errorf("%s: headers %v", name, w.Header())
		}
	}
	before := len(r.functions.events)
	r.want(withBody(toURL("POST", "/"), strings.Repeat("x", 6<<20+1)), 413, "")
	chunked := withBody(toURL("POST", "/"), strings.Repeat("x", 6<<20+1))
	chunked.ContentLength = -1
	r.want(chunked, 413, "")
	if len(r.functions.events) != before {
		t.Error("a body that is too large reached the function")
	}
}

func TestCORSOfAFunctionURL(t *testing.T) {
	r := newRig(t)
	u := r.openURL()
	u.Cors = &lambda.Cors{AllowOrigins: []string{"https://app.example", "https://*.example"}, AllowMethods: []string{"GET", "PUT"}, AllowHeaders: []string{"x-a"},
		ExposeHeaders: []string{"x-b"}, MaxAge: new(int32(60)), AllowCredentials: new(true)}
	r.functions.code[fn] = func(map[string]any) (any, error) {
		return map[string]any{"statusCode": 200, "headers": map[string]any{"Access-Control-Allow-Origin": "*"}}, nil
	}
	u.AuthType = "AWS_IAM" // a preflight needs no signature
	r.signer.err = awserr.Of(awserr.MissingAuthenticationToken, "unsigned")
	w := r.want(toURL("OPTIONS", "/x", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT"), 200, "")
	got := map[string]string{}
	for k := range w.Header() {
		if strings.HasPrefix(k, "Access-Control-") || k == "Vary" {
			got[k] = w.Header().Get(k)
		}
	}
	if d := cmp.Diff(map[string]string{"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Methods": "GET,PUT", "Access-Control-Allow-Headers": "x-a",
		"Access-Control-Expose-Headers": "x-b", "Access-Control-Max-Age": "60", "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}, got); d != "" {
		t.Error(d)
	}
	w = r.want(toURL("OPTIONS", "/x", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT"), 200, "")
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" || len(r.functions.events) != 0 {
		t.Errorf("allowed %q, %d calls", got, len(r.functions.events))
	}
	u.AuthType = "NONE"
	w = r.want(toURL("GET", "/x", "Origin", "https://app.example"), 200, "")
	if got := w.Header().Values("Access-Control-Allow-Origin"); cmp.Diff([]string{"*", "https://app.example"}, got) != "" { // the function's own too
		t.Errorf("allowed %q", got)
	}
	// any origin may read, but never with a user's credentials
	r.functions.code[fn] = hello
	u.Cors = &lambda.Cors{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}}
	w = r.want(toURL("OPTIONS", "/x", "Origin", "https://any.example", "Access-Control-Request-Method", "PUT"), 200, "")
	if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != "*" || h.Get("Access-Control-Allow-Headers") != "*" ||
		h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Access-Control-Max-Age") != "" {
		t.Errorf("headers %v", h)
	}
	w = r.want(toURL("GET", "/x", "Origin", "https://any.example"), 200, "hello")
	if got := w.Header().Values("Access-Control-Allow-Origin"); cmp.Diff([]string{"*"}, got) != "" {
		t.Errorf("allowed %q", got)
	}
	u.Cors.AllowCredentials = new(true)
	r.acks[account+" "+urlName+" $default"] = true // or a page that CORS does not let in gets no answer at all
	for _, method := range []string{"OPTIONS", "GET"} {
		w = r.want(toURL(method, "/x", "Origin", "https://any.example", "Access-Control-Request-Method", "PUT"), 200, "")
		if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: any origin with credentials: %v", method, h)
		}
	}
	if w = r.want(toURL("GET", "/x"), 200, "hello"); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without an origin: %v", w.Header())
	}
	r.functions.code[fn] = func(map[string]any) (any, error) { return map[string]any{"statusCode": 200}, nil }
	u.Cors = nil // and without a configuration the function answers itself
	r.want(toURL("OPTIONS", "/x", "Origin", "http://localhost:3000", "Access-Control-Request-Method", "PUT"), 200, "")
	if got := r.functions.last()["requestContext"].(map[string]any)["http"].(map[string]any)["method"]; got != "OPTIONS" {
		t.Errorf("the function got %v", got)
	}
}

func TestAddressesOfFunctionURLs(t *testing.T) {
	r := newRig(t)
	r.openURL()
	for target, want := range map[string]string{
		urlName + ".lambda-url.localhost:4566/a/b":                          "/a/b",
		urlName + ".lambda-url.localhost/":                                  "/",
		strings.ToUpper(urlName) + ".Lambda-URL.localhost./a":               "/a",
		urlName + ".lambda-url.eu-west-1.localhost:4566/a":                  "/a",
		urlName + ".lambda-url.eu-west-1.on.aws/a":                          "/a",
		urlName + ".lambda-url.localhost.localstack.cloud:4566/a":           "/a",
		urlName + ".lambda-url.eu-west-1.localhost.localstack.cloud:4566/a": "/a",
		"127.0.0.1:4566/_aws/lambda-url/" + urlName + "/a/b":                "/a/b",
		"127.0.0.1:4566/_aws/lambda-url/" + urlName:                         "/",
		"localhost:4566/_aws/lambda-url/" + urlName + "/":                   "/",
		urlName + ".lambda-url.us-east-1.on.aws/a":                          "403",
		urlName + ".lambda-url.us-east-1.localhost/a":                       "403",
		strings.Repeat("z", 32) + ".lambda-url.localhost/a":                 "403",
		"127.0.0.1:4566/_aws/lambda-url/" + strings.Repeat("z", 32) + "/":   "403",
		urlName + ".lambda-url.localhost/%00":                               "400",
	} {
		name, path, _ := strings.Cut(target, "/")
		q := toURL("GET", "/")
		q.Host = name
		u, err := url.Parse("/" + path)
		if err != nil {
			t.Fatal(err)
		}
		q.URL = u
		w := r.do(q)
		got := http.StatusText(w.Code)
		switch w.Code {
		case 200:
			got = r.functions.last()["rawPath"].(string)
		case 403:
			if w.Body.String() == forbade {
				got = "403"
			}
		case 400:
			got = "400"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	for _, target := range []string{"127.0.0.1/_aws/lambda-url/", "127.0.0.1/_aws/lambda-url/short/", "short.lambda-url.localhost/", urlName + ".lambda-url.evil.example/",
		urlName + ".lambda-url.eu-west-1.amazonaws.com/"} {
		q := httptest.NewRequest("GET", "http://"+target, nil)
		if r.edge.Owns(q) {
			t.Errorf("%s is taken for a function URL", target)
		}
	}
}

func TestFunctionURLsAreRoutes(t *testing.T) {
	r := newRig(t)
	r.openURL().Tags = map[string]string{stackTag: "shop"}
	r.deploy("$default", "2.0", routed("GET /a"))
	got, err := r.edge.Routes(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	if d := cmp.Diff(Route{Name: urlName + " $default", Authorization: "NONE", Stack: "shop", Target: fn, URL: "http://" + urlName + ".lambda-url.localhost:4566/",
		PathURL: "http://127.0.0.1:4566/_aws/lambda-url/" + urlName + "/"}, got[1]); d != "" {
		t.Error(d)
	}
}

func TestNobodyElseInvokesAURL(t *testing.T) {
	r := newRig(t)
	for _, accept := range []func() (wire.In, error){
		func() (wire.In, error) { return opInvokeURL.Accept(&urlInvocation{URLID: urlName}) },
		func() (wire.In, error) { return opInvoke.Accept(&invocation{APIID: apiName}) },
		// A request of which nobody has said yet what its caller needs is not one that needs nothing.
		func() (wire.In, error) {
			return opInvokeURL.Accept(&urlInvocation{URLID: urlName, x: &exchange{edge: r.edge}})
		},
		func() (wire.In, error) {
			return opInvoke.Accept(&invocation{APIID: apiName, x: &exchange{edge: r.edge}})
		},
	} {
		in, err := accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.edge.Gate.Do(t.Context(), gate.Entry{Principal: r.role(), In: in, Region: region}); !errors.Is(err, errOutside) {
			t.Errorf("an invocation that did not come through the edge: %v", err)
		}
	}
}
