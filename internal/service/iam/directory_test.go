package iam

import (
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
)

// TestPoliciesAreEffectiveAtOnce: each change of who may do what holds from the next call on.
func TestPoliciesAreEffectiveAtOnce(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ann, app := r.user("ann", ""), r.role("app", "")
	want := func(step string, who identity.Principal, want bool) {
		t.Helper()
		if got := r.may(who); got != want {
			t.Errorf("%s: may %v, want %v", step, got, want)
		}
	}
	want("nothing is given", ann, false)
	want("nothing is given", app, false)

	_, err := r.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: "ann", PolicyName: "p", PolicyDocument: allow("iam:ListUsers", "*")})
	check(t, err)
	want("an inline policy", ann, true)
	want("another's inline policy", app, false)
	_, err = r.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: "ann", PolicyName: "p", PolicyDocument: allow("iam:GetUser", "*")})
	check(t, err)
	want("the inline policy replaced", ann, false)

	own := *must[iam.CreatePolicyOutput](r)(r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "own", PolicyDocument: allow("iam:ListUsers", "*")})).Policy.Arn
	_, err = r.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: "app", PolicyArn: own})
	check(t, err)
	want("a managed policy", app, true)
	_, err = r.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: own, PolicyDocument: allow("s3:*", "*"), SetAsDefault: new(true)})
	check(t, err)
	want("a new default version", app, false)
	_, err = r.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: own, VersionId: "v1"})
	check(t, err)
	want("the old version again", app, true)

	bound := *must[iam.CreatePolicyOutput](r)(r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "bound", PolicyDocument: allow("s3:*", "*")})).Policy.Arn
	_, err = r.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: "app", PermissionsBoundary: bound})
	check(t, err)
	want("a boundary that does not reach so far", app, false)
	_, err = r.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: "app"})
	check(t, err)
	want("no boundary", app, true)
	_, err = r.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: "app"})
	r.fails(err, "NoSuchEntity")
	_, err = r.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: "app", PolicyArn: own})
	check(t, err)
	want("the policy detached", app, false)

	_, err = r.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: "ann", PolicyArn: admin})
	check(t, err)
	want("AWS's policy", ann, true)
	_, err = r.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: "ann", PolicyName: "deny",
		PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:List*","Resource":"*"}]}`})
	check(t, err)
	want("an explicit deny", ann, false)
	_, err = r.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: "ann", PermissionsBoundary: admin})
	check(t, err)
	_, err = r.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: "ann"})
	check(t, err)
	_, err = r.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: "ann", PolicyName: "deny"})
	check(t, err)
	want("the deny gone", ann, true)
}

// TestMadeAnew: a user or role that was deleted, and one made anew under its name, has nothing of the
// other's rights; their sessions may bear the same ARN.
func TestMadeAnew(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	old := r.role("app", allow("iam:*", "*"))
	if !r.may(old) {
		t.Fatal("the role may not list users")
	}
	drop := func() {
		_, err := r.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: "app", PolicyName: "own"})
		check(t, err)
		_, err = r.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: "app"})
		check(t, err)
	}
	drop()
	if r.may(old) {
		t.Error("a session of a deleted role may")
	}
	anew := r.role("app", allow("iam:*", "*"))
	if anew.ARN() != old.ARN() {
		t.Fatalf("the sessions differ: %s and %s", anew.ARN(), old.ARN())
	}
	for range 2 { // in either order, with and without a copy in the directory
		if r.may(old) {
			t.Error("a session of the old role has the new role's rights")
		}
		if !r.may(anew) {
			t.Error("the new role has no rights")
		}
	}

	ann := r.user("ann", allow("iam:*", "*"))
	_, err := r.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: "ann", PolicyName: "own"})
	check(t, err)
	_, err = r.DeleteUser(ctx, &iam.DeleteUserInput{UserName: "ann"})
	check(t, err)
	again := r.user("ann", allow("iam:*", "*"))
	if !r.may(again) || r.may(ann) {
		t.Error("a session of the old user has the new user's rights, or the new one none")
	}
}

// TestSessionPoliciesNarrow: a session has what both the role and its own policies allow.
func TestSessionPoliciesNarrow(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	wide := r.role("app", allow("iam:*", "*"))
	role := must[iam.GetRoleOutput](r)(r.GetRole(ctx, &iam.GetRoleInput{RoleName: "app"})).Role
	own := *must[iam.CreatePolicyOutput](r)(r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "own", PolicyDocument: allow("iam:ListUsers", "*")})).Policy.Arn
	session := func(policies, arns []string) identity.Principal {
		return r.session(identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: role.Arn, RoleID: role.RoleId, Name: "session",
			Policies: policies, PolicyARNs: arns})
	}
	for _, c := range []struct {
		name string
		who  identity.Principal
		want bool
	}{
		{"none", wide, true},
		{"one that allows", session([]string{allow("iam:List*", "*")}, nil), true},
		{"one that does not", session([]string{allow("s3:*", "*")}, nil), false},
		{"a managed one that allows", session(nil, []string{own}), true},
		{"AWS's", session(nil, []string{admin}), true},
		{"a managed one that is gone", session(nil, []string{"arn:aws:iam::123456789012:policy/gone"}), false},
		{"another account's", session(nil, []string{"arn:aws:iam::210987654321:policy/own"}), false},
		{"none again", wide, true},
	} {
		if got := r.may(c.who); got != c.want {
			t.Errorf("%s: may %v, want %v", c.name, got, c.want)
		}
	}
	_, err := r.dir.Grant(session([]string{`{`}, nil))
	if err == nil {
		t.Error("a broken session policy was granted")
	}
}

