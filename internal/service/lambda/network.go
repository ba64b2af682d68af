package lambda

import (
	"context"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Networks knows the VPCs that functions are put into; service/ec2 has one.
type Networks interface {
	// Place is the VPC that subnets and groups are of.
	Place(ctx context.Context, account, region string, subnets, groups []string) (vpcID string, err error)
	// Ways are what the egress rules of groups declare.
	Ways(ctx context.Context, account, region string, groups []string) ([]way.Way, error)
	// Version grows whenever an answer may have changed.
	Version() uint64
}

// network is where a function is put: of a VPC's groups it has the ways out.
type network struct {
	VPC             string
	Subnets, Groups []string
	Dual            bool `json:",omitempty"`
}

// networkOf reads a VpcConfig: nil where none is given, an empty network where it says that the function is
// in none.
func (s *Service) networkOf(ctx context.Context, k functionKey, in *lambda.VpcConfig) (*network, error) {
	switch {
	case in == nil:
		return nil, nil
	case len(in.SubnetIds) == 0 && len(in.SecurityGroupIds) == 0:
		return &network{}, nil
	case len(in.SubnetIds) == 0 || len(in.SecurityGroupIds) == 0:
		return nil, invalid("SubnetIds and SecurityIds must coexist or be both empty list.")
	case s.Networks == nil:
		return nil, notBuilt("VpcConfig")
	}
	vpc, err := s.Networks.Place(ctx, k.Account, k.Region, in.SubnetIds, in.SecurityGroupIds)
	if e := awserr.Wrap(err); e != nil && e.Code != "" {
		call := "DescribeSecurityGroups"
		if strings.HasPrefix(e.Code, "InvalidSubnet") {
			call = "DescribeSubnets"
		}
		return nil, invalid("Error occurred while %s. EC2 Error Code: %s. EC2 Error Message: %s", call, e.Code, e.Message)
	}
	return &network{vpc, in.SubnetIds, in.SecurityGroupIds, wire.Val(in.Ipv6AllowedForDualStack)}, err
}

// put is the network of a version after a wish.
func (n *network) put(v *version) {
	if n == nil {
		return
	}
	v.Network = n
	if n.VPC == "" {
		v.Network = nil
	}
}

func (n *network) shown() *lambda.VpcConfigResponse {
	if n == nil {
		return nil
	}
	return &lambda.VpcConfigResponse{VpcId: &n.VPC, SubnetIds: n.Subnets, SecurityGroupIds: n.Groups, Ipv6AllowedForDualStack: &n.Dual}
}

// needNetwork is the need of who puts a function into groups that it is not in: their rules are ways out
// (decision 0026). The condition key bastide:Route has the groups' ids.
func (s *Service) needNetwork(a *gate.Ask, r reference, in *lambda.VpcConfig) ([]gate.Need, error) {
	if in == nil || len(in.SecurityGroupIds) == 0 {
		return nil, nil
	}
	var had []string
	err := a.View(func(tx *store.Tx) error {
		v, ok, err := s.t.versions.Get(tx, r.functionKey.key(int64(0)))
		if had = nil; ok && v.Network != nil {
			had = v.Network.Groups
		}
		return err
	})
	if err != nil || !slices.ContainsFunc(in.SecurityGroupIds, func(g string) bool { return !slices.Contains(had, g) }) {
		return nil, err // a deployment says all of its settings again
	}
	return []gate.Need{openRoutes(r, in.SecurityGroupIds)}, nil
}

// networks counts the changes of what functions are let out by.
func (s *Service) networks() uint64 {
	if s.Networks == nil {
		return 0
	}
	return s.Networks.Version()
}

// letOut adds the ways of their groups to a target's functions. Instances with other ways out end.
func (s *Service) letOut(ctx context.Context, t *target) error {
	for _, f := range []*fleet.Function{t.first, t.second} {
		groups := t.groups[f]
		if f == nil || len(groups) == 0 {
			continue
		}
		more, err := s.Networks.Ways(ctx, f.Account, f.Region, groups)
		if err != nil {
			return err
		}
		for _, w := range more {
			if !slices.Contains(f.Ways, w) {
				f.Ways = append(f.Ways, w)
				f.Revision += " " + w.String()
			}
		}
		if err := fleet.CheckWays(f.Ways); err != nil {
			return awserr.New("InvalidSecurityGroupIDException", 502, "The security groups of the function open too much: %s", strings.TrimPrefix(err.Error(), "fleet: "))
		}
	}
	return nil
}
