package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Client runs operations in this process as a named principal, through the same stations as a
// request from the wire; the generated clients of internal/api are typed over it.
type Client struct {
	Gate      *Gate
	Principal identity.Principal
	Region    string
	Account   string
	Source    Source
	// SourceARN and SourceAccount name the resource on whose behalf a service calls.
	SourceARN, SourceAccount string
	// Keys are condition keys that the calling service gives about its calls.
	Keys map[string][]string

	call *Call // the call that this one is made within, or nil
}

// Call passes one operation through the door.
func (c Client) Call(ctx context.Context, op *wire.Operation, in any) (any, error) {
	if c.Gate == nil {
		return nil, errors.New("gate: a client without a gate")
	}
	if c.call != nil && c.call.inTx {
		return nil, errNested
	}
	input, err := op.Accept(in)
	if err != nil {
		return nil, err
	}
	return c.Gate.Do(ctx, Entry{Principal: c.Principal, In: input, Region: c.Region, Account: c.Account,
		Source: c.Source, SourceARN: c.SourceARN, SourceAccount: c.SourceAccount, Keys: c.Keys})
}

// Forward is a client for calls that a service makes with its caller's own permissions, as
// CloudFormation does; policies see the service in aws:CalledVia.
func (c *Call) Forward(service string) Client {
	src := c.entry.Source
	src.Via = append(slices.Clone(src.Via), service)
	return Client{Gate: c.gate, Principal: c.entry.Principal, Region: c.entry.Region, Account: c.entry.Account, Source: src, call: c}
}

// As is a client for calls that a service makes as a principal of its own: itself, or a role that
// it was given and whose trust policy let it in.
func (c *Call) As(p identity.Principal) Client {
	return Client{Gate: c.gate, Principal: p, Region: c.entry.Region, Account: c.entry.Account, call: c}
}

var _ wire.Caller = Client{}
