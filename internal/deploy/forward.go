package deploy

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/bastide-cloud/bastide/internal/template"
)

// Forward creates what the graph adds and updates what it changes. failed are the resources that
// could not be; then nothing new was begun. An error means that the run was cut off.
func (r *Run) Forward(ctx context.Context, g *template.Graph) (failed []string, err error) {
	after := map[string][]string{}
	var ids []string
	for _, res := range g.Resources {
		ids = append(ids, res.LogicalID)
		after[res.LogicalID] = res.DependsOn
	}
	for _, id := range ids { // a failure that was written before a crash
		if row := r.row(id); row.Op == r.Op && row.failed() {
			failed = append(failed, id)
		}
	}
	if len(failed) > 0 {
		// What had begun beside it is brought to an end; nothing new is.
		ids = slices.DeleteFunc(ids, func(id string) bool { row := r.row(id); return row.Op != r.Op || !row.Begun })
	}
	var mu sync.Mutex
	err = walk(ctx, ids, after, parallel, true, func(ctx context.Context, id string) (bool, error) {
		ok, err := r.forward(ctx, g, g.Resource(id))
		if !ok && err == nil {
			mu.Lock()
			failed = append(failed, id)
			mu.Unlock()
		}
		return ok, err
	})
	slices.Sort(failed)
	return slices.Compact(failed), err
}

func (r *Row) failed() bool { return r.Status == "CREATE_FAILED" || r.Status == "UPDATE_FAILED" }

func (r *Run) forward(ctx context.Context, g *template.Graph, res *template.Resource) (bool, error) {
	row := r.row(res.LogicalID)
	if row.Op == r.Op && row.Begun {
		return r.step(ctx, row, true)
	}
	if row.Op == r.Op {
		return true, nil // done before the run was cut off
	}
	row.settle()
	if r.Late != nil {
		if reason, late := r.Late(); late {
			return false, r.refuse(ctx, row, res, reason)
		}
	}
	k := r.Types.byName[res.Type]
	props, err := g.Properties(res.LogicalID, r.lookup)
	if err != nil {
		return false, r.refuse(ctx, row, res, err.Error())
	}
	for key := range ownTags(props["Tags"]) {
		if k.tags != noTags && len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
			return false, r.refuse(ctx, row, res, "aws: prefixed tag key names are not allowed for external use.")
		}
	}
	props = r.Stack.tagged(k, res.LogicalID, res.Metadata, props)
	want := &Instance{Type: res.Type, Properties: props, DependsOn: res.DependsOn, Metadata: res.Metadata,
		DeletionPolicy: res.DeletionPolicy, UpdateReplacePolicy: res.UpdateReplacePolicy}
	have := row.Now
	row.Op, row.Undone, row.Was, row.Reason = r.Op, false, have, ""
	switch {
	case !have.exists():
		row.Was, row.Status = nil, "CREATE_IN_PROGRESS"
		r.christen(k, res.LogicalID, want)
	case have.Type != want.Type || len(k.replaces(have.Properties, want.Properties)) > 0:
		row.Status = "UPDATE_IN_PROGRESS"
		r.christen(k, res.LogicalID, want)
	default:
		want.PhysicalID, want.Name, want.Token, want.Attributes = have.PhysicalID, have.Name, have.Token, have.Attributes
		row.Now = want
		if len(changed(have.Properties, want.Properties)) == 0 {
			if have.unlike(want) {
				return true, r.done(ctx, row)
			}
			return true, nil
		}
		row.Status = "UPDATE_IN_PROGRESS"
	}
	row.Now, row.Begun = want, true
	begin := event(&row, want, row.Status, "")
	begin.Properties = want.Properties
	if row.Was != nil && want.PhysicalID == "" {
		begin.PhysicalID = row.Was.PhysicalID
		begin.Reason = "Requested update requires the creation of a new physical resource; hence creating one."
	}
	if err := r.begin(ctx, row, begin); err != nil {
		return false, err
	}
	return r.step(ctx, row, false)
}

func (r *Run) christen(k kind, logicalID string, i *Instance) {
	i.Name, i.Token = r.Stack.name(k, logicalID, r.Op), r.Stack.token(logicalID, r.Op)
}

// unlike reports whether something beside the properties differs.
func (i *Instance) unlike(o *Instance) bool {
	return i.DeletionPolicy != o.DeletionPolicy || i.UpdateReplacePolicy != o.UpdateReplacePolicy ||
		!slices.Equal(i.DependsOn, o.DependsOn) || !same(i.Metadata, o.Metadata)
}

// refuse fails a resource before anything was called.
func (r *Run) refuse(ctx context.Context, row Row, res *template.Resource, reason string) error {
	row.Op, row.Undone, row.Reason, row.Status = r.Op, false, reason, "UPDATE_FAILED"
	row.Was = row.Now.clone()
	if row.Now == nil {
		row.Status = "CREATE_FAILED"
		row.Now = &Instance{Type: res.Type, DependsOn: res.DependsOn}
	}
	return r.done(ctx, row, event(&row, row.Now, row.Status, reason))
}

// step makes the call that the row says was begun, and writes down what came of it.
func (r *Run) step(ctx context.Context, row Row, again bool) (bool, error) {
	k := r.Types.byName[row.Now.Type]
	m := r.making(row.LogicalID, row.Now, again)
	verb, initiated := "CREATE", "Resource creation Initiated"
	if row.Was != nil {
		verb = "UPDATE"
	}
	updating := row.Was != nil && row.Was.Type == row.Now.Type && row.Was.PhysicalID == row.Now.PhysicalID
	var events []Event
	if updating {
		made, err := k.Update(ctx, m, row.Now.PhysicalID, row.Was.Properties, row.Now.Properties)
		if err != nil {
			return r.failure(ctx, row, verb, err)
		}
		if made.ID != "" {
			row.Now.PhysicalID = made.ID
		}
		if made.Attributes != nil {
			row.Now.Attributes = made.Attributes
		}
	} else {
		made, err := k.Create(ctx, m, row.Now.Properties)
		row.Now.PhysicalID, row.Now.Attributes = made.ID, made.Attributes
		if err != nil {
			return r.failure(ctx, row, verb, err)
		}
		events = append(events, event(&row, row.Now, verb+"_IN_PROGRESS", initiated))
	}
	row.Begun, row.Status, row.Reason = false, verb+"_COMPLETE", ""
	return true, r.done(ctx, row, append(events, event(&row, row.Now, row.Status, ""))...)
}

func (r *Run) failure(ctx context.Context, row Row, verb string, err error) (bool, error) {
	if cut(ctx, err) {
		return false, err
	}
	row.Begun, row.Status, row.Reason = false, verb+"_FAILED", Reason(err)
	return false, r.done(ctx, row, event(&row, row.Now, row.Status, row.Reason))
}

// lookup answers the template's references to resources that exist.
func (r *Run) lookup(logicalID string) (string, func(string) (any, bool), bool) {
	row := r.row(logicalID)
	if !row.Now.exists() {
		return "", nil, false
	}
	return row.Now.PhysicalID, func(name string) (any, bool) { v, ok := row.Now.Attributes[name]; return v, ok }, true
}

// Outputs evaluates the graph's outputs over what exists.
func (r *Run) Outputs(g *template.Graph) ([]template.OutputValue, error) { return g.Evaluate(r.lookup) }
