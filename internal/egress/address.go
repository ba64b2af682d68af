package egress

import (
	"net/netip"

	"github.com/bastide-cloud/bastide/internal/base/way"
)

// class is what kind of place an address is.
type class int

const (
	classNever     class = iota // unspecified, multicast, reserved
	classPublic                 // the internet
	classPrivate                // RFC 1918, shared (RFC 6598), unique local; documentation, which labs use so
	classLoopback               // this machine
	classLinkLocal              // this link; clouds answer for their metadata at 169.254.169.254
	classMetadata               // where a cloud answers for its metadata outside of the link-local block
)

func (c class) String() string {
	switch c {
	case classPublic:
		return "a public"
	case classPrivate:
		return "a private"
	case classLoopback:
		return "a loopback"
	case classLinkLocal:
		return "a link-local"
	case classMetadata:
		return "a cloud's metadata"
	}
	return "an unusable"
}

// special are the private blocks of the IANA special-purpose registries that netip has no method for. The
// documentation blocks (RFC 5737, RFC 3849) and the benchmarking one count as private rather than as
// unusable: no public host has such an address, so that a name that leads there is somebody's own
// network, laboratories do use them, and "private=" in the route is the owner's word that it is meant.
// Without that word they are refused as other private ones are.
var special = []struct {
	block netip.Prefix
	class class
}{
	{netip.MustParsePrefix("100.64.0.0/10"), classPrivate},
	{netip.MustParsePrefix("192.0.2.0/24"), classPrivate},
	{netip.MustParsePrefix("198.18.0.0/15"), classPrivate},
	{netip.MustParsePrefix("198.51.100.0/24"), classPrivate},
	{netip.MustParsePrefix("203.0.113.0/24"), classPrivate},
	{netip.MustParsePrefix("2001:db8::/32"), classPrivate},
	{netip.MustParsePrefix("fec0::/10"), classPrivate},
}

func classOf(a netip.Addr) class {
	a = a.Unmap()
	switch {
	case !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
		return classNever
	case a.IsLoopback():
		return classLoopback
	case a.IsLinkLocalUnicast():
		return classLinkLocal
	}
	switch way.NowhereOf(netip.PrefixFrom(a, a.BitLen())) {
	case way.Metadata:
		return classMetadata
	case way.Unusable:
		return classNever
	}
	for _, s := range special {
		if s.block.Contains(a) {
			return s.class
		}
	}
	if a.IsPrivate() {
		return classPrivate
	}
	return classPublic
}

// IsPublic reports whether an address is one of the internet's.
func IsPublic(a netip.Addr) bool { return classOf(a) == classPublic }

// privateBlock reports whether a block of addresses is one of a private network's, all of it. A larger
// one that only contains such addresses, as 0.0.0.0/0 does, names the internet and not them.
func privateBlock(p netip.Prefix) bool {
	if classOf(p.Addr()) != classPrivate {
		return false
	}
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(last)
	return classOf(a) == classPrivate
}
