package attack

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// visitor calls what the event names from inside a function, without a signature, and IAM with keys
// that nobody gave it.
const visitor = `
import boto3, urllib.request, urllib.error
from botocore.exceptions import ClientError

def handler(event, context):
    answers = {}
    for link in event["links"] or []:
        try:
            answers[link] = urllib.request.urlopen(link, timeout=10).status
        except urllib.error.HTTPError as e:
            answers[link] = e.code
    for keys in ({}, {"aws_access_key_id": "test", "aws_secret_access_key": "test", "aws_session_token": ""}):
        try:
            boto3.client("iam", **keys).list_users()
            answers["IAM as " + (keys.get("aws_access_key_id") or "itself")] = "allowed"
        except ClientError as e:
            answers["IAM as " + (keys.get("aws_access_key_id") or "itself")] = e.response["Error"]["Code"]
    return answers
`

func (g *urlStage) visit(links ...string) map[string]any {
	g.Helper()
	g.function(g.fns, "visitor", g.role("visitor", `{"Service":"lambda.amazonaws.com"}`, "", ""), zipOf(g.T, map[string]string{"app.py": visitor}))
	event, err := json.Marshal(map[string]any{"links": links})
	g.must(err)
	out, err := g.fns.Invoke(g.Context(), &lambda.InvokeInput{FunctionName: aws.String("visitor"), Payload: event})
	g.must(err)
	var got map[string]any
	if err := json.Unmarshal(out.Payload, &got); err != nil || out.FunctionError != nil {
		g.Fatalf("the visitor failed: %v %s", err, out.Payload)
	}
	return got
}

// TestOpenRoutesAnswerNoFunction: a route without authorisation answers clients of this machine; a
// sandbox's own loopback is not this machine's, and the refusal names the function.
func TestOpenRoutesAnswerNoFunction(t *testing.T) {
	g := newURLStage(t, lambdatypes.FunctionUrlAuthTypeNone)
	g.permit("url", "lambda:InvokeFunctionUrl", "*")
	g.permit("invoke", "lambda:InvokeFunction", "*")
	if a := g.s.Send(t, g.request()); a.Status != 200 {
		t.Fatalf("a local client is answered %d %s", a.Status, a.Body)
	}
	links := []string{"http://127.0.0.1:4566" + g.path, "http://" + g.id + ".lambda-url.localhost:4566/"}
	got := g.visit(links...)
	for _, link := range links {
		if got[link] != 403.0 {
			t.Errorf("%s answered a function %v", link, got[link])
		}
	}
	g.s.Recorded(t, "the refusals, by the function that asked", url.Values{"sourceIp": {"arn:aws:lambda:us-east-1:123456789012:function:visitor"}},
		func(r audit.Record) bool { return strings.HasSuffix(r.SourceIPAddress, ":function:visitor") })
}

// TestOpenCredentialsStayOutside: what opens the door to a conformance suite does not make
// administrators of the functions that it tests.
func TestOpenCredentialsStayOutside(t *testing.T) {
	g := newURLStage(t, lambdatypes.FunctionUrlAuthTypeNone, "--open-credentials")
	outside := iam.NewFromConfig(g.as(sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}))
	if _, err := outside.ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Fatal(err)
	}
	got := g.visit()
	if got["IAM as itself"] != "AccessDenied" || got["IAM as test"] != "InvalidClientTokenId" {
		t.Errorf("a function was answered %v", got)
	}
}
