package iam

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
)

func TestUserLife(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	made, err := r.CreateUser(ctx, &iam.CreateUserInput{UserName: "Ann", Path: new("/team/"), Tags: []iam.Tag{{Key: "cost", Value: "7"}}})
	check(t, err)
	if u := made.User; u.Arn != "arn:aws:iam::123456789012:user/team/Ann" || len(u.UserId) != 21 || !strings.HasPrefix(u.UserId, "AIDA") || !u.CreateDate.Equal(r.clock.Now()) {
		t.Errorf("user %+v", u)
	}
	_, err = r.CreateUser(ctx, &iam.CreateUserInput{UserName: "ANN"})
	r.fails(err, "EntityAlreadyExists") // names differ without regard to case
	got, err := r.GetUser(ctx, &iam.GetUserInput{UserName: new("ann")})
	check(t, err)
	if got.User.UserName != "Ann" || len(got.User.Tags) != 1 {
		t.Errorf("user %+v", got.User)
	}
	_, err = r.UpdateUser(ctx, &iam.UpdateUserInput{UserName: "Ann", NewUserName: new("Beth"), NewPath: new("/")})
	check(t, err)
	_, err = r.GetUser(ctx, &iam.GetUserInput{UserName: new("Ann")})
	r.fails(err, "NoSuchEntity")
	got, err = r.GetUser(ctx, &iam.GetUserInput{UserName: new("Beth")})
	check(t, err)
	if got.User.Arn != "arn:aws:iam::123456789012:user/Beth" || got.User.UserId != made.User.UserId {
		t.Errorf("renamed user %+v", got.User)
	}
	_, err = r.UpdateUser(ctx, &iam.UpdateUserInput{UserName: "Beth", NewUserName: new("beth")})
	check(t, err)
	_, err = r.CreateUser(ctx, &iam.CreateUserInput{UserName: "carl"})
	check(t, err)
	_, err = r.UpdateUser(ctx, &iam.UpdateUserInput{UserName: "carl", NewUserName: new("BETH")})
	r.fails(err, "EntityAlreadyExists")
	_, err = r.DeleteUser(ctx, &iam.DeleteUserInput{UserName: "beth"})
	check(t, err)
	_, err = r.DeleteUser(ctx, &iam.DeleteUserInput{UserName: "beth"})
	r.fails(err, "NoSuchEntity")
	_, err = r.CreateUser(ctx, &iam.CreateUserInput{UserName: "not a name"})
	r.kind(err, awserr.Validation)
}

func TestUserIsDeletedOnlyWhenBare(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.user("ann", allow("s3:*", "*"))
	key := must[iam.CreateAccessKeyOutput](r)(r.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("ann")})).AccessKey
	_, err := r.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: "ann", PolicyArn: admin})
	check(t, err)
	remove := func() error { _, err := r.DeleteUser(ctx, &iam.DeleteUserInput{UserName: "ann"}); return err }
	r.fails(remove(), "DeleteConflict")
	_, err = r.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: new("ann"), AccessKeyId: key.AccessKeyId})
	check(t, err)
	r.fails(remove(), "DeleteConflict")
	_, err = r.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: "ann", PolicyArn: admin})
	check(t, err)
	r.fails(remove(), "DeleteConflict")
	_, err = r.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: "ann", PolicyName: "own"})
	check(t, err)
	check(t, remove())
}

// TestKeysAreEffectiveAtOnce: made, inactive, active, deleted; each from the next request on.
func TestKeysAreEffectiveAtOnce(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.user("ann", "")
	key := must[iam.CreateAccessKeyOutput](r)(r.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("ann")})).AccessKey
	if len(key.AccessKeyId) != 20 || len(key.SecretAccessKey) != 40 || key.Status != "Active" {
		t.Errorf("key %s with %d characters of secret is %s", key.AccessKeyId, len(key.SecretAccessKey), key.Status)
	}
	find := func() (identity.Credential, bool) { return r.dir.Lookup(key.AccessKeyId) }
	c, ok := find()
	if !ok || c.Secret != key.SecretAccessKey || c.ARN != "arn:aws:iam::123456789012:user/ann" || c.UserName != "ann" {
		t.Fatalf("found %v %v", c, ok)
	}
	for _, status := range []string{"Inactive", "Active", "Inactive"} {
		_, err := r.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: new("ann"), AccessKeyId: key.AccessKeyId, Status: status})
		check(t, err)
		if _, ok := find(); ok != (status == "Active") {
			t.Errorf("a key that is %s is found: %v", status, ok)
		}
	}
	_, err := r.ring.Key(key.AccessKeyId, "", r.clock.Now())
	r.kind(err, awserr.UnknownAccessKey)
	_, err = r.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: new("ann"), AccessKeyId: key.AccessKeyId})
	check(t, err)
	if _, ok := find(); ok {
		t.Error("a deleted key is found")
	}
	if _, ok := r.dir.Lookup("AKIAUNKNOWN000000000"); ok {
		t.Error("an unknown key is found")
	}
}

