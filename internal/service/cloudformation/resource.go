package cloudformation

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/gate"
)

// Resources are the CloudFormation resource types of the service itself. AWS::CDK::Metadata tells AWS
// which constructs made a template; it makes nothing there either, and what it tells goes nowhere here.
func Resources() []gate.Resource {
	same := func(_ context.Context, _ gate.Making, id string, _, _ map[string]any) (gate.Made, error) {
		return gate.Made{ID: id}, nil
	}
	return []gate.Resource{{
		Type:       "AWS::CDK::Metadata",
		Properties: []string{"Analytics"},
		Create: func(_ context.Context, m gate.Making, _ map[string]any) (gate.Made, error) {
			return gate.Made{ID: m.Name}, nil
		},
		Update: same,
		Delete: func(context.Context, gate.Making, string, map[string]any) error { return nil },
	}}
}
