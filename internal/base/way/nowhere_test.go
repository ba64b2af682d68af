package way

import (
	"net/netip"
	"testing"
)

// TestNowheres names each block anew, with an address that no other has: an entry that is lost is missed.
func TestNowheres(t *testing.T) {
	want := map[string]Nowhere{
		"100.100.100.200/32": Metadata, "168.63.129.16/32": Metadata, "192.0.0.192/32": Metadata, "fd00:ec2::/32": Metadata,
		"100.96.0.96/32": Metadata, "100.80.80.80/32": Metadata, "fd00:a9fe:a9fe::/48": Metadata, "fd20:ce::254/128": Metadata, "fd00:c1::/32": Metadata, "fd00:42::42/128": Metadata,
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

// TestMetadataOfClouds has for each cloud whose metadata cloud-init reads, and for some more, where it
// answers: no way names it, and none below it.
func TestMetadataOfClouds(t *testing.T) {
	for cloud, at := range map[string][]string{
		"Akamai": {"169.254.169.254", "[fd00:a9fe:a9fe::1]"}, "Alibaba Cloud": {"100.100.100.200"}, "Amazon EC2": {"169.254.169.254", "[fd00:ec2::254]", "instance-data", "instance-data.ec2.internal"},
		"Amazon ECS and EKS": {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"}, "Azure": {"169.254.169.254", "168.63.129.16", "metadata.azure.internal"}, "CloudStack": {"data-server"},
		"DigitalOcean, Exoscale, Hetzner, NWCS, OVH, UpCloud, Vultr, CloudCIX": {"169.254.169.254"}, "Equinix Metal": {"metadata.packet.net", "metadata.platformequinix.com"},
		"Google Cloud": {"169.254.169.254", "[fd20:ce::254]", "metadata", "metadata.google.internal", "metadata.goog"}, "IBM Cloud": {"169.254.169.254", "api.metadata.cloud.ibm.com"},
		"OpenNebula": {"169.254.16.9"}, "OpenStack": {"169.254.169.254", "[fe80::a9fe:a9fe]"}, "Oracle Cloud": {"169.254.169.254", "192.0.0.192", "[fd00:c1::a9fe:a9fe]"},
		"Rancher": {"169.254.169.250", "rancher-metadata"}, "Scaleway": {"169.254.42.42", "[fd00:42::42]"}, "Tencent Cloud": {"169.254.0.23", "metadata.tencentyun.com"},
		"UCloud": {"100.80.80.80"}, "Volcengine": {"100.96.0.96"},
	} {
		for _, host := range at {
			for _, text := range []string{host, "private=" + host} {
				if w, err := Parse(text + ":80"); err == nil {
					t.Errorf("%s: the way %s was taken", cloud, w)
				}
			}
		}
	}
	for _, text := range []string{"100.96.0.97:80", "100.80.80.81:80", "[fd00:a9fe:a9ff::1]:80", "api.packet.net:443", "api.platformequinix.com:443", "iam.cloud.ibm.com:443", "100.64.0.0/10:80", "[fd00::/8]:80"} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
