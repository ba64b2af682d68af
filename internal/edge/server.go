package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/endpoint"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Integration says on whose behalf an HTTP server is called.
type Integration struct {
	Account, Region string
	Route           string // ARN of the API's route
}

// Servers calls the HTTP servers of integrations; egress is behind it. It follows no redirects, reaches
// no server but the request's, and gives an error that is a Refusal for one that may not be called.
type Servers interface {
	Call(r *http.Request, by Integration) (*http.Response, error)
}

// Refusal is the error of a server that may not be called.
type Refusal interface {
	error
	Refused() bool
}

// server is an integration with an HTTP server.
type server struct {
	at         endpoint.Endpoint
	fault      error  // why it cannot be called in this stage
	method     string // "" or ANY: the client's
	proxy      bool   // the request passes as it is
	parameters map[string]string
	responses  []serverResponse // of one that is no proxy, the default last
	passes     bool             // bodies do, without a template
}

type serverResponse struct {
	pattern *regexp.Regexp // nil for the default
	status  int
	headers map[string]string
	bodies  map[string]string
}

// httpServer is an HTTP API's integration with a server.
func httpServer(in *v2.Integration, variables map[string]string) *server {
	s := &server{method: wire.Val(in.IntegrationMethod), proxy: true, passes: true}
	s.at, s.fault = endpoint.Parse(expand(wire.Val(in.IntegrationUri), variables))
	return s
}

// restServer is a REST API's.
func restServer(in *apigateway.Integration, variables map[string]string) *server {
	s := &server{method: wire.Val(in.HttpMethod), proxy: wire.Val(in.Type) == "HTTP_PROXY", parameters: in.RequestParameters,
		passes: wire.Val(in.PassthroughBehavior) != "NEVER"}
	s.at, s.fault = endpoint.Parse(expand(wire.Val(in.Uri), variables))
	for _, k := range slices.Sorted(maps.Keys(in.IntegrationResponses)) {
		r := in.IntegrationResponses[k]
		one := serverResponse{headers: r.ResponseParameters, bodies: r.ResponseTemplates}
		one.status, _ = strconv.Atoi(wire.Val(r.StatusCode)) // checked when it was made
		if p := wire.Val(r.SelectionPattern); p != "" {
			var err error
			if one.pattern, err = regexp.Compile("^(?:" + p + ")$"); err != nil {
				s.fault = err
			}
		}
		s.responses = append(s.responses, one)
	}
	slices.SortStableFunc(s.responses, func(a, b serverResponse) int {
		switch {
		case a.pattern != nil && b.pattern == nil:
			return -1
		case a.pattern == nil && b.pattern != nil:
			return 1
		}
		return 0
	})
	return s
}

