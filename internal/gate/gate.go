package gate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Directory tells which policies bind a principal: a read-only snapshot that service/iam
// implements and keeps fresh by change notification. It is read outside the door, as few things are
// (decision 0027).
type Directory interface {
	// Grant is everything that judges a principal but the resource's own policy.
	Grant(identity.Principal) (Grant, error)
	// Version grows whenever any answer of Grant may have changed.
	Version() uint64
}

// Grant is a principal in the policy language's terms and the policies that apply to it.
type Grant struct {
	Principal policy.Principal
	Set       policy.Set
	Version   uint64 // the directory's version that it was read at
}

// Deps are what a Gate works with.
type Deps struct {
	Store     *store.DB
	Trail     Trail
	Directory Directory
	// Principals are whom resources' policies may name; without it nobody is there to be named.
	Principals Principals
	Clock      clock.Clock
	IDs        ids.Source
}

// Gate is the one door; safe for concurrent use.
type Gate struct {
	store      *store.DB
	trail      Trail
	directory  Directory
	principals Principals
	clock      clock.Clock
	ids        ids.Source
	ops        map[*wire.Operation]*bound
	policies   *policyCache
	services   []string // ids: the spaces that their data lives in
}

// bound is an Op in its table.
type bound struct {
	Op
	reserved func(key string) error // Unit's
}

// New checks every table and opens the door; a row that lacks a part stops the start-up.
func New(d Deps, units ...Unit) (*Gate, error) {
	g := &Gate{store: d.Store, trail: d.Trail, directory: d.Directory, principals: d.Principals, clock: d.Clock, ids: d.IDs,
		ops: make(map[*wire.Operation]*bound), policies: newPolicyCache()}
	var faults []error
	for _, u := range units {
		g.services = append(g.services, u.Model.ID)
		for _, op := range u.Ops {
			if err := op.check(); err != nil {
				faults = append(faults, err)
				continue
			}
			if op.Wire.Service != u.Model {
				faults = append(faults, fmt.Errorf("gate: %s is not of service %s", op.Wire.Name, u.Model.ID))
			}
			if g.ops[op.Wire] != nil {
				faults = append(faults, fmt.Errorf("gate: %s.%s is bound twice", u.Model.ID, op.Wire.Name))
			}
			g.ops[op.Wire] = &bound{op, u.Reserved}
		}
		for _, op := range u.Model.Operations {
			if g.ops[op] == nil {
				faults = append(faults, fmt.Errorf("gate: %s.%s is in the model but not in the service's table", u.Model.ID, op.Name))
			}
		}
	}
	return g, errors.Join(faults...)
}

// Source is where a call came from, as conditions and records see it.
type Source struct {
	IP        netip.Addr // of the wire's calls; those of services and of functions at their doors have none
	UserAgent string
	Referer   string
	Host      string
	TLS       bool
	// TLSVersion is "1.2" or "1.3"; empty without TLS.
	TLSVersion string
	// Signature is how a signed request of the wire was; the zero value for other calls.
	Signature Signature
	// Function is the ARN of the function at whose own door the call came; empty elsewhere.
	Function string
	// Lineage is the chain of events that the calling function's run is part of (fleet.Event.Lineage).
	Lineage []string
	// Trace is the trace header of the request; empty where it has none.
	Trace string
	// Via are the services that a call passed on its way (aws:CalledVia), outermost first.
	Via []string
}

// Place is where a call came from, in a word: an address, a function, or "sandbox" where neither is known.
func (s Source) Place() string {
	switch {
	case s.Function != "":
		return s.Function
	case s.IP.IsValid():
		return s.IP.String()
	}
	return "sandbox"
}

// Address is the caller's address as applications are told it: 0.0.0.0 where it has none.
func (s Source) Address() string {
	if !s.IP.IsValid() {
		return "0.0.0.0"
	}
	return s.IP.String()
}

// Signature is what conditions may ask about a request's signature.
type Signature struct {
	SignedAt  time.Time
	Presigned bool
	Legacy    bool   // of version 2; without SignedAt
	Payload   string // what it says of the body: a hash, UNSIGNED-PAYLOAD or STREAMING-…
}

