package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func TestAFunctionFromCreationToItsEnd(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	zip := zipOf(t, "index.py", "v1")
	made := r.create("hello", func(in *api.CreateFunctionInput) {
		in.Environment = &api.Environment{Variables: map[string]string{"TABLE": "tasks"}}
		in.Tags = map[string]string{"team": "one"}
		in.Code.ZipFile = zip
	})
	sum := sha256.Sum256(zip)
	if *made.FunctionArn != "arn:aws:lambda:eu-west-1:123456789012:function:hello" || *made.State != "Active" || *made.LastUpdateStatus != "Successful" ||
		*made.Version != "$LATEST" || *made.CodeSha256 != base64.StdEncoding.EncodeToString(sum[:]) || *made.CodeSize != int64(len(zip)) ||
		*made.Timeout != 3 || *made.MemorySize != 128 || *made.LastModified != "2030-01-02T03:04:05.000+0000" {
		t.Errorf("%+v", made)
	}
	_, err := r.client.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "hello", Runtime: new("python3.12"), Role: role, Handler: new("a.b"), Code: &api.FunctionCode{ZipFile: zip}})
	r.refused(err, "ResourceConflictException", "Function already exist: hello")

	out, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "hello", Payload: []byte(`{"a":1}`), LogType: new("Tail")})
	r.ok(err)
	if string(out.Payload) != `{"a":1}` || *out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" || out.FunctionError != nil {
		t.Errorf("%+v", out)
	}
	if b, _ := base64.StdEncoding.DecodeString(*out.LogResult); !strings.HasPrefix(string(b), "START") {
		t.Errorf("log %q", b)
	}
	f := r.runner.ran[0]
	if b, err := os.ReadFile(filepath.Join(f.Code, "index.py")); string(b) != "v1" || err != nil || f.Env["TABLE"] != "tasks" || f.Role != role {
		t.Errorf("ran %+v with %q %v", f, b, err)
	}

	conf, err := r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "hello", MemorySize: new(int32(512)), RevisionId: made.RevisionId})
	r.ok(err)
	if *conf.MemorySize != 512 || conf.Environment.Variables["TABLE"] != "tasks" || *conf.RevisionId == *made.RevisionId {
		t.Errorf("%+v", conf)
	}
	_, err = r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "hello", ZipFile: zip, RevisionId: made.RevisionId})
	r.refused(err, "PreconditionFailedException", "does not match the latest Revision Id")
	dry, err := r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "hello", ZipFile: zipOf(t, "index.py", "v2"), DryRun: new(true)})
	r.ok(err)
	if *dry.CodeSha256 == *made.CodeSha256 {
		t.Error("a dry run shows the old code")
	}
	_, err = r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "hello", ZipFile: zipOf(t, "index.py", "v2")})
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "hello"})
	r.ok(err)
	f = r.runner.ran[1]
	if b, _ := os.ReadFile(filepath.Join(f.Code, "index.py")); string(b) != "v2" || f.MemoryMB != 512 || string(r.runner.events[1].Payload) != "{}" {
		t.Errorf("ran %+v with %q", f, b)
	}

	got, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "hello"})
	r.ok(err)
	if got.Tags["team"] != "one" || *got.Configuration.MemorySize != 512 {
		t.Errorf("%+v", got)
	}
	list, err := r.client.ListFunctions(ctx, &api.ListFunctionsInput{})
	r.ok(err)
	if len(list.Functions) != 1 || list.Functions[0].State != nil {
		t.Errorf("%+v", list)
	}
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: *made.FunctionArn})
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "hello"})
	r.refused(err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:hello")
	if len(r.runner.retired) != 1 || r.runner.retired[0] != *made.FunctionArn {
		t.Errorf("retired %v", r.runner.retired)
	}
	n, err := r.archives()
	r.ok(err)
	if n != 0 {
		t.Errorf("%d archives are still in use", n)
	}
}

