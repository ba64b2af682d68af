package gate

import (
	"context"
	"crypto/ed25519"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
)

// A service of notes: small enough to see through, with every kind of access.
type (
	noteInput struct {
		Name   string  `wire:"Name" opt:"required" min:"1"`
		Text   *string `wire:"Text"`
		Secret *string `wire:"Secret" opt:"sensitive"`
	}
	noteOutput struct {
		Text *string `wire:"Text"`
	}
	note struct {
		Text   string
		Policy string // the note's own policy
	}
)

var notes = store.NewTable[note]("notes", "notes")

func noteKey(name string) store.Key { return store.K(account, region, name) }

// model is the service's model: PutNote, GetNote, RunNote.
func model() (svc *wire.Service, put, get, run *wire.Operation) {
	op := func(name string) *wire.Operation {
		return &wire.Operation{Name: name, Method: "POST", Status: 200, In: reflect.TypeFor[noteInput](), Out: reflect.TypeFor[noteOutput](),
			NewIn: func() any { return new(noteInput) }, Sensitive: []string{"Secret"}}
	}
	put, get, run = op("PutNote"), op("GetNote"), op("RunNote")
	return wire.NewService(wire.Service{ID: "notes", SigningName: "notes", EventSource: "notes.amazonaws.com", ActionPrefix: "notes",
		Protocol: wire.JSON, APIVersion: "2030-01-01", TargetPrefix: "Notes", JSONVersion: "1.1", Operations: []*wire.Operation{put, get, run}}), put, get, run
}

// rig is the door over the notes, on the real store and the real trail. Every closure runs twice.
// What an operation needs and does can be replaced before it is called.
type rig struct {
	testing.TB
	gate          *Gate
	db            *store.DB
	audit         *audit.Trail
	clock         *clock.Manual
	dir           *directory
	svc           *wire.Service
	put, get, run *wire.Operation

	needs  func(*Ask, *noteInput) ([]Need, error)
	handle map[string]func(*Call, *noteInput) (*noteOutput, error)
}

func newRig(t testing.TB) *rig { return newRigOn(t, store.Options{RunTwice: true}, nil) }

// newRigOn lets a test look at the trail on its way to the store.
func newRigOn(t testing.TB, opt store.Options, around func(Trail) Trail) *rig {
	t.Helper()
	r := &rig{TB: t, clock: clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)), dir: newDirectory()}
	opt.Dir, opt.Clock = t.TempDir(), r.clock
	var err error
	if r.db, err = store.Open(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.audit, err = audit.New(r.db, audit.Options{Node: "test", Key: key}); err != nil {
		t.Fatal(err)
	}
	way := NewTrail(r.audit)
	if around != nil {
		way = around(way)
	}
	r.svc, r.put, r.get, r.run = model()
	r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
		return []Need{{Action: "notes:" + a.op.Wire.Name, Resource: a.ARN("note/" + in.Name)}}, nil
	}
	r.handle = map[string]func(*Call, *noteInput) (*noteOutput, error){"PutNote": putNote, "GetNote": getNote, "RunNote": getNote}
	if r.gate, err = New(Deps{Store: r.db, Trail: way, Directory: r.dir, Clock: r.clock, IDs: ids.Source{}}, Unit{Model: r.svc, Ops: r.ops()}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) ops() []Op {
	on := func(op *wire.Operation, a Access) Op {
		return On(op, a, func(a *Ask, in *noteInput) ([]Need, error) { return r.needs(a, in) },
			func(c *Call, in *noteInput) (*noteOutput, error) { return r.handle[op.Name](c, in) })
	}
	return []Op{on(r.put, Write), on(r.get, Read), on(r.run, Invoke)}
}

func putNote(c *Call, in *noteInput) (*noteOutput, error) {
	return Commit(c, func(tx *store.Tx) (*noteOutput, error) {
		return &noteOutput{Text: in.Text}, notes.Put(tx, noteKey(in.Name), note{Text: wire.Val(in.Text)})
	})
}

func getNote(c *Call, in *noteInput) (*noteOutput, error) {
	var n note
	err := c.View(func(tx *store.Tx) (err error) {
		n, _, err = notes.Get(tx, noteKey(in.Name))
		return err
	})
	return &noteOutput{Text: &n.Text}, err
}

// do passes one call through the door.
func (r *rig) do(who identity.Principal, op *wire.Operation, in *noteInput) (*noteOutput, error) {
	r.Helper()
	return r.enter(Entry{Principal: who, Region: region}, op, in)
}

