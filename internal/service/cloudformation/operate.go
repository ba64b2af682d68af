package cloudformation

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/template"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// operating is an operation that is being carried out.
type operating struct {
	s     *Service
	g     *gate.Gate
	clk   clock.Clock
	at    place
	st    *stack
	op    *operation
	graph *template.Graph // of what is being made or now stands; nil where none is needed
	run   *deploy.Run
}

// operating reads an operation as it stands.
func (s *Service) operating(ctx context.Context, g *gate.Gate, clk clock.Clock, p place) (*operating, error) {
	o := &operating{s: s, g: g, clk: clk, at: p}
	var secrets []string
	var rows map[string]*deploy.Row
	tags := map[string]string{}
	err := s.job(g, "Operations", p).View(ctx, func(tx *store.Tx) error {
		st, ok, err := s.t.stacks.Get(tx, p.key())
		if err != nil || !ok || st.Op == nil {
			return errors.Join(err, errIf(!ok || st.Op == nil, "cloudformation: a queued stack without an operation"))
		}
		o.st, o.op = &st, st.Op
		v := &st.version
		if o.op.Next != nil && (o.op.Phase == forwards || o.op.Phase == backwards) {
			v = o.op.Next
		}
		tags = v.Tags
		if secrets, err = s.secrets(tx, p, v); err != nil {
			return err
		}
		if o.op.Kind != "DELETE" && (o.op.Phase == forwards || o.op.Phase == cleaning) {
			if o.graph, err = s.open(tx, &st, v); err != nil {
				return err
			}
		}
		rows, err = s.rows(tx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	j := &journal{s: s, job: s.job(g, "StackResource", p), at: p, op: o.op.ID, runner: o.op.Runner, secrets: secrets}
	o.run = &deploy.Run{Stack: o.st.information(tags), Types: s.types, Base: gate.Making{Caller: o.caller()}, Journal: j, Op: o.op.ID, Rows: rows, Late: o.late}
	return o, nil
}

func errIf(is bool, text string) error {
	if is {
		return errors.New(text)
	}
	return nil
}

// mandated makes calls as the operation's caller, as long as the mandate lasts.
type mandated struct {
	job     gate.Job
	mandate gate.Mandate
}

func (m mandated) Call(ctx context.Context, op *wire.Operation, in any) (any, error) {
	c, err := m.job.Under(m.mandate)
	if err != nil {
		return nil, err
	}
	return c.Call(ctx, op, in)
}

// inRole makes calls as the stack's role, assumed when the first is made and again before the
// session ends.
type inRole struct {
	o     *operating
	mu    sync.Mutex
	as    wire.Caller
	since time.Time
}

// Sessions of a role last an hour unless it says otherwise, and at least a quarter.
const assumeAgain = 10 * time.Minute

func (r *inRole) Call(ctx context.Context, op *wire.Operation, in any) (any, error) {
	as, err := r.assumed(ctx)
	if err != nil {
		return nil, err
	}
	return as.Call(ctx, op, in)
}

func (r *inRole) assumed(ctx context.Context) (wire.Caller, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.o
	if r.as != nil && o.clk.Now().Sub(r.since) < assumeAgain {
		return r.as, nil
	}
	as, err := o.s.roles.Assume(ctx, o.at.Account, o.at.Region, o.st.Role, o.st.id())
	if err != nil {
		return nil, err
	}
	r.as, r.since = as, o.clk.Now()
	return as, nil
}

func (o *operating) caller() wire.Caller {
	if o.st.Role != "" {
		return &inRole{o: o}
	}
	return mandated{o.s.job(o.g, "Operations", o.at), o.op.Mandate}
}

func (o *operating) late() (string, bool) {
	if o.op.Kind == "CREATE" && o.st.Timeout > 0 && o.clk.Now().Sub(o.op.Begun) >= o.st.Timeout {
		return "Resource creation cancelled: stack creation time exceeded the specified timeout", true
	}
	return "", false
}

// advance takes the operation one phase further. One that another operation has taken over just
// stops.
func (o *operating) advance(ctx context.Context) error {
	var err error
	switch o.op.Phase {
	case forwards:
		if o.op.Kind == "DELETE" {
			err = o.delete(ctx)
			break
		}
		err = o.forward(ctx)
	case backwards:
		if o.op.Kind == "CREATE" {
			err = o.abandon(ctx)
			break
		}
		err = o.undo(ctx)
	case cleaning:
		if _, err = o.run.CleanUp(ctx, func(id string) bool { return o.graph.Resource(id) != nil }); err == nil {
			err = o.turn(ctx, ended, "UPDATE_COMPLETE", "", nil)
		}
	case sweeping:
		if _, err = o.run.CleanUp(ctx, func(string) bool { return true }); err == nil {
			err = o.turn(ctx, ended, "UPDATE_ROLLBACK_COMPLETE", "", func(tx *store.Tx, st *stack) error {
				return o.s.keepImports(tx, st)
			})
		}
	}
	if errors.Is(err, deploy.ErrSuperseded) {
		return nil
	}
	return err
}

// turned is a stack's new status as the audit trail tells it.
type turned struct {
	StackID     string `json:"stackId"`
	StackStatus string `json:"stackStatus"`
	Reason      string `json:"reason,omitempty"`
}

// turn brings the operation into its next phase: status, history, record and what else changes, in
// one transaction.
func (o *operating) turn(ctx context.Context, next phase, status, reason string, change func(*store.Tx, *stack) error) error {
	reason = o.run.Journal.(*journal).hide(reason)
	job := o.s.job(o.g, "StackStatus", o.at)
	return job.Update(context.WithoutCancel(ctx), turned{o.st.id(), status, reason}, func(tx *store.Tx) error {
		st, ok, err := o.s.t.stacks.Get(tx, o.at.key())
		if err != nil {
			return err
		}
		if !ok || st.Op == nil || st.Op.ID != o.op.ID || st.Op.Runner != o.op.Runner {
			return deploy.ErrSuperseded
		}
		st.Op.Phase, st.Status, st.Reason = next, status, reason
		if change != nil {
			if err := change(tx, &st); err != nil {
				return err
			}
		}
		if next == ended {
			st.Op.Next, st.Op.Mandate = nil, gate.Mandate{}
			if err := o.s.endChangeSet(tx, &st); err != nil {
				return err
			}
		}
		if err := o.s.tell(tx, &st, event{Status: status, Reason: reason}); err != nil {
			return err
		}
		return o.s.t.put(tx, &st)
	})
}

// forward makes what the operation is to make; then the new version stands.
func (o *operating) forward(ctx context.Context) error {
	failed, err := o.run.Forward(ctx, o.graph)
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		return o.fail(ctx, o.failures(failed))
	}
	if err := o.acknowledge(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return o.fail(ctx, deploy.Reason(err))
	}
	outputs, err := o.run.Outputs(o.graph)
	if err != nil {
		return o.fail(ctx, err.Error())
	}
	stands := func(tx *store.Tx, st *stack) error {
		if st.Op.Next != nil {
			st.version = *st.Op.Next
		}
		st.ChangeSet = st.Op.ChangeSet
		if err := o.s.publish(tx, st, outputs); err != nil {
			return err
		}
		return o.s.keepImports(tx, st)
	}
	if o.op.Kind == "CREATE" {
		err = o.turn(ctx, ended, "CREATE_COMPLETE", "", stands)
	} else {
		err = o.turn(ctx, cleaning, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "", stands)
	}
	if e, ok := errors.AsType[*awserr.Error](err); ok && e.Code == "ValidationError" { // an export stands in the way
		return o.fail(ctx, e.Message)
	}
	return err
}

// failures words which resources failed at what.
func (o *operating) failures(failed []string) string {
	by := map[string][]string{}
	for _, id := range failed {
		verb := "update"
		if o.run.Rows[id].Status == "CREATE_FAILED" {
			verb = "create"
		}
		by[verb] = append(by[verb], id)
	}
	reason := ""
	for _, verb := range []string{"create", "update"} {
		if len(by[verb]) > 0 {
			reason += failedList(verb, by[verb])
		}
	}
	return reason
}

// fail turns a creation or an update that failed around, as its request said.
func (o *operating) fail(ctx context.Context, reason string) error {
	if o.op.Kind == "UPDATE" {
		if o.op.DisableRollback {
			return o.turn(ctx, ended, "UPDATE_FAILED", reason, nil)
		}
		return o.turn(ctx, backwards, "UPDATE_ROLLBACK_IN_PROGRESS", reason, nil)
	}
	switch {
	case o.op.DisableRollback, o.st.OnFailure == "DO_NOTHING":
		return o.turn(ctx, ended, "CREATE_FAILED", reason, nil)
	case o.st.OnFailure == "DELETE":
		return o.turn(ctx, backwards, "DELETE_IN_PROGRESS", reason+"Delete requested by user.", nil)
	}
	return o.turn(ctx, backwards, "ROLLBACK_IN_PROGRESS", reason+"Rollback requested by user.", nil)
}

// abandon deletes what a creation that failed has made.
func (o *operating) abandon(ctx context.Context) error {
	failed, err := o.run.Delete(ctx, deploy.Deletion{Creating: true, RetainExceptOnCreate: o.op.RetainExceptOnCreate})
	if err != nil {
		return err
	}
	whole := o.st.OnFailure == "DELETE"
	switch {
	case whole && len(failed) == 0:
		return o.gone(ctx)
	case whole:
		return o.turn(ctx, ended, "DELETE_FAILED", failedList("delete", failed), nil)
	case len(failed) > 0:
		return o.turn(ctx, ended, "ROLLBACK_FAILED", failedList("delete", failed), nil)
	}
	return o.turn(ctx, ended, "ROLLBACK_COMPLETE", "", func(tx *store.Tx, st *stack) error {
		st.Imports = nil
		return o.s.keepImports(tx, st)
	})
}

func (o *operating) undo(ctx context.Context) error {
	failed, err := o.run.Undo(ctx)
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		return o.turn(ctx, ended, "UPDATE_ROLLBACK_FAILED", failedList("update", failed), nil)
	}
	return o.turn(ctx, sweeping, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "", nil)
}

func (o *operating) delete(ctx context.Context) error {
	inUse, err := o.exportsInUse(ctx)
	if err != nil {
		return err
	}
	if inUse != "" {
		// As on AWS the stack is not DELETE_FAILED but as it was (boto/botocore issue 2590).
		return o.turn(ctx, ended, o.op.Before, inUse, nil)
	}
	failed, err := o.run.Delete(ctx, deploy.Deletion{Retain: o.op.Retain})
	if err != nil {
		return err
	}
	if len(failed) > 0 && o.op.Force {
		if failed, err = o.run.Delete(ctx, deploy.Deletion{Retain: slices.Concat(o.op.Retain, failed)}); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return o.turn(ctx, ended, "DELETE_FAILED", failedList("delete", failed), nil)
	}
	return o.gone(ctx)
}

// gone ends a stack: its name and its exports are free again.
func (o *operating) gone(ctx context.Context) error {
	return o.turn(ctx, ended, "DELETE_COMPLETE", "", func(tx *store.Tx, st *stack) error {
		st.Deleted, st.Imports = tx.Now(), nil
		if err := o.s.publish(tx, st, nil); err != nil {
			return err
		}
		if err := o.s.dropChangeSets(tx, st, ""); err != nil {
			return err
		}
		return o.s.keepImports(tx, st)
	})
}

// Timestamps of CloudFormation are in milliseconds.
func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
