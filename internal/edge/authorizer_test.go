package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/edge/jwt"
	"github.com/bastide-cloud/bastide/internal/identity"
)

const issuer = "https://issuer.example"

// issuerFetch is an issuer's two documents.
type issuerFetch struct{ keys jose.JSONWebKeySet }

func (f issuerFetch) Get(_ context.Context, url string, _ int64) ([]byte, error) {
	switch url {
	case issuer + "/.well-known/openid-configuration":
		return json.Marshal(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
	case issuer + "/keys":
		return json.Marshal(f.keys)
	}
	return nil, errors.New("no such document")
}

func (r *rig) issuer() func(claims map[string]any) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	r.edge.JWT = jwt.New(jwt.Options{Clock: r.clock, Fetch: issuerFetch{jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}}})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		r.Fatal(err)
	}
	return func(claims map[string]any) string {
		b, err := json.Marshal(claims)
		if err != nil {
			r.Fatal(err)
		}
		s, err := signer.Sign(b)
		if err != nil {
			r.Fatal(err)
		}
		text, err := s.CompactSerialize()
		if err != nil {
			r.Fatal(err)
		}
		return text
	}
}

func TestTokens(t *testing.T) {
	r := newRig(t)
	sign := r.issuer()
	r.functions.code[fn] = hello
	closed := v2.Route{RouteKey: "GET /tasks", AuthorizationType: new("JWT"), AuthorizerId: new("z1"), AuthorizationScopes: []string{"tasks/read"}}
	s := r.deploy("$default", "2.0", closed)
	s.Authorizers = []v2.Authorizer{{AuthorizerId: new("z1"), Name: "users", AuthorizerType: new("JWT"), IdentitySource: []string{"$request.header.Authorization"},
		JwtConfiguration: &v2.JWTConfiguration{Issuer: new(issuer), Audience: []string{"app"}}}}
	good := map[string]any{"iss": issuer, "aud": "app", "sub": "ann", "exp": r.clock.Now().Add(time.Hour).Unix(), "scope": "tasks/read openid", "n": 1}
	with := func(k string, v any) string {
		c := map[string]any{}
		for name, x := range good {
			c[name] = x
		}
		c[k] = v
		return "Bearer " + sign(c)
	}
	w := r.want(request("GET", "/tasks"), 401, `{"message":"Unauthorized"}`)
	if !strings.HasPrefix(w.Header().Get("Www-Authenticate"), "Bearer") {
		t.Errorf("%v", w.Header())
	}
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"another issuer":   {with("iss", "https://evil.example"), 401},
		"another audience": {with("aud", "other"), 401},
		"expired":          {with("exp", r.clock.Now().Add(-time.Minute).Unix()), 401},
		"not yet":          {with("nbf", r.clock.Now().Add(time.Hour).Unix()), 401},
		"without scope":    {with("scope", "openid"), 403},
		"no token":         {"Bearer x", 401},
		"no algorithm":     {"Bearer eyJhbGciOiJub25lIn0." + strings.Split(with("n", 1), ".")[1] + ".", 401},
		"cut":              {strings.TrimRight(with("n", 1), "=")[:60], 401},
	} {
		w := r.do(request("GET", "/tasks", "Authorization", c.token))
		if w.Code != c.status || w.Header().Get("Www-Authenticate") == "" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	if len(r.functions.events) != 0 {
		t.Fatal("a refused token reached the function")
	}
	far := request("GET", "/tasks", "Authorization", with("n", 1))
	far.RemoteAddr = "192.0.2.7:1" // an authorised route answers everybody
	r.want(far, 200, "hello")
	got := r.functions.last()["requestContext"].(map[string]any)["authorizer"].(map[string]any)["jwt"].(map[string]any)
	if claims := got["claims"].(map[string]any); claims["sub"] != "ann" || claims["n"] != "1" || got["scopes"].([]any)[0] != "tasks/read" {
		t.Errorf("%v", got)
	}
	who := r.trail.last().Principal
	if who.Kind() != identity.KindAuthorized || who.Caller().PrincipalID != "ann" || who.Caller().Authorizer != "users" {
		t.Errorf("recorded as %v", who)
	}
}

