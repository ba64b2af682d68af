package apigateway

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) createDeployment(c *gate.Call, in *rest.CreateDeploymentInput) (*rest.Deployment, error) {
	if err := noExtras(in.CanarySettings != nil, in.CacheClusterEnabled, in.TracingEnabled); err != nil {
		return nil, err
	}
	id, now := s.ids.Lower(6), c.Now()
	return change(s, c, in.RestApiId, func(tx *store.Tx, r *record) (*rest.Deployment, error) {
		if err := r.deployable(); err != nil {
			return nil, err
		}
		d := rest.Deployment{Id: &id, Description: in.Description, CreatedDate: &now}
		snapshot := deployment{Deployment: d, API: r.API, Resources: r.Resources, Authorizers: r.Authorizers}
		if err := s.t.deployments.Put(tx, r.deploymentKey(id), snapshot); err != nil {
			return nil, err
		}
		if wire.Val(in.StageName) == "" { // terraform's provider sends the name that it does not have
			return &d, nil
		}
		st, err := r.stage(*in.StageName)
		if err != nil {
			r.Stages = append(r.Stages, rest.Stage{StageName: in.StageName, Description: in.StageDescription, CreatedDate: &now})
			st = &r.Stages[len(r.Stages)-1]
		}
		st.DeploymentId, st.LastUpdatedDate = &id, &now
		if in.Variables != nil {
			st.Variables = in.Variables
		}
		return &d, checkStage(st)
	})
}

// deployable refuses an API that would not answer.
func (r *record) deployable() error {
	n := 0
	for _, x := range r.Resources {
		for _, m := range x.ResourceMethods {
			n++
			switch {
			case m.MethodIntegration == nil:
				return bad("No integration defined for method")
			case m.MethodIntegration.Credentials == nil:
			case wire.Val(m.AuthorizationType) != "AWS_IAM":
				return bad("Caller provided credentials not allowed when the authorization type is not AWS_IAM (%s %s)", wire.Val(m.HttpMethod), wire.Val(x.Path))
			case r.API.Policy != nil:
				return bad("Caller provided credentials not allowed when resource policy is set")
			}
		}
	}
	if n == 0 {
		return bad("The REST API doesn't contain any methods")
	}
	return nil
}

// noExtras refuses what a stage may have on AWS and not here.
func noExtras(canary bool, cache, tracing *bool) error {
	switch {
	case canary:
		return notBuilt("Canary releases")
	case wire.Val(cache):
		return notBuilt("Caching")
	case wire.Val(tracing):
		return notBuilt("Tracing")
	}
	return nil
}

func (s *Service) deployment(tx *store.Tx, r *record, id string) (deployment, error) {
	d, ok, err := s.t.deployments.Get(tx, r.deploymentKey(id))
	if err == nil && !ok {
		err = missing("Deployment", "")
	}
	return d, err
}

// summary is a deployment with its methods.
func (d *deployment) summary() *rest.Deployment {
	out := d.Deployment
	out.ApiSummary = map[string]map[string]rest.MethodSnapshot{}
	for _, x := range d.Resources {
		for verb, m := range x.ResourceMethods {
			if out.ApiSummary[*x.Path] == nil {
				out.ApiSummary[*x.Path] = map[string]rest.MethodSnapshot{}
			}
			out.ApiSummary[*x.Path][verb] = rest.MethodSnapshot{AuthorizationType: m.AuthorizationType, ApiKeyRequired: m.ApiKeyRequired}
		}
	}
	return &out
}

