package template

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

const tasks = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Issuer: {Type: String, Default: "https://issuer.example"}
Globals:
  Function:
    Runtime: nodejs22.x
    CodeUri: s3://code/list.zip
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Users
        Authorizers:
          Users:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {issuer: !Ref Issuer, audience: [tasks]}
  List:
    Type: AWS::Serverless::Function
    Properties:
      Handler: list.handler
      Environment: {Variables: {TABLE: !Ref Table}}
      Policies: [DynamoDBReadPolicy: {TableName: !Ref Table}]
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /tasks, Method: get}}
  Table:
    Type: AWS::Serverless::SimpleTable
Outputs:
  Url: {Value: !Sub "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}"}
`

// A SAM template goes the whole way: it is transformed, and the graph says what
// to create in which order, with everything in its place.
func TestFromSAMToResources(t *testing.T) {
	tpl, err := Parse([]byte(tasks))
	if err != nil {
		t.Fatal(err)
	}
	g, err := tpl.Bind(stack)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(g.Resources), "Table ListRole List Api ListGetPermission ApiApiGatewayDefaultStage"; got != want {
		t.Errorf("order %s\nwant  %s", got, want)
	}
	props, err := g.Properties("List", created)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Runtime": "nodejs22.x", "Handler": "list.handler", "Role": "arn:aws:test:::ListRole",
		"Code": map[string]any{"S3Bucket": "code", "S3Key": "list.zip"}, "Environment": map[string]any{"Variables": map[string]any{"TABLE": "table-1"}},
		"Tags": []any{map[string]any{"Key": "lambda:createdBy", "Value": "SAM"}}}
	if !reflect.DeepEqual(props, want) {
		t.Errorf("function %v", props)
	}
	api, err := g.Properties("Api", created)
	if err != nil {
		t.Fatal(err)
	}
	get := api["Body"].(map[string]any)["paths"].(map[string]any)["/tasks"].(map[string]any)["get"].(map[string]any)
	uri := "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:test:::List/invocations"
	if got := get["x-amazon-apigateway-integration"].(map[string]any)["uri"]; got != uri {
		t.Errorf("integration %v", got)
	}
	if got := get["security"]; !reflect.DeepEqual(got, []any{map[string]any{"Users": []any{}}}) {
		t.Errorf("security %v", got)
	}
	if p := g.Position("ListRole", "Properties", "Policies"); p != (Pos{Line: 19, Column: 3}) {
		t.Errorf("a generated role is written where its function is: %v", p)
	}
	if !strings.Contains(g.Template().JSON(), `"Type": "AWS::IAM::Role"`) || strings.Contains(g.Template().JSON(), "Globals") {
		t.Errorf("the processed template:\n%s", g.Template().JSON())
	}
}

// One reading shows everything that is not built, each with its place.
func TestUnbuiltPartsOfSAMAreListedTogether(t *testing.T) {
	_, err := tryBind(`Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Connectors: {C: {Properties: {}}}
    Properties:
      Events:
        Timer: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
        Queue:
          Type: SQS
  M: {Type: AWS::Serverless::StateMachine}
  A:
    Type: AWS::Serverless::Application
`, stack)
	want := "The template uses what is not built." +
		" Connectors (of F) are not built. (line 5, column 5)" +
		" The event type Schedule (of F, event Timer) is not built. (line 8, column 23)" +
		" The event type SQS (of F, event Queue) is not built. (line 10, column 17)" +
		" The resource type AWS::Serverless::StateMachine (of M) is not built. (line 11, column 13)" +
		" The resource type AWS::Serverless::Application (of A) is not built. (line 13, column 11)"
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Kind != awserr.NotImplemented {
		t.Errorf("a client would see %v", e)
	}
	for _, c := range []struct{ props, want string }{
		{"AutoPublishAlias: live, DeploymentPreference: {Type: AllAtOnce}", "DeploymentPreference (of F) is not built. (line 5, column 114)"},
		{"CapacityProviderConfig: {Arn: a}", "CapacityProviderConfig (of F) is not built."},
	} {
		_, err := tryBind("Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {Runtime: python3.12, Handler: a.b, InlineCode: x, "+c.props+"}\n", stack)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// A definition in a local file is read through the loader that is given, and only so.
func TestDefinitionInAFile(t *testing.T) {
	src := "Transform: AWS::Serverless-2016-10-31\nResources:\n  Api:\n    Type: AWS::Serverless::Api\n    Properties: {StageName: dev, DefinitionUri: api.yaml}\n"
	in := stack
	in.Load = func(path string) ([]byte, error) {
		if path != "api.yaml" {
			return nil, errors.New("no such file")
		}
		return []byte("swagger: '2.0'\npaths:\n  /a: {get: {x-amazon-apigateway-integration: {type: mock}}}\n"), nil
	}
	g := bind(t, src, in)
	props, err := g.Properties("Api", created)
	if err != nil || props["Body"].(map[string]any)["swagger"] != "2.0" {
		t.Errorf("%v %v", props, err)
	}
	if _, err := tryBind(strings.Replace(src, "api.yaml", "other.yaml", 1), in); err == nil || !strings.Contains(err.Error(), "'DefinitionUri' names the file other.yaml, which cannot be read: no such file (line 5, column 49)") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := tryBind(src, stack); err == nil || !strings.Contains(err.Error(), "'DefinitionUri' is not a valid S3 Uri") {
		t.Errorf("without a loader: %v", err)
	}
}

// The deployment's name changes exactly when the API's definition does.
func TestADeploymentIsMadeAnewWhenTheDefinitionChanges(t *testing.T) {
	name := func(path string) string {
		g := bind(t, "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {Runtime: python3.12, Handler: a.b, InlineCode: x, Events: {A: {Type: Api, Properties: {Path: "+path+", Method: get}}}}\n", stack)
		for _, r := range g.Resources {
			if r.Type == "AWS::ApiGateway::Deployment" {
				return r.LogicalID
			}
		}
		return ""
	}
	if a, again, b := name("/a"), name("/a"), name("/b"); a == "" || a != again || a == b {
		t.Errorf("%q %q %q", a, again, b)
	}
}

func BenchmarkBindSAM(b *testing.B) {
	t, err := Parse([]byte(strings.Replace(tasks, "./src", "s3://code/list.zip", 1)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := t.Bind(stack); err != nil {
			b.Fatal(err)
		}
	}
}
