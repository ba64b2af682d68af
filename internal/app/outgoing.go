package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	lambdaapi "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/edge"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// connections records what leaves, as happenings of whoever lets it out.
type connections struct {
	gate *gate.Gate
	as   gate.Happening // but for what was connected
	hint string         // what to do about a refusal; empty for nothing
}

// Connected implements egress.Auditor.
func (c connections) Connected(r egress.Record) error {
	h := c.as
	h.Event, h.Resources = "Connect", []string{net.JoinHostPort(r.Host, strconv.Itoa(r.Port))}
	detail := map[string]any{"purpose": r.Purpose, "host": r.Host, "port": r.Port}
	if r.Address.IsValid() {
		detail["address"] = r.Address.String()
	}
	h.Detail = detail
	if r.Refused != "" {
		h.Err = awserr.Of(awserr.AccessDenied, "The connection to %s is refused: %s.%s", h.Resources[0], r.Refused, c.hint)
	}
	return c.gate.Happened(h)
}

// resolver resolves as the machine does, but knows that every name below localhost is this machine
// (RFC 6761, section 6.3), whatever a name server says.
type resolver struct{ next egress.Resolver }

func (n resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	return n.next.LookupNetIP(ctx, network, host)
}

// dial opens a route that a function declares. It acts as the function's role: one that may not be
// taken any more opens nothing.
func (s *Server) dial(ctx context.Context, service *lambda.Service, f fleet.Function, address string) (net.Conn, error) {
	conn, err := s.dialAs(ctx, service, f, address)
	if err != nil {
		s.log.Warn("a function's connection failed", "function", f.ARN, "to", address, "error", err)
	}
	return conn, err
}

func (s *Server) dialAs(ctx context.Context, service *lambda.Service, f fleet.Function, address string) (net.Conn, error) {
	cred, err := service.Session(ctx, f)
	if err != nil {
		return nil, err
	}
	principal, err := s.principal(cred)
	if err != nil {
		return nil, err
	}
	p := egress.Policy{Resolver: resolver{net.DefaultResolver}, Clock: s.clock, Auditor: connections{s.gate, gate.Happening{
		Principal: principal, Service: lambdaapi.Service, Region: f.Region, SourceARN: f.ARN}, ""}}
	for _, r := range f.Routes {
		p.Routes = append(p.Routes, egress.Route{Host: r.Host, Port: r.Port, Private: r.Private})
	}
	out, err := egress.New(p)
	if err != nil {
		return nil, err
	}
	return out.Dial(ctx, "function", address)
}

// issuers fetches the keys of token issuers: public ones, and those of this machine or a private
// network that --allow-issuer names.
type issuers struct{ *egress.Fetcher }

func (s *Server) issuers() (issuers, error) {
	p := egress.Policy{Public: []string{"jwks"}, Resolver: resolver{net.DefaultResolver}, Clock: s.clock, Auditor: connections{s.gate, gate.Happening{
		Principal: identity.Service("apigateway.amazonaws.com", s.cfg.Account), Service: edge.Service, Region: s.cfg.Region},
		" Where this issuer of tokens is meant, start Bastide with --allow-issuer and its origin."}}
	for _, origin := range s.cfg.Issuers {
		host, port, err := hostPort(origin)
		if err != nil {
			return issuers{}, fmt.Errorf("--allow-issuer %q: %w", origin, err)
		}
		p.Routes = append(p.Routes, egress.Route{Purpose: "jwks", Host: host, Port: port, Private: true})
	}
	out, err := egress.New(p)
	if err != nil {
		return issuers{}, err
	}
	return issuers{out.Fetcher("jwks")}, nil
}

// Get fetches one document; a refusal says how to allow what was meant.
func (i issuers) Get(ctx context.Context, address string, limit int64) ([]byte, error) {
	body, err := i.Fetcher.Get(ctx, address, limit)
	if _, ok := errors.AsType[*egress.Refused](err); ok {
		if o, oerr := origin(address); oerr == nil {
			err = fmt.Errorf("%w; where this issuer is meant, start Bastide with --allow-issuer %s", err, o)
		}
	}
	return body, err
}

// hostPort is where the server of an HTTP URL answers.
func hostPort(address string) (host string, port int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", 0, err
	}
	port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	if u.Port() != "" && port != 0 {
		port, err = strconv.Atoi(u.Port())
	}
	if err != nil || u.Hostname() == "" || port < 1 || port > 65535 {
		return "", 0, errors.New("it is no URL such as http://127.0.0.1:9099")
	}
	return u.Hostname(), port, nil
}

// origin is the scheme, host and port of an HTTP URL.
func origin(address string) (string, error) {
	if _, _, err := hostPort(address); err != nil {
		return "", err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host, nil
}

// local tells whether a host is this machine or a private network by its very name, so that only a
// route that names it leads there.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
}

// allowed tells whether a server with these settings fetches an issuer's keys.
func allowedIssuer(allowed []string, issuer string) bool {
	host, port, err := hostPort(issuer)
	if err != nil || !local(host) {
		return true // what is no URL is for the authorizer to refuse
	}
	return slices.ContainsFunc(allowed, func(o string) bool {
		h, p, err := hostPort(o)
		return err == nil && h == host && p == port
	})
}
