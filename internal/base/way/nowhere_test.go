package way

import (
	"net/netip"
	"testing"
)

// TestNowheres names each block anew, with an address that no other has: an entry that is lost is missed.
func TestNowheres(t *testing.T) {
	want := map[string]Nowhere{
		"100.100.100.200/32": Metadata, "168.63.129.16/32": Metadata, "192.0.0.192/32": Metadata, "fd00:ec2::/32": Metadata,
		"fd20:ce::254/128": Metadata, "fd00:c1::/32": Metadata, "fd00:42::42/128": Metadata,
		"0.0.0.0/8": Unusable, "192.0.0.0/24": Unusable, "192.88.99.0/24": Unusable, "240.0.0.0/4": Unusable, "::/96": Unusable,
		"::ffff:0:0:0/96": Unusable, "64:ff9b::/96": Unusable, "64:ff9b:1::/48": Unusable, "100::/64": Unusable, "2001::/23": Unusable,
		"2002::/16": Unusable, "3fff::/20": Unusable,
	}
	if len(want) != len(nowheres) {
		t.Errorf("%d blocks, %d are expected", len(nowheres), len(want))
	}
	for text, why := range want {
		p := netip.MustParsePrefix(text)
		if got := NowhereOf(p); got != why {
			t.Errorf("%s: %d, want %d", p, got, why)
		}
		if got := NowhereOf(netip.PrefixFrom(p.Addr(), p.Addr().BitLen())); got != why {
			t.Errorf("%s: %d, want %d", p.Addr(), got, why)
		}
		if wider := netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked(); NowhereOf(wider) == why && text != "192.0.0.192/32" && text != "fd00:c1::/32" {
			t.Errorf("%s is nowhere, too", wider)
		}
		if _, err := Parse(Way{Net: p, From: 80, To: 80}.String()); err == nil {
			t.Errorf("a way to %s was taken", p)
		}
	}
	for _, text := range []string{"0.0.0.0/0", "::/0", "192.0.0.0/16", "10.0.0.0/8", "fd00::/8", "2001:db8::/32", "100.64.0.0/10", "8.8.8.8/32"} {
		if got := NowhereOf(netip.MustParsePrefix(text)); got != Somewhere {
			t.Errorf("%s: %d", text, got)
		}
	}
}
