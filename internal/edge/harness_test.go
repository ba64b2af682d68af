package edge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/edge/jwt"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
	apiName = "a1b2c3d4e5"
	host    = apiName + ".execute-api.localhost:4566"
	fn      = "arn:aws:lambda:eu-west-1:123456789012:function:tasks"
	guard   = "arn:aws:lambda:eu-west-1:123456789012:function:guard"
)

// rig is an edge before a real gate and store, with functions in memory.
type rig struct {
	testing.TB
	edge      *Edge
	clock     *clock.Manual
	http      *httpAPIs
	rest      *restAPIs
	urls      functionURLs
	functions *functions
	trail     *trail
	dir       *directory
	acks      map[string]bool
	signer    signatures
	strangers *strangers
}

func newRig(t testing.TB) *rig {
	t.Helper()
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Clock: clk, RunTwice: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{TB: t, clock: clk, http: &httpAPIs{}, rest: &restAPIs{}, urls: functionURLs{}, trail: &trail{}, dir: &directory{}, acks: map[string]bool{}, strangers: &strangers{},
		functions: &functions{code: map[string]func(map[string]any) (any, error){}, sources: map[string]string{}}}
	g, err := gate.New(gate.Deps{Store: db, Trail: r.trail, Directory: r.dir, Clock: clk, IDs: ids.Source{}}, Units()...)
	if err != nil {
		t.Fatal(err)
	}
	r.edge = New(Deps{Gate: g, HTTP: r.http, REST: r.rest, URLs: r.urls, Signatures: &r.signer, Acknowledgements: acknowledged(r.acks), Strangers: r.strangers,
		JWT: jwt.New(jwt.Options{Fetch: noIssuer{}, Clock: clk}), Clock: clk, IDs: ids.Source{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Base: func() string { return "http://127.0.0.1:4566" }, Functions: r.functions.through})
	r.functions.allow(fn, "arn:aws:execute-api:eu-west-1:123456789012:"+apiName+"/*")
	r.functions.allow(guard, "arn:aws:execute-api:eu-west-1:123456789012:"+apiName+"/authorizers/*")
	return r
}

// httpAPIs holds one HTTP API's stages.
type httpAPIs struct {
	stages  []HTTPStage
	version uint64
}

func (h *httpAPIs) Stages(_ context.Context, id string) ([]HTTPStage, bool, error) {
	if len(h.stages) == 0 || id != apiName {
		return nil, false, nil
	}
	return h.stages, true, nil
}

func (h *httpAPIs) APIs(context.Context) ([]string, error) {
	if len(h.stages) == 0 {
		return nil, nil
	}
	return []string{apiName}, nil
}

func (h *httpAPIs) Version() uint64 { return h.version }

type restAPIs struct {
	stages  []RESTStage
	version uint64
}

func (h *restAPIs) Stages(_ context.Context, id string) ([]RESTStage, bool, error) {
	if len(h.stages) == 0 || id != apiName {
		return nil, false, nil
	}
	return h.stages, true, nil
}

func (h *restAPIs) APIs(context.Context) ([]string, error) {
	if len(h.stages) == 0 {
		return nil, nil
	}
	return []string{apiName}, nil
}

func (h *restAPIs) Version() uint64 { return h.version }

// functionURLs holds function URLs by their ids.
type functionURLs map[string]*FunctionURL

func (f functionURLs) URL(_ context.Context, id string) (*FunctionURL, error) { return f[id], nil }

func (f functionURLs) URLs(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(f)), nil
}

// deploy puts routes of an HTTP API into a stage, all leading to fn in a payload version.
func (r *rig) deploy(stage, payload string, routes ...v2.Route) *HTTPStage {
	s := HTTPStage{Account: account, Region: region, API: v2.Api{ApiId: new(apiName), Name: "tasks"}, Stage: v2.Stage{StageName: stage, DeploymentId: new("d1")},
		Integrations: []v2.Integration{{IntegrationId: new("i1"), IntegrationType: new("AWS_PROXY"), IntegrationUri: new(fn),
			PayloadFormatVersion: &payload, TimeoutInMillis: new(int32(30000))}}}
	for _, route := range routes {
		if route.Target == nil {
			route.Target = new("integrations/i1")
		}
		s.Routes = append(s.Routes, route)
	}
	r.http.stages = append(r.http.stages, s)
	r.http.version++
	return &r.http.stages[len(r.http.stages)-1]
}

