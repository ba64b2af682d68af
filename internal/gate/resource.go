package gate

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resource is a CloudFormation resource type that a service offers: how to make, change and
// delete one through the public operations, as the principal who deploys.
type Resource struct {
	Type string // "AWS::IAM::Role"
	// Properties are those that are understood, nested names dotted, a list's items without an
	// index; one that is not listed fails the deployment before anything is made. What lies beneath
	// a name without listed children is understood whatever it is ("PolicyDocument"). A type that
	// lists Tags gets the stack's tags too: as a list of Key and Value where it lists "Tags.Key",
	// as a map otherwise.
	Properties []string
	// Unbuilt are values, by property, that are understood and not built, with what to say of them:
	// such a deployment fails too before anything is made. A value that waits for a resource is left
	// to the operations.
	Unbuilt map[string]map[string]string
	// Attributes are what Fn::GetAtt can ask for; Made.Attributes holds no other. A template that
	// asks for one that is not listed is refused before anything is made.
	Attributes []string
	// Lacks finds more that is not built than Unbuilt can name: what a definition in a property asks for,
	// or what depends on this machine. A value that waits for a resource is there as the map of the one
	// function that gives it. nil: there is nothing.
	Lacks func(props map[string]any) []Lack
	// Replace are the properties whose change makes a new resource in place of the old.
	Replace []string
	// NameLimit is how long Making.Name may be, 64 where it is 0; NameLower wants it in lower case.
	NameLimit int
	NameLower bool
	// Create makes the resource. It may be called again after a crash with the same Making.Name
	// and Making.Token, and then returns what the first call made. Where it fails after having made
	// something, it returns the id of that with the error.
	Create func(ctx context.Context, m Making, props map[string]any) (Made, error)
	// Update changes the resource in place. It may be called again after a crash, and with before
	// and after exchanged to undo a change that failed half way. nil: every change replaces.
	Update func(ctx context.Context, m Making, id string, before, after map[string]any) (Made, error)
	// Delete removes it; one that is gone already is no error.
	Delete func(ctx context.Context, m Making, id string, props map[string]any) error
}

// Lack is something in a resource's properties that is not built: the keys that lead to it, an index for
// an item of a list, and what to say of it.
type Lack struct {
	Path []string
	What string
}

// Making is what a resource is made with.
type Making struct {
	wire.Caller // the deploying principal at the door
	Account     string
	Region      string
	StackID     string
	StackName   string
	LogicalID   string
	Name        string // a physical name to use where the template gives none; the same on a retry
	Token       string // an idempotency token; the same on a retry
	// Again: an earlier attempt was cut off and may have made the resource. One that exists under a
	// name that the template gives may then be the attempt's own (Owns), or a stranger's.
	Again bool
}

// Tags that the resources of a stack carry.
const (
	TagStackID   = "aws:cloudformation:stack-id"
	TagStackName = "aws:cloudformation:stack-name"
	TagLogicalID = "aws:cloudformation:logical-id"
)

// Owns reports whether a resource with these tags is the one that is being made: its name is the
// making's own, or an earlier attempt was cut off and the tags are those that it would have put.
func (m Making) Owns(name string, tags map[string]string) bool {
	return name == m.Name || m.Again && tags[TagStackID] == m.StackID && tags[TagLogicalID] == m.LogicalID
}

// Made is a resource that exists: its physical id (what Ref gives) and its attributes (what
// Fn::GetAtt gives).
type Made struct {
	ID         string
	Attributes map[string]any
}
