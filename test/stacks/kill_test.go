package stacks

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// application names some of its resources itself and leaves the names of others to the stack; %[1]s
// tells one stack's names from another's, %[2]s one version from the next.
const application = `
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: %[1]s-table%[2]s
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Other:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: %[1]s-bucket%[2]s}}
  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: %[1]s-logs%[2]s, RetentionInDays: 7}}
  Named:
    Type: AWS::IAM::Role
    Properties:
      RoleName: %[1]s-role%[2]s
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
      ManagedPolicyArns: [!Ref Managed]
      Policies:
        - PolicyName: data
          PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "dynamodb:*", Resource: [!GetAtt Table.Arn, !GetAtt Other.Arn]}]}
  Unnamed:
    Type: AWS::IAM::Role
    DependsOn: Bucket
    Properties:
      Description: version %[2]s
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "logs:*", Resource: !GetAtt Logs.Arn}]}
  Api:
    Type: AWS::ApiGatewayV2::Api
    DependsOn: Named
    Properties: {Name: %[1]s, ProtocolType: HTTP}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: $default, AutoDeploy: true}}
`

const stacks = 4

func name(i int) string { return fmt.Sprintf("app%d", i) }

// rig drives CloudFormation over a server that comes and goes.
type rig struct {
	*testing.T
	s *harness.Server
}

func (r rig) call(action string, in url.Values, out any) error {
	r.Helper()
	return r.s.Client(r).Query(context.Background(), "cloudformation", "2010-05-15", action, in, out)
}

func (r rig) begin(action string, i int, version string) {
	r.Helper()
	in := url.Values{"StackName": {name(i)}, "Capabilities.member.1": {"CAPABILITY_NAMED_IAM"}}
	if action != "DeleteStack" {
		in.Set("TemplateBody", fmt.Sprintf(application, name(i), version))
	}
	if err := r.call(action, in, nil); err != nil {
		r.Fatal(err)
	}
}

func (r rig) statuses() map[string]string {
	r.Helper()
	var out struct {
		Stacks []struct{ StackName, StackStatus string } `xml:"DescribeStacksResult>Stacks>member"`
	}
	if err := r.call("DescribeStacks", url.Values{}, &out); err != nil {
		r.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range out.Stacks {
		got[s.StackName] = s.StackStatus
	}
	return got
}

func (r rig) events() int {
	r.Helper()
	n := 0
	for i := range stacks {
		var out struct {
			Events []struct{ EventID string } `xml:"DescribeStackEventsResult>StackEvents>member"`
		}
		if err := r.call("DescribeStackEvents", url.Values{"StackName": {name(i)}}, &out); err == nil {
			n += len(out.Events)
		}
	}
	return n
}

// killed kills the server a few times, each after some more of the work was done, and then waits
// until the stacks have come to rest in a status.
func (r rig) killed(want string) {
	r.Helper()
	for range 2 {
		before := r.events()
		harness.Until(r, "the deployments go on", func() bool { return r.events() > before+5 || r.rest() })
		r.s.Kill(r)
		r.s.Restart(r)
	}
	harness.Until(r, "the deployments end", r.rest)
	for n, status := range r.statuses() {
		if status != want {
			r.Errorf("%s is %s, wanted %s", n, status, want)
		}
	}
}

func (r rig) rest() bool {
	return !slices.ContainsFunc(slices.Collect(maps.Values(r.statuses())), func(s string) bool { return strings.HasSuffix(s, "_IN_PROGRESS") })
}

// exist are the names of all that there is, of the kinds that the template makes.
func (r rig) exist() []string {
	r.Helper()
	var out []string
	for _, list := range [][]string{
		{"dynamodb", "list-tables", "--query", "TableNames"},
		{"s3api", "list-buckets", "--query", "Buckets[].Name"},
		{"logs", "describe-log-groups", "--query", "logGroups[].logGroupName"},
		{"iam", "list-roles", "--query", "Roles[].RoleName"},
		{"iam", "list-policies", "--scope", "Local", "--query", "Policies[].PolicyName"},
		{"apigatewayv2", "get-apis", "--query", "Items[].Name"},
	} {
		out = append(out, harness.Decode[[]string](r, r.s.AWS(r, append(list, "--output", "json")...))...)
	}
	slices.Sort(out)
	return out
}

// whole checks that there is exactly what the stacks' templates say.
func (r rig) whole(version string) {
	r.Helper()
	got := r.exist()
	for i := range stacks {
		n := name(i)
		for _, want := range []string{n + "-table" + version, n + "-bucket" + version, n + "-logs" + version, n + "-role" + version, n} {
			if k := slices.Index(got, want); k < 0 {
				r.Errorf("%s is missing", want)
			} else {
				got = slices.Delete(got, k, k+1)
			}
		}
		for _, want := range []string{n + "-Other-", n + "-Unnamed-", n + "-Managed-"} {
			if k := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }); k < 0 {
				r.Errorf("%s… is missing", want)
			} else {
				got = slices.Delete(got, k, k+1)
			}
		}
	}
	if len(got) > 0 {
		r.Errorf("beside what the templates say there is %v", got)
	}
}

func TestDeploymentsSurviveTheirServer(t *testing.T) {
	r := rig{t, harness.Start(t)}
	start := time.Now()
	for i := range stacks {
		r.begin("CreateStack", i, "")
	}
	r.killed("CREATE_COMPLETE")
	r.whole("")
	for i := range stacks {
		r.begin("UpdateStack", i, "-2")
	}
	r.killed("UPDATE_COMPLETE")
	r.whole("-2")
	for i := range stacks {
		r.begin("DeleteStack", i, "")
	}
	r.killed("")
	if got := r.exist(); len(got) > 0 {
		t.Errorf("left over: %v", got)
	}
	t.Logf("six kills in %v", time.Since(start).Round(time.Second))
}
