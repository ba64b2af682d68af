package jwt

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Options are what a Verifier works with; Fetch and Clock are needed.
type Options struct {
	Fetch   Fetcher
	Clock   clock.Clock
	Keep    time.Duration // how long an issuer's keys are used; 2 h if zero, as API Gateway's
	Refetch time.Duration // between two fetches for unknown keys; 30 s if zero
	Retry   time.Duration // after a fetch that failed; 2 s if zero
}

// Verifier checks tokens; safe for concurrent use.
type Verifier struct {
	clock clock.Clock
	keys  keyStore
}

// New makes a Verifier.
func New(o Options) *Verifier {
	return &Verifier{clock: o.Clock, keys: keyStore{fetch: o.Fetch, clock: o.Clock, keep: cmp.Or(o.Keep, 2*time.Hour),
		refetch: cmp.Or(o.Refetch, 30*time.Second), retry: cmp.Or(o.Retry, 2*time.Second), issuers: map[string]*issuer{}}}
}

// accepted are the algorithms; each key narrows them to those of its type.
var accepted = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// Verify checks a token against an authorizer and the scopes of the route called, of which the
// token must have one. Errors are *Refusal.
func (v *Verifier) Verify(ctx context.Context, a Authorizer, token string, scopes []string) (Claims, error) {
	if token == "" {
		return Claims{}, &Refusal{Status: 401, Challenge: "Bearer"}
	}
	header, claims, err := parse(token)
	if err != nil {
		return Claims{}, refuse(scopes, err.Error(), nil)
	}
	if err := v.check(a, claims); err != nil {
		return Claims{}, refuse(scopes, err.Error(), nil)
	}
	// Only a token that would pass makes us ask its issuer for keys.
	if err := v.signature(ctx, a.Issuer, token, header); err != nil {
		return Claims{}, refuse(scopes, describe(err), err)
	}
	granted := matching(claims, scopes)
	if len(scopes) > 0 && len(granted) == 0 {
		r := refuse(scopes, "the token has none of the route's scopes", nil)
		r.Status, r.Challenge = 403, strings.Replace(r.Challenge, "invalid_token", "insufficient_scope", 1)
		return Claims{}, r
	}
	return Claims{values: claims, scopes: granted}, nil
}

// describe is what the caller may know of an error.
func describe(err error) string {
	for _, known := range []error{errDiscovery, errNoKey, errAlgorithm} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "signature is invalid"
}

var (
	errSegments  = errors.New("invalid number of segments")
	errTooLong   = errors.New("the token is too long")
	errHeader    = errors.New("the token's header is not valid")
	errClaims    = errors.New("the token's claims are not valid")
	errAlgorithm = errors.New("the token's signing method is invalid")
	errKid       = errors.New("the token has no kid")
	errIssuer    = errors.New("the token has an invalid issuer")
	errAudience  = errors.New("the token does not have a valid audience")
	errExpired   = errors.New("the token has expired")
	errNoExpiry  = errors.New("the token has no valid exp")
	errTooEarly  = errors.New("the token is not valid yet")
	errIssuedAt  = errors.New("the token is used before it was issued")
)

// compact: the token has the characters of a compact serialisation only. Decoders would pass over
// line breaks.
func compact(token string) bool {
	for i := 0; i < len(token); i++ {
		c := token[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// parse reads header and claims, of which nothing is believed yet.
func parse(token string) (header, claims map[string]any, err error) {
	if len(token) > maxToken {
		return nil, nil, errTooLong
	}
	if !compact(token) {
		return nil, nil, errSegments
	}
	part := strings.Split(token, ".")
	if len(part) != 3 {
		return nil, nil, errSegments
	}
	if header, err = decodeObject(part[0]); err != nil {
		return nil, nil, errHeader
	}
	if claims, err = decodeObject(part[1]); err != nil {
		return nil, nil, errClaims
	}
	alg, _ := header["alg"].(string)
	if !slices.Contains(accepted, jose.SignatureAlgorithm(alg)) {
		return nil, nil, errAlgorithm
	}
	if kid, ok := header["kid"].(string); !ok || kid == "" {
		return nil, nil, errKid
	}
	if _, ok := header["crit"]; ok { // an extension that must be understood; we know none (RFC 7515 section 4.1.11)
		return nil, nil, errHeader
	}
	if _, ok := header["b64"]; ok {
		return nil, nil, errHeader
	}
	return header, claims, nil
}

// check holds the claims against the authorizer and the clock.
func (v *Verifier) check(a Authorizer, claims map[string]any) error {
	if iss, ok := claims["iss"].(string); !ok || iss == "" || iss != a.Issuer {
		return errIssuer
	}
	now := v.clock.Now()
	exp, ok := instant(claims["exp"])
	if !ok {
		return errNoExpiry
	}
	if !now.Before(exp) {
		return errExpired
	}
	for _, c := range [...]struct {
		name  string
		early error
	}{{"nbf", errTooEarly}, {"iat", errIssuedAt}} {
		if raw, given := claims[c.name]; given {
			if at, ok := instant(raw); !ok || at.After(now) {
				return c.early
			}
		}
	}
	return audience(a, claims)
}

// instant is a NumericDate, which may have a fraction (RFC 7519 section 2).
func instant(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1<<40 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// audience wants one of the authorizer's in aud, or, in a token without aud, in client_id.
func audience(a Authorizer, claims map[string]any) error {
	given, ok := claims["aud"]
	if !ok {
		given, ok = claims["client_id"]
		if _, one := given.(string); !one {
			ok = false
		}
	}
	if ok {
		for _, s := range words(given, false) {
			if s != "" && slices.Contains(a.Audience, s) {
				return nil
			}
		}
	}
	return errAudience
}

// words are the strings of a claim that is a string or a list of strings; split divides a string
// at its spaces. A list with anything else in it counts as none.
func words(v any, split bool) []string {
	switch v := v.(type) {
	case string:
		if split {
			return strings.Fields(v)
		}
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	return nil
}

// matching are the route's scopes that the token has, in scope or scp.
func matching(claims map[string]any, scopes []string) []string {
	has := append(words(claims["scope"], true), words(claims["scp"], true)...)
	var out []string
	for _, s := range scopes {
		if slices.Contains(has, s) {
			out = append(out, s)
		}
	}
	return out
}

// signature checks the token under the issuer's keys of the token's kid.
func (v *Verifier) signature(ctx context.Context, issuer, token string, header map[string]any) error {
	alg, _ := header["alg"].(string)
	kid, _ := header["kid"].(string)
	jws, err := jose.ParseSignedCompact(token, accepted)
	if err != nil {
		return err
	}
	keys, err := v.keys.find(ctx, issuer, kid)
	if err != nil {
		return err
	}
	err = errAlgorithm
	for _, k := range keys {
		if !slices.Contains(k.algs, alg) {
			continue
		}
		if _, err = jws.Verify(k.public); err == nil {
			return nil
		}
	}
	return err
}
