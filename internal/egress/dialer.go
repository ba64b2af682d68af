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
	"github.com/bastide-cloud/bastide/internal/base/way"
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Policy is what a Dialer allows; Auditor, Resolver and Clock are needed.
type Policy struct {
	Routes   []Route
	Ways     []way.Way // declared for every purpose
	Public   []string  // purposes that may reach every public address
	Auditor  Auditor
	Resolver Resolver
	Clock    clock.Clock
	RootCAs  *x509.CertPool // the system's if nil
	// Own tells which addresses are Bastide's own: they are reached by no route. Nil for none.
	Own func(netip.AddrPort) bool

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
	p.Routes, p.Public, p.Ways = slices.Clone(p.Routes), slices.Clone(p.Public), slices.Clone(p.Ways)
	for _, w := range p.Ways {
		if err := w.Check(); err != nil {
			return nil, errors.New("egress: the way " + strconv.Quote(w.String()) + " " + err.Error())
		}
	}
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

// Dial connects over TCP to addr, "host:port", for a purpose. Errors are *Refused, or the
// network's own.
func (d *Dialer) Dial(ctx context.Context, purpose, addr string) (net.Conn, error) {
	hostText, portText, err := net.SplitHostPort(addr)
	port, bad := strconv.Atoi(portText)
	host, ok := cleanHost(hostText)
	if err != nil || bad != nil || port < 1 || port > 65535 || !ok {
		return nil, d.refuse(Record{Purpose: purpose, Host: clip(hostText), Final: true}, clip(addr), "it is not host:port")
	}
	rec := Record{Purpose: purpose, Host: host, Port: port}
	if way.IsMetadata(host) {
		rec.Final = true
		return nil, d.refuse(rec, addr, "it is where a cloud answers for its metadata, which nothing reaches")
	}
	may, ok := d.permit(purpose, host, port)
	if !ok {
		return nil, d.refuse(rec, addr, "no route is declared")
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, d.failed(rec, err)
	}
	var allowed []netip.Addr
	for _, a := range addresses {
		if d.own(a, port) { // then the name is one for Bastide, whatever else it leads to
			rec.Address, rec.Final = a, true
			return nil, d.refuse(rec, addr, "it is Bastide itself, which nothing reaches by this way")
		}
		if may(a) && len(allowed) < maxAddresses {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		rec.Address = first(addresses)
		rec.Final = final(rec.Address)
		return nil, d.refuse(rec, addr, objection(rec.Address))
	}
	return d.dialAny(ctx, rec, allowed)
}

// objection words why an address that a name led to is not dialled.
func objection(a netip.Addr) string {
	if final(a) {
		return "it resolves to " + classOf(a).String() + " address, which nothing reaches"
	}
	return "it resolves to " + classOf(a).String() + " address, which no route names"
}

// final tells an address that no route leads to.
func final(a netip.Addr) bool {
	c := classOf(a)
	return c == classLinkLocal || c == classMetadata || c == classNever
}

func (d *Dialer) own(a netip.Addr, port int) bool {
	return d.p.Own != nil && d.p.Own(netip.AddrPortFrom(a, uint16(port)))
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
	return errors.Join(&Refused{Purpose: rec.Purpose, Addr: addr, Reason: reason, Final: rec.Final}, d.p.Auditor.Connected(rec))
}

// failed records that a connection came to nothing, and passes on why.
func (d *Dialer) failed(rec Record, err error) error {
	rec.At, rec.Failed = d.p.Clock.Now(), clip(err.Error())
	return errors.Join(err, d.p.Auditor.Connected(rec))
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
		return d.follow(conn, rec), nil
	}
	rec.Address = first(addresses)
	return nil, d.failed(rec, errs)
}

// leave is how far a connection by name may go: the classes of address that it may reach.
type leave struct{ public, private, loopback bool }

func (l leave) allows(a netip.Addr) bool {
	switch classOf(a) {
	case classPublic:
		return l.public
	case classPrivate:
		return l.private
	case classLoopback:
		return l.loopback
	}
	return false
}

// permit joins what the routes and ways for host and port give, as a judgement of addresses; false if
// there is none at all.
func (d *Dialer) permit(purpose, host string, port int) (func(netip.Addr) bool, bool) {
	l := leave{public: purpose != "" && slices.Contains(d.p.Public, purpose)}
	ok := l.public
	for _, r := range d.p.Routes {
		if r.Host == host && (r.Purpose == "" || r.Purpose == purpose) && (r.Port == 0 || r.Port == port) {
			l, ok = l.with(host, r.Private), true
		}
	}
	literal, err := netip.ParseAddr(host)
	var blocks []netip.Prefix
	for _, w := range d.p.Ways {
		if !w.Opens(port) {
			continue
		}
		named := w.Names(host)
		if w.Net.IsValid() {
			blocks = append(blocks, w.Net)
			named = named || err == nil && w.Net.Contains(literal)
		} else if named {
			l = l.with(host, w.Private)
		}
		ok = ok || named
	}
	return func(a netip.Addr) bool { return l.allows(a) || within(blocks, a) }, ok
}

// with is the leave that a route for a host adds.
func (l leave) with(host string, private bool) leave {
	_, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		return leave{true, true, true}
	case host == "localhost" || strings.HasSuffix(host, ".localhost"):
		l.loopback = true
	default:
		l.public, l.private = true, l.private || private
	}
	return l
}

// within reports whether declared blocks lead to an address. A block is meant as the kind of network that
// it is: only one that is a private network's leads to private addresses.
func within(blocks []netip.Prefix, a netip.Addr) bool {
	for _, b := range blocks {
		if b.Contains(a) && (classOf(a) == classPublic || classOf(a) == classPrivate && privateBlock(b)) {
			return true
		}
	}
	return false
}

// cleanHost is a name in lower case without a final dot, or an address in its usual form: not in one that
// only some resolvers take for an address, as 127.1 or 0x7f000001.
func cleanHost(host string) (string, bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String(), a.Zone() == ""
	}
	return host, way.IsName(host)
}
