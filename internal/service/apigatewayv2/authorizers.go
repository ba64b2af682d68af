package apigatewayv2

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxAuthorizers = 10 // quota: authorizers per API

func (s *Service) createAuthorizer(c *gate.Call, in *v2.CreateAuthorizerInput) (*v2.CreateAuthorizerOutput, error) {
	a := v2.Authorizer{AuthorizerId: new(s.ids.Lower(6))}
	wire.Fill(&a, in)
	if err := checkAuthorizer(&a); err != nil {
		return nil, err
	}
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.CreateAuthorizerOutput, error) {
		if len(r.Authorizers) >= maxAuthorizers {
			return nil, bad("The maximum number of authorizers for this API is %d", maxAuthorizers)
		}
		r.Authorizers = append(r.Authorizers, a)
		return filled[v2.CreateAuthorizerOutput](&a), nil
	})
}

func (s *Service) getAuthorizer(c *gate.Call, in *v2.GetAuthorizerInput) (*v2.GetAuthorizerOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	i, err := find(r.Authorizers, authorizerID, "Authorizer", in.AuthorizerId)
	if err != nil {
		return nil, err
	}
	return filled[v2.GetAuthorizerOutput](&r.Authorizers[i]), nil
}

func (s *Service) getAuthorizers(c *gate.Call, in *v2.GetAuthorizersInput) (*v2.GetAuthorizersOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := page(r.Authorizers, in.MaxResults, in.NextToken)
	return &v2.GetAuthorizersOutput{Items: items, NextToken: next}, err
}

func (s *Service) updateAuthorizer(c *gate.Call, in *v2.UpdateAuthorizerInput) (*v2.UpdateAuthorizerOutput, error) {
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.UpdateAuthorizerOutput, error) {
		i, err := find(r.Authorizers, authorizerID, "Authorizer", in.AuthorizerId)
		if err != nil {
			return nil, err
		}
		a := r.Authorizers[i]
		if in.AuthorizerType != nil && *in.AuthorizerType != wire.Val(a.AuthorizerType) {
			return nil, bad("The type of an authorizer cannot be changed")
		}
		wire.Fill(&a, in)
		if err := checkAuthorizer(&a); err != nil {
			return nil, err
		}
		r.Authorizers[i] = a
		return filled[v2.UpdateAuthorizerOutput](&a), nil
	})
}

func (s *Service) deleteAuthorizer(c *gate.Call, in *v2.DeleteAuthorizerInput) (*v2.DeleteAuthorizerOutput, error) {
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.DeleteAuthorizerOutput, error) {
		i, err := find(r.Authorizers, authorizerID, "Authorizer", in.AuthorizerId)
		if err != nil {
			return nil, err
		}
		for _, route := range r.Routes {
			if wire.Val(route.AuthorizerId) == in.AuthorizerId {
				return nil, conflict("Cannot delete authorizer %s because it is referenced by route %s", in.AuthorizerId, *route.RouteId)
			}
		}
		r.Authorizers = slices.Delete(r.Authorizers, i, i+1)
		return &v2.DeleteAuthorizerOutput{}, nil
	})
}

// checkAuthorizer refuses an authorizer that could not decide.
func checkAuthorizer(a *v2.Authorizer) error {
	switch {
	case a.Name == "" || len(a.Name) > 128:
		return bad("Authorizer name must be between 1 and 128 characters")
	case a.AuthorizerCredentialsArn != nil:
		return notBuilt("Credentials of authorizers")
	case a.IdentityValidationExpression != nil:
		return bad("IdentityValidationExpression is not supported for HTTP APIs")
	}
	if wire.Val(a.AuthorizerType) == "JWT" {
		return checkJWT(a)
	}
	return checkRequestAuthorizer(a)
}

// jwtSource is where a JWT authorizer may look for its token.
var jwtSource = regexp.MustCompile(`^\$request\.(header|querystring)\.[A-Za-z0-9._-]+$`)

func checkJWT(a *v2.Authorizer) error {
	j := a.JwtConfiguration
	switch {
	case j == nil || wire.Val(j.Issuer) == "":
		return bad("JWT Issuer must be set for authorizer type JWT")
	case len(j.Audience) == 0 || slices.Contains(j.Audience, ""):
		return bad("Audience must be set for authorizer type JWT")
	case a.AuthorizerUri != nil || a.AuthorizerPayloadFormatVersion != nil || a.EnableSimpleResponses != nil || a.AuthorizerResultTtlInSeconds != nil:
		return bad("AuthorizerUri, AuthorizerPayloadFormatVersion, EnableSimpleResponses and AuthorizerResultTtlInSeconds are not valid for authorizer type JWT")
	case len(a.IdentitySource) != 1 || !jwtSource.MatchString(a.IdentitySource[0]):
		return bad("Identity source for authorizer type JWT must be one of $request.header.<name> and $request.querystring.<name>")
	}
	return checkIssuer(*j.Issuer)
}

// checkIssuer refuses an issuer whose keys could be changed on the way.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return bad("Invalid issuer: %s", issuer)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || err == nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return bad("Invalid issuer: %s. Issuer must be an https URL", issuer)
	}
	return nil
}

// lambdaSource is where a Lambda authorizer's identity may come from.
var lambdaSource = regexp.MustCompile(`^\$(request\.(header|querystring)|context|stageVariables)\.[A-Za-z0-9._-]+$`)

// usualTTL is how long, in seconds, a Lambda authorizer's results are kept where nobody says: without
// an identity to keep them by, not at all.
func usualTTL(sources []string) int32 {
	if len(sources) == 0 {
		return 0
	}
	return 300
}

func checkRequestAuthorizer(a *v2.Authorizer) error {
	if _, ok := functionOf(wire.Val(a.AuthorizerUri)); !ok {
		return bad("Invalid authorizer URI: %s", wire.Val(a.AuthorizerUri))
	}
	if a.JwtConfiguration != nil {
		return bad("JwtConfiguration is not valid for authorizer type REQUEST")
	}
	switch wire.Val(a.AuthorizerPayloadFormatVersion) {
	case "1.0":
		if wire.Val(a.EnableSimpleResponses) {
			return bad("EnableSimpleResponses is only supported for the payload format version 2.0")
		}
	case "2.0":
	default:
		return bad("AuthorizerPayloadFormatVersion is a required parameter for authorizer type REQUEST and must be 1.0 or 2.0")
	}
	if a.EnableSimpleResponses == nil {
		a.EnableSimpleResponses = new(false)
	}
	if a.AuthorizerResultTtlInSeconds == nil {
		a.AuthorizerResultTtlInSeconds = new(usualTTL(a.IdentitySource))
	}
	for _, src := range a.IdentitySource {
		if !lambdaSource.MatchString(src) {
			return bad("Invalid identity source: %s", src)
		}
	}
	if wire.Val(a.AuthorizerResultTtlInSeconds) > 0 && len(a.IdentitySource) == 0 {
		return bad("Identity source is required when authorizer results are cached")
	}
	return nil
}
