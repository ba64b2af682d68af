package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// trail keeps records in memory.
type trail struct {
	mu      sync.Mutex
	records []Record
	full    error
}

func (t *trail) Connected(r Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, r)
	return t.full
}

// names is a Resolver that answers each question with the next of the name's answers.
type names struct {
	mu sync.Mutex
	m  map[string][]string
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.m[host]
	if len(a) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(a) > 1 {
		n.m[host] = a[1:]
	}
	var out []netip.Addr
	for s := range strings.SplitSeq(a[0], " ") {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

// dialer connects nowhere: it notes the address and answers with one end of a pipe.
func dialer(t *testing.T, p Policy, dialled *[]string) (*Dialer, *trail) {
	t.Helper()
	log := &trail{}
	p.Auditor, p.Clock = log, clock.NewManual(noon)
	if p.Resolver == nil {
		p.Resolver = &names{}
	}
	d, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	d.connect = func(_ context.Context, _, address string) (net.Conn, error) {
		*dialled = append(*dialled, address)
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		return a, nil
	}
	return d, log
}

func TestWhatMayBeReached(t *testing.T) {
	resolver := func() *names {
		return &names{m: map[string][]string{
			"public.example": {"93.184.215.14"}, "corp.example": {"10.1.2.3"}, "inner.example": {"127.0.0.1"},
			"meta.example": {"169.254.169.254"}, "mixed.example": {"127.0.0.1 93.184.215.14"}, "localhost": {"127.0.0.1"},
			"nat64.example": {"64:ff9b::7f00:1"}, "mapped.example": {"::ffff:127.0.0.1"}, "any.example": {"0.0.0.0"},
			"idp.localhost": {"::1"}, "rebound.localhost": {"93.184.215.14"}, "ula.example": {"fd12::1"}, "ec2.example": {"fd00:ec2::254"},
			"many.example": {"1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5"}, "link.example": {"fe80::1"},
		}}
	}
	routes := []Route{
		{Host: "declared.example", Port: 443}, {Purpose: "jwks", Host: "Corp.Example.", Port: 443, Private: true},
		{Host: "inner.example", Port: 443, Private: true}, {Host: "meta.example", Private: true}, {Host: "ec2.example", Private: true},
		{Purpose: "jwks", Host: "localhost", Port: 8080}, {Host: "127.0.0.2", Port: 80}, {Host: "169.254.169.254", Port: 80},
		{Host: "idp.localhost"}, {Host: "rebound.localhost"}, {Host: "[::1]"[1:4], Port: 81}, {Host: "ula.example", Private: true},
		{Host: "link.example", Private: true},
	}
	for _, c := range []struct {
		purpose, addr string
		want          string // dialled, or the reason
	}{
		{"jwks", "public.example:443", "93.184.215.14:443"},
		{"jwks", "PUBLIC.example.:443", "93.184.215.14:443"},
		{"jwks", "93.184.215.14:443", "93.184.215.14:443"},
		{"other", "public.example:443", "no route is declared"},
		{"", "public.example:443", "no route is declared"},
		{"jwks", "corp.example:443", "10.1.2.3:443"},
		{"jwks", "corp.example:444", "it resolves to a private address"},
		{"other", "corp.example:443", "no route is declared"},
		{"jwks", "inner.example:443", "it resolves to a loopback address"},
		{"jwks", "meta.example:80", "it resolves to a link-local address"},
		{"jwks", "ec2.example:80", "it resolves to a cloud's metadata address"},
		{"jwks", "link.example:80", "it resolves to a link-local address"},
		{"jwks", "mixed.example:443", "93.184.215.14:443"},
		{"jwks", "nat64.example:443", "it resolves to an unusable address"},
		{"jwks", "mapped.example:443", "it resolves to a loopback address"},
		{"jwks", "any.example:443", "it resolves to an unusable address"},
		{"jwks", "ula.example:443", "[fd12::1]:443"},
		{"jwks", "localhost:8080", "127.0.0.1:8080"},
		{"jwks", "localhost:8081", "it resolves to a loopback address"},
		{"other", "localhost:8080", "no route is declared"},
		{"jwks", "127.0.0.1:8080", "it resolves to a loopback address"},
		{"jwks", "[::1]:8080", "it resolves to a loopback address"},
		{"jwks", "[::ffff:127.0.0.1]:8080", "it resolves to a loopback address"},
		{"any", "127.0.0.2:80", "127.0.0.2:80"},
		{"any", "[::ffff:127.0.0.2]:80", "127.0.0.2:80"},
		{"any", "[::1]:81", "[::1]:81"},
		{"any", "169.254.169.254:80", "it resolves to a link-local address, which nothing reaches"},
		{"jwks", "169.254.170.2:80", "it resolves to a link-local address"},
		{"any", "idp.localhost:1", "[::1]:1"},
		{"any", "rebound.localhost:1", "it resolves to a public address"},
		{"jwks", "10.0.0.1:443", "it resolves to a private address"},
		{"jwks", "100.64.0.1:443", "it resolves to a private address"},
		{"jwks", "[fe80::1%eth0]:80", "it is not host:port"},
		{"jwks", "public.example", "it is not host:port"},
		{"jwks", "public.example:0", "it is not host:port"},
		{"jwks", "public.example:65536", "it is not host:port"},
		{"jwks", "public.example/x:80", "it is not host:port"},
		{"jwks", ":80", "it is not host:port"},
	} {
		t.Run(c.purpose+" "+c.addr, func(t *testing.T) {
			var dialled []string
			d, log := dialer(t, Policy{Routes: routes, Public: []string{"jwks"}, Resolver: resolver()}, &dialled)
			_, err := d.Dial(t.Context(), c.purpose, c.addr)
			if len(log.records) != 1 || !log.records[0].At.Equal(noon) || log.records[0].Purpose != c.purpose {
				t.Fatalf("records %+v", log.records)
			}
			var refused *Refused
			if errors.As(err, &refused) {
				if !strings.HasPrefix(refused.Reason, c.want) || len(dialled) != 0 || log.records[0].Refused != refused.Reason {
					t.Errorf("refused: %s, dialled %v, recorded %q; want %q", refused.Reason, dialled, log.records[0].Refused, c.want)
				}
			} else if err != nil || len(dialled) != 1 || dialled[0] != c.want || log.records[0].Refused != "" {
				t.Errorf("dialled %v, %v; want %q", dialled, err, c.want)
			}
		})
	}
}

func TestAddressCheckedIsAddressDialled(t *testing.T) {
	var dialled []string
	n := &names{m: map[string][]string{"rebind.example": {"93.184.215.14", "127.0.0.1", "169.254.169.254"}}}
	d, _ := dialer(t, Policy{Public: []string{"jwks"}, Resolver: n}, &dialled)
	if _, err := d.Dial(t.Context(), "jwks", "rebind.example:80"); err != nil || dialled[0] != "93.184.215.14:80" {
		t.Fatalf("%v, %v", dialled, err)
	}
	for range 2 {
		if _, err := d.Dial(t.Context(), "jwks", "rebind.example:80"); err == nil {
			t.Errorf("dialled %v", dialled)
		}
	}
}

func TestUnrecordedConnectionsAreClosed(t *testing.T) {
	var dialled []string
	d, log := dialer(t, Policy{Public: []string{"jwks"}}, &dialled)
	log.full = errors.New("disk full")
	if conn, err := d.Dial(t.Context(), "jwks", "93.184.215.14:80"); conn != nil || !errors.Is(err, log.full) {
		t.Errorf("%v, %v", conn, err)
	}
}

func TestNextAddressIsTried(t *testing.T) {
	n := &names{m: map[string][]string{"two.example": {"1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5"}}}
	var dialled []string
	d, log := dialer(t, Policy{Public: []string{"jwks"}, Resolver: n}, &dialled)
	d.connect = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return nil, errors.New("unreachable")
	}
	if _, err := d.Dial(t.Context(), "jwks", "two.example:80"); err == nil || len(dialled) != maxAddresses || len(log.records) != 1 || log.records[0].Failed == "" || log.records[0].Refused != "" {
		t.Errorf("%v, %v, %v", dialled, err, log.records)
	}
}

// local is a dialer that really dials, with a route to the server.
func local(t *testing.T, s *httptest.Server, p Policy) (*Dialer, *trail) {
	t.Helper()
	log := &trail{}
	p.Auditor, p.Clock, p.Resolver = log, clock.System{}, net.DefaultResolver
	p.Routes = append(p.Routes, Route{Purpose: "test", Host: "127.0.0.1", Port: s.Listener.Addr().(*net.TCPAddr).Port})
	d, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return d, log
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 5000)) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	})
	return mux
}

