package apigatewayv2

import (
	"slices"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// snapshot is the API as it stands, under a deployment's name.
func (r *record) snapshot(d v2.Deployment) deployment {
	return deployment{Deployment: d, Cors: r.API.CorsConfiguration, Routes: r.Routes, Integrations: r.Integrations, Authorizers: r.Authorizers}
}

// redeploy gives the stages that deploy by themselves a deployment of the API as it stands, and
// drops the automatic ones that no stage has any more.
func (s *Service) redeploy(tx *store.Tx, r *record, id string) error {
	used := false
	for i := range r.Stages {
		if wire.Val(r.Stages[i].AutoDeploy) {
			r.Stages[i].DeploymentId = &id
			r.Stages[i].LastDeploymentStatusMessage = new("Successfully deployed stage with deployment ID '" + id + "'")
			used = true
		}
	}
	if !used {
		return nil
	}
	now := tx.Now()
	d := v2.Deployment{AutoDeployed: new(true), CreatedDate: &now, DeploymentId: &id, DeploymentStatus: new("DEPLOYED"),
		Description: new("Automatic deployment triggered by changes to the Api configuration")}
	if err := s.t.deployments.Put(tx, r.deploymentKey(id), r.snapshot(d)); err != nil {
		return err
	}
	return s.dropUnused(tx, r)
}

func (s *Service) dropUnused(tx *store.Tx, r *record) error {
	var gone []store.Key
	for row, err := range s.t.deployments.Scan(tx, r.key(), store.Range{}) {
		if err != nil {
			return err
		}
		if wire.Val(row.Value.Deployment.AutoDeployed) && !r.serves(*row.Value.Deployment.DeploymentId) {
			gone = append(gone, row.Key)
		}
	}
	for _, k := range gone {
		if _, err := s.t.deployments.Delete(tx, k); err != nil {
			return err
		}
	}
	return nil
}

// serves reports whether a stage has the deployment.
func (r *record) serves(id string) bool {
	return slices.ContainsFunc(r.Stages, func(s v2.Stage) bool { return wire.Val(s.DeploymentId) == id })
}

func (s *Service) createDeployment(c *gate.Call, in *v2.CreateDeploymentInput) (*v2.CreateDeploymentOutput, error) {
	id := s.ids.Lower(6)
	now := c.Now()
	return change(s, c, in.ApiId, false, func(tx *store.Tx, r *record) (*v2.CreateDeploymentOutput, error) {
		if len(r.Routes) == 0 {
			return nil, bad("At least one route is required before deploying the Api.")
		}
		if in.StageName != nil {
			i, err := find(r.Stages, stageName, "stage", *in.StageName)
			if err != nil {
				return nil, err
			}
			if wire.Val(r.Stages[i].AutoDeploy) {
				return nil, bad("Deployment ID cannot be set on a stage with autoDeploy")
			}
			r.Stages[i].DeploymentId, r.Stages[i].LastUpdatedDate = &id, &now
		}
		d := v2.Deployment{AutoDeployed: new(false), CreatedDate: &now, DeploymentId: &id, DeploymentStatus: new("DEPLOYED"), Description: in.Description}
		settle(&d)
		if err := s.t.deployments.Put(tx, r.deploymentKey(id), r.snapshot(d)); err != nil {
			return nil, err
		}
		return filled[v2.CreateDeploymentOutput](&d), nil
	})
}

func (s *Service) getDeployment(c *gate.Call, in *v2.GetDeploymentInput) (*v2.GetDeploymentOutput, error) {
	var d deployment
	err := c.View(func(tx *store.Tx) error {
		r, err := s.t.get(tx, c.Account(), c.Region(), in.ApiId)
		if err != nil {
			return err
		}
		d, err = s.deployment(tx, &r, in.DeploymentId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return filled[v2.GetDeploymentOutput](&d.Deployment), nil
}

func (s *Service) deployment(tx *store.Tx, r *record, id string) (deployment, error) {
	d, ok, err := s.t.deployments.Get(tx, r.deploymentKey(id))
	if err == nil && !ok {
		err = missing("Deployment", id)
	}
	return d, err
}

func (s *Service) getDeployments(c *gate.Call, in *v2.GetDeploymentsInput) (*v2.GetDeploymentsOutput, error) {
	var all []v2.Deployment
	err := c.View(func(tx *store.Tx) error {
		all = nil
		r, err := s.t.get(tx, c.Account(), c.Region(), in.ApiId)
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
	slices.SortStableFunc(all, func(a, b v2.Deployment) int { return b.CreatedDate.Compare(*a.CreatedDate) })
	items, next, err := page(all, in.MaxResults, in.NextToken)
	return &v2.GetDeploymentsOutput{Items: items, NextToken: next}, err
}

func (s *Service) updateDeployment(c *gate.Call, in *v2.UpdateDeploymentInput) (*v2.UpdateDeploymentOutput, error) {
	return change(s, c, in.ApiId, false, func(tx *store.Tx, r *record) (*v2.UpdateDeploymentOutput, error) {
		d, err := s.deployment(tx, r, in.DeploymentId)
		if err != nil {
			return nil, err
		}
		wire.Fill(&d.Deployment, in)
		settle(&d.Deployment)
		return filled[v2.UpdateDeploymentOutput](&d.Deployment), s.t.deployments.Put(tx, r.deploymentKey(in.DeploymentId), d)
	})
}

func (s *Service) deleteDeployment(c *gate.Call, in *v2.DeleteDeploymentInput) (*v2.DeleteDeploymentOutput, error) {
	return change(s, c, in.ApiId, false, func(tx *store.Tx, r *record) (*v2.DeleteDeploymentOutput, error) {
		if _, err := s.deployment(tx, r, in.DeploymentId); err != nil {
			return nil, err
		}
		if r.serves(in.DeploymentId) {
			return nil, bad("Active stages pointing to this deployment must be moved or deleted")
		}
		_, err := s.t.deployments.Delete(tx, r.deploymentKey(in.DeploymentId))
		return &v2.DeleteDeploymentOutput{}, err
	})
}
