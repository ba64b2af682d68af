package stacks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/test/harness"
)

// wishes asks for what is not built in the words of SAM, some of which become parts of a definition.
const wishes = `Transform: AWS::Serverless-2016-10-31
Resources:
  R:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v
      TracingEnabled: true
      Models: {U: {type: object}}
      GatewayResponses:
        UNAUTHORIZED: {StatusCode: 401}
      Auth:
        ApiKeyRequired: true
        InvokeRole: arn:aws:iam::123456789012:role/caller
        DefaultAuthorizer: C
        Authorizers:
          C: {UserPoolArn: "arn:aws:cognito-idp:us-east-1:123456789012:userpool/x"}
  F:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "def handler(e,c): return 1"
      Handler: index.handler
      Runtime: python3.12
      Architectures: [m68k]
      FileSystemConfigs: [{Arn: "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1", LocalMountPath: /mnt/a}]
      Events:
        B: {Type: Api, Properties: {RestApiId: !Ref R, Path: /b, Method: get, RequestModel: {Model: U, ValidateBody: true}}}
        C: {Type: Api, Properties: {RestApiId: !Ref R, Path: /c, Method: get, Auth: {Authorizer: AWS_IAM}}}
`

// TestWhatIsNotBuiltIsListedAtOnce: a template is refused with everything that it needs and is not
// built, where it stands, and nothing has been made.
func TestWhatIsNotBuiltIsListedAtOnce(t *testing.T) {
	s := harness.Start(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(wishes), 0o600); err != nil {
		t.Fatal(err)
	}
	out, bad, err := s.Bastide(t, "deploy", dir, "--stack", "wishes")
	if err == nil {
		t.Fatalf("deployed:\n%s", out)
	}
	for _, want := range []string{
		"line 7, column 23: RvStage: TracingEnabled (AWS X-Ray) is not built",
		"line 10, column 9: R: gateway responses are not built",
		"line 12, column 25: R: API keys (ApiKeyRequired) are not built",
		"line 13, column 21: R: an integration's credentials other than the caller's, arn:aws:iam::*:user/*, are not built",
		"line 16, column 11: R: the authorizer C needs Cognito user pools, which are not built",
		"line 23, column 23: F: the architecture m68k is not built",
		"line 24, column 26: F: the property FileSystemConfigs of AWS::Lambda::Function is not built",
		"line 26, column 118: R: request validators are not built",
	} {
		if strings.Count(out+bad, want) != 1 {
			t.Errorf("%q is not once in\n%s%s", want, out, bad)
		}
	}
	if n := strings.Count(out+bad, " is not built") + strings.Count(out+bad, " are not built"); n != 8 {
		t.Errorf("%d are named:\n%s%s", n, out, bad)
	}
}
