package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	other   = "210987654321"
	region  = "eu-west-1"
	role    = "arn:aws:iam::123456789012:role/worker"
)

// rig is the service behind the real gate and store. Every closure runs twice.
type rig struct {
	testing.TB
	service *Service
	gate    *gate.Gate
	db      *store.DB
	clock   *clock.Manual
	dir     *directory
	trail   *trail
	runner  *runner
	roles   *roles
	book    *book
	chance  float64
	client  api.Client
}

func newRig(t testing.TB) *rig {
	t.Helper()
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Options{Dir: dir, Clock: clk, RunTwice: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return rigOn(t, db, clk)
}

func rigOn(t testing.TB, db *store.DB, clk *clock.Manual) *rig {
	t.Helper()
	root, err := sealing.NewRootKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := sealing.Open(t.Context(), db, root)
	if err != nil {
		t.Fatal(err)
	}
	images, err := pack.OpenStore(filepath.Join(t.TempDir(), "images"), "boot")
	if err != nil {
		t.Fatal(err)
	}
	code, err := pack.OpenStore(t.TempDir(), "boot")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, db: db, clock: clk, dir: newDirectory(t), trail: &trail{table: store.NewTable[string]("trail", "records")},
		runner: &runner{}, book: &book{groups: map[string]bool{}, streams: map[string][]string{}}}
	r.roles = &roles{book: r.book, clock: clk}
	r.service = New(Deps{Clock: clk, Sealer: sealer, Blobs: db.Blobs(), Code: code, Images: images, Changes: func() uint64 { return db.Changes(space) },
		Runner: r.runner, Arch: "x86_64", Roles: r.roles, Chance: func() float64 { return r.chance },
		URL: func(id string) string { return "http://" + id + ".lambda-url.localhost:4566/" }, Log: slog.New(slog.DiscardHandler)})
	r.gate, err = gate.New(gate.Deps{Store: db, Trail: r.trail, Directory: r.dir, Principals: r.dir, Clock: clk, IDs: ids.Source{}}, r.service.Unit(), r.service.Packages())
	if err != nil {
		t.Fatal(err)
	}
	r.roles.as = func(role string) gate.Client {
		parts := strings.Split(role, "/")
		return gate.Client{Gate: r.gate, Principal: r.session(account, parts[len(parts)-1]), Region: region}
	}
	r.client = r.as(account, "admin")
	return r
}

// as is a client of somebody whom the directory knows.
func (r *rig) as(account, name string) api.Client {
	r.Helper()
	return api.Client{Caller: gate.Client{Gate: r.gate, Principal: r.session(account, name), Region: region}}
}

// session is a role's.
func (r *rig) session(account, name string) identity.Principal {
	r.Helper()
	p, err := identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::" + account + ":role/" + name, RoleID: "AROAEXAMPLE",
		Name: "session", Issued: r.clock.Now(), Expires: r.clock.Now().Add(time.Hour)}.Principal()
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// asService is a client of a service that calls for one of its resources.
func (r *rig) asService(name, sourceARN string) api.Client {
	return api.Client{Caller: gate.Client{Gate: r.gate, Principal: identity.Service(name, account), Region: region, SourceARN: sourceARN, SourceAccount: account}}
}

// background starts the service's own work, once.
func (r *rig) background() {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.service.Run(ctx, r.gate); err != nil {
			r.Error(err)
		}
	}()
	r.Cleanup(func() { cancel(); <-done })
}

func (r *rig) create(name string, change ...func(*api.CreateFunctionInput)) *api.FunctionConfiguration {
	r.Helper()
	in := &api.CreateFunctionInput{FunctionName: name, Runtime: new("python3.12"), Role: role, Handler: new("index.handler"),
		Code: &api.FunctionCode{ZipFile: zipOf(r, "index.py", "v1")}}
	for _, c := range change {
		c(in)
	}
	out, err := r.client.CreateFunction(r.Context(), in)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// refused wants an error of this code whose message has the words.
func (r *rig) refused(err error, code, words string) {
	r.Helper()
	var got string
	if err != nil {
		got, _ = api.Service.Code(nil, awserr.Wrap(err))
	}
	if got != code || !strings.Contains(err.Error(), words) {
		r.Errorf("got %s %v; want %s: …%s…", got, err, code, words)
	}
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// runner is a Runner whose functions are written in Go.
type runner struct {
	mu      sync.Mutex
	handler func(fleet.Function, fleet.Event) (fleet.Outcome, error)
	ran     []fleet.Function
	events  []fleet.Event
	retired []string
	kept    []fleet.Wish
	ready   map[string]fleet.Readiness // by version
}

func (r *runner) Keep(wishes []fleet.Wish) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = wishes
}

func (r *runner) Ready(_, version string) fleet.Readiness {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready[version]
}

func (r *runner) Stats(string) fleet.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fleet.Stats{Invocations: int64(len(r.ran)), Starts: 1}
}

func (r *runner) Invoke(_ context.Context, f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
	r.mu.Lock()
	r.ran, r.events = append(r.ran, f), append(r.events, e)
	h := r.handler
	r.mu.Unlock()
	if h == nil {
		return fleet.Outcome{Payload: e.Payload, LogTail: []byte("START RequestId: " + e.RequestID)}, nil
	}
	return h(f, e)
}

func (r *runner) Retire(arn string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired = append(r.retired, arn)
}