func routed(key string) v2.Route { return v2.Route{RouteKey: key, AuthorizationType: new("NONE")} }

// functions run in this process. A function's policy is judged for real: who calls, and for what.
type functions struct {
	mu      sync.Mutex
	code    map[string]func(map[string]any) (any, error)
	sources map[string]string // function → pattern of the ARN that may call it
	calls   []gate.Client
	events  []map[string]any
	wait    bool // each call takes until its caller gives up
	locked  bool // no call as who called the edge passes
}

func (f *functions) allow(function, source string) { f.sources[function] = source }

type caller struct {
	f *functions
	c gate.Client
}

func (f *functions) through(c gate.Client) wire.Caller { return caller{f, c} }

func (c caller) Call(ctx context.Context, op *wire.Operation, in any) (any, error) {
	if op == lambda.OpInvokeWithResponseStream {
		return c.stream(ctx, in.(*lambda.InvokeWithResponseStreamInput))
	}
	if op != lambda.OpInvoke {
		return nil, errors.New("only the invocations are here")
	}
	i := in.(*lambda.InvokeInput)
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	p := c.c.Principal
	viaURL := strings.Join(c.c.Keys["lambda:InvokedViaFunctionUrl"], ",") == "true"
	asCaller := viaURL || p.ServiceName() == "" && p.InvokedBy() == gateway
	if asCaller && f.locked {
		return nil, awserr.Of(awserr.AccessDenied, "the function's policy has changed")
	}
	if !asCaller && (p.ServiceName() != "apigateway.amazonaws.com" || c.c.SourceAccount != account || !glob(f.sources[i.FunctionName], c.c.SourceARN)) {
		return nil, awserr.Of(awserr.AccessDenied, "%s may not call %s for %s", p.ServiceName(), i.FunctionName, c.c.SourceARN)
	}
	var event map[string]any
	if err := json.Unmarshal(i.Payload, &event); err != nil {
		return nil, err
	}
	f.calls, f.events = append(f.calls, c.c), append(f.events, event)
	code := f.code[i.FunctionName]
	if code == nil {
		return nil, awserr.New("ResourceNotFoundException", 404, "Function not found: %s", i.FunctionName)
	}
	if f.wait {
		<-ctx.Done()
	}
	out, err := code(event)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		if a, ok := errors.AsType[*awserr.Error](err); ok {
			return nil, a
		}
		b, _ := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": "Error"})
		return &lambda.InvokeOutput{StatusCode: new(int32(200)), FunctionError: new("Unhandled"), Payload: b}, nil
	}
	b, err := json.Marshal(out)
	if raw, ok := out.(json.RawMessage); ok {
		b, err = raw, nil
	}
	return &lambda.InvokeOutput{StatusCode: new(int32(200)), Payload: b}, err
}

func glob(pattern, s string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	return strings.HasPrefix(s, head) && strings.HasSuffix(s, tail)
}

func (f *functions) count(function string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for i := range f.events {
		if strings.Contains(f.calls[i].SourceARN, "/authorizers/") == (function == guard) {
			n++
		}
	}
	return n
}

func (f *functions) last() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events[len(f.events)-1]
}

type acknowledged map[string]bool

func (a acknowledged) Acknowledged(_ context.Context, acct, route string) (bool, error) {
	return a[acct+" "+route], nil
}

type strangers struct{ codes []string }

func (s *strangers) CountRefusal(_, code string) { s.codes = append(s.codes, code) }

type signatures struct {
	who     identity.Principal
	err     error
	service string // that the last was asked for
}

func (s *signatures) Identify(_ *http.Request, _ []byte, service, _ string, _ gate.Source) (identity.Principal, error) {
	s.service = service
	return s.who, s.err
}

type noIssuer struct{}

func (noIssuer) Get(context.Context, string, int64) ([]byte, error) {
	return nil, errors.New("no issuer")
}

