package cloudformation

import (
	"errors"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/store"
)

func TestChangeSets(t *testing.T) {
	r := newRig(t)
	c := r.client()
	set, err := c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "app", ChangeSetName: "first", ChangeSetType: new("CREATE"), TemplateBody: new(pair)})
	if err != nil {
		t.Fatal(err)
	}
	if st := r.stack("app"); st.StackStatus != "REVIEW_IN_PROGRESS" {
		t.Errorf("%s", st.StackStatus)
	}
	d, err := c.DescribeChangeSet(t.Context(), &api.DescribeChangeSetInput{ChangeSetName: *set.Id})
	if err != nil || *d.Status != "CREATE_COMPLETE" || *d.ExecutionStatus != "AVAILABLE" || len(d.Changes) != 2 || *d.Changes[0].ResourceChange.Action != "Add" {
		t.Fatalf("%+v %v", d, err)
	}
	_, err = c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "app", ChangeSetName: "first", ChangeSetType: new("CREATE"), TemplateBody: new(pair)})
	r.refused(err, "AlreadyExistsException", "ChangeSet first already exists")
	if _, err := c.ExecuteChangeSet(t.Context(), &api.ExecuteChangeSetInput{StackName: new("app"), ChangeSetName: "first"}); err != nil {
		t.Fatal(err)
	}
	r.work(t.Context())
	if st := r.stack("app"); st.StackStatus != "CREATE_COMPLETE" || *st.ChangeSetId != *set.Id {
		t.Errorf("%+v", st)
	}
	_, err = c.ExecuteChangeSet(t.Context(), &api.ExecuteChangeSetInput{StackName: new("app"), ChangeSetName: "first"})
	r.refused(err, "InvalidChangeSetStatus", "cannot be executed in its current execution status of [EXECUTE_COMPLETE]")

	if _, err = c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "app", ChangeSetName: "same", TemplateBody: new(pair)}); err != nil {
		t.Fatal(err)
	}
	d, err = c.DescribeChangeSet(t.Context(), &api.DescribeChangeSetInput{StackName: new("app"), ChangeSetName: "same"})
	if err != nil || *d.Status != "FAILED" || *d.StatusReason != "The submitted information didn't contain changes. Submit different information to create a change set." {
		t.Errorf("%+v %v", d, err)
	}
	renamed := strings.Replace(pair, "Name: second", "Name: deuxieme", 1)
	if _, err = c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "app", ChangeSetName: "renames", TemplateBody: &renamed}); err != nil {
		t.Fatal(err)
	}
	d, err = c.DescribeChangeSet(t.Context(), &api.DescribeChangeSetInput{StackName: new("app"), ChangeSetName: "renames"})
	if err != nil || len(d.Changes) != 1 || *d.Changes[0].ResourceChange.Replacement != "True" || *d.Changes[0].ResourceChange.PhysicalResourceId != "second" {
		t.Errorf("%+v %v", d, err)
	}
	list, err := c.ListChangeSets(t.Context(), &api.ListChangeSetsInput{StackName: "app"})
	if err != nil || len(list.Summaries) != 3 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := c.ExecuteChangeSet(t.Context(), &api.ExecuteChangeSetInput{StackName: new("app"), ChangeSetName: "renames"}); err != nil {
		t.Fatal(err)
	}
	r.work(t.Context())
	if got := r.things.state(); !strings.Contains(got, "deuxieme") || strings.Contains(got, "second") {
		t.Errorf("there is %s", got)
	}
	_, err = c.DescribeChangeSet(t.Context(), &api.DescribeChangeSetInput{StackName: new("app"), ChangeSetName: "same"})
	r.refused(err, "ChangeSetNotFound", "ChangeSet [same] does not exist")
	_, err = c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "nobody", ChangeSetName: "x", TemplateBody: new(pair)})
	r.refused(err, "ValidationError", "Stack [nobody] does not exist")
}

