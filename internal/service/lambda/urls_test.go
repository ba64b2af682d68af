package lambda

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
)

const urlARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"

// urlIDOf is the first label of a URL's host.
func urlIDOf(address string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ".")
	return id
}

func TestAFunctionURLFromCreationToItsEnd(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	cors := &api.Cors{AllowOrigins: []string{"https://app.example"}, AllowMethods: []string{"GET", "*"}, AllowHeaders: []string{"x-a"}, ExposeHeaders: []string{"x-b"},
		MaxAge: new(int32(86400)), AllowCredentials: new(true)}
	made, err := r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", AuthType: "AWS_IAM", Cors: cors})
	r.ok(err)
	id := urlIDOf(made.FunctionUrl)
	if d := cmp.Diff(&api.CreateFunctionUrlConfigOutput{FunctionUrl: "http://" + id + ".lambda-url.localhost:4566/", FunctionArn: urlARN, AuthType: "AWS_IAM", Cors: cors,
		InvokeMode: new("BUFFERED"), CreationTime: "2030-01-02T03:04:05.000000000Z"}, made); d != "" || len(id) != 32 {
		t.Error(d, id)
	}
	_, err = r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: urlARN, AuthType: "NONE"})
	r.refused(err, "ResourceConflictException", "Failed to create function url config for [functionArn = "+urlARN+"]. Error message:  FunctionUrlConfig exists for this Lambda function")

	r.clock.Advance(time.Minute)
	changed, err := r.client.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", AuthType: new("NONE")})
	r.ok(err)
	if changed.FunctionUrl != made.FunctionUrl || changed.AuthType != "NONE" || cmp.Diff(cors, changed.Cors) != "" || changed.CreationTime != made.CreationTime ||
		changed.LastModifiedTime != "2030-01-02T03:05:05.000000000Z" {
		t.Errorf("%+v", changed)
	}
	changed, err = r.client.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", Cors: &api.Cors{}, InvokeMode: new("RESPONSE_STREAM")})
	r.ok(err)
	if *changed.InvokeMode != "RESPONSE_STREAM" {
		t.Errorf("%+v", changed)
	}
	got, err := r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"})
	r.ok(err)
	if got.Cors != nil || got.AuthType != "NONE" || cmp.Diff(*got, api.GetFunctionUrlConfigOutput(*changed)) != "" {
		t.Errorf("%+v", got)
	}

	_, err = r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	live, err := r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", Qualifier: new("live"), AuthType: "NONE"})
	r.ok(err)
	if live.FunctionArn != urlARN+":live" || live.FunctionUrl == made.FunctionUrl {
		t.Errorf("%+v", live)
	}
	first, err := r.client.ListFunctionUrlConfigs(ctx, &api.ListFunctionUrlConfigsInput{FunctionName: "f", MaxItems: new(int32(1))})
	r.ok(err)
	second, err := r.client.ListFunctionUrlConfigs(ctx, &api.ListFunctionUrlConfigsInput{FunctionName: "f", Marker: first.NextMarker})
	r.ok(err)
	all := append(first.FunctionUrlConfigs, second.FunctionUrlConfigs...)
	if len(all) != 2 || all[0].FunctionArn != urlARN || all[1].FunctionArn != urlARN+":live" || second.NextMarker != nil {
		t.Errorf("%+v", all)
	}

	_, err = r.client.DeleteFunctionUrlConfig(ctx, &api.DeleteFunctionUrlConfigInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.DeleteFunctionUrlConfig(ctx, &api.DeleteFunctionUrlConfigInput{FunctionName: "f"})
	r.refused(err, "ResourceNotFoundException", "The resource you requested does not exist.")
	if _, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "f"}); err != nil {
		t.Error(err)
	}
}

