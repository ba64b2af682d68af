package ec2

import (
	"fmt"
	"slices"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/gate/gatetest"
)

// rig is the service behind a real gate and store.
type rig struct {
	*testing.T
	api.Client
	*gatetest.Door
	directory *Directory
	service   *Service
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, Door: gatetest.Open(t)}
	s := New(Deps{IDs: ids.Source{}})
	r.Serve(s.Unit())
	r.Client = api.Client{Caller: r.Session()}
	r.directory, r.service = NewDirectory(s, r.DB), s
	return r
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func permission(protocol string, from, to int32, cidr string) []api.IpPermission {
	return []api.IpPermission{{IpProtocol: &protocol, FromPort: &from, ToPort: &to, IpRanges: []api.IpRange{{CidrIp: &cidr}}}}
}

// ways are what a group lets out to, as written.
func (r *rig) ways(group string) string {
	r.Helper()
	return fmt.Sprint(must[[]way.Way](r)(r.directory.Ways(r.Context(), gatetest.Account, gatetest.Region, []string{group})))
}

// network makes a VPC with a subnet and a group.
func (r *rig) network() (vpcID, subnetID, groupID string) {
	r.Helper()
	v := must[*api.CreateVpcOutput](r)(r.CreateVpc(r.Context(), &api.CreateVpcInput{CidrBlock: new("10.0.0.0/16"),
		TagSpecifications: []api.TagSpecification{{ResourceType: new("vpc"), Tags: []api.Tag{{Key: new("team"), Value: new("a")}}}}}))
	n := must[*api.CreateSubnetOutput](r)(r.CreateSubnet(r.Context(), &api.CreateSubnetInput{VpcId: *v.Vpc.VpcId, CidrBlock: new("10.0.1.0/24")}))
	g := must[*api.CreateSecurityGroupOutput](r)(r.CreateSecurityGroup(r.Context(), &api.CreateSecurityGroupInput{GroupName: "app", Description: "app", VpcId: v.Vpc.VpcId}))
	return *v.Vpc.VpcId, *n.Subnet.SubnetId, *g.GroupId
}

// TestRulesAreDeclarations: the rule that AWS adds lets nothing out; what a caller writes does.
func TestRulesAreDeclarations(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	_, _, g := r.network()
	shown := must[*api.DescribeSecurityGroupsOutput](t)(r.DescribeSecurityGroups(ctx, &api.DescribeSecurityGroupsInput{GroupIds: []string{g}})).SecurityGroups[0]
	if len(shown.IpPermissionsEgress) != 1 || *shown.IpPermissionsEgress[0].IpProtocol != "-1" || *shown.IpPermissionsEgress[0].IpRanges[0].CidrIp != "0.0.0.0/0" {
		t.Errorf("a new group's rules: %+v", shown.IpPermissionsEgress)
	}
	if got := r.ways(g); got != "[]" {
		t.Errorf("a rule that nobody wrote lets out to %s", got)
	}
	authorize := func(p []api.IpPermission) error {
		_, err := r.AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: g, IpPermissions: p})
		return err
	}
	for _, p := range [][]api.IpPermission{permission("tcp", 5432, 5433, "10.0.0.0/16"), permission("6", 443, 443, "0.0.0.0/0"), permission("udp", 53, 53, "0.0.0.0/0"),
		permission("icmp", 252, 86, "255.255.255.255/32"), permission("-1", -1, -1, "127.0.0.1/32"), permission("-1", -1, -1, "255.255.255.255/32")} {
		if err := authorize(p); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.ways(g); got != "[10.0.0.0/16:5432-5433 0.0.0.0/0:443]" {
		t.Errorf("it lets out to %s", got)
	}
	for why, p := range map[string][]api.IpPermission{"169.254.169.254/32 is link-local": permission("tcp", 80, 80, "169.254.169.254/32"), "169.254.0.0/16 is link-local": permission("-1", -1, -1, "169.254.0.0/16"),
		"metadata": permission("-1", -1, -1, "168.63.129.16/32"), "tag bastide:egress": permission("tcp", 1, 1, "127.0.0.0/8"), "no block": permission("tcp", 443, 443, "255.255.255.255/32"),
		"ports 30000 to 32767 opens nothing": permission("tcp", 30000, 32767, "10.0.0.0/8"), "port 0": permission("tcp", 0, 0, "10.0.0.0/8")} {
		gatetest.Refused(t, authorize(p), "InvalidParameterValue", why)
	}
	_, err := r.AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: g, IpPermissions: []api.IpPermission{{IpProtocol: new("tcp"), FromPort: new(int32(80)), ToPort: new(int32(80)),
		Ipv6Ranges: []api.Ipv6Range{{CidrIpv6: new("fe80::/10")}}}}})
	gatetest.Refused(t, err, "InvalidParameterValue", "fe80::/10 is link-local")
	gatetest.Refused(t, authorize(permission("tcp", 443, 443, "0.0.0.0/0")), "InvalidPermission.Duplicate", "already exists")
	if err := authorize([]api.IpPermission{{IpProtocol: new("-1"), IpRanges: []api.IpRange{{CidrIp: new("0.0.0.0/0")}}}}); err != nil {
		t.Fatal("what AWS has added, written by a caller:", err)
	}
	wide := must[[]way.Way](t)(r.directory.Ways(ctx, gatetest.Account, gatetest.Region, []string{g}))
	opens := func(port int) bool {
		return slices.ContainsFunc(wide, func(w way.Way) bool { return w.Internet() && w.Opens(port) })
	}
	if !opens(443) || !opens(5432) || opens(8080) || opens(12345) {
		t.Errorf("all ports are %v", wide)
	}
	revoke := func(p []api.IpPermission) error {
		_, err := r.RevokeSecurityGroupEgress(ctx, &api.RevokeSecurityGroupEgressInput{GroupId: g, IpPermissions: p})
		return err
	}
	if err := revoke([]api.IpPermission{{IpProtocol: new("-1"), IpRanges: []api.IpRange{{CidrIp: new("0.0.0.0/0")}}}}); err != nil {
		t.Fatal(err)
	}
	if err := revoke(permission("tcp", 443, 443, "0.0.0.0/0")); err != nil {
		t.Fatal(err)
	}
	gatetest.Refused(t, revoke(permission("tcp", 443, 443, "0.0.0.0/0")), "InvalidPermission.NotFound", "does not exist")
	if got := r.ways(g); got != "[10.0.0.0/16:5432-5433]" {
		t.Errorf("after revoking it lets out to %s", got)
	}
	gatetest.Refused(t, authorize(permission("tcp", 9, 8, "10.0.0.0/8")), "InvalidParameterValue", "portRange")
	gatetest.Refused(t, authorize(permission("tcp", 9, 9, "10.0.0.0")), "InvalidParameterValue", "malformed")
	if got := r.ways("sg-gone"); got != "[]" {
		t.Errorf("a group that is gone lets out to %s", got)
	}
}

