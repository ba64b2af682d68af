package gate

import (
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Trail is where records go; package audit is one.
type Trail interface {
	// Append writes a record in the transaction of the change that it tells of.
	Append(*store.Tx, *Record) error
	// Note writes a record soon; it waits rather than dropping one.
	Note(*Record) error
	// Space is the store space that Append writes to.
	Space() string
}

// Record is what a call leaves in the trail.
type Record struct {
	Time        time.Time
	RequestID   string
	Principal   identity.Principal
	Source      Source
	Op          *wire.Operation // nil where the request never got so far
	Event       string          // a job's name, where there is no operation
	Service     *wire.Service
	Access      Access
	Account     string
	Region      string
	Phase       string // "admitted" for a long-running call that has not finished
	SourceARN   string
	Resources   []string
	In, Out     any // for the record's parameters; redacted as the model says
	Err         *awserr.Error
	Explanation *policy.Explanation
}

// record tells of a call as it stands; err is nil for one that was done.
func (c *Call) record(out any, err error) *Record {
	e := c.entry
	r := &Record{Time: c.now, RequestID: e.RequestID, Principal: e.Principal, Source: e.Source, Op: c.op.Wire, Service: c.op.Wire.Service,
		Access: c.op.Access, Account: e.Account, Region: e.Region, SourceARN: e.SourceARN, Resources: c.ask.touched, In: c.in, Out: out}
	if c.op.record != nil {
		r.In = c.op.record(c.in)
	}
	if err != nil {
		r.Err = awserr.Wrap(err)
		r.Explanation = c.ask.refusal
	}
	return r
}

// event tells of a job's change.
func (j Job) event(what any) *Record {
	id := j.RequestID
	if id == "" {
		id = j.Gate.ids.UUID()
	}
	return &Record{Time: j.Gate.clock.Now(), RequestID: id, Principal: j.Principal(), Event: j.Name, Service: j.Service,
		Access: Write, Account: j.Account, Region: j.Region, Resources: j.Resources, In: what}
}

// Refusal is a request that did not get as far as its needs: its signature, its identity or its
// input was wrong, or its operation is not built.
type Refusal struct {
	RequestID string
	Principal identity.Principal // anonymous where nobody was identified
	Source    Source
	Service   *wire.Service // nil where not even that is known
	Op        *wire.Operation
	Event     string // the operation's name where it is not built
	Region    string
	Err       error
}

// Refused records a refusal before station 6 by a principal who is known. (Strangers' are
// counted, not stored one by one: a flood must not fill the disk.)
func (g *Gate) Refused(f Refusal) error {
	return g.trail.Note(&Record{Time: g.clock.Now(), RequestID: f.RequestID, Principal: f.Principal, Source: f.Source, Op: f.Op, Event: f.Event,
		Service: f.Service, Access: Read, Account: f.Principal.Account(), Region: f.Region, Err: awserr.Wrap(f.Err)})
}
