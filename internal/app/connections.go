package app

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lambdaapi "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// The events of what leaves.
const (
	eventConnect    = "Connect"    // a connection that was opened, refused or failed
	eventDisconnect = "Disconnect" // the end of one, with what passed
	eventResolve    = "Resolve"    // a name that was refused
)

// connections records what leaves, as happenings of whoever lets it out.
type connections struct {
	tally *tally
	as    gate.Happening // but for what was connected
	hint  string         // what to do about a refusal; empty for nothing
}

func (s *Server) connections(as gate.Happening, hint string) connections {
	return connections{s.refusals, as, hint}
}

// Connected implements egress.Auditor.
func (c connections) Connected(r egress.Record) error {
	h := c.happening(eventConnect, r)
	switch {
	case r.Refused != "":
		hint := c.hint
		if r.Final {
			hint = ""
		}
		h.Err = awserr.Of(awserr.AccessDenied, "The connection to %s is refused: %s.%s", h.Resources[0], r.Refused, hint)
		return c.tally.add(h, r.Refused, 1)
	case r.Failed != "":
		h.Err = awserr.New("ConnectionFailed", 502, "The connection to %s failed: %s.", h.Resources[0], r.Failed)
		return c.tally.add(h, r.Failed, 1)
	}
	return c.tally.note(h)
}

// Disconnected implements egress.Follower. That the record could not be kept is for the trail's own alarm:
// the connection is over.
func (c connections) Disconnected(r egress.Record) {
	h := c.happening(eventDisconnect, r)
	d := h.Detail.(map[string]any)
	d["bytesSent"], d["bytesReceived"], d["durationMs"] = r.Sent, r.Received, r.Lasted.Milliseconds()
	if r.Refused != "" {
		h.Err = awserr.Of(awserr.AccessDenied, "The connection to %s is closed: %s.", h.Resources[0], r.Refused)
	}
	_ = c.tally.note(h)
}

func (c connections) happening(event string, r egress.Record) gate.Happening {
	h := c.as
	h.Event, h.Resources = event, []string{net.JoinHostPort(r.Host, strconv.Itoa(r.Port))}
	detail := map[string]any{"purpose": r.Purpose, "host": r.Host, "port": r.Port}
	if h.SourceARN != "" {
		detail["source"] = h.SourceARN
	}
	if r.Address.IsValid() {
		detail["address"] = r.Address.String()
	}
	h.Detail = detail
	return h
}

// tally records refusals and failures: each at once the first time, and while they go on, how many there
// were every second. A flood must not fill the disk.
type tally struct {
	note func(gate.Happening) error

	mu      sync.Mutex
	going   map[tallied]*refusal
	sources map[string]int // how many of going are of one source
}

type tallied struct{ source, event, resource, why string }

type refusal struct {
	h gate.Happening
	n int64 // since it was recorded
}

// Limits of what is told apart while it goes on.
const (
	tallyPerSource = 256
	tallyAll       = 4096
)

func newTally(note func(gate.Happening) error) *tally {
	return &tally{note: note, going: map[tallied]*refusal{}, sources: map[string]int{}}
}

// add counts n refusals, and records them if they are the first of their kind.
func (t *tally) add(h gate.Happening, why string, n int64) error {
	k := tallied{h.SourceARN, h.Event, h.Resources[0], why}
	t.mu.Lock()
	if had := t.going[k]; had != nil {
		had.n += n
		t.mu.Unlock()
		return nil
	}
	if t.sources[k.source] >= tallyPerSource || len(t.going) >= tallyAll {
		k = tallied{source: k.source, event: h.Event}
		if had := t.going[k]; had != nil {
			had.n += n
			t.mu.Unlock()
			return nil
		}
		purpose := h.Detail.(map[string]any)["purpose"]
		h.Resources = []string{fleet.Elsewhere}
		h.Detail = map[string]any{"purpose": purpose, "host": fleet.Elsewhere, "source": h.SourceARN}
		h.Err = awserr.Of(awserr.AccessDenied, "Connections to more than %d places are refused or fail; those to more are counted together.", tallyPerSource)
	}
	t.going[k] = &refusal{h: h}
	t.sources[k.source]++
	t.mu.Unlock()
	if n > 1 {
		h = counted(h, n)
	}
	return t.note(h)
}

