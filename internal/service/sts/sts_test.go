package sts

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/store"
)

const (
	account = "123456789012"
	other   = "210987654321"
)

// rig is the service behind the real gate and real tokens. roles and policies are what a test says
// there is.
type rig struct {
	testing.TB
	gate     *gate.Gate
	clock    *clock.Manual
	tokens   *identity.Tokens
	roles    map[string]Role
	policies map[string]string // of a principal, by ARN
	notes    []*gate.Record
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{TB: t, clock: clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)), roles: map[string]Role{}, policies: map[string]string{}}
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Clock: r.clock, RunTwice: true})
	r.check(err)
	t.Cleanup(func() { r.check(db.Close()) })
	r.tokens, err = identity.NewTokens(bytes.Repeat([]byte{7}, 32), ids.Source{})
	r.check(err)
	r.gate, err = gate.New(gate.Deps{Store: db, Trail: r, Directory: r, Clock: r.clock}, New(Deps{Roles: r, Tokens: r.tokens}).Unit())
	r.check(err)
	return r
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// Role is the roles that there are.
func (r *rig) Role(_ context.Context, roleARN string) (Role, bool, error) {
	role, ok := r.roles[roleARN]
	return role, ok, nil
}

// The trail: STS changes nothing, so all its records are notes.
func (r *rig) Append(*store.Tx, *gate.Record) error {
	r.Error("STS changed something")
	return nil
}

func (r *rig) Note(rec *gate.Record) error {
	r.notes = append(r.notes, rec)
	return nil
}

func (r *rig) Space() string { return "audit" }

// The directory.
func (r *rig) Version() uint64 { return 0 }

func (r *rig) Grant(p identity.Principal) (gate.Grant, error) {
	kinds := map[identity.Kind]string{identity.KindUser: policy.User, identity.KindAssumedRole: policy.AssumedRole, identity.KindService: policy.Service}
	g := gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: kinds[p.Kind()], UserID: p.UserID(), RoleARN: p.RoleARN(),
		SessionName: p.SessionName(), Service: p.ServiceName(), Tags: p.Tags()}}
	if doc := r.policies[p.ARN()]; doc != "" {
		parsed, err := policy.Parse([]byte(doc), policy.Identity, policy.Options{})
		r.check(err)
		g.Set.Identity = []policy.Attached{{Policy: parsed, Where: "the test's"}}
	}
	return g, nil
}

func (r *rig) as(p identity.Principal) sts.Client {
	return sts.Client{Caller: gate.Client{Gate: r.gate, Principal: p, Region: "eu-west-1"}}
}

func (r *rig) session(s identity.Session) identity.Principal {
	r.Helper()
	s.Issued, s.Expires = r.clock.Now(), r.clock.Now().Add(time.Hour)
	p, err := s.Principal()
	r.check(err)
	return p
}

func (r *rig) user(account, name string) identity.Principal {
	return r.session(identity.Session{Kind: identity.KindUser, Account: account, UserName: name, UserARN: "arn:aws:iam::" + account + ":user/" + name, UserID: "AIDA" + name})
}

// role makes a role of the account and gives its ARN.
func (r *rig) role(name, trust string) string {
	roleARN := "arn:aws:iam::" + account + ":role/" + name
	r.roles[roleARN] = Role{ARN: roleARN, Account: account, Name: name, ID: "AROA" + name, Trust: trust, MaxSession: 7200}
	return roleARN
}

// trusting is a trust policy of one statement.
func trusting(principal, actions, condition string) string {
	s := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + `}]}`
}

