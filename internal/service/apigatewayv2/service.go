package apigatewayv2

import (
	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Deps are what the service works with.
type Deps struct {
	IDs ids.Source
	// Endpoint is the URL that an API answers at; AWS's own where nil.
	Endpoint func(apiID, region string) string
}

// Service is API Gateway's HTTP APIs.
type Service struct {
	ids      ids.Source
	endpoint func(apiID, region string) string
	t        tables
}

// New makes the service.
func New(d Deps) *Service {
	if d.Endpoint == nil {
		d.Endpoint = func(id, region string) string { return "https://" + id + ".execute-api." + region + ".amazonaws.com" }
	}
	return &Service{ids: d.IDs, endpoint: d.Endpoint, t: newTables()}
}

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: v2.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(v2.OpCreateApi, gate.Write, tagged(s, v2.OpCreateApi, func(in *v2.CreateApiInput) map[string]string { return in.Tags }), s.createAPI),
		gate.On(v2.OpGetApi, gate.Read, needs[v2.GetApiInput](s, v2.OpGetApi), s.getAPI),
		gate.On(v2.OpGetApis, gate.Read, needs[v2.GetApisInput](s, v2.OpGetApis), s.getAPIs),
		gate.On(v2.OpUpdateApi, gate.Write, needs[v2.UpdateApiInput](s, v2.OpUpdateApi), s.updateAPI),
		gate.On(v2.OpDeleteApi, gate.Write, needs[v2.DeleteApiInput](s, v2.OpDeleteApi), s.deleteAPI),
		gate.On(v2.OpDeleteCorsConfiguration, gate.Write, needs[v2.DeleteCorsConfigurationInput](s, v2.OpDeleteCorsConfiguration), s.deleteCors),
		gate.On(v2.OpImportApi, gate.Write, needs[v2.ImportApiInput](s, v2.OpImportApi), s.importAPI),
		gate.On(v2.OpReimportApi, gate.Write, needs[v2.ReimportApiInput](s, v2.OpReimportApi), s.reimportAPI),

		gate.On(v2.OpCreateRoute, gate.Write, needs[v2.CreateRouteInput](s, v2.OpCreateRoute), s.createRoute),
		gate.On(v2.OpGetRoute, gate.Read, needs[v2.GetRouteInput](s, v2.OpGetRoute), s.getRoute),
		gate.On(v2.OpGetRoutes, gate.Read, needs[v2.GetRoutesInput](s, v2.OpGetRoutes), s.getRoutes),
		gate.On(v2.OpUpdateRoute, gate.Write, needs[v2.UpdateRouteInput](s, v2.OpUpdateRoute), s.updateRoute),
		gate.On(v2.OpDeleteRoute, gate.Write, needs[v2.DeleteRouteInput](s, v2.OpDeleteRoute), s.deleteRoute),

		gate.On(v2.OpCreateIntegration, gate.Write, needs[v2.CreateIntegrationInput](s, v2.OpCreateIntegration), s.createIntegration),
		gate.On(v2.OpGetIntegration, gate.Read, needs[v2.GetIntegrationInput](s, v2.OpGetIntegration), s.getIntegration),
		gate.On(v2.OpGetIntegrations, gate.Read, needs[v2.GetIntegrationsInput](s, v2.OpGetIntegrations), s.getIntegrations),
		gate.On(v2.OpUpdateIntegration, gate.Write, needs[v2.UpdateIntegrationInput](s, v2.OpUpdateIntegration), s.updateIntegration),
		gate.On(v2.OpDeleteIntegration, gate.Write, needs[v2.DeleteIntegrationInput](s, v2.OpDeleteIntegration), s.deleteIntegration),

		gate.On(v2.OpCreateAuthorizer, gate.Write, needs[v2.CreateAuthorizerInput](s, v2.OpCreateAuthorizer), s.createAuthorizer),
		gate.On(v2.OpGetAuthorizer, gate.Read, needs[v2.GetAuthorizerInput](s, v2.OpGetAuthorizer), s.getAuthorizer),
		gate.On(v2.OpGetAuthorizers, gate.Read, needs[v2.GetAuthorizersInput](s, v2.OpGetAuthorizers), s.getAuthorizers),
		gate.On(v2.OpUpdateAuthorizer, gate.Write, needs[v2.UpdateAuthorizerInput](s, v2.OpUpdateAuthorizer), s.updateAuthorizer),
		gate.On(v2.OpDeleteAuthorizer, gate.Write, needs[v2.DeleteAuthorizerInput](s, v2.OpDeleteAuthorizer), s.deleteAuthorizer),

		gate.On(v2.OpCreateStage, gate.Write, tagged(s, v2.OpCreateStage, func(in *v2.CreateStageInput) map[string]string { return in.Tags }), s.createStage),
		gate.On(v2.OpGetStage, gate.Read, needs[v2.GetStageInput](s, v2.OpGetStage), s.getStage),
		gate.On(v2.OpGetStages, gate.Read, needs[v2.GetStagesInput](s, v2.OpGetStages), s.getStages),
		gate.On(v2.OpUpdateStage, gate.Write, needs[v2.UpdateStageInput](s, v2.OpUpdateStage), s.updateStage),
		gate.On(v2.OpDeleteStage, gate.Write, needs[v2.DeleteStageInput](s, v2.OpDeleteStage), s.deleteStage),
		gate.On(v2.OpDeleteRouteSettings, gate.Write, needs[v2.DeleteRouteSettingsInput](s, v2.OpDeleteRouteSettings), s.deleteRouteSettings),

		gate.On(v2.OpCreateDeployment, gate.Write, needs[v2.CreateDeploymentInput](s, v2.OpCreateDeployment), s.createDeployment),
		gate.On(v2.OpGetDeployment, gate.Read, needs[v2.GetDeploymentInput](s, v2.OpGetDeployment), s.getDeployment),
		gate.On(v2.OpGetDeployments, gate.Read, needs[v2.GetDeploymentsInput](s, v2.OpGetDeployments), s.getDeployments),
		gate.On(v2.OpUpdateDeployment, gate.Write, needs[v2.UpdateDeploymentInput](s, v2.OpUpdateDeployment), s.updateDeployment),
		gate.On(v2.OpDeleteDeployment, gate.Write, needs[v2.DeleteDeploymentInput](s, v2.OpDeleteDeployment), s.deleteDeployment),

		gate.On(v2.OpTagResource, gate.Write, tagged(s, v2.OpTagResource, func(in *v2.TagResourceInput) map[string]string { return in.Tags }), s.tagResource),
		gate.On(v2.OpUntagResource, gate.Write, gate.Untagging(needs[v2.UntagResourceInput](s, v2.OpUntagResource), func(in *v2.UntagResourceInput) []string { return in.TagKeys }), s.untagResource),
		gate.On(v2.OpGetTags, gate.Read, needs[v2.GetTagsInput](s, v2.OpGetTags), s.getTags),
	}
}

// read is a handler's look at an API.
func (s *Service) read(c *gate.Call, id string) (r record, err error) {
	err = c.View(func(tx *store.Tx) error {
		r, err = s.t.get(tx, c.Account(), c.Region(), id)
		return err
	})
	return r, err
}

// change alters an API. Where what it serves has changed, the stages that deploy by themselves
// get a deployment of what came out.
func change[Out any](s *Service, c *gate.Call, id string, serves bool, fn func(*store.Tx, *record) (*Out, error)) (*Out, error) {
	next := s.ids.Lower(6) // fn may run twice: ids are made outside
	return gate.Commit(c, func(tx *store.Tx) (*Out, error) {
		r, err := s.t.get(tx, c.Account(), c.Region(), id)
		if err != nil {
			return nil, err
		}
		out, err := fn(tx, &r)
		if err != nil {
			return nil, err
		}
		if serves {
			if err := s.redeploy(tx, &r, next); err != nil {
				return nil, err
			}
		}
		return out, s.t.apis.Put(tx, r.key(), r)
	})
}
