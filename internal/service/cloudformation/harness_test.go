package cloudformation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
)

// rig is the service behind the real gate and store, over things that it can make. Every closure
// runs twice.
type rig struct {
	*testing.T
	db      *store.DB
	sealer  *sealing.Sealer
	service *Service
	gate    *gate.Gate
	trail   *trail
	clock   *clock.Manual
	dir     *directory
	who     identity.Principal
	things  *things
	roles   *roles
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
	root, err := sealing.NewRootKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := sealing.Open(t.Context(), db, root)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, db: db, sealer: sealer, clock: clk, dir: &directory{}, things: &things{made: map[string]string{}}, roles: &roles{},
		trail: &trail{table: store.NewTable[string]("trail", "records")}}
	r.dir.allow(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudformation:*","iam:PassRole"],"Resource":"*"}]}`)
	r.restart()
	r.who = r.session(time.Hour)
	return r
}

func (r *rig) session(lasts time.Duration) identity.Principal {
	r.Helper()
	p, err := identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::" + account + ":role/deployer", RoleID: "AROAEXAMPLE",
		Name: "session", Issued: r.clock.Now(), Expires: r.clock.Now().Add(lasts)}.Principal()
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// restart makes the service anew over the same database, as after a crash.
func (r *rig) restart() {
	r.Helper()
	types, err := deploy.NewTypes(r.things.resource())
	if err != nil {
		r.Fatal(err)
	}
	r.service = New(Deps{Sealer: r.sealer, Types: types, Roles: r.roles})
	r.gate, err = gate.New(gate.Deps{Store: r.db, Trail: r.trail, Directory: r.dir, Clock: r.clock, IDs: ids.Source{}}, r.service.Unit())
	if err != nil {
		r.Fatal(err)
	}
	r.roles.gate = r.gate
}

func (r *rig) client() api.Client {
	return api.Client{Caller: gate.Client{Gate: r.gate, Principal: r.who, Region: region}}
}

// work carries out what is queued until nothing is, or the context ends.
func (r *rig) work(ctx context.Context) {
	r.Helper()
	queue := r.service.job(r.gate, "Operations", place{})
	for ctx.Err() == nil {
		r.clock.Advance(time.Second)
		found, err := r.service.claim(ctx, queue, r.clock, 10)
		if err != nil {
			r.Fatal(err)
		}
		if len(found) == 0 {
			return
		}
		for _, m := range found {
			r.service.attend(ctx, queue, r.clock, m)
		}
	}
}

// make creates a stack, carries that out and returns the stack.
func (r *rig) make(name, body string, params ...string) api.Stack {
	r.Helper()
	if _, err := r.client().CreateStack(r.Context(), &api.CreateStackInput{StackName: name, TemplateBody: &body, Parameters: parameters(params)}); err != nil {
		r.Fatal(err)
	}
	r.work(r.Context())
	return r.stack(name)
}

func (r *rig) stack(name string) api.Stack {
	r.Helper()
	out, err := r.client().DescribeStacks(r.Context(), &api.DescribeStacksInput{StackName: &name})
	if err != nil {
		r.Fatal(err)
	}
	return out.Stacks[0]
}

func (r *rig) update(name, body string, params ...string) error {
	r.Helper()
	_, err := r.client().UpdateStack(r.Context(), &api.UpdateStackInput{StackName: name, TemplateBody: &body, Parameters: parameters(params)})
	if err == nil {
		r.work(r.Context())
	}
	return err
}

func (r *rig) delete(name string) {
	r.Helper()
	if _, err := r.client().DeleteStack(r.Context(), &api.DeleteStackInput{StackName: name}); err != nil {
		r.Fatal(err)
	}
	r.work(r.Context())
}

// history is a stack's events, oldest first.
func (r *rig) history(name string) string {
	r.Helper()
	out, err := r.client().DescribeStackEvents(r.Context(), &api.DescribeStackEventsInput{StackName: name})
	if err != nil {
		r.Fatal(err)
	}
	var lines []string
	for _, e := range out.StackEvents {
		lines = append([]string{*e.LogicalResourceId + " " + *e.ResourceStatus}, lines...)
	}
	return strings.Join(lines, "\n")
}

func parameters(kv []string) []api.Parameter {
	var out []api.Parameter
	for _, p := range kv {
		k, v, _ := strings.Cut(p, "=")
		out = append(out, api.Parameter{ParameterKey: &k, ParameterValue: &v})
	}
	return out
}

