package jwt

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	name = "https://issuer.example/tenant"
	docs = name + "/.well-known/openid-configuration"
	jwks = "https://keys.example/jwks.json?v=1"
)

// provider is an identity provider in memory.
type provider struct {
	mu    sync.Mutex
	pages map[string]string
	asked []string
	down  bool
	wait  chan struct{} // if set, fetches wait for it
}

func (p *provider) Get(_ context.Context, url string, _ int64) ([]byte, error) {
	p.mu.Lock()
	wait := p.wait
	p.mu.Unlock()
	if wait != nil {
		<-wait
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, url)
	page, ok := p.pages[url]
	if !ok || p.down {
		return nil, errors.New("no such page")
	}
	return []byte(page), nil
}

func (p *provider) count() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.asked) }

// publish puts keys into the key set.
func (p *provider) publish(keys ...jose.JSONWebKey) {
	raw, _ := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages = map[string]string{docs: fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, name, jwks), jwks: string(raw)}
}

type keyPair struct {
	id, alg string
	private crypto.Signer
}

func (k keyPair) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: k.alg, Use: "sig"}
}

// sign makes a token; header may override or, with nil, remove.
func (k keyPair) sign(t testing.TB, claims any, header map[string]any) string {
	t.Helper()
	head := map[string]any{"alg": k.alg, "kid": k.id, "typ": "JWT"}
	maps.Copy(head, header)
	for n, v := range head {
		if v == nil {
			delete(head, n)
		}
	}
	signing := segment(t, head) + "." + segment(t, claims)
	return signing + "." + base64.RawURLEncoding.EncodeToString(k.raw(t, signing))
}

func segment(t testing.TB, v any) string {
	t.Helper()
	raw, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(b)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(raw))
}