func (r *rig) enter(e Entry, op *wire.Operation, in *noteInput) (*noteOutput, error) {
	r.Helper()
	var err error
	if e.In, err = op.Accept(in); err != nil {
		r.Fatal(err)
	}
	out, err := r.gate.Do(context.Background(), e)
	if err != nil {
		return nil, err
	}
	return out.(*noteOutput), nil
}

// stored is the text of a note, "" where there is none.
func (r *rig) stored(name string) string {
	r.Helper()
	var n note
	if err := r.db.View(context.Background(), store.In("notes"), func(tx *store.Tx) (err error) {
		n, _, err = notes.Get(tx, noteKey(name))
		return err
	}); err != nil {
		r.Fatal(err)
	}
	return n.Text
}

// keep writes a note behind the door, as another process of the service would.
func (r *rig) keep(name string, n note) {
	r.Helper()
	if err := r.db.Update(context.Background(), store.In("notes"), func(tx *store.Tx) error { return notes.Put(tx, noteKey(name), n) }); err != nil {
		r.Fatal(err)
	}
}

// records are the trail's so far, oldest first.
func (r *rig) records() []audit.Record {
	r.Helper()
	if err := r.audit.Flush(context.Background()); err != nil {
		r.Fatal(err)
	}
	var out []audit.Record
	for rec, err := range r.audit.Query(context.Background(), audit.Filter{}) {
		if err != nil {
			r.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

// refused wants a refusal of one kind.
func (r *rig) refused(err error, kind awserr.Kind) *awserr.Error {
	r.Helper()
	e, ok := err.(*awserr.Error)
	if !ok || e.Kind != kind {
		r.Fatalf("got %v, want an error of the kind %v", err, kind)
	}
	return e
}

// user is somebody with a long-term key; role is a session of a role.
func (r *rig) user(name string) identity.Principal {
	return r.session(identity.Session{Kind: identity.KindUser, Account: account, UserName: name, UserID: "AIDA" + name,
		UserARN: "arn:aws:iam::" + account + ":user/" + name})
}

func (r *rig) role(name string) identity.Principal {
	return r.session(identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::" + account + ":role/" + name,
		RoleID: "AROA" + name, Name: "session", SourceIdentity: "ann"})
}

func (r *rig) session(s identity.Session) identity.Principal {
	r.Helper()
	s.Issued, s.Expires = r.clock.Now(), r.clock.Now().Add(time.Hour)
	p, err := s.Principal()
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// directory is the policies of principals by their ARN.
type directory struct {
	mu      sync.Mutex
	grants  map[string]policy.Set
	version uint64
}

func newDirectory() *directory { return &directory{grants: map[string]policy.Set{}} }

// grant gives a principal its one identity policy; "" takes it away.
func (d *directory) grant(t testing.TB, who identity.Principal, doc string) {
	t.Helper()
	var set policy.Set
	if doc != "" {
		set.Identity = []policy.Attached{{Policy: parsed(t, policy.Identity, doc), Name: "own", Where: "policy of the test"}}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.grants[who.ARN()] = set
	d.version++
}

func parsed(t testing.TB, kind policy.Kind, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), kind, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (d *directory) Version() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.version
}

func (d *directory) Grant(p identity.Principal) (Grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kind := policy.User
	if p.Kind() == identity.KindAssumedRole {
		kind = policy.AssumedRole
	}
	if p.Kind() == identity.KindService {
		kind = policy.Service
	}
	return Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: kind, UserID: p.UserID(), RoleARN: p.RoleARN(),
		Service: p.ServiceName(), Tags: p.Tags()}, Set: d.grants[p.ARN()], Version: d.version}, nil
}

// mayAll allows everything on notes.
const mayAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"notes:*","Resource":"*"}]}`

func names(records []audit.Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, r.EventName+"/"+r.ErrorCode)
	}
	return out
}

// wantNames compares a trail with "event/error code" for each record, in any order: noted and
// committed records are not ordered among each other.
func (r *rig) wantNames(want ...string) {
	r.Helper()
	got := map[string]int{}
	for _, n := range names(r.records()) {
		got[n]++
	}
	for _, n := range want {
		got[n]--
	}
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	if len(got) > 0 {
		r.Errorf("records %v, want %v", names(r.records()), slices.Sorted(slices.Values(want)))
	}
}

var _ Directory = (*directory)(nil)
