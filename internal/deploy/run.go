package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// Run is one operation on one stack. Its methods are called one after the other.
type Run struct {
	Stack   Stack
	Types   Types
	Base    gate.Making // whose Caller is the deploying principal; the run fills in the rest
	Journal Journal
	Op      string          // names the operation
	Rows    map[string]*Row // the stack's resources as the journal has them; kept up to date
	// Late, when not nil, reports that no further step may begin, and why.
	Late func() (reason string, late bool)

	mu sync.Mutex
}

// Steps that a run takes at a time.
const parallel = 8

// row is a copy of a resource's row, an empty one where there is none.
func (r *Run) row(id string) Row {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row := r.Rows[id]; row != nil {
		return row.clone()
	}
	return Row{LogicalID: id}
}

func (r *Run) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, 0, len(r.Rows))
	for id := range r.Rows {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (r *Run) keep(row Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Rows[row.LogicalID] = &row
}

func (r *Run) begin(ctx context.Context, row Row, events ...Event) error {
	if err := r.Journal.Begin(ctx, row, events...); err != nil {
		return err
	}
	r.keep(row)
	return nil
}

// done outlives the run's context: what was made must be known.
func (r *Run) done(ctx context.Context, row Row, events ...Event) error {
	if err := r.Journal.Done(context.WithoutCancel(ctx), row, events...); err != nil {
		return err
	}
	r.keep(row)
	return nil
}

func (r *Run) forget(ctx context.Context, id string, events ...Event) error {
	if err := r.Journal.Forget(context.WithoutCancel(ctx), id, events...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.Rows, id)
	return nil
}

func (r *Run) making(logicalID string, i *Instance, again bool) gate.Making {
	m := r.Base
	m.Account, m.Region, m.StackID, m.StackName = r.Stack.Account, r.Stack.Region, r.Stack.ID, r.Stack.Name
	m.LogicalID, m.Name, m.Token, m.Again = logicalID, i.Name, i.Token, again
	return m
}

// cut reports whether a call failed because the run was cut off: its outcome is not known.
func cut(ctx context.Context, err error) bool { return err != nil && ctx.Err() != nil }

// Reason words a failure as CloudFormation does. What an internal error hides stays hidden.
func Reason(err error) string {
	var e *awserr.Error
	if !errors.As(err, &e) {
		e = awserr.Wrap(err)
	}
	code := e.Code
	if code == "" {
		code = e.Kind.String()
	}
	return fmt.Sprintf("Resource handler returned message: \"%s\" (HandlerErrorCode: %s)", e.Message, code)
}

func event(row *Row, i *Instance, status, reason string) Event {
	return Event{LogicalID: row.LogicalID, PhysicalID: i.physical(), Type: i.Type, Status: status, Reason: reason}
}
