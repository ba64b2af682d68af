package outgoing

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// gateway is an HTTP API whose routes lead to HTTP servers.
type gateway struct {
	t  *testing.T
	s  *harness.Server
	id string
	n  int
}

func newGateway(t *testing.T, s *harness.Server) *gateway {
	t.Helper()
	g := &gateway{t: t, s: s}
	var out map[string]any
	if err := g.post("", map[string]any{"name": "proxies", "protocolType": "HTTP"}, &out); err != nil {
		t.Fatal(err)
	}
	g.id = out["apiId"].(string)
	if err := g.post("/"+g.id+"/stages", map[string]any{"stageName": "$default", "autoDeploy": true}, &out); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) post(path string, in any, out *map[string]any) error {
	g.t.Helper()
	return g.s.Client(g.t).REST(g.t.Context(), "apigateway", http.MethodPost, "/v2/apis"+path, in, out)
}

// integrate makes a route to a URI; the error is that of the integration.
func (g *gateway) integrate(uri, below string) (route string, err error) {
	g.t.Helper()
	var out map[string]any
	if err := g.post("/"+g.id+"/integrations", map[string]any{"integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": uri, "payloadFormatVersion": "1.0"}, &out); err != nil {
		return "", err
	}
	target := out["integrationId"].(string)
	g.n++
	route = fmt.Sprintf("/r%d%s", g.n, below)
	if err := g.post("/"+g.id+"/routes", map[string]any{"routeKey": "ANY " + route, "target": "integrations/" + target}, &out); err != nil {
		g.t.Fatal(err)
	}
	return route, nil
}

func (g *gateway) get(path string) harness.Answer {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.s.URL()+"/_aws/execute-api/"+g.id+"/$default"+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.s.Send(g.t, r)
}

// TestGatewaySSRF: an integration may name any public server, and only that. What names this machine, a
// private network or a cloud's metadata, in whatever form, is refused when it is made or when it is called,
// and recorded.
func TestGatewaySSRF(t *testing.T) {
	_, server := names(t, inward())
	port, hits := canary(t)
	s := harness.Start(t, "--name-server", server)
	g := newGateway(t, s)
	fill := strings.NewReplacer("PORT", port, "OWN", s.Address)

	for _, uri := range []string{
		"file:///etc/passwd", "gopher://127.0.0.1:PORT/_x", "ftp://127.0.0.1/", "http://user:pass@127.0.0.1:PORT/", "http://example.com@127.0.0.1:PORT/",
		"http://127.0.0.1:PORT#@example.com/", "http://127.1:PORT/", "http://2130706433:PORT/", "http://0x7f000001:PORT/", "http://0177.0.0.1:PORT/", "http://0:PORT/",
		"http://[fe80::1%25lo]:PORT/", "http://127.0.0.1:PORT/\r\nHost: example.com", "http://example.com\\@127.0.0.1:PORT/", "http://①②⑦.⓪.⓪.①:PORT/",
		"http://{proxy}:PORT/", "http://{proxy}.example.com/", "//127.0.0.1:PORT/", "127.0.0.1:PORT", "http:127.0.0.1:PORT",
	} {
		uri = fill.Replace(uri)
		if _, err := g.integrate(uri, ""); err == nil || !strings.Contains(err.Error(), "Invalid") {
			t.Errorf("an integration with %q: %v", uri, err)
		}
	}
	s.Recorded(t, "a refused integration", url.Values{"eventName": {"CreateIntegration"}}, func(r audit.Record) bool { return r.ErrorCode == "BadRequestException" })

	const nowhere, unnamed = "which nothing reaches", "which no route names"
	for _, c := range []struct{ uri, place, why string }{
		{"http://127.0.0.1:PORT/", "127.0.0.1:PORT", unnamed},
		{"http://localhost:PORT/", "localhost:PORT", unnamed},
		{"http://LocalHost.:PORT/", "localhost:PORT", unnamed},
		{"http://any.localhost:PORT/", "any.localhost:PORT", unnamed},
		{"http://[::1]:PORT/", "[::1]:PORT", unnamed},
		{"http://[::ffff:127.0.0.1]:PORT/", "127.0.0.1:PORT", unnamed},
		{"http://[::ffff:7f00:1]:PORT/", "127.0.0.1:PORT", unnamed},
		{"http://0.0.0.0:PORT/", "0.0.0.0:PORT", nowhere},
		{"http://10.0.0.1/", "10.0.0.1:80", unnamed},
		{"http://192.168.1.1:8080/", "192.168.1.1:8080", unnamed},
		{"http://169.254.169.254/latest/meta-data/", "169.254.169.254:80", nowhere},
		{"http://[fd00:ec2::254]/latest/", "[fd00:ec2::254]:80", nowhere},
		{"http://100.100.100.200/latest/", "100.100.100.200:80", nowhere},
		{"http://metadata.google.internal/computeMetadata/v1/", "metadata.google.internal:80", "metadata"},
		{"http://[64:ff9b::7f00:1]:PORT/", "[64:ff9b::7f00:1]:PORT", nowhere},
		{"http://[2002:7f00:1::1]:PORT/", "[2002:7f00:1::1]:PORT", nowhere},
		{"http://loop.corp.test:PORT/", "loop.corp.test:PORT", unnamed},
		{"http://LOOP.CORP.TEST.:PORT/", "loop.corp.test:PORT", unnamed},
		{"http://mapped.corp.test:PORT/", "mapped.corp.test:PORT", unnamed},
		{"http://cname.corp.test:PORT/", "cname.corp.test:PORT", unnamed},
		{"http://xn--loop-rqa.corp.test:PORT/", "xn--loop-rqa.corp.test:PORT", unnamed},
		{"http://meta.corp.test/", "meta.corp.test:80", nowhere},
		{"http://nat64.corp.test:PORT/", "nat64.corp.test:PORT", nowhere},
		{"http://rebind.corp.test:PORT/", "rebind.corp.test:PORT", unnamed},
		{"http://OWN/_bastide/health", "OWN", "it is Bastide itself"},
	} {
		t.Run(c.uri, func(t *testing.T) {
			route, err := g.integrate(fill.Replace(c.uri), "")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time a name that changes its mind says another thing
				if got := g.get(route); got.Status != http.StatusInternalServerError || got.Body != `{"message":"Internal Server Error"}` {
					t.Errorf("answered %d %s", got.Status, got.Body)
				}
			}
			rec := s.Recorded(t, "the refusal", url.Values{"eventName": {"Connect"}}, refusedAt(fill.Replace(c.place), c.why))
			if rec.UserIdentity.InvokedBy != "apigateway.amazonaws.com" || !strings.Contains(string(mustJSON(t, rec.RequestParameters)), g.id) {
				t.Errorf("its record: %+v", rec)
			}
		})
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("the server of this machine was reached %d times", n)
	}
}

