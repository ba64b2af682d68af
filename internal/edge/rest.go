package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// resource is a path of a REST API with its methods.
type resource struct {
	patterns []pattern
	methods  map[string]*route
}

// restTimeout is a REST integration's where it names none.
const restTimeout = 29 * time.Second

func compileREST(id string, stages []RESTStage) (*api, error) {
	a := &api{id: id, rest: true, stages: map[string]*stage{}}
	for i := range stages {
		s := &stages[i]
		a.account, a.region, a.disabled = s.Account, s.Region, wire.Val(s.API.DisableExecuteApiEndpoint)
		st := &stage{api: a, name: wire.Val(s.Stage.StageName), deployment: wire.Val(s.Stage.DeploymentId), variables: s.Stage.Variables,
			policy: s.Policy, binary: s.API.BinaryMediaTypes, stack: s.API.Tags[stackTag]}
		authorizers := map[string]*authorizer{}
		for i := range s.Authorizers {
			auth, err := restAuthorizer(&s.Authorizers[i], st.variables)
			if err != nil {
				return nil, err
			}
			authorizers[auth.id] = auth
		}
		for i := range s.Resources {
			if err := st.add(&s.Resources[i], &s.Stage, authorizers); err != nil {
				return nil, err
			}
		}
		a.stages[st.name] = st
	}
	return a, nil
}

func (st *stage) add(in *apigateway.Resource, settings *apigateway.Stage, authorizers map[string]*authorizer) error {
	path := wire.Val(in.Path)
	res := &resource{patterns: patternsOf(path), methods: map[string]*route{}}
	for _, method := range slices.Sorted(maps.Keys(in.ResourceMethods)) {
		m := in.ResourceMethods[method]
		r := &route{stage: st, key: method + " " + path, method: method, path: path, patterns: res.patterns, kind: wire.Val(m.AuthorizationType),
			resourceID: wire.Val(in.Id), operation: wire.Val(m.OperationName), limit: methodLimit(settings, path, method)}
		if r.kind == "CUSTOM" {
			if r.authorizer = authorizers[wire.Val(m.AuthorizerId)]; r.authorizer == nil {
				return fmt.Errorf("edge: method %s has no authorizer %s", r.name(), wire.Val(m.AuthorizerId))
			}
		}
		if i := m.MethodIntegration; i != nil {
			r.integration = integration{payload: "rest", timeout: restTimeout}
			if i.TimeoutInMillis != nil {
				r.integration.timeout = time.Duration(*i.TimeoutInMillis) * time.Millisecond
			}
			switch wire.Val(i.Type) {
			case "MOCK":
				r.integration.mock = newMock(&m)
			case "HTTP", "HTTP_PROXY":
				r.integration.server = restServer(i, st.variables)
			default:
				r.integration.function = functionOf(expand(wire.Val(i.Uri), st.variables))
				r.integration.caller = i.Credentials != nil // the caller's: no others are taken
			}
		}
		res.methods[method] = r
		st.routes = append(st.routes, r)
	}
	st.resources = append(st.resources, res)
	return nil
}

// methodLimit is the throttling of a method: its own settings, else those of the whole stage.
func methodLimit(s *apigateway.Stage, path, method string) limit {
	key := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "~1") + "/" + method
	if path == "/" {
		key = "~1/" + method
	}
	set, ok := s.MethodSettings[key]
	if !ok {
		set = s.MethodSettings["*/*"]
	}
	rate, burst := set.ThrottlingRateLimit, set.ThrottlingBurstLimit
	if rate != nil && *rate < 0 { // -1 says that there is none
		rate = nil
	}
	if burst != nil && *burst < 0 {
		burst = nil
	}
	return newLimit(rate, burst)
}

// variable is how a URI refers to a variable of the stage that it is called in.
var variable = regexp.MustCompile(`\$\{stageVariables\.([A-Za-z0-9_]+)\}`)

// expand puts a stage's variables into a URI, which is how one API calls another version of a function
// in each of its stages. One that the stage lacks leaves nothing, and no function of that name.
func expand(uri string, variables map[string]string) string {
	return variable.ReplaceAllStringFunc(uri, func(ref string) string {
		return variables[variable.FindStringSubmatch(ref)[1]]
	})
}