// A runtime that this machine lacks, or has without the SDK that Lambda supplies, is refused when a
// function is made or changed, with the command that gets it.
func TestRuntimesOfThisMachineOnly(t *testing.T) {
	r := newRig(t)
	r.create("f")
	r.service.Runtime = func(_ context.Context, name string) error {
		return &runtimes.MissingError{Runtime: name, Hint: "bastide runtimes install " + name, SDK: name == "python3.13"}
	}
	for name, words := range map[string]string{"python3.13": "has no AWS SDK on this machine", "python3.14": "is not on this machine"} {
		_, created := r.client.CreateFunction(t.Context(), &api.CreateFunctionInput{FunctionName: "g", Runtime: &name, Role: role, Handler: new("index.handler"),
			Code: &api.FunctionCode{ZipFile: zipOf(t, "index.py", "v1")}})
		_, changed := r.client.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Runtime: &name})
		for _, err := range []error{created, changed} {
			r.refused(err, "InvalidParameterValueException", words)
			r.refused(err, "InvalidParameterValueException", "bastide runtimes install "+name)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		change      func(*api.CreateFunctionInput)
		code, words string
	}{
		"untrusting role": {func(in *api.CreateFunctionInput) { in.Role = "arn:aws:iam::123456789012:role/untrusting" }, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."},
		"foreign role":    {func(in *api.CreateFunctionInput) { in.Role = "arn:aws:iam::210987654321:role/x" }, "AccessDeniedException", "Cross-account pass role"},
		"no code":         {func(in *api.CreateFunctionInput) { in.Code = &api.FunctionCode{} }, "InvalidParameterValueException", "Please provide a source for function code."},
		"two sources":     {func(in *api.CreateFunctionInput) { in.Code.S3Bucket, in.Code.S3Key = new("bucket"), new("key") }, "InvalidParameterValueException", "Please do not provide other FunctionCode parameters"},
		"no zip":          {func(in *api.CreateFunctionInput) { in.Code.ZipFile = []byte("hello") }, "InvalidParameterValueException", "Could not unzip uploaded file."},
		"empty zip":       {func(in *api.CreateFunctionInput) { in.Code.ZipFile = []byte{} }, "InvalidParameterValueException", "non-empty zip"},
		"climbing zip":    {func(in *api.CreateFunctionInput) { in.Code.ZipFile = zipOf(t, "../x", "1") }, "InvalidParameterValueException", "climbs out"},
		"no handler":      {func(in *api.CreateFunctionInput) { in.Handler = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory"},
		"retired runtime": {func(in *api.CreateFunctionInput) { in.Runtime = new("python3.7") }, "InvalidParameterValueException", "no longer supported"},
		"unbuilt runtime": {func(in *api.CreateFunctionInput) { in.Runtime = new("java21") }, "NotImplemented", "java21"},
		"long timeout":    {func(in *api.CreateFunctionInput) { in.Timeout = new(int32(901)) }, "ValidationException", "less than or equal to 900"},
		"much memory":     {func(in *api.CreateFunctionInput) { in.MemorySize = new(int32(10241)) }, "InvalidParameterValueException", "10240"},
		"subnets":         {func(in *api.CreateFunctionInput) { in.VpcConfig = &api.VpcConfig{SubnetIds: []string{"subnet-1"}} }, "InvalidParameterValueException", "must coexist"},
		"dead letters": {func(in *api.CreateFunctionInput) {
			in.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: new("arn:aws:sqs:eu-west-1:123456789012:q")}
		}, "NotImplemented", "DeadLetterConfig"},
		"tracing":         {func(in *api.CreateFunctionInput) { in.TracingConfig = &api.TracingConfig{Mode: new("Active")} }, "NotImplemented", "TracingConfig"},
		"other processor": {func(in *api.CreateFunctionInput) { in.Architectures = []string{"arm64"} }, "NotImplemented", "arm64"},
		"reserved name": {func(in *api.CreateFunctionInput) {
			in.Environment = &api.Environment{Variables: map[string]string{"AWS_REGION": "x"}}
		}, "InvalidParameterValueException", "reserved keys used in this request: aws_region"},
		"big environment": {func(in *api.CreateFunctionInput) {
			in.Environment = &api.Environment{Variables: map[string]string{"BIG": strings.Repeat("x", 4096)}}
		}, "InvalidParameterValueException", "exceeded the 4KB limit"},
		"unknown layer": {func(in *api.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:eu-west-1:123456789012:layer:x:1"}
		}, "InvalidParameterValueException", "does not exist"},
		"reserved tag": {func(in *api.CreateFunctionInput) { in.Tags = map[string]string{"aws:x": "1"} }, "InvalidParameterValueException", "aws:"},
		"another's region": {func(in *api.CreateFunctionInput) {
			in.FunctionName = "arn:aws:lambda:us-east-1:123456789012:function:f"
		}, "InvalidParameterValueException", "not reachable in this region"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &api.CreateFunctionInput{FunctionName: "f", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"),
				Code: &api.FunctionCode{ZipFile: zipOf(t, "index.py", "v1")}}
			c.change(in)
			_, err := r.client.CreateFunction(t.Context(), in)
			if err == nil {
				t.Fatal("accepted")
			}
			got, _ := api.Service.Code(api.OpCreateFunction, err)
			if got != c.code && !(c.code == "NotImplemented" && strings.HasPrefix(got, "NotImplemented")) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.words)) {
				t.Errorf("got %s: %v", got, err)
			}
		})
	}
	if got, err := r.client.ListFunctions(t.Context(), &api.ListFunctionsInput{}); err != nil || len(got.Functions) != 0 {
		t.Errorf("left behind: %+v %v", got, err)
	}
}

