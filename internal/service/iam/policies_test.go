package iam

import (
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/policy"
)

func TestManagedPolicyVersions(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	made, err := r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "Own", Path: new("/team/"), PolicyDocument: allow("s3:*", "*"), Description: new("d"), Tags: []iam.Tag{{Key: "k", Value: "v"}}})
	check(t, err)
	name := *made.Policy.Arn
	if name != "arn:aws:iam::123456789012:policy/team/Own" || *made.Policy.DefaultVersionId != "v1" {
		t.Errorf("policy %+v", made.Policy)
	}
	_, err = r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: "own", PolicyDocument: allow("s3:*", "*")})
	r.fails(err, "EntityAlreadyExists")
	add := func(isDefault bool) error {
		_, err := r.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: name, PolicyDocument: allow("sqs:*", "*"), SetAsDefault: &isDefault})
		return err
	}
	for _, isDefault := range []bool{false, true, false, false} {
		check(t, add(isDefault))
	}
	r.fails(add(false), "LimitExceeded")
	if got := *must[iam.GetPolicyOutput](r)(r.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: name})).Policy.DefaultVersionId; got != "v3" {
		t.Errorf("default %s", got)
	}
	remove := func(id string) error {
		_, err := r.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: name, VersionId: id})
		return err
	}
	r.fails(remove("v3"), "DeleteConflict")
	r.fails(remove("v9"), "NoSuchEntity")
	check(t, remove("v1"))
	check(t, add(false))
	list := must[iam.ListPolicyVersionsOutput](r)(r.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: name}))
	var ids []string
	for _, v := range list.Versions {
		ids = append(ids, *v.VersionId)
	}
	if s := strings.Join(ids, " "); s != "v6 v5 v4 v3 v2" { // a number is never used again
		t.Errorf("versions %s", s)
	}
	ids = nil
	for in := (iam.ListPolicyVersionsInput{PolicyArn: name, MaxItems: new(int32(2))}); ; {
		page := must[iam.ListPolicyVersionsOutput](r)(r.ListPolicyVersions(ctx, &in))
		for _, v := range page.Versions {
			ids = append(ids, *v.VersionId)
		}
		if *page.IsTruncated != (page.Marker != nil) {
			t.Error("IsTruncated and Marker differ")
		}
		ids = append(ids, "|")
		if in.Marker = page.Marker; in.Marker == nil {
			break
		}
	}
	if s := strings.Join(ids, " "); s != "v6 v5 | v4 v3 | v2 |" {
		t.Errorf("pages of versions %s", s)
	}
	_, err = r.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: name, Marker: new("!")})
	r.fails(err, "ValidationError")
	if newer, older := (version{ID: "v10"}).place(), (version{ID: "v9"}).place(); newer >= older {
		t.Errorf("v10 at %s comes behind v9 at %s", newer, older)
	}
	got := must[iam.GetPolicyVersionOutput](r)(r.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: name, VersionId: "v2"})).PolicyVersion
	if doc, _ := url.PathUnescape(*got.Document); doc != allow("sqs:*", "*") || *got.IsDefaultVersion {
		t.Errorf("version %+v", got)
	}
	_, err = r.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: name, VersionId: "v9"})
	r.fails(err, "NoSuchEntity")
	_, err = r.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: name})
	r.fails(err, "DeleteConflict") // it has more versions
	for _, id := range []string{"v2", "v4", "v5", "v6"} {
		check(t, remove(id))
	}
	_, err = r.as(r.root(other)).DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: name})
	r.fails(err, "NoSuchEntity")
	_, err = r.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: name})
	check(t, err)
	_, err = r.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: name})
	r.fails(err, "NoSuchEntity")
}

// TestAWSManagedPolicies are all well-formed, and cannot be changed.
func TestAWSManagedPolicies(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	for name, p := range r.dir.s.aws {
		if _, err := policy.Parse(p.Document, policy.Identity, policy.Options{RequireVersion: true, MaxBytes: maxDocument}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := must[iam.GetPolicyOutput](r)(r.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: admin})).Policy
	v := must[iam.GetPolicyVersionOutput](r)(r.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: admin, VersionId: *got.DefaultVersionId}))
	if !*v.PolicyVersion.IsDefaultVersion || *got.PolicyName != "AdministratorAccess" {
		t.Errorf("policy %+v", got)
	}
	_, err := r.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: admin})
	r.fails(err, "NoSuchEntity")
	_, err = r.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: admin, PolicyDocument: allow("s3:*", "*")})
	r.fails(err, "NoSuchEntity")
	_, err = r.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: admin, Tags: []iam.Tag{{Key: "a", Value: "b"}}})
	r.fails(err, "NoSuchEntity")
}

func TestListPolicies(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	var own []string
	for _, name := range []string{"zeta", "Alpha", "beta", "Gamma"} {
		p := must[iam.CreatePolicyOutput](r)(r.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: name, PolicyDocument: allow("s3:*", "*")}))
		own = append(own, *p.Policy.Arn)
	}
	r.role("app", "")
	_, err := r.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: "app", PolicyArn: admin})
	check(t, err)
	_, err = r.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: "app", PermissionsBoundary: own[0]})
	check(t, err)
	all := func(in iam.ListPoliciesInput, between func(page int)) []string {
		var names []string
		for page := 0; ; page++ {
			out := must[iam.ListPoliciesOutput](r)(r.ListPolicies(ctx, &in))
			for _, p := range out.Policies {
				names = append(names, *p.PolicyName)
			}
			if *out.IsTruncated != (out.Marker != nil) {
				t.Error("IsTruncated and Marker differ")
			}
			if in.Marker = out.Marker; in.Marker == nil {
				return names
			}
			if between != nil {
				between(page)
			}
		}
	}
	if got := all(iam.ListPoliciesInput{MaxItems: new(int32(7))}, nil); len(got) != len(r.dir.s.aws)+4 {
		t.Errorf("%d policies by pages, want %d", len(got), len(r.dir.s.aws)+4)
	}
	for _, c := range []struct {
		in   iam.ListPoliciesInput
		want string
	}{
		{iam.ListPoliciesInput{Scope: new("Local")}, "Alpha beta Gamma zeta"},
		{iam.ListPoliciesInput{OnlyAttached: new(true)}, "zeta AdministratorAccess"},
		{iam.ListPoliciesInput{PolicyUsageFilter: new("PermissionsBoundary")}, "zeta"},
		{iam.ListPoliciesInput{PolicyUsageFilter: new("PermissionsPolicy")}, "AdministratorAccess"},
		{iam.ListPoliciesInput{PathPrefix: new("/none/")}, ""},
	} {
		if got := strings.Join(all(c.in, nil), " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	// A policy that is deleted between two pages takes no other with it.
	got := all(iam.ListPoliciesInput{Scope: new("Local"), MaxItems: new(int32(2))}, func(page int) {
		_, err := r.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: own[2]}) // the last of the first page
		check(t, err)
	})
	if s := strings.Join(got, " "); s != "Alpha beta Gamma zeta" {
		t.Errorf("policies %s", s)
	}
	_, err = r.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: own[0], Tags: []iam.Tag{{Key: "a", Value: "b"}}})
	check(t, err)
	_, err = r.UntagPolicy(ctx, &iam.UntagPolicyInput{PolicyArn: own[0], TagKeys: []string{"b"}})
	check(t, err)
	if tags := must[iam.ListPolicyTagsOutput](r)(r.ListPolicyTags(ctx, &iam.ListPolicyTagsInput{PolicyArn: own[0]})); len(tags.Tags) != 1 {
		t.Errorf("tags %+v", tags)
	}
}
