package ec2

import (
	"context"
	"slices"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/gate/gatetest"
)

// TestUsedStays: what a function is in is not deleted, and a group that is gone takes no other's ways along.
func TestUsedStays(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	v, n, g := r.network()
	var used []string
	r.service.used = func(_ context.Context, account, region, id string) (bool, error) {
		return account == gatetest.Account && region == gatetest.Region && slices.Contains(used, id), nil
	}
	if _, err := r.AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: g, IpPermissions: permission("tcp", 5432, 5432, "10.0.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	got := must[[]way.Way](t)(r.directory.Ways(ctx, gatetest.Account, gatetest.Region, []string{"sg-gone", g}))
	if len(got) != 1 || got[0].String() != "10.0.0.0/16:5432" {
		t.Errorf("behind a group that is gone: %v", got)
	}
	used = []string{n, g}
	_, err := r.DeleteSecurityGroup(ctx, &api.DeleteSecurityGroupInput{GroupId: &g})
	gatetest.Refused(t, err, "DependencyViolation", g)
	_, err = r.DeleteSubnet(ctx, &api.DeleteSubnetInput{SubnetId: n})
	gatetest.Refused(t, err, "DependencyViolation", n)
	_, err = r.DeleteVpc(ctx, &api.DeleteVpcInput{VpcId: v})
	gatetest.Refused(t, err, "DependencyViolation", v)
	used = nil
	for _, err := range []error{second(r.DeleteSecurityGroup(ctx, &api.DeleteSecurityGroupInput{GroupId: &g})), second(r.DeleteSubnet(ctx, &api.DeleteSubnetInput{SubnetId: n})),
		second(r.DeleteVpc(ctx, &api.DeleteVpcInput{VpcId: v}))} {
		if err != nil {
			t.Error(err)
		}
	}
}