func (r *runner) handle(h func(fleet.Function, fleet.Event) (fleet.Outcome, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handler = h
}

// roles gives every role but those that are called untrusting.
type roles struct {
	book  *book
	clock clock.Clock
	as    func(role string) gate.Client
	mu    sync.Mutex
	taken []Assumption
}

func (r *roles) Assume(_ context.Context, a Assumption) (Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, a)
	if strings.HasSuffix(a.RoleARN, "untrusting") {
		return Credentials{}, awserr.Of(awserr.AccessDenied, "not authorized to perform: sts:AssumeRole")
	}
	return Credentials{AccessKeyID: a.RoleARN, Expiration: r.clock.Now().Add(time.Hour)}, nil
}

func (r *roles) Caller(c Credentials, _ string, keys map[string][]string) (wire.Caller, error) {
	functions := r.as(c.AccessKeyID)
	functions.Keys = keys
	return writer{r.book, c.AccessKeyID, functions}, nil
}

// book is a log service in memory, in which roles called silent may not write.
type book struct {
	mu      sync.Mutex
	groups  map[string]bool
	streams map[string][]string
}

type writer struct {
	*book
	role      string
	functions gate.Client
}

func (w writer) Call(ctx context.Context, op *wire.Operation, in any) (any, error) {
	if _, ok := in.(*api.InvokeInput); ok {
		return w.functions.Call(ctx, op, in)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasSuffix(w.role, "silent") {
		return nil, awserr.Of(awserr.AccessDenied, "not authorized")
	}
	missing := awserr.New("ResourceNotFoundException", 400, "not there")
	switch in := in.(type) {
	case *logs.CreateLogGroupInput:
		w.groups[in.LogGroupName] = true
		return &logs.CreateLogGroupOutput{}, nil
	case *logs.CreateLogStreamInput:
		if !w.groups[in.LogGroupName] {
			return nil, missing
		}
		w.streams[in.LogGroupName+"|"+in.LogStreamName] = []string{}
		return &logs.CreateLogStreamOutput{}, nil
	case *logs.PutLogEventsInput:
		k := in.LogGroupName + "|" + in.LogStreamName
		if w.streams[k] == nil {
			return nil, missing
		}
		for _, e := range in.LogEvents {
			w.streams[k] = append(w.streams[k], e.Message)
		}
		return &logs.PutLogEventsOutput{}, nil
	}
	return nil, errors.New("not a call of the journal: " + op.Name)
}

// trail keeps records in the store, as the audit does.
type trail struct {
	mu    sync.Mutex
	table store.Table[string]
	kept  []*gate.Record
}

func (l *trail) Space() string { return "trail" }

func (l *trail) Append(tx *store.Tx, r *gate.Record) error {
	tx.AfterCommit(func() { _ = l.Note(r) })
	return l.table.Put(tx, store.K(tx.NextSeq()), r.RequestID)
}

func (l *trail) Note(r *gate.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, r)
	return nil
}

// attempts are the conditions of the records of asynchronous invocations, in order.
func (l *trail) attempts() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.kept {
		if what, ok := r.In.(map[string]any); ok && r.Event == "AsyncInvoke" {
			out = append(out, what["condition"].(string))
		}
	}
	return out
}

// directory holds one policy for each role; admin may do everything.
type directory struct {
	mu       sync.Mutex
	policies map[string]*policy.Policy
	ids      map[string]string // of users and roles, by ARN
	version  uint64
}

// PrincipalID is what the test says.
func (d *directory) PrincipalID(arn string) (string, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.ids[arn]
	return id, ok, nil
}

func newDirectory(t testing.TB) *directory {
	d := &directory{policies: map[string]*policy.Policy{}}
	d.allow(t, "admin", `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	return d
}

func (d *directory) allow(t testing.TB, name string, statements ...string) {
	t.Helper()
	p, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`), policy.Identity, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.policies = maps.Clone(d.policies)
	d.policies[name] = p
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
	if p.ServiceName() != "" {
		return gate.Grant{Principal: policy.Principal{Account: p.Account(), Type: policy.Service, Service: p.ServiceName()}, Version: d.version}, nil
	}
	parts := strings.Split(p.RoleARN(), "/")
	g := gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.AssumedRole, UserID: p.UserID(), RoleARN: p.RoleARN()}, Version: d.version}
	if pol := d.policies[parts[len(parts)-1]]; pol != nil {
		g.Set.Identity = []policy.Attached{{Policy: pol, Where: "policy of the test"}}
	}
	return g, nil
}

func (b *book) lines(group string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(b.streams)) {
		if strings.HasPrefix(k, group+"|") {
			out = append(out, b.streams[k]...)
		}
	}
	return out
}

// archives counts the archives that rows refer to.
func (r *rig) archives() (n int, err error) {
	err = r.db.View(r.Context(), store.In(space), func(tx *store.Tx) error {
		n = 0
		for _, err := range r.service.t.archives.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// waiting are the asynchronous invocations that wait or run.
func (r *rig) waiting() (out []queued) {
	r.Helper()
	r.ok(r.db.View(r.Context(), store.In(space), func(tx *store.Tx) error {
		out = nil
		for e, err := range r.service.t.queue.events.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			out = append(out, e.Value)
		}
		return nil
	}))
	return out
}

// queueLength counts them.
func (r *rig) queueLength() int {
	r.Helper()
	return len(r.waiting())
}

// until waits for what the background work does.
func (r *rig) until(what string, done func() bool) {
	r.Helper()
	for range 60000 { // a minute: the machine may be busy
		if done() {
			return
		}
		r.service.courier.nudge()
		select {
		case <-r.Context().Done():
			r.Fatal(what)
		case <-time.After(time.Millisecond):
		}
	}
	r.Fatalf("never: %s", what)
}
