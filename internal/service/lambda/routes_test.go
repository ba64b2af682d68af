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

// TestOpenRoute: who may put tags may not open the network by one, only close it; who may open some
// routes may open no others; what is open already may be said again.
func TestOpenRoute(t *testing.T) {
	r := newRig(t)
	fn := r.create("out", func(in *api.CreateFunctionInput) { in.Tags = map[string]string{tagEgress: "a.example.com:443"} })
	r.dir.allow(t, "tagger", `{"Effect":"Allow","Action":"lambda:*","Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":"*"}`)
	r.dir.allow(t, "opener", `{"Effect":"Allow","Action":"lambda:*","Resource":"*"},{"Effect":"Allow","Action":"bastide:OpenRoute","Resource":"*","Condition":{"ForAllValues:StringLike":{"bastide:Route":"*.example.com:443"}}}`)
	tagger, opener := r.as(account, "tagger"), r.as(account, "opener")
	tag := func(c api.Client, routes string) error {
		_, err := c.TagResource(t.Context(), &api.TagResourceInput{Resource: *fn.FunctionArn, Tags: map[string]string{tagEgress: routes, "team": "a"}})
		return err
	}
	r.refused(tag(tagger, "evil.example.org:443"), "AccessDeniedException", "bastide:OpenRoute")
	r.refused(tag(tagger, "a.example.com:443 b.example.com:443"), "AccessDeniedException", "bastide:OpenRoute")
	r.ok(tag(tagger, "a.example.com:443"))
	r.refused(tag(opener, "b.example.com:443 evil.example.org:443"), "AccessDeniedException", "bastide:OpenRoute")
	r.ok(tag(opener, "a.example.com:443 b.example.com:443"))
	_, err := tagger.UntagResource(t.Context(), &api.UntagResourceInput{Resource: *fn.FunctionArn, TagKeys: []string{tagEgress}})
	r.ok(err)
	r.refused(tag(tagger, "a.example.com:443"), "AccessDeniedException", "bastide:OpenRoute")
	_, err = tagger.CreateFunction(t.Context(), &api.CreateFunctionInput{FunctionName: "other", Runtime: new("python3.12"), Role: role,
		Handler: new("index.handler"), Code: &api.FunctionCode{ZipFile: zipOf(r, "index.py", "v1")}, Tags: map[string]string{tagEgress: "evil.example.org:443"}})
	r.refused(err, "AccessDeniedException", "bastide:OpenRoute")
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
