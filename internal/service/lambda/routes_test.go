package lambda

import (
	"fmt"
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
	if got := fmt.Sprint(first.Ways); got != "[api.example.com:443 private=db.corp:5432 localhost:8080]" {
		t.Errorf("ways %v", got)
	}
	_, err := r.client.TagResource(t.Context(), &api.TagResourceInput{Resource: *fn.FunctionArn, Tags: map[string]string{tagEgress: "other.example.com:8443"}})
	r.ok(err)
	if second := run(); second.Revision == first.Revision || fmt.Sprint(second.Ways) != "[other.example.com:8443]" {
		t.Errorf("after the tag has changed: revision %s, routes %v", second.Revision, second.Ways)
	}
	_, err = r.client.TagResource(t.Context(), &api.TagResourceInput{Resource: *fn.FunctionArn, Tags: map[string]string{tagEgress + ":more": ".example.org:443 10.0.0.0/8:5432-5433"}})
	r.ok(err)
	if third := run(); fmt.Sprint(third.Ways) != "[other.example.com:8443 *.example.org:443 10.0.0.0/8:5432-5433]" {
		t.Errorf("with a second tag: %v", third.Ways)
	}
	_, err = r.client.UntagResource(t.Context(), &api.UntagResourceInput{Resource: *fn.FunctionArn, TagKeys: []string{tagEgress, tagEgress + ":more"}})
	r.ok(err)
	if last := run(); len(last.Ways) != 0 || last.Revision == first.Revision {
		t.Errorf("without the tag: %v", last.Ways)
	}
	for text, why := range map[string]string{
		"*:443": "name of one host", "example.com": "host:port", "example.com:0": "host:port", "example.com:+80": "host:port",
		"example.com:99999": "host:port", ":443": "needs either", "10.0.0.0/8:1-65": "65 ports", "169.254.169.254:80": "link-local",
		"*.amazonaws.com:443": "host of AWS", "*.eu-west-1.amazonaws.com:443": "host of AWS", "metadata.google.internal:80": "metadata",
		"127.0.0.2:80": "not written as one", "127.0.0.1:9001": "port that Bastide", "localhost:443": "port that Bastide", "s3.us-east-1.amazonaws.com:443": "host of AWS",
		"private=localhost:80": "private network", "a..b:80": "name of one host", "[::1]:80": "name of one host", strings.Repeat("a", 64) + ".com:80": "name of one host",
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
