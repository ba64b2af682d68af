package outgoing

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// visitor is a function that asks for a URL and tells what came of it.
const visitor = `
import urllib.request
def handler(event, context):
    try:
        with urllib.request.urlopen(event["url"], timeout=5) as r:
            return {"body": r.read().decode()}
    except Exception as e:
        return {"error": str(e)}
`

// TestRoutes has a function reach what its tag declares on this machine, and nothing else.
func TestRoutes(t *testing.T) {
	s := harness.Start(t)
	open, closed := page(t, "open"), page(t, "closed")
	f := function{t, s, "visitor"}
	f.create(map[string]string{"bastide:egress": fmt.Sprintf("open.localhost:%s 127.0.0.1:%s", open, open)})

	for _, host := range []string{"open.localhost", "127.0.0.1"} {
		if got := f.visit("http://" + host + ":" + open); got.Body != "open" {
			t.Errorf("the declared host %s: %+v", host, got)
		}
		rec := s.Recorded(t, "the connection to "+host, url.Values{"eventName": {"Connect"}}, on(host+":"+open))
		if rec.EventSource != "lambda.amazonaws.com" || rec.EventType != "AwsServiceEvent" || rec.ErrorCode != "" || rec.UserIdentity.Type != "AssumedRole" ||
			!strings.HasSuffix(rec.UserIdentity.ARN, ":assumed-role/visitor/visitor") {
			t.Errorf("its record: %+v", rec)
		}
	}
	if got := f.visit("http://open.localhost:" + closed); !strings.Contains(got.Error, "refused") {
		t.Errorf("another port of the declared host: %+v", got)
	}
	if got := f.visit("http://closed.example:" + closed); !strings.Contains(got.Error, "resolution") && !strings.Contains(got.Error, "not known") {
		t.Errorf("an undeclared host: %+v", got)
	}
	if got := f.visit("http://127.0.0.1:" + closed); !strings.Contains(got.Error, "refused") {
		t.Errorf("an undeclared port of this machine: %+v", got)
	}
	f.tag(map[string]string{"bastide:egress": "127.0.0.1:" + closed})
	if got := f.visit("http://127.0.0.1:" + open); !strings.Contains(got.Error, "refused") {
		t.Errorf("a route that is declared no more: %+v", got)
	}
	if got := f.visit("http://127.0.0.1:" + closed); got.Body != "closed" {
		t.Errorf("a route that is declared since: %+v", got)
	}
}

// TestIssuers has an authorizer fetch the keys of an issuer on this machine: only where the server
// was started with leave for it.
func TestIssuers(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		asked := make(chan string, 16)
		issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.URL.Path
			http.NotFound(w, r)
		}))
		t.Cleanup(issuer.Close)
		var flags []string
		if allowed {
			flags = []string{"--allow-issuer", issuer.URL}
		}
		s := harness.Start(t, flags...)
		call(t, s, api(t, s, issuer.URL), issuer.URL)
		rec := s.Recorded(t, "the fetch", url.Values{"eventName": {"Connect"}}, on(issuer.Listener.Addr().String()))
		switch {
		case rec.UserIdentity.InvokedBy != "apigateway.amazonaws.com":
			t.Errorf("allowed %t: who connected: %+v", allowed, rec.UserIdentity)
		case allowed && (rec.ErrorCode != "" || len(asked) == 0):
			t.Errorf("an allowed issuer: asked %d times, %s %s", len(asked), rec.ErrorCode, rec.ErrorMessage)
		case !allowed && (rec.ErrorCode == "" || len(asked) > 0 || !strings.Contains(rec.ErrorMessage, "--allow-issuer")):
			t.Errorf("an issuer on this machine: asked %d times, %s %s", len(asked), rec.ErrorCode, rec.ErrorMessage)
		}
		if !allowed && !strings.Contains(s.Log.String(), "--allow-issuer "+issuer.URL) {
			t.Error("the log does not say how to allow the issuer")
		}
	}
}