// What the transform does not build, parameters, types, properties and references stand in one list,
// in the template's order, whoever asks.
func TestOneListOfWhatIsNotBuilt(t *testing.T) {
	r := newRig(t)
	c := r.client()
	src := `Transform: AWS::Serverless-2016-10-31
Parameters:
  Image: {Type: "AWS::SSM::Parameter::Value<String>", Default: /image}
Resources:
  Web:
    Type: AWS::Serverless::HttpApi
    Properties: {Domain: {DomainName: example.org}, DefinitionBody: {openapi: 3.0.1, paths: {}}}
  F:
    Type: AWS::Serverless::Function
    Connectors: {C: {Properties: {}}}
    Properties:
      DeploymentPreference: {Type: AllAtOnce}
      Events:
        Timer: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
  Steps:
    Type: AWS::Serverless::StateMachine
    Properties: {DefinitionUri: s.json}
  Queue:
    Type: AWS::SQS::Queue
    Properties: {Name: !GetAtt Steps.Arn}
  Thing:
    Type: Test::Door::Thing
    Properties: {Unheard: !Ref Image, Value: "{{resolve:ssm:x}}"}
Outputs:
  Steps: {Value: !Ref Steps}
`
	_, err := c.CreateStack(t.Context(), &api.CreateStackInput{StackName: "new", TemplateBody: &src})
	e, ok := errors.AsType[*awserr.Error](err)
	if !ok || e.Kind != awserr.NotImplemented {
		t.Fatalf("%v", err)
	}
	want := strings.Join([]string{"The template needs what Bastide has not built:",
		"  line 3, column 17: The parameter Image has type AWS::SSM::Parameter::Value<String>: reading parameters from Systems Manager is not built",
		"  line 5, column 3: Web: the type AWS::ApiGatewayV2::Api is not built", // in this rig
		"  line 5, column 3: WebApiGatewayDefaultStage: the type AWS::ApiGatewayV2::Stage is not built",
		"  line 7, column 26: Domain (of Web) is not built",
		"  line 10, column 5: Connectors (of F) are not built",
		"  line 12, column 29: DeploymentPreference (of F) is not built",
		"  line 14, column 23: The event type Schedule (of F, event Timer) is not built",
		"  line 16, column 11: The resource type AWS::Serverless::StateMachine (of Steps) is not built",
		"  line 19, column 11: Queue: the type AWS::SQS::Queue is not built",
		"  line 23, column 18: Thing: the property Unheard of Test::Door::Thing is not built",
		"  line 23, column 46: the dynamic reference {{resolve:ssm:x}} is not built"}, "\n")
	if e.Message != want {
		t.Errorf("%s\nwant\n%s", e.Message, want)
	}
	_, set := c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "new", ChangeSetName: "x", ChangeSetType: new("CREATE"), TemplateBody: &src})
	if set == nil || set.Error() != err.Error() {
		t.Errorf("a change set is refused with %v", set)
	}
}

const roles2 = `
Transform: AWS::Serverless-2016-10-31
Resources:
  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
`

