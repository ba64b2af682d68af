package lambda

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// oneVPC has groups in memory, by their ids.
type oneVPC struct {
	version atomic.Uint64
	groups  map[string][]way.Way
}

func (n *oneVPC) Place(_ context.Context, _, _ string, subnets, groups []string) (string, error) {
	for _, g := range groups {
		if _, ok := n.groups[g]; !ok {
			return "", awserr.New("InvalidGroup.NotFound", 400, "The security group '%s' does not exist", g)
		}
	}
	return "vpc-1", nil
}

func (n *oneVPC) Ways(_ context.Context, _, _ string, groups []string) (out []way.Way, err error) {
	for _, g := range groups {
		out = append(out, n.groups[g]...)
	}
	return out, nil
}

func (n *oneVPC) Version() uint64 { return n.version.Load() }

func parsed(t *testing.T, text string) way.Way {
	t.Helper()
	w, err := way.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestGroupsLetOut: a function in groups has their ways, as they are now; who may not open routes puts no
// function into a group.
func TestGroupsLetOut(t *testing.T) {
	r := newRig(t)
	vpc := &oneVPC{groups: map[string][]way.Way{"sg-1": {parsed(t, "10.0.0.0/8:5432")}, "sg-2": {parsed(t, "0.0.0.0/0:443")}}}
	r.service.Networks = vpc
	was := r.service.Changes
	r.service.Changes = func() uint64 { return was() + vpc.Version() }
	in := func(groups ...string) *api.VpcConfig {
		return &api.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: groups}
	}
	fn := r.create("inside", func(c *api.CreateFunctionInput) { c.VpcConfig = in("sg-1") })
	directory := NewDirectory(r.service, r.db)
	inNetwork := func(region, id string, want bool) {
		t.Helper()
		if got, err := directory.InNetwork(t.Context(), account, region, id); err != nil || got != want {
			t.Errorf("a function is in %s: %t, %v", id, got, err)
		}
	}
	inNetwork(region, "sg-1", true)
	inNetwork(region, "subnet-1", true)
	inNetwork(region, "sg-2", false)
	inNetwork("eu-west-9", "sg-1", false)
	if c := fn.VpcConfig; c == nil || *c.VpcId != "vpc-1" || c.SecurityGroupIds[0] != "sg-1" || c.SubnetIds[0] != "subnet-1" {
		t.Errorf("its configuration: %+v", fn.VpcConfig)
	}
	run := func() fleet.Function {
		t.Helper()
		_, err := r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "inside"})
		r.ok(err)
		return r.runner.ran[len(r.runner.ran)-1]
	}
	first := run()
	if fmt.Sprint(first.Ways) != "[10.0.0.0/8:5432]" {
		t.Errorf("ways %v", first.Ways)
	}
	vpc.groups["sg-1"] = []way.Way{parsed(t, "10.0.0.0/8:6379")}
	vpc.version.Add(1)
	if second := run(); fmt.Sprint(second.Ways) != "[10.0.0.0/8:6379]" || second.Revision == first.Revision {
		t.Errorf("after the group has changed: %v", second.Ways)
	}
	_, err := r.client.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "inside", VpcConfig: in("sg-none")})
	r.refused(err, "InvalidParameterValueException", "EC2 Error Code: InvalidGroup.NotFound")
	r.dir.allow(t, "deployer", `{"Effect":"Allow","Action":"lambda:*","Resource":"*"}`)
	deployer := r.as(account, "deployer")
	_, err = deployer.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "inside", VpcConfig: in("sg-2")})
	r.refused(err, "AccessDeniedException", "bastide:OpenRoute")
	_, err = deployer.CreateFunction(t.Context(), &api.CreateFunctionInput{FunctionName: "made", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"),
		Code: &api.FunctionCode{ZipFile: zipOf(r, "index.py", "v1")}, VpcConfig: in("sg-2")})
	r.refused(err, "AccessDeniedException", "bastide:OpenRoute")
	_, err = deployer.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "inside", VpcConfig: in("sg-1")})
	r.ok(err)
	_, err = deployer.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "inside", VpcConfig: &api.VpcConfig{}})
	r.ok(err)
	if last := run(); len(last.Ways) != 0 {
		t.Errorf("out of the VPC: %v", last.Ways)
	}
	inNetwork(region, "sg-1", false)
}
