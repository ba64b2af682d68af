package lambda

import (
	"slices"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

func TestRoutesAreDeclaredByTag(t *testing.T) {
	r := newRig(t)
	fn := r.create("out", func(in *api.CreateFunctionInput) {
		in.Tags = map[string]string{tagEgress: "API.example.com:443 private=db.corp:5432 localhost:8080 api.example.com:443"}
	})
	run := func() fleet.Function {
		t.Helper()
		_, err := r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "out"})
		r.ok(err)
		return r.runner.ran[len(r.runner.ran)-1]
	}
	first := run()
	want := []fleet.Route{{Host: "api.example.com", Port: 443}, {Host: "db.corp", Port: 5432, Private: true}, {Host: "localhost", Port: 8080}}
	if !slices.Equal(first.Routes, want) {
		t.Errorf("routes %v", first.Routes)
	}
	_, err := r.client.TagResource(t.Context(), &api.TagResourceInput{Resource: *fn.FunctionArn, Tags: map[string]string{tagEgress: "other.example.com:8443"}})
	r.ok(err)
	if second := run(); second.Revision == first.Revision || !slices.Equal(second.Routes, []fleet.Route{{Host: "other.example.com", Port: 8443}}) {
		t.Errorf("after the tag has changed: revision %s, routes %v", second.Revision, second.Routes)
	}
	_, err = r.client.UntagResource(t.Context(), &api.UntagResourceInput{Resource: *fn.FunctionArn, TagKeys: []string{tagEgress}})
	r.ok(err)
	if last := run(); len(last.Routes) != 0 || last.Revision == first.Revision {
		t.Errorf("without the tag: %v", last.Routes)
	}
	for text, why := range map[string]string{
		"*.example.com:443": "name of one host", "example.com": "host:port", "example.com:0": "host:port", "example.com:+80": "host:port",
		"example.com:99999": "host:port", ":443": "name of one host", "10.0.0.5:5432": "address", "169.254.169.254:80": "address",
		"127.0.0.2:80": "address", "127.0.0.1:9001": "port that Bastide", "localhost:443": "port that Bastide", "s3.us-east-1.amazonaws.com:443": "host of AWS",
		"private=localhost:80": "private network", "a..b:80": "name of one host", "[::1]:80": "host:port", strings.Repeat("a", 64) + ".com:80": "name of one host",
	} {
		_, err := r.client.TagResource(t.Context(), &api.TagResourceInput{Resource: *fn.FunctionArn, Tags: map[string]string{tagEgress: text}})
		r.refused(err, "InvalidParameterValueException", why)
	}
}

func FuzzRoute(f *testing.F) {
	for _, s := range []string{"api.example.com:443", "private=db:1", "localhost:80", "127.0.0.1:8080", ":", "a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, why := route(text)
		if why == "" && (r.Port < 1 || r.Port > 65535 || strings.ContainsAny(r.Host, "*/@: \t")) {
			t.Errorf("%q became %v", text, r)
		}
	})
}
