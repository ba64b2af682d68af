package lambda

import (
	"strings"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

func TestResourcePolicies(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	fn := *r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) }).FunctionName
	gatewayARN := "arn:aws:execute-api:eu-west-1:123456789012:api1/*"
	fromAPI := r.asService("apigateway.amazonaws.com", "arn:aws:execute-api:eu-west-1:123456789012:api1/live/GET/tasks")
	_, err := fromAPI.Invoke(ctx, &api.InvokeInput{FunctionName: fn})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")

	added, err := r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: fn, StatementId: "api", Action: "lambda:InvokeFunction",
		Principal: "apigateway.amazonaws.com", SourceArn: &gatewayARN, SourceAccount: new(account)})
	r.ok(err)
	want := `{"Sid":"api","Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:eu-west-1:123456789012:function:f","Condition":{"ArnLike":{"AWS:SourceArn":"` + gatewayARN + `"},"StringEquals":{"AWS:SourceAccount":"123456789012"}}}`
	if *added.Statement != want {
		t.Errorf("got  %s\nwant %s", *added.Statement, want)
	}
	_, err = fromAPI.Invoke(ctx, &api.InvokeInput{FunctionName: fn})
	r.ok(err)
	_, err = fromAPI.Invoke(ctx, &api.InvokeInput{FunctionName: fn, InvocationType: new("Event")})
	r.ok(err)
	_, err = r.asService("apigateway.amazonaws.com", "arn:aws:execute-api:eu-west-1:123456789012:api2/live/GET/").Invoke(ctx, &api.InvokeInput{FunctionName: fn})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	_, err = r.asService("events.amazonaws.com", gatewayARN).Invoke(ctx, &api.InvokeInput{FunctionName: fn})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	// The policy of the function says nothing of its versions, each of which has its own.
	_, err = fromAPI.Invoke(ctx, &api.InvokeInput{FunctionName: fn, Qualifier: new("1")})
	r.refused(err, "AccessDeniedException", "function:f:1")
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: fn, Qualifier: new("1"), StatementId: "api", Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com"})
	r.ok(err)
	_, err = fromAPI.Invoke(ctx, &api.InvokeInput{FunctionName: fn, Qualifier: new("1")})
	r.ok(err)

	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: fn, StatementId: "api", Action: "lambda:InvokeFunction", Principal: "*"})
	r.refused(err, "ResourceConflictException", "already exists")
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: fn, StatementId: "bad", Action: "lambda:InvokeFunction", Principal: "nobody"})
	r.refused(err, "InvalidParameterValueException", "principal was invalid")
	got, err := r.client.GetPolicy(ctx, &api.GetPolicyInput{FunctionName: fn})
	r.ok(err)
	if *got.Policy != `{"Version":"2012-10-17","Id":"default","Statement":[`+want+`]}` {
		t.Errorf("%s", *got.Policy)
	}
	_, err = r.client.RemovePermission(ctx, &api.RemovePermissionInput{FunctionName: fn, StatementId: "api", RevisionId: new("old")})
	r.refused(err, "PreconditionFailedException", "GetPolicy")
	_, err = r.client.RemovePermission(ctx, &api.RemovePermissionInput{FunctionName: fn, StatementId: "api", RevisionId: got.RevisionId})
	r.ok(err)
	_, err = fromAPI.Invoke(ctx, &api.InvokeInput{FunctionName: fn})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	_, err = r.client.GetPolicy(ctx, &api.GetPolicyInput{FunctionName: fn})
	r.refused(err, "ResourceNotFoundException", "does not exist")
}

