package lambda

import (
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
)

// TestPermissionsBindToWhoIsThere: a permission means the role that had the name when it was added,
// shows it by ARN while it is there and by unique id afterwards; who is not there cannot be named.
func TestPermissionsBindToWhoIsThere(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	const id = "AROACALLERCALLER01"
	caller := "arn:aws:iam::" + account + ":role/caller"
	add := func(sid, principal string) (*api.AddPermissionOutput, error) {
		return r.client.AddPermission(ctx, &api.AddPermissionInput{FunctionName: "f", StatementId: sid, Action: "lambda:InvokeFunction", Principal: principal})
	}
	_, err := add("a", caller)
	r.refused(err, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again.")
	_, err = r.client.GetPolicy(ctx, &api.GetPolicyInput{FunctionName: "f"})
	r.refused(err, "ResourceNotFoundException", "")
	there := func(unique string) {
		r.dir.mu.Lock()
		defer r.dir.mu.Unlock()
		r.dir.ids = map[string]string{caller: unique}
	}
	there(id)
	added, err := add("a", caller)
	r.ok(err)
	_, err = add("b", "arn:aws:iam::210987654321:role/theirs")
	r.ok(err)
	policy := func() string {
		t.Helper()
		out, err := r.client.GetPolicy(ctx, &api.GetPolicyInput{FunctionName: "f"})
		r.ok(err)
		return *out.Policy
	}
	if got := policy(); !strings.Contains(*added.Statement, `{"AWS":"`+caller+`"}`) || !strings.Contains(got, *added.Statement) || !strings.Contains(got, ":role/theirs") {
		t.Errorf("added %s, shown as %s", *added.Statement, got)
	}
	there("AROACALLERCALLER02")
	if got := policy(); !strings.Contains(got, `{"AWS":"`+id+`"}`) || strings.Contains(got, caller) {
		t.Errorf("with the role made anew shown as %s", got)
	}
	_, err = r.client.RemovePermission(ctx, &api.RemovePermissionInput{FunctionName: "f", StatementId: "a"})
	r.ok(err)
}
