package apigatewayv2

import (
	"regexp"
	"slices"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/endpoint"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) createIntegration(c *gate.Call, in *v2.CreateIntegrationInput) (*v2.CreateIntegrationOutput, error) {
	if in.TlsConfig != nil {
		return nil, notBuilt("TLS configuration of integrations")
	}
	i := v2.Integration{IntegrationId: new(s.ids.Lower(7)), ConnectionType: new("INTERNET")}
	wire.Fill(&i, in)
	if err := checkIntegration(&i); err != nil {
		return nil, err
	}
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.CreateIntegrationOutput, error) {
		if len(r.Integrations) >= maxRoutes {
			return nil, bad("The maximum number of integrations for this API is %d", maxRoutes)
		}
		r.Integrations = append(r.Integrations, i)
		return filled[v2.CreateIntegrationOutput](&i), nil
	})
}

func (s *Service) getIntegration(c *gate.Call, in *v2.GetIntegrationInput) (*v2.GetIntegrationOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	i, err := find(r.Integrations, integrationID, "Integration", in.IntegrationId)
	if err != nil {
		return nil, err
	}
	return filled[v2.GetIntegrationOutput](&r.Integrations[i]), nil
}

func (s *Service) getIntegrations(c *gate.Call, in *v2.GetIntegrationsInput) (*v2.GetIntegrationsOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := page(r.Integrations, in.MaxResults, in.NextToken)
	return &v2.GetIntegrationsOutput{Items: items, NextToken: next}, err
}

func (s *Service) updateIntegration(c *gate.Call, in *v2.UpdateIntegrationInput) (*v2.UpdateIntegrationOutput, error) {
	if in.TlsConfig != nil {
		return nil, notBuilt("TLS configuration of integrations")
	}
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.UpdateIntegrationOutput, error) {
		i, err := find(r.Integrations, integrationID, "Integration", in.IntegrationId)
		if err != nil {
			return nil, err
		}
		changed := r.Integrations[i]
		wire.Fill(&changed, in)
		if err := checkIntegration(&changed); err != nil {
			return nil, err
		}
		r.Integrations[i] = changed
		return filled[v2.UpdateIntegrationOutput](&changed), nil
	})
}

func (s *Service) deleteIntegration(c *gate.Call, in *v2.DeleteIntegrationInput) (*v2.DeleteIntegrationOutput, error) {
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.DeleteIntegrationOutput, error) {
		i, err := find(r.Integrations, integrationID, "Integration", in.IntegrationId)
		if err != nil {
			return nil, err
		}
		for _, route := range r.Routes {
			if wire.Val(route.Target) == "integrations/"+in.IntegrationId {
				return nil, conflict("Cannot delete Integration %s because it is referenced by route %s", in.IntegrationId, *route.RouteId)
			}
		}
		r.Integrations = slices.Delete(r.Integrations, i, i+1)
		return &v2.DeleteIntegrationOutput{}, nil
	})
}

const usualTimeout = 30000 // milliseconds that an integration has where nobody says; the quota

// checkIntegration refuses an integration that is neither a Lambda proxy nor an HTTP one.
func checkIntegration(i *v2.Integration) error {
	settle(i)
	switch {
	case wire.Val(i.ConnectionType) == "VPC_LINK" || i.ConnectionId != nil:
		return notBuilt("VPC links")
	case wire.Val(i.IntegrationType) != "AWS_PROXY" && wire.Val(i.IntegrationType) != "HTTP_PROXY":
		return bad("Integration type %s is not supported for HTTP APIs", wire.Val(i.IntegrationType))
	case i.IntegrationSubtype != nil:
		return notBuilt("Integrations with AWS services")
	case i.CredentialsArn != nil:
		return notBuilt("Credentials of integrations")
	case len(i.RequestParameters) > 0 || len(i.ResponseParameters) > 0:
		return notBuilt("Parameter mapping")
	case len(i.RequestTemplates) > 0 || i.TemplateSelectionExpression != nil || i.ContentHandlingStrategy != nil || i.PassthroughBehavior != nil:
		return bad("Templates, content handling and passthrough behavior are only supported for WebSocket APIs")
	}
	if i.TimeoutInMillis == nil {
		i.TimeoutInMillis = new(int32(usualTimeout))
	}
	if wire.Val(i.IntegrationType) == "HTTP_PROXY" {
		return checkServer(i)
	}
	if _, ok := functionOf(wire.Val(i.IntegrationUri)); !ok {
		return bad("Invalid integration URI specified")
	}
	switch wire.Val(i.PayloadFormatVersion) {
	case "":
		i.PayloadFormatVersion = new("1.0")
	case "1.0", "2.0":
	default:
		return bad("PayloadFormatVersion must be 1.0 or 2.0")
	}
	i.IntegrationMethod = new("POST")
	return nil
}

// stageVariable is a part of a URI that each stage fills in.
var stageVariable = regexp.MustCompile(`\$\{stageVariables\.[A-Za-z0-9_]+\}`)

// verbs are the methods that an integration may call an HTTP server with.
var verbs = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"}

// checkServer refuses an integration with an HTTP server that could never be called. Which servers may
// be called is judged at each request, by the address that the name has then.
func checkServer(i *v2.Integration) error {
	if _, err := endpoint.Parse(stageVariable.ReplaceAllString(wire.Val(i.IntegrationUri), "x")); err != nil {
		return bad("Invalid HTTP endpoint specified for URI")
	}
	if i.IntegrationMethod == nil || !slices.Contains(verbs, *i.IntegrationMethod) {
		return bad("IntegrationMethod must be one of %s", strings.Join(verbs, ", "))
	}
	if wire.Val(i.PayloadFormatVersion) != "" && *i.PayloadFormatVersion != "1.0" {
		return bad("PayloadFormatVersion must be 1.0 for HTTP_PROXY integrations")
	}
	i.PayloadFormatVersion = new("1.0")
	return nil
}

// functionOf is the function that an integration's or authorizer's URI names: by its own ARN, or
// as arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations.
func functionOf(uri string) (string, bool) {
	if rest, ok := strings.CutPrefix(uri, "arn:aws:apigateway:"); ok {
		_, path, ok := strings.Cut(rest, ":lambda:path/")
		if !ok {
			return "", false
		}
		path, ok = strings.CutPrefix(path, "2015-03-31/functions/")
		if !ok {
			return "", false
		}
		if uri, ok = strings.CutSuffix(path, "/invocations"); !ok {
			return "", false
		}
	}
	a, err := arn.Parse(uri)
	if err != nil || a.Service != "lambda" || !strings.HasPrefix(a.Resource, "function:") || len(a.Resource) == len("function:") || strings.ContainsAny(uri, "${}") {
		return "", false
	}
	return uri, true
}
