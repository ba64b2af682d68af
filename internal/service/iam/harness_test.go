package iam

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

const (
	account = "123456789012"
	other   = "210987654321"
	region  = "eu-west-1"

	anyRole = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`
	admin   = "arn:aws:iam::aws:policy/AdministratorAccess"
)

// rig is the service behind the real gate, store, sealer and trail, with its own Directory. Every
// closure runs twice. The embedded client is the account itself, which may do everything.
type rig struct {
	testing.TB
	iam.Client
	gate  *gate.Gate
	dir   *Directory
	clock *clock.Manual
	ring  *identity.Keyring
}

func newRig(t testing.TB) *rig {
	t.Helper()
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Clock: clk, RunTwice: true})
	check(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	root, err := sealing.NewRootKey(bytes.Repeat([]byte{7}, 32))
	check(t, err)
	sealer, err := sealing.Open(t.Context(), db, root)
	check(t, err)
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	trail, err := audit.New(db, audit.Options{Node: "test", Key: key})
	check(t, err)
	s, err := New(Deps{Sealer: sealer})
	check(t, err)
	tokens, err := identity.NewTokens(bytes.Repeat([]byte{9}, 32), ids.Source{})
	check(t, err)
	r := &rig{TB: t, dir: NewDirectory(s, db), clock: clk}
	r.ring = &identity.Keyring{Directory: r.dir, Tokens: tokens}
	r.gate, err = gate.New(gate.Deps{Store: db, Trail: gate.NewTrail(trail), Directory: r.dir, Principals: r.dir, Clock: clk}, s.Unit())
	check(t, err)
	r.Client = r.as(r.root(account))
	return r
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must is for steps that set the stage.
func must[Out any](r *rig) func(*Out, error) *Out {
	return func(out *Out, err error) *Out {
		r.Helper()
		check(r, err)
		return out
	}
}

func (r *rig) as(p identity.Principal) iam.Client {
	return iam.Client{Caller: gate.Client{Gate: r.gate, Principal: p, Region: region}}
}

func (r *rig) root(account string) identity.Principal {
	return r.session(identity.Session{Kind: identity.KindRoot, Account: account, UserARN: "arn:aws:iam::" + account + ":root", UserID: account})
}

func (r *rig) session(s identity.Session) identity.Principal {
	r.Helper()
	s.Issued, s.Expires = r.clock.Now(), r.clock.Now().Add(time.Hour)
	p, err := s.Principal()
	check(r, err)
	return p
}

// user makes a user with one inline policy and gives its second-factor session, which policies
// treat as they treat its key.
func (r *rig) user(name, doc string) identity.Principal {
	r.Helper()
	u := must[iam.CreateUserOutput](r)(r.CreateUser(r.Context(), &iam.CreateUserInput{UserName: name})).User
	if doc != "" {
		_, err := r.PutUserPolicy(r.Context(), &iam.PutUserPolicyInput{UserName: name, PolicyName: "own", PolicyDocument: doc})
		check(r, err)
	}
	return r.session(identity.Session{Kind: identity.KindUser, Account: account, UserName: name, UserARN: u.Arn, UserID: u.UserId, MFA: true})
}

// role makes a role with one inline policy and gives a session of it.
func (r *rig) role(name, doc string) identity.Principal {
	r.Helper()
	made := must[iam.CreateRoleOutput](r)(r.CreateRole(r.Context(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: anyRole})).Role
	if doc != "" {
		_, err := r.PutRolePolicy(r.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: "own", PolicyDocument: doc})
		check(r, err)
	}
	return r.session(identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: made.Arn, RoleID: made.RoleId, Name: "session"})
}

// may reports whether a principal may list users, the permission that these tests give and take.
func (r *rig) may(p identity.Principal) bool {
	r.Helper()
	_, err := r.as(p).ListUsers(r.Context(), &iam.ListUsersInput{})
	if e, ok := err.(*awserr.Error); ok && (e.Kind == awserr.AccessDenied || e.Kind == awserr.InvalidToken) {
		return false
	}
	check(r, err)
	return true
}

// fails wants an error of a code.
func (r *rig) fails(err error, code string) {
	r.Helper()
	if !awserr.Is(err, code) {
		r.Errorf("got %v, want %s", err, code)
	}
}

// kind wants an error of a kind.
func (r *rig) kind(err error, kind awserr.Kind) {
	r.Helper()
	if e, ok := err.(*awserr.Error); !ok || e.Kind != kind {
		r.Errorf("got %v, want an error of the kind %v", err, kind)
	}
}

// allow is a policy of one statement.
func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}
