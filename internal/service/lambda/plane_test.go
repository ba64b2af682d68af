package lambda

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
)

// wishes are what the runner is told to hold ready, in words.
func (r *rig) wishes() []string {
	r.runner.mu.Lock()
	defer r.runner.mu.Unlock()
	var out []string
	for _, w := range r.runner.kept {
		out = append(out, fmt.Sprintf("%s:%s %d %s", w.Function.Name, w.Function.Version, w.Ready, w.Function.InitType))
	}
	slices.Sort(out)
	return out
}

func (r *rig) holds(want ...string) {
	r.Helper()
	r.until("held ready: "+strings.Join(want, ", "), func() bool { return slices.Equal(r.wishes(), want) })
}

// publish changes the code and publishes it.
func (r *rig) publish(fn, code string) string {
	r.Helper()
	out, err := r.client.UpdateFunctionCode(r.Context(), &api.UpdateFunctionCodeInput{FunctionName: fn, ZipFile: zipOf(r, "index.py", code), Publish: new(true)})
	r.ok(err)
	return *out.Version
}

func TestProvisionedConcurrency(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.runner.ready = map[string]fleet.Readiness{}
	r.background()
	r.create("f")
	r.publish("f", "one")
	r.publish("f", "two")
	_, err := r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	put := func(qualifier string, n int32) error {
		_, err := r.client.PutProvisionedConcurrencyConfig(ctx, &api.PutProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: qualifier, ProvisionedConcurrentExecutions: n})
		return err
	}
	get := func(qualifier string) *api.GetProvisionedConcurrencyConfigOutput {
		t.Helper()
		out, err := r.client.GetProvisionedConcurrencyConfig(ctx, &api.GetProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: qualifier})
		r.ok(err)
		return out
	}
	r.refused(put("$LATEST", 1), "InvalidParameterValueException", "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	r.refused(put("9", 1), "ResourceNotFoundException", ":f:9")
	r.refused(put("nowhere", 1), "ResourceNotFoundException", "nowhere")
	r.refused(put("live", 901), "InvalidParameterValueException", "below its minimum value of [100]")
	_, err = r.client.GetProvisionedConcurrencyConfig(ctx, &api.GetProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "live"})
	r.refused(err, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")

	out, err := r.client.PutProvisionedConcurrencyConfig(ctx, &api.PutProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "live", ProvisionedConcurrentExecutions: 4})
	r.ok(err)
	if *out.Status != "IN_PROGRESS" || *out.RequestedProvisionedConcurrentExecutions != 4 || *out.AvailableProvisionedConcurrentExecutions != 0 {
		t.Errorf("%+v", out)
	}
	r.holds("f:1 4 provisioned-concurrency")
	r.refused(put("1", 1), "InvalidParameterValueException", "already provisioned alias [live]")

	// As far as the runner is.
	r.runner.mu.Lock()
	r.runner.ready["1"] = fleet.Readiness{Ready: 3}
	r.runner.mu.Unlock()
	if g := get("live"); *g.Status != "IN_PROGRESS" || *g.AvailableProvisionedConcurrentExecutions != 3 || g.StatusReason != nil {
		t.Errorf("%+v", g)
	}
	r.runner.mu.Lock()
	r.runner.ready["1"] = fleet.Readiness{Ready: 3, Failure: "Runtime.ImportModuleError"}
	r.runner.mu.Unlock()
	if g := get("live"); *g.Status != "FAILED" || *g.StatusReason != "FUNCTION_ERROR_INIT_FAILURE: Runtime.ImportModuleError" {
		t.Errorf("%+v", g)
	}
	r.runner.mu.Lock()
	r.runner.ready["1"], r.runner.ready["2"] = fleet.Readiness{Ready: 4}, fleet.Readiness{Ready: 1}
	r.runner.mu.Unlock()
	if g := get("live"); *g.Status != "READY" || *g.AllocatedProvisionedConcurrentExecutions != 4 {
		t.Errorf("%+v", g)
	}

	// Invocations of the version know what is held for them, and others what is left.
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Qualifier: new("live")})
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	if a, b := r.runner.ran[0], r.runner.ran[1]; a.Provisioned != 4 || a.HeldBack != 4 || a.InitType != "" || b.Provisioned != 0 || b.HeldBack != 4 {
		t.Errorf("ran with %+v and %+v", a, b)
	}
	account, err := r.client.GetAccountSettings(ctx, &api.GetAccountSettingsInput{})
	r.ok(err)
	if *account.AccountLimit.UnreservedConcurrentExecutions != 996 {
		t.Errorf("%d are unreserved", *account.AccountLimit.UnreservedConcurrentExecutions)
	}

	// An alias that is shifted takes its instances along.
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", RoutingConfig: &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25}}})
	r.ok(err)
	r.holds("f:1 3 provisioned-concurrency", "f:2 1 provisioned-concurrency")
	r.refused(put("live", 1), "InvalidParameterValueException", "Alias with weights can not be used with Provisioned Concurrency")
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: new("2"), RoutingConfig: &api.AliasRoutingConfiguration{}})
	r.ok(err)
	r.holds("f:2 4 provisioned-concurrency")
	r.ok(put("1", 2))
	r.holds("f:1 2 provisioned-concurrency", "f:2 4 provisioned-concurrency")
	list, err := r.client.ListProvisionedConcurrencyConfigs(ctx, &api.ListProvisionedConcurrencyConfigsInput{FunctionName: "f"})
	r.ok(err)
	if c := list.ProvisionedConcurrencyConfigs; len(c) != 2 || *c[0].FunctionArn != "arn:aws:lambda:eu-west-1:123456789012:function:f:1" || !strings.HasSuffix(*c[1].FunctionArn, ":live") {
		t.Errorf("%+v", c)
	}

	// Reserved concurrency holds it in.
	_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 5})
	r.refused(err, "InvalidParameterValueException", "total provisioned concurrency [6]")
	_, err = r.client.PutFunctionConcurrency(ctx, &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 7})
	r.ok(err)
	r.refused(put("1", 4), "InvalidParameterValueException", "should not be greater than the reservedConcurrentExecution for function")
	if account, err = r.client.GetAccountSettings(ctx, &api.GetAccountSettingsInput{}); *account.AccountLimit.UnreservedConcurrentExecutions != 993 || err != nil {
		t.Errorf("%d are unreserved, %v", *account.AccountLimit.UnreservedConcurrentExecutions, err)
	}

	// What it belongs to takes it along.
	_, err = r.client.DeleteProvisionedConcurrencyConfig(ctx, &api.DeleteProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "1"})
	r.ok(err)
	r.holds("f:2 4 provisioned-concurrency")
	_, err = r.client.DeleteAlias(ctx, &api.DeleteAliasInput{FunctionName: "f", Name: "live"})
	r.ok(err)
	r.holds()
	r.ok(put("2", 1))
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
	r.ok(err)
	r.holds()
	if account, err = r.client.GetAccountSettings(ctx, &api.GetAccountSettingsInput{}); *account.AccountLimit.UnreservedConcurrentExecutions != 1000 || err != nil {
		t.Errorf("%d are unreserved, %v", *account.AccountLimit.UnreservedConcurrentExecutions, err)
	}
}

