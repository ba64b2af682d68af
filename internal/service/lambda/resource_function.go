package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"maps"
	"reflect"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// spec is a function as a template describes it.
type spec struct {
	create   lambda.CreateFunctionInput
	reserved *int32
	around   surroundings
}

func readFunction(props map[string]any, name string) (*spec, error) {
	r := &reader{}
	out := &spec{reserved: r.number(props, "ReservedConcurrentExecutions"), around: r.surroundings(props), create: lambda.CreateFunctionInput{
		FunctionName: name, Runtime: r.text(props, "Runtime"), Handler: r.text(props, "Handler"), Role: r.must(props, "Role"), Description: r.text(props, "Description"),
		Timeout: r.number(props, "Timeout"), MemorySize: r.number(props, "MemorySize"), Environment: r.environment(props), Layers: r.texts(props, "Layers"),
		Architectures: r.texts(props, "Architectures"), PackageType: r.text(props, "PackageType"), LoggingConfig: r.logging(props), Tags: r.tags(props)}}
	in := &out.create
	if n := r.text(props, "FunctionName"); n != nil {
		in.FunctionName = *n
	}
	if t := r.group(props, "TracingConfig"); t != nil {
		in.TracingConfig = &lambda.TracingConfig{Mode: r.text(t, "Mode")}
	}
	if v := r.group(props, "VpcConfig"); v != nil {
		in.VpcConfig = &lambda.VpcConfig{SubnetIds: r.texts(v, "SubnetIds"), SecurityGroupIds: r.texts(v, "SecurityGroupIds")}
	}
	if v := r.group(props, "SnapStart"); v != nil {
		in.SnapStart = &lambda.SnapStart{ApplyOn: r.text(v, "ApplyOn")}
	}
	if g := r.group(props, "ImageConfig"); g != nil {
		in.ImageConfig = &lambda.ImageConfig{EntryPoint: r.texts(g, "EntryPoint"), Command: r.texts(g, "Command"), WorkingDirectory: r.text(g, "WorkingDirectory")}
	}
	in.CodeSigningConfigArn = out.around.signing
	if v := r.group(props, "TenancyConfig"); v != nil {
		in.TenancyConfig = &lambda.TenancyConfig{TenantIsolationMode: r.must(v, "TenantIsolationMode")}
	}
	if n := r.number(r.group(props, "EphemeralStorage"), "Size"); n != nil {
		in.EphemeralStorage = &lambda.EphemeralStorage{Size: *n}
	}
	if in.Code = r.code(props); r.err != nil {
		return nil, r.err
	}
	return out, nil
}

// code is where the function's code is. What stands in the template itself becomes a file named
// index. Source: CloudFormation User Guide, AWS::Lambda::Function Code, "ZipFile".
func (r *reader) code(props map[string]any) *lambda.FunctionCode {
	g := r.group(props, "Code")
	c := &lambda.FunctionCode{S3Bucket: r.text(g, "S3Bucket"), S3Key: r.text(g, "S3Key"), S3ObjectVersion: r.text(g, "S3ObjectVersion"), ImageUri: r.text(g, "ImageUri")}
	text := r.text(g, "ZipFile")
	if text == nil {
		return c
	}
	file := ""
	switch runtime := r.must(props, "Runtime"); {
	case strings.HasPrefix(runtime, "nodejs"):
		file = "index.js"
	case strings.HasPrefix(runtime, "python"):
		file = "index.py"
	default:
		r.fault("Code.ZipFile", "code for "+runtime)
		return c
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(file) // without a time, so that equal code is an equal package
	if err == nil {
		if _, err = f.Write([]byte(*text)); err == nil {
			err = w.Close()
		}
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	c.ZipFile = b.Bytes()
	return c
}

func createFunctionResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	want, err := readFunction(props, m.Name)
	if err != nil {
		return gate.Made{}, err
	}
	c := lambda.Client{Caller: m}
	name := want.create.FunctionName
	out, err := c.CreateFunction(ctx, &want.create)
	if awserr.Is(err, "ResourceConflictException") {
		got, gerr := c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: name})
		if gerr != nil || !m.Owns(name, got.Tags) {
			return gate.Made{}, err
		}
		out, err = got.Configuration, nil
	}
	if err != nil {
		return gate.Made{}, err
	}
	made := madeFunction(out)
	if err := want.around.put(ctx, c, name, surroundings{}); err != nil {
		return made, err
	}
	return made, reserve(ctx, c, name, nil, want.reserved)
}

