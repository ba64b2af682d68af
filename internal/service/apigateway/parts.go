package apigateway

import (
	"context"
	"strconv"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// The resources that are parts of an API: their names are found in it, and they go with it.

func createPathResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := rest.CreateResourceInput{}
	if err := wire.Properties(&in, props); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).CreateResource(ctx, &in)
	if err == nil {
		return gate.Made{ID: *out.Id, Attributes: map[string]any{"ResourceId": *out.Id}}, nil
	}
	if !m.Again || !awserr.Is(err, "ConflictException") {
		return gate.Made{}, err
	}
	all, gerr := client(m).GetResources(ctx, &rest.GetResourcesInput{RestApiId: in.RestApiId, Limit: new(int32(maxPage))})
	if gerr != nil {
		return gate.Made{}, gerr
	}
	for _, x := range all.Items {
		if wire.Val(x.ParentId) == in.ParentId && wire.Val(x.PathPart) == in.PathPart {
			return gate.Made{ID: *x.Id, Attributes: map[string]any{"ResourceId": *x.Id}}, nil
		}
	}
	return gate.Made{}, err
}

func deletePathResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteResource(ctx, &rest.DeleteResourceInput{RestApiId: restAPIOf(props), ResourceId: id})
	return gone(err)
}

func methodResource() gate.Resource {
	return gate.Resource{Type: "AWS::ApiGateway::Method",
		Properties: []string{"RestApiId", "ResourceId", "HttpMethod", "AuthorizationType", "AuthorizerId", "ApiKeyRequired", "OperationName", "RequestParameters", "RequestModels",
			"MethodResponses", "MethodResponses.StatusCode", "MethodResponses.ResponseParameters", "MethodResponses.ResponseModels",
			"Integration", "Integration.Type", "Integration.IntegrationHttpMethod", "Integration.Uri", "Integration.PassthroughBehavior", "Integration.RequestTemplates", "Integration.RequestParameters",
			"Integration.TimeoutInMillis", "Integration.ConnectionType", "Integration.Credentials", "Integration.IntegrationResponses", "Integration.IntegrationResponses.StatusCode",
			"Integration.IntegrationResponses.SelectionPattern", "Integration.IntegrationResponses.ResponseParameters", "Integration.IntegrationResponses.ResponseTemplates"},
		Unbuilt: map[string]map[string]string{"ApiKeyRequired": {"true": "ApiKeyRequired needs API keys, which are not built"},
			"AuthorizationType": {"COGNITO_USER_POOLS": "authorizers with Cognito user pools are not built"}},
		Lacks:   lacksOfMethod,
		Replace: []string{"RestApiId", "ResourceId", "HttpMethod"}, Create: createMethodResource, Update: updateMethodResource, Delete: deleteMethodResource}
}

// methodSpec is a method as a template describes it.
type methodSpec struct {
	MethodResponses []struct {
		StatusCode         string
		ResponseParameters map[string]bool
		ResponseModels     map[string]string
	}
	Integration *struct {
		Type, IntegrationHttpMethod, Uri, PassthroughBehavior, ConnectionType, Credentials *string
		RequestTemplates, RequestParameters                                                map[string]string
		TimeoutInMillis                                                                    *int32
		IntegrationResponses                                                               []struct {
			StatusCode         string
			SelectionPattern   *string
			ResponseParameters map[string]string
			ResponseTemplates  map[string]string
		}
	}
}

func createMethodResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	var put rest.PutMethodInput
	var spec methodSpec
	if err := wire.Properties(&put, props); err != nil {
		return gate.Made{}, err
	}
	if err := wire.Properties(&spec, props); err != nil {
		return gate.Made{}, err
	}
	if put.AuthorizationType == "" {
		put.AuthorizationType = "NONE"
	}
	id := put.RestApiId + "|" + put.ResourceId + "|" + put.HttpMethod
	_, err := client(m).PutMethod(ctx, &put)
	if m.Again && awserr.Is(err, "ConflictException") { // an earlier attempt's, perhaps half done
		if err = deleteMethodResource(ctx, m, id, props); err == nil {
			_, err = client(m).PutMethod(ctx, &put)
		}
	}
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: id}, putParts(ctx, m, &put, &spec)
}