func TestAnotherAccountNeedsBothSides(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	f := r.create("f")
	stranger := r.as(other, "guest")
	_, err := stranger.Invoke(ctx, &api.InvokeInput{FunctionName: *f.FunctionArn})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	_, err = r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "x", Action: "lambda:InvokeFunction", Principal: other})
	r.ok(err)
	_, err = stranger.Invoke(ctx, &api.InvokeInput{FunctionName: *f.FunctionArn})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	r.dir.allow(t, "guest", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+*f.FunctionArn+`"}`)
	_, err = stranger.Invoke(ctx, &api.InvokeInput{FunctionName: *f.FunctionArn})
	r.ok(err)
	_, err = stranger.GetFunction(ctx, &api.GetFunctionInput{FunctionName: *f.FunctionArn})
	r.refused(err, "AccessDeniedException", "lambda:GetFunction")
}

func TestNeeds(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	arn := "arn:aws:lambda:eu-west-1:123456789012:function:f"
	dev := r.as(account, "dev")
	in := &api.CreateFunctionInput{FunctionName: "f", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"), Tags: map[string]string{"team": "one"},
		Code: &api.FunctionCode{ZipFile: zipOf(t, "index.py", "v1")}}
	allowed := []string{}
	for _, step := range []struct{ action, statement string }{
		{"lambda:CreateFunction", `{"Effect":"Allow","Action":"lambda:CreateFunction","Resource":"` + arn + `","Condition":{"StringEquals":{"aws:RequestTag/team":"one"}}}`},
		{"lambda:TagResource", `{"Effect":"Allow","Action":"lambda:TagResource","Resource":"*"}`},
		{"iam:PassRole", `{"Effect":"Allow","Action":"iam:PassRole","Resource":"` + role + `","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}`},
	} {
		_, err := dev.CreateFunction(ctx, in)
		r.refused(err, "AccessDeniedException", step.action)
		allowed = append(allowed, step.statement)
		r.dir.allow(t, "dev", allowed...)
	}
	_, err := dev.CreateFunction(ctx, in)
	r.ok(err)
	_, err = dev.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	r.dir.allow(t, "dev", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+arn+`","Condition":{"StringEquals":{"aws:ResourceTag/team":"one"}}}`)
	_, err = dev.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	_, err = dev.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Qualifier: new("$LATEST")})
	r.refused(err, "AccessDeniedException", arn+":$LATEST")
	_, err = r.client.TagResource(ctx, &api.TagResourceInput{Resource: arn, Tags: map[string]string{"team": "two"}})
	r.ok(err)
	_, err = dev.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
	r.dir.allow(t, "dev", `{"Effect":"Allow","Action":"lambda:AddPermission","Resource":"*","Condition":{"StringEquals":{"lambda:Principal":"apigateway.amazonaws.com"}}}`)
	_, err = dev.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "x", Action: "lambda:InvokeFunction", Principal: "*"})
	r.refused(err, "AccessDeniedException", "lambda:AddPermission")
	_, err = dev.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: "x", Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com"})
	r.ok(err)
}

func TestInvokeRefuses(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	_, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Payload: []byte("{")})
	r.refused(err, "InvalidRequestContentException", "Could not parse request body into json")
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", Payload: []byte(`"` + strings.Repeat("x", maxPayload) + `"`)})
	r.refused(err, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: new("Event"), Payload: []byte(`"` + strings.Repeat("x", maxQueued) + `"`)})
	r.refused(err, "RequestEntityTooLargeException", "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)")
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", ClientContext: new("e30")})
	r.refused(err, "InvalidRequestContentException", "Client context")
	dry, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: new("DryRun")})
	r.ok(err)
	if *dry.StatusCode != 204 || len(r.runner.events) != 0 {
		t.Errorf("%+v after %d runs", dry, len(r.runner.events))
	}
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return fleet.Outcome{}, &runtimes.MissingError{Runtime: "python3.12", Hint: "bastide runtimes install python3.12"}
	})
	_, err = r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.refused(err, "InvalidRuntimeException", "python3.12")
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return fleet.Outcome{Payload: []byte(`{"errorType":"TypeError"}`), FunctionError: "Unhandled"}, nil
	})
	out, err := r.client.Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	if *out.FunctionError != "Unhandled" || *out.StatusCode != 200 {
		t.Errorf("%+v", out)
	}
}