func restAuthorizer(in *apigateway.Authorizer, variables map[string]string) (*authorizer, error) {
	uri := expand(wire.Val(in.AuthorizerUri), variables)
	a := &authorizer{id: wire.Val(in.Id), name: wire.Val(in.Name), kind: wire.Val(in.Type), uri: uri,
		function: functionOf(uri), validation: wire.Val(in.IdentityValidationExpression), ttl: defaultTTL}
	for s := range strings.SplitSeq(wire.Val(in.IdentitySource), ",") {
		if s = strings.TrimSpace(s); s != "" {
			a.sources = append(a.sources, s)
		}
	}
	if in.AuthorizerResultTtlInSeconds != nil {
		a.ttl = time.Duration(*in.AuthorizerResultTtlInSeconds) * time.Second
	}
	if a.validation == "" {
		return a, nil
	}
	var err error
	a.form, err = regexp.Compile(`^(?:` + a.validation + `)$`) // the whole token must fit
	return a, err
}

// matchREST finds the resource by the closest path, then its method before ANY. A resource without
// the method does not pass the request on to a greedier one.
func (x *exchange) matchREST() error {
	var best *resource
	for _, r := range x.stage.resources {
		if len(r.methods) > 0 && matches(r.patterns, x.segments) && (best == nil || closer(r.patterns, best.patterns)) {
			best = r
		}
	}
	if best == nil {
		return refusal{reason: missingToken}
	}
	if x.route = best.methods[x.r.Method]; x.route == nil {
		x.route = best.methods["ANY"]
	}
	if x.route == nil {
		return refusal{reason: missingToken}
	}
	x.params = parameters(best.patterns, x.segments)
	return nil
}

// mock is a MOCK integration: a fixed status, headers and body, as the CORS methods that SAM writes
// have. Templates that compute something are refused when they are made.
type mock struct {
	status  int
	headers http.Header
	bodies  map[string]string // by content type
}

// newMock reads the integration's one fixed answer: that for the status of its request template.
func newMock(m *apigateway.Method) *mock {
	i := m.MethodIntegration
	status := "200"
	for _, t := range i.RequestTemplates {
		var v struct {
			StatusCode json.Number `json:"statusCode"`
		}
		if json.Unmarshal([]byte(t), &v) == nil && v.StatusCode != "" {
			status = v.StatusCode.String()
		}
	}
	out := &mock{headers: http.Header{}}
	response, ok := selected(i.IntegrationResponses, status)
	if !ok {
		return out
	}
	out.status, _ = strconv.Atoi(wire.Val(response.StatusCode)) // checked when it was made
	for k, v := range response.ResponseParameters {
		if name, ok := strings.CutPrefix(k, "method.response.header."); ok {
			out.headers.Set(name, strings.Trim(v, "'"))
		}
	}
	out.bodies = response.ResponseTemplates
	return out
}

// selected is the response whose pattern names the status, else the default, which has none.
func selected(responses map[string]apigateway.IntegrationResponse, status string) (apigateway.IntegrationResponse, bool) {
	var fallback apigateway.IntegrationResponse
	found := false
	for _, k := range slices.Sorted(maps.Keys(responses)) {
		r := responses[k]
		switch p := wire.Val(r.SelectionPattern); {
		case p == status:
			return r, true
		case p == "" && !found:
			fallback, found = r, true
		}
	}
	return fallback, found
}

func (m *mock) answer(x *exchange) (*response, error) {
	if m.status == 0 {
		return nil, x.fail(internal, errStatus)
	}
	out := &response{status: m.status, header: m.headers.Clone()}
	kind := "application/json"
	if _, ok := m.bodies[kind]; !ok {
		for _, k := range slices.Sorted(maps.Keys(m.bodies)) {
			kind = k
			break
		}
	}
	out.body = []byte(m.bodies[kind])
	if out.header.Get("Content-Type") == "" {
		out.header.Set("Content-Type", kind)
	}
	return out, nil
}