func putParts(ctx context.Context, m gate.Making, put *rest.PutMethodInput, spec *methodSpec) error {
	for _, r := range spec.MethodResponses {
		_, err := client(m).PutMethodResponse(ctx, &rest.PutMethodResponseInput{RestApiId: put.RestApiId, ResourceId: put.ResourceId, HttpMethod: put.HttpMethod,
			StatusCode: r.StatusCode, ResponseParameters: r.ResponseParameters, ResponseModels: r.ResponseModels})
		if err != nil {
			return err
		}
	}
	i := spec.Integration
	if i == nil {
		return nil
	}
	_, err := client(m).PutIntegration(ctx, &rest.PutIntegrationInput{RestApiId: put.RestApiId, ResourceId: put.ResourceId, HttpMethod: put.HttpMethod,
		Type: wire.Val(i.Type), IntegrationHttpMethod: i.IntegrationHttpMethod, Uri: i.Uri, PassthroughBehavior: i.PassthroughBehavior,
		ConnectionType: i.ConnectionType, Credentials: i.Credentials, RequestTemplates: i.RequestTemplates, RequestParameters: i.RequestParameters, TimeoutInMillis: i.TimeoutInMillis})
	if err != nil {
		return err
	}
	for _, r := range i.IntegrationResponses {
		if wire.Val(i.Type) == "AWS_PROXY" || wire.Val(i.Type) == "HTTP_PROXY" {
			continue // never looked at
		}
		_, err := client(m).PutIntegrationResponse(ctx, &rest.PutIntegrationResponseInput{RestApiId: put.RestApiId, ResourceId: put.ResourceId, HttpMethod: put.HttpMethod,
			StatusCode: r.StatusCode, SelectionPattern: r.SelectionPattern, ResponseParameters: r.ResponseParameters, ResponseTemplates: r.ResponseTemplates})
		if err != nil {
			return err
		}
	}
	return nil
}

// updateMethodResource makes the method anew: what is deployed does not change until the next
// deployment.
func updateMethodResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	if err := deleteMethodResource(ctx, m, id, before); err != nil {
		return gate.Made{ID: id}, err
	}
	return createMethodResource(ctx, m, after)
}

func deleteMethodResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	parts := strings.Split(id, "|")
	if len(parts) != 3 {
		return awserr.Of(awserr.Validation, "%q is not the id of a method.", id)
	}
	_, err := client(m).DeleteMethod(ctx, &rest.DeleteMethodInput{RestApiId: parts[0], ResourceId: parts[1], HttpMethod: parts[2]})
	return gone(err)
}

func createDeploymentResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := rest.CreateDeploymentInput{}
	if err := wire.Properties(&in, props); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).CreateDeployment(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: *out.Id, Attributes: map[string]any{"DeploymentId": *out.Id}}, nil
}

func updateDeploymentResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	text, _ := after["Description"].(string)
	_, err := client(m).UpdateDeployment(ctx, &rest.UpdateDeploymentInput{RestApiId: restAPIOf(after), DeploymentId: id,
		PatchOperations: []rest.PatchOperation{{Op: new("replace"), Path: new("/description"), Value: &text}}})
	return gate.Made{ID: id, Attributes: map[string]any{"DeploymentId": id}}, err
}

// deleteDeploymentResource takes the stage that a deployment made with it, as CloudFormation does.
func deleteDeploymentResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	api := restAPIOf(props)
	if name, _ := props["StageName"].(string); name != "" {
		st, err := client(m).GetStage(ctx, &rest.GetStageInput{RestApiId: api, StageName: name})
		if err == nil && wire.Val(st.DeploymentId) == id {
			_, err = client(m).DeleteStage(ctx, &rest.DeleteStageInput{RestApiId: api, StageName: name})
		}
		if gone(err) != nil {
			return err
		}
	}
	_, err := client(m).DeleteDeployment(ctx, &rest.DeleteDeploymentInput{RestApiId: api, DeploymentId: id})
	return gone(err)
}

