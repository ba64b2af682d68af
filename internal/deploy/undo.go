package deploy

import (
	"context"
	"slices"
	"sync"
)

// Undo takes back what the operation has done: resources that it changed get their former
// properties, those that it replaced stand again, those that it made are set aside for CleanUp.
// What was done last is taken back first. failed are the resources that could not be restored.
func (r *Run) Undo(ctx context.Context) (failed []string, err error) {
	var ids []string
	after := map[string][]string{}
	for _, id := range r.ids() {
		row := r.row(id)
		if row.Op != r.Op || row.Undone {
			continue
		}
		ids = append(ids, id)
		if row.Now != nil {
			for _, d := range row.Now.DependsOn {
				after[d] = append(after[d], id)
			}
		}
	}
	var mu sync.Mutex
	err = walk(ctx, ids, after, parallel, false, func(ctx context.Context, id string) (bool, error) {
		ok, err := r.undo(ctx, r.row(id))
		if !ok && err == nil {
			mu.Lock()
			failed = append(failed, id)
			mu.Unlock()
		}
		return true, err // one that cannot be restored keeps no other from it
	})
	slices.Sort(failed)
	return failed, err
}

func (r *Run) undo(ctx context.Context, row Row) (bool, error) {
	now, was := row.Now, row.Was
	if was == nil { // it was added
		if now.exists() {
			row.Trash = append(row.Trash, *now)
		}
		row.Now, row.Undone, row.Begun = nil, true, false
		if len(row.Trash) == 0 {
			return true, r.forget(ctx, row.LogicalID, event(&row, now, "DELETE_COMPLETE", ""))
		}
		return true, r.done(ctx, row)
	}
	replaced := now.PhysicalID != was.PhysicalID || now.Type != was.Type
	switch {
	case replaced && now.exists():
		row.Trash = append(row.Trash, *now)
	case !replaced && (row.Begun || len(changed(was.Properties, now.Properties)) > 0):
		if !row.Begun || row.Status != "UPDATE_IN_PROGRESS" {
			row.Begun, row.Status = true, "UPDATE_IN_PROGRESS"
			if err := r.begin(ctx, row, event(&row, now, row.Status, "")); err != nil {
				return false, err
			}
		}
		made, err := r.Types.byName[was.Type].Update(ctx, r.making(row.LogicalID, was, true), was.PhysicalID, now.Properties, was.Properties)
		if cut(ctx, err) {
			return false, err
		}
		if err != nil {
			row.Begun, row.Undone, row.Status, row.Reason = false, true, "UPDATE_FAILED", Reason(err)
			return false, r.done(ctx, row, event(&row, now, row.Status, row.Reason))
		}
		if made.Attributes != nil {
			was.Attributes = made.Attributes
		}
	case !replaced:
		row.Now, row.Was, row.Undone = was, nil, true
		if row.failed() {
			row.Status, row.Reason = "UPDATE_COMPLETE", ""
			return true, r.done(ctx, row, event(&row, was, row.Status, ""))
		}
		return true, r.done(ctx, row)
	}
	row.Now, row.Was, row.Begun, row.Undone, row.Status, row.Reason = was, nil, false, true, "UPDATE_COMPLETE", ""
	return true, r.done(ctx, row, event(&row, was, row.Status, ""))
}