// callServer runs an integration with an HTTP server. What came of it is answered, a redirect as it is.
func (x *exchange) callServer(c *gate.Call) (*response, error) {
	i := x.route.integration
	if x.edge.Servers == nil {
		return nil, x.fail(internal, errors.New("no HTTP server is called from here"))
	}
	if !i.server.proxy && !i.server.passes && len(x.body) > 0 {
		return nil, x.fail(unsupported, errors.New("no request template is for the body, and none passes without"))
	}
	ctx, cancel := context.WithTimeout(c.Context(), i.timeout)
	defer cancel()
	r, err := x.request(ctx, i.server)
	if err != nil {
		return nil, x.fail(unfilled(err), err)
	}
	answer, err := x.edge.Servers.Call(r, Integration{x.api.account, x.api.region, x.routeARN()})
	if err != nil {
		return nil, x.fail(serverReason(ctx, err), err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, x.fail(serverReason(ctx, err), err)
	case len(body) > maxBody:
		return nil, x.fail(malformed, fmt.Errorf("the server's answer is larger than %d bytes", maxBody))
	case answer.StatusCode < 200:
		return nil, x.fail(malformed, fmt.Errorf("the server answered %d", answer.StatusCode))
	}
	return x.serverAnswer(i.server, answer, body)
}

// unfilled tells a client whose path leads astray from a faulty integration.
func unfilled(err error) reason {
	if errors.Is(err, endpoint.ErrPart) || errors.Is(err, errHeaderValue) {
		return badRequest
	}
	return internal
}

// late is an error that tells whether it is one of time, as those of package net do.
type late interface {
	error
	Timeout() bool
}

// serverReason tells a server that was late from one that failed, and one that may not be called.
func serverReason(ctx context.Context, err error) reason {
	if r, ok := errors.AsType[Refusal](err); ok && r.Refused() {
		return internal
	}
	if e, ok := errors.AsType[late](err); ctx.Err() != nil || ok && e.Timeout() {
		return serverLate
	}
	return serverFailed
}

// request is what the server gets.
func (x *exchange) request(ctx context.Context, s *server) (*http.Request, error) {
	if s.fault != nil {
		return nil, s.fault
	}
	parts := x.params
	query, header := x.rawQuery, x.headers().Clone()
	if x.route.kind == "AWS_IAM" { // the client's signature is for this API, and its session's token for nobody else
		for _, k := range signingHeaders {
			header.Del(k)
		}
	}
	if !s.proxy {
		parts, query = map[string]string{}, ""
		header = http.Header{"Content-Type": header["Content-Type"], "Accept": header["Accept"], "X-Amzn-Trace-Id": {x.trace}}
	}
	if x.api.rest {
		header.Set("X-Amzn-Apigateway-Api-Id", x.api.id)
	} else {
		scheme, _ := x.origin()
		header.Add("Forwarded", fmt.Sprintf("for=%q;host=%q;proto=%s", x.source.Address(), x.r.Host, scheme))
		header.Add("Via", fmt.Sprintf("%d.%d AmazonAPIGateway", x.r.ProtoMajor, x.r.ProtoMinor))
	}
	parts, query, err := x.mapParameters(s, parts, query, header)
	if err != nil {
		return nil, err
	}
	target, err := s.at.Fill(parts)
	if err != nil {
		return nil, err
	}
	if query != "" {
		glue := "?"
		if strings.Contains(target, "?") {
			glue = "&"
		}
		target += glue + query
	}
	method := s.method
	if method == "" || method == "ANY" {
		method = x.r.Method
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(x.body))
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"Host", "Content-Length", "Expect"} { // the message's own
		header.Del(k)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "AmazonAPIGateway_"+x.api.id)
	}
	if header.Get("Accept-Encoding") == "" {
		header.Set("Accept-Encoding", "identity") // what a client did not ask for would be undone on the way
	}
	r.Header = header
	return r, nil
}

// serverAnswer is what the client gets.
func (x *exchange) serverAnswer(s *server, in *http.Response, body []byte) (*response, error) {
	out := &response{status: in.StatusCode, header: http.Header{}, body: body}
	drop := map[string]bool{"Content-Length": true}
	for _, v := range in.Header["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			drop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	for k, v := range in.Header {
		if !hopByHop[k] && !drop[k] {
			out.header[k] = v
		}
	}
	if s.proxy {
		if x.api.rest {
			out.header = remapped(out.header)
		}
		return out, nil
	}
	status := strconv.Itoa(in.StatusCode)
	for _, r := range s.responses {
		if r.pattern != nil && !r.pattern.MatchString(status) {
			continue
		}
		return r.answer(in, body), nil
	}
	return nil, x.fail(internal, fmt.Errorf("no integration response is for the status %s", status))
}

// answer is a mapped response: its own headers, and the server's body unless there is a fixed one.
func (r serverResponse) answer(in *http.Response, body []byte) *response {
	out := &response{status: r.status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
	if kind := in.Header.Get("Content-Type"); kind != "" {
		out.header.Set("Content-Type", kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.bodies)) {
		out.body = []byte(r.bodies[kind])
		out.header.Set("Content-Type", kind)
		break
	}
	for to, from := range r.headers {
		name := strings.TrimPrefix(to, "method.response.header.")
		if theirs, ok := strings.CutPrefix(from, "integration.response.header."); ok {
			if v := in.Header.Get(theirs); v != "" {
				out.header.Set(name, v)
			}
			continue
		}
		out.header.Set(name, strings.Trim(from, "'"))
	}
	return out
}