func TestFetch(t *testing.T) {
	s := httptest.NewServer(handler())
	defer s.Close()
	d, log := local(t, s, Policy{MaxBody: 4096})
	f := d.Fetcher("test")
	if body, err := f.Get(t.Context(), s.URL+"/ok", 10); err != nil || string(body) != "ok" {
		t.Errorf("%q, %v", body, err)
	}
	if len(log.records) != 1 || log.records[0].Address.String() != "127.0.0.1" {
		t.Errorf("records %+v", log.records)
	}
	if _, err := f.Get(t.Context(), s.URL+"/ok", 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the caller's limit: %v", err)
	}
	if _, err := f.Get(t.Context(), s.URL+"/large", 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the policy's limit: %v", err)
	}
	if _, err := f.Get(t.Context(), s.URL+"/away", 10); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("redirect: %v", err)
	}
	if _, err := f.Get(t.Context(), s.URL+"/none", 10); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("missing: %v", err)
	}
	if _, err := f.Get(t.Context(), "file:///etc/passwd", 10); err == nil {
		t.Error("read a file")
	}
	var refused *Refused
	if _, err := d.Fetcher("other").Get(t.Context(), s.URL+"/ok", 10); !errors.As(err, &refused) {
		t.Errorf("another purpose: %v", err)
	}
}

