package deploy

import (
	"context"
	"slices"
	"strconv"
	"sync"
)

// CleanUp ends an update: it deletes what the graph has replaced or no longer has, and what an Undo
// has set aside, dependents first, unless a policy retains it. What cannot be deleted is kept in
// its row, to be tried again at the stack's next operation; failed names it. stands reports whether
// the template that now holds has a logical id.
func (r *Run) CleanUp(ctx context.Context, stands func(logicalID string) bool) (failed []string, err error) {
	for _, id := range r.ids() {
		row := r.row(id)
		var events []Event
		var moved bool
		if was := row.Was; was != nil {
			moved = true
			if was.exists() && (was.PhysicalID != row.Now.PhysicalID || was.Type != row.Now.Type) {
				if retained(row.Now.UpdateReplacePolicy) {
					events = append(events, event(&row, was, "DELETE_SKIPPED", ""))
				} else {
					row.Trash = append(row.Trash, *was)
				}
			}
			row.Was = nil
		}
		if row.Now != nil && !stands(id) {
			moved = true
			events = append(events, row.discard(retained(row.Now.DeletionPolicy))...)
		}
		if !moved {
			continue
		}
		if row.Now == nil && len(row.Trash) == 0 {
			err = r.forget(ctx, id, events...)
		} else {
			err = r.done(ctx, row, events...)
		}
		if err != nil {
			return nil, err
		}
	}
	return r.empty(ctx, true)
}

// discard moves what exists to the trash, or lets go of it.
func (r *Row) discard(retain bool) []Event {
	now := r.Now
	r.Now, r.Gone = nil, &Instance{Type: now.Type, PhysicalID: now.PhysicalID}
	switch {
	case retain && now.exists():
		return []Event{event(r, now, "DELETE_SKIPPED", "")}
	case now.exists():
		r.Trash = append(r.Trash, *now)
		return nil
	}
	return []Event{event(r, now, "DELETE_COMPLETE", "")}
}

// Deletion says how a stack is deleted.
type Deletion struct {
	// Creating: the stack's creation is being rolled back. Resources with RetainExceptOnCreate go,
	// and all that were not completed.
	Creating bool
	// RetainExceptOnCreate treats Retain so too.
	RetainExceptOnCreate bool
	// Retain are logical ids that are let go of without being deleted.
	Retain []string
}

func (d Deletion) keeps(row *Row) bool {
	if slices.Contains(d.Retain, row.LogicalID) {
		return true
	}
	policy := row.Now.DeletionPolicy
	if d.Creating && (policy == "RetainExceptOnCreate" || d.RetainExceptOnCreate || row.failed()) {
		return false
	}
	return retained(policy)
}

// Delete deletes all that the stack has, dependents first. Rows stay, as DELETE_COMPLETE, for the
// stack's history. failed are the resources that could not be deleted.
func (r *Run) Delete(ctx context.Context, d Deletion) (failed []string, err error) {
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	for _, id := range r.ids() {
		row := r.row(id)
		let := slices.Contains(d.Retain, id)
		if row.Now == nil && !(let && len(row.Trash) > 0) {
			continue
		}
		var events []Event
		if was := row.Was; was.exists() && was.PhysicalID != row.Now.PhysicalID {
			row.Trash = append(row.Trash, *was)
		}
		row.Was, row.Op = nil, r.Op
		if row.Now != nil {
			events = row.discard(d.keeps(&row))
		}
		if let {
			row.Trash = nil
		}
		if len(events) > 0 {
			row.Status, row.Reason = events[0].Status, ""
		}
		if err := r.done(ctx, row, events...); err != nil {
			return nil, err
		}
	}
	return r.empty(ctx, false)
}

// settle learns what became of makings that were cut off, by making them again: what exists can
// only be deleted once its id is known.
func (r *Run) settle(ctx context.Context) error {
	for _, id := range r.ids() {
		row := r.row(id)
		if !row.Begun || row.Now == nil || row.Now.exists() {
			continue
		}
		if _, err := r.step(ctx, row, true); err != nil {
			return err
		}
	}
	return nil
}

// empty deletes all that is in the trash. forget drops the rows of resources that are gone.
func (r *Run) empty(ctx context.Context, forget bool) (failed []string, err error) {
	type item struct{ logicalID, physicalID, typ string }
	items := map[string]item{}
	of := map[string][]string{} // logical id → items
	needs := map[string][]string{}
	var keys []string
	for _, id := range r.ids() {
		row := r.row(id)
		for n, i := range row.Trash {
			key := id + "#" + strconv.Itoa(n)
			items[key] = item{id, i.PhysicalID, i.Type}
			keys = append(keys, key)
			of[id] = append(of[id], key)
			needs[key] = i.DependsOn
		}
	}
	after := map[string][]string{}
	for _, key := range keys {
		for _, d := range needs[key] {
			for _, other := range of[d] {
				after[other] = append(after[other], key)
			}
		}
	}
	var mu, rows sync.Mutex // rows: two items may share one
	err = walk(ctx, keys, after, parallel, false, func(ctx context.Context, key string) (bool, error) {
		it := items[key]
		if len(of[it.logicalID]) > 1 {
			rows.Lock()
			defer rows.Unlock()
		}
		ok, err := r.discarded(ctx, it.logicalID, it.physicalID, it.typ, forget)
		if !ok && err == nil {
			mu.Lock()
			failed = append(failed, it.logicalID)
			mu.Unlock()
		}
		return ok, err
	})
	slices.Sort(failed)
	return slices.Compact(failed), err
}

// discarded deletes one instance of the trash.
func (r *Run) discarded(ctx context.Context, logicalID, physicalID, typ string, forget bool) (bool, error) {
	row := r.row(logicalID)
	n := slices.IndexFunc(row.Trash, func(i Instance) bool { return i.PhysicalID == physicalID && i.Type == typ })
	i := row.Trash[n]
	tell := func(status, reason string) Event {
		if row.Now == nil { // otherwise the row tells of what stands in its place
			row.Status, row.Reason = status, reason
		}
		return event(&row, &i, status, reason)
	}
	e := tell("DELETE_IN_PROGRESS", "")
	if err := r.begin(ctx, row, e); err != nil {
		return false, err
	}
	k, ok := r.Types.byName[typ]
	if !ok {
		return false, r.done(ctx, row, tell("DELETE_FAILED", "The type "+typ+" is not built in this version of Bastide."))
	}
	err := k.Delete(ctx, r.making(logicalID, &i, false), physicalID, i.Properties)
	if cut(ctx, err) {
		return false, err
	}
	if err != nil {
		return false, r.done(ctx, row, tell("DELETE_FAILED", Reason(err)))
	}
	row.Trash = slices.Delete(slices.Clone(row.Trash), n, n+1)
	e = tell("DELETE_COMPLETE", "")
	if forget && row.Now == nil && len(row.Trash) == 0 {
		return true, r.forget(ctx, logicalID, e)
	}
	return true, r.done(ctx, row, e)
}
