package ec2

import (
	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// added is the rule that AWS gives every new group: all traffic to anywhere. It is shown, since clients
// look for it and revoke it, but nobody has declared it (decision 0045).
func (s *Service) added() rule {
	return rule{ID: s.id("sgr"), Egress: true, Added: true, Protocol: "-1", From: -1, To: -1, CIDR: "0.0.0.0/0"}
}

func (s *Service) createGroup(c *gate.Call, in *api.CreateSecurityGroupInput) (*api.CreateSecurityGroupOutput, error) {
	switch {
	case wire.Val(in.VpcId) == "":
		return nil, bad("VPCIdNotSpecified", "No default VPC for this user")
	case in.GroupName == "default" || len(in.GroupName) > 255 || len(in.GroupName) > 2 && in.GroupName[:3] == "sg-":
		return nil, bad("InvalidParameterValue", "Invalid value '%s' for groupName.", in.GroupName)
	case len(in.Description) > 255:
		return nil, bad("InvalidParameterValue", "Invalid security group description. Valid descriptions are strings less than 256 characters.")
	}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.TagSpecifications, "security-group")
	if err != nil {
		return nil, err
	}
	g := group{owner{c.Account(), c.Region()}, s.id("sg"), *in.VpcId, in.GroupName, in.Description, []rule{s.added()}, tags}
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateSecurityGroupOutput, error) {
		if _, err := one(tx, s.t.vpcs, g.owner, "vpc", g.VPC); err != nil {
			return nil, err
		}
		same, err := all(tx, s.t.groups, g.owner, func(o group) bool { return o.VPC == g.VPC && o.Name == g.Name })
		if err != nil {
			return nil, err
		}
		if len(same) > 0 {
			return nil, bad("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.Name, g.VPC)
		}
		return &api.CreateSecurityGroupOutput{GroupId: &g.ID, Tags: tagList(g.Tags), SecurityGroupArn: new(g.arn("security-group", g.ID))}, s.t.groups.Put(tx, g.key(g.ID), g)
	})
}

func (s *Service) deleteGroup(c *gate.Call, in *api.DeleteSecurityGroupInput) (*api.DeleteSecurityGroupOutput, error) {
	o := owner{c.Account(), c.Region()}
	id := wire.Val(in.GroupId)
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	if err := s.unused(c, o, "resource %s has a dependent object", id); err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.DeleteSecurityGroupOutput, error) {
		g, err := one(tx, s.t.groups, o, "security-group", id)
		if err != nil {
			return nil, err
		}
		if g.Name == "default" {
			return nil, bad("CannotDelete", "the specified group: \"%s\" name: \"default\" cannot be deleted by a user", id)
		}
		users, err := all(tx, s.t.groups, o, func(other group) bool {
			for _, r := range other.Rules {
				if r.Group == id && other.ID != id {
					return true
				}
			}
			return false
		})
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return nil, bad("DependencyViolation", "resource %s has a dependent object", id)
		}
		_, err = s.t.groups.Delete(tx, o.key(id))
		return &api.DeleteSecurityGroupOutput{Return: new(true), GroupId: &id}, err
	})
}

func (s *Service) describeGroups(c *gate.Call, in *api.DescribeSecurityGroupsInput) (*api.DescribeSecurityGroupsOutput, error) {
	filters := in.Filters
	if len(in.GroupNames) > 0 {
		filters = append(filters, api.Filter{Name: new("group-name"), Values: in.GroupNames})
	}
	out := &api.DescribeSecurityGroupsOutput{}
	var err error
	out.SecurityGroups, out.NextToken, err = list(c, s.t.groups, query{"security-group", in.GroupIds, filters, in.MaxResults, in.NextToken, in.DryRun}, func(g group) (string, map[string]string, map[string]string) {
		return g.ID, g.Tags, map[string]string{"group-id": g.ID, "group-name": g.Name, "vpc-id": g.VPC, "description": g.Description, "owner-id": g.Account}
	}, group.shown)
	return out, err
}

func (g group) shown() api.SecurityGroup {
	return api.SecurityGroup{GroupId: &g.ID, GroupName: &g.Name, Description: &g.Description, VpcId: &g.VPC, OwnerId: &g.Account, SecurityGroupArn: new(g.arn("security-group", g.ID)),
		Tags: tagList(g.Tags), IpPermissions: permissions(g, false), IpPermissionsEgress: permissions(g, true)}
}

func (s *Service) authorizeEgress(c *gate.Call, in *api.AuthorizeSecurityGroupEgressInput) (*api.AuthorizeSecurityGroupEgressOutput, error) {
	if in.SourceSecurityGroupName != nil || in.SourceSecurityGroupOwnerId != nil {
		return nil, bad("InvalidParameterCombination", "Security groups are named by IpPermissions.Groups")
	}
	rules, err := s.rules(in.IpPermissions, single{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp}, true, in.TagSpecifications)
	for _, r := range rules {
		if err == nil {
			err = r.nowhere()
		}
	}
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.AuthorizeSecurityGroupEgressOutput, error) {
		shown, err := s.authorize(tx, owner{c.Account(), c.Region()}, in.GroupId, rules)
		return &api.AuthorizeSecurityGroupEgressOutput{Return: new(true), SecurityGroupRules: shown}, err
	})
}

func (s *Service) authorizeIngress(c *gate.Call, in *api.AuthorizeSecurityGroupIngressInput) (*api.AuthorizeSecurityGroupIngressOutput, error) {
	if in.SourceSecurityGroupName != nil || in.SourceSecurityGroupOwnerId != nil {
		return nil, bad("InvalidParameterCombination", "Security groups are named by IpPermissions.Groups")
	}
	rules, err := s.rules(in.IpPermissions, single{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp}, false, in.TagSpecifications)
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.AuthorizeSecurityGroupIngressOutput, error) {
		shown, err := s.authorize(tx, owner{c.Account(), c.Region()}, wire.Val(in.GroupId), rules)
		return &api.AuthorizeSecurityGroupIngressOutput{Return: new(true), SecurityGroupRules: shown}, err
	})
}

func (s *Service) revokeEgress(c *gate.Call, in *api.RevokeSecurityGroupEgressInput) (*api.RevokeSecurityGroupEgressOutput, error) {
	rules, err := s.revoked(in.IpPermissions, single{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp}, true, in.SecurityGroupRuleIds)
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.RevokeSecurityGroupEgressOutput, error) {
		shown, err := s.revoke(tx, owner{c.Account(), c.Region()}, in.GroupId, rules, in.SecurityGroupRuleIds, true)
		return &api.RevokeSecurityGroupEgressOutput{Return: new(true), RevokedSecurityGroupRules: shown}, err
	})
}

func (s *Service) revokeIngress(c *gate.Call, in *api.RevokeSecurityGroupIngressInput) (*api.RevokeSecurityGroupIngressOutput, error) {
	rules, err := s.revoked(in.IpPermissions, single{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp}, false, in.SecurityGroupRuleIds)
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.RevokeSecurityGroupIngressOutput, error) {
		shown, err := s.revoke(tx, owner{c.Account(), c.Region()}, wire.Val(in.GroupId), rules, in.SecurityGroupRuleIds, false)
		return &api.RevokeSecurityGroupIngressOutput{Return: new(true), RevokedSecurityGroupRules: shown}, err
	})
}