func madeFunction(c *lambda.FunctionConfiguration) gate.Made {
	return gate.Made{ID: *c.FunctionName, Attributes: map[string]any{"Arn": *c.FunctionArn,
		"SnapStartResponse.ApplyOn": *c.SnapStart.ApplyOn, "SnapStartResponse.OptimizationStatus": *c.SnapStart.OptimizationStatus}}
}

func reserve(ctx context.Context, c lambda.Client, name string, was, want *int32) error {
	var err error
	switch {
	case want != nil:
		_, err = c.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: *want})
	case was != nil:
		_, err = c.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: name})
	}
	return err
}

func updateFunctionResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	was, err := readFunction(before, id)
	if err != nil {
		return gate.Made{}, err
	}
	want, err := readFunction(after, id)
	if err != nil {
		return gate.Made{}, err
	}
	c := lambda.Client{Caller: m}
	if err := want.around.sign(ctx, c, id, was.around); err != nil {
		return gate.Made{}, err
	}
	if !reflect.DeepEqual(was.create.Code, want.create.Code) || !reflect.DeepEqual(was.create.Architectures, want.create.Architectures) {
		code := want.create.Code
		if _, err := c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: id, ZipFile: code.ZipFile, S3Bucket: code.S3Bucket, S3Key: code.S3Key,
			S3ObjectVersion: code.S3ObjectVersion, ImageUri: code.ImageUri, Architectures: want.create.Architectures}); err != nil {
			return gate.Made{}, err
		}
	}
	out, err := c.UpdateFunctionConfiguration(ctx, want.configuration(id))
	if err != nil {
		return gate.Made{}, err
	}
	if err := want.around.put(ctx, c, id, was.around); err != nil {
		return gate.Made{}, err
	}
	if err := retagFunction(ctx, c, *out.FunctionArn, was.create.Tags, want.create.Tags); err != nil {
		return gate.Made{}, err
	}
	if !reflect.DeepEqual(was.reserved, want.reserved) {
		err = reserve(ctx, c, id, was.reserved, want.reserved)
	}
	return madeFunction(out), err
}

// configuration is the whole of it: a property that the template no longer has goes back to its
// default.
func (s *spec) configuration(id string) *lambda.UpdateFunctionConfigurationInput {
	in := s.create
	out := &lambda.UpdateFunctionConfigurationInput{FunctionName: id, Runtime: in.Runtime, Handler: in.Handler, Role: &in.Role, Description: in.Description,
		Timeout: in.Timeout, MemorySize: in.MemorySize, Environment: in.Environment, Layers: in.Layers, EphemeralStorage: in.EphemeralStorage,
		TracingConfig: in.TracingConfig, LoggingConfig: in.LoggingConfig, VpcConfig: in.VpcConfig, SnapStart: in.SnapStart}
	if out.Description == nil {
		out.Description = new("")
	}
	if out.Timeout == nil {
		out.Timeout = new(int32(defaultTimeout))
	}
	if out.MemorySize == nil {
		out.MemorySize = new(int32(defaultMemory))
	}
	switch image := wire.Val(in.PackageType) == packageImage; {
	case image:
		if out.ImageConfig = in.ImageConfig; out.ImageConfig == nil {
			out.ImageConfig = &lambda.ImageConfig{}
		}
	case out.Layers == nil:
		out.Layers = []string{}
	}
	if out.SnapStart == nil {
		out.SnapStart = &lambda.SnapStart{ApplyOn: new("None")}
	}
	if out.EphemeralStorage == nil {
		out.EphemeralStorage = &lambda.EphemeralStorage{Size: defaultTmp}
	}
	if out.LoggingConfig == nil {
		out.LoggingConfig = &lambda.LoggingConfig{LogFormat: new("Text"), LogGroup: new("/aws/lambda/" + id)}
	}
	return out
}

func retagFunction(ctx context.Context, c lambda.Client, resource string, was, want map[string]string) error {
	var old []string
	for k := range was {
		if _, stays := want[k]; !stays {
			old = append(old, k)
		}
	}
	if len(old) > 0 {
		if _, err := c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: resource, TagKeys: old}); err != nil {
			return err
		}
	}
	if len(want) == 0 || maps.Equal(was, want) {
		return nil
	}
	_, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: resource, Tags: want})
	return err
}

func deleteFunctionResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := lambda.Client{Caller: m}.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: id})
	return gone(err)
}