// methodSettings are a stage's settings as patches; those of the old template that the new one
// lacks are set back.
func methodSettings(before, after map[string]any) ([]rest.PatchOperation, error) {
	type spec struct {
		MethodSettings []struct {
			HttpMethod, ResourcePath                         string
			ThrottlingBurstLimit                             *int32
			ThrottlingRateLimit                              *float64
			LoggingLevel                                     *string
			MetricsEnabled, DataTraceEnabled, CachingEnabled *bool
		}
	}
	var was, want spec
	if err := wire.Properties(&was, map[string]any{"MethodSettings": before["MethodSettings"]}); err != nil {
		return nil, err
	}
	if err := wire.Properties(&want, map[string]any{"MethodSettings": after["MethodSettings"]}); err != nil {
		return nil, err
	}
	var ops []rest.PatchOperation
	for i, list := range []spec{was, want} {
		for _, s := range list.MethodSettings {
			path := s.ResourcePath
			if path != "/*" && path != "*" {
				path = strings.ReplaceAll(path, "/", "~1")
			} else {
				path = "*"
			}
			base := "/" + path + "/" + s.HttpMethod + "/"
			add := func(name string, v *string) {
				op := rest.PatchOperation{Op: new("replace"), Path: new(base + name), Value: v}
				if i == 0 {
					op.Op, op.Value = new("remove"), nil
				}
				if v != nil {
					ops = append(ops, op)
				}
			}
			if s.ThrottlingBurstLimit != nil {
				add("throttling/burstLimit", new(strconv.Itoa(int(*s.ThrottlingBurstLimit))))
			}
			if s.ThrottlingRateLimit != nil {
				add("throttling/rateLimit", new(strconv.FormatFloat(*s.ThrottlingRateLimit, 'f', -1, 64)))
			}
			add("logging/loglevel", s.LoggingLevel)
			for name, b := range map[string]*bool{"metrics/enabled": s.MetricsEnabled, "logging/dataTrace": s.DataTraceEnabled, "caching/enabled": s.CachingEnabled} {
				if b != nil {
					add(name, new(strconv.FormatBool(*b)))
				}
			}
		}
	}
	return ops, nil
}

func createStageResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := rest.CreateStageInput{}
	p := map[string]any{}
	for k, v := range props {
		if k != "Tags" && k != "MethodSettings" {
			p[k] = v
		}
	}
	if err := wire.Properties(&in, p); err != nil {
		return gate.Made{}, err
	}
	var err error
	if in.Tags, err = tagsOf(props); err != nil {
		return gate.Made{}, err
	}
	ops, err := methodSettings(nil, props)
	if err != nil {
		return gate.Made{}, err
	}
	_, err = client(m).CreateStage(ctx, &in)
	if m.Again && awserr.Is(err, "ConflictException") {
		got, gerr := client(m).GetStage(ctx, &rest.GetStageInput{RestApiId: in.RestApiId, StageName: in.StageName})
		if gerr == nil && m.Owns("", got.Tags) {
			err = nil
		}
	}
	if err != nil {
		return gate.Made{}, err
	}
	if len(ops) > 0 {
		_, err = client(m).UpdateStage(ctx, &rest.UpdateStageInput{RestApiId: in.RestApiId, StageName: in.StageName, PatchOperations: ops})
	}
	return gate.Made{ID: in.StageName}, err
}

func updateStageResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	var was, want struct {
		DeploymentId, Description string
		Variables                 map[string]string
	}
	if err := wire.Properties(&was, before); err != nil {
		return gate.Made{ID: id}, err
	}
	if err := wire.Properties(&want, after); err != nil {
		return gate.Made{ID: id}, err
	}
	ops, err := methodSettings(before, after)
	if err != nil {
		return gate.Made{ID: id}, err
	}
	ops = append(ops, rest.PatchOperation{Op: new("replace"), Path: new("/deploymentId"), Value: &want.DeploymentId},
		rest.PatchOperation{Op: new("replace"), Path: new("/description"), Value: &want.Description})
	for k := range was.Variables {
		if _, ok := want.Variables[k]; !ok {
			ops = append(ops, rest.PatchOperation{Op: new("remove"), Path: new("/variables/" + k)})
		}
	}
	for k, v := range want.Variables {
		ops = append(ops, rest.PatchOperation{Op: new("replace"), Path: new("/variables/" + k), Value: &v})
	}
	for _, k := range []string{"TracingEnabled", "CacheClusterEnabled"} {
		if v, ok := after[k].(bool); ok && v {
			return gate.Made{ID: id}, notBuilt(k)
		}
	}
	api := restAPIOf(after)
	if _, err := client(m).UpdateStage(ctx, &rest.UpdateStageInput{RestApiId: api, StageName: id, PatchOperations: ops}); err != nil {
		return gate.Made{ID: id}, err
	}
	had, err := tagsOf(before)
	if err != nil {
		return gate.Made{ID: id}, err
	}
	tags, err := tagsOf(after)
	if err != nil {
		return gate.Made{ID: id}, err
	}
	return gate.Made{ID: id}, retag(ctx, m, "/restapis/"+api+"/stages/"+id, had, tags)
}

func deleteStageResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteStage(ctx, &rest.DeleteStageInput{RestApiId: restAPIOf(props), StageName: id})
	return gone(err)
}

func createAuthorizerResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := rest.CreateAuthorizerInput{}
	if err := wire.Properties(&in, props); err != nil {
		return gate.Made{}, err
	}
	if in.Name == "" {
		in.Name = m.Name
	}
	if m.Again { // names are unique within an API
		all, err := client(m).GetAuthorizers(ctx, &rest.GetAuthorizersInput{RestApiId: in.RestApiId, Limit: new(int32(maxPage))})
		if err != nil {
			return gate.Made{}, err
		}
		for _, a := range all.Items {
			if wire.Val(a.Name) == in.Name && wire.Val(a.AuthorizerUri) == wire.Val(in.AuthorizerUri) {
				return gate.Made{ID: *a.Id, Attributes: map[string]any{"AuthorizerId": *a.Id}}, nil
			}
		}
	}
	out, err := client(m).CreateAuthorizer(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: *out.Id, Attributes: map[string]any{"AuthorizerId": *out.Id}}, nil
}

func updateAuthorizerResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	var in rest.CreateAuthorizerInput
	if err := wire.Properties(&in, after); err != nil {
		return gate.Made{ID: id}, err
	}
	if in.Name == "" && before["Name"] != nil {
		in.Name = m.Name
	}
	var ops []rest.PatchOperation
	put := func(path string, v *string, fresh string) { // what the template does not say is as in a fresh one
		if v == nil {
			v = &fresh
		}
		ops = append(ops, rest.PatchOperation{Op: new("replace"), Path: &path, Value: v})
	}
	if in.Name != "" {
		put("/name", &in.Name, "")
	}
	put("/type", &in.Type, "")
	put("/authType", in.AuthType, "custom")
	put("/authorizerUri", in.AuthorizerUri, "")
	put("/identitySource", in.IdentitySource, "")
	put("/identityValidationExpression", in.IdentityValidationExpression, "")
	put("/authorizerResultTtlInSeconds", text(in.AuthorizerResultTtlInSeconds), strconv.Itoa(usualTTL))
	_, err := client(m).UpdateAuthorizer(ctx, &rest.UpdateAuthorizerInput{RestApiId: restAPIOf(after), AuthorizerId: id, PatchOperations: ops})
	return gate.Made{ID: id, Attributes: map[string]any{"AuthorizerId": id}}, err
}

func deleteAuthorizerResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteAuthorizer(ctx, &rest.DeleteAuthorizerInput{RestApiId: restAPIOf(props), AuthorizerId: id})
	return gone(err)
}
