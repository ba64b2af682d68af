package apigatewayv2

import (
	"regexp"
	"slices"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// methods are those that a route key may name, beside ANY.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

const maxRoutes = 300 // quota: routes per HTTP API

func (s *Service) createRoute(c *gate.Call, in *v2.CreateRouteInput) (*v2.CreateRouteOutput, error) {
	id := s.ids.Lower(7)
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.CreateRouteOutput, error) {
		route := v2.Route{RouteId: &id, AuthorizationType: new("NONE"), ApiKeyRequired: new(false)}
		wire.Fill(&route, in)
		if err := checkRoute(r, &route); err != nil {
			return nil, err
		}
		if len(r.Routes) >= maxRoutes {
			return nil, bad("The maximum number of routes for this API is %d", maxRoutes)
		}
		r.Routes = append(r.Routes, route)
		return filled[v2.CreateRouteOutput](&route), nil
	})
}

func (s *Service) getRoute(c *gate.Call, in *v2.GetRouteInput) (*v2.GetRouteOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	i, err := find(r.Routes, routeID, "Route", in.RouteId)
	if err != nil {
		return nil, err
	}
	return filled[v2.GetRouteOutput](&r.Routes[i]), nil
}

func (s *Service) getRoutes(c *gate.Call, in *v2.GetRoutesInput) (*v2.GetRoutesOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := page(r.Routes, in.MaxResults, in.NextToken)
	return &v2.GetRoutesOutput{Items: items, NextToken: next}, err
}

func (s *Service) updateRoute(c *gate.Call, in *v2.UpdateRouteInput) (*v2.UpdateRouteOutput, error) {
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.UpdateRouteOutput, error) {
		i, err := find(r.Routes, routeID, "Route", in.RouteId)
		if err != nil {
			return nil, err
		}
		route := r.Routes[i]
		wire.Fill(&route, in)
		if t := in.AuthorizationType; t != nil && (*t == "NONE" || *t == "AWS_IAM") {
			route.AuthorizerId, route.AuthorizationScopes = in.AuthorizerId, in.AuthorizationScopes
		}
		if err := checkRoute(r, &route); err != nil {
			return nil, err
		}
		r.Routes[i] = route
		return filled[v2.UpdateRouteOutput](&route), nil
	})
}

func (s *Service) deleteRoute(c *gate.Call, in *v2.DeleteRouteInput) (*v2.DeleteRouteOutput, error) {
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.DeleteRouteOutput, error) {
		i, err := find(r.Routes, routeID, "Route", in.RouteId)
		if err != nil {
			return nil, err
		}
		r.Routes = slices.Delete(r.Routes, i, i+1)
		return &v2.DeleteRouteOutput{}, nil
	})
}

// variable is a segment of a path that stands for what a request has there.
var variable = regexp.MustCompile(`^\{[A-Za-z0-9._:-]+\+?\}$`)

// checkKey refuses a route key that no request could be matched with.
func checkKey(key string) error {
	if key == "$default" {
		return nil
	}
	method, path, ok := strings.Cut(key, " ")
	if !ok || method != "ANY" && !slices.Contains(methods, method) || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#") || len(path) > 512 {
		return bad("The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\"")
	}
	seen := map[string]bool{}
	segments := strings.Split(path[1:], "/")
	for i, seg := range segments {
		if !strings.ContainsAny(seg, "{}") {
			continue
		}
		if !variable.MatchString(seg) {
			return bad("The provided route key is not formatted properly for HTTP protocol. Invalid path variable in %q", seg)
		}
		name := strings.TrimSuffix(seg[1:len(seg)-1], "+")
		if strings.HasSuffix(seg, "+}") && i != len(segments)-1 {
			return bad("The greedy path variable %q must be at the end of the route key", seg)
		}
		if seen[name] {
			return bad("The path variable %q is in the route key twice", name)
		}
		seen[name] = true
	}
	return nil
}

// checkRoute refuses a route that cannot serve within its API.
func checkRoute(r *record, route *v2.Route) error {
	settle(route)
	if err := checkKey(route.RouteKey); err != nil {
		return err
	}
	for i := range r.Routes {
		if r.Routes[i].RouteKey == route.RouteKey && *r.Routes[i].RouteId != *route.RouteId {
			return conflict("Route with key %s already exists for this API", route.RouteKey)
		}
	}
	switch {
	case wire.Val(route.ApiKeyRequired):
		return bad("apiKeyRequired is not currently supported for HTTP APIs")
	case route.ModelSelectionExpression != nil || len(route.RequestModels) > 0 || len(route.RequestParameters) > 0 || route.RouteResponseSelectionExpression != nil:
		return bad("Models, request parameters and route responses are only supported for WebSocket APIs")
	}
	if route.Target != nil {
		id, ok := strings.CutPrefix(*route.Target, "integrations/")
		if !ok {
			return bad("Invalid target %s: the format is integrations/<integration id>", *route.Target)
		}
		if _, err := find(r.Integrations, integrationID, "Integration", id); err != nil {
			return bad("Invalid integration identifier specified: %s", id)
		}
	}
	return checkAuthorization(r, route)
}

func checkAuthorization(r *record, route *v2.Route) error {
	kind := wire.Val(route.AuthorizationType)
	if len(route.AuthorizationScopes) > 0 && kind != "JWT" {
		return bad("Authorization scopes are only valid for the authorization type JWT")
	}
	switch kind {
	case "", "NONE", "AWS_IAM":
		if route.AuthorizerId != nil {
			return bad("An authorizer is not valid for the authorization type %s", kind)
		}
		return nil
	}
	if route.AuthorizerId == nil {
		return bad("AuthorizerId must be set for the authorization type %s", kind)
	}
	i, err := find(r.Authorizers, authorizerID, "Authorizer", *route.AuthorizerId)
	if err != nil {
		return bad("Invalid authorizer identifier specified: %s", *route.AuthorizerId)
	}
	want := map[string]string{"JWT": "JWT", "CUSTOM": "REQUEST"}[kind]
	if got := wire.Val(r.Authorizers[i].AuthorizerType); got != want {
		return bad("The authorizer's type %s does not fit the authorization type %s", got, kind)
	}
	return nil
}