// What is held ready is held again by the next process.
func TestProvisionedConcurrencyOutlivesTheProcess(t *testing.T) {
	r := newRig(t)
	r.create("f")
	r.publish("f", "one")
	_, err := r.client.PutProvisionedConcurrencyConfig(t.Context(), &api.PutProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "1", ProvisionedConcurrentExecutions: 2})
	r.ok(err)
	next := rigOn(t, r.db, r.clock)
	next.background()
	next.holds("f:1 2 provisioned-concurrency")
}

func TestSnapStart(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.background()
	on := &api.SnapStart{ApplyOn: new("PublishedVersions")}
	_, err := r.client.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "n", Runtime: new("nodejs22.x"), Role: role, Handler: new("index.handler"), SnapStart: on,
		Code: &api.FunctionCode{ZipFile: zipOf(t, "index.js", "")}})
	r.refused(err, "InvalidParameterValueException", "nodejs22.x is not supported for SnapStart enabled functions.")
	made := r.create("f", func(in *api.CreateFunctionInput) { in.SnapStart = on })
	if *made.SnapStart.ApplyOn != "PublishedVersions" || *made.SnapStart.OptimizationStatus != "Off" {
		t.Errorf("%+v", made.SnapStart)
	}
	r.publish("f", "one")
	got, err := r.client.GetFunctionConfiguration(ctx, &api.GetFunctionConfigurationInput{FunctionName: "f", Qualifier: new("1")})
	r.ok(err)
	if *got.SnapStart.ApplyOn != "PublishedVersions" || *got.SnapStart.OptimizationStatus != "On" {
		t.Errorf("%+v", got.SnapStart)
	}
	r.holds("f:1 1 snap-start")
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	r.publish("f", "two")
	r.holds("f:1 1 snap-start", "f:2 1 snap-start")
	_, err = r.client.UpdateAlias(ctx, &api.UpdateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: new("2")})
	r.ok(err)
	r.holds("f:2 1 snap-start")
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Qualifier: new("2")})
	r.ok(err)
	if f := r.runner.ran[0]; f.InitType != fleet.SnapStart {
		t.Errorf("ran with %+v", f)
	}
	_, err = r.client.PutProvisionedConcurrencyConfig(ctx, &api.PutProvisionedConcurrencyConfigInput{FunctionName: "f", Qualifier: "2", ProvisionedConcurrentExecutions: 1})
	r.refused(err, "InvalidParameterValueException", "SnapStart")
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", EphemeralStorage: &api.EphemeralStorage{Size: 513}})
	r.refused(err, "InvalidParameterValueException", "ephemeral storage")
}