// TestOpeningARouteIsARight: who may change networks may not let functions out by it; who may open some
// routes may open those.
func TestOpeningARouteIsARight(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	_, _, g := r.network()
	authorize := func(p []api.IpPermission) error {
		_, err := r.AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: g, IpPermissions: p})
		return err
	}
	everywhere := []api.IpPermission{{IpProtocol: new("-1"), IpRanges: []api.IpRange{{CidrIp: new("0.0.0.0/0")}}}}
	const ec2 = `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`
	r.Allow(`{"Version":"2012-10-17","Statement":[` + ec2 + `]}`)
	for _, p := range [][]api.IpPermission{permission("tcp", 5432, 5432, "0.0.0.0/0"), permission("tcp", 5432, 5432, "10.0.0.0/16"), everywhere} {
		gatetest.Refused(t, authorize(p), "AccessDenied", "bastide:OpenRoute")
	}
	if _, err := r.AuthorizeSecurityGroupEgress(ctx, &api.AuthorizeSecurityGroupEgressInput{GroupId: g, IpProtocol: new("tcp"), FromPort: new(int32(1)), ToPort: new(int32(1)), CidrIp: new("0.0.0.0/0")}); err == nil {
		t.Error("a rule in the old form opened a way")
	}
	if got := r.ways(g); got != "[]" {
		t.Errorf("refused rules let out to %s", got)
	}
	if err := authorize(permission("udp", 53, 53, "0.0.0.0/0")); err != nil { // lets no function out
		t.Error(err)
	}
	gatetest.Refused(t, authorize(permission("tcp", 9, 9, "10.0.0.0")), "InvalidParameterValue", "malformed")
	r.Allow(`{"Version":"2012-10-17","Statement":[` + ec2 + `,{"Effect":"Allow","Action":"bastide:OpenRoute","Resource":"arn:aws:ec2:*:*:security-group/` + g + `",
		"Condition":{"ForAllValues:StringLike":{"bastide:Route":"10.0.*:5432"}}}]}`)
	if err := authorize(permission("tcp", 5432, 5432, "10.0.0.0/16")); err != nil {
		t.Error(err)
	}
	both := append(permission("tcp", 5432, 5432, "10.0.1.0/24"), permission("tcp", 5432, 5432, "0.0.0.0/0")...)
	gatetest.Refused(t, authorize(both), "AccessDenied", "bastide:OpenRoute")
	gatetest.Refused(t, authorize(everywhere), "AccessDenied", "bastide:OpenRoute")
	if got := r.ways(g); got != "[10.0.0.0/16:5432]" {
		t.Errorf("it lets out to %s", got)
	}
}

