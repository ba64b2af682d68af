package ec2

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// templateRule is a rule as templates write it.
type templateRule struct {
	IpProtocol                                          *string
	FromPort, ToPort                                    *int32
	CidrIp, CidrIpv6, Description, GroupId              *string
	DestinationSecurityGroupId, DestinationPrefixListId *string
	SourceSecurityGroupId, SourcePrefixListId           *string
}

func (r templateRule) permission() api.IpPermission {
	p := api.IpPermission{IpProtocol: r.IpProtocol, FromPort: r.FromPort, ToPort: r.ToPort}
	peer := func(a, b *string) *string {
		if a != nil {
			return a
		}
		return b
	}
	if r.CidrIp != nil {
		p.IpRanges = []api.IpRange{{CidrIp: r.CidrIp, Description: r.Description}}
	}
	if r.CidrIpv6 != nil {
		p.Ipv6Ranges = []api.Ipv6Range{{CidrIpv6: r.CidrIpv6, Description: r.Description}}
	}
	if g := peer(r.DestinationSecurityGroupId, r.SourceSecurityGroupId); g != nil {
		p.UserIdGroupPairs = []api.UserIdGroupPair{{GroupId: g, Description: r.Description}}
	}
	if l := peer(r.DestinationPrefixListId, r.SourcePrefixListId); l != nil {
		p.PrefixListIds = []api.PrefixListId{{PrefixListId: l, Description: r.Description}}
	}
	return p
}

// groupSpec is a group as a template describes it.
type groupSpec struct {
	GroupDescription, GroupName, VpcId        *string
	SecurityGroupEgress, SecurityGroupIngress []templateRule
	Tags                                      []api.Tag
}

// everywhere is the rule that AWS adds to a new group; a template that names egress rules has it revoked,
// as CloudFormation does.
func everywhere() []api.IpPermission {
	return []api.IpPermission{{IpProtocol: new("-1"), IpRanges: []api.IpRange{{CidrIp: new("0.0.0.0/0")}}}}
}

func createGroupResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	var spec groupSpec
	if err := wire.Properties(&spec, props); err != nil {
		return gate.Made{}, err
	}
	if spec.GroupName == nil {
		spec.GroupName = &m.Name
	}
	if m.Again { // an earlier attempt's, perhaps half done
		had, err := client(m).DescribeSecurityGroups(ctx, &api.DescribeSecurityGroupsInput{Filters: mine(m)})
		if err != nil {
			return gate.Made{}, err
		}
		for _, g := range had.SecurityGroups {
			if err := deleteGroupResource(ctx, m, *g.GroupId, nil); err != nil {
				return gate.Made{}, err
			}
		}
	}
	out, err := client(m).CreateSecurityGroup(ctx, &api.CreateSecurityGroupInput{GroupName: *spec.GroupName, Description: wire.Val(spec.GroupDescription), VpcId: spec.VpcId,
		TagSpecifications: specification("security-group", spec.Tags)})
	if err != nil {
		return gate.Made{}, err
	}
	made := madeGroup(*out.GroupId, wire.Val(spec.VpcId))
	if len(spec.SecurityGroupEgress) > 0 {
		if _, err := client(m).RevokeSecurityGroupEgress(ctx, &api.RevokeSecurityGroupEgressInput{GroupId: made.ID, IpPermissions: everywhere()}); err != nil {
			return made, err
		}
	}
	return made, changeRules(ctx, m, made.ID, groupSpec{}, spec)
}

func madeGroup(id, vpcID string) gate.Made {
	return gate.Made{ID: id, Attributes: map[string]any{"GroupId": id, "Id": id, "VpcId": vpcID}}
}