type trail struct {
	mu    sync.Mutex
	notes []*gate.Record
}

func (l *trail) Space() string { return "trail" }

func (l *trail) Append(*store.Tx, *gate.Record) error { return errors.New("the edge changes nothing") }

func (l *trail) Note(r *gate.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, r)
	return nil
}

func (l *trail) last() *gate.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.notes) == 0 {
		return &gate.Record{}
	}
	return l.notes[len(l.notes)-1]
}

// directory gives every user one policy.
type directory struct{ policy *policy.Policy }

func (d *directory) Version() uint64 { return 1 }

func (d *directory) Grant(p identity.Principal) (gate.Grant, error) {
	g := gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.Anonymous}}
	if p.Kind() == identity.KindAssumedRole {
		g.Principal.Type = policy.AssumedRole
		if d.policy != nil {
			g.Set.Identity = []policy.Attached{{Policy: d.policy, Where: "the test's policy"}}
		}
	}
	return g, nil
}

func (r *rig) allow(doc string) {
	p, err := policy.Parse([]byte(doc), policy.Identity)
	if err != nil {
		r.Fatal(err)
	}
	r.dir.policy = p
}

func (r *rig) role() identity.Principal { return r.roleOf(account) }

func (r *rig) roleOf(account string) identity.Principal {
	r.Helper()
	who, err := identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::" + account + ":role/app", RoleID: "AROAEXAMPLE",
		Name: "session", Issued: r.clock.Now(), Expires: r.clock.Now().Add(time.Hour)}.Principal()
	if err != nil {
		r.Fatal(err)
	}
	return who
}

// request is one from this machine to the API's host.
func request(method, target string, header ...string) *http.Request {
	q := httptest.NewRequest(method, "http://"+host+target, nil)
	q.RemoteAddr = "127.0.0.1:50000"
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Add(header[i], header[i+1])
	}
	return q
}

func (r *rig) do(q *http.Request) *httptest.ResponseRecorder {
	r.Helper()
	if !r.edge.Owns(q) {
		r.Fatalf("%s %s is not taken for an application's", q.Method, q.URL)
	}
	w := httptest.NewRecorder()
	r.edge.Serve(w, q, sourceOf(q))
	return w
}

// sourceOf is where the test says that a request comes from: RemoteAddr is an address, or a function.
func sourceOf(q *http.Request) gate.Source {
	s := gate.Source{UserAgent: q.UserAgent(), Referer: q.Referer(), Host: q.Host, TLS: q.TLS != nil}
	if strings.HasPrefix(q.RemoteAddr, "arn:") {
		s.Function = q.RemoteAddr
	} else if a, err := netip.ParseAddrPort(q.RemoteAddr); err == nil {
		s.IP = a.Addr().Unmap()
	}
	return s
}

// want sends a request and checks status and body.
func (r *rig) want(q *http.Request, status int, body string) *httptest.ResponseRecorder {
	r.Helper()
	w := r.do(q)
	if w.Code != status || body != "" && w.Body.String() != body {
		r.Errorf("%s %s answered %d %s\nwant %d %s", q.Method, q.URL, w.Code, w.Body, status, body)
	}
	return w
}

func hello(map[string]any) (any, error) {
	return map[string]any{"statusCode": 200, "body": "hello"}, nil
}

// restAPI deploys a REST API's resources to the stage prod.
func (r *rig) restAPI(resources ...apigateway.Resource) *RESTStage {
	r.rest.stages = []RESTStage{{Account: account, Region: region, API: apigateway.RestApi{Id: new(apiName), Name: new("tasks")},
		Stage: apigateway.Stage{StageName: new("prod"), DeploymentId: new("d1")}, Resources: resources}}
	r.rest.version++
	return &r.rest.stages[0]
}

func method(kind string) apigateway.Method {
	return apigateway.Method{AuthorizationType: &kind, MethodIntegration: &apigateway.Integration{Type: new("AWS_PROXY"), Uri: new(fn)}}
}

func restResource(path string, methods map[string]apigateway.Method) apigateway.Resource {
	return apigateway.Resource{Id: new("r" + strings.Trim(path, "/")), Path: &path, ResourceMethods: methods}
}