func TestRequestsThatAreRefused(t *testing.T) {
	r := newRig(t)
	c := r.client()
	r.make("app", pair)
	named := strings.Replace(strings.Replace(roles2, "Transform: AWS::Serverless-2016-10-31\n", "", 1), "Properties: {", "Properties: {RoleName: r, ", 1)
	for _, x := range []struct {
		in            api.CreateStackInput
		code, message string
	}{
		{api.CreateStackInput{StackName: "app"}, "AlreadyExistsException", "Stack [app] already exists"},
		{api.CreateStackInput{StackName: "1app"}, "ValidationError", "Value '1app' at 'stackName' failed to satisfy constraint"},
		{api.CreateStackInput{TemplateBody: new("")}, "ValidationError", ""},
		{api.CreateStackInput{TemplateBody: new("Resources: [")}, "ValidationError", "(line 2, column 1)"},
		{api.CreateStackInput{TemplateBody: new(roles2)}, "InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM, CAPABILITY_AUTO_EXPAND]"},
		{api.CreateStackInput{TemplateBody: new(roles2), Capabilities: []string{"CAPABILITY_NAMED_IAM"}}, "InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_AUTO_EXPAND]"},
		{api.CreateStackInput{TemplateBody: &named, Capabilities: []string{"CAPABILITY_IAM"}}, "InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_NAMED_IAM]"},
		{api.CreateStackInput{TemplateBody: &named, Capabilities: []string{"CAPABILITY_NAMED_IAM"}}, "NotImplemented", "line 3, column 13: R: the type AWS::IAM::Role is not built"},
		{api.CreateStackInput{ResourceTypes: []string{"AWS::*"}}, "ValidationError", "Resource type Test::Door::Thing is not allowed"},
		{api.CreateStackInput{NotificationARNs: []string{"arn:aws:sns:eu-west-1:123456789012:x"}}, "NotImplemented", "NotificationARNs"},
		{api.CreateStackInput{StackPolicyBody: new("{}")}, "NotImplemented", "Stack policies"},
		{api.CreateStackInput{RollbackConfiguration: &api.RollbackConfiguration{RollbackTriggers: []api.RollbackTrigger{{Arn: "a", Type: "b"}}}}, "NotImplemented", "Rollback triggers"},
		{api.CreateStackInput{RollbackConfiguration: &api.RollbackConfiguration{MonitoringTimeInMinutes: new(int32(5))}}, "NotImplemented", "MonitoringTimeInMinutes"},
		{api.CreateStackInput{OnFailure: new("DELETE"), DisableRollback: new(true)}, "ValidationError", "not both"},
		{api.CreateStackInput{Parameters: parameters([]string{"Unknown=1"})}, "ValidationError", "Parameters: [Unknown] do not exist in the template"},
		{api.CreateStackInput{Tags: []api.Tag{{Key: "aws:x", Value: "y"}}}, "ValidationError", "aws: prefixed"},
		{api.CreateStackInput{TemplateURL: new("ftp://x/y/z")}, "ValidationError", "not both"},
	} {
		if x.in.StackName == "" {
			x.in.StackName = "new"
		}
		if x.in.TemplateBody == nil {
			x.in.TemplateBody = new(pair)
		}
		_, err := c.CreateStack(t.Context(), &x.in)
		if err == nil {
			t.Errorf("%+v was taken", x.in)
			continue
		}
		if x.message != "" {
			r.refused(err, x.code, x.message)
		}
	}
	long := strings.Repeat("#", maxBody) + "\n" + pair
	_, err := c.CreateStack(t.Context(), &api.CreateStackInput{StackName: "long", TemplateBody: &long})
	r.refused(err, "ValidationError", "less than or equal to 51200")
	_, err = c.CreateStack(t.Context(), &api.CreateStackInput{StackName: "long", TemplateURL: new("ftp://x/y/z")})
	r.refused(err, "ValidationError", "TemplateURL must be a supported URL.")
	_, err = c.UpdateStack(t.Context(), &api.UpdateStackInput{StackName: "nobody", TemplateBody: new(pair)})
	r.refused(err, "ValidationError", "Stack [nobody] does not exist")
}