func TestKeysOfAUser(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ann := r.user("ann", allow("iam:*", "arn:aws:iam::123456789012:user/${aws:username}"))
	r.user("bob", "")
	var made []string
	for range 2 {
		k := must[iam.CreateAccessKeyOutput](r)(r.as(ann).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}))
		made = append(made, k.AccessKey.AccessKeyId)
	}
	_, err := r.as(ann).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	r.fails(err, "LimitExceeded")
	list := must[iam.ListAccessKeysOutput](r)(r.as(ann).ListAccessKeys(ctx, &iam.ListAccessKeysInput{MaxItems: new(int32(1))}))
	if len(list.AccessKeyMetadata) != 1 || !*list.IsTruncated {
		t.Fatalf("first page %+v", list)
	}
	rest := must[iam.ListAccessKeysOutput](r)(r.as(ann).ListAccessKeys(ctx, &iam.ListAccessKeysInput{Marker: list.Marker}))
	if len(rest.AccessKeyMetadata) != 1 || *rest.IsTruncated || *rest.AccessKeyMetadata[0].AccessKeyId == *list.AccessKeyMetadata[0].AccessKeyId {
		t.Errorf("second page %+v", rest)
	}
	_, err = r.as(ann).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("bob")})
	r.kind(err, awserr.AccessDenied)
	_, err = r.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: new("bob"), AccessKeyId: made[0]})
	r.fails(err, "NoSuchEntity") // ann's
	_, err = r.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: made[0]})
	r.fails(err, "NoSuchEntity") // the account's own, of which there are none
	_, err = r.as(r.root(other)).DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: new("ann"), AccessKeyId: made[0]})
	r.fails(err, "NoSuchEntity") // another account's ann
	_, err = r.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("nobody")})
	r.fails(err, "NoSuchEntity")

	_, err = r.UpdateUser(ctx, &iam.UpdateUserInput{UserName: "ann", NewUserName: new("anna")})
	check(t, err)
	if c, ok := r.dir.Lookup(made[0]); !ok || c.UserName != "anna" {
		t.Errorf("after a rename the key is of %v (%v)", c, ok)
	}
	role := r.role("app", allow("iam:*", "*"))
	_, err = r.as(role).DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: made[0]})
	r.fails(err, "ValidationError") // who is no user must say whose key
}

// TestSecretsAreSealed: no row and no record of a key has its secret.
func TestSecretsAreSealed(t *testing.T) {
	r := newRig(t)
	r.user("ann", "")
	key := must[iam.CreateAccessKeyOutput](r)(r.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: new("ann")})).AccessKey
	var backup strings.Builder
	check(t, r.dir.db.Backup(t.Context(), &backup, nil))
	if !strings.Contains(backup.String(), key.AccessKeyId) {
		t.Fatal("the backup does not show rows: this test looks in vain")
	}
	if strings.Contains(backup.String(), key.SecretAccessKey) {
		t.Error("the secret is readable in the database")
	}
	if text := fmt.Sprintf("%v %+v %#v", must2(r.dir.Lookup(key.AccessKeyId)), must2(r.dir.Lookup(key.AccessKeyId)), must2(r.dir.Lookup(key.AccessKeyId))); strings.Contains(text, key.SecretAccessKey) {
		t.Error("a credential shows its secret when printed")
	}
}

func must2(c identity.Credential, _ bool) identity.Credential { return c }

func TestUserLists(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	want := map[string]bool{}
	for i, path := range []string{"/", "/a/", "/a/b/", "/ab/", "/"} {
		name := []string{"Zoe", "bob", "Carl", "ann", "dora"}[i]
		_, err := r.CreateUser(ctx, &iam.CreateUserInput{UserName: name, Path: &path})
		check(t, err)
		want[name] = true
	}
	var names []string
	var marker *string
	for pages := 0; ; pages++ {
		out := must[iam.ListUsersOutput](r)(r.ListUsers(ctx, &iam.ListUsersInput{MaxItems: new(int32(2)), Marker: marker}))
		for _, u := range out.Users {
			names = append(names, u.UserName)
		}
		if marker = out.Marker; marker == nil {
			break
		}
		if pages == 1 { // one that is gone between pages does not lose others
			_, err := r.DeleteUser(ctx, &iam.DeleteUserInput{UserName: names[len(names)-1]})
			check(t, err)
		}
	}
	if got := strings.Join(names, " "); got != "ann bob Carl dora Zoe" {
		t.Errorf("users %s", got)
	}
	under := must[iam.ListUsersOutput](r)(r.ListUsers(ctx, &iam.ListUsersInput{PathPrefix: new("/a/")}))
	if len(under.Users) != 2 {
		t.Errorf("under /a/: %+v", under.Users)
	}
	_, err := r.ListUsers(ctx, &iam.ListUsersInput{Marker: new("!")})
	r.fails(err, "ValidationError")
	foreign := must[iam.ListUsersOutput](r)(r.as(r.root(other)).ListUsers(ctx, &iam.ListUsersInput{}))
	if len(foreign.Users) != 0 {
		t.Errorf("another account sees %+v", foreign.Users)
	}
}

