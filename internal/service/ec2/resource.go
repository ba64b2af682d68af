package ec2

import (
	"context"
	"slices"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func client(m gate.Making) api.Client { return api.Client{Caller: m.Caller} }

// ruleProperties are those of a rule within a group, or of one by itself.
func ruleProperties(prefix string) (names []string) {
	for _, n := range []string{"IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6", "Description"} {
		names = append(names, prefix+n)
	}
	return names
}

// Resources are the CloudFormation types. What a VPC's and a subnet's settings of names and public
// addresses would do to packets they do to none here: a VPC is a name for groups and subnets.
func (s *Service) Resources() []gate.Resource {
	group := slices.Concat([]string{"GroupDescription", "GroupName", "VpcId", "Tags", "Tags.Key", "Tags.Value", "SecurityGroupIngress", "SecurityGroupEgress"},
		ruleProperties("SecurityGroupEgress."), ruleProperties("SecurityGroupIngress."), []string{"SecurityGroupEgress.DestinationSecurityGroupId", "SecurityGroupEgress.DestinationPrefixListId",
			"SecurityGroupIngress.SourceSecurityGroupId", "SecurityGroupIngress.SourcePrefixListId"})
	return []gate.Resource{
		{Type: "AWS::EC2::VPC", Properties: []string{"CidrBlock", "EnableDnsHostnames", "EnableDnsSupport", "InstanceTenancy", "Tags", "Tags.Key", "Tags.Value"},
			Attributes: []string{"VpcId", "CidrBlock", "DefaultSecurityGroup"}, Unbuilt: map[string]map[string]string{"InstanceTenancy": {"dedicated": "dedicated tenancy is not built"}},
			Replace: []string{"CidrBlock", "InstanceTenancy"}, Create: createVPCResource, Update: updateTags, Delete: deleteVPCResource},
		{Type: "AWS::EC2::Subnet", Properties: []string{"VpcId", "CidrBlock", "AvailabilityZone", "MapPublicIpOnLaunch", "Tags", "Tags.Key", "Tags.Value"},
			Attributes: []string{"SubnetId", "VpcId", "CidrBlock", "AvailabilityZone"}, Replace: []string{"VpcId", "CidrBlock", "AvailabilityZone"},
			Create: createSubnetResource, Update: updateTags, Delete: deleteSubnetResource},
		{Type: "AWS::EC2::SecurityGroup", Properties: group, Attributes: []string{"GroupId", "VpcId", "Id"}, NameLimit: 255, Replace: []string{"GroupDescription", "GroupName", "VpcId"},
			Create: createGroupResource, Update: updateGroupResource, Delete: deleteGroupResource},
		{Type: "AWS::EC2::SecurityGroupEgress", Properties: append(ruleProperties(""), "GroupId", "DestinationSecurityGroupId", "DestinationPrefixListId"), Attributes: []string{"Id"},
			Create: createEgressResource, Delete: deleteEgressResource},
		{Type: "AWS::EC2::SecurityGroupIngress", Properties: append(ruleProperties(""), "GroupId", "SourceSecurityGroupId", "SourcePrefixListId"), Attributes: []string{"Id"},
			Create: createIngressResource, Delete: deleteIngressResource},
	}
}

// tagged are properties of tags.
type tagged struct{ Tags []api.Tag }

func specification(kind string, tags []api.Tag) []api.TagSpecification {
	if len(tags) == 0 {
		return nil
	}
	return []api.TagSpecification{{ResourceType: &kind, Tags: tags}}
}

// mine selects what an earlier attempt of the same making has made.
func mine(m gate.Making) []api.Filter {
	return []api.Filter{{Name: new("tag:" + gate.TagStackID), Values: []string{m.StackID}}, {Name: new("tag:" + gate.TagLogicalID), Values: []string{m.LogicalID}}}
}

func createVPCResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	var in api.CreateVpcInput
	var t tagged
	if err := readBoth(&in, &t, props); err != nil {
		return gate.Made{}, err
	}
	if m.Again {
		if had, err := client(m).DescribeVpcs(ctx, &api.DescribeVpcsInput{Filters: mine(m)}); err != nil || len(had.Vpcs) > 0 {
			if err != nil {
				return gate.Made{}, err
			}
			return madeVPC(ctx, m, had.Vpcs[0])
		}
	}
	in.TagSpecifications = specification("vpc", t.Tags)
	out, err := client(m).CreateVpc(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return madeVPC(ctx, m, *out.Vpc)
}

func madeVPC(ctx context.Context, m gate.Making, v api.Vpc) (gate.Made, error) {
	made := gate.Made{ID: *v.VpcId, Attributes: map[string]any{"VpcId": *v.VpcId, "CidrBlock": *v.CidrBlock}}
	first, err := client(m).DescribeSecurityGroups(ctx, &api.DescribeSecurityGroupsInput{Filters: []api.Filter{{Name: new("vpc-id"), Values: []string{*v.VpcId}}, {Name: new("group-name"), Values: []string{"default"}}}})
	if err == nil && len(first.SecurityGroups) == 1 {
		made.Attributes["DefaultSecurityGroup"] = *first.SecurityGroups[0].GroupId
	}
	return made, err
}

// readBoth reads properties into two shapes.
func readBoth(a, b any, props map[string]any) error {
	if err := wire.Properties(a, props); err != nil {
		return err
	}
	return wire.Properties(b, props)
}

// gone takes a resource that is not there any more for deleted.
func gone(err error) error {
	for _, code := range []string{"InvalidVpcID.NotFound", "InvalidSubnetID.NotFound", "InvalidGroup.NotFound", "InvalidSecurityGroupRuleId.NotFound"} {
		if awserr.Is(err, code) {
			return nil
		}
	}
	return err
}

func deleteVPCResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := client(m).DeleteVpc(ctx, &api.DeleteVpcInput{VpcId: id})
	return gone(err)
}

