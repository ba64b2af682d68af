// Package jwt checks JSON Web Tokens the way that the JWT authorizer of an HTTP API does: the
// issuer's keys are found by OpenID Connect discovery, kept, and fetched anew when the issuer
// rotates them; the signature, the issuer, the audience, the times and the route's scopes must
// all be right.
//
//	v := jwt.New(jwt.Options{Fetch: out.Fetcher("jwks"), Clock: clock.System{}})
//	claims, err := v.Verify(ctx, jwt.Authorizer{Issuer: "https://issuer.example", Audience: []string{"app"}},
//		jwt.Bearer(r.Header.Get("Authorization")), route.Scopes)
//
// An error is a *Refusal: 401 or 403, with the www-authenticate header that says why. Only
// asymmetric signatures are taken (RS256, RS384, RS512, ES256, ES384, ES512), each with its own
// type of key, and only under keys that the issuer publishes: a token's own jwk, jku, x5u and x5c
// are not looked at.
//
// Source: API Gateway Developer Guide, "Control access to HTTP APIs with JWT authorizers";
// RFC 7515, 7517, 7519, 8725; OpenID Connect Discovery 1.0.
package jwt

import (
	"fmt"
	"strings"
)

// Limits on what is parsed before anything is known of the caller.
const (
	maxToken = 8 << 10   // characters
	maxDepth = 8         // of JSON in header and claims
	maxDoc   = 256 << 10 // bytes of a discovery document or key set
	maxKeys  = 100       // of a key set
)

// Authorizer is what a JWT authorizer is configured with.
type Authorizer struct {
	Issuer   string   // exactly as tokens name it
	Audience []string // one of them must be the token's
}

// Claims are those of a token that passed; only Verify makes any.
type Claims struct {
	values map[string]any
	scopes []string
}

// Subject is the sub claim; empty without one.
func (c Claims) Subject() string { s, _ := c.values["sub"].(string); return s }

// Scopes are those of the route that the token has; nil on a route without scopes.
func (c Claims) Scopes() []string { return c.scopes }

// Strings are the claims as the event of payload version 2.0 has them, every value a string:
// numbers and booleans as written, lists as "[a b]".
func (c Claims) Strings() map[string]string {
	out := make(map[string]string, len(c.values))
	for k, v := range c.values {
		out[k] = text(v)
	}
	return out
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = text(e)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v) // json.Number as written; objects as map[k:v], as API Gateway writes them
}

// Refusal is a token that did not pass.
type Refusal struct {
	Status int // 401 or 403
	// Challenge is the value of the www-authenticate header.
	Challenge string
	// Cause is for the log only.
	Cause error
}

// Message is the body's message: "Unauthorized" or "Forbidden".
func (r *Refusal) Message() string {
	if r.Status == 403 {
		return "Forbidden"
	}
	return "Unauthorized"
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return "jwt: " + r.Challenge + ": " + r.Cause.Error()
	}
	return "jwt: " + r.Challenge
}

func (r *Refusal) Unwrap() error { return r.Cause }

// refuse words a refusal as API Gateway does. description is ours or quoted by us, never the
// token's own text.
func refuse(scopes []string, description string, cause error) *Refusal {
	return &Refusal{Status: 401, Cause: cause,
		Challenge: fmt.Sprintf(`Bearer scope="%s" error="invalid_token" error_description="%s"`, strings.Join(scopes, " "), description)}
}

// Bearer is the token in an Authorization header, with or without its scheme.
func Bearer(header string) string {
	header = strings.TrimSpace(header)
	if scheme, token, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return header
}
