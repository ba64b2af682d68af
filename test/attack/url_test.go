package attack

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/test/harness"
)

// urlStage is a stage with a function that has a URL.
type urlStage struct {
	*stage
	fns  *lambda.Client
	id   string // of the URL
	path string // where it answers
}

func newURLStage(t *testing.T, auth lambdatypes.FunctionUrlAuthType, flags ...string) *urlStage {
	s := harness.Start(t, flags...)
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	s.Address = net.JoinHostPort("127.0.0.1", port) // where it listens, it may be on every address
	g := &urlStage{stage: stageOn(t, s)}
	g.fns = lambda.NewFromConfig(g.s.SDK(t))
	g.function(g.fns, "web", g.role("web", `{"Service":"lambda.amazonaws.com"}`, "", ""), zipOf(t, map[string]string{"app.py": "def handler(event, context):\n    return 'ran'\n"}))
	made, err := g.fns.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("web"), AuthType: auth})
	g.must(err)
	u, err := url.Parse(*made.FunctionUrl)
	g.must(err)
	g.id, _, _ = strings.Cut(u.Host, ".")
	g.path = "/_aws/lambda-url/" + g.id + "/"
	return g
}

func (g *urlStage) request() *http.Request {
	r, err := http.NewRequest(http.MethodPost, g.s.URL()+g.path, strings.NewReader("body"))
	g.must(err)
	return r
}

func (g *urlStage) signed(keys sigv4.Credentials, service string, at time.Time) *http.Request {
	r := g.request()
	g.must(sigv4.NewSigner(sigv4.Signing{Credentials: keys, Region: harness.Region, Service: service, Clock: clock.NewManual(at)}).Sign(r, []byte("body")))
	return r
}

// permit adds a statement to the function's policy.
func (g *urlStage) permit(sid, action, principal string) {
	g.Helper()
	in := &lambda.AddPermissionInput{FunctionName: aws.String("web"), StatementId: &sid, Action: &action, Principal: &principal}
	if action == "lambda:InvokeFunctionUrl" {
		in.FunctionUrlAuthType = lambdatypes.FunctionUrlAuthTypeNone
	} else {
		in.InvokedViaFunctionUrl = aws.Bool(true)
	}
	_, err := g.fns.AddPermission(g.Context(), in)
	g.must(err)
}

// TestSignedFunctionURL: a URL of AWS_IAM runs nothing for who did not sign, signed otherwise, or may
// not call it; and the refusal is explained to the owner, not to the caller.
func TestSignedFunctionURL(t *testing.T) {
	g := newURLStage(t, lambdatypes.FunctionUrlAuthTypeAwsIam)
	admin, now := g.s.Admin(t).Signing(), time.Now()
	wrong := admin
	wrong.SecretAccessKey = strings.Repeat("x", 40)
	nobody := sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: admin.SecretAccessKey}
	half := g.user("half", allow("lambda:InvokeFunctionUrl"))
	other := g.user("other", allow("lambda:InvokeFunction", "execute-api:Invoke"))
	tampered := g.signed(admin, "lambda", now)
	replaced(tampered, "evil")
	moved := g.signed(admin, "lambda", now)
	moved.URL.Path += "admin"
	for name, c := range map[string]struct {
		r    *http.Request
		code string
	}{
		"unsigned":          {g.request(), "AccessDeniedException"},
		"a wrong secret":    {g.signed(wrong, "lambda", now), "InvalidSignatureException"},
		"an unknown key":    {g.signed(nobody, "lambda", now), "UnrecognizedClientException"},
		"another service":   {g.signed(admin, "execute-api", now), "InvalidSignatureException"},
		"an old signature":  {g.signed(admin, "lambda", now.Add(-time.Hour)), "InvalidSignatureException"},
		"another body":      {tampered, "InvalidSignatureException"},
		"another path":      {moved, "InvalidSignatureException"},
		"one action of two": {g.signed(half, "lambda", now), "AccessDeniedException"},
		"the other action":  {g.signed(other, "lambda", now), "AccessDeniedException"},
		"a URL there is not": {func() *http.Request {
			r := g.request()
			r.URL.Path = "/_aws/lambda-url/" + strings.Repeat("z", 32) + "/"
			return r
		}(), "AccessDeniedException"},
	} {
		a := g.s.Send(t, c.r)
		if a.Status != 403 || a.Header.Get("X-Amzn-Errortype") != c.code || strings.Contains(a.Body, "arn:") {
			t.Errorf("%s: %d %s %s, want 403 %s", name, a.Status, a.Header.Get("X-Amzn-Errortype"), a.Body, c.code)
		}
		if name != "one action of two" {
			continue
		}
		id := a.Header.Get("X-Amzn-Requestid")
		g.s.Recorded(t, "the refusal", url.Values{"requestId": {id}}, func(r audit.Record) bool {
			return r.EventName == "InvokeFunctionUrl" && r.EventSource == "lambda.amazonaws.com" && strings.HasPrefix(r.ErrorCode, "AccessDenied") && strings.HasSuffix(r.UserIdentity.ARN, ":user/half")
		})
		out, bad, err := g.s.Bastide(t, "why", id)
		if err != nil || !strings.Contains(out, `"Action":"lambda:InvokeFunction"`) || !strings.Contains(out, ":function:web") {
			t.Errorf("bastide why: %v\n%s%s", err, out, bad)
		}
	}
	ran := g.s.Records(t, url.Values{"eventName": {"Invoke"}})
	if len(ran) != 0 {
		t.Errorf("the function ran: %+v", ran)
	}
	if a := g.s.Send(t, g.signed(admin, "lambda", now)); a.Status != 200 || a.Body != "ran" {
		t.Errorf("the administrator's call: %d %s", a.Status, a.Body)
	}
}

