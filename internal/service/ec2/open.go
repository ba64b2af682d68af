package ec2

import (
	"net/netip"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// needEgress is the need of who writes egress rules. Functions of the group, now or later, get the rules'
// ways out, so that it takes bastide:OpenRoute on the group too (decision 0026): many may change networks
// who shall not open a way out of functions. Rules that lead no function anywhere need it not.
func (s *Service) needEgress(a *gate.Ask, in *api.AuthorizeSecurityGroupEgressInput) ([]gate.Need, error) {
	needs, err := need(s, "AuthorizeSecurityGroupEgress", "security-group", func(in *api.AuthorizeSecurityGroupEgressInput) string { return in.GroupId })(a, in)
	if err != nil {
		return nil, err
	}
	rules, err := s.rules(in.IpPermissions, single{in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp}, true, in.TagSpecifications)
	if err != nil {
		return needs, nil // the call fails by that, for those who may make it
	}
	var open []string
	for _, r := range rules {
		if text := r.route(); text != "" {
			open = append(open, text)
		}
	}
	if len(open) > 0 {
		n := s.on(a, "", "security-group", in.GroupId)
		n.Action, n.Keys = "bastide:OpenRoute", map[string][]string{"bastide:Route": open}
		needs = append(needs, n)
	}
	return needs, nil
}

// route is an egress rule as bastide:Route has it ("10.0.0.0/16:5432-5433"); "" for one that opens no way.
func (r rule) route() string {
	ways := r.ways()
	if len(ways) == 0 {
		return ""
	}
	w := way.Way{Net: netip.MustParsePrefix(r.CIDR), From: uint16(max(r.From, 1)), To: uint16(r.To)}
	if r.Protocol == "-1" {
		w.From, w.To = 1, 65535
	}
	return w.String()
}
