package lambda

import (
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
)

// TestProvisionedAliasesStayOnWhatCanBeHeld: an alias with provisioned concurrency goes to no version that
// PutProvisionedConcurrencyConfig would refuse.
func TestProvisionedAliasesStayOnWhatCanBeHeld(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	for _, code := range []string{"v2", "v3"} {
		r.publish("f", code)
	}
	_, err := r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", SnapStart: &api.SnapStart{ApplyOn: new("PublishedVersions")}})
	r.ok(err)
	r.publish("f", "v4")
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	for _, q := range []string{"live", "2"} {
		_, err = r.client.PutProvisionedConcurrencyConfig(ctx, &api.PutProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: q, ProvisionedConcurrentExecutions: 1})
		r.ok(err)
	}
	update := func(to string, weights map[string]float64) error {
		in := &api.UpdateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: &to}
		if weights != nil {
			in.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
		}
		_, err := r.client.UpdateAlias(ctx, in)
		return err
	}
	const refusal = "InvalidParameterValueException"
	r.refused(update("$LATEST", nil), refusal, "unpublished function versions")
	r.refused(update("2", nil), refusal, "already Provisioned version")
	r.refused(update("4", nil), refusal, "SnapStart")
	r.refused(update("1", map[string]float64{"4": 0.5}), refusal, "SnapStart")
	a, err := r.client.GetAlias(ctx, &api.GetAliasInput{FunctionName: "f", Name: "live"})
	r.ok(err)
	if *a.FunctionVersion != "1" || a.RoutingConfig != nil {
		t.Errorf("after refusals: %+v", a)
	}
	r.ok(update("1", map[string]float64{"3": 0.5}))
	r.ok(update("3", map[string]float64{}))
	_, err = r.client.DeleteProvisionedConcurrencyConfig(ctx, &api.DeleteProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "live"})
	r.ok(err)
	r.ok(update("$LATEST", nil))
}

// TestUpdatedRuntimesAreCheckedFirst: an update answers of a runtime what a creation does, whatever the
// machine has.
func TestUpdatedRuntimesAreCheckedFirst(t *testing.T) {
	r := newRig(t)
	r.create("f")
	for runtime, code := range map[string]string{"nodejs16.x": "InvalidParameterValueException", "java21": "NotImplemented", "foo": "InvalidParameterValueException"} {
		in := &api.CreateFunctionInput{FunctionName: "g", Runtime: &runtime, Role: role, Handler: new("index.handler"), Code: &api.FunctionCode{ZipFile: zipOf(r, "a", "b")}}
		_, want := r.client.CreateFunction(t.Context(), in)
		_, err := r.client.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Runtime: &runtime})
		if want == nil || err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v; creating says %v", runtime, err, want)
			continue
		}
		r.refused(err, code, runtime)
	}
}
