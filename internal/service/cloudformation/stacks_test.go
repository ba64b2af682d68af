package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/policy"
)

const pair = `
Parameters:
  Value: {Type: String, Default: one}
  Secret: {Type: String, NoEcho: true, Default: hush-hush}
Resources:
  First: {Type: Test::Door::Thing, Properties: {Value: !Ref Value}}
  Second: {Type: Test::Door::Thing, Properties: {Name: second, Value: !Sub "${First.Value} ${Secret}"}}
Outputs:
  Out: {Value: !GetAtt First.Value, Export: {Name: shared}}
`

func TestAStackIsMadeChangedAndDeleted(t *testing.T) {
	r := newRig(t)
	st := r.make("app", pair)
	if st.StackStatus != "CREATE_COMPLETE" || *st.Outputs[0].OutputValue != "one" || *st.Parameters[1].ParameterValue != "****" {
		t.Errorf("%+v", st)
	}
	if got := r.history("app"); got != "app CREATE_IN_PROGRESS\nFirst CREATE_IN_PROGRESS\nFirst CREATE_IN_PROGRESS\nFirst CREATE_COMPLETE\n"+
		"Second CREATE_IN_PROGRESS\nSecond CREATE_IN_PROGRESS\nSecond CREATE_COMPLETE\napp CREATE_COMPLETE" {
		t.Errorf("history:\n%s", got)
	}
	if got := r.things.state(); !strings.Contains(got, `"second":"one hush-hush"`) {
		t.Errorf("made: %s", got)
	}
	r.refused(r.update("app", pair), "ValidationError", "No updates are to be performed.")
	if err := r.update("app", pair, "Value=two"); err != nil {
		t.Fatal(err)
	}
	st = r.stack("app")
	if st.StackStatus != "UPDATE_COMPLETE" || *st.Outputs[0].OutputValue != "two" || !strings.Contains(r.things.state(), `"second":"two hush-hush"`) {
		t.Errorf("%+v %s", st, r.things.state())
	}
	_, err := r.client().UpdateStack(t.Context(), &api.UpdateStackInput{StackName: "app", UsePreviousTemplate: new(true),
		Parameters: []api.Parameter{{ParameterKey: new("Value"), UsePreviousValue: new(true)}}})
	r.refused(err, "ValidationError", "No updates are to be performed.")
	r.delete("app")
	if got := r.things.state(); got != "{}" {
		t.Errorf("left over: %s", got)
	}
	_, err = r.client().DescribeStacks(t.Context(), &api.DescribeStacksInput{StackName: new("app")})
	r.refused(err, "ValidationError", "Stack with id app does not exist")
	if gone := r.stack(*st.StackId); gone.StackStatus != "DELETE_COMPLETE" {
		t.Errorf("by its id: %+v", gone)
	}
	if again := r.make("app", pair); again.StackStatus != "CREATE_COMPLETE" || *again.StackId == *st.StackId {
		t.Errorf("the name again: %+v", again)
	}
}

