package lambda

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/way"
)

// TestEverySettingMakesAVersion: publishing after a change of any setting makes a version that has it,
// and publishing again does not.
func TestEverySettingMakesAVersion(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	vpc := &oneVPC{groups: map[string][]way.Way{"sg-1": nil, "sg-2": nil}}
	r.service.Networks = vpc
	r.service.RuntimeVersion = func(context.Context, string) (string, error) { return "one", nil }
	layer, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "a", "b")}})
	r.ok(err)
	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	configure := func(in api.UpdateFunctionConfigurationInput) func() error {
		in.FunctionName = "f"
		return func() error { _, err := r.client.UpdateFunctionConfiguration(ctx, &in); return err }
	}
	group := func(id string) *api.VpcConfig {
		return &api.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{id}}
	}
	want := 1
	for _, c := range []struct {
		what   string
		change func() error
		makes  bool
	}{
		{"description", configure(api.UpdateFunctionConfigurationInput{Description: new("other")}), false},
		{"runtime", configure(api.UpdateFunctionConfigurationInput{Runtime: new("python3.13")}), true},
		{"handler", configure(api.UpdateFunctionConfigurationInput{Handler: new("index.other")}), true},
		{"role", configure(api.UpdateFunctionConfigurationInput{Role: new(role + "2")}), true},
		{"timeout", configure(api.UpdateFunctionConfigurationInput{Timeout: new(int32(7))}), true},
		{"memory", configure(api.UpdateFunctionConfigurationInput{MemorySize: new(int32(256))}), true},
		{"disk", configure(api.UpdateFunctionConfigurationInput{EphemeralStorage: &api.EphemeralStorage{Size: 1024}}), true},
		{"smaller disk", configure(api.UpdateFunctionConfigurationInput{EphemeralStorage: &api.EphemeralStorage{Size: 512}}), true},
		{"environment", configure(api.UpdateFunctionConfigurationInput{Environment: &api.Environment{Variables: map[string]string{"AA": "1"}}}), true},
		{"the same environment", configure(api.UpdateFunctionConfigurationInput{Environment: &api.Environment{Variables: map[string]string{"AA": "1"}}}), false},
		{"layers", configure(api.UpdateFunctionConfigurationInput{Layers: []string{*layer.LayerVersionArn}}), true},
		{"no layers", configure(api.UpdateFunctionConfigurationInput{Layers: []string{}}), true},
		{"log format", configure(api.UpdateFunctionConfigurationInput{LoggingConfig: &api.LoggingConfig{LogFormat: new("JSON")}}), true},
		{"log level", configure(api.UpdateFunctionConfigurationInput{LoggingConfig: &api.LoggingConfig{LogFormat: new("JSON"), ApplicationLogLevel: new("WARN")}}), true},
		{"log group", configure(api.UpdateFunctionConfigurationInput{LoggingConfig: &api.LoggingConfig{LogGroup: new("/other")}}), true},
		{"SnapStart", configure(api.UpdateFunctionConfigurationInput{SnapStart: &api.SnapStart{ApplyOn: new("PublishedVersions")}}), true},
		{"no SnapStart", configure(api.UpdateFunctionConfigurationInput{SnapStart: &api.SnapStart{ApplyOn: new("None")}}), true},
		{"VPC", configure(api.UpdateFunctionConfigurationInput{VpcConfig: group("sg-1")}), true},
		{"the same VPC", configure(api.UpdateFunctionConfigurationInput{VpcConfig: group("sg-1")}), false},
		{"security groups", configure(api.UpdateFunctionConfigurationInput{VpcConfig: group("sg-2")}), true},
		{"no VPC", configure(api.UpdateFunctionConfigurationInput{VpcConfig: &api.VpcConfig{}}), true},
		{"runtime management", func() error {
			_, err := r.client.PutRuntimeManagementConfig(ctx, &api.PutRuntimeManagementConfigInput{FunctionName: "f", UpdateRuntimeOn: "FunctionUpdate"})
			return err
		}, true},
		{"nothing", func() error { return nil }, false},
	} {
		r.ok(c.change())
		if c.makes {
			want++
		}
		for range 2 {
			out, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
			r.ok(err)
			if *out.Version != strconv.Itoa(want) {
				t.Fatalf("%s: version %s; want %d", c.what, *out.Version, want)
			}
			if c.what == "security groups" && out.VpcConfig.SecurityGroupIds[0] != "sg-2" {
				t.Errorf("the version has the groups %v", out.VpcConfig.SecurityGroupIds)
			}
		}
	}
	// With its code, too: the code is the published one's, the network another.
	r.ok(configure(api.UpdateFunctionConfigurationInput{VpcConfig: group("sg-1")})())
	up, err := r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v1"), Publish: new(true)})
	r.ok(err)
	if *up.Version != strconv.Itoa(want+1) || up.VpcConfig.SecurityGroupIds[0] != "sg-1" {
		t.Errorf("UpdateFunctionCode published %s with %+v", *up.Version, up.VpcConfig)
	}
}

// TestEveryFieldOfAVersionCounts: whatever is added to a version makes another of it.
func TestEveryFieldOfAVersionCounts(t *testing.T) {
	apart := []string{"Number", "Revision", "Modified", "Description", "Env", "Signed"}
	fields := reflect.TypeFor[version]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		var v version
		if !fill(reflect.ValueOf(&v).Elem().Field(i)) {
			t.Fatalf("%s has a type that this test does not know", name)
		}
		if same, err := unchanged(version{}, v); err != nil || same != slices.Contains(apart, name) {
			t.Errorf("with another %s: unchanged %v, %v", name, same, err)
		}
	}
}

// fill gives a value, and all that is in it, something else than nothing.
func fill(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
			return true
		}
		for i := range v.NumField() {
			if !fill(v.Field(i)) {
				return false
			}
		}
	default:
		return false
	}
	return true
}
