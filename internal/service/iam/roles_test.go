package iam

import (
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

func TestRoleLife(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	made, err := r.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "App", Path: new("/svc/"), AssumeRolePolicyDocument: trust, Description: new("runs"), Tags: []iam.Tag{{Key: "a", Value: "b"}}})
	check(t, err)
	role := made.Role
	if role.Arn != "arn:aws:iam::123456789012:role/svc/App" || !strings.HasPrefix(role.RoleId, "AROA") || *role.MaxSessionDuration != 3600 {
		t.Errorf("role %+v", role)
	}
	if doc, err := url.PathUnescape(*role.AssumeRolePolicyDocument); err != nil || doc != trust || strings.ContainsAny(*role.AssumeRolePolicyDocument, ` +"{`) {
		t.Errorf("the trust policy travels as %s", *role.AssumeRolePolicyDocument)
	}
	_, err = r.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "APP", AssumeRolePolicyDocument: trust})
	r.fails(err, "EntityAlreadyExists")
	_, err = r.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: "App", MaxSessionDuration: new(int32(7200))})
	check(t, err)
	_, err = r.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: "App", Description: "walks"})
	check(t, err)
	_, err = r.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: "App", PolicyDocument: anyRole})
	check(t, err)
	got := must[iam.GetRoleOutput](r)(r.GetRole(ctx, &iam.GetRoleInput{RoleName: "app"})).Role
	if *got.MaxSessionDuration != 7200 || *got.Description != "walks" || !strings.Contains(*got.AssumeRolePolicyDocument, "123456789012") || len(got.Tags) != 1 {
		t.Errorf("role %+v", got)
	}
	info, ok, err := r.dir.Role(ctx, role.Arn)
	if err != nil || !ok || info.Trust != anyRole || info.ID != role.RoleId || info.MaxSession != 7200 {
		t.Errorf("to STS the role is %+v %v %v", info, ok, err)
	}
	for _, wrong := range []string{"arn:aws:iam::123456789012:role/App", "arn:aws:iam::210987654321:role/svc/App", "no ARN"} {
		if _, ok, err := r.dir.Role(ctx, wrong); ok || err != nil {
			t.Errorf("%s names a role: %v %v", wrong, ok, err)
		}
	}
	profiles := must[iam.ListInstanceProfilesForRoleOutput](r)(r.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: "App"}))
	if len(profiles.InstanceProfiles) != 0 {
		t.Errorf("profiles %+v", profiles)
	}
	_, err = r.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: "App", Marker: new("!")})
	r.fails(err, "ValidationError")
	_, err = r.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: "App", PolicyArn: admin})
	check(t, err)
	_, err = r.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: "App"})
	r.fails(err, "DeleteConflict")
	_, err = r.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: "App", PolicyArn: admin})
	check(t, err)
	_, err = r.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: "App", PolicyArn: admin})
	r.fails(err, "NoSuchEntity")
	_, err = r.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: "App"})
	check(t, err)
	_, err = r.GetRole(ctx, &iam.GetRoleInput{RoleName: "App"})
	r.fails(err, "NoSuchEntity")
}

func TestDocumentsAreChecked(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.role("app", "")
	long := strings.Repeat(" ", 7000) // white space does not count
	for _, c := range []struct{ name, trust, code string }{
		{"no JSON", `{`, "MalformedPolicyDocument"},
		{"an identity policy", allow("s3:*", "*"), "MalformedPolicyDocument"},
		{"too long", `{"Version":"2012-10-17","Id":"` + strings.Repeat("x", 2100) + `","Statement":[]}`, "LimitExceeded"},
		{"white space", long + anyRole, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: "app", PolicyDocument: c.trust})
			if c.code == "" {
				check(t, err)
				return
			}
			r.fails(err, c.code)
			_, err = r.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "x", AssumeRolePolicyDocument: c.trust})
			r.fails(err, c.code)
		})
	}
	_, err := r.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "app", PolicyName: "p", PolicyDocument: anyRole})
	r.fails(err, "MalformedPolicyDocument")
	_, err = r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "p", PolicyDocument: anyRole})
	r.fails(err, "MalformedPolicyDocument")
}

