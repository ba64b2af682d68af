package edge

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// HTTPStage is one stage of an HTTP API with what was deployed to it.
type HTTPStage struct {
	Account, Region string
	API             v2.Api
	Stage           v2.Stage
	Cors            *v2.Cors
	Routes          []v2.Route
	Integrations    []v2.Integration
	Authorizers     []v2.Authorizer
}

// RESTStage is one stage of a REST API with what was deployed to it. Policy is the API's resource
// policy, its names written out.
type RESTStage struct {
	Account, Region string
	API             apigateway.RestApi
	Policy          string
	Stage           apigateway.Stage
	Resources       []apigateway.Resource
	Authorizers     []apigateway.Authorizer
}

// HTTPAPIs is what is deployed of HTTP APIs; service/apigatewayv2 has one.
type HTTPAPIs interface {
	// Stages are an API's deployed stages, and whether there is such an API.
	Stages(ctx context.Context, apiID string) ([]HTTPStage, bool, error)
	// APIs are the ids of all.
	APIs(ctx context.Context) ([]string, error)
	// Version grows whenever an answer may have changed.
	Version() uint64
}

// RESTAPIs is what is deployed of REST APIs; service/apigateway has one.
type RESTAPIs interface {
	Stages(ctx context.Context, apiID string) ([]RESTStage, bool, error)
	APIs(ctx context.Context) ([]string, error)
	Version() uint64
}

// api is an API ready to serve. It is immutable.
type api struct {
	id, account, region string
	rest                bool
	url                 *FunctionURL // of which it is the one API, else nil
	disabled            bool         // its execute-api endpoint is
	stages              map[string]*stage
}

type stage struct {
	api        *api
	name       string
	deployment string
	stack      string // that the API belongs to
	variables  map[string]string
	cors       *cors
	policy     string // resource policy; REST only
	binary     []string
	routes     []*route
	resources  []*resource // REST only
}

// route is a route of an HTTP API, or a method of a REST API.
type route struct {
	stage       *stage
	key         string // "GET /tasks/{id}", "$default"
	method      string
	path        string // "/tasks/{id}"; "" of $default
	patterns    []pattern
	kind        string // authorization: NONE, AWS_IAM, JWT, CUSTOM
	authorizer  *authorizer
	scopes      []string
	integration integration
	resourceID  string // REST only
	operation   string
	limit       limit
}

type authorizer struct {
	id, name   string
	kind       string // JWT, REQUEST, TOKEN
	issuer     string
	audience   []string
	function   string
	payload    string // 1.0, 2.0; "" of a REST API
	simple     bool
	sources    []string
	validation string // of a TOKEN
	form       *regexp.Regexp
	ttl        time.Duration
	uri        string
}

// integration is what a route leads to: a function, an HTTP server, or a fixed answer.
type integration struct {
	function string
	payload  string // 1.0, 2.0, "rest", "url"
	timeout  time.Duration
	caller   bool // the function is invoked as who calls the API; REST only
	streams  bool // its answer is passed on while it runs; function URLs only
	mock     *mock
	server   *server
}

// name is how the route is acknowledged: "a1b2c3 GET /health".
func (r *route) name() string { return r.stage.api.id + " " + r.key }

// find is the API ready to serve, nil where there is none. It is compiled anew after any change.
func (e *Edge) find(ctx context.Context, id string) (*api, error) {
	at := [2]uint64{e.HTTP.Version(), e.REST.Version()}
	e.mu.RLock()
	a, ok := e.compiled[id]
	fresh := e.versions == at
	e.mu.RUnlock()
	if ok && fresh {
		return a, nil
	}
	a, err := e.compile(ctx, id)
	if err != nil || a == nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.versions != at {
		if e.versions[0] > at[0] || e.versions[1] > at[1] {
			return a, nil // somebody has read later rows
		}
		clear(e.compiled)
		e.versions = at
	}
	if len(e.compiled) >= maxCompiled {
		clear(e.compiled)
	}
	e.compiled[id] = a
	return a, nil
}

const maxCompiled = 1000

func (e *Edge) compile(ctx context.Context, id string) (*api, error) {
	stages, known, err := e.HTTP.Stages(ctx, id)
	if err != nil {
		return nil, err
	}
	if known {
		return compileHTTP(id, stages)
	}
	rest, known, err := e.REST.Stages(ctx, id)
	if err != nil || !known {
		return nil, err
	}
	return compileREST(id, rest)
}

