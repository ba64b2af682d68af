// Package egress is the only way out: every connection that Bastide opens to another machine is
// dialled here, for a purpose that is named, along a route that is declared, and is recorded
// before a byte is sent.
//
//	out, err := egress.New(egress.Policy{
//		Routes:   []egress.Route{{Purpose: "jwks", Host: "localhost", Port: 8080}},
//		Public:   []string{"jwks"},
//		Auditor:  trail,
//		Resolver: net.DefaultResolver,
//	})
//	body, err := out.Fetcher("jwks").Get(ctx, "https://issuer.example/.well-known/jwks.json", 64<<10)
//
// A purpose in Public may reach any public address; everything else needs a Route. Addresses are
// checked after the name is resolved and the very address that was checked is dialled, so that a
// name that changes its mind (DNS rebinding) gains nothing. Loopback, private and link-local
// addresses (the metadata service at 169.254.169.254) are reached only along a route that names
// them: by the address, as localhost, or, for private ones, with Private.
package egress

import (
	"fmt"
	"net/netip"
	"time"
)

// Route is a declared way out.
type Route struct {
	Purpose string // empty for every purpose
	Host    string // name or address; no patterns
	Port    int    // 0 for every port
	// Private lets the name resolve to private addresses (RFC 1918, unique local). An address or
	// localhost needs no such leave; loopback and link-local are never reached by another name.
	Private bool
}

// Record is one connection, or one that was refused.
type Record struct {
	At      time.Time
	Purpose string
	Host    string
	Port    int
	Address netip.Addr // dialled; zero if none was
	Refused string     // why not; empty if connected
}

// Auditor keeps records. A connection that it cannot record is closed unused.
type Auditor interface {
	Connected(Record) error
}

// Refused is the error of a connection that is not allowed.
type Refused struct {
	Purpose, Addr, Reason string
}

func (e *Refused) Error() string {
	return fmt.Sprintf("egress: %s to %s: %s", e.Purpose, e.Addr, e.Reason)
}