// guarded deploys two routes behind a Lambda authorizer.
func (r *rig) guarded(payload string, simple bool, sources ...string) *HTTPStage {
	r.functions.code[fn] = hello
	closed := func(key string) v2.Route {
		return v2.Route{RouteKey: key, AuthorizationType: new("CUSTOM"), AuthorizerId: new("z1")}
	}
	s := r.deploy("$default", "2.0", closed("GET /a"), closed("GET /b"))
	s.Authorizers = []v2.Authorizer{{AuthorizerId: new("z1"), Name: "guard", AuthorizerType: new("REQUEST"), IdentitySource: sources,
		AuthorizerUri:                  new("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/" + guard + "/invocations"),
		AuthorizerPayloadFormatVersion: &payload, EnableSimpleResponses: &simple}}
	return s
}

func TestSimpleAuthorizer(t *testing.T) {
	r := newRig(t)
	s := r.guarded("2.0", true, "$request.header.X-Key", "$request.querystring.tenant")
	r.functions.code[guard] = func(e map[string]any) (any, error) {
		ids := e["identitySource"].([]any)
		return map[string]any{"isAuthorized": ids[0] == "good", "context": map[string]any{"tenant": ids[1], "n": 1}}, nil
	}
	r.want(request("GET", "/a?tenant=t"), 401, `{"message":"Unauthorized"}`)
	r.want(request("GET", "/a", "X-Key", "good"), 401, `{"message":"Unauthorized"}`)
	if n := r.functions.count(guard); n != 0 {
		t.Errorf("asked %d times about callers without identity", n)
	}
	r.want(request("GET", "/a?tenant=t", "X-Key", "good"), 200, "hello")
	got := r.functions.last()["requestContext"].(map[string]any)["authorizer"].(map[string]any)["lambda"].(map[string]any)
	if got["tenant"] != "t" || got["n"] != 1.0 {
		t.Errorf("%v", got)
	}
	event := r.functions.events[0]
	if event["type"] != "REQUEST" || event["version"] != "2.0" || event["routeArn"] != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/$default/GET/a" || event["body"] != nil {
		t.Errorf("%v", event)
	}
	r.want(request("GET", "/b?tenant=t", "X-Key", "good"), 200, "hello")
	if n := r.functions.count(guard); n != 1 {
		t.Errorf("asked %d times about one caller", n)
	}
	r.want(request("GET", "/a?tenant=t", "X-Key", "bad"), 403, `{"message":"Forbidden"}`)
	r.want(request("GET", "/a?tenant=u", "X-Key", "good"), 200, "hello")
	if n := r.functions.count(guard); n != 3 {
		t.Errorf("asked %d times about three callers", n)
	}
	// Identities that look alike when they are put together are not the same.
	r.want(request("GET", "/a?tenant=", "X-Key", "goodt"), 401, "")
	r.want(request("GET", "/a?tenant=d,t", "X-Key", "goo"), 403, "")
	r.want(request("GET", "/a?tenant=t", "X-Key", "goo", "X-Key", "d"), 403, "")
	r.clock.Advance(301 * time.Second)
	before := r.functions.count(guard)
	r.want(request("GET", "/a?tenant=t", "X-Key", "good"), 200, "hello")
	if n := r.functions.count(guard); n != before+1 {
		t.Error("a result outlived its time")
	}
	s.Authorizers[0].AuthorizerResultTtlInSeconds = new(int32(0))
	r.http.version++
	r.want(request("GET", "/a?tenant=t", "X-Key", "good"), 200, "hello")
	r.want(request("GET", "/a?tenant=t", "X-Key", "good"), 200, "hello")
	if n := r.functions.count(guard); n != before+3 {
		t.Error("a result was kept though it should not be")
	}
}