// api makes an HTTP API whose one route wants tokens of the issuer, and gives its id.
func api(t *testing.T, s *harness.Server, issuer string) string {
	t.Helper()
	post := func(path string, in any) map[string]any {
		t.Helper()
		var out map[string]any
		if err := s.Client(t).REST(t.Context(), "apigateway", http.MethodPost, "/v2/apis"+path, in, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	id := post("", map[string]any{"name": "signed-in", "protocolType": "HTTP"})["apiId"].(string)
	authorizer := post("/"+id+"/authorizers", map[string]any{"name": "users", "authorizerType": "JWT", "identitySource": []string{"$request.header.Authorization"},
		"jwtConfiguration": map[string]any{"issuer": issuer, "audience": []string{"app"}}})["authorizerId"]
	target := post("/"+id+"/integrations", map[string]any{"integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
		"integrationUri": "arn:aws:lambda:" + harness.Region + ":" + harness.Account + ":function:nobody"})["integrationId"].(string)
	post("/"+id+"/routes", map[string]any{"routeKey": "GET /", "authorizationType": "JWT", "authorizerId": authorizer, "target": "integrations/" + target})
	post("/"+id+"/stages", map[string]any{"stageName": "$default", "autoDeploy": true})
	return id
}

// call sends a token that only the issuer's keys could tell from a good one.
func call(t *testing.T, s *harness.Server, id, issuer string) {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	token := part(map[string]string{"alg": "RS256", "kid": "k"}) + "." +
		part(map[string]any{"iss": issuer, "aud": "app", "exp": 4102444800, "iat": 1700000000}) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/_aws/execute-api/"+id+"/$default/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if got := s.Send(t, r); got.Status != http.StatusUnauthorized {
		t.Errorf("a token that nobody signed: %d %s", got.Status, got.Body)
	}
}

// on selects the records of one resource.
func on(resource string) func(audit.Record) bool {
	return func(r audit.Record) bool { return len(r.Resources) == 1 && r.Resources[0].ARN == resource }
}

// page is the port of a web server of this machine that has one page.
func page(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

type function struct {
	t    *testing.T
	s    *harness.Server
	name string
}

func (f function) call(method, path string, in, out any) {
	f.t.Helper()
	if err := f.s.Client(f.t).REST(f.t.Context(), "lambda", method, path, in, out); err != nil {
		f.t.Fatal(err)
	}
}

// create makes the function with a role of its name and the newest python of this machine.
func (f function) create(tags map[string]string) {
	f.t.Helper()
	f.createOf(visitor, tags)
}

// createOf makes it of other code.
func (f function) createOf(code string, tags map[string]string) {
	f.t.Helper()
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	err := f.s.Client(f.t).Query(f.t.Context(), "iam", "2010-05-08", "CreateRole", url.Values{"RoleName": {f.name}, "AssumeRolePolicyDocument": {trust}}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	file, err := w.Create("app.py")
	if err == nil {
		_, err = file.Write([]byte(code))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.call(http.MethodPost, "/2015-03-31/functions", map[string]any{"FunctionName": f.name, "Runtime": f.runtime(), "Handler": "app.handler", "Timeout": 20,
		"Role": "arn:aws:iam::" + harness.Account + ":role/" + f.name, "Code": map[string]any{"ZipFile": b.Bytes()}, "Tags": tags}, nil)
}

func (f function) runtime() string {
	f.t.Helper()
	out, bad, err := f.s.Bastide(f.t, "runtimes", "list", "--output", "json")
	if err != nil {
		f.t.Fatal(err, bad)
	}
	for _, r := range harness.Decode[[]struct{ Runtime, Path string }](f.t, out) {
		if strings.HasPrefix(r.Runtime, "python") && r.Path != "" {
			return r.Runtime
		}
	}
	f.t.Fatalf("this machine has no python: %s", out)
	return ""
}

func (f function) tag(tags map[string]string) {
	f.t.Helper()
	arn := "arn:aws:lambda:" + harness.Region + ":" + harness.Account + ":function:" + f.name
	f.call(http.MethodPost, "/2017-03-31/tags/"+url.PathEscape(arn), map[string]any{"Tags": tags}, nil)
}

type visit struct{ Body, Error string }

func (f function) visit(address string) visit {
	f.t.Helper()
	var out json.RawMessage
	f.call(http.MethodPost, "/2015-03-31/functions/"+f.name+"/invocations", map[string]string{"url": address}, &out)
	return harness.Decode[visit](f.t, string(out))
}