func (r *rig) refused(err error, code, message string) {
	r.Helper()
	e, ok := errors.AsType[*awserr.Error](err)
	if !ok || e.Code != code && e.Kind.String() != code || !strings.Contains(e.Message, message) {
		r.Errorf("got %v, wanted %s: %s", err, code, message)
	}
}

// things are what the templates of these tests make: through the door, one call each, so that the
// deploying principal's rights decide.
type things struct {
	mu     sync.Mutex
	made   map[string]string // physical id → value
	who    []string          // who made each
	before func(verb, logicalID string) error
}

func (w *things) resource() gate.Resource {
	return gate.Resource{Type: "Test::Door::Thing", Attributes: []string{"Value"}, Properties: []string{"Name", "Value", "Fail"}, Replace: []string{"Name"},
		Create: func(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
			id := m.Name
			if props["Name"] != nil {
				id = fmt.Sprint(props["Name"])
			}
			err := w.act(ctx, "create", m, props, func() { w.made[id] = fmt.Sprint(props["Value"]) })
			if err != nil {
				return gate.Made{}, err
			}
			return gate.Made{ID: id, Attributes: map[string]any{"Value": props["Value"]}}, nil
		},
		Update: func(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
			err := w.act(ctx, "update", m, after, func() { w.made[id] = fmt.Sprint(after["Value"]) })
			return gate.Made{ID: id, Attributes: map[string]any{"Value": after["Value"]}}, err
		},
		Delete: func(ctx context.Context, m gate.Making, id string, props map[string]any) error {
			return w.act(ctx, "delete", m, nil, func() { delete(w.made, id) })
		},
	}
}

func (w *things) act(ctx context.Context, verb string, m gate.Making, props map[string]any, do func()) error {
	if w.before != nil {
		if err := w.before(verb, m.LogicalID); err != nil {
			return err
		}
	}
	if _, err := (api.Client{Caller: m}).ListExports(ctx, &api.ListExportsInput{}); err != nil {
		return err
	}
	if props["Fail"] != nil {
		return awserr.New("Refused", 400, "the value %v is refused", props["Fail"])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
	return nil
}

func (w *things) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, err := json.Marshal(w.made)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// roles lets CloudFormation into one role.
type roles struct {
	gate  *gate.Gate
	asked []string
}

func (a *roles) Assume(_ context.Context, acct, reg, roleARN, stackID string) (wire.Caller, error) {
	a.asked = append(a.asked, roleARN)
	if !strings.HasSuffix(roleARN, "role/trusting") {
		return nil, awserr.Of(awserr.AccessDenied, "not trusted")
	}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	p, err := identity.Session{Kind: identity.KindAssumedRole, Account: acct, RoleARN: roleARN, RoleID: "AROATRUSTING", Name: "AWSCloudFormation",
		Issued: now, Expires: now.Add(time.Hour)}.Principal()
	return gate.Client{Gate: a.gate, Principal: p, Region: reg}, err
}

// trail keeps records in the store, as the audit does, and notes in memory.
type trail struct {
	mu      sync.Mutex
	table   store.Table[string]
	records []*gate.Record
}

func (l *trail) Space() string { return "trail" }

func (l *trail) Append(tx *store.Tx, r *gate.Record) error {
	tx.AfterCommit(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.records = append(l.records, r)
	})
	return l.table.Put(tx, store.K(tx.NextSeq()), r.RequestID)
}

func (l *trail) Note(r *gate.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return nil
}

// directory holds one policy for everybody, and others for single roles.
type directory struct {
	mu      sync.Mutex
	policy  *policy.Policy
	roles   map[string]*policy.Policy
	version uint64
}

func compiled(t testing.TB, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), policy.Identity, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (d *directory) allow(t testing.TB, doc string) {
	t.Helper()
	p := compiled(t, doc)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.policy = p
	d.version++
}

func (d *directory) Version() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.version
}

func (d *directory) Grant(p identity.Principal) (gate.Grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	allowed := d.policy
	if own := d.roles[p.RoleARN()]; own != nil {
		allowed = own
	}
	return gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: "AssumedRole", UserID: p.UserID(), RoleARN: p.RoleARN()},
		Set: policy.Set{Identity: []policy.Attached{{Policy: allowed, Where: "policy of the test"}}}, Version: d.version}, nil
}
