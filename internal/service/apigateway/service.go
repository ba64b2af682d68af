package apigateway

import (
	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Deps are what the service works with.
type Deps struct{ IDs ids.Source }

// Service is API Gateway's REST APIs.
type Service struct {
	ids ids.Source
	t   tables
}

// New makes the service.
func New(d Deps) *Service { return &Service{ids: d.IDs, t: newTables()} }

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: rest.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(rest.OpCreateRestApi, gate.Write, tagged(s, rest.OpCreateRestApi, func(in *rest.CreateRestApiInput) map[string]string { return in.Tags }), s.createRestAPI),
		gate.On(rest.OpGetRestApi, gate.Read, needs[rest.GetRestApiInput](s, rest.OpGetRestApi), s.getRestAPI),
		gate.On(rest.OpGetRestApis, gate.Read, needs[rest.GetRestApisInput](s, rest.OpGetRestApis), s.getRestAPIs),
		gate.On(rest.OpUpdateRestApi, gate.Write, needPolicy(s, rest.OpUpdateRestApi), s.updateRestAPI),
		gate.On(rest.OpDeleteRestApi, gate.Write, needs[rest.DeleteRestApiInput](s, rest.OpDeleteRestApi), s.deleteRestAPI),
		gate.On(rest.OpImportRestApi, gate.Write, needs[rest.ImportRestApiInput](s, rest.OpImportRestApi), s.importRestAPI),
		gate.On(rest.OpPutRestApi, gate.Write, needs[rest.PutRestApiInput](s, rest.OpPutRestApi), s.putRestAPI),

		gate.On(rest.OpCreateResource, gate.Write, needs[rest.CreateResourceInput](s, rest.OpCreateResource), s.createResource),
		gate.On(rest.OpGetResource, gate.Read, needs[rest.GetResourceInput](s, rest.OpGetResource), s.getResource),
		gate.On(rest.OpGetResources, gate.Read, needs[rest.GetResourcesInput](s, rest.OpGetResources), s.getResources),
		gate.On(rest.OpUpdateResource, gate.Write, needs[rest.UpdateResourceInput](s, rest.OpUpdateResource), s.updateResource),
		gate.On(rest.OpDeleteResource, gate.Write, needs[rest.DeleteResourceInput](s, rest.OpDeleteResource), s.deleteResource),

		gate.On(rest.OpPutMethod, gate.Write, needs[rest.PutMethodInput](s, rest.OpPutMethod), s.putMethod),
		gate.On(rest.OpGetMethod, gate.Read, needs[rest.GetMethodInput](s, rest.OpGetMethod), s.getMethod),
		gate.On(rest.OpUpdateMethod, gate.Write, needs[rest.UpdateMethodInput](s, rest.OpUpdateMethod), s.updateMethod),
		gate.On(rest.OpDeleteMethod, gate.Write, needs[rest.DeleteMethodInput](s, rest.OpDeleteMethod), s.deleteMethod),
		gate.On(rest.OpPutMethodResponse, gate.Write, needs[rest.PutMethodResponseInput](s, rest.OpPutMethodResponse), s.putMethodResponse),
		gate.On(rest.OpGetMethodResponse, gate.Read, needs[rest.GetMethodResponseInput](s, rest.OpGetMethodResponse), s.getMethodResponse),
		gate.On(rest.OpUpdateMethodResponse, gate.Write, needs[rest.UpdateMethodResponseInput](s, rest.OpUpdateMethodResponse), s.updateMethodResponse),
		gate.On(rest.OpDeleteMethodResponse, gate.Write, needs[rest.DeleteMethodResponseInput](s, rest.OpDeleteMethodResponse), s.deleteMethodResponse),

		gate.On(rest.OpPutIntegration, gate.Write, needs[rest.PutIntegrationInput](s, rest.OpPutIntegration), s.putIntegration),
		gate.On(rest.OpGetIntegration, gate.Read, needs[rest.GetIntegrationInput](s, rest.OpGetIntegration), s.getIntegration),
		gate.On(rest.OpUpdateIntegration, gate.Write, needs[rest.UpdateIntegrationInput](s, rest.OpUpdateIntegration), s.updateIntegration),
		gate.On(rest.OpDeleteIntegration, gate.Write, needs[rest.DeleteIntegrationInput](s, rest.OpDeleteIntegration), s.deleteIntegration),
		gate.On(rest.OpPutIntegrationResponse, gate.Write, needs[rest.PutIntegrationResponseInput](s, rest.OpPutIntegrationResponse), s.putIntegrationResponse),
		gate.On(rest.OpGetIntegrationResponse, gate.Read, needs[rest.GetIntegrationResponseInput](s, rest.OpGetIntegrationResponse), s.getIntegrationResponse),
		gate.On(rest.OpUpdateIntegrationResponse, gate.Write, needs[rest.UpdateIntegrationResponseInput](s, rest.OpUpdateIntegrationResponse), s.updateIntegrationResponse),
		gate.On(rest.OpDeleteIntegrationResponse, gate.Write, needs[rest.DeleteIntegrationResponseInput](s, rest.OpDeleteIntegrationResponse), s.deleteIntegrationResponse),

		gate.On(rest.OpCreateDeployment, gate.Write, needs[rest.CreateDeploymentInput](s, rest.OpCreateDeployment), s.createDeployment),
		gate.On(rest.OpGetDeployment, gate.Read, needs[rest.GetDeploymentInput](s, rest.OpGetDeployment), s.getDeployment),
		gate.On(rest.OpGetDeployments, gate.Read, needs[rest.GetDeploymentsInput](s, rest.OpGetDeployments), s.getDeployments),
		gate.On(rest.OpUpdateDeployment, gate.Write, needs[rest.UpdateDeploymentInput](s, rest.OpUpdateDeployment), s.updateDeployment),
		gate.On(rest.OpDeleteDeployment, gate.Write, needs[rest.DeleteDeploymentInput](s, rest.OpDeleteDeployment), s.deleteDeployment),

		gate.On(rest.OpCreateStage, gate.Write, tagged(s, rest.OpCreateStage, func(in *rest.CreateStageInput) map[string]string { return in.Tags }), s.createStage),
		gate.On(rest.OpGetStage, gate.Read, needs[rest.GetStageInput](s, rest.OpGetStage), s.getStage),
		gate.On(rest.OpGetStages, gate.Read, needs[rest.GetStagesInput](s, rest.OpGetStages), s.getStages),
		gate.On(rest.OpUpdateStage, gate.Write, needs[rest.UpdateStageInput](s, rest.OpUpdateStage), s.updateStage),
		gate.On(rest.OpDeleteStage, gate.Write, needs[rest.DeleteStageInput](s, rest.OpDeleteStage), s.deleteStage),

		gate.On(rest.OpCreateAuthorizer, gate.Write, needs[rest.CreateAuthorizerInput](s, rest.OpCreateAuthorizer), s.createAuthorizer),
		gate.On(rest.OpGetAuthorizer, gate.Read, needs[rest.GetAuthorizerInput](s, rest.OpGetAuthorizer), s.getAuthorizer),
		gate.On(rest.OpGetAuthorizers, gate.Read, needs[rest.GetAuthorizersInput](s, rest.OpGetAuthorizers), s.getAuthorizers),
		gate.On(rest.OpUpdateAuthorizer, gate.Write, needs[rest.UpdateAuthorizerInput](s, rest.OpUpdateAuthorizer), s.updateAuthorizer),
		gate.On(rest.OpDeleteAuthorizer, gate.Write, needs[rest.DeleteAuthorizerInput](s, rest.OpDeleteAuthorizer), s.deleteAuthorizer),

		gate.On(rest.OpTagResource, gate.Write, tagged(s, rest.OpTagResource, func(in *rest.TagResourceInput) map[string]string { return in.Tags }), s.tagResource),
		gate.On(rest.OpUntagResource, gate.Write, gate.Untagging(needs[rest.UntagResourceInput](s, rest.OpUntagResource), func(in *rest.UntagResourceInput) []string { return in.TagKeys }), s.untagResource),
		gate.On(rest.OpGetTags, gate.Read, needs[rest.GetTagsInput](s, rest.OpGetTags), s.getTags),
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

// change alters an API.
func change[Out any](s *Service, c *gate.Call, id string, fn func(*store.Tx, *record) (*Out, error)) (*Out, error) {
	return gate.Commit(c, func(tx *store.Tx) (*Out, error) {
		r, err := s.t.get(tx, c.Account(), c.Region(), id)
		if err != nil {
			return nil, err
		}
		out, err := fn(tx, &r)
		if err != nil {
			return nil, err
		}
		return out, s.t.apis.Put(tx, r.key(), r)
	})
}
