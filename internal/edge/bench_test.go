package edge

import (
	"net/http/httptest"
	"testing"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
)

// The edge's own cost of a request, over a function that takes none.
func BenchmarkRequest(b *testing.B) {
	for _, kind := range []string{"NONE", "AWS_IAM", "CUSTOM"} {
		b.Run(kind, func(b *testing.B) {
			r := newRig(b)
			r.guarded("2.0", true, "$request.header.X-Key")
			r.functions.code[guard] = func(map[string]any) (any, error) { return map[string]any{"isAuthorized": true}, nil }
			r.signer.who = r.role()
			r.allow(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}]}`)
			r.http.stages[0].Routes = append(r.http.stages[0].Routes, v2.Route{RouteKey: "GET /x/{id}", AuthorizationType: &kind, AuthorizerId: new("z1"), Target: new("integrations/i1")})
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				q := request("GET", "/x/7", "X-Key", "k")
				r.edge.Serve(w, q, sourceOf(q))
				if w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// Whatever a client sends as a path, what is matched and authorised is one string, and different
// requests never share it.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/a%2Fb", "/a%252Fb", "//", "/..", "/%zz", "/a/", "/\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		segments, ok := segmentsOf(escaped)
		if !ok {
			return
		}
		path := canonical(segments)
		again, ok := segmentsOf(path)
		if !ok || canonical(again) != path || len(again) != len(segments) && len(segments) > 0 && !(len(segments) == 1 && segments[0] == "") {
			t.Errorf("%q is %q, which reads as %q", escaped, path, again)
		}
		for i := range again {
			if again[i] != segments[i] {
				t.Errorf("%q: part %d is %q and %q", escaped, i, segments[i], again[i])
			}
		}
		ps := patternsOf("/{a}/{rest+}")
		if matches(ps, segments) && parameters(ps, segments)["a"] != segments[0] {
			t.Errorf("%q: the variable is not its part", escaped)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"statusCode":200,"body":"x"}`, `"x"`, `null`, `{"statusCode":"201","headers":{"a":1},"cookies":["a=b"],"isBase64Encoded":true,"body":"aGk="}`, `{`} {
		f.Add([]byte(s), "2.0")
		f.Add([]byte(s), "1.0")
		f.Add([]byte(s), "rest")
	}
	x := &exchange{}
	f.Fuzz(func(t *testing.T, result []byte, payload string) {
		out, err := x.answer(payload, result)
		if err != nil {
			return
		}
		if out.status < 200 || out.status > 599 {
			t.Errorf("status %d", out.status)
		}
		for k, vs := range out.header {
			for _, v := range vs {
				if !validHeader(k, v) {
					t.Errorf("header %q: %q", k, v)
				}
			}
		}
	})
}
