package lambda

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// making is the stack's principal, called for by CloudFormation.
func (r *rig) making(name string) gate.Making {
	c := r.client.Caller.(gate.Client)
	c.Source.Via = []string{"cloudformation.amazonaws.com"}
	return gate.Making{Caller: c, Account: account, Region: region, StackID: "stack-id", StackName: "stack", LogicalID: "F", Name: name}
}

func (r *rig) resource(kind string) gate.Resource {
	r.Helper()
	for _, res := range r.service.Resources() {
		if res.Type == kind {
			return res
		}
	}
	r.Fatalf("no %s", kind)
	return gate.Resource{}
}

func TestFunctionResource(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	res, m := r.resource("AWS::Lambda::Function"), r.making("stack-F-1")
	tags := []any{map[string]any{"Key": gate.TagStackID, "Value": "stack-id"}, map[string]any{"Key": gate.TagLogicalID, "Value": "F"}, map[string]any{"Key": "a", "Value": "1"}}
	props := map[string]any{"Code": map[string]any{"ZipFile": "def handler(e, c): pass"}, "Runtime": "python3.12", "Handler": "index.handler", "Role": role,
		"Timeout": "20", "MemorySize": 256, "Environment": map[string]any{"Variables": map[string]any{"NUMBER": 5}}, "ReservedConcurrentExecutions": 2, "Tags": tags}
	made, err := res.Create(ctx, m, props)
	r.ok(err)
	if made.ID != "stack-F-1" || made.Attributes["Arn"] != "arn:aws:lambda:eu-west-1:123456789012:function:stack-F-1" {
		t.Errorf("%+v", made)
	}
	again, err := res.Create(ctx, m, props)
	if err != nil || again.ID != made.ID {
		t.Errorf("a retry: %+v %v", again, err)
	}
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: made.ID})
	r.ok(err)
	f := r.runner.ran[0]
	if b, err := os.ReadFile(filepath.Join(f.Code, "index.py")); err != nil || !strings.HasPrefix(string(b), "def handler") || f.Timeout.Seconds() != 20 || f.Env["NUMBER"] != "5" || *f.Reserved != 2 {
		t.Errorf("%+v %q %v", f, b, err)
	}
	after := map[string]any{"Code": map[string]any{"ZipFile": "def handler(e, c): return 2"}, "Runtime": "python3.12", "Handler": "index.handler", "Role": role, "Tags": tags[:2]}
	_, err = res.Update(ctx, m, made.ID, props, after)
	r.ok(err)
	got, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: made.ID})
	r.ok(err)
	if c := got.Configuration; *c.Timeout != 3 || *c.MemorySize != 128 || c.Environment != nil || got.Concurrency != nil || len(got.Tags) != 2 {
		t.Errorf("%+v %v", c, got.Tags)
	}
	// A function that is there already under a name of the template's is not taken over.
	r.create("taken")
	props["FunctionName"] = "taken"
	m.Again = true
	_, err = res.Create(ctx, m, props)
	r.refused(err, "ResourceConflictException", "taken")
	for range 2 {
		r.ok(res.Delete(ctx, m, made.ID, after))
	}
	props["Timeout"] = "soon"
	_, err = res.Create(ctx, m, props)
	r.refused(err, "InvalidParameterValueException", "Timeout")
}