// TestRedirectsAreNotFollowed, not even to where the purpose may go: nothing else is connected.
func TestRedirectsAreNotFollowed(t *testing.T) {
	plain := httptest.NewServer(handler())
	defer plain.Close()
	secure := httptest.NewTLSServer(handler())
	defer secure.Close()
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	for _, s := range []*httptest.Server{plain, secure} {
		for path, to := range map[string]string{"/away": "/ok", "/metadata": "http://169.254.169.254/latest/meta-data/"} {
			d, log := local(t, s, Policy{RootCAs: pool, Public: []string{"test"}})
			res, err := d.Client("test").Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusFound || res.Header.Get("Location") != to || len(log.records) != 1 {
				t.Errorf("%s%s: %s to %q, %d connections", s.URL, path, res.Status, res.Header.Get("Location"), len(log.records))
			}
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(handler())
	defer s.Close()
	d, _ := local(t, s, Policy{})
	if _, err := d.Fetcher("test").Get(t.Context(), s.URL+"/ok", 10); err == nil {
		t.Error("an unknown certificate was accepted")
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	d, _ = local(t, s, Policy{RootCAs: pool})
	if body, err := d.Fetcher("test").Get(t.Context(), s.URL+"/ok", 10); err != nil || string(body) != "ok" {
		t.Errorf("%q, %v", body, err)
	}
}

func FuzzDial(f *testing.F) {
	f.Add("localhost:80")
	f.Add("[::ffff:7f00:1]:80")
	f.Add("0x7f.1:80")
	f.Fuzz(func(t *testing.T, addr string) {
		var dialled []string
		d, _ := dialer(t, Policy{Public: []string{"jwks"}, Resolver: &names{m: map[string][]string{"localhost": {"127.0.0.1"}}}}, &dialled)
		if _, err := d.Dial(t.Context(), "jwks", addr); err == nil {
			if a := netip.MustParseAddrPort(dialled[0]).Addr(); classOf(a) != classPublic {
				t.Fatalf("%q reached %v", addr, a)
			}
		}
	})
}
