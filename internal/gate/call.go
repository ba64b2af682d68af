package gate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Faults of a handler, not of a caller: they show as internal errors and fail the tests.
var (
	errNested  = errors.New("gate: a call inside View or Update")
	errTwice   = errors.New("gate: a call commits at most one Update")
	errEmpties = errors.New("gate: an operation that is not declared Emptying tried to empty everything")
	errReading = errors.New("gate: an operation declared Read tried to Update")
)

// scope is what Ask and Call share: who asks for what, where and when.
type scope struct {
	gate  *Gate
	ctx   context.Context
	entry *Entry
	op    *bound
	now   time.Time
}

// Context ends when the caller goes away or the deadline passes.
func (s *scope) Context() context.Context { return s.ctx }

// Principal is who calls.
func (s *scope) Principal() identity.Principal { return s.entry.Principal }

// Account is the account that the call works in: the caller's own.
func (s *scope) Account() string { return s.entry.Account }

// Region is the region that the call was signed for.
func (s *scope) Region() string { return s.entry.Region }

// RequestID names the call in answers, logs and records.
func (s *scope) RequestID() string { return s.entry.RequestID }

// Now is the time of the call, the same however often it is asked.
func (s *scope) Now() time.Time { return s.now }

// Source is where the call came from.
func (s *scope) Source() Source { return s.entry.Source }

// Given is what the calling service says of its call under a condition key (Entry.Keys).
func (s *scope) Given(key string) []string { return s.entry.Keys[key] }

// SourceARN is the resource on whose behalf a service calls, "" for other callers.
func (s *scope) SourceARN() string { return s.entry.SourceARN }

// ARN names a resource of the operation's service in the call's account and region.
func (s *scope) ARN(resource string) string {
	return arn.New(s.op.Wire.Service.ActionPrefix, s.entry.Region, s.entry.Account, resource).String()
}

func (s *scope) spaces() store.Scope {
	return store.In(s.op.Wire.Service.ID)
}

// Call is what a handler sees.
type Call struct {
	*scope
	ask       *Ask
	in        any
	needs     []Need
	asking    *Ask // that made needs: ask, or what decided again inside Update
	inTx      bool
	committed bool
	course    course // of an Invoke
}

// Refusal is nil if the i-th of the call's needs, an Optional one, is allowed, and otherwise the
// error that refuses it. Inside Update it is decided on what the transaction sees.
func (c *Call) Refusal(i int) error {
	err := c.asking.judge(&c.needs[i])
	if err != nil {
		c.ask.refusal = c.asking.refusal
	}
	return err
}

// View reads the service's own tables at one moment.
func (c *Call) View(fn func(*store.Tx) error) error {
	if c.inTx {
		return errNested
	}
	c.inTx = true
	defer func() { c.inTx = false }()
	return c.gate.store.View(c.ctx, c.spaces(), fn)
}

// Review is View behind the call's change, to clear away what came of it or did not: it is not cut off
// when the caller goes away.
func (c *Call) Review(fn func(*store.Tx) error) error {
	if c.inTx {
		return errNested
	}
	c.inTx = true
	defer func() { c.inTx = false }()
	return c.gate.store.View(context.WithoutCancel(c.ctx), c.spaces(), fn)
}

// Update changes the service's own tables and records it, in one transaction. fn may run more
// than once and must depend only on what it reads through its transaction.
func (c *Call) Update(fn func(*store.Tx) error) error {
	return c.update(c.spaces(), func(tx *store.Tx) (any, error) { return nil, fn(tx) })
}

// Empty removes all that every service keeps and records it, in one transaction, as Update does. The
// trail stays.
func (c *Call) Empty() error {
	if !c.op.empties {
		return errEmpties
	}
	return c.update(store.In(c.gate.services...), func(tx *store.Tx) (any, error) { return nil, tx.Clear() })
}

// Commit is Update for an operation whose answer belongs in the record.
func Commit[Out any](c *Call, fn func(*store.Tx) (*Out, error)) (*Out, error) {
	var out *Out
	err := c.update(c.spaces(), func(tx *store.Tx) (any, error) {
		var err error
		if out, err = fn(tx); err != nil {
			return nil, err
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Call) update(own store.Scope, fn func(*store.Tx) (any, error)) error {
	switch {
	case c.inTx:
		return errNested
	case c.committed:
		return errTwice
	case c.op.Access == Read:
		return errReading
	}
	c.inTx = true
	defer func() { c.inTx, c.ask.tx = false, nil }()
	all := store.In(append(slices.Clone(own.Spaces), c.gate.trail.Space())...)
	err := c.gate.store.Update(c.ctx, all, func(tx *store.Tx) error {
		if err := c.recheck(tx); err != nil {
			return err
		}
		out, err := fn(tx.Within(own)) // the trail's tables are the gate's alone
		if err != nil {
			return err
		}
		return c.gate.trail.Append(tx, c.record(out, nil))
	})
	c.committed = err == nil
	return err
}

// recheck decides again inside the transaction where what the decision was made on has changed
// since: the rows that Needs read, or the caller's own policies.
func (c *Call) recheck(tx *store.Tx) error {
	same := true
	for _, reads := range c.ask.reads {
		ok, err := tx.Unchanged(reads)
		if err != nil {
			return err
		}
		same = same && ok
	}
	if same && c.gate.directory.Version() == c.ask.directoryVersion() {
		c.ask.tx, c.asking = tx, c.ask // what is asked from here on reads through the transaction
		return nil
	}
	again := &Ask{scope: c.scope, tx: tx}
	needs, err := c.op.needs(again, c.in)
	if err == nil {
		err = c.gate.decide(again, needs)
	}
	c.needs, c.asking, c.ask.refusal = needs, again, again.refusal
	return err
}