// TestGatewayAllowed: a server of this machine that --allow-integration names is called; redirects are
// passed on unfollowed, nothing that a client sends changes where a request goes, and Bastide itself is
// never called.
func TestGatewayAllowed(t *testing.T) {
	port, hits := canary(t)
	raw := make(chan string, 64)
	inner := listen(t, raw, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:"+port+"/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	s := harness.Start(t, "--allow-integration", "http://"+inner)
	g := newGateway(t, s)
	route, err := g.integrate("http://"+inner+"/base/{proxy}", "/{proxy+}")
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimSuffix(route, "{proxy+}")
	got := g.get(at + "a")
	if got.Status != http.StatusFound || got.Header.Get("Location") != "http://127.0.0.1:"+port+"/" {
		t.Errorf("a redirect: %d %v", got.Status, got.Header)
	}
	if got.Status == http.StatusFound {
		<-raw
	}
	for path, want := range map[string]string{
		"a%0d%0aHost:%20evil":      "", // the edge takes no such path
		"@evil.example/x":          "GET /base/@evil.example/x HTTP/1.1",
		"http:%2f%2fevil.example/": "",
		"%23fragment%3Fx=1":        "GET /base/%23fragment%3Fx=1 HTTP/1.1",
	} {
		if got := g.get(at + path); got.Status != http.StatusFound {
			if want != "" {
				t.Errorf("%s: %d %s", path, got.Status, got.Body)
			}
			continue // it was not passed on
		}
		request := <-raw
		if !strings.HasPrefix(request, want) || strings.Count(request, "\r\nHost: ") != 1 || !strings.Contains(request, "\r\nHost: "+inner+"\r\n") {
			t.Errorf("%s became:\n%s", path, request)
		}
	}
	for _, path := range []string{"../admin", "%2e%2e/admin", "x/%2E%2e/%2e%2e/admin", "..%2fadmin"} {
		conn, err := net.Dial("tcp", s.Address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /_aws/execute-api/%s/$default%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", g.id, at, path, s.Address)
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if strings.Contains(string(answer), "302") {
			t.Errorf("%s was passed on: %s", path, <-raw)
		}
	}
	for _, host := range []string{"169.254.169.254", "127.0.0.1:" + port, g.id + ".execute-api.localhost:" + port} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/_aws/execute-api/"+g.id+"/$default"+at+"a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "169.254.169.254")
		if s.Send(t, r).Status == http.StatusFound {
			if request := <-raw; !strings.Contains(request, "\r\nHost: "+inner+"\r\n") {
				t.Errorf("the host %s led to:\n%s", host, request)
			}
		}
	}
	rec := s.Recorded(t, "the connection", url.Values{"eventName": {"Disconnect"}}, on(inner))
	if p := string(mustJSON(t, rec.RequestParameters)); !strings.Contains(p, `"bytesSent":`) || !strings.Contains(p, `"durationMs":`) || rec.ErrorCode != "" {
		t.Errorf("its record: %s", p)
	}
	own := harness.Start(t, "--allow-integration", "http://127.0.0.1:1")
	itself := newGateway(t, own)
	if route, err = itself.integrate(own.URL()+"/_bastide/health", ""); err != nil {
		t.Fatal(err)
	}
	if got := itself.get(route); got.Status != http.StatusInternalServerError {
		t.Errorf("Bastide called itself: %d %s", got.Status, got.Body)
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// listen answers every request with the same, and tells what came.
func listen(t *testing.T, raw chan<- string, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var request strings.Builder
			lines := bufio.NewScanner(c)
			for lines.Scan() && lines.Text() != "" {
				request.WriteString(lines.Text() + "\r\n")
			}
			raw <- request.String()
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	return l.Addr().String()
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
