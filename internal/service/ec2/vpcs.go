package ec2

import (
	"encoding/hex"
	"net/netip"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// id is a new resource id: a prefix and 17 hexadecimal digits.
func (s *Service) id(prefix string) string {
	return prefix + "-" + hex.EncodeToString(s.ids.Bytes(9))[:17]
}

// block checks a network's block. Source: EC2 API Reference, CreateVpc.
func block(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || !p.Addr().Is4():
		return p, bad("InvalidParameterValue", "Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR block.", text)
	case p.Bits() < 16 || p.Bits() > 28:
		return p, bad("InvalidVpc.Range", "The CIDR '%s' is invalid.", text)
	}
	return p.Masked(), nil
}

func (s *Service) createVPC(c *gate.Call, in *api.CreateVpcInput) (*api.CreateVpcOutput, error) {
	if in.Ipv6Pool != nil || in.Ipv6CidrBlock != nil || in.Ipv4IpamPoolId != nil || in.Ipv4NetmaskLength != nil || in.Ipv6IpamPoolId != nil || in.Ipv6NetmaskLength != nil ||
		in.Ipv6CidrBlockNetworkBorderGroup != nil || in.VpcEncryptionControl != nil || wire.Val(in.AmazonProvidedIpv6CidrBlock) || wire.Val(in.InstanceTenancy) == "dedicated" {
		return nil, notBuilt("VPCs with IPv6, address pools, encryption control or dedicated tenancy")
	}
	cidr, err := block(wire.Val(in.CidrBlock))
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	o := owner{c.Account(), c.Region()}
	tags, err := tagsOf(in.TagSpecifications, "vpc")
	if err != nil {
		return nil, err
	}
	v := vpc{o, s.id("vpc"), cidr.String(), tags}
	first := group{owner: o, ID: s.id("sg"), VPC: v.ID, Name: "default", Description: "default VPC security group", Rules: []rule{s.added()}}
	first.Rules = append(first.Rules, rule{ID: s.id("sgr"), Protocol: "-1", From: -1, To: -1, Group: first.ID})
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateVpcOutput, error) {
		if err := s.t.groups.Put(tx, o.key(first.ID), first); err != nil {
			return nil, err
		}
		return &api.CreateVpcOutput{Vpc: new(v.shown())}, s.t.vpcs.Put(tx, o.key(v.ID), v)
	})
}

func (v vpc) shown() api.Vpc {
	return api.Vpc{OwnerId: &v.Account, InstanceTenancy: new("default"), IsDefault: new(false), Tags: tagList(v.Tags), VpcId: &v.ID, State: new("available"), CidrBlock: &v.CIDR,
		CidrBlockAssociationSet: []api.VpcCidrBlockAssociation{{CidrBlock: &v.CIDR, CidrBlockState: &api.VpcCidrBlockState{State: new("associated")}}}}
}

func (s *Service) deleteVPC(c *gate.Call, in *api.DeleteVpcInput) (*api.DeleteVpcOutput, error) {
	o := owner{c.Account(), c.Region()}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.DeleteVpcOutput, error) {
		if _, err := one(tx, s.t.vpcs, o, "vpc", in.VpcId); err != nil {
			return nil, err
		}
		subnets, err := all(tx, s.t.subnets, o, func(n subnet) bool { return n.VPC == in.VpcId })
		if err != nil {
			return nil, err
		}
		groups, err := all(tx, s.t.groups, o, func(g group) bool { return g.VPC == in.VpcId })
		if err != nil {
			return nil, err
		}
		if len(subnets) > 0 || len(groups) > 1 {
			return nil, bad("DependencyViolation", "The vpc '%s' has dependencies and cannot be deleted.", in.VpcId)
		}
		for _, g := range groups { // the default one: a function in it is in a subnet too
			if _, err := s.t.groups.Delete(tx, o.key(g.ID)); err != nil {
				return nil, err
			}
		}
		_, err = s.t.vpcs.Delete(tx, o.key(in.VpcId))
		return &api.DeleteVpcOutput{}, err
	})
}