func (k keyPair) raw(t testing.TB, signing string) []byte {
	t.Helper()
	hash := map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "ES256": crypto.SHA256, "ES384": crypto.SHA384}[k.alg]
	h := hash.New()
	h.Write([]byte(signing))
	if e, ok := k.private.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, e, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		size := (e.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	sig, err := k.private.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

var makeKeys = sync.OnceValue(func() map[string]keyPair {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	e3, err3 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err := errors.Join(err, err2, err3); err != nil {
		panic(err)
	}
	return map[string]keyPair{"RS256": {"r", "RS256", r}, "RS384": {"r3", "RS384", r}, "RS512": {"r5", "RS512", r},
		"ES256": {"e", "ES256", e}, "ES384": {"e3", "ES384", e3}}
})

func verifier(t testing.TB, keys ...keyPair) (*Verifier, *provider, *clock.Manual) {
	t.Helper()
	p, now := &provider{}, clock.NewManual(noon)
	var public []jose.JSONWebKey
	for _, k := range keys {
		public = append(public, k.public())
	}
	p.publish(public...)
	return New(Options{Fetch: p, Clock: now}), p, now
}

func claims(change ...any) map[string]any {
	c := map[string]any{"iss": name, "sub": "ann", "aud": "app", "exp": noon.Unix() + 600, "iat": noon.Unix(), "nbf": noon.Unix(), "scope": "read write"}
	for i := 0; i < len(change); i += 2 {
		if n := change[i].(string); change[i+1] == nil {
			delete(c, n)
		} else {
			c[n] = change[i+1]
		}
	}
	return c
}

var app = Authorizer{Issuer: name, Audience: []string{"app", "other"}}

// outcome is "" for a token that passes, and otherwise the status and the challenge's description.
func outcome(err error) string {
	var r *Refusal
	if err == nil {
		return ""
	}
	if !errors.As(err, &r) {
		return err.Error()
	}
	_, description, ok := strings.Cut(r.Challenge, `error_description="`)
	if !ok {
		description = r.Challenge
	}
	return fmt.Sprint(r.Status, " ", strings.TrimSuffix(description, `"`))
}

func TestAlgorithms(t *testing.T) {
	all := makeKeys()
	for alg, k := range all {
		v, _, _ := verifier(t, k)
		got, err := v.Verify(t.Context(), app, k.sign(t, claims(), nil), []string{"admin", "write"})
		if err != nil || got.Subject() != "ann" || !reflect.DeepEqual(got.Scopes(), []string{"write"}) {
			t.Errorf("%s: %v, %v", alg, got, err)
		}
	}
}

func TestClaims(t *testing.T) {
	k := makeKeys()["RS256"]
	for _, c := range []struct {
		name   string
		claims any
		scopes []string
		want   string
	}{
		{"as they should be", claims(), nil, ""},
		{"expired", claims("exp", noon.Unix()), nil, "401 the token has expired"},
		{"no exp", claims("exp", nil), nil, "401 the token has no valid exp"},
		{"exp in words", claims("exp", "9999999999"), nil, "401 the token has no valid exp"},
		{"exp beyond time", claims("exp", 1e300), nil, "401 the token has no valid exp"},
		{"exp with a fraction", claims("exp", float64(noon.Unix())+0.5), nil, ""},
		{"future nbf", claims("nbf", noon.Unix()+1), nil, "401 the token is not valid yet"},
		{"nbf in words", claims("nbf", "0"), nil, "401 the token is not valid yet"},
		{"future iat", claims("iat", noon.Unix()+1), nil, "401 the token is used before it was issued"},
		{"neither nbf nor iat", claims("nbf", nil, "iat", nil), nil, ""},
		{"another issuer", claims("iss", "https://evil.example"), nil, "401 the token has an invalid issuer"},
		{"issuer with a slash", claims("iss", name+"/"), nil, "401 the token has an invalid issuer"},
		{"issuer in capitals", claims("iss", strings.ToUpper(name)), nil, "401 the token has an invalid issuer"},
		{"no issuer", claims("iss", nil), nil, "401 the token has an invalid issuer"},
		{"issuer in a list", claims("iss", []string{name}), nil, "401 the token has an invalid issuer"},
		{"another audience", claims("aud", "apps"), nil, "401 the token does not have a valid audience"},
		{"no audience", claims("aud", nil), nil, "401 the token does not have a valid audience"},
		{"empty audience", claims("aud", ""), nil, "401 the token does not have a valid audience"},
		{"one audience of several", claims("aud", []string{"x", "other"}), nil, ""},
		{"audience of numbers", claims("aud", []any{1, "app"}), nil, "401 the token does not have a valid audience"},
		{"client_id for aud", claims("aud", nil, "client_id", "app"), nil, ""},
		{"client_id in a list", claims("aud", nil, "client_id", []string{"app"}), nil, "401 the token does not have a valid audience"},
		{"aud goes before client_id", claims("aud", "x", "client_id", "app"), nil, "401 the token does not have a valid audience"},
		{"scope", claims(), []string{"read"}, ""},
		{"part of a scope", claims(), []string{"rea"}, "403 the token has none of the route's scopes"},
		{"no scope", claims("scope", nil), []string{"read"}, "403 the token has none of the route's scopes"},
		{"scp in a list", claims("scope", nil, "scp", []string{"read"}), []string{"read"}, ""},
		{"scp in words", claims("scope", nil, "scp", "x read"), []string{"read"}, ""},
		{"scope in a list of lists", claims("scope", []any{[]string{"read"}}), []string{"read"}, "403 the token has none of the route's scopes"},
		{"a claim twice", `{"iss":"` + name + `","aud":"app","exp":9999999999,"aud":"app"}`, nil, "401 the token's claims are not valid"},
		{"a claim twice, escaped", `{"iss":"` + name + `","aud":"x","exp":9999999999,"\u0061ud":"app"}`, nil, "401 the token's claims are not valid"},
		{"deep claims", `{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, nil, "401 the token's claims are not valid"},
		{"two objects", `{} {}`, nil, "401 the token's claims are not valid"},
		{"a list", `[]`, nil, "401 the token's claims are not valid"},
		{"no JSON", `x`, nil, "401 the token's claims are not valid"},
		{"bad UTF-8", "{\"iss\":\"\xff\"}", nil, "401 the token's claims are not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _, _ := verifier(t, k)
			got, err := v.Verify(t.Context(), app, k.sign(t, c.claims, nil), c.scopes)
			if outcome(err) != c.want {
				t.Errorf("%v; want %q", err, c.want)
			}
			if err != nil && !reflect.DeepEqual(got, Claims{}) {
				t.Errorf("a refused token gave %v", got)
			}
		})
	}
}

func TestAttacks(t *testing.T) {
	k, e := makeKeys()["RS256"], makeKeys()["ES256"]
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	evil := keyPair{"r", "RS256", stranger}
	good := k.sign(t, claims(), nil)
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	// The classic confusion: the public key, as PEM or DER, taken for an HMAC secret.
	hmacWith := func(secret []byte, alg string) string {
		signing := segment(t, map[string]any{"alg": alg, "kid": "r"}) + "." + parts[1]
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(signing))
		return signing + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	own, err := json.Marshal(evil.public())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, token, want string }{
		{"good", good, ""},
		{"none", segment(t, `{"alg":"none","kid":"r"}`) + "." + parts[1] + ".", "401 the token's signing method is invalid"},
		{"None", segment(t, `{"alg":"None","kid":"r"}`) + "." + parts[1] + ".", "401 the token's signing method is invalid"},
		{"no algorithm", segment(t, `{"kid":"r"}`) + "." + parts[1] + "." + parts[2], "401 the token's signing method is invalid"},
		{"signature left out", parts[0] + "." + parts[1] + ".", "401 signature is invalid"},
		{"two segments", parts[0] + "." + parts[1], "401 invalid number of segments"},
		{"four segments", good + ".", "401 invalid number of segments"},
		{"HS256 with the PEM", hmacWith(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "HS256"), "401 the token's signing method is invalid"},
		{"HS256 with the DER", hmacWith(der, "HS256"), "401 the token's signing method is invalid"},
		{"HMAC called RS256", hmacWith(der, "RS256"), "401 signature is invalid"},
		{"PS256", k.sign(t, claims(), map[string]any{"alg": "PS256"}), "401 the token's signing method is invalid"},
		{"another algorithm of the key's kind", keyPair{"r", "RS512", k.private}.sign(t, claims(), nil), "401 the token's signing method is invalid"},
		{"an algorithm of another kind of key", k.sign(t, claims(), map[string]any{"alg": "ES256"}), "401 the token's signing method is invalid"},
		{"another's key", evil.sign(t, claims(), nil), "401 signature is invalid"},
		{"own key in jwk", evil.sign(t, claims(), map[string]any{"jwk": json.RawMessage(own)}), "401 signature is invalid"},
		{"own keys at jku", evil.sign(t, claims(), map[string]any{"jku": "https://evil.example/jwks"}), "401 signature is invalid"},
		{"own keys at x5u", evil.sign(t, claims(), map[string]any{"x5u": "https://evil.example/cert"}), "401 signature is invalid"},
		{"own certificate", evil.sign(t, claims(), map[string]any{"x5c": []string{"MIIB"}}), "401 signature is invalid"},
		{"kid as a path", evil.sign(t, claims(), map[string]any{"kid": "../../../dev/null"}), "401 the issuer publishes no such key"},
		{"kid as an address", evil.sign(t, claims(), map[string]any{"kid": "https://evil.example/jwks#r"}), "401 the issuer publishes no such key"},
		{"kid as a query", evil.sign(t, claims(), map[string]any{"kid": "r' OR '1'='1"}), "401 the issuer publishes no such key"},
		{"kid of another key", k.sign(t, claims(), map[string]any{"kid": "e"}), "401 the token's signing method is invalid"},
		{"no kid", k.sign(t, claims(), map[string]any{"kid": nil}), "401 the token has no kid"},
		{"kid as a number", k.sign(t, claims(), map[string]any{"kid": 1}), "401 the token has no kid"},
		{"crit", k.sign(t, claims(), map[string]any{"crit": []string{"exp"}}), "401 the token's header is not valid"},
		{"b64", k.sign(t, claims(), map[string]any{"b64": false}), "401 the token's header is not valid"},
		{"alg twice", segment(t, `{"alg":"none","alg":"RS256","kid":"r"}`) + "." + parts[1] + "." + parts[2], "401 the token's header is not valid"},
		{"claims changed", parts[0] + "." + segment(t, claims("sub", "root")) + "." + parts[2], "401 signature is invalid"},
		{"header changed", segment(t, `{"alg":"RS256","kid":"r"}`) + "." + parts[1] + "." + parts[2], "401 signature is invalid"},
		{"ES256 signature of zeros", segment(t, `{"alg":"ES256","kid":"e"}`) + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "401 signature is invalid"},
		{"ES256 signature in DER", derSigned(t, e), "401 signature is invalid"},
		{"padding", good + "=", "401 invalid number of segments"},
		{"line break", parts[0] + "\n." + parts[1] + "." + parts[2], "401 invalid number of segments"},
		{"too long", good + strings.Repeat("A", maxToken), "401 the token is too long"},
		{"JSON serialisation", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "401 invalid number of segments"},
		{"nothing", "", "401 Bearer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, p, _ := verifier(t, k, e)
			_, err := v.Verify(t.Context(), app, c.token, nil)
			if outcome(err) != c.want {
				t.Errorf("%v; want %q", err, c.want)
			}
			for _, url := range p.asked {
				if url != docs && url != jwks {
					t.Errorf("asked %s", url)
				}
			}
		})
	}
}

func derSigned(t *testing.T, k keyPair) string {
	t.Helper()
	signing := segment(t, map[string]any{"alg": "ES256", "kid": k.id}) + "." + segment(t, claims())
	sum := sha256.Sum256([]byte(signing))
	sig, err := k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signing + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestRotation(t *testing.T) {
	old, next := makeKeys()["RS256"], makeKeys()["ES256"]
	v, p, now := verifier(t, old)
	verify := func(token string) string { _, err := v.Verify(t.Context(), app, token, nil); return outcome(err) }
	oldToken, nextToken := old.sign(t, claims("exp", noon.Unix()+1e6), nil), next.sign(t, claims("exp", noon.Unix()+1e6), nil)
	if verify(oldToken) != "" || verify(oldToken) != "" || p.count() != 2 {
		t.Fatalf("asked %v", p.asked)
	}
	// Made-up ids ask the issuer once in a while only.
	for range 10 {
		if got := verify(nextToken); got != "401 the issuer publishes no such key" {
			t.Error(got)
		}
	}
	if p.count() != 2 {
		t.Fatalf("asked %v", p.asked)
	}
	p.publish(old.public(), next.public())
	now.Advance(30 * time.Second)
	if verify(nextToken) != "" || p.count() != 4 {
		t.Fatalf("after the rotation: asked %v", p.asked)
	}
	for range 10 {
		verify(old.sign(t, claims(), map[string]any{"kid": "made up"}))
	}
	if p.count() != 4 {
		t.Errorf("asked %v", p.asked)
	}
	// A key taken back is refused once its time is over, even with the issuer away.
	p.publish(next.public())
	now.Advance(2 * time.Hour)
	if got := verify(oldToken); got != "401 the issuer publishes no such key" {
		t.Errorf("a withdrawn key: %s", got)
	}
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	now.Advance(2 * time.Hour)
	if got := verify(nextToken); got != "401 OIDC discovery endpoint communication error" {
		t.Errorf("old keys with the issuer away: %s", got)
	}
	asked := p.count()
	verify(nextToken)
	if p.count() != asked {
		t.Error("asked again at once after a failure")
	}
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
	now.Advance(2 * time.Second)
	if got := verify(nextToken); got != "" {
		t.Errorf("with the issuer back: %s", got)
	}
}

func TestRenewalKeepsNobodyWaiting(t *testing.T) {
	k := makeKeys()["RS256"]
	v, p, now := verifier(t, k)
	token := k.sign(t, claims("exp", noon.Unix()+1e6), nil)
	if _, err := v.Verify(t.Context(), app, token, nil); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	p.mu.Lock()
	p.wait = release
	p.mu.Unlock()
	now.Advance(time.Hour)
	for range 5 { // the issuer answers nothing, and yet
		if _, err := v.Verify(t.Context(), app, token, nil); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	i := v.keys.issuer(name)
	i.turn <- struct{}{} // the renewal is over
	if p.count() != 4 || !i.fetched.Equal(noon.Add(time.Hour)) {
		t.Errorf("asked %v, fetched %v", p.asked, i.fetched)
	}
}

func TestManyCallersOneFetch(t *testing.T) {
	k := makeKeys()["RS256"]
	v, p, _ := verifier(t, k)
	token := k.sign(t, claims(), nil)
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() { _, errs[i] = v.Verify(t.Context(), app, token, nil) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || p.count() != 2 {
		t.Errorf("%v, asked %v", err, p.asked)
	}
}

func TestDiscovery(t *testing.T) {
	k := makeKeys()["RS256"]
	const broken = "401 OIDC discovery endpoint communication error"
	for _, c := range []struct{ name, doc, want string }{
		{"as it should be", fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"x":[1]}`, name, jwks), ""},
		{"another issuer", fmt.Sprintf(`{"issuer":"https://evil.example","jwks_uri":%q}`, jwks), broken},
		{"no keys", fmt.Sprintf(`{"issuer":%q}`, name), broken},
		{"keys over http", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"http://keys.example/jwks.json"}`, name), broken},
		{"keys over http here", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"http://localhost/jwks.json"}`, name), broken},
		{"keys in a file", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, name), broken},
		{"keys twice", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://evil.example","jwks_uri":%q}`, name, jwks), broken},
		{"no JSON", `<html>`, broken},
	} {
		v, p, _ := verifier(t, k)
		p.pages[docs] = c.doc
		if _, err := v.Verify(t.Context(), app, k.sign(t, claims(), nil), nil); outcome(err) != c.want {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
	for issuer, ok := range map[string]bool{"https://a.example": true, "http://localhost:8080": true, "http://127.0.0.1:1/x": true,
		"http://[::1]": true, "http://idp.localhost": true, "http://a.example": false, "": false, "a.example": false, "file:///x": false,
		"https://u:p@a.example": false, "https://a.example?x=1": false, "http://localhost.evil.example": false, "http://10.0.0.1": false} {
		if err := CheckIssuer(issuer); (err == nil) != ok {
			t.Errorf("issuer %q: %v", issuer, err)
		}
	}
}

func TestKeySets(t *testing.T) {
	r := makeKeys()["RS256"]
	good, err := json.Marshal(r.public())
	if err != nil {
		t.Fatal(err)
	}
	// crypto/rsa makes no key so small; a modulus is enough here.
	weak := `{"kty":"RSA","e":"AQAB","kid":"weak","n":"` + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 128)) + `"}`
	private, err := json.Marshal(jose.JSONWebKey{Key: r.private, KeyID: "private"})
	if err != nil {
		t.Fatal(err)
	}
	set := `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"r"},{"kty":"OKP","crv":"X","kid":"r"},{},` + weak + "," + string(private) + "," +
		strings.Replace(string(good), `"sig"`, `"enc"`, 1) + "," + strings.Replace(string(good), `"kid":"r"`, `"kid":""`, 1) + "," +
		strings.Replace(string(good), `"RS256"`, `"HS256"`, 1) + "," + string(good) + `]}`
	keys, err := parseKeys([]byte(set))
	if err != nil || len(keys) != 1 || keys[0].id != "r" || !reflect.DeepEqual(keys[0].algs, []string{"RS256"}) {
		t.Errorf("%v, %v", keys, err)
	}
	many := `{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`
	if _, err := parseKeys([]byte(many)); err == nil {
		t.Error("too many keys were taken")
	}
}

