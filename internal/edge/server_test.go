package edge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
)

// world is the HTTP servers that integrations call: one, whatever the host. It keeps what it was asked.
type world struct {
	mu     sync.Mutex
	server *httptest.Server
	asked  []*http.Request
	bodies []string
	by     []Integration
	fails  error
}

func newWorld(t *testing.T, serve http.HandlerFunc) *world {
	t.Helper()
	w := &world{server: httptest.NewServer(serve)}
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) Call(r *http.Request, by Integration) (*http.Response, error) {
	w.mu.Lock()
	body, err := io.ReadAll(r.Body)
	w.asked, w.bodies, w.by = append(w.asked, r.Clone(r.Context())), append(w.bodies, string(body)), append(w.by, by)
	fails := w.fails
	w.mu.Unlock()
	if err = errors.Join(err, fails); err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.URL.Host, out.URL.Scheme = strings.TrimPrefix(w.server.URL, "http://"), "http"
	out.Body = io.NopCloser(strings.NewReader(string(body)))
	return http.DefaultTransport.RoundTrip(out)
}

func (w *world) last() (*http.Request, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[len(w.asked)-1], w.bodies[len(w.bodies)-1]
}

func echoed(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/away":
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	case "/large":
		_, _ = io.Copy(w, io.LimitReader(zeros{}, maxBody+1))
	case "/slow":
		<-r.Context().Done()
	default:
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "1")
		w.Header().Set("X-Public", "2")
		w.WriteHeader(201)
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.RequestURI())
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// to is an HTTP API's integration with a server.
func to(s *HTTPStage, method, uri string) {
	s.Integrations[0] = v2.Integration{IntegrationId: new("i1"), IntegrationType: new("HTTP_PROXY"), IntegrationMethod: &method, IntegrationUri: &uri,
		TimeoutInMillis: new(int32(30000))}
}