func TestInlinePolicies(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.role("app", "")
	r.user("ann", "")
	doc := allow("s3:GetObject", "*")
	for _, name := range []string{"b", "A", "c"} {
		_, err := r.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "app", PolicyName: name, PolicyDocument: doc})
		check(t, err)
		_, err = r.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: "ann", PolicyName: name, PolicyDocument: doc})
		check(t, err)
	}
	var got []string
	var marker *string
	for {
		out := must[iam.ListRolePoliciesOutput](r)(r.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: "app", MaxItems: new(int32(1)), Marker: marker}))
		got = append(got, out.PolicyNames...)
		if marker = out.Marker; marker == nil {
			break
		}
	}
	if s := strings.Join(got, " "); s != "A b c" {
		t.Errorf("inline policies %s", s)
	}
	out := must[iam.GetUserPolicyOutput](r)(r.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: "ann", PolicyName: "A"}))
	if text, _ := url.PathUnescape(out.PolicyDocument); text != doc {
		t.Errorf("document %s", out.PolicyDocument)
	}
	_, err := r.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: "app", PolicyName: "none"})
	r.fails(err, "NoSuchEntity")
	_, err = r.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: "app", PolicyName: "none"})
	r.fails(err, "NoSuchEntity")
	_, err = r.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: "app", PolicyName: "A"})
	check(t, err)
	// The sum of a user's inline policies is bounded at 2,048 characters, of a role's at 10,240.
	big := func(n int) string {
		return `{"Version":"2012-10-17","Id":"` + strings.Repeat("x", n) + `","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	}
	_, err = r.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: "ann", PolicyName: "d", PolicyDocument: big(1800)})
	r.fails(err, "LimitExceeded")
	_, err = r.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "app", PolicyName: "d", PolicyDocument: big(9000)})
	check(t, err)
	_, err = r.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "app", PolicyName: "d", PolicyDocument: big(9100)})
	check(t, err) // in place of the old one
	_, err = r.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "app", PolicyName: "e", PolicyDocument: big(1000)})
	r.fails(err, "LimitExceeded")
}

func TestAttachments(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.role("app", "")
	r.user("ann", "")
	attach := func(policyARN string) error {
		_, err := r.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: "app", PolicyArn: policyARN})
		return err
	}
	var own []string
	for i := range 9 {
		p := must[iam.CreatePolicyOutput](r)(r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: string(rune('a' + i)), Path: new("/team/"), PolicyDocument: allow("s3:*", "*")}))
		own = append(own, *p.Policy.Arn)
	}
	for _, p := range append(own, admin) {
		check(t, attach(p))
		check(t, attach(p)) // twice is once
	}
	r.fails(attach("arn:aws:iam::aws:policy/ReadOnlyAccess"), "LimitExceeded")
	r.fails(attach("arn:aws:iam::123456789012:policy/none"), "NoSuchEntity")
	r.fails(attach("arn:aws:iam::210987654321:policy/team/a"), "NoSuchEntity")
	r.fails(attach("arn:aws:s3:::not-a-policy-at-all"), "InvalidInput")
	count := 0
	var marker *string
	for {
		out := must[iam.ListAttachedRolePoliciesOutput](r)(r.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: "app", MaxItems: new(int32(3)), Marker: marker}))
		count += len(out.AttachedPolicies)
		if marker = out.Marker; marker == nil {
			break
		}
	}
	team := must[iam.ListAttachedRolePoliciesOutput](r)(r.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: "app", PathPrefix: new("/team/")}))
	if count != 10 || len(team.AttachedPolicies) != 9 {
		t.Errorf("%d attached, %d under /team/", count, len(team.AttachedPolicies))
	}
	_, err := r.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: "ann", PolicyArn: own[0]})
	check(t, err)
	_, err = r.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: "ann", PermissionsBoundary: own[0]})
	check(t, err)
	using := func(in iam.ListEntitiesForPolicyInput) string {
		in.PolicyArn = own[0]
		out := must[iam.ListEntitiesForPolicyOutput](r)(r.ListEntitiesForPolicy(ctx, &in))
		var names []string
		for _, u := range out.PolicyUsers {
			names = append(names, *u.UserName)
		}
		for _, p := range out.PolicyRoles {
			names = append(names, *p.RoleName)
		}
		if out.Marker != nil {
			names = append(names, "…")
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		in   iam.ListEntitiesForPolicyInput
		want string
	}{
		{iam.ListEntitiesForPolicyInput{}, "ann app"},
		{iam.ListEntitiesForPolicyInput{MaxItems: new(int32(1))}, "ann …"},
		{iam.ListEntitiesForPolicyInput{EntityFilter: new("Role")}, "app"},
		{iam.ListEntitiesForPolicyInput{PolicyUsageFilter: new("PermissionsBoundary")}, "ann"},
		{iam.ListEntitiesForPolicyInput{PolicyUsageFilter: new("PermissionsPolicy")}, "ann app"},
		{iam.ListEntitiesForPolicyInput{PathPrefix: new("/nowhere/")}, ""},
	} {
		if got := using(c.in); got != c.want {
			t.Errorf("%+v: %q, want %q", c.in, got, c.want)
		}
	}
	_, err = r.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: own[0]})
	r.fails(err, "DeleteConflict")
}

func TestRoleTagsAndLists(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.role("app", "")
	r.role("Bee", "")
	_, err := r.TagRole(ctx, &iam.TagRoleInput{RoleName: "app", Tags: []iam.Tag{{Key: "k", Value: "v"}}})
	check(t, err)
	tags := must[iam.ListRoleTagsOutput](r)(r.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: "app"}))
	if len(tags.Tags) != 1 {
		t.Errorf("tags %+v", tags.Tags)
	}
	_, err = r.UntagRole(ctx, &iam.UntagRoleInput{RoleName: "app", TagKeys: []string{"k"}})
	check(t, err)
	roles := must[iam.ListRolesOutput](r)(r.ListRoles(ctx, &iam.ListRolesInput{}))
	if len(roles.Roles) != 2 || roles.Roles[0].RoleName != "app" {
		t.Errorf("roles %+v", roles.Roles)
	}
	if foreign := must[iam.ListRolesOutput](r)(r.as(r.root(other)).ListRoles(ctx, &iam.ListRolesInput{})); len(foreign.Roles) != 0 {
		t.Errorf("another account sees %+v", foreign.Roles)
	}
	_, err = r.as(r.root(other)).GetRole(ctx, &iam.GetRoleInput{RoleName: "app"})
	r.fails(err, "NoSuchEntity")
	_, err = r.as(r.root(other)).DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: "app"})
	r.fails(err, "NoSuchEntity")
	_, err = r.as(r.user("ann", "")).GetRole(ctx, &iam.GetRoleInput{RoleName: "app"})
	r.kind(err, awserr.AccessDenied)
}
