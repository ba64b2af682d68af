package stacks

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/test/harness"
)

// web is a function with a URL of its own and one of its alias.
const web = `Transform: AWS::Serverless-2016-10-31
Resources:
  Web:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: %[1]s
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "hello " + event["requestContext"]["http"]["path"]}
      FunctionUrlConfig: {AuthType: %[2]s, Cors: {AllowOrigins: ["https://app.example"], AllowMethods: [GET]}}
  Flow:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: %[1]s
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return {"statusCode": 418, "body": "as it is"}
      FunctionUrlConfig: {AuthType: %[2]s, InvokeMode: RESPONSE_STREAM}
  LiveVersion: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref Web}}
  Live: {Type: AWS::Lambda::Alias, Properties: {Name: live, FunctionName: !Ref Web, FunctionVersion: !GetAtt LiveVersion.Version}}
  LiveUrl: {Type: AWS::Lambda::Url, Properties: {AuthType: AWS_IAM, TargetFunctionArn: !Ref Web, Qualifier: live}, DependsOn: Live}
Outputs:
  Address: {Value: !GetAtt WebUrl.FunctionUrl}
  FlowAddress: {Value: !GetAtt FlowUrl.FunctionUrl}
  Function: {Value: !Ref WebUrl}
`

// TestFunctionURLOfATemplate: the SAM transform's URL answers where the deployment says, changes in
// place, is opened by the template's metadata and goes with its stack.
func TestFunctionURLOfATemplate(t *testing.T) {
	s := harness.Start(t)
	dir := t.TempDir()
	version, err := exec.CommandContext(t.Context(), "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2], end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	deploy := func(text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, bad, err := s.Bastide(t, "deploy", dir, "--stack", "web")
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out, bad)
		}
		return out
	}
	get := func(address string, header ...string) harness.Answer {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return s.Send(t, r)
	}
	out := deploy(fmt.Sprintf(web, version, "NONE"))
	var paths []string
	for _, word := range strings.Fields(out) {
		if strings.HasPrefix(word, s.URL()+"/_aws/lambda-url/") && !slices.Contains(paths, word) { // outputs say where they answer, too
			paths = append(paths, word)
		}
	}
	if len(paths) != 3 || !strings.Contains(out, ".lambda-url.localhost:") || !strings.Contains(out, "$default  AWS_IAM") {
		t.Fatalf("the deployment does not print the URLs by host and by path:\n%s", out)
	}
	address, flow := "", ""
	for _, p := range paths {
		id := strings.Split(p, "/")[5]
		if strings.Contains(out, "FlowAddress = http://"+id+".lambda-url.localhost:") {
			flow = p
			continue
		}
		if strings.Contains(out, "Address = http://"+id+".lambda-url.localhost:") {
			address = p
		}
	}
	if a := get(address + "a/b"); a.Status != 200 || a.Body != "hello /a/b" || a.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := get(address, "Origin", "https://app.example"); a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("CORS: %v", a.Header)
	}
	// a URL that streams passes an answer on as it is
	if a := get(flow); a.Status != 200 || a.Body != `{"statusCode": 418, "body": "as it is"}` {
		t.Errorf("streamed: %d %s", a.Status, a.Body)
	}
	stranger := []string{"X-Forwarded-For", "192.0.2.7"}
	if a := get(address, stranger...); a.Status != 403 || !strings.Contains(a.Body, "bastide acknowledge") {
		t.Errorf("a stranger: %d %s", a.Status, a.Body)
	}
	acknowledged := strings.Replace(fmt.Sprintf(web, version, "NONE"), "    Type: AWS::Serverless::Function\n", "    Type: AWS::Serverless::Function\n    Metadata: {Bastide: {Acknowledge: [$default]}}\n", 1)
	deploy(acknowledged)
	if a := get(address, stranger...); a.Status != 200 {
		t.Errorf("a stranger, acknowledged: %d %s", a.Status, a.Body)
	}
	deploy(fmt.Sprintf(web, version, "AWS_IAM"))
	if a := get(address); a.Status != 403 || a.Header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("unsigned: %d %s", a.Status, a.Body)
	}
	if out, bad, err := s.Bastide(t, "down", dir, "--stack", "web"); err != nil {
		t.Fatalf("%v\n%s%s", err, out, bad)
	}
	if a := get(address); a.Status != 403 {
		t.Errorf("gone: %d %s", a.Status, a.Body)
	}
}
