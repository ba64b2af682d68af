package gate

import (
	"encoding/json"
	"slices"

	"github.com/bastide-cloud/bastide/internal/identity"
)

// Mandate is a caller's authority, kept for work that outlives the call: a deployment goes on as
// the one who asked for it, also after a restart. It allows nothing that the caller may not do: each
// call made under it is decided anew on the policies that bind the caller then, and it ends with the
// caller's session. It holds no credential.
type Mandate struct {
	Principal json.RawMessage // identity.Principal.Keep
	Account   string
	Region    string
	Source    Source
}

// Mandate keeps the caller's authority for calls that a service makes on the caller's behalf;
// policies see the service in aws:CalledVia, as with Forward.
func (c *Call) Mandate(service string) (Mandate, error) {
	p, err := c.entry.Principal.Keep()
	if err != nil {
		return Mandate{}, err
	}
	src := c.entry.Source
	src.Via = append(slices.Clone(src.Via), service)
	return Mandate{Principal: p, Account: c.entry.Account, Region: c.entry.Region, Source: src}, nil
}

// Under is a client for calls under a mandate. The error is an ExpiredToken when the session that
// gave it has ended.
func (j Job) Under(m Mandate) (Client, error) {
	p, err := identity.Kept(m.Principal, j.Gate.clock.Now())
	if err != nil {
		return Client{}, err
	}
	return Client{Gate: j.Gate, Principal: p, Region: m.Region, Account: m.Account, Source: m.Source}, nil
}
