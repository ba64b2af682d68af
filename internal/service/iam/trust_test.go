package iam

import (
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/iam"
)

func trustOf(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}]}`
}

// shownTrust is a role's trust policy as GetRole and ListRoles show it, which must be the same.
func (r *rig) shownTrust(name string) string {
	r.Helper()
	got := must[iam.GetRoleOutput](r)(r.GetRole(r.Context(), &iam.GetRoleInput{RoleName: name})).Role
	text, err := url.PathUnescape(*got.AssumeRolePolicyDocument)
	check(r, err)
	for _, one := range must[iam.ListRolesOutput](r)(r.ListRoles(r.Context(), &iam.ListRolesInput{})).Roles {
		if one.RoleName == name && *one.AssumeRolePolicyDocument != *got.AssumeRolePolicyDocument {
			r.Errorf("listed with %s", *one.AssumeRolePolicyDocument)
		}
	}
	return text
}

// TestTrustBindsToWhoIsThere: a trust policy means the user and the role that had the name when it was
// put, shows them by ARN while they are there and by unique id afterwards, and nobody made anew.
func TestTrustBindsToWhoIsThere(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ann, app := r.user("ann", ""), r.role("app", "")
	const annARN, appARN = "arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:role/app"
	doc := trustOf(`{"AWS":["` + annARN + `","` + appARN + `","210987654321","arn:aws:iam::210987654321:user/x"]}`)
	made := must[iam.CreateRoleOutput](r)(r.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "target", AssumeRolePolicyDocument: doc})).Role
	if text, _ := url.PathUnescape(*made.AssumeRolePolicyDocument); text != doc || r.shownTrust("target") != doc {
		t.Errorf("made with %s, shown as %s", text, r.shownTrust("target"))
	}
	bound := strings.NewReplacer(annARN, ann.UserID(), appARN, app.RoleUniqueID()).Replace(doc)
	if info, ok, err := r.dir.Role(ctx, made.Arn); err != nil || !ok || info.Trust != bound {
		t.Errorf("judged by %s, want %s (%v)", info.Trust, bound, err)
	}
	_, err := r.DeleteUser(ctx, &iam.DeleteUserInput{UserName: "ann"})
	check(t, err)
	gone := strings.ReplaceAll(doc, annARN, ann.UserID())
	if got := r.shownTrust("target"); got != gone {
		t.Errorf("with ann gone shown as %s", got)
	}
	anew := r.user("ann", "")
	if got := r.shownTrust("target"); got != gone || anew.UserID() == ann.UserID() {
		t.Errorf("with ann made anew shown as %s", got)
	}
	// Put again, the name means who is there now.
	_, err = r.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: "target", PolicyDocument: doc})
	check(t, err)
	out := must[iam.UpdateRoleDescriptionOutput](r)(r.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: "target", Description: "d"}))
	if text, _ := url.PathUnescape(*out.Role.AssumeRolePolicyDocument); text != doc {
		t.Errorf("put again, shown as %s", text)
	}
	if info, _, err := r.dir.Role(ctx, made.Arn); err != nil || !strings.Contains(info.Trust, anew.UserID()) || strings.Contains(info.Trust, ann.UserID()) {
		t.Errorf("put again, judged by %s (%v)", info.Trust, err)
	}
}

// TestTrustNamesWhoIsThere: a user or role that does not exist can be trusted by nobody.
func TestTrustNamesWhoIsThere(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.role("app", "")
	r.user("ann", "")
	for _, name := range []string{"user/nobody", "role/none", "role/ann", "user/app", "user/path/ann", "user/ANN", "role/fresh"} {
		bad := "arn:aws:iam::123456789012:" + name
		_, made := r.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "fresh", AssumeRolePolicyDocument: trustOf(`{"AWS":"` + bad + `"}`)})
		_, changed := r.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: "app", PolicyDocument: trustOf(`{"AWS":["123456789012","` + bad + `"]}`)})
		for _, err := range []error{made, changed} {
			r.fails(err, "MalformedPolicyDocument")
			if err != nil && !strings.Contains(err.Error(), `Invalid principal in policy: "AWS":"`+bad+`"`) {
				t.Errorf("refused with %v", err)
			}
		}
	}
	if got := r.shownTrust("app"); got != anyRole {
		t.Errorf("a refused trust policy left %s", got)
	}
}
