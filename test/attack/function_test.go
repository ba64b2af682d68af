package attack

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/internal/audit"
)

// probe tries, from inside a function, what the event names, and tells how it went.
const probe = `
import os, socket, urllib.request, urllib.error
import boto3
from botocore.exceptions import ClientError

def code(service, operation, **arguments):
    try:
        getattr(boto3.client(service), operation)(**arguments)
        return "allowed"
    except ClientError as e:
        return e.response["Error"]["Code"]

def fetch(path, **headers):
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + path, headers=headers, method=headers.pop("method", "GET"))
    try:
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as e:
        return e.code

def reach(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return "connected"
    except OSError:
        return "unreachable"

def handler(event, context):
    account = "123456789012"
    allow = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    return {
        "own": code("logs", "describe_log_groups"),
        "tables": code("dynamodb", "list_tables"),
        "own policy": code("iam", "put_role_policy", RoleName="probe", PolicyName="all", PolicyDocument=allow),
        "own boundary": code("iam", "delete_role_permissions_boundary", RoleName="probe"),
        "a key of the administrator": code("iam", "create_access_key", UserName="admin"),
        "another role": code("sts", "assume_role", RoleArn=f"arn:aws:iam::{account}:role/strong", RoleSessionName="stolen"),
        "another function": code("lambda", "invoke", FunctionName="other"),
        "its own code": code("lambda", "update_function_code", FunctionName="probe", ZipFile=b"x"),
        "the trail": fetch("/_bastide/v1/audit/records"),
        "a backup": fetch("/_bastide/v1/backup", method="POST"),
        "the host": reach("127.0.0.1", event["port"]),
        "an address outside": reach("192.0.2.1", 80),
        "the metadata service": reach("169.254.169.254", 80),
        "links": [name for _, name in socket.if_nameindex()],
        "secret": os.environ.get("PASSWORD"),
        "keys": [os.environ[k] for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")],
    }
`