// TestKindsOfPrincipals in the policy language's terms; who is not in IAM has no identity policy.
func TestKindsOfPrincipals(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		who  identity.Principal
		want string
	}{
		{r.user("ann", ""), policy.User},
		{r.role("app", ""), policy.AssumedRole},
		{r.root(account), policy.Root},
		{identity.Service("lambda.amazonaws.com", account), policy.Service},
		{identity.Anonymous(), policy.Anonymous},
		{identity.Authorized(identity.Caller{Account: account, Authorizer: "a", PrincipalID: "p"}), policy.Anonymous},
	} {
		g, err := r.dir.Grant(c.who)
		if err != nil || g.Principal.Type != c.want || len(g.Set.Identity) != 0 {
			t.Errorf("%s: %q with %d policies (%v), want %q with none", c.who, g.Principal.Type, len(g.Set.Identity), err, c.want)
		}
	}
	_, err := r.as(identity.Anonymous()).ListUsers(t.Context(), &iam.ListUsersInput{})
	r.kind(err, awserr.AccessDenied)
}

// TestBoundaryMustExist: a boundary that names no policy is refused when it is put.
func TestBoundaryMustExist(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.user("ann", "")
	none := "arn:aws:iam::123456789012:policy/none"
	_, err := r.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: "ann", PermissionsBoundary: none})
	r.fails(err, "NoSuchEntity")
	_, err = r.CreateUser(ctx, &iam.CreateUserInput{UserName: "bob", PermissionsBoundary: &none})
	r.fails(err, "NoSuchEntity")
	_, err = r.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "app", AssumeRolePolicyDocument: anyRole, PermissionsBoundary: &none})
	r.fails(err, "NoSuchEntity")
	made, err := r.CreateUser(ctx, &iam.CreateUserInput{UserName: "bob", PermissionsBoundary: new(admin)})
	check(t, err)
	if *made.User.PermissionsBoundary.PermissionsBoundaryArn != admin {
		t.Errorf("user %+v", made.User)
	}
}

// TestBoundaryKeyDecides: an administrator of limited reach may make only users that are bounded,
// and may not unbound them.
func TestBoundaryKeyDecides(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	bound := *must[iam.CreatePolicyOutput](r)(r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "bound", PolicyDocument: allow("s3:*", "*")})).Policy.Arn
	lead := r.as(r.user("lead", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateUser","iam:PutUserPolicy","iam:AttachUserPolicy","iam:CreateRole"],"Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+bound+`"}}}]}`))
	_, err := lead.CreateUser(ctx, &iam.CreateUserInput{UserName: "free"})
	r.kind(err, awserr.AccessDenied)
	_, err = lead.CreateUser(ctx, &iam.CreateUserInput{UserName: "kept", PermissionsBoundary: &bound})
	check(t, err)
	_, err = lead.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "free", AssumeRolePolicyDocument: anyRole})
	r.kind(err, awserr.AccessDenied)
	_, err = lead.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "kept", AssumeRolePolicyDocument: anyRole, PermissionsBoundary: &bound})
	check(t, err)
	_, err = lead.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: "kept", PolicyName: "p", PolicyDocument: allow("*", "*")})
	check(t, err)
	_, err = lead.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: "lead", PolicyArn: admin})
	r.kind(err, awserr.AccessDenied)
	_, err = lead.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: "kept"})
	r.kind(err, awserr.AccessDenied)
}

// TestEveryAWSPolicyBinds: attached, each of AWS's policies is one that the door can read.
func TestEveryAWSPolicyBinds(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann", "")
	for _, p := range r.dir.s.awsSorted() {
		_, err := r.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: "ann", PolicyArn: p.arn()})
		check(t, err)
		if g, err := r.dir.Grant(ann); err != nil || len(g.Set.Identity) != 1 {
			t.Errorf("%s: %d policies, %v", p.Name, len(g.Set.Identity), err)
		}
		_, err = r.DetachUserPolicy(t.Context(), &iam.DetachUserPolicyInput{UserName: "ann", PolicyArn: p.arn()})
		check(t, err)
	}
}