// The value of a NoEcho parameter stands neither in answers, nor in records, nor readable in rows.
func TestASecretParameterIsShownNowhere(t *testing.T) {
	r := newRig(t)
	const secret = "correct-horse-battery"
	body := strings.Replace(pair, `Name: second, Value: !Sub "${First.Value} ${Secret}"`, `Name: second, Value: !Ref Secret, Fail: !Ref Secret`, 1)
	st := r.make("app", body, "Secret="+secret)
	if st.StackStatus != "ROLLBACK_COMPLETE" {
		t.Fatalf("%s %s", st.StackStatus, r.reasons(st.StackName))
	}
	c := r.client()
	events, err := c.DescribeStackEvents(t.Context(), &api.DescribeStackEventsInput{StackName: "app"})
	if err != nil {
		t.Fatal(err)
	}
	resources, err := c.DescribeStackResources(t.Context(), &api.DescribeStackResourcesInput{StackName: new("app")})
	if err != nil {
		t.Fatal(err)
	}
	set, err := c.CreateChangeSet(t.Context(), &api.CreateChangeSetInput{StackName: "new", ChangeSetName: "first", ChangeSetType: new("CREATE"), TemplateBody: &body, Parameters: parameters([]string{"Secret=" + secret})})
	if err != nil {
		t.Fatal(err)
	}
	described, err := c.DescribeChangeSet(t.Context(), &api.DescribeChangeSetInput{ChangeSetName: *set.Id, IncludePropertyValues: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	seen := []any{st, events, resources, described}
	r.trail.mu.Lock()
	for _, rec := range r.trail.records {
		seen = append(seen, rec.In, rec.Out, fmt.Sprint(rec.Err))
	}
	r.trail.mu.Unlock()
	for _, v := range seen {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("%T shows it: %s", v, b)
		}
	}
	if !strings.Contains(r.reasons("app"), "the value **** is refused") {
		t.Errorf("reasons: %s", r.reasons("app"))
	}
}

func TestADeploymentActsAsItsCaller(t *testing.T) {
	r := newRig(t)
	r.dir.allow(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudformation:*","Resource":"*"},{"Effect":"Deny","Action":"cloudformation:ListExports","Resource":"*"}]}`)
	st := r.make("app", pair)
	if st.StackStatus != "ROLLBACK_COMPLETE" || !strings.Contains(r.reasons("app"), "is not authorized to perform: cloudformation:ListExports") {
		t.Errorf("%s: %s", st.StackStatus, r.reasons("app"))
	}
	// In a role, what that may do counts; the caller must be allowed to pass it.
	const role = "arn:aws:iam::123456789012:role/trusting"
	_, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "inrole", TemplateBody: new(pair), RoleARN: new(role)})
	r.refused(err, "AccessDenied", "iam:PassRole")
	r.dir.allow(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudformation:*","iam:PassRole"],"Resource":"*"},{"Effect":"Deny","Action":"cloudformation:ListExports","Resource":"*"}]}`)
	r.dir.roles = map[string]*policy.Policy{role: compiled(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudformation:ListExports","Resource":"*"}]}`)}
	if _, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "inrole", TemplateBody: new(pair), RoleARN: new(role)}); err != nil {
		t.Fatal(err)
	}
	r.work(t.Context())
	if st := r.stack("inrole"); st.StackStatus != "CREATE_COMPLETE" || *st.RoleARN != role {
		t.Errorf("%+v %s", st, r.reasons("inrole"))
	}
	if len(r.roles.asked) != 1 {
		t.Errorf("assumed %v", r.roles.asked)
	}
	if _, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "untrusted", TemplateBody: new(pair), RoleARN: new("arn:aws:iam::123456789012:role/other")}); err != nil {
		t.Fatal(err)
	}
	r.work(t.Context())
	if st := r.stack("untrusted"); st.StackStatus != "ROLLBACK_COMPLETE" {
		t.Errorf("a role that does not trust CloudFormation: %s", st.StackStatus)
	}
}

func (r *rig) reasons(name string) string {
	r.Helper()
	out, err := r.client().DescribeStackEvents(r.Context(), &api.DescribeStackEventsInput{StackName: name})
	if err != nil {
		r.Fatal(err)
	}
	var b strings.Builder
	for _, e := range out.StackEvents {
		if e.ResourceStatusReason != nil {
			b.WriteString(*e.ResourceStatusReason + "\n")
		}
	}
	return b.String()
}

