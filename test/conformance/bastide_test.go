package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// bastideStory drives Bastide's own service by hand-signed requests: no SDK knows it.
func bastideStory(t *testing.T, s *harness.Server) {
	c, ctx := s.Client(t), context.Background()
	var status struct {
		Account         string
		OpenCredentials bool
		Services        []string
	}
	must(t, c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/status", nil, &status))
	if status.Account != harness.Account || status.OpenCredentials || len(status.Services) == 0 {
		t.Errorf("status: %+v", status)
	}
	var head bastide.GetAuditHeadOutput
	harness.Until(t, "a signed head", func() bool {
		err := c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/audit/head", nil, &head)
		if err != nil && !client.Is(err, "NotFoundException") {
			t.Fatal(err)
		}
		return err == nil
	})
	var verified bastide.VerifyAuditOutput
	must(t, c.REST(ctx, "bastide", http.MethodPost, "/_bastide/v1/audit/verify", map[string]any{"Head": head.Head}, &verified))
	if !*verified.Intact || *verified.Records == 0 {
		t.Errorf("an untouched trail is not intact: %+v", verified)
	}
	err := c.REST(ctx, "bastide", http.MethodPost, "/_bastide/v1/audit/verify", map[string]string{"Head": "{"}, nil)
	if !client.Is(err, "InvalidRequestException") {
		t.Errorf("a head that is none: %v", err)
	}
	r := s.Recorded(t, "the status", url.Values{"eventName": {"GetStatus"}}, func(r audit.Record) bool { return r.ErrorCode == "" })
	var why bastide.ExplainRequestOutput
	must(t, c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/requests/"+r.RequestID, nil, &why))
	if why.Record == nil || !json.Valid([]byte(*why.Record)) {
		t.Errorf("no record in the explanation of %s: %+v", r.RequestID, why)
	}
	err = c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/requests/nobody-asked", nil, nil)
	if !client.Is(err, "NotFoundException") {
		t.Errorf("why of a request that never was: %v", err)
	}
	backup(t, s, c)
	routes(t, s, c)
	signing(t, s, c)
	profiles(t, s, c)
	if err := c.REST(ctx, "bastide", http.MethodPost, "/_bastide/v1/reset", nil, nil); !client.Is(err, "AccessDenied", "AccessDeniedException") {
		t.Errorf("a reset without --open-credentials: %v", err)
	}
}

// backup takes one while serving; the command's story restores it.
func backup(t *testing.T, s *harness.Server, c *client.Client) {
	r, err := http.NewRequest(http.MethodPost, s.URL()+"/_bastide/v1/backup", nil)
	must(t, err)
	answer, err := c.Do(context.Background(), "bastide", r, nil)
	must(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(t, err)
	if len(b) < 4096 || bytes.Contains(b, []byte(c.Credentials.SecretAccessKey)) {
		t.Errorf("a backup of %d bytes, or one with a secret in it", len(b))
	}
}

// routes opens an application's route by name and closes it again.
func routes(t *testing.T, s *harness.Server, c *client.Client) {
	ctx, apis := context.Background(), apigatewayv2.NewFromConfig(s.SDK(t))
	api, err := apis.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("open"), ProtocolType: apitypes.ProtocolTypeHttp})
	must(t, err)
	fn, err := apis.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: api.ApiId, IntegrationType: apitypes.IntegrationTypeAwsProxy, PayloadFormatVersion: aws.String("2.0"),
		IntegrationUri: aws.String("arn:aws:lambda:" + harness.Region + ":" + harness.Account + ":function:open")})
	must(t, err)
	_, err = apis.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("GET /health"), Target: aws.String("integrations/" + *fn.IntegrationId)})
	must(t, err)
	_, err = apis.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: api.ApiId, StageName: aws.String("$default"), AutoDeploy: aws.Bool(true)})
	must(t, err)
	name := *api.ApiId + " GET /health"
	route := func() bastide.Route {
		var out bastide.ListRoutesOutput
		must(t, c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/routes", nil, &out))
		for _, r := range out.Routes {
			if *r.Route == name {
				return r
			}
		}
		t.Fatalf("no route %q among %d", name, len(out.Routes))
		return bastide.Route{}
	}
	if r := route(); *r.Acknowledged || *r.Authorization != "NONE" {
		t.Errorf("a new route: acknowledged %v, authorization %s", *r.Acknowledged, *r.Authorization)
	}
	must(t, c.REST(ctx, "bastide", http.MethodPost, "/_bastide/v1/routes/acknowledgements", map[string]string{"Route": name, "Reason": "probe"}, nil))
	if r := route(); !*r.Acknowledged || *r.Reason != "probe" || !strings.HasSuffix(*r.By, ":user/admin") {
		t.Errorf("an acknowledged route: %v %s %s", *r.Acknowledged, *r.Reason, *r.By)
	}
	must(t, c.REST(ctx, "bastide", http.MethodDelete, "/_bastide/v1/routes/acknowledgements?route="+strings.ReplaceAll(url.QueryEscape(name), "+", "%20"), nil, nil))
	if *route().Acknowledged {
		t.Error("a closed route is still open")
	}
	_, err = apis.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: api.ApiId})
	must(t, err)
	err = c.REST(ctx, "bastide", http.MethodPost, "/_bastide/v1/routes/acknowledgements", map[string]string{"Route": "none GET /"}, nil)
	if !client.Is(err, "NotFoundException") {
		t.Errorf("acknowledging no route: %v", err)
	}
}

