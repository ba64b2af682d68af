package gate

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resource is a CloudFormation resource type that a service offers: how to make, change and
// delete one through the public operations, as the principal who deploys.
type Resource struct {
	Type string // "AWS::IAM::Role"
	// Properties are those that are understood, nested names dotted; one that is not listed fails
	// the deployment before anything is made.
	Properties []string
	// Replace are the properties whose change makes a new resource in place of the old.
	Replace []string
	// Create makes the resource. It may be called again after a crash with the same Making.Name
	// and Making.Token, and then returns what the first call made.
	Create func(ctx context.Context, m Making, props map[string]any) (Made, error)
	// Update changes the resource in place.
	Update func(ctx context.Context, m Making, id string, before, after map[string]any) (Made, error)
	// Delete removes it; one that is gone already is no error.
	Delete func(ctx context.Context, m Making, id string, props map[string]any) error
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
}

// Made is a resource that exists: its physical id (what Ref gives) and its attributes (what
// Fn::GetAtt gives).
type Made struct {
	ID         string
	Attributes map[string]any
}
