package identity

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

// directory is a Directory of fixed keys.
type directory map[string]Credential

func (d directory) Lookup(id string) (Credential, bool) { c, ok := d[id]; return c, ok }

var ann = Credential{Secret: "ann's secret", Active: true, Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/ann",
	UserID: "AIDAANN", UserName: "ann", Tags: map[string]string{"team": "a"}}

var keys = directory{
	"AKIAANN":  ann,
	"AKIAIDLE": {Secret: "s", Account: "123456789012", ARN: ann.ARN, UserID: "AIDAANN", UserName: "ann"},
	"AKIAROOT": {Secret: "root's secret", Active: true, Root: true, Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", UserID: "123456789012"},
}

func tokens(t testing.TB) *Tokens {
	t.Helper()
	k, err := NewTokens(bytes.Repeat([]byte{7}, 32), ids.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func roleSession() Session {
	return Session{Kind: KindAssumedRole, Account: "123456789012", RoleARN: "arn:aws:iam::123456789012:role/app/reader", RoleID: "AROAREADER",
		Name: "batch", Issued: noon, Expires: noon.Add(time.Hour), Policies: []string{`{"Version":"2012-10-17"}`},
		PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, Tags: map[string]string{"k": "v"}, TransitiveTags: []string{"k"},
		SourceIdentity: "ann", MFA: true, SourceFunctionID: "arn:aws:lambda:eu-west-1:123456789012:function:f"}
}

// signed is the principal of a request signed with c.
func signed(t testing.TB, ring *Keyring, c sigv4.Credentials, now time.Time) (Principal, error) {
	t.Helper()
	at := clock.NewManual(now)
	r, err := http.NewRequest("GET", "http://localhost:4566/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sigv4.NewSigner(sigv4.Signing{Credentials: c, Region: "us-east-1", Service: "sts", Clock: at}).Sign(r, nil); err != nil {
		t.Fatal(err)
	}
	v, err := sigv4.New(sigv4.Options{Keys: ring, Clock: at}).Verify(r, nil, sigv4.SigningOptions{Services: []string{"sts"}})
	if err != nil {
		return Principal{}, err
	}
	return Of(v)
}

func kindOf(err error) string {
	if e, ok := err.(*awserr.Error); ok {
		return e.Kind.String()
	}
	return fmt.Sprint(err)
}

func TestLongTermKeys(t *testing.T) {
	ring := &Keyring{Directory: keys, Tokens: tokens(t)}
	p, err := signed(t, ring, sigv4.Credentials{AccessKeyID: "AKIAANN", SecretAccessKey: "ann's secret"}, noon)
	if err != nil || p.Kind() != KindUser || p.ARN() != ann.ARN || p.UserName() != "ann" || p.UserID() != "AIDAANN" ||
		p.AccessKeyID() != "AKIAANN" || p.Temporary() || p.Account() != "123456789012" || p.SessionIssuer() != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if v, ok := p.Tag("team"); !ok || v != "a" {
		t.Errorf("tag %q", v)
	}
	p, err = signed(t, ring, sigv4.Credentials{AccessKeyID: "AKIAROOT", SecretAccessKey: "root's secret"}, noon)
	if err != nil || p.Kind() != KindRoot || p.UserID() != "123456789012" || p.UserName() != "" {
		t.Errorf("%+v, %v", p, err)
	}
	for name, c := range map[string]struct {
		creds sigv4.Credentials
		want  string
	}{
		"unknown":         {sigv4.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "x"}, "UnknownAccessKey"},
		"inactive":        {sigv4.Credentials{AccessKeyID: "AKIAIDLE", SecretAccessKey: "s"}, "UnknownAccessKey"},
		"wrong secret":    {sigv4.Credentials{AccessKeyID: "AKIAANN", SecretAccessKey: "x"}, "SignatureDoesNotMatch"},
		"foreign token":   {sigv4.Credentials{AccessKeyID: "AKIAANN", SecretAccessKey: "ann's secret", SessionToken: "x"}, "InvalidToken"},
		"another's token": {sigv4.Credentials{AccessKeyID: "AKIAROOT", SecretAccessKey: "ann's secret"}, "SignatureDoesNotMatch"},
	} {
		if _, err := signed(t, ring, c.creds, noon); kindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessions(t *testing.T) {
	k := tokens(t)
	ring := &Keyring{Directory: keys, Tokens: k}
	issued, err := k.Issue(roleSession())
	if err != nil || !strings.HasPrefix(issued.AccessKeyID, "ASIA") || len(issued.AccessKeyID) != 20 || len(issued.SecretAccessKey) != 40 ||
		!issued.Expiration.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%v, %v", issued, err)
	}
	creds := sigv4.Credentials{AccessKeyID: issued.AccessKeyID, SecretAccessKey: issued.SecretAccessKey, SessionToken: issued.SessionToken}
	for range 2 { // sealed, then cached
		p, err := signed(t, ring, creds, noon.Add(59*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind() != KindAssumedRole || p.ARN() != "arn:aws:sts::123456789012:assumed-role/reader/batch" || p.UserID() != "AROAREADER:batch" ||
			p.RoleUniqueID() != "AROAREADER" || p.SessionIssuer() != "arn:aws:iam::123456789012:role/app/reader" || !p.MFA() ||
			p.SourceIdentity() != "ann" || !p.CreatedAt().Equal(noon) || len(p.SessionPolicies()) != 1 || len(p.SessionPolicyARNs()) != 1 ||
			p.Tags()["k"] != "v" || p.TransitiveTags()[0] != "k" || p.SourceFunction() == "" || p.AccessKeyID() != issued.AccessKeyID {
			t.Errorf("%+v", p.facts())
		}
	}
	other, err := k.Issue(roleSession())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewTokens(bytes.Repeat([]byte{8}, 32), ids.Source{})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := stranger.Issue(roleSession())
	if err != nil {
		t.Fatal(err)
	}
	with := func(id, secret, token string) sigv4.Credentials {
		return sigv4.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}
	}
	for name, c := range map[string]struct {
		creds sigv4.Credentials
		after time.Duration
		want  string
	}{
		"at its end":           {creds, time.Hour, "ExpiredToken"},
		"wrong secret":         {with(issued.AccessKeyID, "x", issued.SessionToken), 0, "SignatureDoesNotMatch"},
		"without token":        {with(issued.AccessKeyID, issued.SecretAccessKey, ""), 0, "UnknownAccessKey"},
		"another's token":      {with(issued.AccessKeyID, issued.SecretAccessKey, other.SessionToken), 0, "InvalidToken"},
		"another's key":        {with(other.AccessKeyID, issued.SecretAccessKey, issued.SessionToken), 0, "InvalidToken"},
		"under another root":   {with(foreign.AccessKeyID, foreign.SecretAccessKey, foreign.SessionToken), 0, "InvalidToken"},
		"a long-term key's id": {with("AKIAANN", "ann's secret", issued.SessionToken), 0, "InvalidToken"},
		"token cut":            {with(issued.AccessKeyID, issued.SecretAccessKey, issued.SessionToken[:100]), 0, "InvalidToken"},
	} {
		if _, err := signed(t, ring, c.creds, noon.Add(c.after)); kindOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestEveryBitOfATokenCounts(t *testing.T) {
	k := tokens(t)
	issued, err := k.Issue(roleSession())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(issued.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("reader")) || strings.Contains(issued.SessionToken, issued.SecretAccessKey) {
		t.Error("the token shows what it holds")
	}
	for i := range len(raw) * 8 {
		changed := bytes.Clone(raw)
		changed[i/8] ^= 1 << (i % 8)
		if _, _, err := k.Open(issued.AccessKeyID, base64.RawURLEncoding.EncodeToString(changed), noon); kindOf(err) != "InvalidToken" {
			t.Fatalf("bit %d changed: %v", i, err)
		}
	}
	if s, secret, err := k.Open(issued.AccessKeyID, issued.SessionToken, noon); err != nil || secret != issued.SecretAccessKey || s.Name != "batch" {
		t.Errorf("unchanged: %v", err)
	}
}

func TestSessionsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Session){
		"no kind":            func(s *Session) { s.Kind = KindAnonymous },
		"a service":          func(s *Session) { s.Kind = KindService },
		"no account":         func(s *Session) { s.Account = "" },
		"bad account":        func(s *Session) { s.Account = "12345678901x" },
		"no role":            func(s *Session) { s.RoleARN = "" },
		"no role id":         func(s *Session) { s.RoleID = "" },
		"a user as role":     func(s *Session) { s.RoleARN = ann.ARN },
		"another's role":     func(s *Session) { s.RoleARN = "arn:aws:iam::210987654321:role/reader" },
		"name with slash":    func(s *Session) { s.Name = "a/b" },
		"name with star":     func(s *Session) { s.Name = "a*" },
		"short name":         func(s *Session) { s.Name = "a" },
		"long name":          func(s *Session) { s.Name = strings.Repeat("a", 65) },
		"no end":             func(s *Session) { s.Expires = time.Time{} },
		"ends at its start":  func(s *Session) { s.Expires = s.Issued },
		"two days":           func(s *Session) { s.Expires = s.Issued.Add(48 * time.Hour) },
		"policies too large": func(s *Session) { s.Policies = []string{strings.Repeat("x", 20000)} },
		"a user without arn": func(s *Session) { s.Kind = KindUser },
	} {
		s := roleSession()
		change(&s)
		if c, err := tokens(t).Issue(s); err == nil {
			t.Errorf("%s: issued %v", name, c)
		}
	}
	if _, err := NewTokens(make([]byte, 31), ids.Source{}); err == nil {
		t.Error("a short root key was taken")
	}
}

func TestOtherPrincipals(t *testing.T) {
	p, err := roleSession().Principal()
	if err != nil || p.ARN() != "arn:aws:sts::123456789012:assumed-role/reader/batch" || p.AccessKeyID() != "" {
		t.Errorf("session: %v, %v", p, err)
	}
	user := Session{Kind: KindUser, Account: "123456789012", UserARN: ann.ARN, UserID: "AIDAANN", UserName: "ann", Issued: noon, Expires: noon.Add(time.Hour)}
	if p, err := user.Principal(); err != nil || p.ARN() != ann.ARN || !p.Temporary() || p.SessionIssuer() != ann.ARN {
		t.Errorf("user's session: %v, %v", p, err)
	}
	fed := Session{Kind: KindFederatedUser, Account: "123456789012", Name: "bob", Issued: noon, Expires: noon.Add(time.Hour)}
	if p, err := fed.Principal(); err != nil || p.ARN() != "arn:aws:sts::123456789012:federated-user/bob" || p.UserID() != "123456789012:bob" {
		t.Errorf("federated: %v, %v", p, err)
	}
	s := Service("lambda.amazonaws.com", "123456789012")
	if s.Kind() != KindService || s.ServiceName() != "lambda.amazonaws.com" || s.String() != "lambda.amazonaws.com" || s.ARN() != "" {
		t.Errorf("service: %v", s)
	}
	a := Authorized(Caller{Account: "123456789012", Authorizer: "jwt", PrincipalID: "sub"})
	if a.Kind() != KindAuthorized || a.UserID() != "sub" || a.Caller().Authorizer != "jwt" || a.ARN() != "" {
		t.Errorf("authorized: %v", a)
	}
	for _, nobody := range []Principal{{}, Anonymous()} {
		if nobody.Kind() != KindAnonymous || nobody.Account() != "" || nobody.ARN() != "" || nobody.String() != "anonymous" {
			t.Errorf("nobody: %v", nobody)
		}
	}
	if via := p.Via("cloudformation.amazonaws.com"); via.InvokedBy() != "cloudformation.amazonaws.com" || p.InvokedBy() != "" {
		t.Errorf("via %q, before %q", via.InvokedBy(), p.InvokedBy())
	}
	if _, err := Of(sigv4.Verified{}); kindOf(err) != "UnknownAccessKey" {
		t.Errorf("the zero Verified: %v", err)
	}
}

func TestOpenCredentials(t *testing.T) {
	k := tokens(t)
	admin := ann
	ring := &Keyring{Directory: keys, Tokens: k, Open: &admin}
	p, err := signed(t, ring, sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test", SessionToken: "test"}, noon)
	if err != nil || !p.OpenCredentials() || p.ARN() != ann.ARN {
		t.Errorf("%v, %v", p, err)
	}
	issued, err := k.Issue(roleSession())
	if err != nil {
		t.Fatal(err)
	}
	creds := sigv4.Credentials{AccessKeyID: issued.AccessKeyID, SecretAccessKey: issued.SecretAccessKey, SessionToken: issued.SessionToken}
	if p, err := signed(t, ring, creds, noon); err != nil || p.OpenCredentials() || p.Kind() != KindAssumedRole {
		t.Errorf("a session stays itself: %v, %v", p, err)
	}
	if _, err := signed(t, ring, creds, noon.Add(2*time.Hour)); kindOf(err) != "ExpiredToken" {
		t.Errorf("an expired session: %v", err)
	}
}

// TestABoundedSessionLastsNoLongerThanItsKey: what is signed for the bearer of a long-term key is refused
// while that key is inactive or gone; what is signed for a session of its own is not asked for one.
func TestABoundedSessionLastsNoLongerThanItsKey(t *testing.T) {
	k := tokens(t)
	held := directory{"AKIAANN": ann}
	ring := &Keyring{Directory: held, Tokens: k}
	anns, err := signed(t, ring, sigv4.Credentials{AccessKeyID: "AKIAANN", SecretAccessKey: ann.Secret}, noon)
	if err != nil {
		t.Fatal(err)
	}
	role, err := roleSession().Principal()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  Principal
		key  string
		dies bool
	}{{anns, "AKIAANN", true}, {role, "", false}} {
		held["AKIAANN"] = ann
		s, ok := c.who.Bounded(noon, noon.Add(10*time.Minute))
		if !ok {
			t.Fatal(c.who)
		}
		issued, err := k.Issue(s)
		if err != nil {
			t.Fatal(err)
		}
		creds := sigv4.Credentials{AccessKeyID: issued.AccessKeyID, SecretAccessKey: issued.SecretAccessKey, SessionToken: issued.SessionToken}
		if p, err := signed(t, ring, creds, noon); err != nil || p.ARN() != c.who.ARN() || p.IssuingKey() != c.key {
			t.Errorf("%v by %q, %v", p, p.IssuingKey(), err)
		}
		again, _ := (Principal{f: &facts{Session: s}}).Bounded(noon, noon.Add(time.Minute))
		if again.IssuingKey != c.key {
			t.Errorf("a session of the session is by %q", again.IssuingKey)
		}
		inactive := ann
		inactive.Active = false
		held["AKIAANN"] = inactive
		if _, err := signed(t, ring, creds, noon); (kindOf(err) == "InvalidToken") != c.dies {
			t.Errorf("%v with an inactive key: %v", c.who, err)
		}
		delete(held, "AKIAANN")
		if _, err := signed(t, ring, creds, noon); (kindOf(err) == "InvalidToken") != c.dies {
			t.Errorf("%v with a deleted key: %v", c.who, err)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	k := tokens(t)
	for range 3 * cacheTokens {
		c, err := k.Issue(roleSession())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.Open(c.AccessKeyID, c.SessionToken, noon); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.new) > cacheTokens || len(k.old) > cacheTokens {
		t.Errorf("%d and %d tokens cached", len(k.new), len(k.old))
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := Credentials{"ASIA", "the secret", "the token", noon}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c) + fmt.Sprintf(format, ann); strings.Contains(s, "secret") || strings.Contains(s, "the token") {
			t.Errorf("%s prints %s", format, s)
		}
	}
}

func FuzzOpen(f *testing.F) {
	// A key of this process alone: fuzzing runs in several, and each knows its own token only.
	k, err := NewTokens(ids.Source{}.Bytes(32), ids.Source{})
	if err != nil {
		f.Fatal(err)
	}
	c, err := k.Issue(roleSession())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.AccessKeyID, c.SessionToken)
	f.Add("", "AQ")
	f.Fuzz(func(t *testing.T, id, token string) {
		_, _, err := k.Open(id, token, noon)
		if err == nil && (id != c.AccessKeyID || token != c.SessionToken) {
			t.Fatalf("opened %q for %q", token, id)
		}
		if err != nil && kindOf(err) != "InvalidToken" {
			t.Fatal(err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k := tokens(b)
	c, err := k.Issue(roleSession())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := k.Open(c.AccessKeyID, c.SessionToken, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sealed", func(b *testing.B) {
		for b.Loop() {
			if _, err := k.unseal(c.SessionToken); err != nil {
				b.Fatal(err)
			}
		}
	})
}
