package lambda

import (
	"cmp"
	"context"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// When a version moves to another version of its runtime.
const (
	runtimeAuto   = "Auto"           // whenever the machine does
	runtimeUpdate = "FunctionUpdate" // when the function is updated
	runtimeManual = "Manual"         // when it is told to
)

// runtimePolicy is how a version follows its runtime. A machine has one version of each runtime, so
// that a function which stays on another than that cannot start, and says so.
type runtimePolicy struct {
	On string `json:",omitempty"` // runtimeUpdate or runtimeManual; "" for Auto
	ID string `json:",omitempty"` // the version that it stays on
}

// runtimeARN names a version of a runtime.
func runtimeARN(region, id string) string {
	return arn.New("lambda", region, "", "runtime:"+id).String()
}

func runtimeID(text string) (string, error) {
	a, err := arn.Parse(text)
	id, ok := strings.CutPrefix(a.Resource, "runtime:")
	if err != nil || !ok || a.Service != "lambda" {
		return "", invalid("Runtime Version ARN %s is invalid.", text)
	}
	return id, nil
}

// machineVersion is the version of a runtime that this machine has; "" where nobody knows.
func (s *Service) machineVersion(ctx context.Context, runtime string) (string, error) {
	if s.RuntimeVersion == nil || runtime == "" { // an image brings its own
		return "", nil
	}
	return s.RuntimeVersion(ctx, runtime)
}

// settle puts a version on what the machine has, if it moves with updates.
func (p *runtimePolicy) settle(machine string) {
	if p.On == runtimeUpdate {
		p.ID = machine
	}
}

// changed is a policy after its function has changed to another runtime: what it stayed on is none of
// that runtime's, so that it follows the machine until it is told otherwise.
func (p runtimePolicy) changed() runtimePolicy {
	if p.On == runtimeManual {
		return runtimePolicy{}
	}
	return runtimePolicy{On: p.On}
}

// updatedTo is the version of its runtime that a function moves to with an update, which may change
// the runtime too.
func (s *Service) updatedTo(c *gate.Call, k functionKey, runtime *string) (string, error) {
	var v version
	err := c.View(func(tx *store.Tx) (err error) {
		_, v, err = s.t.qualified(tx, reference{k, ""})
		return err
	})
	if err != nil || v.Runtimes.On != runtimeUpdate {
		return "", err
	}
	machine, err := s.machineVersion(c.Context(), cmp.Or(wire.Val(runtime), v.Runtime))
	if err != nil {
		return "", invalid("%s", err.Error())
	}
	return machine, nil
}

// showRuntime shows which version of its runtime a version runs on, and what is wrong with that.
func (s *Service) showRuntime(ctx context.Context, k functionKey, c *lambda.FunctionConfiguration) {
	machine, err := s.machineVersion(ctx, wire.Val(c.Runtime))
	shown := ""
	if machine != "" {
		shown = runtimeARN(k.Region, machine)
	}
	if c.RuntimeVersionConfig == nil { // it stays on none
		if shown == "" && err == nil {
			return
		}
		c.RuntimeVersionConfig = &lambda.RuntimeVersionConfig{RuntimeVersionArn: optional(shown)}
	}
	switch {
	case err != nil:
		c.RuntimeVersionConfig.Error = &lambda.RuntimeVersionError{ErrorCode: new("RuntimeNotFound"), Message: new(err.Error())}
	case wire.Val(c.RuntimeVersionConfig.RuntimeVersionArn) != shown:
		c.RuntimeVersionConfig.Error = &lambda.RuntimeVersionError{ErrorCode: new("RuntimeVersionNotFound"),
			Message: new("The runtime version that the function stays on is not on this machine, which has " + shown + ".")}
	}
}

// shown is an answer about one version, with its runtime's. A call that failed has none.
func (s *Service) shown(c *gate.Call, k functionKey, out *lambda.FunctionConfiguration, err error) (*lambda.FunctionConfiguration, error) {
	if err == nil && out != nil {
		s.showRuntime(c.Context(), k, out)
	}
	return out, err
}

// shown is the version that a policy stays on; nil for one that follows the machine.
func (p runtimePolicy) shown(region string) *lambda.RuntimeVersionConfig {
	if p.ID == "" {
		return nil
	}
	return &lambda.RuntimeVersionConfig{RuntimeVersionArn: new(runtimeARN(region, p.ID))}
}

// stay puts into f the version of its runtime that it may start on.
func (v version) stay(f *fleet.Function) {
	if f.RuntimeVersion = v.Runtimes.ID; f.RuntimeVersion != "" {
		f.Revision += " " + f.RuntimeVersion
	}
}

func (s *Service) putRuntime(c *gate.Call, in *lambda.PutRuntimeManagementConfigInput) (*lambda.PutRuntimeManagementConfigOutput, error) {
	r, v, err := s.managed(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	if v.Runtime == "" {
		return nil, invalid("Runtime management configuration is not supported for functions with PackageType Image.")
	}
	machine, err := s.machineVersion(c.Context(), v.Runtime)
	if err != nil {
		return nil, invalid("%s", err.Error())
	}
	p := runtimePolicy{On: in.UpdateRuntimeOn}
	switch given := wire.Val(in.RuntimeVersionArn); {
	case in.UpdateRuntimeOn == runtimeManual && given == "":
		return nil, invalid("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
	case in.UpdateRuntimeOn != runtimeManual && given != "":
		return nil, invalid("RuntimeVersionArn is supported only when UpdateRuntimeOn is Manual.")
	case given != "":
		if p.ID, err = runtimeID(given); err != nil {
			return nil, err
		}
		if p.ID != machine {
			return nil, invalid("Runtime Version ARN %s is not on this machine, which has %s.", given, runtimeARN(r.Region, machine))
		}
	case in.UpdateRuntimeOn == runtimeAuto:
		p.On = ""
	}
	p.settle(machine)
	revision := s.IDs.UUID()
	return gate.Commit(c, func(tx *store.Tx) (*lambda.PutRuntimeManagementConfigOutput, error) {
		f, now, err := s.t.qualified(tx, r)
		if err != nil {
			return nil, err
		}
		if now.Runtime != v.Runtime {
			return nil, conflict("The function was changed meanwhile. Please try again.")
		}
		now.Runtimes, now.Revision = p, revision
		out := &lambda.PutRuntimeManagementConfigOutput{UpdateRuntimeOn: in.UpdateRuntimeOn, FunctionArn: r.functionKey.arn(now.qualifier())}
		if p.ID != "" {
			out.RuntimeVersionArn = new(runtimeARN(r.Region, p.ID))
		}
		return out, s.t.versions.Put(tx, f, now.Number, now)
	})
}

// managed is the version whose runtime a call manages: $LATEST or a number.
func (s *Service) managed(c *gate.Call, n named) (reference, version, error) {
	r, err := refer(c, n)
	if err != nil {
		return r, version{}, err
	}
	if _, number := name.Number(r.Qualifier); !number && r.Qualifier != "" && r.Qualifier != name.Latest {
		return r, version{}, invalid("Runtime management configuration is not supported for aliases.")
	}
	var v version
	err = c.View(func(tx *store.Tx) (err error) {
		_, v, err = s.t.qualified(tx, r)
		return err
	})
	if err == nil && v.Image != nil {
		err = invalid("Runtime management configuration is not supported for functions whose PackageType is %s.", packageImage)
	}
	return r, v, err
}

func (s *Service) getRuntime(c *gate.Call, in *lambda.GetRuntimeManagementConfigInput) (*lambda.GetRuntimeManagementConfigOutput, error) {
	r, v, err := s.managed(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	out := &lambda.GetRuntimeManagementConfigOutput{UpdateRuntimeOn: new(cmp.Or(v.Runtimes.On, runtimeAuto)), FunctionArn: new(r.functionKey.arn(v.qualifier()))}
	if v.Runtimes.ID != "" {
		out.RuntimeVersionArn = new(runtimeARN(r.Region, v.Runtimes.ID))
	}
	return out, nil
}
