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
// name that changes its mind (DNS rebinding) gains nothing. Loopback and private addresses are reached
// only along a route that names them: by the address, as localhost, or, for private ones, with Private.
// Link-local addresses and those where clouds answer for their metadata are never reached.
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

// Record is one connection, or one that was refused or failed.
type Record struct {
	At      time.Time
	Purpose string
	Host    string
	Port    int
	Address netip.Addr // dialled, or judged and refused; zero if there was none
	Refused string     // why it was not allowed
	Final   bool       // it is refused whatever is declared
	Failed  string     // why it was allowed and came to nothing

	// Of one that has ended:
	Sent, Received int64 // bytes
	Lasted         time.Duration
}

// Auditor keeps records. A connection that it cannot record is closed unused.
type Auditor interface {
	Connected(Record) error
}

// Follower is an Auditor that is told, too, of the end of each connection.
type Follower interface {
	Disconnected(Record)
}

// Refused is the error of a connection that is not allowed.
type Refused struct {
	Purpose, Addr, Reason string
	Final                 bool // whatever is declared
}

func (e *Refused) Error() string {
	return fmt.Sprintf("egress: %s to %s: %s", e.Purpose, e.Addr, e.Reason)
}

// Refused reports that it was not allowed, to those who know only this method.
func (e *Refused) Refused() bool { return true }
