package gate

import (
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Need is one permission that an operation requires: an action on a resource, with what the
// conditions of policies may ask about it. An operation with several needs passes only if each
// is allowed.
type Need struct {
	Action   string // "dynamodb:PutItem"
	Resource string // an ARN, or "*" where the action knows no resource
	Account  string // the account that owns the resource; the caller's where empty

	// Policy is the resource's own policy, or nil where it has none.
	Policy *policy.Attached
	// PolicyRequired: the resource's policy must allow, as a role's trust policy must.
	PolicyRequired bool

	// Keys are condition keys that the request itself gives, by full name ("dynamodb:LeadingKeys").
	Keys map[string][]string
	// Lazy answers condition keys that cost a read (aws:ResourceTag/…); it is asked only when a
	// policy mentions one, by its lower-case name, and may read through the Ask that made the need.
	Lazy func(key string) policy.Values

	// Optional: a refusal does not end the call. The handler asks Call.Refusal how the need was
	// decided, and acts on it: S3 tells a missing object only to who may list the bucket.
	Optional bool

	// Returned are policies that an application's authorizer returned for its caller. They are
	// judged as the caller's own, beside the resource's policy; to other policies the caller is
	// nobody.
	Returned []policy.Attached

	// Hidden words the refusal: an operation that must not tell whether the resource exists.
	Hidden error
}

// Ask is what a Needs function sees: who asks for what, and a way to read the service's own
// state (resource policies, tags). What it reads is noted, and read again in the transaction
// that makes the change.
type Ask struct {
	*scope
	tx    *store.Tx
	reads []*store.ReadSet

	screening bool // only an explicit denial refuses

	grant   *Grant              // the principal's policies as decided on
	touched []string            // resources that were asked about
	refusal *policy.Explanation // why the call was refused
}

func (a *Ask) directoryVersion() uint64 {
	if a.grant == nil {
		return a.gate.directory.Version()
	}
	return a.grant.Version
}

// View reads the service's tables.
func (a *Ask) View(fn func(*store.Tx) error) error {
	if a.tx != nil {
		return fn(a.tx) // inside Update: decide again on what the change will see
	}
	return a.gate.store.View(a.ctx, a.spaces(), func(tx *store.Tx) error {
		reads := tx.Record()
		err := fn(tx)
		a.reads = append(a.reads, reads)
		return err
	})
}

// Policy compiles a resource policy, from a cache where it was seen before.
func (a *Ask) Policy(kind policy.Kind, src string) (*policy.Policy, error) {
	return a.gate.policies.parse(kind, src)
}
