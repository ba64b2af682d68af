package apigateway

import (
	"regexp"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const usualTTL = 300 // seconds that an authorizer's results are kept where nobody says

const maxAuthorizers = 10 // quota: authorizers per API

func (s *Service) createAuthorizer(c *gate.Call, in *rest.CreateAuthorizerInput) (*rest.Authorizer, error) {
	a := rest.Authorizer{Id: new(s.ids.Lower(6)), AuthType: new("custom")}
	wire.Fill(&a, in)
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.Authorizer, error) {
		if err := r.checkAuthorizer(&a); err != nil {
			return nil, err
		}
		if len(r.Authorizers) >= maxAuthorizers {
			return nil, bad("The maximum number of authorizers for this API is %d", maxAuthorizers)
		}
		r.Authorizers = append(r.Authorizers, a)
		return &a, nil
	})
}

// tokenSource and requestSource are where an authorizer's identity may come from.
var (
	tokenSource   = regexp.MustCompile(`^method\.request\.header\.[A-Za-z0-9._-]+$`)
	requestSource = regexp.MustCompile(`^(method\.request\.(header|querystring)|context|stageVariables)\.[A-Za-z0-9._-]+$`)
)

// checkAuthorizer refuses an authorizer that could not decide.
func (r *record) checkAuthorizer(a *rest.Authorizer) error {
	for _, x := range r.Authorizers {
		if wire.Val(x.Name) == wire.Val(a.Name) && *x.Id != *a.Id {
			return bad("Authorizer name must be unique. Authorizer %s already exists in this RestApi.", wire.Val(a.Name))
		}
	}
	kind := wire.Val(a.Type)
	if kind == "COGNITO_USER_POOLS" || len(a.ProviderARNs) > 0 {
		return notBuilt("Authorizers with Cognito user pools")
	}
	if a.AuthorizerCredentials != nil {
		return notBuilt("Credentials of authorizers")
	}
	if !namesFunction(wire.Val(a.AuthorizerUri)) {
		return bad("Invalid Authorizer URI: %s. Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation.", wire.Val(a.AuthorizerUri))
	}
	if a.AuthorizerResultTtlInSeconds == nil {
		a.AuthorizerResultTtlInSeconds = new(int32(usualTTL))
	}
	ttl := *a.AuthorizerResultTtlInSeconds
	if ttl < 0 || ttl > 3600 {
		return bad("Invalid authorizer TTL: %d. Must be between 0 and 3600", ttl)
	}
	source := wire.Val(a.IdentitySource)
	if kind == "TOKEN" {
		if !tokenSource.MatchString(source) {
			return bad("Invalid identity source for TOKEN authorizer. Must be a method.request.header.")
		}
		if _, err := regexp.Compile(wire.Val(a.IdentityValidationExpression)); err != nil {
			return bad("Invalid identity validation expression: %v", err)
		}
		return nil
	}
	if kind != "REQUEST" {
		return bad("Invalid authorizer type %s", kind)
	}
	if a.IdentityValidationExpression != nil && *a.IdentityValidationExpression != "" {
		return bad("IdentityValidationExpression is only valid for TOKEN authorizers")
	}
	if source == "" {
		if ttl > 0 {
			return bad("Identity source is required for a REQUEST authorizer whose results are cached")
		}
		return nil
	}
	for one := range strings.SplitSeq(source, ",") {
		if !requestSource.MatchString(strings.TrimSpace(one)) {
			return bad("Invalid identity source: %s", one)
		}
	}
	return nil
}

func (s *Service) getAuthorizer(c *gate.Call, in *rest.GetAuthorizerInput) (*rest.Authorizer, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	i, err := r.authorizer(in.AuthorizerId)
	if err != nil {
		return nil, err
	}
	return &r.Authorizers[i], nil
}

func (s *Service) getAuthorizers(c *gate.Call, in *rest.GetAuthorizersInput) (*rest.GetAuthorizersOutput, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := page(r.Authorizers, in.Limit, in.Position)
	return &rest.GetAuthorizersOutput{Items: items, Position: next}, err
}

func (s *Service) updateAuthorizer(c *gate.Call, in *rest.UpdateAuthorizerInput) (*rest.Authorizer, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.Authorizer, error) {
		i, err := r.authorizer(in.AuthorizerId)
		if err != nil {
			return nil, err
		}
		a := r.Authorizers[i]
		err = patch(&a, []string{"name", "type", "authorizerUri", "authorizerCredentials", "identitySource", "identityValidationExpression", "authorizerResultTtlInSeconds", "authType", "providerARNs"}, in.PatchOperations)
		if err != nil {
			return nil, err
		}
		if err := r.checkAuthorizer(&a); err != nil {
			return nil, err
		}
		r.Authorizers[i] = a
		return &a, nil
	})
}

func (s *Service) deleteAuthorizer(c *gate.Call, in *rest.DeleteAuthorizerInput) (*rest.DeleteAuthorizerOutput, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.DeleteAuthorizerOutput, error) {
		i, err := r.authorizer(in.AuthorizerId)
		if err != nil {
			return nil, err
		}
		for _, x := range r.Resources {
			for _, m := range x.ResourceMethods {
				if wire.Val(m.AuthorizerId) == in.AuthorizerId {
					return nil, conflict("Cannot delete authorizer '%s', is referenced in method: %s %s", in.AuthorizerId, wire.Val(m.HttpMethod), *x.Path)
				}
			}
		}
		r.Authorizers = slices.Delete(r.Authorizers, i, i+1)
		return &rest.DeleteAuthorizerOutput{}, nil
	})
}
