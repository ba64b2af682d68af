package dynamodb

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
	role    = "arn:aws:iam::123456789012:role/app"
)

// rig is the service behind the real router, gate and store. Every closure runs twice.
type rig struct {
	testing.TB
	service *Service
	gate    *gate.Gate
	router  *wire.Router
	trail   *trail
	clock   *clock.Manual
	dir     *directory
	who     identity.Principal
}

func newRig(t *testing.T) *rig { return newRigOn(t, store.Options{RunTwice: true}) }

func newRigOn(t testing.TB, opt store.Options) *rig {
	t.Helper()
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	opt.Dir, opt.Clock = t.TempDir(), clk
	db, err := store.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{TB: t, service: New(Deps{}), trail: &trail{table: store.NewTable[string]("trail", "records")}, clock: clk, dir: &directory{}}
	r.dir.allow(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}]}`)
	r.gate, err = gate.New(gate.Deps{Store: db, Trail: r.trail, Directory: r.dir, Clock: clk, IDs: ids.Source{}}, r.service.Unit())
	if err != nil {
		t.Fatal(err)
	}
	r.router = wire.NewRouter(region, []*wire.Service{api.Service})
	r.who, err = identity.Session{Kind: identity.KindAssumedRole, Account: account, RoleARN: role, RoleID: "AROAEXAMPLE", Name: "session",
		Issued: clk.Now(), Expires: clk.Now().Add(time.Hour)}.Principal()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// trail keeps records in the store, as the audit does, and notes in memory.
type trail struct {
	mu    sync.Mutex
	table store.Table[string]
	notes []*gate.Record
	kept  []*gate.Record
}

func (l *trail) Space() string { return "trail" }

func (l *trail) Append(tx *store.Tx, r *gate.Record) error {
	tx.AfterCommit(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.kept = append(l.kept, r)
	})
	return l.table.Put(tx, store.K(tx.NextSeq()), r.RequestID)
}

func (l *trail) Note(r *gate.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, r)
	return nil
}

// directory holds one policy for everybody.
type directory struct {
	mu      sync.Mutex
	policy  *policy.Policy
	version uint64
}

func (d *directory) allow(t testing.TB, doc string) {
	t.Helper()
	p, err := policy.Parse([]byte(doc), policy.Identity, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
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
	return gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: "AssumedRole", UserID: p.UserID(), RoleARN: p.RoleARN()},
		Set: policy.Set{Identity: []policy.Attached{{Policy: d.policy, Where: "policy of the test"}}}, Version: d.version}, nil
}

// send passes one request through router, gate and codecs; it returns status and body.
func (r *rig) send(op, body string) (int, string) {
	r.Helper()
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	rec := httptest.NewRecorder()
	routed, err := r.router.Route(req, []byte(body))
	var in wire.In
	if err == nil {
		in, err = routed.Decode([]byte(body), nil)
	}
	var out any
	if err == nil {
		out, err = r.gate.Do(r.Context(), gate.Entry{Principal: r.who, In: in, Region: region,
			Source: gate.Source{Host: "localhost:4566"}})
	}
	if err != nil {
		routed.Fail(rec, err, "request")
	} else if err := routed.Encode(rec, out, "request"); err != nil {
		r.Fatal(err)
	}
	return rec.Code, rec.Body.String()
}

// ok sends a request that must succeed and compares its answer, as JSON, with want unless that is
// empty.
func (r *rig) ok(op, body, want string) map[string]any {
	r.Helper()
	code, got := r.send(op, body)
	if code != 200 {
		r.Fatalf("%s %s\n answered %d %s", op, body, code, got)
	}
	var out map[string]any
	if got == "" { // an operation without output
		got = `{}`
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		r.Fatalf("%s answered %q: %v", op, got, err)
	}
	if want != "" {
		var w map[string]any
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			r.Fatalf("%s: %v", want, err)
		}
		if !reflect.DeepEqual(out, w) {
			r.Errorf("%s %s\n got %s\nwant %s", op, body, got, want)
		}
	}
	return out
}

// fails sends a request that must be refused with this code and message.
func (r *rig) fails(op, body, code, message string) map[string]any {
	r.Helper()
	status, got := r.send(op, body)
	var out map[string]any
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		r.Fatalf("%s answered %q: %v", op, got, err)
	}
	typ, _ := out["__type"].(string)
	_, typ, _ = strings.Cut(typ, "#")
	if status != 400 || typ != code || out["message"] != message {
		r.Errorf("%s %s\n got %d %s\nwant %s: %s", op, body, status, got, code, message)
	}
	return out
}

func (r *rig) invalid(op, body, message string) {
	r.Helper()
	r.fails(op, body, "ValidationException", message)
}

const (
	simple = `{"TableName":"simple","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`
	orders = `{"TableName":"orders","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"N"},
			{"AttributeName":"status","AttributeType":"S"},{"AttributeName":"due","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
		"GlobalSecondaryIndexes":[
			{"IndexName":"by-status","KeySchema":[{"AttributeName":"status","KeyType":"HASH"},{"AttributeName":"due","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}},
			{"IndexName":"keys","KeySchema":[{"AttributeName":"status","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["note"]}}],
		"LocalSecondaryIndexes":[{"IndexName":"local","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"due","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`
)
