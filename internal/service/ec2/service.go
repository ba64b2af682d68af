package ec2

import (
	"context"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Deps are what the service works with.
type Deps struct {
	IDs ids.Source
	// Used tells whether a function, any version of it, is in a subnet or security group; nil where there
	// are no functions.
	Used func(ctx context.Context, account, region, id string) (bool, error)
}

// Service is EC2's networks.
type Service struct {
	ids  ids.Source
	used func(ctx context.Context, account, region, id string) (bool, error)
	t    tables
}

// New makes the service.
func New(d Deps) *Service { return &Service{d.IDs, d.Used, newTables()} }

// unused refuses to delete what a function's configuration names. Source: EC2 API Reference,
// DependencyViolation.
func (s *Service) unused(c *gate.Call, o owner, message, id string) error {
	if s.used == nil {
		return nil
	}
	yes, err := s.used(c.Context(), o.Account, o.Region, id)
	if err == nil && yes {
		err = bad("DependencyViolation", message, id)
	}
	return err
}

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: api.Service, Ops: s.Ops(), Reserved: func(string) error {
		return bad("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
	}}
}

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(api.OpCreateVpc, gate.Write, create(func(in *api.CreateVpcInput) []api.TagSpecification { return in.TagSpecifications }, "CreateVpc", "vpc"), s.createVPC),
		gate.On(api.OpDeleteVpc, gate.Write, need(s, "DeleteVpc", "vpc", func(in *api.DeleteVpcInput) string { return in.VpcId }), s.deleteVPC),
		gate.On(api.OpDescribeVpcs, gate.Read, describe[api.DescribeVpcsInput]("DescribeVpcs"), s.describeVPCs),
		gate.On(api.OpCreateSubnet, gate.Write, create(func(in *api.CreateSubnetInput) []api.TagSpecification { return in.TagSpecifications }, "CreateSubnet", "subnet"), s.createSubnet),
		gate.On(api.OpDeleteSubnet, gate.Write, need(s, "DeleteSubnet", "subnet", func(in *api.DeleteSubnetInput) string { return in.SubnetId }), s.deleteSubnet),
		gate.On(api.OpDescribeSubnets, gate.Read, describe[api.DescribeSubnetsInput]("DescribeSubnets"), s.describeSubnets),
		gate.On(api.OpCreateSecurityGroup, gate.Write, create(func(in *api.CreateSecurityGroupInput) []api.TagSpecification { return in.TagSpecifications }, "CreateSecurityGroup", "security-group"), s.createGroup),
		gate.On(api.OpDeleteSecurityGroup, gate.Write, need(s, "DeleteSecurityGroup", "security-group", func(in *api.DeleteSecurityGroupInput) string { return wire.Val(in.GroupId) }), s.deleteGroup),
		gate.On(api.OpDescribeSecurityGroups, gate.Read, describe[api.DescribeSecurityGroupsInput]("DescribeSecurityGroups"), s.describeGroups),
		gate.On(api.OpAuthorizeSecurityGroupEgress, gate.Write, s.needEgress, s.authorizeEgress),
		gate.On(api.OpRevokeSecurityGroupEgress, gate.Write, need(s, "RevokeSecurityGroupEgress", "security-group", func(in *api.RevokeSecurityGroupEgressInput) string { return in.GroupId }), s.revokeEgress),
		gate.On(api.OpAuthorizeSecurityGroupIngress, gate.Write, need(s, "AuthorizeSecurityGroupIngress", "security-group", func(in *api.AuthorizeSecurityGroupIngressInput) string { return wire.Val(in.GroupId) }), s.authorizeIngress),
		gate.On(api.OpRevokeSecurityGroupIngress, gate.Write, need(s, "RevokeSecurityGroupIngress", "security-group", func(in *api.RevokeSecurityGroupIngressInput) string { return wire.Val(in.GroupId) }), s.revokeIngress),
		gate.On(api.OpCreateTags, gate.Write, s.needTags, s.createTags),
		gate.On(api.OpDeleteTags, gate.Write, s.needUntag, s.deleteTags),
	}
}

// create is the need of who makes a resource. Source: Service Authorization Reference, "Amazon EC2".
func create[In any](specs func(*In) []api.TagSpecification, action, kind string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		tags, err := tagsOf(specs(in), kind)
		if err != nil {
			return nil, err
		}
		at := owner{a.Account(), a.Region()}.arn(kind, "*")
		needs := []gate.Need{{Action: "ec2:" + action, Resource: at, Keys: gate.RequestTags(tags)}}
		if len(tags) > 0 {
			keys := gate.RequestTags(tags)
			keys["ec2:CreateAction"] = []string{action}
			needs = append(needs, gate.Need{Action: "ec2:CreateTags", Resource: at, Keys: keys})
		}
		return needs, nil
	}
}

func need[In any](s *Service, action, kind string, id func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		n := id(in)
		if n == "" {
			return nil, bad("MissingParameter", "The request must contain the parameter groupId; groups are named by their ids here")
		}
		return []gate.Need{s.on(a, action, kind, n)}, nil
	}
}

// on is the need of an action on a resource, whose tags policies may ask for.
func (s *Service) on(a *gate.Ask, action, kind, id string) gate.Need {
	o := owner{a.Account(), a.Region()}
	return gate.Need{Action: "ec2:" + action, Resource: o.arn(kind, id), Lazy: a.ResourceTags(func(tx *store.Tx) (map[string]string, error) {
		tags, err := s.tags(tx, o, id)
		if err != nil && awserr.Wrap(err).Status == 400 {
			err = nil // one that is not there has none
		}
		return tags, err
	})}
}

// describe is the need of who lists: EC2 lists by no resource.
func describe[In any](action string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(*gate.Ask, *In) ([]gate.Need, error) {
		return []gate.Need{{Action: "ec2:" + action, Resource: "*"}}, nil
	}
}

// kindOf is the kind of a resource by its id.
func kindOf(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	return map[string]string{"vpc": "vpc", "subnet": "subnet", "sg": "security-group"}[prefix]
}

// dry ends a call that only asks whether it may.
func dry(flag *bool) error {
	if wire.Val(flag) {
		return awserr.New("DryRunOperation", 412, "Request would have succeeded, but DryRun flag is set.")
	}
	return nil
}
