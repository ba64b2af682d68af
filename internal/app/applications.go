package app

import (
	"context"
	"net/http"

	"github.com/bastide-cloud/bastide/internal/edge"
	"github.com/bastide-cloud/bastide/internal/edge/jwt"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/service/apigateway"
	"github.com/bastide-cloud/bastide/internal/service/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/service/bastide"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// applications makes the edge, which the gate must be there for.
func (s *Server) applications(http *apigatewayv2.Service, rest *apigateway.Service, functions *lambda.Service) (*edge.Edge, error) {
	out, err := s.issuers()
	if err != nil {
		return nil, err
	}
	called, err := s.servers()
	if err != nil {
		return nil, err
	}
	return edge.New(edge.Deps{Gate: s.gate, Servers: called, HTTP: httpAPIs{apigatewayv2.NewDirectory(http, s.db)}, REST: restAPIs{apigateway.NewDirectory(rest, s.db)},
		URLs: functionURLs{lambda.NewDirectory(functions, s.db)}, Signatures: signatures{s.verifier()}, JWT: jwt.New(jwt.Options{Fetch: out, Clock: s.clock}),
		Acknowledgements: bastide.Acknowledged{DB: s.db}, Strangers: s.trail, Clock: s.clock, IDs: s.ids, Log: s.log, Base: s.applicationsAt}), nil
}

// applicationsAt is where applications answer.
func (s *Server) applicationsAt() string {
	if s.apps != nil {
		return "http://" + reachable(s.apps.Addr())
	}
	if s.api != nil {
		return s.Address()
	}
	return "http://" + s.cfg.Listen
}

// endpoint is the URL of an API by its host.
func (s *Server) endpoint(apiID, _ string) string {
	byHost, _ := edge.APIURLs(s.applicationsAt(), apiID, "$default")
	return byHost
}

// functionURL is a function URL by its host.
func (s *Server) functionURL(id string) string {
	byHost, _ := edge.FunctionURLs(s.applicationsAt(), id)
	return byHost
}

// signatures verifies requests to routes and function URLs of AWS_IAM.
type signatures struct{ *sigv4.Verifier }

func (v signatures) Identify(r *http.Request, body []byte, service, region string, from gate.Source) (identity.Principal, error) {
	verified, err := v.Verify(r, body, sigv4.SigningOptions{Services: []string{service}, Region: region, Closed: from.Function != ""})
	if err != nil {
		return identity.Anonymous(), err
	}
	return identity.Of(verified)
}

// httpAPIs shows what service/apigatewayv2 has deployed to the edge.
type httpAPIs struct{ *apigatewayv2.Directory }

func (h httpAPIs) Stages(ctx context.Context, id string) ([]edge.HTTPStage, bool, error) {
	stages, known, err := h.Directory.Stages(ctx, id)
	var out []edge.HTTPStage
	for _, st := range stages {
		out = append(out, edge.HTTPStage(st))
	}
	return out, known, err
}

// restAPIs shows what service/apigateway has deployed to the edge.
type restAPIs struct{ *apigateway.Directory }

func (r restAPIs) Stages(ctx context.Context, id string) ([]edge.RESTStage, bool, error) {
	stages, known, err := r.Directory.Stages(ctx, id)
	var out []edge.RESTStage
	for _, st := range stages {
		out = append(out, edge.RESTStage(st))
	}
	return out, known, err
}

// functionURLs shows service/lambda's to the edge.
type functionURLs struct{ *lambda.Directory }

func (f functionURLs) URL(ctx context.Context, id string) (*edge.FunctionURL, error) {
	served, err := f.Directory.URL(ctx, id)
	return (*edge.FunctionURL)(served), err
}

// routes lists those of all applications, for Bastide's own service.
type routes struct{ s *Server }

func (r routes) Routes(ctx context.Context) ([]bastide.Route, error) {
	all, err := r.s.rooms.edge.Routes(ctx)
	var out []bastide.Route
	for _, one := range all {
		out = append(out, bastide.Route{Name: one.Name, Authorization: one.Authorization, URL: one.URL + " " + one.PathURL, Stack: one.Stack, Target: one.Target})
	}
	return out, err
}
