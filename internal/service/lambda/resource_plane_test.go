package lambda

import (
	"context"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

type props = map[string]any

func TestResourcesAroundFunctions(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.runner.ready = map[string]fleet.Readiness{"1": {Ready: 9}}
	r.service.RuntimeVersion = func(context.Context, string) (string, error) { return "one", nil }
	key := keyOf(1)
	r.service.Publishers = profiles{ours: {Key: key.Public()}}

	signing, m := r.resource("AWS::Lambda::CodeSigningConfig"), r.making("stack-F-1")
	wanted := props{"Description": "d", "AllowedPublishers": props{"SigningProfileVersionArns": []any{ours}}}
	csc, err := signing.Create(ctx, m, wanted)
	r.ok(err)
	enforced := props{"AllowedPublishers": wanted["AllowedPublishers"], "CodeSigningPolicies": props{"UntrustedArtifactOnDeployment": "Enforce"}}
	csc, err = signing.Update(ctx, m, csc.ID, wanted, enforced)
	r.ok(err)
	conf, err := r.client.GetCodeSigningConfig(ctx, &api.GetCodeSigningConfigInput{CodeSigningConfigArn: csc.ID})
	r.ok(err)
	if *conf.CodeSigningConfig.CodeSigningPolicies.UntrustedArtifactOnDeployment != "Enforce" || conf.CodeSigningConfig.Description != nil || !strings.HasSuffix(csc.ID, csc.Attributes["CodeSigningConfigId"].(string)) {
		t.Errorf("%+v", conf.CodeSigningConfig)
	}

	// A function with all of it, and then without.
	fn := r.resource("AWS::Lambda::Function")
	base := props{"Code": props{"ZipFile": "def handler(e, c): pass"}, "Runtime": "python3.12", "Handler": "index.handler", "Role": role}
	full := props{"SnapStart": props{"ApplyOn": "PublishedVersions"}, "RecursiveLoop": "Allow", "CodeSigningConfigArn": csc.ID,
		"RuntimeManagementConfig": props{"UpdateRuntimeOn": "FunctionUpdate"}}
	for k, v := range base {
		full[k] = v
	}
	_, err = fn.Create(ctx, m, full)
	r.refused(err, "CodeVerificationFailedException", "not signed") // code in a template has no signature
	_, err = signing.Update(ctx, m, csc.ID, enforced, wanted)
	r.ok(err)
	made, err := fn.Create(ctx, m, full)
	r.ok(err)
	if made.Attributes["SnapStartResponse.ApplyOn"] != "PublishedVersions" {
		t.Errorf("%+v", made)
	}
	show := func() (string, string, string, string) {
		t.Helper()
		c, err := r.client.GetFunctionConfiguration(ctx, &api.GetFunctionConfigurationInput{FunctionName: made.ID})
		r.ok(err)
		rec, err := r.client.GetFunctionRecursionConfig(ctx, &api.GetFunctionRecursionConfigInput{FunctionName: made.ID})
		r.ok(err)
		sig, err := r.client.GetFunctionCodeSigningConfig(ctx, &api.GetFunctionCodeSigningConfigInput{FunctionName: made.ID})
		r.ok(err)
		run, err := r.client.GetRuntimeManagementConfig(ctx, &api.GetRuntimeManagementConfigInput{FunctionName: made.ID})
		r.ok(err)
		return *c.SnapStart.ApplyOn, *rec.RecursiveLoop, sig.CodeSigningConfigArn, *run.UpdateRuntimeOn
	}
	if a, b, c, d := show(); a != "PublishedVersions" || b != "Allow" || c != csc.ID || d != "FunctionUpdate" {
		t.Error(a, b, c, d)
	}
	_, err = fn.Update(ctx, m, made.ID, full, base)
	r.ok(err)
	if a, b, c, d := show(); a != "None" || b != "Terminate" || c != "" || d != "Auto" {
		t.Error(a, b, c, d)
	}
	tenants, err := fn.Create(ctx, r.making("stack-T-1"), func() props {
		p := props{"TenancyConfig": props{"TenantIsolationMode": "PER_TENANT"}}
		for k, v := range base {
			p[k] = v
		}
		return p
	}())
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: tenants.ID})
	r.refused(err, "InvalidParameterValueException", "tenant")

	// Versions and aliases with concurrency held ready.
	version, err := r.resource("AWS::Lambda::Version").Create(ctx, m, props{"FunctionName": made.ID, "RuntimePolicy": props{"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": "arn:aws:lambda:eu-west-1::runtime:one"}})
	r.ok(err)
	run, err := r.client.GetRuntimeManagementConfig(ctx, &api.GetRuntimeManagementConfigInput{FunctionName: made.ID, Qualifier: new("1")})
	r.ok(err)
	if *run.UpdateRuntimeOn != "Manual" || version.Attributes["Version"] != "1" {
		t.Errorf("%+v %+v", run, version)
	}
	alias := r.resource("AWS::Lambda::Alias")
	plain := props{"FunctionName": made.ID, "Name": "live", "FunctionVersion": "1"}
	held := props{"FunctionName": made.ID, "Name": "live", "FunctionVersion": "1", "ProvisionedConcurrencyConfig": props{"ProvisionedConcurrentExecutions": 2}}
	a, err := alias.Create(ctx, m, held)
	r.ok(err)
	got, err := r.client.GetProvisionedConcurrencyConfig(ctx, &api.GetProvisionedConcurrencyConfigInput{FunctionName: made.ID, Qualifier: "live"})
	r.ok(err)
	if *got.Status != "READY" || *got.RequestedProvisionedConcurrentExecutions != 2 {
		t.Errorf("%+v", got)
	}
	_, err = alias.Update(ctx, m, a.ID, held, plain)
	r.ok(err)
	_, err = r.client.GetProvisionedConcurrencyConfig(ctx, &api.GetProvisionedConcurrencyConfigInput{FunctionName: made.ID, Qualifier: "live"})
	r.refused(err, "ProvisionedConcurrencyConfigNotFoundException", "")
	r.runner.mu.Lock()
	r.runner.ready["1"] = fleet.Readiness{Failure: "Runtime.ExitError"}
	r.runner.mu.Unlock()
	_, err = alias.Update(ctx, m, a.ID, plain, held)
	if err == nil || !strings.Contains(err.Error(), "failed to be applied. Reason: FUNCTION_ERROR_INIT_FAILURE") {
		t.Errorf("%v", err)
	}

	// A layer that is opened.
	layer, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "a", "b")}})
	r.ok(err)
	open := r.resource("AWS::Lambda::LayerVersionPermission")
	p := props{"Action": "lambda:GetLayerVersion", "LayerVersionArn": *layer.LayerVersionArn, "Principal": other}
	opened, err := open.Create(ctx, m, p)
	r.ok(err)
	if again, err := open.Create(ctx, m, p); err != nil || again.ID != opened.ID {
		t.Errorf("a retry: %+v, %v", again, err)
	}
	pol, err := r.client.GetLayerVersionPolicy(ctx, &api.GetLayerVersionPolicyInput{LayerName: "l", VersionNumber: 1})
	r.ok(err)
	if !strings.Contains(*pol.Policy, `"Sid":"stack-F-1"`) {
		t.Errorf("%s", *pol.Policy)
	}
	for range 2 {
		r.ok(open.Delete(ctx, m, opened.ID, p))
		r.ok(signing.Delete(ctx, m, csc.ID, wanted))
	}
}