// No verdict outlives a change of the authorizer, not even one that is taken back.
func TestVerdictsEndWithTheirAuthorizer(t *testing.T) {
	r := newRig(t)
	s := r.guarded("2.0", true, "$request.header.tenant")
	s.Authorizers[0].AuthorizerResultTtlInSeconds = new(int32(3600))
	r.functions.code[guard] = func(e map[string]any) (any, error) {
		return map[string]any{"isAuthorized": e["headers"].(map[string]any)["who"] == "boss"}, nil
	}
	deploy := func(id string, change func(*v2.Authorizer)) {
		change(&s.Authorizers[0])
		s.Stage.DeploymentId = &id
		r.http.version++
	}
	boss := request("GET", "/a", "tenant", "t", "who", "boss")
	nobody := func() *http.Request { return request("GET", "/a", "tenant", "t", "who", "nobody") }
	r.want(boss, 200, "hello")
	r.want(nobody(), 200, "hello") // by the tenant's verdict, as configured
	deploy("d2", func(a *v2.Authorizer) {
		a.AuthorizerResultTtlInSeconds, a.IdentitySource = new(int32(0)), []string{}
	})
	r.want(nobody(), 403, "")
	deploy("d3", func(a *v2.Authorizer) {
		a.AuthorizerResultTtlInSeconds, a.IdentitySource = new(int32(3600)), []string{"$request.header.tenant"}
	})
	r.want(nobody(), 403, "")
}

// A kept policy is judged for each request: what it allows on one route it does not on another.
func TestPolicyAuthorizer(t *testing.T) {
	r := newRig(t)
	r.guarded("1.0", false, "$request.header.Authorization")
	policyFor := func(effect, resource string) any {
		return map[string]any{"principalId": "ann", "context": map[string]any{"role": "reader"}, "policyDocument": map[string]any{"Version": "2012-10-17",
			"Statement": []any{map[string]any{"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}}}}
	}
	const base = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/"
	answers := map[string]any{
		"a":       policyFor("Allow", base+"*/GET/a"),
		"all":     policyFor("Allow", base+"*"),
		"deny":    policyFor("Deny", base+"*"),
		"other":   policyFor("Allow", "arn:aws:execute-api:eu-west-1:123456789012:zzzz/*"),
		"nobody":  map[string]any{"policyDocument": policyFor("Allow", "*").(map[string]any)["policyDocument"]},
		"nothing": map[string]any{"principalId": "ann"},
		"simple":  map[string]any{"isAuthorized": true},
	}
	r.functions.code[guard] = func(e map[string]any) (any, error) {
		if e["methodArn"] == nil || e["authorizationToken"] != e["identitySource"] {
			return nil, errors.New("not the event of payload 1.0")
		}
		switch token := e["authorizationToken"].(string); token {
		case "stranger":
			return nil, errors.New("Unauthorized")
		case "crash":
			return nil, errors.New("boom")
		default:
			return answers[token], nil
		}
	}
	for _, c := range []struct {
		token, path string
		status      int
	}{
		{"a", "/a", 200}, {"a", "/b", 403}, {"a", "/a", 200}, {"all", "/a", 200}, {"all", "/b", 200}, {"deny", "/a", 403}, {"other", "/a", 403},
		{"nobody", "/a", 500}, {"nothing", "/a", 500}, {"simple", "/a", 500}, {"stranger", "/a", 401}, {"crash", "/a", 500}, {"unheard", "/a", 500},
	} {
		if w := r.do(request("GET", c.path, "Authorization", c.token)); w.Code != c.status {
			t.Errorf("%s at %s: %d %s", c.token, c.path, w.Code, w.Body)
		}
	}
	r.want(request("GET", "/b", "Authorization", "a"), 403, `{"message":"Forbidden"}`)
	rec := r.trail.last()
	if rec.Explanation == nil || rec.Principal.Caller().PrincipalID != "ann" {
		t.Errorf("a refusal without its reason: %+v", rec)
	}
	if n := r.functions.count(guard); n != 10 {
		t.Errorf("asked %d times", n)
	}
	// The authorizer's own policy decides whether the API may call it.
	r.functions.allow(guard, base+"*/GET/*")
	r.want(request("GET", "/a", "Authorization", "new"), 500, `{"message":"Internal Server Error"}`)
}