func TestNoneIsFine(t *testing.T) {
	r := newRig(t)
	made := r.create("f", func(in *api.CreateFunctionInput) {
		in.VpcConfig, in.TracingConfig, in.SnapStart = &api.VpcConfig{}, &api.TracingConfig{Mode: new("PassThrough")}, &api.SnapStart{ApplyOn: new("None")}
		in.KMSKeyArn, in.DeadLetterConfig, in.PackageType = new(""), &api.DeadLetterConfig{}, new("Zip")
	})
	if wire.Val(made.TracingConfig.Mode) != "PassThrough" {
		t.Errorf("%+v", made.TracingConfig)
	}
}

func TestVersionsAndAliasesAreReallyRouted(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	first := r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	if *first.Version != "1" || !strings.HasSuffix(*first.FunctionArn, ":function:f:1") {
		t.Fatalf("%+v", first)
	}
	same, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	if *same.Version != "1" {
		t.Errorf("publishing without a change made version %s", *same.Version)
	}
	_, err = r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v2")})
	r.ok(err)
	_, err = r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f", CodeSha256: first.CodeSha256})
	r.refused(err, "InvalidParameterValueException", "is different from current CodeSHA256")
	second, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f", Description: new("two")})
	r.ok(err)
	if *second.Version != "2" || *second.Description != "two" {
		t.Errorf("%+v", second)
	}
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "7", FunctionVersion: "1"})
	r.refused(err, "ValidationException", "regular expression")
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "9"})
	r.refused(err, "ResourceNotFoundException", ":function:f:9")
	a, err := r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1",
		RoutingConfig: &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25}}})
	r.ok(err)
	if *a.AliasArn != "arn:aws:lambda:eu-west-1:123456789012:function:f:live" {
		t.Errorf("%+v", a)
	}
	for chance, version := range map[float64]string{0: "2", 0.24: "2", 0.25: "1", 0.99: "1"} {
		r.chance = chance
		out, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f:live"})
		r.ok(err)
		if *out.ExecutedVersion != version {
			t.Errorf("chance %v ran version %s", chance, *out.ExecutedVersion)
		}
	}
	if e := r.runner.events[0]; e.ARN != *a.AliasArn {
		t.Errorf("the function sees %s", e.ARN)
	}
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f", Qualifier: new("2")})
	r.refused(err, "ResourceConflictException", "live")
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", RoutingConfig: &api.AliasRoutingConfiguration{}, RevisionId: new("x")})
	r.refused(err, "PreconditionFailedException", "Revision")
	a, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", RoutingConfig: &api.AliasRoutingConfiguration{}, RevisionId: a.RevisionId})
	r.ok(err)
	if a.RoutingConfig != nil {
		t.Errorf("%+v", a)
	}
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f", Qualifier: new("2")})
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Qualifier: new("2")})
	r.refused(err, "ResourceNotFoundException", ":function:f:2")
	list, err := r.client.ListVersionsByFunction(ctx, &api.ListVersionsByFunctionInput{FunctionName: "f"})
	r.ok(err)
	if len(list.Versions) != 2 || *list.Versions[0].Version != "$LATEST" || *list.Versions[1].FunctionArn != *first.FunctionArn {
		t.Errorf("%+v", list)
	}
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f:live", Qualifier: new("1")})
	r.refused(err, "InvalidParameterValueException", "derived qualifier")
}

// TestNumbersAreNeverUsedAgain: a version of a function that was made anew is none of its predecessor's, nor
// does a destination that names one of those reach it.
func TestNumbersAreNeverUsedAgain(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	publish := func(in *api.CreateFunctionInput) { in.Publish = new(true) }
	r.create("f", publish)
	for _, want := range []string{"2", "3"} { // f was deleted once, then twice
		_, err := r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
		r.ok(err)
		if made := r.create("f", publish); *made.Version != want {
			t.Errorf("version %s, want %s", *made.Version, want)
		}
		_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Qualifier: new("1")})
		r.refused(err, "ResourceNotFoundException", ":function:f:1")
	}
	_, err := r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
	r.ok(err)
	r.create("f") // and once more, without a version between
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
	r.ok(err)
	if made := r.create("f", publish); *made.Version != "4" {
		t.Errorf("version %s after one without", *made.Version)
	}
	if made := r.create("g", publish); *made.Version != "1" {
		t.Errorf("another function's first version is %s", *made.Version)
	}
}

func TestLayersHaveContent(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		content *api.LayerVersionContentInput
		words   string
	}{
		"nothing given":  {&api.LayerVersionContentInput{}, "Please provide a source for layer content."},
		"an empty file":  {&api.LayerVersionContentInput{ZipFile: []byte{}}, "Uploaded file must be a non-empty zip"},
		"half a place":   {&api.LayerVersionContentInput{S3Bucket: new("bucket")}, "Both S3Bucket and S3Key are required"},
		"not an archive": {&api.LayerVersionContentInput{ZipFile: []byte("x")}, "Could not unzip uploaded file."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.client.PublishLayerVersion(t.Context(), &api.PublishLayerVersionInput{LayerName: "l", Content: c.content})
			r.refused(err, "InvalidParameterValueException", c.words)
		})
	}
}