func TestPermissionVersionAliasAndLayerResources(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	m := r.making("stack-P-1")
	permission := map[string]any{"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:f", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
	for range 2 {
		made, err := r.resource("AWS::Lambda::Permission").Create(ctx, m, permission)
		if err != nil || made.ID != "stack-P-1" {
			t.Fatalf("%+v %v", made, err)
		}
	}
	version, err := r.resource("AWS::Lambda::Version").Create(ctx, m, map[string]any{"FunctionName": "f"})
	r.ok(err)
	if version.ID != "arn:aws:lambda:eu-west-1:123456789012:function:f:1" || version.Attributes["Version"] != "1" {
		t.Errorf("%+v", version)
	}
	alias := map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}
	made, err := r.resource("AWS::Lambda::Alias").Create(ctx, m, alias)
	r.ok(err)
	if made.ID != "arn:aws:lambda:eu-west-1:123456789012:function:f:live" {
		t.Errorf("%+v", made)
	}
	_, err = r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "x.py", "2")})
	r.ok(err)
	_, err = r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	weighted := map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1", "RoutingConfig": map[string]any{"AdditionalVersionWeights": []any{map[string]any{"FunctionVersion": "2", "FunctionWeight": 0.5}}}}
	_, err = r.resource("AWS::Lambda::Alias").Update(ctx, m, made.ID, alias, weighted)
	r.ok(err)
	got, err := r.client.GetAlias(ctx, &api.GetAliasInput{FunctionName: "f", Name: "live"})
	r.ok(err)
	if got.RoutingConfig.AdditionalVersionWeights["2"] != 0.5 {
		t.Errorf("%+v", got)
	}
	for range 2 {
		r.ok(r.resource("AWS::Lambda::Alias").Delete(ctx, m, made.ID, weighted))
		r.ok(r.resource("AWS::Lambda::Version").Delete(ctx, m, version.ID, nil))
		r.ok(r.resource("AWS::Lambda::Permission").Delete(ctx, m, "stack-P-1", permission))
	}
	_, err = r.resource("AWS::Lambda::LayerVersion").Create(ctx, m, map[string]any{"Content": map[string]any{}})
	r.refused(err, "InvalidParameterValueException", "source for layer content")
	l, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "x", "y")}})
	r.ok(err)
	for range 2 {
		r.ok(r.resource("AWS::Lambda::LayerVersion").Delete(ctx, m, *l.LayerVersionArn, nil))
	}
	if _, err := r.client.GetLayerVersionByArn(ctx, &api.GetLayerVersionByArnInput{Arn: *l.LayerVersionArn}); err == nil {
		t.Error("the layer version is still there")
	}
}

func TestInvokeConfigResource(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	to := *r.create("g").FunctionArn
	r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+to+`"}`)
	res, m := r.resource("AWS::Lambda::EventInvokeConfig"), r.making("stack-C-1")
	props := map[string]any{"FunctionName": "f", "Qualifier": "$LATEST", "MaximumRetryAttempts": "1", "DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": to}}}
	var made gate.Made
	for range 2 { // a retry makes the same
		var err error
		made, err = res.Create(ctx, m, props)
		r.ok(err)
	}
	got, err := r.client.GetFunctionEventInvokeConfig(ctx, &api.GetFunctionEventInvokeConfigInput{FunctionName: "f"})
	r.ok(err)
	if made.ID != "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST" || *got.MaximumRetryAttempts != 1 || *got.DestinationConfig.OnFailure.Destination != to {
		t.Errorf("%s %+v", made.ID, got)
	}
	after := map[string]any{"FunctionName": "f", "Qualifier": "$LATEST", "MaximumEventAgeInSeconds": 90}
	_, err = res.Update(ctx, m, made.ID, props, after)
	r.ok(err)
	got, err = r.client.GetFunctionEventInvokeConfig(ctx, &api.GetFunctionEventInvokeConfigInput{FunctionName: "f"})
	r.ok(err)
	if got.MaximumRetryAttempts != nil || *got.MaximumEventAgeInSeconds != 90 || got.DestinationConfig.OnFailure.Destination != nil {
		t.Errorf("%+v", got)
	}
	for range 2 {
		r.ok(res.Delete(ctx, m, made.ID, after))
	}
	_, err = r.client.GetFunctionEventInvokeConfig(ctx, &api.GetFunctionEventInvokeConfigInput{FunctionName: "f"})
	r.refused(err, "ResourceNotFoundException", "EventInvokeConfig")
	lacks := res.Lacks(map[string]any{"DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": "arn:aws:sqs:eu-west-1:123456789012:q"}, "OnSuccess": map[string]any{"Destination": map[string]any{"Ref": "Q"}}}})
	if len(lacks) != 1 || !strings.Contains(lacks[0].What, "Amazon SQS") || lacks[0].Path[1] != "OnFailure" {
		t.Errorf("%+v", lacks)
	}
}
