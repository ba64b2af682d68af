package ec2

import (
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/store"
)

const space = "ec2"

// owner is whose a resource is, and where.
type owner struct{ Account, Region string }

func (o owner) key(id string) store.Key { return store.K(o.Account, o.Region, id) }

func (o owner) arn(kind, id string) string {
	return arn.New("ec2", o.Region, o.Account, kind+"/"+id).String()
}

type vpc struct {
	owner
	ID, CIDR string
	Tags     map[string]string
}

type subnet struct {
	owner
	ID, VPC, CIDR, Zone string
	Tags                map[string]string
}

type group struct {
	owner
	ID, VPC, Name, Description string
	Rules                      []rule
	Tags                       map[string]string
}

// rule is one permission to one peer.
type rule struct {
	ID          string
	Egress      bool
	Added       bool // by AWS's default, not by a caller: it is no declaration
	Protocol    string
	From, To    int32 // -1: all
	CIDR        string
	Group       string
	PrefixList  string
	Description string
}

// same reports whether two rules permit the same.
func (r rule) same(o rule) bool {
	return r.Egress == o.Egress && r.Protocol == o.Protocol && r.From == o.From && r.To == o.To && r.CIDR == o.CIDR && r.Group == o.Group && r.PrefixList == o.PrefixList
}

type tables struct {
	vpcs    store.Table[vpc]
	subnets store.Table[subnet]
	groups  store.Table[group]
}

func newTables() tables {
	return tables{store.NewTable[vpc](space, "vpcs"), store.NewTable[subnet](space, "subnets"), store.NewTable[group](space, "groups")}
}

// all are an owner's rows that fit, in the order of their ids.
func all[T any](tx *store.Tx, t store.Table[T], o owner, fits func(T) bool) (out []T, err error) {
	for e, err := range t.Scan(tx, store.K(o.Account, o.Region), store.Range{}) {
		if err != nil {
			return nil, err
		}
		if fits(e.Value) {
			out = append(out, e.Value)
		}
	}
	return out, nil
}

// missing words a resource that is not there. Source: EC2 API Reference, "Error codes".
func missing(kind, id string) error {
	switch kind {
	case "vpc":
		return awserr.New("InvalidVpcID.NotFound", 400, "The vpc ID '%s' does not exist", id)
	case "subnet":
		return awserr.New("InvalidSubnetID.NotFound", 400, "The subnet ID '%s' does not exist", id)
	}
	return awserr.New("InvalidGroup.NotFound", 400, "The security group '%s' does not exist", id)
}

func bad(code, format string, args ...any) error { return awserr.New(code, 400, format, args...) }

func notBuilt(what string) error {
	return awserr.Of(awserr.NotImplemented, "%s: not built in this version of Bastide.", what)
}

// one is a row that must be there.
func one[T any](tx *store.Tx, t store.Table[T], o owner, kind, id string) (T, error) {
	v, ok, err := t.Get(tx, o.key(id))
	if err == nil && !ok {
		err = missing(kind, id)
	}
	return v, err
}

func tagList(m map[string]string) (out []api.Tag) {
	for k, v := range m {
		out = append(out, api.Tag{Key: new(k), Value: new(v)})
	}
	slices.SortFunc(out, func(a, b api.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return out
}
