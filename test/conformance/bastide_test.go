package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
