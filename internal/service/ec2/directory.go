package ec2

import (
	"context"
	"net/netip"

	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Directory is what functions are let out by, as Lambda reads it: a read-only view of the service's rows.
type Directory struct {
	s  *Service
	db *store.DB
}

// NewDirectory reads the service's rows from db.
func NewDirectory(s *Service, db *store.DB) *Directory { return &Directory{s, db} }

// Version grows with every change to the service's rows.
func (d *Directory) Version() uint64 { return d.db.Changes(space) }

// Place is the VPC that subnets and groups are of; errors are those of a function's configuration.
func (d *Directory) Place(ctx context.Context, account, region string, subnets, groups []string) (vpcID string, err error) {
	o := owner{account, region}
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		vpcID = ""
		same := func(id string) error {
			if vpcID != "" && vpcID != id {
				return bad("InvalidParameterValueException", "The subnets and security groups of a function must be of one VPC.")
			}
			vpcID = id
			return nil
		}
		for _, id := range subnets {
			n, err := one(tx, d.s.t.subnets, o, "subnet", id)
			if err == nil {
				err = same(n.VPC)
			}
			if err != nil {
				return err
			}
		}
		for _, id := range groups {
			g, err := one(tx, d.s.t.groups, o, "security-group", id)
			if err == nil {
				err = same(g.VPC)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return vpcID, err
}

// Ways are what the egress rules of groups declare. A group that is gone declares nothing.
func (d *Directory) Ways(ctx context.Context, account, region string, groups []string) (out []way.Way, err error) {
	o := owner{account, region}
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		out = nil
		for _, id := range groups {
			g, ok, err := d.s.t.groups.Get(tx, o.key(id))
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			for _, r := range g.Rules {
				out = append(out, r.ways()...)
			}
		}
		return nil
	})
	return out, err
}

// usual are the ports that a rule with more than way.MaxPorts opens: where services are found by default.
// The ports that functions' own servers are usually at (3000, 5000, 8000, 8080) are none of them, as a
// door there would be in their way; a rule that names one opens it.
var usual = []uint16{22, 25, 53, 80, 110, 143, 389, 443, 465, 587, 636, 853, 993, 995, 1433, 1521, 1883, 2049, 2181, 2379, 3128, 3306, 3389, 4222, 5432, 5439,
	5671, 5672, 5984, 6379, 6380, 6443, 7687, 8086, 8123, 8443, 8883, 9042, 9092, 9093, 9094, 9096, 9098, 9142, 9200, 9300, 11211, 15672, 26257, 27017, 27018}

// ways are what one rule declares: TCP to a block of addresses. What leads nowhere is left out: to
// link-local addresses, say.
func (r rule) ways() (out []way.Way) {
	if !r.Egress || r.Added || r.CIDR == "" || r.Protocol != "tcp" && r.Protocol != "-1" {
		return nil
	}
	net, err := netip.ParsePrefix(r.CIDR)
	if err != nil {
		return nil
	}
	from, to := max(r.From, 1), r.To
	if r.Protocol == "-1" {
		from, to = 1, 65535
	}
	add := func(from, to uint16) {
		if w := (way.Way{Net: net, From: from, To: to}); w.Check() == nil {
			out = append(out, w)
		}
	}
	if to-from < way.MaxPorts {
		add(uint16(from), uint16(to))
		return out
	}
	for _, port := range usual {
		if int32(port) >= from && int32(port) <= to {
			add(port, port)
		}
	}
	return out
}
