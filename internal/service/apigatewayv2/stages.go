package apigatewayv2

import (
	"maps"
	"regexp"
	"slices"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxStages = 10 // quota: stages per API

var stageForm = regexp.MustCompile(`^(\$default|[A-Za-z0-9_-]{1,128})$`)

func (s *Service) createStage(c *gate.Call, in *v2.CreateStageInput) (*v2.CreateStageOutput, error) {
	if in.AccessLogSettings != nil {
		return nil, notBuilt("Access logs of stages")
	}
	if in.ClientCertificateId != nil {
		return nil, bad("Client certificates are not supported for HTTP APIs")
	}
	now := c.Now()
	next := s.ids.Lower(6)
	return change(s, c, in.ApiId, false, func(tx *store.Tx, r *record) (*v2.CreateStageOutput, error) {
		st := v2.Stage{CreatedDate: &now, LastUpdatedDate: &now, AutoDeploy: new(false)}
		wire.Fill(&st, in)
		if slices.ContainsFunc(r.Stages, func(x v2.Stage) bool { return x.StageName == in.StageName }) {
			return nil, conflict("Stage already exists")
		}
		if len(r.Stages) >= maxStages {
			return nil, bad("The maximum number of stages for this API is %d", maxStages)
		}
		if err := s.checkStage(tx, r, &st); err != nil {
			return nil, err
		}
		r.Stages = append(r.Stages, st)
		if *st.AutoDeploy {
			if err := s.redeploy(tx, r, next); err != nil {
				return nil, err
			}
		}
		return filled[v2.CreateStageOutput](&r.Stages[len(r.Stages)-1]), nil
	})
}

func (s *Service) getStage(c *gate.Call, in *v2.GetStageInput) (*v2.GetStageOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	i, err := find(r.Stages, stageName, "stage", in.StageName)
	if err != nil {
		return nil, err
	}
	return filled[v2.GetStageOutput](&r.Stages[i]), nil
}

func (s *Service) getStages(c *gate.Call, in *v2.GetStagesInput) (*v2.GetStagesOutput, error) {
	r, err := s.read(c, in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := page(r.Stages, in.MaxResults, in.NextToken)
	return &v2.GetStagesOutput{Items: items, NextToken: next}, err
}

func (s *Service) updateStage(c *gate.Call, in *v2.UpdateStageInput) (*v2.UpdateStageOutput, error) {
	if in.AccessLogSettings != nil {
		return nil, notBuilt("Access logs of stages")
	}
	if in.ClientCertificateId != nil {
		return nil, bad("Client certificates are not supported for HTTP APIs")
	}
	now := c.Now()
	next := s.ids.Lower(6)
	return change(s, c, in.ApiId, false, func(tx *store.Tx, r *record) (*v2.UpdateStageOutput, error) {
		i, err := find(r.Stages, stageName, "stage", in.StageName)
		if err != nil {
			return nil, err
		}
		st := r.Stages[i]
		was := wire.Val(st.AutoDeploy)
		wire.Fill(&st, in)
		st.LastUpdatedDate = &now
		if in.DeploymentId != nil && wire.Val(st.AutoDeploy) {
			return nil, bad("Deployment ID cannot be set on a stage with autoDeploy")
		}
		if err := s.checkStage(tx, r, &st); err != nil {
			return nil, err
		}
		if in.DeploymentId != nil { // what was said of an automatic one
			st.LastDeploymentStatusMessage = nil
		}
		r.Stages[i] = st
		if err := s.dropUnused(tx, r); err != nil {
			return nil, err
		}
		if *st.AutoDeploy && !was {
			if err := s.redeploy(tx, r, next); err != nil {
				return nil, err
			}
		}
		return filled[v2.UpdateStageOutput](&r.Stages[i]), nil
	})
}

func (s *Service) deleteStage(c *gate.Call, in *v2.DeleteStageInput) (*v2.DeleteStageOutput, error) {
	return change(s, c, in.ApiId, false, func(tx *store.Tx, r *record) (*v2.DeleteStageOutput, error) {
		i, err := find(r.Stages, stageName, "stage", in.StageName)
		if err != nil {
			return nil, err
		}
		r.Stages = slices.Delete(r.Stages, i, i+1)
		return &v2.DeleteStageOutput{}, s.dropUnused(tx, r)
	})
}

func (s *Service) deleteRouteSettings(c *gate.Call, in *v2.DeleteRouteSettingsInput) (*v2.DeleteRouteSettingsOutput, error) {
	return change(s, c, in.ApiId, false, func(_ *store.Tx, r *record) (*v2.DeleteRouteSettingsOutput, error) {
		i, err := find(r.Stages, stageName, "stage", in.StageName)
		if err != nil {
			return nil, err
		}
		if _, ok := r.Stages[i].RouteSettings[in.RouteKey]; !ok {
			return nil, missing("Route settings", in.RouteKey)
		}
		r.Stages[i].RouteSettings = maps.Clone(r.Stages[i].RouteSettings)
		delete(r.Stages[i].RouteSettings, in.RouteKey)
		return &v2.DeleteRouteSettingsOutput{}, nil
	})
}

// checkStage refuses settings that would not be kept.
func (s *Service) checkStage(tx *store.Tx, r *record, st *v2.Stage) error {
	settle(st)
	if d := st.DefaultRouteSettings; d != nil && *d == (v2.RouteSettings{}) {
		st.DefaultRouteSettings = nil
	}
	if !stageForm.MatchString(st.StageName) {
		return bad("Stage name only allows alphanumeric characters, hyphens, and underscores, or must be $default")
	}
	if err := checkTags(st.Tags); err != nil {
		return err
	}
	for k, v := range st.StageVariables {
		if !variableName.MatchString(k) || !variableValue.MatchString(v) {
			return bad("Invalid stage variable %s", k)
		}
	}
	if st.DeploymentId != nil {
		if ok, err := s.t.deployments.Has(tx, r.deploymentKey(*st.DeploymentId)); err != nil {
			return err
		} else if !ok {
			return missing("Deployment", *st.DeploymentId)
		}
	}
	if st.DefaultRouteSettings != nil {
		if err := checkSettings(*st.DefaultRouteSettings); err != nil {
			return err
		}
	}
	for key, rs := range st.RouteSettings {
		if !slices.ContainsFunc(r.Routes, func(x v2.Route) bool { return x.RouteKey == key }) {
			return bad("Unable to find Route by key %s within the provided RouteSettings", key)
		}
		if err := checkSettings(rs); err != nil {
			return err
		}
	}
	return nil
}

var (
	variableName  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	variableValue = regexp.MustCompile(`^[A-Za-z0-9\-._~:/?#&=,]*$`)
)

func checkSettings(rs v2.RouteSettings) error {
	switch {
	case wire.Val(rs.DetailedMetricsEnabled):
		return notBuilt("Detailed metrics of routes")
	case wire.Val(rs.DataTraceEnabled) || rs.LoggingLevel != nil && *rs.LoggingLevel != "OFF":
		return bad("Execution logs are not supported on protocolType HTTP")
	case wire.Val(rs.ThrottlingBurstLimit) < 0 || wire.Val(rs.ThrottlingRateLimit) < 0:
		return bad("Throttling limits must not be negative")
	}
	return nil
}