// TestOpenFunctionURL: a URL of NONE runs nothing until its policy lets everybody in, and then for
// this machine alone until it is acknowledged by name.
func TestOpenFunctionURL(t *testing.T) {
	g := newURLStage(t, lambdatypes.FunctionUrlAuthTypeNone, "--listen", "0.0.0.0:0")
	_, port, err := net.SplitHostPort(g.s.Address)
	g.must(err)
	send := func(change func(*http.Request)) harness.Answer {
		r := g.request()
		change(r)
		return g.s.Send(t, r)
	}
	local := func(*http.Request) {}
	g.permit("other", "lambda:InvokeFunctionUrl", "210987654321")
	g.permit("invoke", "lambda:InvokeFunction", "*")
	if a := send(local); a.Status != 403 {
		t.Errorf("allowed to another account only: %d %s", a.Status, a.Body)
	}
	g.permit("url", "lambda:InvokeFunctionUrl", "*")
	if a := send(local); a.Status != 200 || a.Body != "ran" {
		t.Errorf("from this machine: %d %s", a.Status, a.Body)
	}
	strangers := map[string]func(*http.Request){
		"through a proxy":        func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") },
		"under another name":     func(r *http.Request) { r.Host = "rebound.example" },
		"a page of another site": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	}
	addresses, err := net.InterfaceAddrs()
	g.must(err)
	for _, a := range addresses { // this machine's own, as another on its network would come
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			strangers["from "+n.IP.String()] = func(r *http.Request) { r.URL.Host = net.JoinHostPort(n.IP.String(), port) }
		}
	}
	for name, change := range strangers {
		if a := send(change); a.Status != 403 || !strings.Contains(a.Body, "bastide acknowledge") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if out, bad, err := g.s.Bastide(t, "acknowledge", g.id+" $default", "--reason", "a test"); err != nil {
		t.Fatalf("%v\n%s%s", err, out, bad)
	}
	for name, change := range strangers {
		if a := send(change); a.Status != 200 || a.Body != "ran" {
			t.Errorf("acknowledged, %s: %d %s", name, a.Status, a.Body)
		}
	}
	_, err = g.fns.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: aws.String("web"), StatementId: aws.String("url")})
	g.must(err)
	if a := send(local); a.Status != 403 || strings.Contains(a.Body, "acknowledge") {
		t.Errorf("without its permission: %d %s", a.Status, a.Body)
	}
}