// A server that stops in the middle of an operation goes on with it at the next start, as the
// caller, whose session must not have ended.
func TestAnOperationGoesOnAfterARestart(t *testing.T) {
	for _, ended := range []bool{false, true} {
		r := newRig(t)
		ctx, stop := context.WithCancel(t.Context())
		r.things.before = func(verb, id string) error {
			if id == "Second" {
				stop() // in the middle of the call
				return ctx.Err()
			}
			return nil
		}
		if _, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "app", TemplateBody: new(pair)}); err != nil {
			t.Fatal(err)
		}
		r.work(ctx)
		if st := r.stack("app"); st.StackStatus != "CREATE_IN_PROGRESS" {
			t.Fatalf("%s after the stop", st.StackStatus)
		}
		r.things.before = nil
		if ended {
			r.clock.Advance(2 * time.Hour)
		}
		r.restart()
		r.work(t.Context())
		r.who = r.session(time.Hour)
		st := r.stack("app")
		if ended {
			if st.StackStatus != "ROLLBACK_FAILED" || !strings.Contains(r.reasons("app"), "ExpiredToken") {
				t.Errorf("%s with an ended session: %s", st.StackStatus, r.reasons("app"))
			}
			r.delete("app")
			if got := r.things.state(); got != "{}" {
				t.Errorf("left over: %s", got)
			}
			continue
		}
		if st.StackStatus != "CREATE_COMPLETE" || len(r.things.made) != 2 {
			t.Errorf("%s, made %s", st.StackStatus, r.things.state())
		}
		if n := strings.Count(r.history("app"), "First CREATE_COMPLETE"); n != 1 {
			t.Errorf("First was made %d times", n)
		}
	}
}

func TestAnUpdateThatFailsIsRolledBack(t *testing.T) {
	r := newRig(t)
	r.make("app", pair)
	bad := strings.Replace(pair, "Outputs:", "  Third: {Type: Test::Door::Thing, DependsOn: Second, Properties: {Fail: yes}}\nOutputs:", 1)
	if err := r.update("app", bad, "Value=two"); err != nil {
		t.Fatal(err)
	}
	st := r.stack("app")
	if st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" || *st.Outputs[0].OutputValue != "one" || !strings.Contains(r.things.state(), `"second":"one hush-hush"`) || len(r.things.made) != 2 {
		t.Errorf("%s %s", st.StackStatus, r.things.state())
	}
	if !strings.Contains(r.reasons("app"), "The following resource(s) failed to create: [Third]. ") {
		t.Errorf("reasons: %s", r.reasons("app"))
	}
	_, err := r.client().UpdateStack(t.Context(), &api.UpdateStackInput{StackName: "app", TemplateBody: &bad, DisableRollback: new(true), Parameters: parameters([]string{"Value=two"})})
	if err != nil {
		t.Fatal(err)
	}
	r.work(t.Context())
	if st := r.stack("app"); st.StackStatus != "UPDATE_FAILED" {
		t.Errorf("%s", st.StackStatus)
	}
	if err := r.update("app", pair, "Value=three"); err != nil {
		t.Fatal(err)
	}
	if st := r.stack("app"); st.StackStatus != "UPDATE_COMPLETE" || !strings.Contains(r.things.state(), `"second":"three hush-hush"`) || len(r.things.made) != 2 {
		t.Errorf("%s %s", st.StackStatus, r.things.state())
	}
}

func TestACreationThatFails(t *testing.T) {
	bad := strings.Replace(pair, "Name: second,", "Name: second, Fail: yes,", 1)
	for _, c := range []struct {
		in     api.CreateStackInput
		status string
		left   int
	}{
		{api.CreateStackInput{}, "ROLLBACK_COMPLETE", 0},
		{api.CreateStackInput{OnFailure: new("DO_NOTHING")}, "CREATE_FAILED", 1},
		{api.CreateStackInput{DisableRollback: new(true)}, "CREATE_FAILED", 1},
		{api.CreateStackInput{OnFailure: new("DELETE")}, "DELETE_COMPLETE", 0},
	} {
		r := newRig(t)
		c.in.StackName, c.in.TemplateBody = "app", &bad
		out, err := r.client().CreateStack(t.Context(), &c.in)
		if err != nil {
			t.Fatal(err)
		}
		r.work(t.Context())
		if st := r.stack(*out.StackId); st.StackStatus != c.status || len(r.things.made) != c.left {
			t.Errorf("%s, wanted %s; left %s", st.StackStatus, c.status, r.things.state())
		}
		if c.left == 0 && c.status == "ROLLBACK_COMPLETE" {
			r.refused(r.update("app", pair), "ValidationError", "is in ROLLBACK_COMPLETE state and can not be updated.")
		}
	}
}

