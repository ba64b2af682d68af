package way

import "net/netip"

// Nowhere is why no way leads to an address.
type Nowhere int

const (
	Somewhere Nowhere = iota // a way may lead there
	Metadata                 // a cloud answers there for its metadata, beside the link-local block
	Unusable                 // unspecified, reserved, or it hides another address
)

// nowheres are the blocks that no way leads to beside those that netip has methods for: where clouds answer
// for their metadata, and those of the IANA special-purpose registries that are reserved or tunnels. The
// first that contains an address counts.
var nowheres = []struct {
	block netip.Prefix
	why   Nowhere
}{
	{netip.MustParsePrefix("100.100.100.200/32"), Metadata},  // Alibaba Cloud
	{netip.MustParsePrefix("100.96.0.96/32"), Metadata},      // Volcengine
	{netip.MustParsePrefix("100.80.80.80/32"), Metadata},     // UCloud
	{netip.MustParsePrefix("168.63.129.16/32"), Metadata},    // Azure's WireServer
	{netip.MustParsePrefix("192.0.0.192/32"), Metadata},      // Oracle Cloud, older hosts
	{netip.MustParsePrefix("fd00:ec2::/32"), Metadata},       // Amazon EC2: instance metadata, time, DNS
	{netip.MustParsePrefix("fd20:ce::254/128"), Metadata},    // Google Cloud
	{netip.MustParsePrefix("fd00:c1::/32"), Metadata},        // Oracle Cloud
	{netip.MustParsePrefix("fd00:42::42/128"), Metadata},     // Scaleway
	{netip.MustParsePrefix("fd00:a9fe:a9fe::/48"), Metadata}, // Akamai (Linode)
	{netip.MustParsePrefix("0.0.0.0/8"), Unusable},
	{netip.MustParsePrefix("192.0.0.0/24"), Unusable},
	{netip.MustParsePrefix("192.88.99.0/24"), Unusable},
	{netip.MustParsePrefix("240.0.0.0/4"), Unusable},
	{netip.MustParsePrefix("::/96"), Unusable},           // IPv4-compatible, deprecated
	{netip.MustParsePrefix("::ffff:0:0:0/96"), Unusable}, // IPv4-translated (SIIT): hides an IPv4 address
	{netip.MustParsePrefix("64:ff9b::/96"), Unusable},    // NAT64: hides an IPv4 address
	{netip.MustParsePrefix("64:ff9b:1::/48"), Unusable},
	{netip.MustParsePrefix("100::/64"), Unusable},
	{netip.MustParsePrefix("2001::/23"), Unusable}, // Teredo and other tunnels
	{netip.MustParsePrefix("2002::/16"), Unusable}, // 6to4: hides an IPv4 address
	{netip.MustParsePrefix("3fff::/20"), Unusable},
}

// NowhereOf tells whether an address, or the whole of a block, is one that no way leads to. Loopback,
// link-local and multicast addresses are not for it to judge.
func NowhereOf(p netip.Prefix) Nowhere {
	for _, n := range nowheres {
		if p.Bits() >= n.block.Bits() && n.block.Contains(p.Addr()) {
			return n.why
		}
	}
	return Somewhere
}