func TestAURLEndsWithWhatItLeadsTo(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := NewDirectory(r.service, r.db)
	r.create("f")
	_, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.CreateAlias(ctx, &api.CreateAliasInput{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	r.ok(err)
	made, err := r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", AuthType: "NONE"})
	r.ok(err)
	live, err := r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f:live", AuthType: "NONE"})
	r.ok(err)
	there := func(address string) bool {
		u, err := d.URL(ctx, urlIDOf(address))
		r.ok(err)
		return u != nil
	}
	if !there(made.FunctionUrl) || !there(live.FunctionUrl) {
		t.Error("a URL is not found")
	}
	_, err = r.client.DeleteAlias(ctx, &api.DeleteAliasInput{FunctionName: "f", Name: "live"})
	r.ok(err)
	if there(live.FunctionUrl) || !there(made.FunctionUrl) {
		t.Error("an alias's URL outlives it, or takes another along")
	}
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
	r.ok(err)
	if there(made.FunctionUrl) {
		t.Error("a function's URL outlives it")
	}
	r.create("f")
	_, err = r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"})
	r.refused(err, "ResourceNotFoundException", "does not exist")
	if ids, err := d.URLs(ctx); err != nil || len(ids) != 0 {
		t.Errorf("%v %v", ids, err)
	}
}

// What the edge reads is never older than the last change.
func TestTheDirectoryOfURLs(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := NewDirectory(r.service, r.db)
	r.create("f", func(in *api.CreateFunctionInput) { in.Tags = map[string]string{"team": "one"} })
	made, err := r.client.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", AuthType: "NONE"})
	r.ok(err)
	id := urlIDOf(made.FunctionUrl)
	read := func() *Served {
		t.Helper()
		u, err := d.URL(ctx, id)
		if err != nil || u == nil {
			t.Fatalf("%v %v", u, err)
		}
		return u
	}
	was := read()
	if d := cmp.Diff(&Served{ID: id, Account: account, Region: region, FunctionARN: urlARN, AuthType: "NONE", InvokeMode: "BUFFERED", Tags: map[string]string{"team": "one"}}, was); d != "" {
		t.Error(d)
	}
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "open", Action: "lambda:InvokeFunctionUrl", Principal: "*", FunctionUrlAuthType: new("NONE")})
	r.ok(err)
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "run", Action: "lambda:InvokeFunction", Principal: "*", InvokedViaFunctionUrl: new(true)})
	r.ok(err)
	const want = `{"Version":"2012-10-17","Id":"default","Statement":[` +
		`{"Sid":"open","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"` + urlARN + `","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}},` +
		`{"Sid":"run","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + urlARN + `","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}]}`
	if got := read().Policy; got != want {
		t.Errorf("policy %s", got)
	}
	same := read()
	r.create("another") // of no concern to this one
	if read() != same {
		t.Error("read anew though nothing of the function has changed")
	}
	_, err = r.client.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", AuthType: new("AWS_IAM")})
	r.ok(err)
	_, err = r.client.RemovePermission(ctx, &api.RemovePermissionInput{FunctionName: "f", StatementId: "open"})
	r.ok(err)
	if got := read(); got.AuthType != "AWS_IAM" || strings.Contains(got.Policy, "InvokeFunctionUrl\"") {
		t.Errorf("%+v", got)
	}
	if u, err := d.URL(ctx, strings.Repeat("z", 32)); u != nil || err != nil {
		t.Errorf("%v %v", u, err)
	}
}

func TestFunctionURLRefuses(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	_, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	for name, c := range map[string]struct {
		change      func(*api.CreateFunctionUrlConfigInput)
		code, words string
	}{
		"no function":   {func(in *api.CreateFunctionUrlConfigInput) { in.FunctionName = "g" }, "ResourceNotFoundException", "Function does not exist"},
		"no alias":      {func(in *api.CreateFunctionUrlConfigInput) { in.Qualifier = new("dead") }, "ResourceNotFoundException", "Function does not exist"},
		"a version":     {func(in *api.CreateFunctionUrlConfigInput) { in.Qualifier = new("1") }, "ValidationException", "Value '1' at 'qualifier' failed to satisfy constraint"},
		"the latest":    {func(in *api.CreateFunctionUrlConfigInput) { in.Qualifier = new("$LATEST") }, "ValidationException", "Value '$LATEST' at 'qualifier'"},
		"two aliases":   {func(in *api.CreateFunctionUrlConfigInput) { in.FunctionName, in.Qualifier = "f:a", new("b") }, "InvalidParameterValueException", "derived qualifier"},
		"no such auth":  {func(in *api.CreateFunctionUrlConfigInput) { in.AuthType = "JWT" }, "ValidationException", "authType"},
		"a mode":        {func(in *api.CreateFunctionUrlConfigInput) { in.InvokeMode = new("STREAM") }, "ValidationException", "invokeMode"},
		"a long method": {func(in *api.CreateFunctionUrlConfigInput) { in.Cors = &api.Cors{AllowMethods: []string{"OPTIONS"}} }, "ValidationException", "6"},
		"a method":      {func(in *api.CreateFunctionUrlConfigInput) { in.Cors = &api.Cors{AllowMethods: []string{"TRACE"}} }, "InvalidParameterValueException", "allowMethods"},
		"methods":       {func(in *api.CreateFunctionUrlConfigInput) { in.Cors = &api.Cors{AllowMethods: make([]string, 7)} }, "ValidationException", "6"},
		"an origin":     {func(in *api.CreateFunctionUrlConfigInput) { in.Cors = &api.Cors{AllowOrigins: []string{"app.example"}} }, "InvalidParameterValueException", "allowOrigins"},
		"no origin":     {func(in *api.CreateFunctionUrlConfigInput) { in.Cors = &api.Cors{AllowOrigins: []string{""}} }, "ValidationException", "greater than or equal to 1"},
		"too long":      {func(in *api.CreateFunctionUrlConfigInput) { in.Cors = &api.Cors{MaxAge: new(int32(86401))} }, "ValidationException", "86400"},
	} {
		in := &api.CreateFunctionUrlConfigInput{FunctionName: "f", AuthType: "AWS_IAM"}
		c.change(in)
		if _, err := r.client.CreateFunctionUrlConfig(ctx, in); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			r.refused(err, c.code, c.words)
		}
	}
	_, err = r.client.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", AuthType: new("NONE")})
	r.refused(err, "ResourceNotFoundException", "The resource you requested does not exist.")
	_, err = r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f", Qualifier: new("1")})
	r.refused(err, "ValidationException", "qualifier")
	_, err = r.client.ListFunctionUrlConfigs(ctx, &api.ListFunctionUrlConfigsInput{FunctionName: "g"})
	r.refused(err, "ResourceNotFoundException", "Function does not exist")
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "s", Action: "lambda:InvokeFunction", Principal: "*", FunctionUrlAuthType: new("NONE")})
	r.refused(err, "InvalidParameterValueException", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "s", Action: "lambda:InvokeFunctionUrl", Principal: "*", InvokedViaFunctionUrl: new(true)})
	r.refused(err, "InvalidParameterValueException", "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
}

// A policy may hold a developer to signed URLs, whatever the URL was before.
func TestPoliciesLimitHowAURLIsAuthorised(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	dev := r.as(account, "dev")
	r.dir.allow(t, "dev", `{"Effect":"Allow","Action":"lambda:*","Resource":"`+urlARN+`","Condition":{"StringEqualsIfExists":{"lambda:FunctionUrlAuthType":"AWS_IAM"}}}`)
	_, err := dev.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", AuthType: "NONE"})
	r.refused(err, "AccessDeniedException", "lambda:CreateFunctionUrlConfig")
	_, err = dev.CreateFunctionUrlConfig(ctx, &api.CreateFunctionUrlConfigInput{FunctionName: "f", AuthType: "AWS_IAM"})
	r.ok(err)
	_, err = dev.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", AuthType: new("NONE")})
	r.refused(err, "AccessDeniedException", "lambda:UpdateFunctionUrlConfig")
	_, err = r.client.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", AuthType: new("NONE")})
	r.ok(err)
	_, err = dev.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"})
	r.refused(err, "AccessDeniedException", "lambda:GetFunctionUrlConfig")
	_, err = dev.UpdateFunctionUrlConfig(ctx, &api.UpdateFunctionUrlConfigInput{FunctionName: "f", AuthType: new("AWS_IAM")})
	r.ok(err)
}

// Only the door says that an invocation came through a URL; every other says that it did not.
func TestInvokedViaFunctionURL(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	r.dir.allow(t, "web", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}`)
	r.dir.allow(t, "direct", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`,
		`{"Effect":"Deny","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}`)
	for _, kind := range []string{"RequestResponse", "Event"} {
		_, err := r.as(account, "web").Invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: &kind})
		r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
		_, err = r.as(account, "direct").Invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: &kind})
		r.ok(err)
	}
	through := func(name string) api.Client {
		c := r.as(account, name).Caller.(gate.Client)
		c.Keys = map[string][]string{"lambda:InvokedViaFunctionUrl": {"true"}}
		return api.Client{Caller: c}
	}
	_, err := through("web").Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	_, err = through("direct").Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.refused(err, "AccessDeniedException", "explicit deny")
}

