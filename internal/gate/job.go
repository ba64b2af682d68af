package gate

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Job is work that a service does without a caller: a timer, a queue's delivery, a retry. It
// acts as a named principal and its changes are recorded as the service's own events.
type Job struct {
	Gate    *Gate
	Name    string // in records, as the event's name: "AsyncInvoke"
	Service *wire.Service
	Account string
	Region  string
	// Resources are what its changes touch, and RequestID the call that it goes on with, for records; a
	// new one where it is empty.
	Resources []string
	RequestID string
}

// View reads the service's own tables.
func (j Job) View(ctx context.Context, fn func(*store.Tx) error) error {
	return j.Gate.store.View(ctx, store.In(j.Service.ID), fn)
}

// Update changes the service's own tables and records what was done, in one transaction; what is
// the event's detail, or nil. Bookkeeping that changes no resource (taking a lease) passes
// through Lease instead.
func (j Job) Update(ctx context.Context, what any, fn func(*store.Tx) error) error {
	rec := j.event(what)
	spaces := store.In(j.Service.ID, j.Gate.trail.Space())
	return j.Gate.store.Update(ctx, spaces, func(tx *store.Tx) error {
		if err := fn(tx.Within(store.In(j.Service.ID))); err != nil {
			return err
		}
		return j.Gate.trail.Append(tx, rec)
	})
}

// Lease changes the job's own queue: who works on which row until when. No resource of a user
// changes, so there is no record.
func (j Job) Lease(ctx context.Context, fn func(*store.Tx) error) error {
	return j.Gate.store.Update(ctx, store.In(j.Service.ID), fn)
}

// Principal is the service itself.
func (j Job) Principal() identity.Principal {
	return identity.Service(j.Service.EventSource, j.Account)
}

// Client makes calls as the service itself, on behalf of one of its resources.
func (j Job) Client(sourceARN string) Client {
	return Client{Gate: j.Gate, Principal: j.Principal(), Region: j.Region, Account: j.Account,
		SourceARN: sourceARN, SourceAccount: j.Account}
}