func TestTenantIsolation(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.background()
	made := r.create("t", func(in *api.CreateFunctionInput) {
		in.TenancyConfig = &api.TenancyConfig{TenantIsolationMode: "PER_TENANT"}
	})
	if made.TenancyConfig == nil || made.TenancyConfig.TenantIsolationMode != "PER_TENANT" {
		t.Errorf("%+v", made)
	}
	got, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "t"})
	r.ok(err)
	if got.Configuration.TenancyConfig == nil {
		t.Error("GetFunction does not show it")
	}
	r.create("plain")
	const add, remove = "Add a valid tenant ID in your request and try again.", "Remove the tenant ID from your request and try again."
	for _, kind := range []string{"RequestResponse", "Event", "DryRun"} {
		_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "t", InvocationType: &kind})
		r.refused(err, "InvalidParameterValueException", add)
		_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "plain", InvocationType: &kind, TenantId: new("a")})
		r.refused(err, "InvalidParameterValueException", remove)
	}
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "t", TenantId: new("blue")})
	r.ok(err)
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "t", TenantId: new("green"), InvocationType: new("Event")})
	r.ok(err)
	r.until("the event has run", func() bool { r.runner.mu.Lock(); defer r.runner.mu.Unlock(); return len(r.runner.events) == 2 })
	for i, want := range []string{"blue", "green"} {
		if f, e := r.runner.ran[i], r.runner.events[i]; !f.PerTenant || e.TenantID != want {
			t.Errorf("ran %+v for %q", f, e.TenantID)
		}
	}
	// What does not go with it.
	_, err = r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "t", AuthType: "NONE"})
	r.refused(err, "InvalidParameterValueException", "tenant isolation")
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "t", SnapStart: &api.SnapStart{ApplyOn: new("PublishedVersions")}})
	r.refused(err, "InvalidParameterValueException", "tenant isolation")
	r.publish("t", "one")
	_, err = r.client.PutProvisionedConcurrencyConfig(ctx, &api.PutProvisionedConcurrencyConfigInput{FunctionName: "t", Qualifier: "1", ProvisionedConcurrentExecutions: 1})
	r.refused(err, "InvalidParameterValueException", "tenant isolation")
}