// updateTags brings a resource's tags from what they were to what is wanted.
func updateTags(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	made := gate.Made{ID: id, Attributes: map[string]any{}}
	var was, want tagged
	if err := wire.Properties(&was, before); err != nil {
		return made, err
	}
	if err := wire.Properties(&want, after); err != nil {
		return made, err
	}
	var drop []api.Tag
	for _, t := range was.Tags {
		if !slices.ContainsFunc(want.Tags, func(o api.Tag) bool { return wire.Val(o.Key) == wire.Val(t.Key) }) {
			drop = append(drop, api.Tag{Key: t.Key})
		}
	}
	if len(drop) > 0 {
		if _, err := client(m).DeleteTags(ctx, &api.DeleteTagsInput{Resources: []string{id}, Tags: drop}); err != nil {
			return made, err
		}
	}
	if len(want.Tags) > 0 {
		if _, err := client(m).CreateTags(ctx, &api.CreateTagsInput{Resources: []string{id}, Tags: want.Tags}); err != nil {
			return made, err
		}
	}
	switch kindOf(id) {
	case "vpc":
		got, err := client(m).DescribeVpcs(ctx, &api.DescribeVpcsInput{VpcIds: []string{id}})
		if err != nil {
			return made, err
		}
		return madeVPC(ctx, m, got.Vpcs[0])
	case "subnet":
		got, err := client(m).DescribeSubnets(ctx, &api.DescribeSubnetsInput{SubnetIds: []string{id}})
		if err != nil {
			return made, err
		}
		return madeSubnet(got.Subnets[0]), nil
	}
	return made, nil
}

func createSubnetResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	var in api.CreateSubnetInput
	var t tagged
	if err := readBoth(&in, &t, props); err != nil {
		return gate.Made{}, err
	}
	if m.Again {
		if had, err := client(m).DescribeSubnets(ctx, &api.DescribeSubnetsInput{Filters: mine(m)}); err != nil || len(had.Subnets) > 0 {
			if err != nil {
				return gate.Made{}, err
			}
			return madeSubnet(had.Subnets[0]), nil
		}
	}
	in.TagSpecifications = specification("subnet", t.Tags)
	out, err := client(m).CreateSubnet(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return madeSubnet(*out.Subnet), nil
}

func madeSubnet(n api.Subnet) gate.Made {
	return gate.Made{ID: *n.SubnetId, Attributes: map[string]any{"SubnetId": *n.SubnetId, "VpcId": *n.VpcId, "CidrBlock": *n.CidrBlock, "AvailabilityZone": *n.AvailabilityZone}}
}

func deleteSubnetResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := client(m).DeleteSubnet(ctx, &api.DeleteSubnetInput{SubnetId: id})
	return gone(err)
}