const (
	assume = `"sts:AssumeRole"`
	mayAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`
)

// open is the session that credentials stand for.
func (r *rig) open(c *sts.Credentials) identity.Session {
	r.Helper()
	s, secret, err := r.tokens.Open(c.AccessKeyId, c.SessionToken, r.clock.Now())
	r.check(err)
	if secret != c.SecretAccessKey || !s.Expires.Equal(c.Expiration) {
		r.Errorf("the token has another secret or end than the answer")
	}
	return s
}

func (r *rig) kind(err error, kind awserr.Kind) {
	r.Helper()
	if e, ok := err.(*awserr.Error); !ok || e.Kind != kind {
		r.Errorf("got %v, want an error of the kind %v", err, kind)
	}
}

// TestTrust: who may assume a role is the trust policy's to say, and for other accounts also the
// caller's own policies'.
func TestTrust(t *testing.T) {
	ann := `{"AWS":"arn:aws:iam::123456789012:user/ann"}`
	for _, c := range []struct {
		name, trust, policy string
		account             string
		input               sts.AssumeRoleInput
		want                bool
	}{
		{"named", trusting(ann, assume, ""), "", account, sts.AssumeRoleInput{}, true},
		{"the account, without a policy of the caller's", trusting(`{"AWS":"123456789012"}`, assume, ""), "", account, sts.AssumeRoleInput{}, false},
		{"the account, with one", trusting(`{"AWS":"123456789012"}`, assume, ""), mayAll, account, sts.AssumeRoleInput{}, true},
		{"somebody else", trusting(`{"AWS":"arn:aws:iam::123456789012:user/bob"}`, assume, ""), mayAll, account, sts.AssumeRoleInput{}, false},
		{"a service", trusting(`{"Service":"lambda.amazonaws.com"}`, assume, ""), mayAll, account, sts.AssumeRoleInput{}, false},
		{"another action", trusting(ann, `"sts:TagSession"`, ""), mayAll, account, sts.AssumeRoleInput{}, false},
		{"another account, named by one side only", trusting(`{"AWS":"210987654321"}`, assume, ""), "", other, sts.AssumeRoleInput{}, false},
		{"another account, by the other side only", trusting(ann, assume, ""), mayAll, other, sts.AssumeRoleInput{}, false},
		{"another account, by both", trusting(`{"AWS":"210987654321"}`, assume, ""), mayAll, other, sts.AssumeRoleInput{}, true},
		{"external id", trusting(ann, assume, `{"StringEquals":{"sts:ExternalId":"blue"}}`), "", account, sts.AssumeRoleInput{ExternalId: new("blue")}, true},
		{"another external id", trusting(ann, assume, `{"StringEquals":{"sts:ExternalId":"blue"}}`), "", account, sts.AssumeRoleInput{ExternalId: new("red")}, false},
		{"no external id", trusting(ann, assume, `{"StringEquals":{"sts:ExternalId":"blue"}}`), "", account, sts.AssumeRoleInput{}, false},
		{"session name", trusting(ann, assume, `{"StringEquals":{"sts:RoleSessionName":"${aws:username}"}}`), "", account, sts.AssumeRoleInput{RoleSessionName: "ann"}, true},
		{"another session name", trusting(ann, assume, `{"StringEquals":{"sts:RoleSessionName":"${aws:username}"}}`), "", account, sts.AssumeRoleInput{RoleSessionName: "bob"}, false},
		{"tags without TagSession", trusting(ann, assume, ""), "", account, sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "a", Value: "b"}}}, false},
		{"tags with it", trusting(ann, `["sts:AssumeRole","sts:TagSession"]`, ""), "", account, sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "a", Value: "b"}}}, true},
		{"another tag than allowed", trusting(ann, `["sts:AssumeRole","sts:TagSession"]`, `{"StringEquals":{"aws:RequestTag/a":"c"}}`), "", account, sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "a", Value: "b"}}}, false},
		{"source identity without its action", trusting(ann, assume, ""), "", account, sts.AssumeRoleInput{SourceIdentity: new("ann")}, false},
		{"with it", trusting(ann, `["sts:AssumeRole","sts:SetSourceIdentity"]`, `{"StringEquals":{"sts:SourceIdentity":"ann"}}`), "", account, sts.AssumeRoleInput{SourceIdentity: new("ann")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			who := r.user(c.account, "ann")
			r.policies[who.ARN()] = c.policy
			c.input.RoleArn = r.role("app", c.trust)
			if c.input.RoleSessionName == "" {
				c.input.RoleSessionName = "session"
			}
			out, err := r.as(who).AssumeRole(t.Context(), &c.input)
			if !c.want {
				r.kind(err, awserr.AccessDenied)
				if len(r.notes) != 1 || r.notes[0].Explanation == nil {
					t.Errorf("the refusal is recorded with its explanation: %+v", r.notes)
				}
				return
			}
			r.check(err)
			if out.AssumedRoleUser.Arn != "arn:aws:sts::123456789012:assumed-role/app/"+c.input.RoleSessionName {
				t.Errorf("assumed %+v", out.AssumedRoleUser)
			}
			if s := r.open(out.Credentials); s.RoleID != "AROAapp" || s.Account != account {
				t.Errorf("session %+v", s)
			}
		})
	}
}

// TestUnknownRoleLooksUntrusting: nobody learns which roles there are.
func TestUnknownRoleLooksUntrusting(t *testing.T) {
	r := newRig(t)
	ann := r.user(account, "ann")
	r.policies[ann.ARN()] = mayAll
	there := r.role("app", trusting(`{"AWS":"arn:aws:iam::123456789012:user/bob"}`, assume, ""))
	message := func(roleARN string) string {
		_, err := r.as(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: roleARN, RoleSessionName: "session"})
		r.kind(err, awserr.AccessDenied)
		return strings.ReplaceAll(err.Error(), roleARN, "ROLE")
	}
	if a, b := message(there), message("arn:aws:iam::123456789012:role/none"); a != b {
		t.Errorf("told apart:\n%s\n%s", a, b)
	}
	_, err := r.as(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: "this is not an ARN at all", RoleSessionName: "session"})
	r.kind(err, awserr.Validation)
	root := r.session(identity.Session{Kind: identity.KindRoot, Account: account, UserARN: "arn:aws:iam::123456789012:root", UserID: account})
	_, err = r.as(root).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: there, RoleSessionName: "session"})
	r.kind(err, awserr.AccessDenied)
}

func TestDurations(t *testing.T) {
	r := newRig(t)
	trust := trusting(`{"AWS":["123456789012","arn:aws:iam::123456789012:user/ann"]}`, assume, "")
	app := r.role("app", trust)
	ann := r.user(account, "ann")
	chained := r.session(identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::123456789012:role/first", RoleID: "AROAFIRST", Name: "session"})
	r.policies[chained.ARN()] = mayAll
	for _, c := range []struct {
		name  string
		who   identity.Principal
		asked *int32
		want  time.Duration // 0: refused
	}{
		{"an hour by default", ann, nil, time.Hour},
		{"what is asked", ann, new(int32(900)), 15 * time.Minute},
		{"up to the role's most", ann, new(int32(7200)), 2 * time.Hour},
		{"no more than that", ann, new(int32(7201)), 0},
		{"a role of a role: an hour", chained, new(int32(3600)), time.Hour},
		{"and no more", chained, new(int32(3601)), 0},
		{"less than fifteen minutes", ann, new(int32(899)), 0},
	} {
		out, err := r.as(c.who).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "session", DurationSeconds: c.asked})
		if c.want == 0 {
			r.kind(err, awserr.Validation)
			continue
		}
		r.check(err)
		if got := out.Credentials.Expiration.Sub(r.clock.Now()); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSessionPolicies go into the session, well-formed.
func TestSessionPolicies(t *testing.T) {
	r := newRig(t)
	app := r.role("app", trusting(`{"AWS":"arn:aws:iam::123456789012:user/ann"}`, assume, ""))
	ann := r.user(account, "ann")
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	out, err := r.as(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "session", Policy: &doc,
		PolicyArns: []sts.PolicyDescriptorType{{Arn: new("arn:aws:iam::aws:policy/ReadOnlyAccess")}}})
	r.check(err)
	if s := r.open(out.Credentials); len(s.Policies) != 1 || s.Policies[0] != doc || len(s.PolicyARNs) != 1 {
		t.Errorf("session %+v", s)
	}
	_, err = r.as(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "session", Policy: new("{}")})
	if !awserr.Is(err, "MalformedPolicyDocument") {
		t.Errorf("got %v", err)
	}
	_, err = r.as(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "session", SerialNumber: new("arn:aws:iam::123456789012:mfa/a"), TokenCode: new("123456")})
	r.kind(err, awserr.NotImplemented)
	_, err = r.as(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "session",
		ProvidedContexts: []sts.ProvidedContext{{ProviderArn: new("arn:aws:iam::aws:contextProvider/IdentityCenter"), ContextAssertion: new("signed")}}})
	if r.kind(err, awserr.NotImplemented); !strings.Contains(err.Error(), "ProvidedContexts") {
		t.Errorf("got %v", err)
	}
}

// TestTagsAndChains: a session has its role's tags and its own; transitive ones and the source
// identity go on through every role of a chain, and nobody on the way can change them.
func TestTagsAndChains(t *testing.T) {
	r := newRig(t)
	all := trusting(`{"AWS":["arn:aws:iam::123456789012:user/ann","123456789012"]}`, `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, "")
	first, second, third := r.role("first", all), r.role("second", all), r.role("third", all)
	role := r.roles[first]
	role.Tags = map[string]string{"team": "blue", "cost": "7"}
	r.roles[first] = role
	step := func(who identity.Principal, roleARN string, in sts.AssumeRoleInput) (identity.Principal, identity.Session) {
		t.Helper()
		r.policies[who.ARN()] = mayAll
		in.RoleArn, in.RoleSessionName = roleARN, "session"
		out, err := r.as(who).AssumeRole(t.Context(), &in)
		r.check(err)
		s := r.open(out.Credentials)
		p, err := s.Principal()
		r.check(err)
		return p, s
	}
	p1, s1 := step(r.user(account, "ann"), first, sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "cost", Value: "8"}, {Key: "user", Value: "ann"}}, TransitiveTagKeys: []string{"user"}, SourceIdentity: new("ann")})
	if s1.Tags["team"] != "blue" || s1.Tags["cost"] != "8" || s1.Tags["user"] != "ann" || s1.SourceIdentity != "ann" {
		t.Errorf("first session %+v", s1)
	}
	p2, s2 := step(p1, second, sts.AssumeRoleInput{Tags: []sts.Tag{{Key: "user", Value: "eve"}, {Key: "own", Value: "x"}}})
	if s2.Tags["user"] != "ann" || s2.Tags["own"] != "x" || s2.Tags["team"] != "" || s2.SourceIdentity != "ann" {
		t.Errorf("second session %+v", s2)
	}
	_, s3 := step(p2, third, sts.AssumeRoleInput{SourceIdentity: new("ann")})
	if s3.Tags["user"] != "ann" || s3.Tags["own"] != "" || s3.SourceIdentity != "ann" {
		t.Errorf("third session %+v", s3)
	}
	_, err := r.as(p2).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: third, RoleSessionName: "session", SourceIdentity: new("eve")})
	r.kind(err, awserr.AccessDenied)
	r.role("third", trusting(`{"AWS":"123456789012"}`, assume, ""))
	_, err = r.as(p2).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: third, RoleSessionName: "session"})
	r.kind(err, awserr.AccessDenied) // a role must let a source identity in, also one that was set before
}