func TestNetworks(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	v, n, g := r.network()
	other := must[*api.CreateVpcOutput](t)(r.CreateVpc(ctx, &api.CreateVpcInput{CidrBlock: new("10.1.0.0/16")}))
	og := must[*api.CreateSecurityGroupOutput](t)(r.CreateSecurityGroup(ctx, &api.CreateSecurityGroupInput{GroupName: "app", Description: "app", VpcId: other.Vpc.VpcId}))
	place := func(subnet, group string) (string, error) {
		return r.directory.Place(ctx, gatetest.Account, gatetest.Region, []string{subnet}, []string{group})
	}
	if got, err := place(n, g); err != nil || got != v {
		t.Errorf("placed in %s, %v", got, err)
	}
	if _, err := place(n, *og.GroupId); err == nil {
		t.Error("a subnet and a group of two VPCs")
	}
	_, err := place(n, "sg-none")
	gatetest.Refused(t, err, "InvalidGroup.NotFound", "sg-none")
	_, err = place("subnet-none", g)
	gatetest.Refused(t, err, "InvalidSubnetID.NotFound", "subnet-none")
	_, err = r.CreateSecurityGroup(ctx, &api.CreateSecurityGroupInput{GroupName: "app", Description: "again", VpcId: &v})
	gatetest.Refused(t, err, "InvalidGroup.Duplicate", "app")
	_, err = r.CreateSubnet(ctx, &api.CreateSubnetInput{VpcId: v, CidrBlock: new("10.0.1.128/25")})
	gatetest.Refused(t, err, "InvalidSubnet.Conflict", "conflicts")
	_, err = r.CreateSubnet(ctx, &api.CreateSubnetInput{VpcId: v, CidrBlock: new("192.168.0.0/24")})
	gatetest.Refused(t, err, "InvalidSubnet.Range", "invalid")
	_, err = r.DeleteVpc(ctx, &api.DeleteVpcInput{VpcId: v})
	gatetest.Refused(t, err, "DependencyViolation", "dependencies")
	_, err = r.CreateVpc(ctx, &api.CreateVpcInput{CidrBlock: new("10.0.0.0/16"), AmazonProvidedIpv6CidrBlock: new(true)})
	gatetest.Refused(t, err, "NotImplemented", "IPv6")
	_, err = r.DeleteVpc(ctx, &api.DeleteVpcInput{VpcId: v, DryRun: new(true)})
	gatetest.Refused(t, err, "DryRunOperation", "succeeded")
	found := must[*api.DescribeVpcsOutput](t)(r.DescribeVpcs(ctx, &api.DescribeVpcsInput{Filters: []api.Filter{{Name: new("tag:team"), Values: []string{"a*"}}}}))
	if len(found.Vpcs) != 1 || *found.Vpcs[0].VpcId != v {
		t.Errorf("found by tag: %+v", found.Vpcs)
	}
	_, err = r.DescribeVpcs(ctx, &api.DescribeVpcsInput{Filters: []api.Filter{{Name: new("colour"), Values: []string{"a"}}}})
	gatetest.Refused(t, err, "InvalidParameterValue", "colour")
	must[*api.CreateTagsOutput](t)(r.CreateTags(ctx, &api.CreateTagsInput{Resources: []string{g, n}, Tags: []api.Tag{{Key: new("k"), Value: new("v")}}}))
	must[*api.DeleteTagsOutput](t)(r.DeleteTags(ctx, &api.DeleteTagsInput{Resources: []string{n}, Tags: []api.Tag{{Key: new("k")}}}))
	if got := must[*api.DescribeSubnetsOutput](t)(r.DescribeSubnets(ctx, &api.DescribeSubnetsInput{SubnetIds: []string{n}})); len(got.Subnets[0].Tags) != 0 {
		t.Errorf("tags of the subnet: %+v", got.Subnets[0].Tags)
	}
	for _, end := range []error{second(r.DeleteSubnet(ctx, &api.DeleteSubnetInput{SubnetId: n})), second(r.DeleteSecurityGroup(ctx, &api.DeleteSecurityGroupInput{GroupId: &g})), second(r.DeleteVpc(ctx, &api.DeleteVpcInput{VpcId: v}))} {
		if end != nil {
			t.Error(end)
		}
	}
}

func second[T any](_ T, err error) error { return err }
