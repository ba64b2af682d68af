package lambda

import (
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

const fromTheAPI = "arn:aws:execute-api:eu-west-1:123456789012:api1/live/GET/tasks"

// TestARevokedPermissionEndsAtOnce: nothing else happens to the function between the call that the
// policy allowed, which left a copy of it in memory, and the one that it does not allow any more.
func TestARevokedPermissionEndsAtOnce(t *testing.T) {
	for name, qualifier := range map[string]*string{"of a function": nil, "of a version": new("1"), "of an alias": new("live")} {
		for _, others := range []int{0, 1} { // statements that remain: the policy is changed, or deleted
			t.Run(name, func(t *testing.T) {
				r := newRig(t)
				ctx := t.Context()
				r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
				_, err := r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
				r.ok(err)
				for i, who := range []string{"apigateway.amazonaws.com", "events.amazonaws.com"}[:1+others] {
					_, err := r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", Qualifier: qualifier, StatementId: []string{"api", "other"}[i],
						Action: "lambda:InvokeFunction", Principal: who})
					r.ok(err)
				}
				caller := r.asService("apigateway.amazonaws.com", fromTheAPI)
				invoke := func() error {
					_, err := caller.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Qualifier: qualifier})
					return err
				}
				r.ok(invoke())
				_, err = r.client.RemovePermission(ctx, &api.RemovePermissionInput{FunctionName: "f", Qualifier: qualifier, StatementId: "api"})
				r.ok(err)
				r.refused(invoke(), "AccessDeniedException", "lambda:InvokeFunction")
				_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", Qualifier: qualifier, StatementId: "api",
					Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com"})
				r.ok(err)
				r.ok(invoke())
			})
		}
	}
}

// TestInvokeFollowsEveryChange: after each change, with nothing in between, a call of the same name
// meets the function as it is now.
func TestInvokeFollowsEveryChange(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	invoke := func(name string) (*api.InvokeOutput, error) {
		return r.client.Invoke(ctx, &api.InvokeInput{FunctionName: name})
	}
	runs := func(when, name, version string) fleet.Function {
		t.Helper()
		out, err := invoke(name)
		r.ok(err)
		if *out.ExecutedVersion != version {
			t.Errorf("%s: %s ran version %s, not %s", when, name, *out.ExecutedVersion, version)
		}
		return r.runner.ran[len(r.runner.ran)-1]
	}
	change := func(err error) { t.Helper(); r.ok(err) }

	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	before := runs("created", "f", "$LATEST")
	_, err := r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v2")})
	change(err)
	if after := runs("new code", "f", "$LATEST"); after.Code == before.Code || after.Revision == before.Revision {
		t.Errorf("the old code ran: %+v", after)
	}
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Handler: new("index.two")})
	change(err)
	if after := runs("a new handler", "f", "$LATEST"); after.Handler != "index.two" {
		t.Errorf("the old handler ran: %+v", after)
	}
	_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 0})
	change(err)
	if after := runs("no concurrency", "f", "$LATEST"); after.Reserved == nil || *after.Reserved != 0 {
		t.Errorf("runs without its limit: %+v", after)
	}
	_, err = invoke("f:2")
	r.refused(err, "ResourceNotFoundException", "f:2")
	_, err = r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	change(err)
	runs("published", "f:2", "2")

	_, err = invoke("f:live")
	r.refused(err, "ResourceNotFoundException", "f:live")
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	change(err)
	runs("a new alias", "f:live", "1")
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: new("2")})
	change(err)
	runs("an alias moved", "f:live", "2")
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live",
		RoutingConfig: &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 1}}})
	change(err)
	runs("a second version", "f:live", "1")
	_, err = r.client.DeleteAlias(ctx, &api.DeleteAliasInput{FunctionName: "f", Name: "live"})
	change(err)
	_, err = invoke("f:live")
	r.refused(err, "ResourceNotFoundException", "f:live")
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f", Qualifier: new("2")})
	change(err)
	_, err = invoke("f:2")
	r.refused(err, "ResourceNotFoundException", "f:2")

	old := runs("once more", "f", "$LATEST")
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
	change(err)
	_, err = invoke("f")
	r.refused(err, "ResourceNotFoundException", "function:f")
	r.create("f")
	if again := runs("made anew", "f", "$LATEST"); again.Revision == old.Revision || again.Handler != "index.handler" {
		t.Errorf("the deleted function ran: %+v", again)
	}
}

