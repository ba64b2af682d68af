package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Policy is what a Dialer allows; Auditor, Resolver and Clock are needed.
type Policy struct {
	Routes   []Route
	Public   []string // purposes that may reach every public address
	Auditor  Auditor
	Resolver Resolver
	Clock    clock.Clock
	RootCAs  *x509.CertPool // the system's if nil

	DialTimeout time.Duration // for each address; 5 s if zero
	Timeout     time.Duration // of a whole HTTP exchange; 10 s if zero
	MaxBody     int64         // bytes of a response; 1 MiB if zero
}

// maxAddresses are tried for one name.
const maxAddresses = 4

// Dialer opens connections; safe for concurrent use.
type Dialer struct {
	p       Policy
	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes a Dialer.
func New(p Policy) (*Dialer, error) {
	if p.Auditor == nil || p.Resolver == nil || p.Clock == nil {
		return nil, errors.New("egress: a policy needs an auditor, a resolver and a clock")
	}
	if p.DialTimeout == 0 {
		p.DialTimeout = 5 * time.Second
	}
	if p.Timeout == 0 {
		p.Timeout = 10 * time.Second
	}
	if p.MaxBody == 0 {
		p.MaxBody = 1 << 20
	}
	p.Routes, p.Public = slices.Clone(p.Routes), slices.Clone(p.Public)
	for i := range p.Routes {
		host, ok := cleanHost(p.Routes[i].Host)
		if !ok {
			return nil, errors.New("egress: route with a bad host " + strconv.Quote(p.Routes[i].Host))
		}
		p.Routes[i].Host = host
	}
	nd := &net.Dialer{Timeout: p.DialTimeout, KeepAlive: 30 * time.Second}
	return &Dialer{p: p, connect: nd.DialContext}, nil
}

// With is a Dialer that has more routes, such as those that one function declares.
func (d *Dialer) With(routes ...Route) (*Dialer, error) {
	p := d.p
	p.Routes = append(slices.Clone(p.Routes), routes...)
	more, err := New(p)
	if err == nil {
		more.connect = d.connect
	}
	return more, err
}

// Dial connects over TCP to addr, "host:port", for a purpose. Errors are *Refused, or the
// network's own.
func (d *Dialer) Dial(ctx context.Context, purpose, addr string) (net.Conn, error) {
	hostText, portText, err := net.SplitHostPort(addr)
	port, bad := strconv.Atoi(portText)
	host, ok := cleanHost(hostText)
	if err != nil || bad != nil || port < 1 || port > 65535 || !ok {
		return nil, d.refuse(Record{Purpose: purpose, Host: clip(hostText)}, clip(addr), "it is not host:port")
	}
	rec := Record{Purpose: purpose, Host: host, Port: port}
	leave, ok := d.leave(purpose, host, port)
	if !ok {
		return nil, d.refuse(rec, addr, "no route is declared")
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	allowed := addresses[:0]
	for _, a := range addresses {
		if leave.allows(a) && len(allowed) < maxAddresses {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		rec.Address = first(addresses)
		return nil, d.refuse(rec, addr, "it resolves to "+classOf(rec.Address).String()+" address, which no route names")
	}
	return d.dialAny(ctx, rec, allowed)
}

func first(a []netip.Addr) netip.Addr {
	if len(a) == 0 {
		return netip.Addr{}
	}
	return a[0]
}

func clip(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// refuse records a refusal; the refusal stands even where it cannot be recorded.
func (d *Dialer) refuse(rec Record, addr, reason string) error {
	rec.At, rec.Refused = d.p.Clock.Now(), reason
	return errors.Join(&Refused{Purpose: rec.Purpose, Addr: addr, Reason: reason}, d.p.Auditor.Connected(rec))
}

func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	found, err := d.p.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	out := make([]netip.Addr, 0, len(found))
	for _, a := range found {
		out = append(out, a.Unmap())
	}
	return out, nil
}

// dialAny tries the addresses that were checked, never the name, and records what it connected.
func (d *Dialer) dialAny(ctx context.Context, rec Record, addresses []netip.Addr) (net.Conn, error) {
	var errs error
	for _, a := range addresses {
		conn, err := d.connect(ctx, "tcp", netip.AddrPortFrom(a, uint16(rec.Port)).String())
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		rec.At, rec.Address = d.p.Clock.Now(), a
		if err := d.p.Auditor.Connected(rec); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
	return nil, errs
}

// leave is how far a connection may go: the classes of address that it may reach.
type leave struct{ public, private, loopback, linkLocal bool }

func (l leave) allows(a netip.Addr) bool {
	switch classOf(a) {
	case classPublic:
		return l.public
	case classPrivate:
		return l.private
	case classLoopback:
		return l.loopback
	case classLinkLocal:
		return l.linkLocal
	}
	return false
}

// leave joins what the routes for host and port give; false if there is none at all.
func (d *Dialer) leave(purpose, host string, port int) (leave, bool) {
	l := leave{public: purpose != "" && slices.Contains(d.p.Public, purpose)}
	ok := l.public
	for _, r := range d.p.Routes {
		if r.Host != host || r.Purpose != "" && r.Purpose != purpose || r.Port != 0 && r.Port != port {
			continue
		}
		ok = true
		_, err := netip.ParseAddr(host)
		switch {
		case err == nil:
			l = leave{true, true, true, true}
		case host == "localhost" || strings.HasSuffix(host, ".localhost"):
			l.loopback = true
		default:
			l.public, l.private = true, l.private || r.Private
		}
	}
	return l, ok
}

// cleanHost is a name in lower case without a final dot, or an address in its usual form.
func cleanHost(host string) (string, bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String(), a.Zone() == ""
	}
	if host == "" || len(host) > 253 {
		return "", false
	}
	for i := 0; i < len(host); i++ {
		if c := host[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return "", false
		}
	}
	return host, true
}