// Entry is a call at the door: a principal who asks for an operation with decoded input.
type Entry struct {
	Principal identity.Principal
	In        wire.In // only decoding and wire's own checks make one
	Region    string
	Account   string // the principal's where empty
	RequestID string // made where empty
	Source    Source
	// SourceARN and SourceAccount name the resource on whose behalf a service calls.
	SourceARN, SourceAccount string
	// Keys are condition keys that a calling service gives about its call, before those of the needs;
	// a call from the wire has none (lambda:InvokedViaFunctionUrl).
	Keys map[string][]string
}

// Do passes one call through stations 6 to 9 and returns a pointer to the operation's output.
func (g *Gate) Do(ctx context.Context, e Entry) (any, error) {
	call, err := g.decided(ctx, e, false)
	if err != nil {
		return nil, err
	}
	if err := call.reserved(); err != nil {
		return nil, g.finish(call, nil, err)
	}
	out, err := call.run()
	if err = g.finish(call, out, err); err != nil {
		return nil, err
	}
	return out, nil
}

// Screen is stations 6 and 7 alone, where an explicit denial is the only refusal: what is asked of a
// caller who is not fully known yet. A refusal is explained and recorded as the call's; who passes
// has been allowed nothing, and goes through Do.
func (g *Gate) Screen(ctx context.Context, e Entry) error {
	_, err := g.decided(ctx, e, true)
	return err
}

// decided takes a call to where it may be run. A refusal has been recorded.
func (g *Gate) decided(ctx context.Context, e Entry, screening bool) (*Call, error) {
	if e.In.Operation() == nil {
		return nil, awserr.Wrap(errors.New("gate: a call without an input"))
	}
	op := g.ops[e.In.Operation()]
	if op == nil {
		return nil, awserr.Of(awserr.NotImplemented, "%s is not built in this version of Bastide.", e.In.Operation().Name)
	}
	if e.Account == "" {
		e.Account = e.Principal.Account()
	}
	if e.RequestID == "" {
		e.RequestID = g.ids.UUID()
	}
	s := &scope{gate: g, ctx: ctx, entry: &e, op: op, now: g.clock.Now()}
	ask := &Ask{scope: s, screening: screening}
	call := &Call{scope: s, ask: ask, in: e.In.Value()}
	needs, err := op.needs(ask, call.in)
	if err == nil {
		err = g.decide(ask, needs)
	}
	call.needs, call.asking = needs, ask
	if err != nil {
		return nil, g.finish(call, nil, err)
	}
	return call, nil
}

// finish records a call that committed no Update of its own: reads, invokes, refusals, failures.
// Where the record cannot be written the call fails.
func (g *Gate) finish(c *Call, out any, err error) error {
	if err != nil {
		err = awserr.Wrap(err)
	}
	if c.committed && err == nil {
		return nil
	}
	note := func() error { return g.trail.Note(c.record(nil, err)) }
	if c.goesOn(err) {
		note = c.admitted
	}
	if noted := note(); noted != nil {
		unrecorded := awserr.Wrap(noted)
		unrecorded.Cause = errors.Join(noted, err) // what the call itself came to is for the log
		return unrecorded
	}
	return err
}

// run is station 8. A handler that panics fails its own call, with a record, and nobody else's;
// what it had begun in a transaction is rolled back.
func (c *Call) run() (out any, err error) {
	defer c.admit()()
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("gate: %s panicked: %v\n%s", c.op.Wire.Name, p, debug.Stack())
		}
	}()
	return c.op.handle(c, c.in)
}

// admit records a long-running call that has not finished after a tenth of a second, so that one
// cut off by a crash is in the trail too; the returned function ends the wait.
func (c *Call) admit() (stop func()) {
	if c.op.Access != Invoke {
		return func() {}
	}
	t := time.AfterFunc(admission, func() {
		// A failure shows when the completion is recorded: the log stays failed.
		_ = c.admitted()
	})
	return func() { t.Stop() }
}

const admission = 100 * time.Millisecond