// profiles lets a function do its work and asks what was seen of it.
func profiles(t *testing.T, s *harness.Server, c *client.Client) {
	ctx, fn, roles, name := context.Background(), lambda.NewFromConfig(s.SDK(t)), iam.NewFromConfig(s.SDK(t)), aws.String("story-profile")
	role, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`)})
	must(t, err)
	made, err := fn.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: role.Role.Arn, Handler: aws.String("app.handler"), Runtime: lambdatypes.Runtime(python(t)),
		Tags: map[string]string{"bastide:profile": "learn"},
		Code: &lambdatypes.FunctionCode{ZipFile: zipped(t, "app.py", "import subprocess\n\ndef handler(event, context):\n    open('/tmp/note', 'w').close()\n    return subprocess.check_output(['/bin/echo', 'hello']).decode()\n")}})
	must(t, err)
	type profile struct {
		FunctionName, FunctionArn, Mode        string
		Since                                  float64
		StartsProcesses, WritesTmp, FilesHeld  bool
		Programs, Hosts                        []string
		Invocations, Starts, StartMilliseconds int
		Files, Bytes                           int
		Advice                                 []struct{ Finding, Detail, Remedy string }
	}
	list := func(of string) (out struct{ Profiles []profile }, err error) {
		err = c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/functions/profiles"+of, nil, &out)
		return out, err
	}
	got, err := list("?function=" + *name)
	must(t, err)
	if len(got.Profiles) != 1 || got.Profiles[0].Mode != "learn" || got.Profiles[0].Since != 0 || got.Profiles[0].Invocations != 0 || got.Profiles[0].Files != 1 {
		t.Fatalf("of a function that was never called: %+v", got.Profiles)
	}
	for range 2 {
		answer, err := fn.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte("{}")})
		must(t, err)
		if answer.FunctionError != nil {
			t.Fatalf("the function fails: %s", answer.Payload)
		}
	}
	var p profile
	harness.Until(t, "what was seen of a function", func() bool {
		got, err := list("?function=" + *name)
		must(t, err)
		p = got.Profiles[0]
		return p.Since > 0 && p.Invocations == 2 && p.StartsProcesses && p.WritesTmp && len(p.Programs) > 0
	})
	if p.FunctionName != *name || p.FunctionArn != *made.FunctionArn || !slices.ContainsFunc(p.Programs, func(program string) bool { return strings.Contains(program, "echo") }) || len(p.Hosts) > 0 ||
		p.Starts != 1 || p.StartMilliseconds < 1 || p.Bytes == 0 || p.FilesHeld {
		t.Errorf("a profile: %+v", p)
	}
	if len(p.Advice) != 1 || p.Advice[0].Finding != "/tmp is written" || p.Advice[0].Detail == "" || p.Advice[0].Remedy == "" {
		t.Errorf("the advice: %+v", p.Advice)
	}
	seen(t, s, fn, role.Role.Arn)
	all, err := list("")
	must(t, err)
	if !slices.ContainsFunc(all.Profiles, func(p profile) bool { return p.FunctionName == *name }) {
		t.Errorf("%s is not among all %d profiles", *name, len(all.Profiles))
	}
	_, err = fn.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name})
	must(t, err)
	_, err = roles.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	must(t, err)
	if _, err = list("?function=" + *name); !client.Is(err, "NotFoundException") {
		t.Errorf("the profile of a function that is gone: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