func TestLayersStayWithTheirFunctions(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	var arns []string
	for _, n := range []string{"one", "two"} {
		l, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: n, Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "python/"+n+".py", n)}, CompatibleRuntimes: []string{"python3.12"}})
		r.ok(err)
		arns = append(arns, *l.LayerVersionArn)
	}
	r.create("f", func(in *api.CreateFunctionInput) { in.Layers = []string{arns[1], arns[0]} })
	_, err := r.client.DeleteLayerVersion(ctx, &api.DeleteLayerVersionInput{LayerName: "two", VersionNumber: 1})
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	f := r.runner.ran[0]
	if b, err := os.ReadFile(filepath.Join(f.Layers[0], "python/two.py")); len(f.Layers) != 2 || string(b) != "two" || err != nil {
		t.Errorf("%v %q %v", f.Layers, b, err)
	}
	list, err := r.client.ListLayers(ctx, &api.ListLayersInput{CompatibleRuntime: new("python3.12")})
	r.ok(err)
	if len(list.Layers) != 1 || *list.Layers[0].LayerName != "one" {
		t.Errorf("%+v", list)
	}
	l, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "two", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "x", "y")}})
	r.ok(err)
	if *l.Version != 2 {
		t.Errorf("version %d: numbers are never used again", *l.Version)
	}
	got, err := r.client.GetLayerVersionByArn(ctx, &api.GetLayerVersionByArnInput{Arn: arns[0]})
	r.ok(err)
	if *got.LayerVersionArn != arns[0] {
		t.Errorf("%+v", got)
	}
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Layers: []string{}})
	r.ok(err)
	if n, err := r.archives(); n != 3 || err != nil {
		t.Errorf("%d archives in use, %v; want the function's and two layers'", n, err)
	}
}

func TestTagsAndConcurrency(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	f := r.create("f")
	_, err := r.client.TagResource(ctx, &api.TagResourceInput{Resource: *f.FunctionArn, Tags: map[string]string{"a": "1", "b": "2"}})
	r.ok(err)
	_, err = r.client.UntagResource(ctx, &api.UntagResourceInput{Resource: *f.FunctionArn, TagKeys: []string{"a"}})
	r.ok(err)
	tags, err := r.client.ListTags(ctx, &api.ListTagsInput{Resource: *f.FunctionArn})
	r.ok(err)
	if len(tags.Tags) != 1 || tags.Tags["b"] != "2" {
		t.Errorf("%v", tags.Tags)
	}
	r.create("g")
	signing, err := r.client.GetFunctionCodeSigningConfig(ctx, &api.GetFunctionCodeSigningConfigInput{FunctionName: "g"})
	r.ok(err)
	if signing.FunctionName != "g" || signing.CodeSigningConfigArn != "" {
		t.Errorf("%+v", signing)
	}
	_, err = r.client.GetFunctionCodeSigningConfig(ctx, &api.GetFunctionCodeSigningConfigInput{FunctionName: "none"})
	r.refused(err, "ResourceNotFoundException", "Function not found")
	held := -1
	r.runner.handle(func(f fleet.Function, _ fleet.Event) (fleet.Outcome, error) {
		held = f.HeldBack
		return fleet.Outcome{}, nil
	})
	for _, want := range []int{0, 500} {
		if want > 0 {
			_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "g", ReservedConcurrentExecutions: int32(want)})
			r.ok(err)
		}
		_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
		r.ok(err)
		if held != want {
			t.Errorf("f runs beside reservations of %d, want %d", held, want)
		}
	}
	_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 401})
	r.refused(err, "InvalidParameterValueException", "below its minimum value of [100]")
	_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 0})
	r.ok(err)
	r.runner.handle(func(f fleet.Function, _ fleet.Event) (fleet.Outcome, error) {
		if f.Reserved == nil || *f.Reserved != 0 {
			t.Errorf("reserved %v", f.Reserved)
		}
		return fleet.Outcome{}, &fleet.ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"}
	})
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.refused(err, "TooManyRequestsException", "Rate Exceeded")
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "g"})
	r.ok(err)
	set, err := r.client.GetAccountSettings(ctx, &api.GetAccountSettingsInput{})
	r.ok(err)
	if *set.AccountLimit.UnreservedConcurrentExecutions != 1000 || *set.AccountUsage.FunctionCount != 1 {
		t.Errorf("%+v %+v", set.AccountLimit, set.AccountUsage)
	}
}