func TestWhatTheFunctionSees(t *testing.T) {
	k := makeKeys()["RS256"]
	v, _, _ := verifier(t, k)
	got, err := v.Verify(t.Context(), app, k.sign(t, `{"iss":"`+name+`","aud":["app","x"],"exp":4102444800,"ok":true,"n":1.50,"none":null,
		"groups":["a",1],"o":{"k":"v"}}`, nil), nil)
	want := map[string]string{"iss": name, "aud": "[app x]", "exp": "4102444800", "ok": "true", "n": "1.50", "none": "null", "groups": "[a 1]", "o": "map[k:v]"}
	if err != nil || !reflect.DeepEqual(got.Strings(), want) || got.Scopes() != nil {
		t.Errorf("%v, %v", got.Strings(), err)
	}
}

func TestChallenges(t *testing.T) {
	k := makeKeys()["RS256"]
	v, _, _ := verifier(t, k)
	for token, want := range map[string][3]string{
		"":                                   {"401", "Unauthorized", "Bearer"},
		k.sign(t, claims("exp", 1), nil):     {"401", "Unauthorized", `Bearer scope="a b" error="invalid_token" error_description="the token has expired"`},
		k.sign(t, claims("scope", nil), nil): {"403", "Forbidden", `Bearer scope="a b" error="insufficient_scope" error_description="the token has none of the route's scopes"`},
	} {
		_, err := v.Verify(t.Context(), app, token, []string{"a", "b"})
		r, ok := err.(*Refusal)
		if !ok || fmt.Sprint(r.Status) != want[0] || r.Message() != want[1] || r.Challenge != want[2] {
			t.Errorf("%v; want %v", err, want)
		}
	}
	for header, want := range map[string]string{"Bearer x.y.z": "x.y.z", "bearer  x.y.z ": "x.y.z", "x.y.z": "x.y.z", "": "", "Basic x": "Basic x"} {
		if got := Bearer(header); got != want {
			t.Errorf("Bearer(%q) = %q", header, got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k, e := makeKeys()["RS256"], makeKeys()["ES256"]
	v, _, _ := verifier(f, k, e)
	good := k.sign(f, claims(), nil)
	f.Add(good)
	f.Add(e.sign(f, claims(), nil))
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), app, token, nil)
		var r *Refusal
		if err != nil && !errors.As(err, &r) {
			t.Fatalf("%T %v", err, err)
		}
		if err == nil && got.Subject() != "ann" {
			t.Fatalf("%q passed", token)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"k"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB","kid":"k"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := parseKeys(raw)
		for _, k := range keys {
			if err != nil || k.id == "" || len(k.algs) == 0 {
				t.Fatalf("%+v, %v", k, err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256"} {
		k := makeKeys()[alg]
		v, _, _ := verifier(b, k)
		token := k.sign(b, claims(), nil)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), app, token, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