func TestURLResource(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	res, m := r.resource("AWS::Lambda::Url"), r.making("unused")
	props := map[string]any{"TargetFunctionArn": urlARN, "AuthType": "NONE", "InvokeMode": "BUFFERED",
		"Cors": map[string]any{"AllowOrigins": []any{"*"}, "AllowMethods": []any{"GET"}, "MaxAge": "5", "AllowCredentials": "false"}}
	made, err := res.Create(ctx, m, props)
	r.ok(err)
	address, _ := made.Attributes["FunctionUrl"].(string)
	if made.ID != urlARN || made.Attributes["FunctionArn"] != urlARN || len(urlIDOf(address)) != 32 {
		t.Errorf("%+v", made)
	}
	got, err := r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"})
	r.ok(err)
	if d := cmp.Diff(&api.Cors{AllowOrigins: []string{"*"}, AllowMethods: []string{"GET"}, MaxAge: new(int32(5)), AllowCredentials: new(false)}, got.Cors); d != "" {
		t.Error(d)
	}
	_, err = res.Create(ctx, m, props)
	r.refused(err, "ResourceConflictException", "FunctionUrlConfig exists")
	m.Again = true
	again, err := res.Create(ctx, m, props)
	if err != nil || cmp.Diff(made, again) != "" {
		t.Errorf("a retry: %+v %v", again, err)
	}
	after := map[string]any{"TargetFunctionArn": urlARN, "AuthType": "AWS_IAM"}
	updated, err := res.Update(ctx, m, made.ID, props, after)
	if err != nil || cmp.Diff(made, updated) != "" {
		t.Errorf("%+v %v", updated, err)
	}
	if got, err = r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"}); err != nil || got.AuthType != "AWS_IAM" || got.Cors != nil {
		t.Errorf("%+v %v", got, err)
	}
	for range 2 {
		r.ok(res.Delete(ctx, m, made.ID, after))
	}
	_, err = res.Create(ctx, m, map[string]any{"TargetFunctionArn": urlARN, "AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM"})
	r.ok(err)
	if got, err = r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"}); err != nil || *got.InvokeMode != "RESPONSE_STREAM" {
		t.Errorf("%+v %v", got, err)
	}
	_, err = res.Update(ctx, m, urlARN, nil, after) // which says nothing of it
	r.ok(err)
	if got, err = r.client.GetFunctionUrlConfig(ctx, &api.GetFunctionUrlConfigInput{FunctionName: "f"}); err != nil || *got.InvokeMode != "BUFFERED" {
		t.Errorf("%+v %v", got, err)
	}
}