// A creation may be broken off by a deletion; what was made goes with it.
func TestADeletionBreaksACreationOff(t *testing.T) {
	r := newRig(t)
	r.things.before = func(verb, id string) error {
		if verb == "create" && id == "First" {
			if _, err := r.client().DeleteStack(t.Context(), &api.DeleteStackInput{StackName: "app"}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	out, err := r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "app", TemplateBody: new(pair)})
	if err != nil {
		t.Fatal(err)
	}
	r.work(t.Context())
	if st := r.stack(*out.StackId); st.StackStatus != "DELETE_COMPLETE" || r.things.state() != "{}" {
		t.Errorf("%s %s", st.StackStatus, r.things.state())
	}
	if strings.Contains(r.history(*out.StackId), "Second") {
		t.Error("it went on")
	}
}

func TestExportsHoldAsLongAsTheyAreUsed(t *testing.T) {
	r := newRig(t)
	r.make("giver", pair)
	const taker = `{"Resources": {"T": {"Type": "Test::Door::Thing", "Properties": {"Value": {"Fn::ImportValue": "shared"}}}}}`
	if st := r.make("taker", taker); st.StackStatus != "CREATE_COMPLETE" || !strings.Contains(r.things.state(), `:"one"`) {
		t.Fatalf("%s %s", st.StackStatus, r.reasons(st.StackName))
	}
	list, err := r.client().ListImports(t.Context(), &api.ListImportsInput{ExportName: "shared"})
	if err != nil || fmt.Sprint(list.Imports) != "[taker]" {
		t.Errorf("%+v %v", list, err)
	}
	exports, err := r.client().ListExports(t.Context(), &api.ListExportsInput{})
	if err != nil || len(exports.Exports) != 1 || *exports.Exports[0].Value != "one" {
		t.Errorf("%+v %v", exports, err)
	}
	if err := r.update("giver", pair, "Value=two"); err != nil {
		t.Fatal(err)
	}
	if st := r.stack("giver"); st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(r.reasons("giver"), "Export shared cannot be updated as it is in use by taker") {
		t.Errorf("%s: %s", st.StackStatus, r.reasons("giver"))
	}
	r.delete("giver")
	if st := r.stack("giver"); st.StackStatus != "UPDATE_ROLLBACK_COMPLETE" || *st.StackStatusReason != "Delete canceled. Cannot delete export shared as it is in use by taker." {
		t.Errorf("%+v", st)
	}
	if h := r.history("giver"); !strings.HasSuffix(h, "giver DELETE_IN_PROGRESS\ngiver UPDATE_ROLLBACK_COMPLETE") {
		t.Errorf("%s", h)
	}
	if st := r.make("other", pair); st.StackStatus != "ROLLBACK_COMPLETE" || !strings.Contains(r.reasons("other"), "Export with name shared is already exported by stack giver") {
		t.Errorf("%s: %s", st.StackStatus, r.reasons("other"))
	}
	r.delete("taker")
	r.delete("giver")
	if st := r.make("taker2", pair); st.StackStatus != "CREATE_COMPLETE" {
		t.Errorf("the name is not free: %s", r.reasons("taker2"))
	}
	_, err = r.client().CreateStack(t.Context(), &api.CreateStackInput{StackName: "x", TemplateBody: new(strings.Replace(taker, "shared", "missing", 1))})
	r.refused(err, "ValidationError", "No export named missing found.")
}
