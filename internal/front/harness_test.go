package front

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
	keyID   = "AKIAEXAMPLE000000000"
	secret  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// Two small services: one of JSON, and one that has S3's name and rules.
type (
	sayInput struct {
		Name string  `wire:"Name" opt:"required" min:"1"`
		Text *string `wire:"Text"`
	}
	sayOutput struct {
		Text   *string `wire:"Text"`
		Source *string `wire:"Source"`
	}
	objectInput struct {
		Bucket string `wire:"Bucket" in:"uri" opt:"required"`
		Key    string `wire:"Key" in:"uri" opt:"required"`
	}
	objectOutput struct {
		Bucket *string `wire:"Bucket"`
	}
)

// rig is a Front over the real router, verifier, gate, store and trail.
type rig struct {
	testing.TB
	front *Front
	trail *audit.Trail
	apps  *apps
	mu    sync.Mutex
	count map[string]int // refusals of strangers by code
	log   bytes.Buffer
	seen  gate.Source
	fault error  // what the handler fails with
	still func() // what the handler does first
}

// apps owns what is under one host.
type apps struct {
	calls int
	from  gate.Source
}

func (a *apps) Owns(r *http.Request) bool { return strings.HasPrefix(r.Host, "app.") }

func (a *apps) Serve(w http.ResponseWriter, r *http.Request, from gate.Source) {
	a.calls++
	a.from = from
	if _, err := io.ReadAll(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusTooManyRequests)
		return
	}
	io.WriteString(w, "the application")
}

func (r *rig) CountRefusal(source, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[source+" "+code]++
}

// Lookup is the directory of one key.
func (r *rig) Lookup(id string) (identity.Credential, bool) {
	return identity.Credential{Secret: secret, Active: true, Account: account, ARN: "arn:aws:iam::123456789012:user/ann", UserID: "AIDAANN", UserName: "ann"}, id == keyID
}

func (r *rig) Version() uint64 { return 0 }

// Grant lets ann say what she likes, as long as it is not "forbidden".
func (r *rig) Grant(p identity.Principal) (gate.Grant, error) {
	g := gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.Anonymous}}
	if p.Kind() == identity.KindUser {
		doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"say:*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"arn:aws:say:*:*:forbidden"}]}`), policy.Identity, policy.Options{})
		if err != nil {
			return g, err
		}
		g.Principal.Type = policy.User
		g.Set.Identity = []policy.Attached{{Policy: doc, Where: "user ann"}}
	}
	return g, nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{TB: t, apps: &apps{}, count: map[string]int{}}
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), RunTwice: true})
	r.check(err)
	t.Cleanup(func() { r.check(db.Close()) })
	_, key, err := ed25519.GenerateKey(nil)
	r.check(err)
	r.trail, err = audit.New(db, audit.Options{Node: "test", Key: key})
	r.check(err)
	say, said := r.services()
	g, err := gate.New(gate.Deps{Store: db, Trail: gate.NewTrail(r.trail), Directory: r, Clock: clock.System{}}, said...)
	r.check(err)
	r.front = New(Deps{Router: wire.NewRouter("us-east-1", say), Gate: g, Apps: r.apps, Strangers: r,
		Verifier: sigv4.New(sigv4.Options{Keys: &identity.Keyring{Directory: r}, Clock: clock.System{}}),
		Local:    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "well") }),
		IDs:      ids.Source{}, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Hosts: []string{"bastide.example"}})
	return r
}

func (r *rig) services() (models []*wire.Service, units []gate.Unit) {
	op := &wire.Operation{Name: "Say", Method: "POST", Status: 200, In: reflect.TypeFor[sayInput](), Out: reflect.TypeFor[sayOutput](), NewIn: func() any { return new(sayInput) }}
	get := &wire.Operation{Name: "GetObject", Method: "GET", URI: "/{Bucket}/{Key+}", Status: 200, In: reflect.TypeFor[objectInput](), Out: reflect.TypeFor[objectOutput](), NewIn: func() any { return new(objectInput) }}
	say := wire.NewService(wire.Service{ID: "say", SigningName: "say", EndpointPrefix: "say", EventSource: "say.amazonaws.com", ActionPrefix: "say",
		Protocol: wire.JSON, APIVersion: "2030-01-01", TargetPrefix: "Say", JSONVersion: "1.1", Operations: []*wire.Operation{op}, Unserved: []wire.Unserved{{Name: "Shout"}}})
	s3 := wire.NewService(wire.Service{ID: "s3", SigningName: "s3", EndpointPrefix: "s3", EventSource: "s3.amazonaws.com", ActionPrefix: "s3",
		Protocol: wire.RestXML, APIVersion: "2006-03-01", Operations: []*wire.Operation{get}})
	needSay := func(a *gate.Ask, in *sayInput) ([]gate.Need, error) {
		return []gate.Need{{Action: "say:Say", Resource: a.ARN(in.Name)}}, nil
	}
	doSay := func(c *gate.Call, in *sayInput) (*sayOutput, error) {
		r.seen = c.Source()
		if r.still != nil {
			r.still()
		}
		if r.fault != nil {
			return nil, r.fault
		}
		return &sayOutput{Text: in.Text, Source: new(c.Source().IP.String())}, nil
	}
	needGet := func(a *gate.Ask, in *objectInput) ([]gate.Need, error) {
		n := gate.Need{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + in.Bucket + "/" + in.Key, Account: account}
		if in.Bucket == "public" {
			p, err := a.Policy(policy.Resource, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::public/*"}]}`)
			n.Policy = &policy.Attached{Policy: p, Where: "bucket public"}
			return []gate.Need{n}, err
		}
		return []gate.Need{n}, nil
	}
	doGet := func(_ *gate.Call, in *objectInput) (*objectOutput, error) {
		return &objectOutput{Bucket: &in.Bucket}, nil
	}
	return []*wire.Service{say, s3}, []gate.Unit{{Model: say, Ops: []gate.Op{gate.On(op, gate.Read, needSay, doSay)}},
		{Model: s3, Ops: []gate.Op{gate.On(get, gate.Read, needGet, doGet)}}}
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// request is a call of Say, unsigned.
func request(operation, body string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "http://localhost:4566/", strings.NewReader(body))
	req.Header.Set("X-Amz-Target", "Say."+operation)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	return req
}

func (r *rig) sign(req *http.Request, body string) *http.Request {
	r.Helper()
	r.check(sigv4.NewSigner(sigv4.Signing{Credentials: sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, Region: region, Service: "say", Clock: clock.System{}}).Sign(req, []byte(body)))
	return req
}

// send answers a request as the developer's single port does.
func (r *rig) send(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.front.handle(w, req)
	return w
}

// records are the trail's.
func (r *rig) records() (out []audit.Record) {
	r.Helper()
	r.check(r.trail.Flush(context.Background()))
	for rec, err := range r.trail.Query(context.Background(), audit.Filter{}) {
		r.check(err)
		out = append(out, rec)
	}
	return out
}

// serve answers on a port of this machine until the test ends, plain and with TLS.
func (r *rig) serve(run func(*Front, context.Context, net.Listener) error) (address string, pool *x509.CertPool) {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	r.check(err)
	cert, err := x509.ParseCertificate(der)
	r.check(err)
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	r.front.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	l, err := Listen(r.Context(), "127.0.0.1:0")
	r.check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(r.front, ctx, l) }()
	r.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			r.Errorf("the server ended with %v", err)
		}
	})
	return l.Addr().String(), pool
}

var failed = awserr.New("Failed", 418, "as the test wants")