// TestFunctionsRights: a function may what its role may and reaches what it declared; what it tries
// beyond is refused to its role by name.
func TestFunctionsRights(t *testing.T) {
	g := newStage(t)
	g.role("strong", ownAccount, "", allow("*"))
	role := g.role("probe", `{"Service":"lambda.amazonaws.com"}`, "", allow("logs:DescribeLogGroups"))
	fns := lambda.NewFromConfig(g.s.SDK(t))
	for _, name := range []string{"probe", "other"} {
		g.function(fns, name, role, zipOf(t, map[string]string{"app.py": probe}))
	}
	_, port, _ := strings.Cut(g.s.Address, ":")
	out, err := fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"port":` + port + `}`)})
	g.must(err)
	var got map[string]any
	if err := json.Unmarshal(out.Payload, &got); err != nil || out.FunctionError != nil {
		t.Fatalf("the probe failed: %v %s", err, out.Payload)
	}
	for what, want := range map[string]any{"own": "allowed", "tables": "AccessDeniedException", "own policy": "AccessDenied", "own boundary": "AccessDenied",
		"a key of the administrator": "AccessDenied", "another role": "AccessDenied", "another function": "AccessDeniedException", "its own code": "AccessDeniedException",
		"the trail": 403.0, "a backup": 403.0, "the host": "unreachable", "an address outside": "unreachable", "the metadata service": "unreachable", "secret": "a-password-of-7f3a91"} {
		if got[what] != want {
			t.Errorf("%s: %v, want %v", what, got[what], want)
		}
	}
	if links, _ := json.Marshal(got["links"]); string(links) != `["lo"]` {
		t.Errorf("the function sees the links %s", links)
	}
	refusal := g.s.Recorded(t, "the function's refusal", url.Values{"eventName": {"PutRolePolicy"}}, func(r audit.Record) bool {
		return r.ErrorCode == "AccessDenied" && r.UserIdentity.Type == "AssumedRole"
	})
	if !strings.Contains(refusal.UserIdentity.ARN, ":assumed-role/probe/probe") {
		t.Errorf("the refusal was recorded of %s", refusal.UserIdentity.ARN)
	}
	secrets := map[string]string{"a function's environment": "a-password-of-7f3a91", "the administrator's secret": g.s.Admin(t).SecretAccessKey}
	for i, name := range []string{"", "a function's secret key", "a function's token"} {
		if name != "" {
			secrets[name] = got["keys"].([]any)[i].(string)
		}
	}
	for path, name := range holding(t, g.s.Data, secrets) {
		if !strings.HasSuffix(path, "credentials.json") {
			t.Errorf("%s is in %s", name, path)
		}
	}
}

// function makes one on the python at hand.
func (g *stage) function(fns *lambda.Client, name, role string, code []byte) {
	g.Helper()
	out, err := exec.CommandContext(g.Context(), "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	g.must(err)
	_, err = fns.CreateFunction(g.Context(), &lambda.CreateFunctionInput{FunctionName: &name, Role: &role, Handler: aws.String("app.handler"), Timeout: aws.Int32(60),
		MemorySize: aws.Int32(512), Runtime: lambdatypes.Runtime(strings.TrimSpace(string(out))), Code: &lambdatypes.FunctionCode{ZipFile: code},
		Environment: &lambdatypes.Environment{Variables: map[string]string{"PASSWORD": "a-password-of-7f3a91"}}})
	g.must(err)
	g.must(lambda.NewFunctionActiveV2Waiter(fns).Wait(g.Context(), &lambda.GetFunctionInput{FunctionName: &name}, time.Minute))
}

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, text := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// linkOf is an archive of a link and a file through it.
func linkOf(t *testing.T, target string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	h := &zip.FileHeader{Name: "out", Method: zip.Store}
	h.SetMode(os.ModeSymlink | 0o777)
	for _, e := range []struct {
		h    *zip.FileHeader
		body string
	}{{h, target}, {&zip.FileHeader{Name: "out/climbed"}, "x"}} {
		w, err := z.CreateHeader(e.h)
		if err == nil {
			_, err = w.Write([]byte(e.body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestFunctionPackages: packages and layers that swell, climb or lie are refused. Package pack has the
// kinds; here they come by the API.
func TestFunctionPackages(t *testing.T) {
	g := newStage(t)
	role := g.role("probe", `{"Service":"lambda.amazonaws.com"}`, "", "")
	fns := lambda.NewFromConfig(g.s.SDK(t))
	bomb := zipOf(t, map[string]string{"zeros": strings.Repeat("\x00", 300<<20)})
	for name, code := range map[string][]byte{
		"a bomb":             bomb,
		"a path that climbs": zipOf(t, map[string]string{"../../../../tmp/climbed.py": "x"}),
		"an absolute path":   zipOf(t, map[string]string{"/etc/climbed": "x"}),
		"no archive":         []byte("PK\x03\x04 and nothing more"),
		"a cut archive":      bomb[:len(bomb)/2],
		"a link and through": linkOf(t, "../../../../../../tmp"),
		"an absolute link":   linkOf(t, "/tmp"),
	} {
		_, err := fns.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String("bad"), Role: &role, Handler: aws.String("app.handler"),
			Runtime: lambdatypes.RuntimeProvidedal2023, Code: &lambdatypes.FunctionCode{ZipFile: code}})
		if err == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		g.refused(err, "InvalidParameterValueException", "")
		if _, err := fns.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{LayerName: aws.String("bad"), Content: &lambdatypes.LayerVersionContentInput{ZipFile: code}}); err == nil {
			t.Errorf("%s was taken as a layer", name)
		} else {
			g.refused(err, "InvalidParameterValueException", "")
		}
	}
	if _, err := os.Stat("/tmp/climbed"); err == nil {
		t.Error("something was written outside")
	}
	g.s.Alive(t)
}

// TestPassRole: who may make functions makes none with a role that they may not pass.
func TestPassRole(t *testing.T) {
	g := newStage(t)
	strong := g.role("strong", `{"Service":"lambda.amazonaws.com"}`, "", allow("*"))
	weak := g.role("weak", `{"Service":"lambda.amazonaws.com"}`, "", "")
	maker := g.user("maker", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:*","Resource":"*"},`+
		`{"Effect":"Allow","Action":"iam:PassRole","Resource":"`+weak+`","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}`)
	fns := lambda.NewFromConfig(g.as(maker))
	create := func(name, role string) error {
		_, err := fns.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: &name, Role: &role, Handler: aws.String("bootstrap"),
			Runtime: lambdatypes.RuntimeProvidedal2023, Code: &lambdatypes.FunctionCode{ZipFile: zipOf(t, map[string]string{"bootstrap": "#!/bin/sh\n"})}})
		return err
	}
	g.refused(create("strong", strong), "AccessDeniedException", "CreateFunction")
	g.must(create("weak", weak))
	_, err := fns.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("weak"), Role: &strong})
	g.refused(err, "AccessDeniedException", "UpdateFunctionConfiguration")
	_, err = iam.NewFromConfig(g.as(maker)).ListRoles(t.Context(), &iam.ListRolesInput{})
	g.refused(err, "AccessDenied", "ListRoles")
}
