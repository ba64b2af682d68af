package app

import (
	"context"

	stsapi "github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/service/cloudformation"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const cloudFormationPrincipal = "cloudformation.amazonaws.com"

// cloudFormation makes the service over all the resource types that the others offer.
func (s *Server) cloudFormation(r *rooms) (*cloudformation.Service, error) {
	types, err := deploy.NewTypes(r.resources...)
	if err != nil {
		return nil, err
	}
	service := cloudformation.New(cloudformation.Deps{IDs: s.ids, Sealer: s.sealer, Roles: deployingRoles{s}, Types: types})
	r.jobs = append(r.jobs, func(ctx context.Context) error { return service.Run(ctx, s.gate, s.clock) })
	return service, nil
}

// deployingRoles takes roles for stacks, at the door, as CloudFormation's service principal.
type deployingRoles struct{ s *Server }

// Assume is a caller in the role, for as long as the role's sessions last.
func (r deployingRoles) Assume(ctx context.Context, account, region, roleARN, stackID string) (wire.Caller, error) {
	service := gate.Client{Gate: r.s.gate, Principal: identity.Service(cloudFormationPrincipal, account), Region: region, Account: account,
		SourceARN: stackID, SourceAccount: account}
	out, err := stsapi.Client{Caller: service}.AssumeRole(ctx, &stsapi.AssumeRoleInput{RoleArn: roleARN, RoleSessionName: "AWSCloudFormation"})
	if err != nil {
		return nil, err
	}
	session, _, err := r.s.tokens.Open(out.Credentials.AccessKeyId, out.Credentials.SessionToken, r.s.clock.Now())
	if err != nil {
		return nil, err
	}
	p, err := session.Principal()
	if err != nil {
		return nil, err
	}
	return gate.Client{Gate: r.s.gate, Principal: p, Region: region, Account: account,
		Source: gate.Source{Via: []string{cloudFormationPrincipal}}}, nil
}