func TestUserTags(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.user("ann", "")
	tag := func(tags ...iam.Tag) error {
		_, err := r.TagUser(ctx, &iam.TagUserInput{UserName: "ann", Tags: tags})
		return err
	}
	check(t, tag(iam.Tag{Key: "Team", Value: "blue"}, iam.Tag{Key: "alpha", Value: ""}, iam.Tag{Key: "Beta", Value: "x"}))
	check(t, tag(iam.Tag{Key: "team", Value: "red"})) // keys differ without regard to case
	r.fails(tag(iam.Tag{Key: "x", Value: "1"}, iam.Tag{Key: "X", Value: "2"}), "InvalidInput")
	var got []string
	var marker *string
	for {
		out := must[iam.ListUserTagsOutput](r)(r.ListUserTags(ctx, &iam.ListUserTagsInput{UserName: "ann", MaxItems: new(int32(1)), Marker: marker}))
		for _, tg := range out.Tags {
			got = append(got, tg.Key+"="+tg.Value)
		}
		if marker = out.Marker; marker == nil {
			break
		}
	}
	if s := strings.Join(got, " "); s != "alpha= Beta=x team=red" {
		t.Errorf("tags %s", s)
	}
	_, err := r.UntagUser(ctx, &iam.UntagUserInput{UserName: "ann", TagKeys: []string{"TEAM", "none"}})
	check(t, err)
	var many []iam.Tag
	for i := range 49 {
		many = append(many, iam.Tag{Key: fmt.Sprintf("k%d", i), Value: "v"})
	}
	r.fails(tag(many...), "LimitExceeded")
	check(t, tag(many[:48]...))
}

// TestTagsDecide: policies see the tags of what is touched, of the request and of the caller, as
// they are now.
func TestTagsDecide(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	caller := r.user("caller", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iam:GetUser","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}},
		{"Effect":"Allow","Action":"iam:TagUser","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["note"]}}}]}`)
	r.user("ann", "")
	get := func() error {
		_, err := r.as(caller).GetUser(ctx, &iam.GetUserInput{UserName: new("ann")})
		return err
	}
	r.kind(get(), awserr.AccessDenied)
	for _, name := range []string{"ann", "caller"} {
		_, err := r.TagUser(ctx, &iam.TagUserInput{UserName: name, Tags: []iam.Tag{{Key: "team", Value: "blue"}}})
		check(t, err)
	}
	check(t, get())
	_, err := r.TagUser(ctx, &iam.TagUserInput{UserName: "caller", Tags: []iam.Tag{{Key: "team", Value: "red"}}})
	check(t, err)
	r.kind(get(), awserr.AccessDenied)
	_, err = r.as(caller).TagUser(ctx, &iam.TagUserInput{UserName: "ann", Tags: []iam.Tag{{Key: "note", Value: "x"}}})
	check(t, err)
	_, err = r.as(caller).TagUser(ctx, &iam.TagUserInput{UserName: "ann", Tags: []iam.Tag{{Key: "team", Value: "red"}}})
	r.kind(err, awserr.AccessDenied)
}

// TestSelf: GetUser without a name is the caller, a user or the account itself.
func TestSelf(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann", allow("iam:GetUser", "arn:aws:iam::123456789012:user/${aws:username}"))
	got, err := r.as(ann).GetUser(t.Context(), &iam.GetUserInput{})
	check(t, err)
	if got.User.UserName != "ann" {
		t.Errorf("self %+v", got.User)
	}
	got, err = r.GetUser(t.Context(), &iam.GetUserInput{})
	check(t, err)
	if got.User.UserName != "root" || got.User.Arn != "arn:aws:iam::123456789012:root" {
		t.Errorf("the account %+v", got.User)
	}
	_, err = r.as(r.role("app", allow("iam:GetUser", "*"))).GetUser(t.Context(), &iam.GetUserInput{})
	r.fails(err, "ValidationError")
}

// TestSessionOfAUserWithoutSecondFactor may not touch IAM, whatever the user may.
func TestSessionOfAUserWithoutSecondFactor(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann", allow("*", "*"))
	if !r.may(ann) {
		t.Fatal("ann may not list users")
	}
	s := identity.Session{Kind: identity.KindUser, Account: account, UserName: "ann", UserARN: ann.ARN(), UserID: ann.UserID()}
	bare := r.as(r.session(s))
	for name, call := range map[string]func() error{
		"ListUsers": func() error { _, err := bare.ListUsers(t.Context(), &iam.ListUsersInput{}); return err },
		"CreateUser": func() error {
			_, err := bare.CreateUser(t.Context(), &iam.CreateUserInput{UserName: "eve"})
			return err
		},
		"GetUser": func() error { _, err := bare.GetUser(t.Context(), &iam.GetUserInput{}); return err },
		"CreateAccessKey": func() error {
			_, err := bare.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: new("ann")})
			return err
		},
		"GetPolicy": func() error { _, err := bare.GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: admin}); return err },
		"AttachUserPolicy": func() error {
			_, err := bare.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: "ann", PolicyArn: admin})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if e, ok := call().(*awserr.Error); !ok || e.Kind != awserr.InvalidToken {
				t.Errorf("got %v", e)
			}
		})
	}
}
