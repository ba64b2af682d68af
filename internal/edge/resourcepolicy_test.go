package edge

import (
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// outcome is a row of AWS's tables: what the caller's side says, what the API's resource policy says,
// and what comes of it.
type outcome struct{ caller, resource, result string }

// Source: API Gateway Developer Guide, "Policy evaluation outcome tables". Table A is for an account's
// own callers and for those of a Lambda authorizer, table B for callers of another account.
var (
	tableA = []outcome{
		{"Allow", "Allow", "allowed"}, {"Allow", "", "allowed"}, {"Allow", "Deny", "explicit"},
		{"", "Allow", "allowed"}, {"", "", "implicit"}, {"", "Deny", "explicit"},
		{"Deny", "Allow", "explicit"}, {"Deny", "", "explicit"}, {"Deny", "Deny", "explicit"},
	}
	tableB = []outcome{
		{"Allow", "Allow", "allowed"}, {"Allow", "", "implicit"}, {"Allow", "Deny", "explicit"},
		{"", "Allow", "implicit"}, {"", "", "implicit"}, {"", "Deny", "explicit"},
		{"Deny", "Allow", "explicit"}, {"Deny", "", "explicit"}, {"Deny", "Deny", "explicit"},
	}
	withoutAuthorizer = []outcome{{"", "Allow", "allowed"}, {"", "", "implicit"}, {"", "Deny", "explicit"}}
)

// says is a policy that allows or denies the request, or is silent on it.
func says(effect, principal string) string {
	action := "execute-api:Invoke"
	if effect == "" {
		effect, action = "Allow", "execute-api:InvalidateCache"
	}
	return statements(`{"Effect":"` + effect + `",` + principal + `"Action":"` + action + `","Resource":"*"}`)
}

// policed is a REST API of one method with a resource policy.
func (r *rig) policed(kind, resource string) {
	r.functions.code[fn] = hello
	m := method(kind)
	m.AuthorizerId = new("z1")
	s := r.restAPI(restResource("/a", verbs{"GET": m}))
	s.Policy = says(resource, `"Principal":"*",`)
	s.Authorizers = []apigateway.Authorizer{{Id: new("z1"), Name: new("guard"), Type: new("TOKEN"), IdentitySource: new("method.request.header.X-Token"), AuthorizerUri: new(guard),
		AuthorizerResultTtlInSeconds: new(int32(0))}}
}

// comes checks what came of a request.
func (r *rig) comes(o outcome) {
	r.Helper()
	w := r.do(request("GET", "/prod/a", "X-Token", "x"))
	got := "implicit"
	rec := r.trail.last()
	switch {
	case w.Code == 200:
		got = "allowed"
	case w.Code == 403 && rec.Err != nil && rec.Err.Kind == awserr.AccessDenied && strings.Contains(rec.Err.Message, "explicit deny"):
		got = "explicit"
	}
	if got != o.result || w.Code != 200 && (w.Code != 403 || rec.Explanation == nil || rec.Op.Name != "Invoke") {
		r.Errorf("caller %q, resource %q: %s (%d %s), want %s", o.caller, o.resource, got, w.Code, w.Body, o.result)
	}
}

func TestResourcePolicyAndIAM(t *testing.T) {
	for _, o := range tableA {
		r := newRig(t)
		r.policed("AWS_IAM", o.resource)
		r.allow(says(o.caller, ""))
		r.signer.who = r.role()
		r.comes(o)
	}
	for _, o := range tableB {
		r := newRig(t)
		r.policed("AWS_IAM", o.resource)
		r.allow(says(o.caller, ""))
		r.signer.who = r.roleOf("210987654321")
		r.comes(o)
	}
	// Who did not sign is not looked at further, whatever the policy allows.
	r := newRig(t)
	r.policed("AWS_IAM", "Allow")
	r.signer.err = awserr.Of(awserr.MissingAuthenticationToken, "unsigned")
	r.want(request("GET", "/prod/a"), 403, `{"message":"Missing Authentication Token"}`)
}

// The authorizer is not asked about a caller whom the resource policy denies.
func TestResourcePolicyAndLambdaAuthorizer(t *testing.T) {
	for _, o := range tableA {
		r := newRig(t)
		r.policed("CUSTOM", o.resource)
		r.functions.code[guard] = func(map[string]any) (any, error) {
			effect, action := o.caller, "execute-api:Invoke"
			if effect == "" {
				effect, action = "Allow", "execute-api:InvalidateCache"
			}
			return map[string]any{"principalId": "ann", "policyDocument": map[string]any{"Version": "2012-10-17",
				"Statement": []any{map[string]any{"Effect": effect, "Action": action, "Resource": "*"}}}}, nil
		}
		r.comes(o)
		want := 1
		if o.resource == "Deny" {
			want = 0
		}
		if n := r.functions.count(guard); n != want {
			t.Errorf("caller %q, resource %q: the authorizer was asked %d times", o.caller, o.resource, n)
		}
	}
	r := newRig(t)
	r.policed("CUSTOM", "Deny")
	w := r.want(request("GET", "/prod/a"), 403, "") // before its missing token is
	if !strings.Contains(w.Body.String(), "User: anonymous is not authorized to perform: execute-api:Invoke") || !strings.Contains(w.Body.String(), "with an explicit deny") {
		t.Errorf("%s", w.Body)
	}
	r.policed("CUSTOM", "")
	r.rest.version++
	r.want(request("GET", "/prod/a"), 401, `{"message":"Unauthorized"}`)
}

func TestResourcePolicyWithoutAuthorizer(t *testing.T) {
	for _, o := range withoutAuthorizer {
		r := newRig(t)
		r.policed("NONE", o.resource)
		r.comes(o)
	}
}
