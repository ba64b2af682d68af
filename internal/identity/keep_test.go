package identity

import (
	"errors"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

func TestAKeptPrincipalIsTheSame(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	role, err := Session{Kind: KindAssumedRole, Account: "123456789012", RoleARN: "arn:aws:iam::123456789012:role/app", RoleID: "AROAX",
		Name: "session", Issued: now, Expires: now.Add(time.Hour), Policies: []string{`{"narrow":true}`}, Tags: map[string]string{"team": "a"}, MFA: true}.Principal()
	if err != nil {
		t.Fatal(err)
	}
	user := Principal{f: ofCredential(Credential{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/ann", UserID: "AIDAX", UserName: "ann"}), accessKeyID: "AKIAX", open: true}
	for _, p := range []Principal{role, user} {
		b, err := p.Keep()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Kept(b, now)
		if err != nil {
			t.Fatal(err)
		}
		if got.ARN() != p.ARN() || got.UserID() != p.UserID() || got.Kind() != p.Kind() || got.AccessKeyID() != p.AccessKeyID() ||
			got.OpenCredentials() != p.OpenCredentials() || len(got.SessionPolicies()) != len(p.SessionPolicies()) || got.MFA() != p.MFA() || len(got.Tags()) != len(p.Tags()) {
			t.Errorf("%s became %s", p, got)
		}
	}
	b, err := role.Keep()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Kept(b, now.Add(time.Hour))
	if e, ok := errors.AsType[*awserr.Error](err); !ok || e.Kind != awserr.ExpiredToken {
		t.Errorf("an ended session: %v", err)
	}
	for _, p := range []Principal{Anonymous(), Service("lambda.amazonaws.com", "123456789012"), Authorized(Caller{Account: "123456789012"})} {
		if _, err := p.Keep(); err == nil {
			t.Errorf("%s was kept", p)
		}
	}
	if _, err := Kept([]byte(`{"s":{"Kind":5,"Account":"123456789012","Name":"iam.amazonaws.com"}}`), now); err == nil {
		t.Error("a service must not come of what was kept")
	}
}