// TestServiceAssumes: a service's session says who invoked it, and Lambda's for which function.
func TestServiceAssumes(t *testing.T) {
	r := newRig(t)
	app := r.role("app", trusting(`{"Service":"lambda.amazonaws.com"}`, assume, `{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:*:123456789012:function:f"}}`))
	c := gate.Client{Gate: r.gate, Principal: identity.Service("lambda.amazonaws.com", account), Region: "eu-west-1", Account: account,
		SourceARN: "arn:aws:lambda:eu-west-1:123456789012:function:f", SourceAccount: account}
	out, err := sts.Client{Caller: c}.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "function"})
	r.check(err)
	if s := r.open(out.Credentials); s.InvokedBy != "lambda.amazonaws.com" || s.SourceFunctionID != c.SourceARN {
		t.Errorf("session %+v", s)
	}
	c.SourceARN = "arn:aws:lambda:eu-west-1:123456789012:function:g"
	_, err = sts.Client{Caller: c}.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: app, RoleSessionName: "function"})
	r.kind(err, awserr.AccessDenied)
}

// keyed is somebody with a long-term key, whose request was signed and verified.
func (r *rig) keyed(c identity.Credential) identity.Principal {
	r.Helper()
	c.Secret, c.Active, c.Account = "secret", true, account
	ring := &identity.Keyring{Directory: keys{c}, Tokens: r.tokens}
	req := httptest.NewRequest(http.MethodPost, "http://localhost:4566/", strings.NewReader(""))
	r.check(sigv4.NewSigner(sigv4.Signing{Credentials: sigv4.Credentials{AccessKeyID: "AKIAEXAMPLE000000000", SecretAccessKey: c.Secret},
		Region: "eu-west-1", Service: "sts", Clock: r.clock}).Sign(req, []byte{}))
	v, err := sigv4.New(sigv4.Options{Keys: ring, Clock: r.clock}).Verify(req, []byte{}, sigv4.SigningOptions{Services: []string{"sts"}})
	r.check(err)
	p, err := identity.Of(v)
	r.check(err)
	return p
}

