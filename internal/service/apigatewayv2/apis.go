package apigatewayv2

import (
	"slices"
	"strconv"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// What an API has where nobody says otherwise.
const (
	selection    = "$request.method $request.path"
	keySelection = "$request.header.x-api-key"
)

func (s *Service) createAPI(c *gate.Call, in *v2.CreateApiInput) (*v2.CreateApiOutput, error) {
	if in.ProtocolType != "HTTP" {
		return nil, notBuilt("WebSocket APIs")
	}
	if in.CredentialsArn != nil {
		return nil, notBuilt("Credentials of integrations")
	}
	r := s.newRecord(c, in.Name)
	wire.Fill(&r.API, in)
	if err := checkAPI(&r.API); err != nil {
		return nil, err
	}
	if in.Target != nil {
		if err := s.quickCreate(&r, *in.Target, wire.Val(in.RouteKey)); err != nil {
			return nil, err
		}
	} else if in.RouteKey != nil {
		return nil, bad("RouteKey is only valid together with Target")
	}
	return add[v2.CreateApiOutput](s, c, &r)
}

// newRecord is an API with nothing in it.
func (s *Service) newRecord(c *gate.Call, name string) record {
	id := s.ids.Lower(10)
	now := c.Now()
	return record{Account: c.Account(), Region: c.Region(), API: v2.Api{ApiId: &id, Name: name, ProtocolType: "HTTP", CreatedDate: &now,
		RouteSelectionExpression: selection, ApiKeySelectionExpression: new(keySelection),
		DisableExecuteApiEndpoint: new(false), IpAddressType: new("ipv4"), ApiEndpoint: new(s.endpoint(id, c.Region()))}}
}

// add writes a new API, with a deployment for its stages.
func add[Out any](s *Service, c *gate.Call, r *record) (*Out, error) {
	next := s.ids.Lower(6)
	return gate.Commit(c, func(tx *store.Tx) (*Out, error) {
		made := *r
		made.Stages = slices.Clone(r.Stages)
		if err := s.redeploy(tx, &made, next); err != nil {
			return nil, err
		}
		var out Out
		wire.Fill(&out, &made.API)
		return &out, s.t.apis.Put(tx, made.key(), made)
	})
}

// quickCreate adds one route, its integration and a $default stage that deploys by itself.
func (s *Service) quickCreate(r *record, target, key string) error {
	if key == "" {
		key = "$default"
	}
	i := v2.Integration{IntegrationId: new(s.ids.Lower(7)), IntegrationType: new("AWS_PROXY"), IntegrationUri: &target,
		PayloadFormatVersion: new("2.0"), ApiGatewayManaged: new(true)}
	if strings.HasPrefix(target, "http") {
		i.IntegrationType, i.IntegrationMethod, i.PayloadFormatVersion = new("HTTP_PROXY"), new("ANY"), nil
	}
	if err := checkIntegration(&i); err != nil {
		return err
	}
	route := v2.Route{RouteId: new(s.ids.Lower(7)), RouteKey: key, Target: new("integrations/" + *i.IntegrationId), ApiGatewayManaged: new(true),
		AuthorizationType: new("NONE"), ApiKeyRequired: new(false)}
	r.Integrations = append(r.Integrations, i)
	if err := checkRoute(r, &route); err != nil {
		return err
	}
	r.Routes = append(r.Routes, route)
	now := *r.API.CreatedDate
	r.Stages = append(r.Stages, v2.Stage{StageName: "$default", AutoDeploy: new(true), ApiGatewayManaged: new(true), CreatedDate: &now, LastUpdatedDate: &now})
	return nil
}

func checkAPI(a *v2.Api) error {
	settle(a)
	if a.Name == "" {
		return bad("Name is required")
	}
	if a.RouteSelectionExpression != selection && a.RouteSelectionExpression != "${request.method} ${request.path}" {
		return bad("Invalid RouteSelectionExpression: an HTTP API has %s", selection)
	}
	if wire.Val(a.DisableSchemaValidation) {
		return bad("DisableSchemaValidation is not supported for HTTP APIs")
	}
	if err := checkTags(a.Tags); err != nil {
		return err
	}
	return checkCors(a.CorsConfiguration)
}

// checkCors refuses what would hand a user's credentials to any origin. AWS allows credentials
// with "https://*"; Bastide does not.
func checkCors(c *v2.Cors) error {
	if c == nil {
		return nil
	}
	for _, o := range c.AllowOrigins {
		wild := o == "*" || o == "https://*" || o == "http://*"
		if !wild && (!strings.Contains(o, "://") || strings.ContainsAny(o, "*, ")) {
			return bad("Invalid format for origin %s", o)
		}
		if wild && wire.Val(c.AllowCredentials) {
			return bad("allowCredentials is not supported for wildcard origins")
		}
	}
	for _, m := range c.AllowMethods {
		if m != "*" && !slices.Contains(methods, m) {
			return bad("Invalid method %s in allowMethods", m)
		}
	}
	for _, h := range slices.Concat(c.AllowHeaders, c.ExposeHeaders) {
		if h == "" || strings.ContainsAny(h, "\r\n,:") {
			return bad("Invalid header name %q", h)
		}
	}
	return nil
}

func (s *Service) getAPI(c *gate.Call, in *v2.GetApiInput) (*v2.GetApiOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	return filled[v2.GetApiOutput](&r.API), nil
}

// filled is an output with the members of what is stored.
func filled[Out any](stored any) *Out {
	var out Out
	wire.Fill(&out, stored)
	return &out
}

func (s *Service) getAPIs(c *gate.Call, in *v2.GetApisInput) (*v2.GetApisOutput, error) {
	var all []v2.Api
	err := c.View(func(tx *store.Tx) error {
		all = nil
		for row, err := range s.t.apis.Scan(tx, store.K(c.Account(), c.Region()), store.Range{}) {
			if err != nil {
				return err
			}
			all = append(all, row.Value.API)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items, next, err := page(all, in.MaxResults, in.NextToken)
	return &v2.GetApisOutput{Items: items, NextToken: next}, err
}

const maxPage = 500

// page is the part of a list that a caller asked for; a token is the number of the next item.
func page[T any](all []T, max, token *string) ([]T, *string, error) {
	from, size := 0, maxPage
	var err error
	if token != nil {
		if from, err = strconv.Atoi(*token); err != nil || from < 0 {
			return nil, nil, bad("Invalid NextToken")
		}
	}
	if max != nil {
		if size, err = strconv.Atoi(*max); err != nil || size < 1 || size > maxPage {
			return nil, nil, bad("Invalid MaxResults")
		}
	}
	from = min(from, len(all))
	end := min(from+size, len(all))
	out := all[from:end]
	if out == nil {
		out = []T{}
	}
	if end < len(all) {
		return out, new(strconv.Itoa(end)), nil
	}
	return out, nil, nil
}

func (s *Service) updateAPI(c *gate.Call, in *v2.UpdateApiInput) (*v2.UpdateApiOutput, error) {
	if in.CredentialsArn != nil {
		return nil, notBuilt("Credentials of integrations")
	}
	now := c.Now()
	quick := record{API: v2.Api{CreatedDate: &now}}
	if wire.Val(in.Target) != "" {
		if err := s.quickCreate(&quick, *in.Target, wire.Val(in.RouteKey)); err != nil {
			return nil, err
		}
	}
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.UpdateApiOutput, error) {
		wire.Fill(&r.API, in)
		if err := checkAPI(&r.API); err != nil {
			return nil, err
		}
		if err := r.retarget(in, &quick); err != nil {
			return nil, err
		}
		return filled[v2.UpdateApiOutput](&r.API), nil
	})
}

// retarget changes the route and integration of a quickly created API. Beyond what AWS takes, an
// empty target takes them away with their stage, and an API without them gets those of quick: an
// update of a stack says so where its template drops or brings a target.
func (r *record) retarget(in *v2.UpdateApiInput, quick *record) error {
	i := slices.IndexFunc(r.Integrations, func(i v2.Integration) bool { return wire.Val(i.ApiGatewayManaged) })
	n := slices.IndexFunc(r.Routes, func(x v2.Route) bool { return wire.Val(x.ApiGatewayManaged) })
	switch {
	case in.Target == nil && in.RouteKey == nil:
		return nil
	case in.Target != nil && *in.Target == "" && in.RouteKey != nil:
		return bad("RouteKey is only valid together with Target")
	case in.Target != nil && *in.Target == "":
		return r.untarget()
	case i < 0 && n < 0 && in.Target != nil:
		return r.target(quick)
	case i < 0 || n < 0:
		return bad("Target and RouteKey may only be updated for APIs made with quick create")
	}
	if in.Target != nil {
		r.Integrations[i].IntegrationUri = in.Target
		if err := checkIntegration(&r.Integrations[i]); err != nil {
			return err
		}
	}
	if in.RouteKey != nil {
		r.Routes[n].RouteKey = *in.RouteKey
		return checkRoute(r, &r.Routes[n])
	}
	return nil
}

// target gives an API what a quick creation would have made.
func (r *record) target(quick *record) error {
	if slices.ContainsFunc(r.Stages, func(x v2.Stage) bool { return x.StageName == "$default" }) {
		return conflict("Stage already exists")
	}
	r.Integrations = append(r.Integrations, quick.Integrations...)
	r.Stages = append(r.Stages, quick.Stages...)
	route := quick.Routes[0]
	if err := checkRoute(r, &route); err != nil {
		return err
	}
	r.Routes = append(r.Routes, route)
	return nil
}

// untarget takes away what a quick creation made.
func (r *record) untarget() error {
	r.Routes = slices.DeleteFunc(r.Routes, func(x v2.Route) bool { return wire.Val(x.ApiGatewayManaged) })
	for _, i := range r.Integrations {
		for _, route := range r.Routes {
			if wire.Val(i.ApiGatewayManaged) && wire.Val(route.Target) == "integrations/"+*i.IntegrationId {
				return conflict("Cannot delete Integration %s because it is referenced by route %s", *i.IntegrationId, *route.RouteId)
			}
		}
	}
	r.Integrations = slices.DeleteFunc(r.Integrations, func(i v2.Integration) bool { return wire.Val(i.ApiGatewayManaged) })
	r.Stages = slices.DeleteFunc(r.Stages, func(x v2.Stage) bool { return wire.Val(x.ApiGatewayManaged) })
	return nil
}

func (s *Service) deleteAPI(c *gate.Call, in *v2.DeleteApiInput) (*v2.DeleteApiOutput, error) {
	err := c.Update(func(tx *store.Tx) error {
		r, err := s.t.get(tx, c.Account(), c.Region(), in.ApiId)
		if err != nil {
			return err
		}
		for row, err := range s.t.deployments.Scan(tx, r.key(), store.Range{}) {
			if err != nil {
				return err
			}
			if _, err := s.t.deployments.Delete(tx, row.Key); err != nil {
				return err
			}
		}
		_, err = s.t.apis.Delete(tx, r.key())
		return err
	})
	return &v2.DeleteApiOutput{}, err
}

func (s *Service) deleteCors(c *gate.Call, in *v2.DeleteCorsConfigurationInput) (*v2.DeleteCorsConfigurationOutput, error) {
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.DeleteCorsConfigurationOutput, error) {
		r.API.CorsConfiguration = nil
		return &v2.DeleteCorsConfigurationOutput{}, nil
	})
}
