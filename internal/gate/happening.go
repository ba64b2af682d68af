package gate

import (
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Happening is something that is recorded though no operation asked for it and no state changes: a
// connection that a function opened.
type Happening struct {
	Principal identity.Principal
	Service   *wire.Service
	Event     string // its name: "Connect"
	Region    string
	SourceARN string   // the resource on whose behalf it was
	Resources []string // what it touched
	Detail    any      // encoded as JSON; nil for none
	Err       error    // why it was refused
}

// Happened records it. What cannot be recorded must not go on.
func (g *Gate) Happened(h Happening) error {
	r := &Record{Time: g.clock.Now(), RequestID: g.ids.UUID(), Principal: h.Principal, Event: h.Event, Service: h.Service, Access: Write,
		Account: h.Principal.Account(), Region: h.Region, SourceARN: h.SourceARN, Resources: h.Resources, In: h.Detail}
	if h.Err != nil {
		r.Err = awserr.Wrap(h.Err)
	}
	return g.trail.Note(r)
}
