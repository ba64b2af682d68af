package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Row is what a stack knows of one of its resources.
type Row struct {
	LogicalID string
	// Now is what exists under the logical id, or is being made; nil for a resource that is gone.
	Now *Instance `json:",omitempty"`
	// Was is what there was before the operation that goes on; nil for a resource that it adds.
	Was *Instance `json:",omitempty"`
	// Trash are instances that nothing refers to any more and that are still to be deleted.
	Trash []Instance `json:",omitempty"`
	// Gone tells what there was, once nothing is left.
	Gone *Instance `json:",omitempty"`
	// Op is the operation that touched the row last.
	Op string
	// Begun: a call was begun whose outcome is not known yet.
	Begun bool `json:",omitempty"`
	// Undone: the operation's change was taken back.
	Undone bool `json:",omitempty"`
	// Status is CloudFormation's of the resource (CREATE_COMPLETE), Reason why.
	Status, Reason string
	Changed        time.Time // set by the journal
}

// Instance is one resource that exists, or may exist.
type Instance struct {
	Type       string
	PhysicalID string // "" until it is known
	Name       string // gate.Making.Name
	Token      string
	Attributes map[string]any `json:",omitempty"`
	Properties map[string]any `json:",omitempty"`
	DependsOn  []string       `json:",omitempty"`
	Metadata   any            `json:",omitempty"`

	DeletionPolicy, UpdateReplacePolicy string
}

// Event is a line of a stack's history.
type Event struct {
	LogicalID, PhysicalID, Type string
	Status, Reason              string
	// Properties are the resource's, for the first event of a making.
	Properties map[string]any
}

// Journal makes a run's progress durable.
type Journal interface {
	// Begin keeps the row of a step before it is taken, and its events. The error is ErrSuperseded
	// when the operation is no longer the stack's.
	Begin(ctx context.Context, row Row, events ...Event) error
	// Done keeps what came of a step, whatever has become of the operation.
	Done(ctx context.Context, row Row, events ...Event) error
	// Forget drops a row of a resource that is gone.
	Forget(ctx context.Context, logicalID string, events ...Event) error
}

// ErrSuperseded: the stack is to be deleted; the run must stop.
var ErrSuperseded = errors.New("deploy: another operation has taken the stack over")

func (r *Row) clone() Row {
	c := *r
	c.Now, c.Was = r.Now.clone(), r.Was.clone()
	c.Trash = slices.Clone(r.Trash)
	return c
}

func (i *Instance) clone() *Instance {
	if i == nil {
		return nil
	}
	c := *i
	c.Attributes, c.Properties = maps.Clone(i.Attributes), maps.Clone(i.Properties)
	return &c
}

// exists reports whether there is, or may be, something to delete.
func (i *Instance) exists() bool { return i != nil && i.PhysicalID != "" }

func (i *Instance) physical() string {
	if i == nil {
		return ""
	}
	return i.PhysicalID
}

// Type is the type of what the row tells of.
func (r *Row) Type() string {
	switch {
	case r.Now != nil:
		return r.Now.Type
	case r.Was != nil:
		return r.Was.Type
	case len(r.Trash) > 0:
		return r.Trash[0].Type
	case r.Gone != nil:
		return r.Gone.Type
	}
	return ""
}

// settle makes a row that an earlier operation has left half way tell what stands: where that was
// not rolled back, a resource may have failed to change, or stand beside the one that it replaced.
func (r *Row) settle() {
	if r.Was != nil {
		switch same := r.Now.physical() == r.Was.PhysicalID && r.Now.Type == r.Was.Type; {
		case !r.Now.exists(), same && r.failed():
			r.Now = r.Was
		case !same:
			r.Trash = append(r.Trash, *r.Was)
		}
		r.Was = nil
	}
	if r.Status == "CREATE_FAILED" && r.Now != nil {
		if r.Now.exists() { // it was made in part
			r.Trash = append(r.Trash, *r.Now)
		}
		r.Now = nil
	}
}

// PhysicalID is that of what the row tells of.
func (r *Row) PhysicalID() string {
	switch {
	case r.Now.exists():
		return r.Now.PhysicalID
	case r.Was != nil:
		return r.Was.PhysicalID
	case len(r.Trash) > 0:
		return r.Trash[0].PhysicalID
	}
	return r.Gone.physical()
}

// retained reports whether a DeletionPolicy or UpdateReplacePolicy keeps a resource.
func retained(policy string) bool { return policy == "Retain" || policy == "RetainExceptOnCreate" }