// changeRules revokes what is no longer wanted of a group and authorizes what is new.
func changeRules(ctx context.Context, m gate.Making, id string, was, want groupSpec) error {
	beside := func(list, other []templateRule) (out []api.IpPermission) {
		for _, r := range list {
			if !slices.ContainsFunc(other, func(o templateRule) bool { return reflect.DeepEqual(o, r) }) {
				out = append(out, r.permission())
			}
		}
		return out
	}
	c := client(m)
	var errs error
	if old := beside(was.SecurityGroupEgress, want.SecurityGroupEgress); len(old) > 0 {
		_, err := c.RevokeSecurityGroupEgress(ctx, &api.RevokeSecurityGroupEgressInput{GroupId: id, IpPermissions: old})
		errs = errors.Join(errs, noPermission(err))
	}
	if old := beside(was.SecurityGroupIngress, want.SecurityGroupIngress); len(old) > 0 {
		_, err := c.RevokeSecurityGroupIngress(ctx, &api.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: old})
		errs = errors.Join(errs, noPermission(err))
	}
	if errs != nil {
		return errs
	}
	if add := beside(want.SecurityGroupEgress, was.SecurityGroupEgress); len(add) > 0 {
		if _, err := c.AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: id, IpPermissions: add}); err != nil {
			return duplicate(m, err)
		}
	}
	if add := beside(want.SecurityGroupIngress, was.SecurityGroupIngress); len(add) > 0 {
		if _, err := c.AuthorizeSecurityGroupIngress(ctx, &api.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: add}); err != nil {
			return duplicate(m, err)
		}
	}
	return nil
}

// noPermission takes a rule that is not there any more for revoked.
func noPermission(err error) error {
	if awserr.Is(err, "InvalidPermission.NotFound") {
		return nil
	}
	return err
}

// duplicate takes rules that an earlier attempt has authorized for done.
func duplicate(m gate.Making, err error) error {
	if m.Again && awserr.Is(err, "InvalidPermission.Duplicate") {
		return nil
	}
	return err
}

func updateGroupResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	var was, want groupSpec
	if err := wire.Properties(&was, before); err != nil {
		return gate.Made{ID: id}, err
	}
	if err := wire.Properties(&want, after); err != nil {
		return gate.Made{ID: id}, err
	}
	made := madeGroup(id, wire.Val(want.VpcId))
	if len(was.SecurityGroupEgress) == 0 && len(want.SecurityGroupEgress) > 0 {
		_, err := client(m).RevokeSecurityGroupEgress(ctx, &api.RevokeSecurityGroupEgressInput{GroupId: id, IpPermissions: everywhere()})
		if err := noPermission(err); err != nil {
			return made, err
		}
	}
	if err := changeRules(ctx, m, id, was, want); err != nil {
		return made, err
	}
	_, err := updateTags(ctx, m, id, before, after)
	return made, err
}

func deleteGroupResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := client(m).DeleteSecurityGroup(ctx, &api.DeleteSecurityGroupInput{GroupId: &id})
	return gone(err)
}

// A rule by itself has the group's id and its own for its id.
func ruleID(group string, rules []api.SecurityGroupRule) gate.Made {
	id := group + "|" + *rules[0].SecurityGroupRuleId
	return gate.Made{ID: id, Attributes: map[string]any{"Id": *rules[0].SecurityGroupRuleId}}
}

func createEgressResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	var r templateRule
	if err := wire.Properties(&r, props); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: wire.Val(r.GroupId), IpPermissions: []api.IpPermission{r.permission()}})
	if err != nil {
		return gate.Made{}, err
	}
	return ruleID(wire.Val(r.GroupId), out.SecurityGroupRules), nil
}

func deleteEgressResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	group, rule, _ := strings.Cut(id, "|")
	_, err := client(m).RevokeSecurityGroupEgress(ctx, &api.RevokeSecurityGroupEgressInput{GroupId: group, SecurityGroupRuleIds: []string{rule}})
	return gone(err)
}

func createIngressResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	var r templateRule
	if err := wire.Properties(&r, props); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).AuthorizeSecurityGroupIngress(ctx, &api.AuthorizeSecurityGroupIngressInput{GroupId: r.GroupId, IpPermissions: []api.IpPermission{r.permission()}})
	if err != nil {
		return gate.Made{}, err
	}
	return ruleID(wire.Val(r.GroupId), out.SecurityGroupRules), nil
}

func deleteIngressResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	group, rule, _ := strings.Cut(id, "|")
	_, err := client(m).RevokeSecurityGroupIngress(ctx, &api.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: []string{rule}})
	return gone(err)
}