func TestHTTPProxy(t *testing.T) {
	r := newRig(t)
	w := newWorld(t, echoed)
	r.edge.Servers = w
	s := r.deploy("$default", "1.0", routed("ANY /pets/{proxy+}"))
	s.Stage.StageVariables = map[string]string{"host": "api.example.com"}
	to(s, "ANY", "https://${stageVariables.host}:8443/v1/{proxy}?key=1")
	got := r.want(withBody(request("PUT", "/pets/a/b%20c?x=1&y=%2F", "Content-Type", "text/plain", "Connection", "X-Hop", "X-Hop", "1", "X-Kept", "2",
		"Transfer-Encoding", "chunked", "Proxy-Authorization", "Basic x", "Authorization", "Bearer mine"), "body"), 201, "PUT /v1/a/b%20c?key=1&x=1&y=%2F")
	if got.Header().Get("X-Private") != "" || got.Header().Get("X-Public") != "2" {
		t.Errorf("the answer's headers: %v", got.Header())
	}
	asked, body := w.last()
	if asked.URL.String() != "https://api.example.com:8443/v1/a/b%20c?key=1&x=1&y=%2F" || asked.Host != "api.example.com:8443" || body != "body" || asked.ContentLength != 4 {
		t.Errorf("asked %s, host %s, %q", asked.URL, asked.Host, body)
	}
	h := asked.Header
	if h.Get("X-Hop") != "" || h.Get("X-Kept") != "2" || h.Get("Proxy-Authorization") != "" || h.Get("Transfer-Encoding") != "" || h.Get("Host") != "" ||
		h.Get("Authorization") != "Bearer mine" || !strings.Contains(h.Get("Forwarded"), `for="127.0.0.1"`) || h.Get("Via") == "" || h.Get("Accept-Encoding") != "identity" {
		t.Errorf("the request's headers: %v", h)
	}
	if w.by[0].Route != "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/$default/PUT/pets/{proxy+}" || w.by[0].Account != account {
		t.Errorf("called by %+v", w.by[0])
	}
	if rec := r.trail.last(); rec.Err != nil {
		t.Errorf("recorded as failed: %v", rec.Err)
	}
	n := len(w.asked)
	for _, path := range []string{"/pets/%2e%2e/admin", "/pets/a%2f..%2f..%2fadmin", "/pets/%252e%252e/x"} {
		if got := r.do(request("GET", path)); got.Code != 400 && got.Code != 404 {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if len(w.asked) != n {
		last, _ := w.last()
		t.Errorf("a path that climbs was passed on: %s", last.URL)
	}
}

// refusedServer is an error as egress gives it.
type refusedServer struct{}

func (refusedServer) Error() string { return "not declared" }
func (refusedServer) Refused() bool { return true }

func TestHTTPProxyFails(t *testing.T) {
	r := newRig(t)
	w := newWorld(t, echoed)
	r.edge.Servers = w
	s := r.deploy("$default", "1.0", routed("GET /{proxy+}"))
	to(s, "GET", "http://example.com/{proxy}")
	got := r.want(request("GET", "/away"), 302, "")
	if got.Header().Get("Location") != "http://169.254.169.254/latest/meta-data/" || len(w.asked) != 1 {
		t.Errorf("a redirect was not passed on as it is: %v, asked %d times", got.Header(), len(w.asked))
	}
	r.want(request("GET", "/large"), 500, `{"message":"Internal Server Error"}`)
	s.Integrations[0].TimeoutInMillis = new(int32(50))
	r.http.version++
	r.want(request("GET", "/slow"), 504, `{"message":"Gateway Timeout"}`)
	w.fails = errors.New("connection reset")
	r.want(request("GET", "/x"), 503, `{"message":"Service Unavailable"}`)
	w.fails = refusedServer{}
	r.want(request("GET", "/x"), 500, `{"message":"Internal Server Error"}`)
	if rec := r.trail.last(); rec.Err == nil || rec.Err.Code != "InternalError" {
		t.Errorf("recorded as %+v", rec.Err)
	}
	w.fails = nil
	for _, uri := range []string{"http://${stageVariables.nothing}/", "file:///etc/passwd"} {
		to(s, "GET", uri)
		r.http.version++
		r.want(request("GET", "/x"), 500, `{"message":"Internal Server Error"}`)
	}
	r.edge.Servers = nil
	to(s, "GET", "http://example.com/")
	r.http.version++
	r.want(request("GET", "/x"), 500, `{"message":"Internal Server Error"}`)
}

func restServerMethod(kind, uri string, change func(*apigateway.Integration)) apigateway.Method {
	m := apigateway.Method{AuthorizationType: new("NONE"), MethodIntegration: &apigateway.Integration{Type: &kind, Uri: &uri, HttpMethod: new("POST"),
		PassthroughBehavior: new("WHEN_NO_MATCH")}}
	change(m.MethodIntegration)
	return m
}

func TestRESTServers(t *testing.T) {
	r := newRig(t)
	w := newWorld(t, echoed)
	r.edge.Servers = w
	mapping := map[string]string{"integration.request.path.p": "method.request.path.id", "integration.request.querystring.q": "method.request.querystring.a",
		"integration.request.header.X-Key": "'secret'", "integration.request.header.X-Color": "stageVariables.color", "integration.request.header.X-None": "method.request.header.None"}
	s := r.restAPI(
		restResource("/proxy/{id}", verbs{"GET": restServerMethod("HTTP_PROXY", "http://example.com/{p}", func(i *apigateway.Integration) { i.RequestParameters = mapping })}),
		restResource("/plain/{id}", verbs{"POST": restServerMethod("HTTP", "http://example.com/{p}", func(i *apigateway.Integration) {
			i.RequestParameters = mapping
			i.IntegrationResponses = map[string]apigateway.IntegrationResponse{
				"200": {StatusCode: new("200"), ResponseParameters: map[string]string{"method.response.header.X-Theirs": "integration.response.header.X-Public", "method.response.header.X-Fixed": "'f'"}},
				"404": {StatusCode: new("404"), SelectionPattern: new(`4\d\d`), ResponseTemplates: map[string]string{"application/json": `{"none":true}`}}}
		})}),
		restResource("/never", verbs{"POST": restServerMethod("HTTP", "http://example.com/", func(i *apigateway.Integration) { i.PassthroughBehavior = new("NEVER") })}),
		restResource("/unmapped", verbs{"POST": restServerMethod("HTTP", "http://example.com/", func(*apigateway.Integration) {})}),
	)
	s.Stage.Variables = map[string]string{"color": "blue"}
	got := r.want(request("GET", "/prod/proxy/7?a=1&b=2", "X-Own", "o"), 201, "POST /7?a=1&b=2&q=1")
	if got.Header().Get("X-Public") != "2" || got.Header().Get("Date") != "" || got.Header().Get("X-Amzn-Remapped-Date") == "" {
		t.Errorf("headers %v", got.Header())
	}
	asked, _ := w.last()
	if h := asked.Header; h.Get("X-Key") != "secret" || h.Get("X-Color") != "blue" || h.Get("X-Own") != "o" || h.Values("X-None") != nil || h.Get("X-Amzn-Apigateway-Api-Id") != apiName {
		t.Errorf("headers %v", h)
	}
	got = r.want(withBody(request("POST", "/prod/plain/a%2Fb?a=1&b=2", "X-Own", "o", "Content-Type", "text/x"), "body"), 200, "POST /a/b?q=1")
	if got.Header().Get("X-Theirs") != "2" || got.Header().Get("X-Fixed") != "f" || got.Header().Get("X-Public") != "" {
		t.Errorf("headers %v", got.Header())
	}
	asked, body := w.last()
	if h := asked.Header; h.Get("X-Own") != "" || h.Get("X-Key") != "secret" || h.Get("Content-Type") != "text/x" || body != "body" {
		t.Errorf("headers %v, body %q", h, body)
	}
	r.want(withBody(request("POST", "/prod/never"), "x"), 415, `{"message":"Unsupported Media Type"}`)
	r.want(request("POST", "/prod/unmapped"), 500, `{"message":"Internal server error"}`)
	w.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 418) })
	r.want(request("POST", "/prod/plain/7"), 404, `{"none":true}`)
}
