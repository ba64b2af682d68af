package ec2

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// maxRules are in one group each way. Source: Amazon VPC quotas.
const maxRules = 60

// single is one rule as old clients write it, without IpPermissions.
type single struct {
	protocol *string
	from, to *int32
	cidr     *string
}

// rules reads permissions, one rule for each peer.
func (s *Service) rules(ps []api.IpPermission, one single, egress bool, tags []api.TagSpecification) ([]rule, error) {
	if len(tags) > 0 {
		return nil, notBuilt("Tags of security group rules")
	}
	if one.protocol != nil || one.cidr != nil {
		ps = append(slices.Clone(ps), api.IpPermission{IpProtocol: one.protocol, FromPort: one.from, ToPort: one.to, IpRanges: []api.IpRange{{CidrIp: one.cidr}}})
	}
	var out []rule
	for _, p := range ps {
		base, err := protocolOf(p)
		if err != nil {
			return nil, err
		}
		base.Egress = egress
		add := func(change func(*rule), description *string) {
			r := base
			r.ID, r.Description = s.id("sgr"), wire.Val(description)
			change(&r)
			out = append(out, r)
		}
		for _, x := range p.IpRanges {
			cidr, err := cidrOf(wire.Val(x.CidrIp), false)
			if err != nil {
				return nil, err
			}
			add(func(r *rule) { r.CIDR = cidr }, x.Description)
		}
		for _, x := range p.Ipv6Ranges {
			cidr, err := cidrOf(wire.Val(x.CidrIpv6), true)
			if err != nil {
				return nil, err
			}
			add(func(r *rule) { r.CIDR = cidr }, x.Description)
		}
		for _, x := range p.UserIdGroupPairs {
			if wire.Val(x.GroupId) == "" {
				return nil, bad("InvalidParameterValue", "Security groups of a VPC are named by their ids")
			}
			add(func(r *rule) { r.Group = *x.GroupId }, x.Description)
		}
		for _, x := range p.PrefixListIds {
			add(func(r *rule) { r.PrefixList = wire.Val(x.PrefixListId) }, x.Description)
		}
	}
	if len(out) == 0 {
		return nil, bad("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
	}
	return out, nil
}

// protocolOf reads a permission's protocol and ports.
func protocolOf(p api.IpPermission) (rule, error) {
	names := map[string]string{"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}
	r := rule{Protocol: strings.ToLower(wire.Val(p.IpProtocol)), From: -1, To: -1}
	if n := names[r.Protocol]; n != "" {
		r.Protocol = n
	}
	number, err := strconv.Atoi(r.Protocol)
	known := slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6"}, r.Protocol)
	if !known && (err != nil || number < -1 || number > 255) {
		return r, bad("InvalidParameterValue", "Invalid value '%s' for IP protocol. Unknown protocol.", r.Protocol)
	}
	if !known {
		return r, nil // every port, whatever was said
	}
	if p.FromPort != nil {
		r.From = *p.FromPort
	}
	if p.ToPort != nil {
		r.To = *p.ToPort
	}
	if r.Protocol == "tcp" || r.Protocol == "udp" {
		if r.From == -1 && r.To == -1 {
			r.From, r.To = 0, 65535
		}
		if r.From < 0 || r.To > 65535 || r.From > r.To {
			return r, bad("InvalidParameterValue", "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
		}
	}
	return r, nil
}

func cidrOf(text string, six bool) (string, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is6() != six || p.Addr().Is4In6() {
		return "", bad("InvalidParameterValue", "CIDR block %s is malformed", text)
	}
	return p.Masked().String(), nil
}

// permissions are a group's rules of one direction as EC2 shows them: those of the same protocol and ports
// in one. Lists that are empty are there all the same, as clients read them without asking.
func permissions(g group, egress bool) []api.IpPermission {
	out := []api.IpPermission{}
	for _, r := range g.Rules {
		if r.Egress != egress {
			continue
		}
		i := slices.IndexFunc(out, func(p api.IpPermission) bool {
			return *p.IpProtocol == r.Protocol && (p.FromPort == nil && r.Protocol == "-1" || p.FromPort != nil && *p.FromPort == r.From && *p.ToPort == r.To)
		})
		if i < 0 {
			p := api.IpPermission{IpProtocol: new(r.Protocol), IpRanges: []api.IpRange{}, Ipv6Ranges: []api.Ipv6Range{}, PrefixListIds: []api.PrefixListId{}, UserIdGroupPairs: []api.UserIdGroupPair{}}
			if r.Protocol != "-1" {
				p.FromPort, p.ToPort = new(r.From), new(r.To)
			}
			out, i = append(out, p), len(out)
		}
		p := &out[i]
		var description *string
		if r.Description != "" {
			description = new(r.Description)
		}
		switch {
		case r.Group != "":
			p.UserIdGroupPairs = append(p.UserIdGroupPairs, api.UserIdGroupPair{GroupId: new(r.Group), UserId: new(g.Account), Description: description})
		case r.PrefixList != "":
			p.PrefixListIds = append(p.PrefixListIds, api.PrefixListId{PrefixListId: new(r.PrefixList), Description: description})
		case strings.Contains(r.CIDR, ":"):
			p.Ipv6Ranges = append(p.Ipv6Ranges, api.Ipv6Range{CidrIpv6: new(r.CIDR), Description: description})
		default:
			p.IpRanges = append(p.IpRanges, api.IpRange{CidrIp: new(r.CIDR), Description: description})
		}
	}
	return out
}

// authorize adds rules to a group. One that the group has only because AWS adds it becomes a caller's.
func (s *Service) authorize(tx *store.Tx, o owner, id string, rules []rule) ([]api.SecurityGroupRule, error) {
	g, err := one(tx, s.t.groups, o, "security-group", id)
	if err != nil {
		return nil, err
	}
	g.Rules = slices.Clone(g.Rules)
	var shown []api.SecurityGroupRule
	for _, r := range rules {
		i := slices.IndexFunc(g.Rules, r.same)
		switch {
		case i >= 0 && !g.Rules[i].Added:
			return nil, bad("InvalidPermission.Duplicate", "the specified rule \"%s\" already exists", r.worded())
		case i >= 0:
			g.Rules[i] = r
		default:
			g.Rules = append(g.Rules, r)
		}
		v := api.SecurityGroupRule{SecurityGroupRuleId: new(r.ID), GroupId: &id, GroupOwnerId: new(o.Account), IsEgress: new(r.Egress), IpProtocol: new(r.Protocol), FromPort: new(r.From),
			ToPort: new(r.To), Description: new(r.Description)}
		v.CidrIpv4, v.CidrIpv6 = families(r.CIDR)
		if r.Group != "" {
			v.ReferencedGroupInfo = &api.ReferencedSecurityGroup{GroupId: new(r.Group), UserId: new(o.Account)}
		}
		if r.PrefixList != "" {
			v.PrefixListId = new(r.PrefixList)
		}
		shown = append(shown, v)
	}
	for _, egress := range []bool{true, false} {
		n := 0
		for _, r := range g.Rules {
			if r.Egress == egress {
				n++
			}
		}
		if n > maxRules {
			return nil, bad("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
		}
	}
	return shown, s.t.groups.Put(tx, o.key(id), g)
}

func families(cidr string) (four, six *string) {
	switch {
	case cidr == "":
		return nil, nil
	case strings.Contains(cidr, ":"):
		return nil, &cidr
	}
	return &cidr, nil
}

// worded is a rule as messages have it.
func (r rule) worded() string {
	peer := r.CIDR + r.Group + r.PrefixList
	if r.Protocol == "-1" {
		return "peer: " + peer + ", ALL, ALLOW"
	}
	return "peer: " + peer + ", " + strings.ToUpper(r.Protocol) + ", from port: " + strconv.Itoa(int(r.From)) + ", to port: " + strconv.Itoa(int(r.To)) + ", ALLOW"
}

// revoked reads which rules are to go; none where they are named by their ids.
func (s *Service) revoked(ps []api.IpPermission, one single, egress bool, ids []string) ([]rule, error) {
	if len(ids) > 0 && len(ps) == 0 && one.protocol == nil && one.cidr == nil {
		return nil, nil
	}
	return s.rules(ps, one, egress, nil)
}

func (s *Service) revoke(tx *store.Tx, o owner, id string, rules []rule, ids []string, egress bool) ([]api.RevokedSecurityGroupRule, error) {
	g, err := one(tx, s.t.groups, o, "security-group", id)
	if err != nil {
		return nil, err
	}
	var gone, kept []rule
	for _, r := range g.Rules {
		if r.Egress == egress && (slices.Contains(ids, r.ID) || slices.ContainsFunc(rules, r.same)) {
			gone = append(gone, r)
		} else {
			kept = append(kept, r)
		}
	}
	for _, r := range rules {
		if !slices.ContainsFunc(gone, r.same) {
			return nil, bad("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
	}
	for _, want := range ids {
		if !slices.ContainsFunc(gone, func(r rule) bool { return r.ID == want }) {
			return nil, bad("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", want)
		}
	}
	g.Rules = kept
	var shown []api.RevokedSecurityGroupRule
	for _, r := range gone {
		v := api.RevokedSecurityGroupRule{SecurityGroupRuleId: new(r.ID), GroupId: &id, IsEgress: new(r.Egress), IpProtocol: new(r.Protocol), FromPort: new(r.From), ToPort: new(r.To)}
		v.CidrIpv4, v.CidrIpv6 = families(r.CIDR)
		shown = append(shown, v)
	}
	return shown, s.t.groups.Put(tx, o.key(id), g)
}
