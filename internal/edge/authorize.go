package edge

import (
	"errors"
	"net/http"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/edge/jwt"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
)

// invokeAction is what policies call a request to an API.
const invokeAction = "execute-api:Invoke"

// authorize establishes who asks and what that needs; the gate decides on it.
func (e *Edge) authorize(x *exchange) error {
	x.context.kind = x.route.kind
	switch x.route.kind {
	case "NONE":
		x.who, x.needs = identity.Anonymous(), x.resourceNeed
		if x.url {
			x.needs = x.urlNeeds
		}
		if x.route.integration.mock != nil && x.r.Method == http.MethodOptions {
			return nil // tells what the API is configured to tell, and runs nothing
		}
		return e.open(x)
	case "AWS_IAM":
		return e.signed(x)
	case "JWT":
		return e.token(x)
	case "CUSTOM":
		return e.custom(x)
	}
	return refusal{reason: internal, why: errors.New("the route's authorization " + x.route.kind + " is not built")}
}

// resourceNeed is what the API's own resource policy wants of every caller; nothing without one.
func (x *exchange) resourceNeed(a *gate.Ask) ([]gate.Need, error) {
	if x.stage.policy == "" {
		return nil, nil
	}
	n, err := x.need(a)
	return []gate.Need{n}, err
}

func (x *exchange) need(a *gate.Ask) (gate.Need, error) {
	n := gate.Need{Action: invokeAction, Resource: x.arn(), Account: x.api.account}
	if x.stage.policy == "" {
		return n, nil
	}
	p, err := a.Policy(policy.Resource, x.stage.policy)
	if err != nil {
		return n, err
	}
	n.Policy = &policy.Attached{Policy: p, Name: "resource policy", Where: "API " + x.api.id + " resource policy"}
	return n, nil
}

// signed is AWS_IAM: the signature says who, the caller's policies and the API's own say whether.
func (e *Edge) signed(x *exchange) error {
	body := x.body
	if body == nil {
		body = []byte{}
	}
	service := "execute-api"
	if x.url {
		service = "lambda"
	}
	who, err := e.Signatures.Identify(x.r, body, service, x.api.region, x.source)
	if err != nil {
		a := awserr.Wrap(err)
		if a.Kind == awserr.MissingAuthenticationToken {
			return refusal{reason: missingToken}
		}
		if a.Kind == awserr.Internal {
			return err
		}
		if x.url {
			code, _ := lambda.Service.Code(nil, a)
			return refusal{reason: forbidden, code: code, message: a.Message}
		}
		return refusal{reason: forbidden, message: x.restMessage(a.Message)}
	}
	x.who, x.context.caller = who, who
	x.unsign()
	if x.url {
		x.needs = x.urlNeeds
		return nil
	}
	x.needs = func(a *gate.Ask) ([]gate.Need, error) {
		n, err := x.need(a)
		return []gate.Need{n}, err
	}
	return nil
}

// restMessage is a message that only a REST API tells.
func (x *exchange) restMessage(s string) string {
	if !x.api.rest {
		return ""
	}
	return s
}

// token is JWT: what the token says is checked here; there is no policy to ask.
func (e *Edge) token(x *exchange) error {
	a := x.route.authorizer
	text := ""
	if len(a.sources) > 0 {
		text, _ = x.sourceValue(a.sources[0])
	}
	claims, err := e.JWT.Verify(x.r.Context(), jwt.Authorizer{Issuer: a.issuer, Audience: a.audience}, jwt.Bearer(text), x.route.scopes)
	if err != nil {
		r, ok := errors.AsType[*jwt.Refusal](err)
		if !ok {
			return err
		}
		why := unauthorized
		if r.Status == http.StatusForbidden {
			why = denied
		}
		if r.Cause != nil {
			e.Log.Warn("a token could not be checked", "request", x.id, "route", x.route.name(), "error", r.Cause)
		}
		return refusal{reason: why, header: http.Header{"Www-Authenticate": {r.Challenge}}}
	}
	x.context.claims, x.context.scopes, x.context.principalID = claims.Strings(), claims.Scopes(), claims.Subject()
	x.who = identity.Authorized(identity.Caller{Account: x.api.account, Authorizer: a.name, PrincipalID: claims.Subject()})
	x.needs = x.resourceNeed
	return nil
}

// sourceValue is what a request has at an identity source; false where it has nothing.
func (x *exchange) sourceValue(source string) (string, bool) {
	source = strings.TrimPrefix(strings.TrimPrefix(source, "$"), "method.")
	var v string
	if name, ok := strings.CutPrefix(source, "request.header."); ok {
		v = strings.Join(x.r.Header.Values(name), ",")
		if strings.EqualFold(name, "host") {
			v = x.r.Host
		}
	} else if name, ok := strings.CutPrefix(source, "request.querystring."); ok {
		var vs []string
		for _, p := range x.query {
			if p.key == name {
				vs = append(vs, p.value)
			}
		}
		v = strings.Join(vs, ",")
	} else if name, ok := strings.CutPrefix(source, "stageVariables."); ok {
		v = x.stage.variables[name]
	} else if name, ok := strings.CutPrefix(source, "context."); ok {
		v = x.contextValue(name)
	}
	return v, v != ""
}

// contextValue is a context variable that may identify a caller.
func (x *exchange) contextValue(name string) string {
	switch name {
	case "apiId":
		return x.api.id
	case "accountId":
		return x.api.account
	case "stage":
		return x.stage.name
	case "routeKey":
		return x.route.key
	case "httpMethod":
		return x.r.Method
	case "path":
		return x.fullPath()
	case "resourcePath":
		return x.route.path
	case "domainName":
		return x.host
	case "identity.sourceIp":
		return x.source.Address()
	case "identity.userAgent":
		return x.source.UserAgent
	}
	return ""
}
