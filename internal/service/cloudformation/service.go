package cloudformation

import (
	"context"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Roles lets CloudFormation act as a role that it was given: through sts, as the service
// cloudformation.amazonaws.com, so that the role's trust policy decides.
type Roles interface {
	Assume(ctx context.Context, account, region, roleARN, stackID string) (wire.Caller, error)
}

// Deps are what the service works with.
type Deps struct {
	IDs    ids.Source
	Sealer *sealing.Sealer
	Roles  Roles
	Types  deploy.Types
}

// Service is CloudFormation.
type Service struct {
	ids    ids.Source
	sealer *sealing.Sealer
	roles  Roles
	types  deploy.Types
	t      tables
	wake   chan struct{} // there is an operation for the job
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{ids: d.IDs, sealer: d.Sealer, roles: d.Roles, types: d.Types, t: newTables(), wake: make(chan struct{}, 1)}
}

// principal is the service's own name, which calls on a caller's behalf carry.
const principal = "cloudformation.amazonaws.com"

// Unit is the service's table.
func (s *Service) Unit() gate.Unit { return gate.Unit{Model: api.Service, Ops: s.Ops()} }

// Ops is the table: operation, access, needs, handler. Records tell neither templates nor the
// values of parameters.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.Recording(gate.On(api.OpCreateStack, gate.Write, s.needCreate, s.createStack), recordCreate),
		gate.Recording(gate.On(api.OpUpdateStack, gate.Write, s.needUpdate, s.updateStack), recordUpdate),
		gate.On(api.OpDeleteStack, gate.Write, s.needDelete, s.deleteStack),
		gate.On(api.OpDescribeStacks, gate.Read, onOptionalStack(s, "DescribeStacks", func(in *api.DescribeStacksInput) *string { return in.StackName }), s.describeStacks),
		gate.On(api.OpListStacks, gate.Read, onAny[api.ListStacksInput]("ListStacks"), s.listStacks),
		gate.On(api.OpDescribeStackEvents, gate.Read, onStack(s, "DescribeStackEvents", func(in *api.DescribeStackEventsInput) string { return in.StackName }), s.describeEvents),
		gate.On(api.OpDescribeStackResource, gate.Read, onStack(s, "DescribeStackResource", func(in *api.DescribeStackResourceInput) string { return in.StackName }), s.describeResource),
		gate.On(api.OpDescribeStackResources, gate.Read, s.needResources, s.describeResources),
		gate.On(api.OpListStackResources, gate.Read, onStack(s, "ListStackResources", func(in *api.ListStackResourcesInput) string { return in.StackName }), s.listResources),

		gate.On(api.OpGetTemplate, gate.Read, s.needTemplate, s.getTemplate),
		gate.Recording(gate.On(api.OpGetTemplateSummary, gate.Read, s.needSummary, s.getTemplateSummary), recordSummary),
		gate.Recording(gate.On(api.OpValidateTemplate, gate.Read, onAny[api.ValidateTemplateInput]("ValidateTemplate"), s.validateTemplate), recordValidate),

		gate.Recording(gate.On(api.OpCreateChangeSet, gate.Write, s.needCreateChangeSet, s.createChangeSet), recordChangeSet),
		gate.On(api.OpDescribeChangeSet, gate.Read, onChangeSet(s, "DescribeChangeSet", func(in *api.DescribeChangeSetInput) (*string, string) { return in.StackName, in.ChangeSetName }), s.describeChangeSet),
		gate.On(api.OpExecuteChangeSet, gate.Write, onChangeSet(s, "ExecuteChangeSet", func(in *api.ExecuteChangeSetInput) (*string, string) { return in.StackName, in.ChangeSetName }), s.executeChangeSet),
		gate.On(api.OpDeleteChangeSet, gate.Write, onChangeSet(s, "DeleteChangeSet", func(in *api.DeleteChangeSetInput) (*string, string) { return in.StackName, in.ChangeSetName }), s.deleteChangeSet),
		gate.On(api.OpListChangeSets, gate.Read, onStack(s, "ListChangeSets", func(in *api.ListChangeSetsInput) string { return in.StackName }), s.listChangeSets),

		gate.On(api.OpListExports, gate.Read, onAny[api.ListExportsInput]("ListExports"), s.listExports),
		gate.On(api.OpListImports, gate.Read, onAny[api.ListImportsInput]("ListImports"), s.listImports),
	}
}

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}