func TestThePackageIsUnpackedAgainFromItsArchive(t *testing.T) {
	r := newRig(t)
	r.create("f")
	// Another machine, or the same after a restart: rows and blobs are there, the folder is empty.
	next := rigOn(t, r.db, r.clock)
	_, err := next.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "f"})
	r.ok(err)
	if dir := next.runner.ran[0].Code; !strings.HasPrefix(dir, "/") {
		t.Errorf("code in %q", dir)
	}
}

func TestLogsAreWrittenWithTheRolesPermissions(t *testing.T) {
	r := newRig(t)
	st := fleet.Stream{Account: account, Region: region, Group: "/aws/lambda/f", Name: "2030/01/02/[$LATEST]00", Role: role, FunctionARN: "arn:f"}
	r.service.Append(st, []fleet.LogEvent{{At: r.clock.Now(), Message: "START\n"}, {At: r.clock.Now(), Message: "hello\n"}})
	r.service.journal.drain()
	if got := r.book.lines("/aws/lambda/f"); strings.Join(got, "") != "START\nhello\n" {
		t.Errorf("%q", got)
	}
	r.book.mu.Lock()
	clear(r.book.groups)
	clear(r.book.streams)
	r.book.mu.Unlock()
	r.service.Append(st, []fleet.LogEvent{{At: r.clock.Now(), Message: "again\n"}})
	r.service.journal.drain()
	if got := r.book.lines("/aws/lambda/f"); strings.Join(got, "") != "again\n" {
		t.Errorf("after the group was deleted: %q", got)
	}
	st.Role, st.Group = "arn:aws:iam::123456789012:role/silent", "/aws/lambda/quiet"
	r.service.Append(st, []fleet.LogEvent{{At: r.clock.Now(), Message: "hello\n"}})
	r.service.journal.drain()
	if got := r.book.lines("/aws/lambda/quiet"); len(got) != 0 {
		t.Errorf("written without permission: %q", got)
	}
	if len(r.roles.taken) != 2 {
		t.Errorf("roles were taken %d times", len(r.roles.taken))
	}
}

func TestTheJournalIsBounded(t *testing.T) {
	r := newRig(t)
	st := fleet.Stream{Account: account, Region: region, Group: "/aws/lambda/f", Name: "s", Role: role}
	long := strings.Repeat("x", 256<<10)
	events := make([]fleet.LogEvent, 80)
	for i := range events {
		events[i] = fleet.LogEvent{At: r.clock.Now(), Message: long}
	}
	events = append(events, fleet.LogEvent{At: r.clock.Now(), Message: "REPORT\n", Platform: true})
	r.service.Append(st, events)
	r.service.journal.drain()
	got := r.book.lines("/aws/lambda/f")
	if len(got) != 65 || got[63] != "REPORT\n" || !strings.HasPrefix(got[64], "LOGS_DROPPED Records: 17\tBytes: 4456448\t") {
		t.Errorf("%d events, the last %.80q", len(got), got[len(got)-1])
	}
}

func TestSessionsAreShared(t *testing.T) {
	r := newRig(t)
	f := fleet.Function{ARN: "arn", Name: "fn", Account: account, Region: region, Role: role}
	for range 3 {
		if _, err := r.service.Session(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	r.clock.Advance(16 * time.Minute) // less than fullLife is left
	if _, err := r.service.Session(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if len(r.roles.taken) != 2 || r.roles.taken[0] != (Assumption{account, region, role, "arn", "fn"}) {
		t.Errorf("%+v", r.roles.taken)
	}
	f.Name = "f" // a function's name may have one character, a session's may not
	if _, err := r.service.Session(t.Context(), f); err != nil || r.roles.taken[2].SessionName != "f-" {
		t.Errorf("%+v %v", r.roles.taken, err)
	}
	f.Role = "arn:aws:iam::123456789012:role/untrusting"
	if _, err := r.service.Session(t.Context(), f); err == nil {
		t.Error("a role that does not trust Lambda was given")
	}
}