// keys is a directory of one.
type keys struct{ c identity.Credential }

func (k keys) Lookup(string) (identity.Credential, bool) { return k.c, true }

func TestGetSessionToken(t *testing.T) {
	r := newRig(t)
	ann := r.keyed(identity.Credential{ARN: "arn:aws:iam::123456789012:user/ann", UserID: "AIDAANN", UserName: "ann"})
	root := r.keyed(identity.Credential{ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true})
	for _, c := range []struct {
		name  string
		who   identity.Principal
		asked *int32
		want  time.Duration
	}{
		{"a user, twelve hours", ann, nil, 12 * time.Hour},
		{"a user, as asked", ann, new(int32(900)), 15 * time.Minute},
		{"the account, an hour", root, nil, time.Hour},
		{"the account, no more than an hour", root, new(int32(43200)), time.Hour},
	} {
		out, err := r.as(c.who).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: c.asked})
		r.check(err)
		s := r.open(out.Credentials)
		if got := s.Expires.Sub(r.clock.Now()); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if p, err := s.Principal(); err != nil || p.ARN() != c.who.ARN() || p.UserID() != c.who.UserID() || !p.Temporary() || p.MFA() {
			t.Errorf("%s: the session is of %v (%v)", c.name, p, err)
		}
	}
	_, err := r.as(ann).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: new("arn:aws:iam::123456789012:mfa/a"), TokenCode: new("123456")})
	r.kind(err, awserr.NotImplemented)
	role := r.session(identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::123456789012:role/app", RoleID: "AROAAPP", Name: "session"})
	for _, who := range []identity.Principal{role, r.user(account, "ann"), identity.Service("lambda.amazonaws.com", account)} {
		_, err := r.as(who).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
		r.kind(err, awserr.AccessDenied)
	}
}

func TestGetCallerIdentity(t *testing.T) {
	r := newRig(t)
	role := r.session(identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::123456789012:role/app", RoleID: "AROAAPP", Name: "session"})
	out, err := r.as(role).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	r.check(err)
	if *out.Arn != "arn:aws:sts::123456789012:assumed-role/app/session" || *out.Account != account || *out.UserId != "AROAAPP:session" {
		t.Errorf("caller %s %s %s", *out.Arn, *out.Account, *out.UserId)
	}
	if len(r.notes) != 1 || r.notes[0].Op != sts.OpGetCallerIdentity {
		t.Errorf("records %+v", r.notes)
	}
}
