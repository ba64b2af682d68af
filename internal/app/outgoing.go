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

	"github.com/bastide-cloud/bastide/internal/edge"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

// resolver resolves as the machine does, but knows that every name below localhost is this machine
// (RFC 6761, section 6.3), whatever a name server says.
type resolver struct{ next egress.Resolver }

func (n resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	return n.next.LookupNetIP(ctx, network, host)
}

// nameResolver is who resolves what Bastide connects to.
func nameResolver(cfg Config) (egress.Resolver, error) {
	if cfg.NameServer == "" {
		return resolver{net.DefaultResolver}, nil
	}
	r, err := egress.NameServer(cfg.NameServer)
	return resolver{r}, err
}

// issuers fetches the keys of token issuers: public ones, and those of this machine or a private
// network that --allow-issuer names.
type issuers struct{ *egress.Fetcher }

func (s *Server) issuers() (issuers, error) {
	p := egress.Policy{Public: []string{"jwks"}, Resolver: s.names, Clock: s.clock, Auditor: s.connections(gate.Happening{
		Principal: identity.Service("apigateway.amazonaws.com", s.cfg.Account), Service: edge.Service, Region: s.cfg.Region},
		" Where this issuer of tokens is meant, start Bastide with --allow-issuer and its origin.")}
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
	if refused, ok := errors.AsType[*egress.Refused](err); ok && !refused.Final {
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

// local tells whether a host is by its very name somewhere that only a route that names it leads to: this
// machine, a private network, or nowhere at all.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return !egress.IsPublic(a)
}

// allowedIssuer tells whether a server with these settings fetches an issuer's keys.
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