func (s *Service) describeVPCs(c *gate.Call, in *api.DescribeVpcsInput) (*api.DescribeVpcsOutput, error) {
	out := &api.DescribeVpcsOutput{}
	var err error
	out.Vpcs, out.NextToken, err = list(c, s.t.vpcs, query{"vpc", in.VpcIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun}, func(v vpc) (string, map[string]string, map[string]string) {
		return v.ID, v.Tags, map[string]string{"vpc-id": v.ID, "cidr": v.CIDR, "cidr-block-association.cidr-block": v.CIDR, "state": "available", "owner-id": v.Account, "is-default": "false"}
	}, vpc.shown)
	return out, err
}

func (s *Service) createSubnet(c *gate.Call, in *api.CreateSubnetInput) (*api.CreateSubnetOutput, error) {
	if in.Ipv6CidrBlock != nil || in.OutpostArn != nil || wire.Val(in.Ipv6Native) || in.Ipv4IpamPoolId != nil || in.Ipv4NetmaskLength != nil || in.Ipv6IpamPoolId != nil || in.Ipv6NetmaskLength != nil {
		return nil, notBuilt("Subnets with IPv6, address pools or outposts")
	}
	cidr, err := block(wire.Val(in.CidrBlock))
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.TagSpecifications, "subnet")
	if err != nil {
		return nil, err
	}
	o := owner{c.Account(), c.Region()}
	n := subnet{o, s.id("subnet"), in.VpcId, cidr.String(), wire.Val(in.AvailabilityZone), tags}
	if n.Zone == "" {
		n.Zone = o.Region + "a"
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateSubnetOutput, error) {
		v, err := one(tx, s.t.vpcs, o, "vpc", in.VpcId)
		if err != nil {
			return nil, err
		}
		whole, err := netip.ParsePrefix(v.CIDR)
		if err != nil {
			return nil, err
		}
		if !whole.Contains(cidr.Addr()) || cidr.Bits() < whole.Bits() {
			return nil, bad("InvalidSubnet.Range", "The CIDR '%s' is invalid.", cidr)
		}
		others, err := all(tx, s.t.subnets, o, func(other subnet) bool {
			p, err := netip.ParsePrefix(other.CIDR)
			return other.VPC == n.VPC && (err != nil || p.Overlaps(cidr))
		})
		if err != nil {
			return nil, err
		}
		if len(others) > 0 {
			return nil, bad("InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet", cidr)
		}
		return &api.CreateSubnetOutput{Subnet: new(n.shown())}, s.t.subnets.Put(tx, o.key(n.ID), n)
	})
}

func (n subnet) shown() api.Subnet {
	free := int32(0)
	if p, err := netip.ParsePrefix(n.CIDR); err == nil {
		free = 1<<(32-p.Bits()) - 5 // AWS keeps five addresses of each
	}
	return api.Subnet{SubnetId: &n.ID, SubnetArn: new(n.arn("subnet", n.ID)), VpcId: &n.VPC, CidrBlock: &n.CIDR, AvailabilityZone: &n.Zone, State: new("available"), OwnerId: &n.Account,
		AvailableIpAddressCount: &free, DefaultForAz: new(false), MapPublicIpOnLaunch: new(false), Tags: tagList(n.Tags)}
}

func (s *Service) deleteSubnet(c *gate.Call, in *api.DeleteSubnetInput) (*api.DeleteSubnetOutput, error) {
	o := owner{c.Account(), c.Region()}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	if err := s.unused(c, o, "The subnet '%s' has dependencies and cannot be deleted.", in.SubnetId); err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.DeleteSubnetOutput, error) {
		ok, err := s.t.subnets.Delete(tx, o.key(in.SubnetId))
		if err == nil && !ok {
			err = missing("subnet", in.SubnetId)
		}
		return &api.DeleteSubnetOutput{}, err
	})
}

func (s *Service) describeSubnets(c *gate.Call, in *api.DescribeSubnetsInput) (*api.DescribeSubnetsOutput, error) {
	out := &api.DescribeSubnetsOutput{}
	var err error
	out.Subnets, out.NextToken, err = list(c, s.t.subnets, query{"subnet", in.SubnetIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun}, func(n subnet) (string, map[string]string, map[string]string) {
		return n.ID, n.Tags, map[string]string{"subnet-id": n.ID, "vpc-id": n.VPC, "cidr-block": n.CIDR, "availability-zone": n.Zone, "state": "available", "owner-id": n.Account, "default-for-az": "false"}
	}, subnet.shown)
	return out, err
}