// TestOthersReservationsReachEveryFunction: what one function reserves is held back from the others,
// whose own rows do not change.
func TestOthersReservationsReachEveryFunction(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	r.create("greedy")
	for _, n := range []int32{70, 30} {
		_, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
		r.ok(err)
		_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "greedy", ReservedConcurrentExecutions: n})
		r.ok(err)
		_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
		r.ok(err)
		if f := r.runner.ran[len(r.runner.ran)-1]; f.HeldBack != int(n) {
			t.Errorf("%d held back, not %d", f.HeldBack, n)
		}
	}
}

// TestADirectoryFollowsEveryChange: a URL as the edge sees it, after each change with nothing in
// between.
func TestADirectoryFollowsEveryChange(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := NewDirectory(r.service, r.db)
	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	_, err := r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	made, err := r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", Qualifier: new("live"), AuthType: "NONE"})
	r.ok(err)
	read := func() *Served {
		t.Helper()
		u, err := d.URL(ctx, urlIDOf(made.FunctionUrl))
		r.ok(err)
		return u
	}
	if u := read(); u == nil || u.AuthType != "NONE" || u.Policy != "" {
		t.Fatalf("%+v", u)
	}
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", Qualifier: new("live"), StatementId: "open", Action: "lambda:InvokeFunctionUrl",
		Principal: "*", FunctionUrlAuthType: new("NONE")})
	r.ok(err)
	if u := read(); u == nil || u.Policy == "" {
		t.Errorf("without the policy: %+v", u)
	}
	_, err = r.client.RemovePermission(ctx, &api.RemovePermissionInput{FunctionName: "f", Qualifier: new("live"), StatementId: "open"})
	r.ok(err)
	if u := read(); u == nil || u.Policy != "" {
		t.Errorf("with the revoked policy: %+v", u)
	}
	_, err = r.client.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", Qualifier: new("live"), AuthType: new("AWS_IAM")})
	r.ok(err)
	if u := read(); u == nil || u.AuthType != "AWS_IAM" {
		t.Errorf("still open: %+v", u)
	}
	_, err = r.client.TagResource(ctx, &api.TagResourceInput{Resource: "arn:aws:lambda:eu-west-1:123456789012:function:f", Tags: map[string]string{"team": "two"}})
	r.ok(err)
	if u := read(); u == nil || u.Tags["team"] != "two" {
		t.Errorf("old tags: %+v", u)
	}
	_, err = r.client.DeleteFunctionUrlConfig(ctx, &api.DeleteFunctionUrlConfigInput{FunctionName: "f", Qualifier: new("live")})
	r.ok(err)
	if u := read(); u != nil {
		t.Errorf("deleted, and there: %+v", u)
	}
}

// TestAnIntegrationFollowsItsAlias: an API's integration names an alias by its ARN and may call it by
// the alias's policy alone. It runs the version that the alias points to, and ends with the alias.
func TestAnIntegrationFollowsItsAlias(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	made, err := r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", Qualifier: new("live"), StatementId: "api", Action: "lambda:InvokeFunction",
		Principal: "apigateway.amazonaws.com", SourceArn: new("arn:aws:execute-api:eu-west-1:123456789012:api1/*")})
	r.ok(err)
	integration := r.asService("apigateway.amazonaws.com", fromTheAPI)
	invoke := func() (*api.InvokeOutput, error) {
		return integration.Invoke(ctx, &api.InvokeInput{FunctionName: *made.AliasArn})
	}
	out, err := invoke()
	r.ok(err)
	if *out.ExecutedVersion != "1" {
		t.Errorf("ran version %s", *out.ExecutedVersion)
	}
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: new("$LATEST")})
	r.ok(err)
	if out, err = invoke(); err != nil || *out.ExecutedVersion != "$LATEST" {
		t.Errorf("after the alias moved: %+v, %v", out, err)
	}
	_, err = r.client.DeleteAlias(ctx, &api.DeleteAliasInput{FunctionName: "f", Name: "live"})
	r.ok(err)
	_, err = invoke()
	r.refused(err, "AccessDeniedException", "f:live")
}
