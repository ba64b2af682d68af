package edge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
)

// presigned is a query as presigning makes it, with names that only decode to its own and one in another
// case among them; a and b are the client's.
const presigned = "a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=gone&X-Amz-Date=gone&X-Amz-Expires=gone&X-Amz-SignedHeaders=gone" +
	"&X%2dAmz-Signature=gone&x-amz-security-token=gone&X-Amz-Content-Sha256=gone&b=%2F"

// TestSignaturesAreNotPassedOn: what a caller signed for this API, and their session's token, are for
// nobody else, in headers or in a presigned URL, mapped or as they are.
func TestSignaturesAreNotPassedOn(t *testing.T) {
	const everyone = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}}`
	headers := []string{"Authorization", "gone", "X-Amz-Security-Token", "gone", "X-Amz-Date", "gone", "X-Amz-Content-Sha256", "gone", "X-Kept", "kept"}
	mapping := map[string]string{"integration.request.header.X-A": "method.request.header.Authorization", "integration.request.header.X-T": "method.request.header.X-Amz-Security-Token",
		"integration.request.header.X-Q": "method.request.querystring.X-Amz-Signature", "integration.request.querystring.t": "method.request.querystring.x-amz-security-token",
		"integration.request.header.X-Kept": "method.request.header.X-Kept"}
	signed := func(m apigateway.Method) apigateway.Method {
		m.AuthorizationType = new("AWS_IAM")
		return m
	}
	for _, c := range []struct {
		name, path, want string
		deploy           func(r *rig)
	}{
		{"HTTP API", "/x", "/?a=1&b=%2F", func(r *rig) {
			to(r.deploy("$default", "1.0", v2.Route{RouteKey: "GET /x", AuthorizationType: new("AWS_IAM")}), "GET", "http://example.com/")
		}},
		{"REST API", "/prod/x", "/?a=1&b=%2F", func(r *rig) {
			r.restAPI(restResource("/x", verbs{"GET": signed(restServerMethod("HTTP_PROXY", "http://example.com/", func(i *apigateway.Integration) { i.RequestParameters = mapping }))}))
		}},
		{"REST API, mapped", "/prod/x", "/", func(r *rig) {
			r.restAPI(restResource("/x", verbs{"GET": signed(restServerMethod("HTTP", "http://example.com/", func(i *apigateway.Integration) {
				i.RequestParameters = mapping
				i.IntegrationResponses = map[string]apigateway.IntegrationResponse{"200": {StatusCode: new("201")}}
			}))}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			w := newWorld(t, echoed)
			r.edge.Servers, r.signer.who = w, r.role()
			r.allow(everyone)
			c.deploy(r)
			for _, q := range [][2]string{{presigned, c.want}, {strings.TrimSuffix(strings.TrimPrefix(presigned, "a=1&"), "&b=%2F"), "/"}} {
				r.want(request("GET", c.path+"?"+q[0], headers...), 201, "")
				asked, _ := w.last()
				if got := asked.URL.RequestURI(); got != q[1] {
					t.Errorf("asked %s, want %s", got, q[1])
				}
				for k, v := range asked.Header {
					if strings.Contains(strings.Join(v, ","), "gone") {
						t.Errorf("%s was passed on: %v", k, v)
					}
				}
				if asked.Header.Get("X-Kept") != "kept" {
					t.Errorf("headers %v", asked.Header)
				}
			}
		})
	}
}

// TestEventsHaveNoSignature: functions see a presigned URL's query without what it was signed with; that of
// a route that verifies none is not touched.
func TestEventsHaveNoSignature(t *testing.T) {
	for _, payload := range []string{"1.0", "2.0", "REST"} {
		for kind, left := range map[string]int{"AWS_IAM": 2, "NONE": 10} {
			r := newRig(t)
			r.functions.code[fn] = hello
			r.signer.who = r.role()
			r.allow(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}}`)
			path := "/x"
			if payload == "REST" {
				path = "/prod/x"
				r.restAPI(restResource("/x", verbs{"GET": method(kind)}))
			} else {
				r.deploy("$default", payload, v2.Route{RouteKey: "GET /x", AuthorizationType: &kind, Target: new("integrations/i1")})
			}
			r.want(request("GET", path+"?"+presigned), 200, "hello")
			event, err := json.Marshal(r.functions.last())
			if err != nil {
				t.Fatal(err)
			}
			if query, _ := r.functions.last()["queryStringParameters"].(map[string]any); len(query) != left || query["a"] != "1" || query["b"] != "/" {
				t.Errorf("%s, %s: %v", payload, kind, query)
			}
			if found := strings.Contains(string(event), "gone"); found != (kind == "NONE") {
				t.Errorf("%s, %s: %s", payload, kind, event)
			}
		}
	}
}

// TestNoHeaderIsInjected: a value that no header can have is the client's fault.
func TestNoHeaderIsInjected(t *testing.T) {
	r := newRig(t)
	w := newWorld(t, echoed)
	r.edge.Servers = w
	r.restAPI(restResource("/x", verbs{"GET": restServerMethod("HTTP_PROXY", "http://example.com/", func(i *apigateway.Integration) {
		i.RequestParameters = map[string]string{"integration.request.header.X-Q": "method.request.querystring.q"}
	})}))
	for _, q := range []string{"v%0d%0aInj%3a1", "v%0aInj%3a1", "%00", "a%7f"} {
		r.want(request("GET", "/prod/x?q="+q), 400, `{"message":"Bad Request"}`)
	}
	if len(w.asked) != 0 {
		t.Errorf("asked %d times", len(w.asked))
	}
	r.want(request("GET", "/prod/x?q=a%09b%c3%a9"), 201, "")
	if asked, _ := w.last(); asked.Header.Get("X-Q") != "a\tbé" {
		t.Errorf("headers %v", asked.Header)
	}
}