func TestIsolationByRequest(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	made := r.create("f")
	run := func() fleet.Function {
		t.Helper()
		_, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
		r.ok(err)
		return r.runner.ran[len(r.runner.ran)-1]
	}
	before := run()
	tag := func(value string) error {
		_, err := r.client.TagResource(ctx, &api.TagResourceInput{Resource: *made.FunctionArn, Tags: map[string]string{"bastide:isolation": value}})
		return err
	}
	r.refused(tag("often"), "InvalidParameterValueException", `"often" is not "request"`)
	r.ok(tag("request"))
	after := run()
	if before.Once || !after.Once || before.Revision == after.Revision {
		t.Errorf("from %+v to %+v", before, after)
	}
	got, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "f"})
	r.ok(err)
	if got.Tags["bastide:isolation"] != "request" {
		t.Errorf("%v", got.Tags)
	}
	// Who may change tags may not take it away.
	tagger := r.as(account, "tagger")
	r.dir.allow(t, "tagger", `{"Effect":"Allow","Action":["lambda:TagResource","lambda:UntagResource"],"Resource":"*"}`)
	_, err = tagger.TagResource(ctx, &api.TagResourceInput{Resource: *made.FunctionArn, Tags: map[string]string{"cost": "7", "bastide:isolation": "request"}})
	r.ok(err)
	_, err = tagger.UntagResource(ctx, &api.UntagResourceInput{Resource: *made.FunctionArn, TagKeys: []string{"bastide:isolation"}})
	r.refused(err, "AccessDeniedException", "bastide:RelaxIsolation")
	_, err = r.client.UntagResource(ctx, &api.UntagResourceInput{Resource: *made.FunctionArn, TagKeys: []string{"bastide:isolation"}})
	r.ok(err)
	if run().Once {
		t.Error("it is isolated still")
	}
}

// TestRelaxingAProfile: who may change tags may hold a function more to its profile, never less.
func TestRelaxingAProfile(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	made := r.create("f")
	tag := func(c api.Client, value string) error {
		_, err := c.TagResource(ctx, &api.TagResourceInput{Resource: *made.FunctionArn, Tags: map[string]string{"bastide:profile": value}})
		return err
	}
	untag := func(c api.Client) error {
		_, err := c.UntagResource(ctx, &api.UntagResourceInput{Resource: *made.FunctionArn, TagKeys: []string{"bastide:profile"}})
		return err
	}
	tagger := r.as(account, "tagger")
	r.dir.allow(t, "tagger", `{"Effect":"Allow","Action":["lambda:TagResource","lambda:UntagResource"],"Resource":"*"}`)
	r.ok(tag(tagger, "learn"))
	r.service.Learned(&fleet.Function{Account: account, Region: "eu-west-1", Name: "f", Code: "/code"}, []fleet.Fact{{Kind: fleet.Forks}})
	r.ok(r.service.writeProfiles(ctx, r.gate))
	r.ok(tag(tagger, "enforce"))
	r.ok(tag(tagger, "enforce"))
	for _, looser := range []string{"report", "learn", "off"} {
		r.refused(tag(tagger, looser), "AccessDeniedException", "bastide:RelaxIsolation")
	}
	r.refused(untag(tagger), "AccessDeniedException", "bastide:RelaxIsolation")
	r.ok(tag(r.client, "report"))
	r.ok(tag(tagger, "enforce"))
	r.ok(untag(r.client))
}