func (s *Service) getDeployment(c *gate.Call, in *rest.GetDeploymentInput) (*rest.Deployment, error) {
	var d deployment
	err := c.View(func(tx *store.Tx) error {
		r, err := s.t.get(tx, c.Account(), c.Region(), in.RestApiId)
		if err != nil {
			return err
		}
		d, err = s.deployment(tx, &r, in.DeploymentId)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case slices.Contains(in.Embed, "apisummary"):
		return d.summary(), nil
	}
	return &d.Deployment, nil
}

func (s *Service) getDeployments(c *gate.Call, in *rest.GetDeploymentsInput) (*rest.GetDeploymentsOutput, error) {
	var all []rest.Deployment
	err := c.View(func(tx *store.Tx) error {
		all = nil
		r, err := s.t.get(tx, c.Account(), c.Region(), in.RestApiId)
		if err != nil {
			return err
		}
		for row, err := range s.t.deployments.Scan(tx, r.key(), store.Range{}) {
			if err != nil {
				return err
			}
			all = append(all, row.Value.Deployment)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b rest.Deployment) int { return b.CreatedDate.Compare(*a.CreatedDate) })
	items, next, err := page(all, in.Limit, in.Position)
	return &rest.GetDeploymentsOutput{Items: items, Position: next}, err
}

func (s *Service) updateDeployment(c *gate.Call, in *rest.UpdateDeploymentInput) (*rest.Deployment, error) {
	return change(s, c, in.RestApiId, func(tx *store.Tx, r *record) (*rest.Deployment, error) {
		d, err := s.deployment(tx, r, in.DeploymentId)
		if err != nil {
			return nil, err
		}
		if err := patch(&d.Deployment, []string{"description"}, in.PatchOperations); err != nil {
			return nil, err
		}
		return &d.Deployment, s.t.deployments.Put(tx, r.deploymentKey(in.DeploymentId), d)
	})
}

func (s *Service) deleteDeployment(c *gate.Call, in *rest.DeleteDeploymentInput) (*rest.DeleteDeploymentOutput, error) {
	return change(s, c, in.RestApiId, func(tx *store.Tx, r *record) (*rest.DeleteDeploymentOutput, error) {
		if _, err := s.deployment(tx, r, in.DeploymentId); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(r.Stages, func(st rest.Stage) bool { return wire.Val(st.DeploymentId) == in.DeploymentId }) {
			return nil, bad("Active stages pointing to this deployment must be moved or deleted")
		}
		_, err := s.t.deployments.Delete(tx, r.deploymentKey(in.DeploymentId))
		return &rest.DeleteDeploymentOutput{}, err
	})
}

var (
	stageForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	variableName  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	variableValue = regexp.MustCompile(`^[A-Za-z0-9\-._~:/?#&=,]*$`)
)

const maxStages = 10 // quota: stages per API

func checkStage(st *rest.Stage) error {
	if !stageForm.MatchString(wire.Val(st.StageName)) {
		return bad("Stage name only allows a-zA-Z0-9_-")
	}
	for k, v := range st.Variables {
		if !variableName.MatchString(k) || !variableValue.MatchString(v) {
			return bad("Invalid stage variable value: %s. Please use values with alphanumeric characters and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','.", v)
		}
	}
	return checkTags(st.Tags)
}

func (s *Service) createStage(c *gate.Call, in *rest.CreateStageInput) (*rest.Stage, error) {
	if err := noExtras(in.CanarySettings != nil, in.CacheClusterEnabled, in.TracingEnabled); err != nil {
		return nil, err
	}
	if in.DocumentationVersion != nil {
		return nil, notBuilt("Documentation")
	}
	now := c.Now()
	return change(s, c, in.RestApiId, func(tx *store.Tx, r *record) (*rest.Stage, error) {
		st := rest.Stage{CreatedDate: &now, LastUpdatedDate: &now, CacheClusterEnabled: new(false), CacheClusterStatus: new("NOT_AVAILABLE"), TracingEnabled: new(false)}
		wire.Fill(&st, in)
		if _, err := r.stage(in.StageName); err == nil {
			return nil, conflict("Stage already exists")
		}
		if len(r.Stages) >= maxStages {
			return nil, bad("The maximum number of stages for this API is %d", maxStages)
		}
		if _, err := s.deployment(tx, r, in.DeploymentId); err != nil {
			return nil, err
		}
		r.Stages = append(r.Stages, st)
		return &st, checkStage(&st)
	})
}

func (s *Service) getStage(c *gate.Call, in *rest.GetStageInput) (*rest.Stage, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	return r.stage(in.StageName)
}

func (s *Service) getStages(c *gate.Call, in *rest.GetStagesInput) (*rest.GetStagesOutput, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	out := &rest.GetStagesOutput{Item: []rest.Stage{}}
	for _, st := range r.Stages {
		if in.DeploymentId == nil || *in.DeploymentId == wire.Val(st.DeploymentId) {
			out.Item = append(out.Item, st)
		}
	}
	return out, nil
}

func (s *Service) updateStage(c *gate.Call, in *rest.UpdateStageInput) (*rest.Stage, error) {
	now := c.Now()
	return change(s, c, in.RestApiId, func(tx *store.Tx, r *record) (*rest.Stage, error) {
		at, err := r.stage(in.StageName)
		if err != nil {
			return nil, err
		}
		st := *at
		st.LastUpdatedDate = &now
		var plain []rest.PatchOperation
		for _, op := range in.PatchOperations {
			if strings.Count(wire.Val(op.Path), "/") < 3 {
				plain = append(plain, op)
			} else if err := setting(&st, op); err != nil {
				return nil, err
			}
		}
		if err := patch(&st, []string{"deploymentId", "description", "variables", "cacheClusterEnabled", "tracingEnabled"}, plain); err != nil {
			return nil, err
		}
		if err := noExtras(false, st.CacheClusterEnabled, st.TracingEnabled); err != nil {
			return nil, err
		}
		if _, err := s.deployment(tx, r, wire.Val(st.DeploymentId)); err != nil {
			return nil, err
		}
		*at = st
		return &st, checkStage(&st)
	})
}

// setting changes one of a method's settings: /~1tasks/GET/throttling/rateLimit, /*/*/… for all.
func setting(st *rest.Stage, op rest.PatchOperation) error {
	parts := strings.SplitN(strings.TrimPrefix(wire.Val(op.Path), "/"), "/", 3)
	key := strings.TrimPrefix(parts[0], "~1") + "/" + parts[1]
	if parts[0] == "~1" {
		key = "~1/" + parts[1] // the root
	}
	all := maps.Clone(st.MethodSettings)
	if all == nil {
		all = map[string]rest.MethodSetting{}
	}
	m := all[key]
	value := wire.Val(op.Value)
	var err error
	switch parts[2] {
	case "throttling/rateLimit":
		err = patch(&m, []string{"throttlingRateLimit"}, []rest.PatchOperation{{Op: op.Op, Path: new("/throttlingRateLimit"), Value: op.Value}})
	case "throttling/burstLimit":
		err = patch(&m, []string{"throttlingBurstLimit"}, []rest.PatchOperation{{Op: op.Op, Path: new("/throttlingBurstLimit"), Value: op.Value}})
	case "logging/loglevel", "logging/dataTrace", "metrics/enabled", "caching/enabled", "caching/dataEncrypted":
		if value != "OFF" && value != "false" && value != "" {
			return notBuilt("The stage setting " + parts[2])
		}
		return nil
	default:
		return notBuilt("The stage setting " + parts[2])
	}
	all[key] = m
	if reflect.ValueOf(m).IsZero() {
		delete(all, key)
	}
	if len(all) == 0 {
		all = nil
	}
	st.MethodSettings = all
	return err
}

func (s *Service) deleteStage(c *gate.Call, in *rest.DeleteStageInput) (*rest.DeleteStageOutput, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.DeleteStageOutput, error) {
		if _, err := r.stage(in.StageName); err != nil {
			return nil, err
		}
		r.Stages = slices.DeleteFunc(r.Stages, func(st rest.Stage) bool { return wire.Val(st.StageName) == in.StageName })
		return &rest.DeleteStageOutput{}, nil
	})
}