func TestTerminationProtectionAndTokens(t *testing.T) {
	r := newRig(t)
	c := r.client()
	in := &api.CreateStackInput{StackName: "app", TemplateBody: new(pair), EnableTerminationProtection: new(true), ClientRequestToken: new("once")}
	one, err := c.CreateStack(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.CreateStack(t.Context(), in)
	if err != nil || *two.StackId != *one.StackId {
		t.Errorf("the same token: %+v %v", two, err)
	}
	_, err = c.UpdateStack(t.Context(), &api.UpdateStackInput{StackName: "app", TemplateBody: new(pair)})
	r.refused(err, "ValidationError", "is in CREATE_IN_PROGRESS state and can not be updated.")
	r.work(t.Context())
	_, err = c.DeleteStack(t.Context(), &api.DeleteStackInput{StackName: "app"})
	r.refused(err, "ValidationError", "cannot be deleted while TerminationProtection is enabled")
	if _, err := c.DeleteStack(t.Context(), &api.DeleteStackInput{StackName: "nobody"}); err != nil {
		t.Errorf("what is gone is deleted: %v", err)
	}
}

func TestTemplatesCanBeReadBack(t *testing.T) {
	r := newRig(t)
	c := r.client()
	r.make("app", pair)
	got, err := c.GetTemplate(t.Context(), &api.GetTemplateInput{StackName: new("app")})
	if err != nil || *got.TemplateBody != pair {
		t.Errorf("%+v %v", got, err)
	}
	v, err := c.ValidateTemplate(t.Context(), &api.ValidateTemplateInput{TemplateBody: new(pair)})
	if err != nil || len(v.Parameters) != 2 || *v.Parameters[0].DefaultValue != "one" || !*v.Parameters[1].NoEcho || v.Capabilities != nil {
		t.Errorf("%+v %v", v, err)
	}
	for _, bad := range []string{`{"Resources": {"T": {"Type": "A::B::C", "Properties": {"N": {"Ref": "Gone"}}}}}`, `{"Resources": {"Gone": {"Type": "A::B::C"}, "T": {"Type": "A::B::C", "Properties": {"N": {"Fn::Sub": "${Gone}/${AWS::Region}/${Lost}"}}}}}`} {
		_, err = c.ValidateTemplate(t.Context(), &api.ValidateTemplateInput{TemplateBody: &bad})
		r.refused(err, "ValidationError", "Template format error: Unresolved resource dependencies [")
	}
	// What a transform will define is not known yet.
	if _, err = c.ValidateTemplate(t.Context(), &api.ValidateTemplateInput{TemplateBody: new(`{"Transform": "AWS::Serverless-2016-10-31", "Resources": {"T": {"Type": "A::B::C", "Properties": {"N": {"Ref": "ServerlessRestApi"}}}}}`)}); err != nil {
		t.Error(err)
	}
	_, err = c.DescribeStackEvents(t.Context(), &api.DescribeStackEventsInput{StackName: "gone"})
	r.refused(err, "ValidationError", "Stack [gone] does not exist")
	sum, err := c.GetTemplateSummary(t.Context(), &api.GetTemplateSummaryInput{TemplateBody: new(roles2)})
	if err != nil || sum.ResourceTypes[0] != "AWS::IAM::Role" || strings.Join(sum.Capabilities, ",") != "CAPABILITY_IAM,CAPABILITY_AUTO_EXPAND" {
		t.Errorf("%+v %v", sum, err)
	}
	if _, err = c.GetTemplateSummary(t.Context(), &api.GetTemplateSummaryInput{TemplateBody: new(pair), CallAs: new("SELF")}); err != nil {
		t.Error(err)
	}
	_, err = c.GetTemplateSummary(t.Context(), &api.GetTemplateSummaryInput{TemplateBody: new(pair), CallAs: new("DELEGATED_ADMIN")})
	r.refused(err, "NotImplemented", "CallAs")
}

// A stack whose template would be refused today still ends, and every value given to it is a secret.
func TestAStackOfATemplateThatIsRefusedNow(t *testing.T) {
	r := newRig(t)
	r.make("app", pair, "Value=given")
	err := r.service.job(r.gate, "Operations", place{}).View(t.Context(), func(tx *store.Tx) error {
		st, ok, err := r.service.t.named(tx, account, region, "app")
		if err != nil || !ok {
			return errors.Join(err, errors.New("no stack"))
		}
		st.Template = "Globals: {}\n" + pair
		secrets, err := r.service.secrets(tx, st.place(), &st.version)
		if len(secrets) != 1 || secrets[0] != "given" {
			t.Errorf("secrets %q", secrets)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheFormsOfAnObjectsURL(t *testing.T) {
	for _, c := range []struct{ url, bucket, key string }{
		{"https://bucket.s3.amazonaws.com/a/key.yaml", "bucket", "a/key.yaml"},
		{"https://my.bucket.s3.eu-west-1.amazonaws.com/key", "my.bucket", "key"},
		{"https://bucket.s3-eu-west-1.amazonaws.com/key", "bucket", "key"},
		{"https://s3.eu-west-1.amazonaws.com/bucket/key", "bucket", "key"},
		{"https://s3.amazonaws.com/bucket/a%20b", "bucket", "a b"},
		{"http://127.0.0.1:4566/bucket/key?versionId=1", "bucket", "key"},
		{"http://localhost:4566/bucket/key", "bucket", "key"},
		{"http://bucket.s3.localhost:4566/key", "bucket", "key"},
		{"s3://bucket/key", "", ""}, {"https://s3.amazonaws.com/bucket", "", ""}, {"https://bucket.s3.amazonaws.com/", "", ""},
		{"https://user@s3.amazonaws.com/bucket/key", "", ""}, {"%", "", ""},
	} {
		b, k, ok := object(c.url)
		if ok != (c.bucket != "") || ok && (b != c.bucket || k != c.key) {
			t.Errorf("%s: %q %q %v", c.url, b, k, ok)
		}
	}
}

func FuzzObject(f *testing.F) {
	f.Add("https://bucket.s3.amazonaws.com/a/key.yaml")
	f.Add("http://127.0.0.1:4566/bucket/key")
	f.Fuzz(func(t *testing.T, s string) {
		if b, k, ok := object(s); ok && (b == "" || k == "" || strings.Contains(b, "/")) {
			t.Errorf("%q: %q %q", s, b, k)
		}
	})
}