func TestLayersOfOthers(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	guest := r.as(other, "guest")
	r.dir.allow(t, "guest", `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	out, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "tools", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "python/x.py", "1")}})
	r.ok(err)
	read := func() error {
		_, err := guest.GetLayerVersionByArn(ctx, &api.GetLayerVersionByArnInput{Arn: *out.LayerVersionArn})
		return err
	}
	use := func() error {
		_, err := guest.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "f", Runtime: new("python3.12"), Role: strings.Replace(role, account, other, 1), Handler: new("index.handler"),
			Code: &api.FunctionCode{ZipFile: zipOf(t, "index.py", "v1")}, Layers: []string{*out.LayerVersionArn}})
		return err
	}
	r.refused(read(), "AccessDeniedException", "lambda:GetLayerVersion")
	r.refused(use(), "AccessDeniedException", "lambda:GetLayerVersion")
	_, err = r.client.GetLayerVersionPolicy(ctx, &api.GetLayerVersionPolicyInput{LayerName: "tools", VersionNumber: 1})
	r.refused(err, "ResourceNotFoundException", "No policy is associated with the given resource.")
	in := &api.AddLayerVersionPermissionInput{LayerName: "tools", VersionNumber: 1, StatementId: "guests", Action: "lambda:GetLayerVersion", Principal: other}
	_, err = guest.AddLayerVersionPermission(ctx, &api.AddLayerVersionPermissionInput{LayerName: strings.TrimSuffix(*out.LayerVersionArn, ":1"), VersionNumber: 1, StatementId: "me", Action: in.Action, Principal: other})
	r.refused(err, "AccessDeniedException", "lambda:AddLayerVersionPermission")
	added, err := r.client.AddLayerVersionPermission(ctx, in)
	r.ok(err)
	if want := `{"Sid":"guests","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":"lambda:GetLayerVersion","Resource":"arn:aws:lambda:eu-west-1:123456789012:layer:tools:1"}`; *added.Statement != want {
		t.Errorf("%s", *added.Statement)
	}
	_, err = r.client.AddLayerVersionPermission(ctx, in)
	r.refused(err, "ResourceConflictException", "The statement id (guests) provided already exists")
	_, err = r.client.AddLayerVersionPermission(ctx, &api.AddLayerVersionPermissionInput{LayerName: "tools", VersionNumber: 2, StatementId: "x", Action: in.Action, Principal: "*"})
	r.refused(err, "ResourceNotFoundException", "tools:2 does not exist")
	_, err = r.client.AddLayerVersionPermission(ctx, &api.AddLayerVersionPermissionInput{LayerName: "tools", VersionNumber: 1, StatementId: "x", Action: in.Action, Principal: other, OrganizationId: new("o-1234567890")})
	r.refused(err, "InvalidParameterValueException", "must be *")
	_, err = r.client.AddLayerVersionPermission(ctx, &api.AddLayerVersionPermissionInput{LayerName: "tools", VersionNumber: 1, StatementId: "x", Action: in.Action, Principal: "*", RevisionId: new("old")})
	r.refused(err, "PreconditionFailedException", "GetLayerVersionPolicy")
	r.ok(read())
	r.ok(use())
	p, err := r.client.GetLayerVersionPolicy(ctx, &api.GetLayerVersionPolicyInput{LayerName: "tools", VersionNumber: 1})
	r.ok(err)
	if *p.RevisionId != *added.RevisionId || !strings.Contains(*p.Policy, *added.Statement) {
		t.Errorf("%s", *p.Policy)
	}
	remove := &api.RemoveLayerVersionPermissionInput{LayerName: "tools", VersionNumber: 1, StatementId: "guests"}
	_, err = r.client.RemoveLayerVersionPermission(ctx, remove)
	r.ok(err)
	_, err = r.client.RemoveLayerVersionPermission(ctx, remove)
	r.refused(err, "ResourceNotFoundException", "No policy is associated")
	r.refused(read(), "AccessDeniedException", "lambda:GetLayerVersion")
}

// profiles are signing profiles in memory.
type profiles map[string]*Publisher

func (p profiles) Publisher(_ context.Context, arn string) (*Publisher, error) {
	if arn == broken {
		return nil, errors.New("out of order")
	}
	return p[arn], nil
}

const (
	ours   = "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/ours/abcdefghij"
	theirs = "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/theirs/abcdefghij"
	broken = "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/broken/abcdefghij"
)

func keyOf(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
}

func signedZip(t *testing.T, profile string, key crypto.Signer, at, until int64, files ...string) []byte {
	t.Helper()
	b, err := pack.Sign(zipOf(t, files...), pack.Claims{Profile: profile, Job: "job", Signed: at, Expires: until}, key, pack.Limits{Unzipped: 1 << 20, Entries: 100})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCodeSigning(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	now := r.clock.Now().Unix()
	mine, alien := keyOf(1), keyOf(2)
	known := profiles{ours: {Key: mine.Public()}, theirs: {Key: alien.Public()}}
	r.service.Publishers = known
	_, err := r.client.CreateCodeSigningConfig(ctx, &api.CreateCodeSigningConfigInput{AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{"arn:aws:lambda:eu-west-1:123456789012:function:f"}}})
	r.refused(err, "InvalidParameterValueException", "signing profile version ARN")
	made, err := r.client.CreateCodeSigningConfig(ctx, &api.CreateCodeSigningConfigInput{Description: new("d"), AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{ours}},
		CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: new("Enforce")}})
	r.ok(err)
	csc := made.CodeSigningConfig.CodeSigningConfigArn
	create := func(zip []byte) (*api.FunctionConfiguration, error) {
		return r.client.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "f", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"), CodeSigningConfigArn: &csc, Code: &api.FunctionCode{ZipFile: zip}})
	}
	const blocked = "the code signing policy is set to ENFORCE"
	good := signedZip(t, ours, mine, now, now+100, "index.py", "v1")
	for name, zip := range map[string][]byte{
		"not signed":                  zipOf(t, "index.py", "v1"),
		"another signing profile":     signedZip(t, theirs, alien, now, 0, "index.py", "v1"),
		"its signature has expired":   signedZip(t, ours, mine, now-10, now, "index.py", "v1"),
		"signed by another signing p": signedZip(t, "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/no/abcdefghij", mine, now, 0, "index.py", "v1"),
	} {
		_, err := create(zip)
		r.refused(err, "CodeVerificationFailedException", blocked)
		r.refused(err, "CodeVerificationFailedException", name)
	}
	_, err = create(signedZip(t, ours, alien, now, 0, "index.py", "v1"))
	r.refused(err, "InvalidCodeSignatureException", "The code signature failed the integrity check.")
	f, err := create(good)
	r.ok(err)
	if *f.SigningProfileVersionArn != ours || *f.SigningJobArn != "job" {
		t.Errorf("%+v", f)
	}
	get, err := r.client.GetFunctionCodeSigningConfig(ctx, &api.GetFunctionCodeSigningConfigInput{FunctionName: "f"})
	r.ok(err)
	list, err := r.client.ListFunctionsByCodeSigningConfig(ctx, &api.ListFunctionsByCodeSigningConfigInput{CodeSigningConfigArn: csc})
	r.ok(err)
	if get.CodeSigningConfigArn != csc || len(list.FunctionArns) != 1 || list.FunctionArns[0] != *f.FunctionArn {
		t.Errorf("%+v %+v", get, list)
	}
	update := func(zip []byte) (*api.FunctionConfiguration, error) {
		return r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zip})
	}
	_, err = update(zipOf(t, "index.py", "v2"))
	r.refused(err, "CodeVerificationFailedException", "not signed")
	// Layers are held to it too.
	layer, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "python/x.py", "1")}})
	r.ok(err)
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Layers: []string{*layer.LayerVersionArn}})
	r.refused(err, "CodeVerificationFailedException", "not signed")
	layer, err = r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: signedZip(t, ours, mine, now, 0, "python/x.py", "1")}})
	r.ok(err)
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Layers: []string{*layer.LayerVersionArn}})
	r.ok(err)
	// A profile that was revoked: what was signed before stays good.
	known[ours].Revoked = time.Unix(now, 0)
	_, err = update(good)
	r.refused(err, "CodeVerificationFailedException", "its signing profile was revoked")
	_, err = update(signedZip(t, ours, mine, now-1, 0, "index.py", "v1"))
	r.ok(err)
	// Under Warn all goes but a signature that is not the package's.
	_, err = r.client.UpdateCodeSigningConfig(ctx, &api.UpdateCodeSigningConfigInput{CodeSigningConfigArn: csc, CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: new("Warn")}})
	r.ok(err)
	warned, err := update(zipOf(t, "index.py", "v2"))
	r.ok(err)
	if warned.SigningProfileVersionArn != nil {
		t.Errorf("%+v", warned)
	}
	_, err = update(signedZip(t, ours, alien, now, 0, "index.py", "v1"))
	r.refused(err, "InvalidCodeSignatureException", "integrity")
	// Its end.
	_, err = r.client.DeleteCodeSigningConfig(ctx, &api.DeleteCodeSigningConfigInput{CodeSigningConfigArn: csc})
	r.refused(err, "ResourceConflictException", "in use")
	_, err = r.client.DeleteFunctionCodeSigningConfig(ctx, &api.DeleteFunctionCodeSigningConfigInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.DeleteCodeSigningConfig(ctx, &api.DeleteCodeSigningConfigInput{CodeSigningConfigArn: csc})
	r.ok(err)
	_, err = r.client.GetCodeSigningConfig(ctx, &api.GetCodeSigningConfigInput{CodeSigningConfigArn: csc})
	r.refused(err, "ResourceNotFoundException", csc)
	_, err = r.client.PutFunctionCodeSigningConfig(ctx, &api.PutFunctionCodeSigningConfigInput{FunctionName: "f", CodeSigningConfigArn: csc})
	r.refused(err, "CodeSigningConfigNotFoundException", csc)
}

// TestCodeSigningOfImages: what is no archive cannot be signed, and so not be made where it must be.
func TestCodeSigningOfImages(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	r.push(s, "app:1", r.oneFile("base", "1"))
	made, err := r.client.CreateCodeSigningConfig(t.Context(), &api.CreateCodeSigningConfigInput{AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{ours}},
		CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: new("Enforce")}})
	r.ok(err)
	in := &api.CreateFunctionInput{FunctionName: "f", PackageType: new("Image"), Role: role, Code: &api.FunctionCode{ImageUri: new(shelfHost + "/app:1")}}
	in.CodeSigningConfigArn = &made.CodeSigningConfig.CodeSigningConfigArn
	_, err = r.client.CreateFunction(t.Context(), in)
	r.refused(err, "InvalidParameterValueException", "Code signing is not supported for functions whose PackageType is Image.")
	in.CodeSigningConfigArn = nil
	_, err = r.client.CreateFunction(t.Context(), in)
	r.ok(err)
}

// TestCodeSigningAsACondition: a policy can want functions to be made under one configuration.
func TestCodeSigningAsACondition(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	var arns []string
	for range 2 {
		made, err := r.client.CreateCodeSigningConfig(ctx, &api.CreateCodeSigningConfigInput{AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{ours}}})
		r.ok(err)
		arns = append(arns, made.CodeSigningConfig.CodeSigningConfigArn)
	}
	r.dir.allow(t, "deployer", `{"Effect":"Allow","Action":"iam:PassRole","Resource":"*"}`,
		`{"Effect":"Allow","Action":"lambda:CreateFunction","Resource":"*","Condition":{"StringEquals":{"lambda:CodeSigningConfigArn":"`+arns[0]+`"}}}`)
	deployer := r.as(account, "deployer")
	create := func(config *string) error {
		_, err := deployer.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "f", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"),
			CodeSigningConfigArn: config, Code: &api.FunctionCode{ZipFile: zipOf(t, "index.py", "v1")}})
		return err
	}
	r.refused(create(nil), "AccessDeniedException", "lambda:CreateFunction")
	r.refused(create(&arns[1]), "AccessDeniedException", "lambda:CreateFunction")
	r.ok(create(&arns[0])) // which only warns
}

func TestRuntimeManagement(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	machine := "one"
	r.service.RuntimeVersion = func(context.Context, string) (string, error) { return machine, nil }
	r.create("f")
	const one, two = "arn:aws:lambda:eu-west-1::runtime:one", "arn:aws:lambda:eu-west-1::runtime:two"
	put := func(on string, arn *string) error {
		_, err := r.client.PutRuntimeManagementConfig(ctx, &api.PutRuntimeManagementConfigInput{FunctionName: "f", UpdateRuntimeOn: on, RuntimeVersionArn: arn})
		return err
	}
	shown := func() *api.RuntimeVersionConfig {
		t.Helper()
		out, err := r.client.GetFunctionConfiguration(ctx, &api.GetFunctionConfigurationInput{FunctionName: "f"})
		r.ok(err)
		return out.RuntimeVersionConfig
	}
	got, err := r.client.GetRuntimeManagementConfig(ctx, &api.GetRuntimeManagementConfigInput{FunctionName: "f"})
	r.ok(err)
	if *got.UpdateRuntimeOn != "Auto" || got.RuntimeVersionArn != nil || *shown().RuntimeVersionArn != one {
		t.Errorf("%+v", got)
	}
	r.refused(put("Manual", nil), "InvalidParameterValueException", "RuntimeVersionArn is required")
	r.refused(put("Auto", new(one)), "InvalidParameterValueException", "only when UpdateRuntimeOn is Manual")
	r.refused(put("Manual", new(two)), "InvalidParameterValueException", "is not on this machine")
	r.ok(put("Manual", new(one)))
	machine = "two" // the machine moves on
	if s := shown(); *s.RuntimeVersionArn != one || s.Error == nil || *s.Error.ErrorCode != "RuntimeVersionNotFound" {
		t.Errorf("%+v", s)
	}
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	if f := r.runner.ran[0]; f.RuntimeVersion != "one" {
		t.Errorf("ran with %+v", f)
	}
	r.ok(put("FunctionUpdate", nil))
	if s := shown(); *s.RuntimeVersionArn != two || s.Error != nil {
		t.Errorf("%+v", s)
	}
	machine = "one"
	r.publish("f", "v2")
	// Every answer about one version says it, and no list.
	created := r.create("g")
	set, err := r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Timeout: new(int32(9))})
	r.ok(err)
	code, err := r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v3")})
	r.ok(err)
	version, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	for _, c := range []*api.FunctionConfiguration{created, set, code, version} {
		if c.RuntimeVersionConfig == nil || *c.RuntimeVersionConfig.RuntimeVersionArn != one || c.RuntimeVersionConfig.Error != nil {
			t.Errorf("%s %s: %+v", *c.FunctionArn, *c.Version, c.RuntimeVersionConfig)
		}
	}
	list, err := r.client.ListVersionsByFunction(ctx, &api.ListVersionsByFunctionInput{FunctionName: "f"})
	r.ok(err)
	for _, c := range list.Versions {
		if c.RuntimeVersionConfig != nil {
			t.Errorf("a list has %+v", c.RuntimeVersionConfig)
		}
	}
	if s := shown(); *s.RuntimeVersionArn != one || s.Error != nil {
		t.Errorf("after an update: %+v", s)
	}
	got, err = r.client.GetRuntimeManagementConfig(ctx, &api.GetRuntimeManagementConfigInput{FunctionName: "f", Qualifier: new("1")})
	r.ok(err)
	if *got.UpdateRuntimeOn != "FunctionUpdate" || *got.RuntimeVersionArn != one || !strings.HasSuffix(*got.FunctionArn, ":f:1") {
		t.Errorf("%+v", got)
	}
}

func TestRecursionSettings(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	for _, want := range []string{"Terminate", "Allow", "Terminate"} {
		_, err := r.client.PutFunctionRecursionConfig(ctx, &api.PutFunctionRecursionConfigInput{FunctionName: "f", RecursiveLoop: want})
		r.ok(err)
		got, err := r.client.GetFunctionRecursionConfig(ctx, &api.GetFunctionRecursionConfigInput{FunctionName: "f"})
		r.ok(err)
		if *got.RecursiveLoop != want {
			t.Errorf("got %s, want %s", *got.RecursiveLoop, want)
		}
	}
}