func compileHTTP(id string, stages []HTTPStage) (*api, error) {
	a := &api{id: id, stages: map[string]*stage{}}
	for i := range stages {
		s := &stages[i]
		a.account, a.region, a.disabled = s.Account, s.Region, wire.Val(s.API.DisableExecuteApiEndpoint)
		st := &stage{api: a, name: s.Stage.StageName, deployment: wire.Val(s.Stage.DeploymentId), variables: s.Stage.StageVariables,
			cors: newCors(s.Cors), stack: s.API.Tags[stackTag]}
		authorizers := map[string]*authorizer{}
		for i := range s.Authorizers {
			auth := httpAuthorizer(&s.Authorizers[i])
			authorizers[auth.id] = auth
		}
		for i := range s.Routes {
			r, err := httpRoute(st, s, &s.Routes[i], authorizers)
			if err != nil {
				return nil, err
			}
			st.routes = append(st.routes, r)
		}
		a.stages[st.name] = st
	}
	return a, nil
}

// stackTag is CloudFormation's mark on what it makes.
const stackTag = "aws:cloudformation:stack-name"

func httpRoute(st *stage, s *HTTPStage, in *v2.Route, authorizers map[string]*authorizer) (*route, error) {
	r := &route{stage: st, key: in.RouteKey, kind: wire.Val(in.AuthorizationType), scopes: in.AuthorizationScopes, operation: wire.Val(in.OperationName)}
	if r.kind == "" {
		r.kind = "NONE"
	}
	if in.RouteKey != defaultStage {
		r.method, r.path, _ = strings.Cut(in.RouteKey, " ")
		r.patterns = patternsOf(r.path)
	}
	if r.kind == "JWT" || r.kind == "CUSTOM" {
		if r.authorizer = authorizers[wire.Val(in.AuthorizerId)]; r.authorizer == nil {
			return nil, fmt.Errorf("edge: route %s has no authorizer %s", r.name(), wire.Val(in.AuthorizerId))
		}
	}
	id := strings.TrimPrefix(wire.Val(in.Target), "integrations/")
	for _, i := range s.Integrations {
		if wire.Val(i.IntegrationId) == id {
			r.integration = integration{payload: wire.Val(i.PayloadFormatVersion), timeout: time.Duration(wire.Val(i.TimeoutInMillis)) * time.Millisecond}
			if wire.Val(i.IntegrationType) == "HTTP_PROXY" {
				r.integration.server = httpServer(&i, st.variables)
			} else {
				r.integration.function = functionOf(wire.Val(i.IntegrationUri))
			}
		}
	}
	settings, ok := s.Stage.RouteSettings[in.RouteKey]
	if d := s.Stage.DefaultRouteSettings; d != nil && !ok {
		settings = *d
	}
	r.limit = newLimit(settings.ThrottlingRateLimit, settings.ThrottlingBurstLimit)
	return r, nil
}

// defaultTTL is how long a Lambda authorizer's result is kept where it does not say.
const defaultTTL = 300 * time.Second

func httpAuthorizer(in *v2.Authorizer) *authorizer {
	a := &authorizer{id: wire.Val(in.AuthorizerId), name: in.Name, kind: wire.Val(in.AuthorizerType), uri: wire.Val(in.AuthorizerUri),
		function: functionOf(wire.Val(in.AuthorizerUri)), payload: wire.Val(in.AuthorizerPayloadFormatVersion),
		simple: wire.Val(in.EnableSimpleResponses), sources: in.IdentitySource}
	if j := in.JwtConfiguration; j != nil {
		a.issuer, a.audience = wire.Val(j.Issuer), j.Audience
	}
	switch {
	case in.AuthorizerResultTtlInSeconds != nil:
		a.ttl = time.Duration(*in.AuthorizerResultTtlInSeconds) * time.Second
	case len(a.sources) > 0:
		a.ttl = defaultTTL
	}
	return a
}

// functionOf is the function that a URI names, by its ARN or within API Gateway's path.
func functionOf(uri string) string {
	if _, path, ok := strings.Cut(uri, ":lambda:path/2015-03-31/functions/"); ok {
		return strings.TrimSuffix(path, "/invocations")
	}
	return uri
}