// counted is a happening of which there were n.
func counted(h gate.Happening, n int64) gate.Happening {
	detail := maps.Clone(h.Detail.(map[string]any))
	detail["count"] = n
	h.Detail = detail
	return h
}

// flush records what was counted since, and forgets what has stopped.
func (t *tally) flush() error {
	t.mu.Lock()
	var due []gate.Happening
	for k, r := range t.going {
		if r.n == 0 {
			delete(t.going, k)
			if t.sources[k.source]--; t.sources[k.source] == 0 {
				delete(t.sources, k.source)
			}
			continue
		}
		due = append(due, counted(r.h, r.n))
		r.n = 0
	}
	t.mu.Unlock()
	var errs error
	for _, h := range due {
		errs = errors.Join(errs, t.note(h))
	}
	return errs
}

// run flushes every second until the context ends.
func (t *tally) run(ctx context.Context) error { return everySecond(ctx, t.flush) }

// roleOf is what a function's connections are recorded as.
func (s *Server) roleOf(ctx context.Context, service *lambda.Service, f fleet.Function) (gate.Happening, error) {
	h := gate.Happening{Service: lambdaapi.Service, Region: f.Region, SourceARN: f.ARN}
	cred, err := service.Session(ctx, f)
	if err == nil {
		h.Principal, err = s.principal(cred)
	}
	return h, err
}

// refused records what a function tried to reach beside its ways.
func (s *Server) refused(service *lambda.Service, f fleet.Function, r fleet.Refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	h, err := s.roleOf(ctx, service, f)
	if err != nil {
		h.Principal = identity.Service(lambdaPrincipal, f.Account) // its role is gone; what it tried is told all the same
	}
	h.Event, h.Resources = eventConnect, []string{net.JoinHostPort(r.Host, strconv.Itoa(r.Port))}
	detail := map[string]any{"purpose": "function", "host": r.Host, "protocol": r.Network, "source": f.ARN}
	switch r.Network {
	case "dns":
		h.Event, h.Resources = eventResolve, []string{r.Host}
	case "":
		h.Resources = []string{r.Host}
		delete(detail, "protocol")
	default:
		detail["port"] = r.Port
		if a, err := netip.ParseAddr(r.Host); err == nil {
			detail["address"] = a.String()
		}
	}
	h.Detail = detail
	h.Err = awserr.Of(awserr.AccessDenied, "%s %s is refused: %s.", map[bool]string{true: "The name", false: "The connection to"}[r.Network == "dns"], h.Resources[0], r.Reason)
	if r.Host == fleet.Elsewhere { // which comes at most once a second, with its own count
		h.Err = awserr.Of(awserr.AccessDenied, "%d more connections or datagrams are refused, places unknown: %s.", r.Count, r.Reason)
		err = s.refusals.note(counted(h, r.Count))
	} else {
		err = s.refusals.add(h, r.Reason, r.Count)
	}
	if err != nil {
		s.log.Error("a refused connection could not be recorded", "function", f.ARN, "error", err)
	}
}

// own tells whether an address is one that this server answers at. What a function or an integration
// sends there would arrive as a call of this machine, which it is not.
func (s *Server) own(to netip.AddrPort) bool {
	for _, l := range []net.Listener{s.api, s.apps} {
		if l == nil {
			continue
		}
		at, ok := l.Addr().(*net.TCPAddr)
		if !ok || at.Port != int(to.Port()) {
			continue
		}
		ip := at.AddrPort().Addr().Unmap()
		if ip == to.Addr().Unmap() || ip.IsUnspecified() && thisMachine(to.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// ownName tells whether an address, or a name of this machine (RFC 6761), is the server's own. Where other
// names lead is looked at each time that they are called.
func (s *Server) ownName(host string, port int) bool {
	at := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	if a, err := netip.ParseAddr(host); err == nil {
		at = []netip.Addr{a}
	} else if !local(strings.ToLower(strings.TrimSuffix(host, "."))) {
		return false
	}
	return slices.ContainsFunc(at, func(a netip.Addr) bool { return s.own(netip.AddrPortFrom(a, uint16(port))) })
}

// thisMachine tells whether an address is one of this machine's. Where they cannot be read, every one may
// be.
func thisMachine(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
