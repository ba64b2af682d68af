// Package gatetest is a real door for the tests of a service: a gate over a store of its own whose
// every closure runs twice, a clock that stands, and one caller whose policy the test sets.
//
//	d := gatetest.Open(t)
//	d.Serve(service.Unit())
//	client := api.Client{Caller: d.Session()}
//	gatetest.Refused(t, err, "NotFoundException", "no such thing")
package gatetest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Where the caller is.
const (
	Account = "123456789012"
	Region  = "eu-west-1"
)

// Door is a gate with one caller, a role's session, who at first may do everything.
type Door struct {
	DB    *store.DB
	Clock *clock.Manual

	t        testing.TB
	gate     *gate.Gate
	policies policies
}

// Open makes the door's store; Serve makes the gate.
func Open(t testing.TB) *Door {
	t.Helper()
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Clock: clk, RunTwice: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &Door{DB: db, Clock: clk, t: t}
	d.Allow(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	return d
}

// Serve opens the gate with these tables.
func (d *Door) Serve(units ...gate.Unit) {
	d.t.Helper()
	var err error
	if d.gate, err = gate.New(gate.Deps{Store: d.DB, Trail: trail{}, Directory: &d.policies, Clock: d.Clock, IDs: ids.Source{}}, units...); err != nil {
		d.t.Fatal(err)
	}
}

// Session is a client of the caller's.
func (d *Door) Session() gate.Client {
	d.t.Helper()
	who, err := identity.Session{Kind: identity.KindAssumedRole, Account: Account, RoleARN: "arn:aws:iam::" + Account + ":role/deploy", RoleID: "AROAEXAMPLE",
		Name: "session", Issued: d.Clock.Now(), Expires: d.Clock.Now().Add(time.Hour)}.Principal()
	if err != nil {
		d.t.Fatal(err)
	}
	return gate.Client{Gate: d.gate, Principal: who, Region: Region}
}

// Allow gives the caller this policy in place of the one before.
func (d *Door) Allow(doc string) {
	d.t.Helper()
	p, err := policy.Parse([]byte(doc), policy.Identity)
	if err != nil {
		d.t.Fatal(err)
	}
	d.policies.mu.Lock()
	defer d.policies.mu.Unlock()
	d.policies.p = p
	d.policies.n++
}

// policies gives everybody one.
type policies struct {
	mu sync.Mutex
	p  *policy.Policy
	n  uint64
}

func (d *policies) Version() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

func (d *policies) Grant(p identity.Principal) (gate.Grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.AssumedRole, RoleARN: p.RoleARN()},
		Set: policy.Set{Identity: []policy.Attached{{Policy: d.p, Where: "the test's policy"}}}, Version: d.n}, nil
}

// trail keeps records of changes with the changes.
type trail struct{}

func (trail) Space() string { return "trail" }

func (trail) Append(tx *store.Tx, r *gate.Record) error {
	return store.NewTable[string]("trail", "records").Put(tx, store.K(tx.NextSeq()), r.RequestID)
}

func (trail) Note(*gate.Record) error { return nil }

// Refused checks an error's code, or kind, and a part of its message.
func Refused(t testing.TB, err error, code, part string) {
	t.Helper()
	if err == nil {
		t.Errorf("done, but %s was wanted", code)
		return
	}
	e := awserr.Wrap(err)
	got := e.Code
	if got == "" {
		got = e.Kind.String()
	}
	if got != code || !strings.Contains(e.Message, part) {
		t.Errorf("refused with %s: %s; wanted %s: %s", got, e.Message, code, part)
	}
}

var _ gate.Directory = (*policies)(nil)
