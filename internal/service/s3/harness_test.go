package s3

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	other   = "210987654321"
	region  = "eu-west-1"
	all     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	nothing = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:*","Resource":"*"}]}`
)

// rig is the service behind the real router, gate, store and sealer. Every closure runs twice.
type rig struct {
	*testing.T
	db     *store.DB
	s      *Service
	gate   *gate.Gate
	router *wire.Router
	clock  *clock.Manual
	dir    *directory
	who    identity.Principal
	region string
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
	root, err := sealing.NewRootKey(ids.Source{}.Bytes(32))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := sealing.Open(t.Context(), db, root)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, db: db, s: New(Deps{Blobs: db.Blobs(), Sealer: sealer}), clock: clk, dir: &directory{of: map[string]*policy.Policy{}}, region: region}
	trail := trail{store.NewTable[string]("trail", "records")}
	if r.gate, err = gate.New(gate.Deps{Store: db, Trail: trail, Directory: r.dir, Principals: r.dir, Clock: clk}, r.s.Unit()); err != nil {
		t.Fatal(err)
	}
	r.router = wire.NewRouter(region, []*wire.Service{api.Service})
	r.who = r.user(account, "owner", all)
	return r
}

// user is a principal of an account with a policy of its own.
func (r *rig) user(account, name, doc string) identity.Principal {
	r.Helper()
	p, err := identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: "arn:aws:iam::" + account + ":role/" + name, RoleID: "AROA" + name,
		Name: "session", Issued: r.clock.Now(), Expires: r.clock.Now().Add(time.Hour)}.Principal()
	if err != nil {
		r.Fatal(err)
	}
	r.allow(p, doc)
	return p
}

func (r *rig) allow(p identity.Principal, doc string) {
	r.Helper()
	parsed, err := policy.Parse([]byte(doc), policy.Identity)
	if err != nil {
		r.Fatal(err)
	}
	r.dir.mu.Lock()
	defer r.dir.mu.Unlock()
	r.dir.of[p.ARN()] = parsed
	r.dir.version++
}

// as is the rig for another caller.
func (r *rig) as(p identity.Principal) *rig {
	c := *r
	c.who = p
	return &c
}

// at is the rig for another region.
func (r *rig) at(region string) *rig {
	c := *r
	c.region = region
	return &c
}

type trail struct{ table store.Table[string] }

func (trail) Space() string { return "trail" }

func (l trail) Append(tx *store.Tx, r *gate.Record) error {
	return l.table.Put(tx, store.K(tx.NextSeq()), r.RequestID)
}

func (trail) Note(*gate.Record) error { return nil }

type directory struct {
	mu      sync.Mutex
	of      map[string]*policy.Policy
	ids     map[string]string // of users and roles, by ARN
	version uint64
}

// PrincipalID is what the test says.
func (d *directory) PrincipalID(arn string) (string, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.ids[arn]
	return id, ok, nil
}

func (d *directory) Version() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.version
}

func (d *directory) Grant(p identity.Principal) (gate.Grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Kind() == identity.KindAnonymous {
		return gate.Grant{Principal: policy.Principal{Type: policy.Anonymous}, Version: d.version}, nil
	}
	return gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.AssumedRole, UserID: p.UserID(), RoleARN: p.RoleARN()},
		Set: policy.Set{Identity: []policy.Attached{{Policy: d.of[p.ARN()], Where: "policy of the test"}}}, Version: d.version}, nil
}

// client calls in this process, past codecs but through the gate.
func (r *rig) client() api.Client {
	return api.Client{Caller: gate.Client{Gate: r.gate, Principal: r.who, Region: r.region}}
}

// answer is a response of the wire.
type answer struct {
	code   int
	header http.Header
	body   string
}

// send passes one request through router, gate and codecs: "PUT /bucket/key?x=y", headers in
// pairs.
func (r *rig) send(line, body string, headers ...string) answer {
	r.Helper()
	return r.stream(line, strings.NewReader(body), headers...)
}

func (r *rig) stream(line string, body io.Reader, headers ...string) answer {
	r.Helper()
	method, target, _ := strings.Cut(line, " ")
	req := httptest.NewRequest(method, target, body)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	var whole []byte
	_, streams := r.router.Peek(req)
	if !streams {
		var err error
		if whole, err = io.ReadAll(body); err != nil {
			r.Fatal(err)
		}
	}
	rec := httptest.NewRecorder()
	routed, err := r.router.Route(req, whole)
	var in wire.In
	if err == nil {
		in, err = routed.Decode(whole, body)
	}
	var out any
	if err == nil {
		out, err = r.gate.Do(r.Context(), gate.Entry{Principal: r.who, In: in, Region: r.region, Source: gate.Source{Host: "localhost:4566"}})
	}
	if err != nil {
		routed.Fail(rec, err, "request")
	} else if err := routed.Encode(rec, out, "request"); err != nil {
		r.Fatal(err)
	}
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// ok is send that must succeed.
func (r *rig) ok(line, body string, headers ...string) answer {
	r.Helper()
	a := r.send(line, body, headers...)
	if a.code >= 300 {
		r.Fatalf("%s: %d %s", line, a.code, a.body)
	}
	return a
}

// fails is send that must be refused with a status and code.
func (r *rig) fails(status int, code, line, body string, headers ...string) answer {
	r.Helper()
	a := r.send(line, body, headers...)
	if a.code != status || !strings.Contains(a.body, "<Code>"+code+"</Code>") && !strings.HasPrefix(line, "HEAD ") {
		r.Errorf("%s: %d %s; want %d %s", line, a.code, a.body, status, code)
	}
	return a
}

// reads compares an object's content.
func (r *rig) reads(path, want string) {
	r.Helper()
	if a := r.ok("GET "+path, ""); a.body != want {
		r.Errorf("%s holds %q, want %q", path, a.body, want)
	}
}

func (r *rig) bucket(name string) {
	r.Helper()
	r.ok("PUT /"+name, `<CreateBucketConfiguration><LocationConstraint>`+r.region+`</LocationConstraint></CreateBucketConfiguration>`)
}

// blobs counts the bodies that rows refer to, and those that none does.
func (r *rig) blobs() int {
	r.Helper()
	n := 0
	if err := r.db.Blobs().Walk(r.Context(), func(string, int64) error { n++; return nil }); err != nil {
		r.Fatal(err)
	}
	return n
}

func statement(format string, args ...any) string {
	return `{"Version":"2012-10-17","Statement":[` + fmt.Sprintf(format, args...) + `]}`
}
