package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
)

// verdict is what a Lambda authorizer said of a caller. It is kept for callers who show the same
// identity; the policy in it is judged anew for each request.
type verdict struct {
	simple      bool // isAuthorized true or false, without a policy
	allowed     bool
	policy      *policy.Attached
	principalID string
	values      map[string]any
	until       time.Time
}

var errVerdict = errors.New("the authorizer's answer is not valid")

// custom asks a Lambda authorizer, or remembers what it said.
func (e *Edge) custom(x *exchange) error {
	if err := e.screen(x); err != nil {
		return err
	}
	a := x.route.authorizer
	values, err := x.identityValues(a)
	if err != nil {
		return err
	}
	key := x.resultKey(a, values)
	keep := a.ttl > 0 && len(values) > 0
	v, ok := verdict{}, false
	if keep {
		v, ok = e.results.get(key, x.now)
	}
	if !ok {
		if v, err = e.ask(x, a, values); err != nil {
			return err
		}
		x.context.latency = e.Clock.Now().Sub(x.now).Milliseconds()
		if keep {
			v.until = x.now.Add(a.ttl)
			e.results.put(key, v, x.now)
		}
	}
	x.context.principalID, x.context.values = v.principalID, v.values
	x.who = identity.Authorized(identity.Caller{Account: x.api.account, Authorizer: a.name, PrincipalID: v.principalID})
	x.needs = func(ask *gate.Ask) ([]gate.Need, error) { return x.judge(ask, v) }
	return nil
}

// judge is what a verdict needs: nothing where the authorizer allowed by name, else that its
// policy, together with the API's own, allows this very request.
func (x *exchange) judge(ask *gate.Ask, v verdict) ([]gate.Need, error) {
	if v.simple {
		if !v.allowed {
			return nil, awserr.Of(awserr.AccessDenied, "The authorizer %s did not authorize the request.", x.route.authorizer.name)
		}
		return x.resourceNeed(ask)
	}
	n, err := x.need(ask)
	n.Returned = []policy.Attached{*v.policy}
	return []gate.Need{n}, err
}

// identityValues are what the request shows at the authorizer's identity sources. Where one is
// missing the authorizer is not asked.
func (x *exchange) identityValues(a *authorizer) ([]string, error) {
	var out []string
	for _, s := range a.sources {
		v, ok := x.sourceValue(s)
		if !ok && (!x.api.rest || a.kind == "TOKEN" || a.ttl > 0) {
			return nil, refusal{reason: unauthorized}
		}
		out = append(out, v)
	}
	if a.form != nil && len(out) > 0 && !a.form.MatchString(out[0]) {
		return nil, refusal{reason: unauthorized}
	}
	return out, nil
}

// authorizerTimeout bounds an authorizer's function. Source: API Gateway quotas, "Lambda authorizer
// timeout" (10 s for HTTP APIs; a REST API's counts against its 29 s).
const (
	authorizerTimeout     = 10 * time.Second
	restAuthorizerTimeout = 29 * time.Second
)

// ask runs the authorizer's function.
func (e *Edge) ask(x *exchange, a *authorizer, values []string) (verdict, error) {
	payload, err := x.authorizerEvent(a, values)
	if err != nil {
		return verdict{}, err
	}
	limit := authorizerTimeout
	if x.api.rest {
		limit = restAuthorizerTimeout
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), limit)
	defer cancel()
	out, err := x.call(ctx, x.asGateway(gate.Client{Gate: e.Gate}, x.apiARN("authorizers/"+a.id)), a.function, payload)
	if err != nil {
		return verdict{}, refusal{reason: authorizerFailed, why: err, counted: true}
	}
	if out.FunctionError != nil {
		if said(out) == "Unauthorized" {
			return verdict{}, refusal{reason: unauthorized}
		}
		return verdict{}, refusal{reason: authorizerFailed, why: errors.New("the authorizer's function failed: " + *out.FunctionError), counted: true}
	}
	v, err := x.verdict(a, out.Payload)
	if err != nil {
		return verdict{}, refusal{reason: authorizerFailed, why: err, counted: true}
	}
	return v, nil
}

// said is the message of a function's error; "Unauthorized" is how one asks for a 401.
func said(out *lambda.InvokeOutput) string {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(out.Payload, &e) != nil {
		return ""
	}
	return e.Message
}

// authorizerEvent is what the function receives.
func (x *exchange) authorizerEvent(a *authorizer, values []string) ([]byte, error) {
	switch {
	case a.kind == "TOKEN":
		return json.Marshal(map[string]string{"type": "TOKEN", "authorizationToken": strings.Join(values, ","), "methodArn": x.arn()})
	case a.payload == "2.0":
		e := x.eventV2(true)
		e.Type, e.RouteARN, e.IdentitySource = "REQUEST", x.arn(), values
		return json.Marshal(&e)
	}
	e := x.headV1()
	e.Type, e.MethodARN = "REQUEST", x.arn()
	if !x.api.rest {
		joined := strings.Join(values, ",")
		e.Version, e.IdentitySource, e.AuthorizationToken = "1.0", &joined, &joined
	}
	return json.Marshal(&e)
}

// maxPolicy bounds the policy that an authorizer may return. Source: API Gateway quotas.
const maxPolicy = 8 << 10

// verdict reads an authorizer's answer.
func (x *exchange) verdict(a *authorizer, payload []byte) (verdict, error) {
	var out struct {
		IsAuthorized *bool           `json:"isAuthorized"`
		PrincipalID  json.RawMessage `json:"principalId"`
		Policy       json.RawMessage `json:"policyDocument"`
		Context      map[string]any  `json:"context"`
	}
	if err := json.Unmarshal(payload, &out); err != nil {
		return verdict{}, fmt.Errorf("%w: %w", errVerdict, err)
	}
	v := verdict{values: out.Context}
	if x.api.rest {
		for k, c := range out.Context {
			text, ok := plain(c)
			if !ok {
				return verdict{}, fmt.Errorf("%w: context %q is not a single value", errVerdict, k)
			}
			v.values[k] = text
		}
	}
	if a.simple {
		if out.IsAuthorized == nil {
			return verdict{}, fmt.Errorf("%w: isAuthorized is missing", errVerdict)
		}
		v.simple, v.allowed = true, *out.IsAuthorized
		return v, nil
	}
	var id any
	if json.Unmarshal(out.PrincipalID, &id) != nil || id == nil {
		return verdict{}, fmt.Errorf("%w: principalId is missing", errVerdict)
	}
	text, ok := plain(id)
	if !ok || text == "" {
		return verdict{}, fmt.Errorf("%w: principalId is not text", errVerdict)
	}
	v.principalID = text
	p, err := policy.Parse(out.Policy, policy.Identity, policy.Options{MaxBytes: maxPolicy})
	if err != nil {
		return verdict{}, fmt.Errorf("%w: %w", errVerdict, err)
	}
	v.policy = &policy.Attached{Policy: p, Name: a.name, Where: "policy returned by authorizer " + a.name + " of API " + x.api.id}
	return v, nil
}

// plain is a single value as text.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool, float64:
		b, err := json.Marshal(v)
		return string(b), err == nil
	case nil:
		return "", true
	}
	return "", false
}
