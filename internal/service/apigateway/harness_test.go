package apigateway

import (
	"strings"
	"sync"
	"testing"
	"time"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
	fn      = "arn:aws:lambda:eu-west-1:123456789012:function:tasks"
	fnPath  = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/" + fn + "/invocations"
)

// rig is the service behind a real gate and store. Every closure runs twice.
type rig struct {
	*testing.T
	rest.Client
	service   *Service
	directory *Directory
	policies  *policies
	db        *store.DB
}

func newRig(t *testing.T) *rig {
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
	r := &rig{T: t, service: New(Deps{}), policies: &policies{}, db: db}
	r.allow(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"apigateway:*","Resource":"*"}]}`)
	g, err := gate.New(gate.Deps{Store: db, Trail: trail{}, Directory: r.policies, Clock: clk, IDs: ids.Source{}}, r.service.Unit())
	if err != nil {
		t.Fatal(err)
	}
	who, err := identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::" + account + ":role/deploy", RoleID: "AROAEXAMPLE",
		Name: "session", Issued: clk.Now(), Expires: clk.Now().Add(time.Hour)}.Principal()
	if err != nil {
		t.Fatal(err)
	}
	r.Client = rest.Client{Caller: gate.Client{Gate: g, Principal: who, Region: region}}
	r.directory = NewDirectory(r.service, db)
	return r
}

type trail struct{}

func (trail) Space() string { return "trail" }

func (trail) Append(tx *store.Tx, r *gate.Record) error {
	return store.NewTable[string]("trail", "records").Put(tx, store.K(tx.NextSeq()), r.RequestID)
}

func (trail) Note(*gate.Record) error { return nil }

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

func (r *rig) allow(doc string) {
	p, err := policy.Parse([]byte(doc), policy.Identity)
	if err != nil {
		r.Fatal(err)
	}
	r.policies.mu.Lock()
	defer r.policies.mu.Unlock()
	r.policies.p = p
	r.policies.n++
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks an error's code, or kind, and a part of its message.
func refused(t testing.TB, err error, code, part string) {
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
