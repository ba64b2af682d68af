package ec2

import (
	"fmt"
	"net/netip"

	"github.com/bastide-cloud/bastide/internal/base/way"
)

// nowhere is why an egress rule that somebody writes would open nothing, where it was surely meant to open
// something: a rule for TCP to a block of addresses, or one for all traffic to link-local addresses or a
// cloud's metadata. Rules for other protocols and those that lead to groups or prefix lists are kept as they
// are, as is all traffic to 127.0.0.1/32 or 255.255.255.255/32, which templates write for none at all.
func (r rule) nowhere() error {
	net, err := netip.ParsePrefix(r.CIDR)
	if err != nil || r.Protocol != "tcp" && r.Protocol != "-1" || len(r.ways()) > 0 {
		return nil
	}
	why := way.Way{Net: net, From: 443, To: 443}.Check()
	switch {
	case r.Protocol == "-1":
		if !net.Addr().IsLinkLocalUnicast() && way.NowhereOf(net) != way.Metadata {
			return nil
		}
	case net.Addr().IsLoopback():
		why = fmt.Errorf("is this machine, which no rule leads to; declare it in the function's tag bastide:egress, as localhost or 127.0.0.1 with a port")
	case why == nil && r.To < 1:
		why = fmt.Errorf("with port 0 is no place that a connection leads to")
	case why == nil:
		why = fmt.Errorf("with ports %d to %d opens nothing: of more than %d ports only those are opened that services are usually found at, and there is none among them; name fewer", r.From, r.To, way.MaxPorts)
	}
	if why == nil {
		return nil
	}
	return bad("InvalidParameterValue", "The egress rule lets nothing out: the CIDR block %s %s.", r.CIDR, why)
}
