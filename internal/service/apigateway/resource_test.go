package apigateway

import (
	"fmt"
	"testing"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/gate/gatetest"
)

type props = map[string]any

func (r *rig) resource(name string) gate.Resource {
	r.Helper()
	for _, res := range r.service.Resources() {
		if res.Type == "AWS::ApiGateway::"+name {
			return res
		}
	}
	r.Fatal("no such type: " + name)
	return gate.Resource{}
}

func (r *rig) making() gate.Making {
	deployer := r.Client.Caller.(gate.Client)
	deployer.Source.Via = []string{"cloudformation.amazonaws.com"}
	return gate.Making{Caller: deployer, Account: account, Region: region, StackID: "stack/1", LogicalID: "Api", Name: "shop-Api-1"}
}

// within is everything that an API has.
func (r *rig) within(id string) any {
	ctx := r.Context()
	return []any{
		must[*rest.RestApi](r)(r.GetRestApi(ctx, &rest.GetRestApiInput{RestApiId: id})),
		must[*rest.GetResourcesOutput](r)(r.GetResources(ctx, &rest.GetResourcesInput{RestApiId: id, Embed: []string{"methods"}})).Items,
		must[*rest.GetAuthorizersOutput](r)(r.GetAuthorizers(ctx, &rest.GetAuthorizersInput{RestApiId: id})).Items,
	}
}

// The name of one that a template does not name is its own.
var changing = []string{"Id", "ParentId", "RootResourceId", "CreatedDate", "LastUpdatedDate", "AuthorizerId", "CacheNamespace"}

func sample(title string, more props) props {
	doc := props{"swagger": "2.0", "info": props{"title": title}, "paths": props{"/a": props{"get": props{
		"x-amazon-apigateway-integration": props{"type": "aws_proxy", "httpMethod": "POST", "uri": fnPath}}}}}
	for k, v := range more {
		doc[k] = v
	}
	return doc
}

var denied = props{"Version": "2012-10-17", "Statement": []any{props{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}}

var everything = sample("defined", props{
	"info":                                       props{"title": "defined", "version": "7", "description": "of the definition"},
	"x-amazon-apigateway-binary-media-types":     []any{"image/gif"},
	"x-amazon-apigateway-policy":                 denied,
	"x-amazon-apigateway-endpoint-configuration": props{"disableExecuteApiEndpoint": true},
	"securityDefinitions": props{"guard": props{"type": "apiKey", "name": "a", "in": "header", "x-amazon-apigateway-authtype": "custom",
		"x-amazon-apigateway-authorizer": props{"type": "token", "authorizerUri": fnPath, "authorizerResultTtlInSeconds": 3600}}},
	"paths": props{"/b": props{"get": props{"security": []any{props{"guard": []any{}}},
		"x-amazon-apigateway-integration": props{"type": "aws_proxy", "httpMethod": "POST", "uri": fnPath}}}}})

func TestUpdatesOfAnAPI(t *testing.T) {
	r := newRig(t)
	overlaid := map[string]props{
		"Description":               {"Description": "bad"},
		"Policy":                    {"Policy": denied},
		"BinaryMediaTypes":          {"BinaryMediaTypes": []any{"*/*", "image/png"}},
		"DisableExecuteApiEndpoint": {"DisableExecuteApiEndpoint": "true"},
		"MinimumCompressionSize":    {"MinimumCompressionSize": -1},
		"EndpointConfiguration":     {"EndpointConfiguration": props{"Types": []any{"REGIONAL"}, "IpAddressType": "dualstack"}},
		"Tags":                      {"Tags": []any{props{"Key": "a", "Value": "b"}}},
	}
	s := gatetest.Settings{Resource: r.resource("RestApi"), Making: r.making(), Changing: changing,
		Least: func() props { return props{"Name": "x"} },
		Fixed: []string{"Body", "FailOnWarnings", "Mode", "Parameters", "ApiKeySourceType"},
		Read:  func(id string, _ props) any { return r.within(id) },
		More:  map[string]props{}}
	for k, v := range overlaid {
		s.More[k] = v
	}
	s.Check(t)
	s.Least = func() props { return props{} }
	s.More["Name"] = props{"Name": "y"}
	s.Check(t)
	s.Least = func() props { return props{"Name": "x"} }
	s.Fixed = s.Resource.Properties
	s.More = map[string]props{"Body": {"Body": everything}}
	s.Check(t)
	s.Least = func() props { return props{"Body": sample("defined", nil)} }
	s.More = map[string]props{"Body": {"Body": everything}, "Parameters": {"Parameters": props{"endpointConfigurationTypes": "REGIONAL"}}}
	for k, v := range overlaid {
		s.More[k] = v
	}
	s.Check(t)
}

// An API that no template names keeps its name, though each operation would give it another.
func TestUnnamedKeepsItsName(t *testing.T) {
	r := newRig(t)
	api, m := r.resource("RestApi"), r.making()
	made := must[gate.Made](t)(api.Create(t.Context(), m, props{}))
	m.Name = "shop-Api-2"
	must[gate.Made](t)(api.Update(t.Context(), m, made.ID, props{}, props{"Description": "d"}))
	if a := must[*rest.RestApi](t)(r.GetRestApi(t.Context(), &rest.GetRestApiInput{RestApiId: made.ID})); *a.Name != "shop-Api-1" {
		t.Errorf("renamed to %s", *a.Name)
	}
}

func TestUpdatesOfAuthorizers(t *testing.T) {
	r := newRig(t)
	least := func(more props) func() props {
		return func() props { // names are unique within an API
			out := props{"RestApiId": *must[*rest.RestApi](t)(r.CreateRestApi(t.Context(), &rest.CreateRestApiInput{Name: "x"})).Id, "AuthorizerUri": fnPath}
			for k, v := range more {
				out[k] = v
			}
			return out
		}
	}
	s := gatetest.Settings{Resource: r.resource("Authorizer"), Making: r.making(), Changing: changing,
		Least: least(props{"Type": "TOKEN", "IdentitySource": "method.request.header.a"}),
		More: map[string]props{"Name": {"Name": "n"}, "AuthType": {"AuthType": "own"}, "AuthorizerResultTtlInSeconds": {"AuthorizerResultTtlInSeconds": "3600"},
			"IdentityValidationExpression": {"IdentityValidationExpression": "abc"}},
		Read: func(id string, p props) any {
			return must[*rest.Authorizer](t)(r.GetAuthorizer(t.Context(), &rest.GetAuthorizerInput{RestApiId: p["RestApiId"].(string), AuthorizerId: id}))
		}}
	s.Check(t)
	s.Least = least(props{"Type": "REQUEST", "AuthorizerResultTtlInSeconds": 0})
	s.More = map[string]props{"IdentitySource": {"IdentitySource": "method.request.header.b"}}
	s.Fixed = []string{"Name", "AuthType", "IdentityValidationExpression"}
	s.Check(t)
}

// served is an API with a method that leads to a function, ready for a deployment.
func (r *rig) served() (api, path string) {
	ctx := r.Context()
	a := must[*rest.RestApi](r)(r.CreateRestApi(ctx, &rest.CreateRestApiInput{Name: "x"}))
	p := must[*rest.Resource](r)(r.CreateResource(ctx, &rest.CreateResourceInput{RestApiId: *a.Id, ParentId: *a.RootResourceId, PathPart: "p"}))
	must[gate.Made](r)(r.resource("Method").Create(ctx, r.making(), props{"RestApiId": *a.Id, "ResourceId": *p.Id, "HttpMethod": "GET", "AuthorizationType": "NONE",
		"Integration": props{"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": fnPath}}))
	return *a.Id, *p.Id
}

func TestUpdatesOfMethods(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, path := r.served()
	auth := must[gate.Made](t)(r.resource("Authorizer").Create(ctx, r.making(), props{"RestApiId": api, "Name": "n", "Type": "TOKEN", "AuthorizerUri": fnPath,
		"IdentitySource": "method.request.header.a"}))
	verbs := []string{"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY"}
	n := 0
	gatetest.Settings{Resource: r.resource("Method"), Making: r.making(), Changing: []string{"HttpMethod", "CacheNamespace"}, Fixed: []string{"ApiKeyRequired", "RequestModels"},
		Least: func() props {
			n++
			p := must[*rest.Resource](t)(r.CreateResource(ctx, &rest.CreateResourceInput{RestApiId: api, ParentId: path, PathPart: fmt.Sprint("p", n)}))
			return props{"RestApiId": api, "ResourceId": *p.Id, "HttpMethod": verbs[n%len(verbs)]}
		},
		More: map[string]props{"AuthorizationType": {"AuthorizationType": "AWS_IAM"}, "AuthorizerId": {"AuthorizationType": "CUSTOM", "AuthorizerId": auth.ID},
			"OperationName": {"OperationName": "o"}, "RequestParameters": {"RequestParameters": props{"method.request.querystring.q": false}},
			"MethodResponses": {"MethodResponses": []any{props{"StatusCode": "200"}}},
			"Integration":     {"Integration": props{"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": fnPath, "TimeoutInMillis": 100}}},
		Read: func(_ string, p props) any {
			return must[*rest.Method](t)(r.GetMethod(ctx, &rest.GetMethodInput{RestApiId: api, ResourceId: p["ResourceId"].(string), HttpMethod: p["HttpMethod"].(string)}))
		}}.Check(t)
}

func TestUpdatesOfStages(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, _ := r.served()
	m := r.making()
	dep := must[gate.Made](t)(r.resource("Deployment").Create(ctx, m, props{"RestApiId": api}))
	least := func() props {
		api, _ := r.served() // an API has ten at most
		d := must[gate.Made](t)(r.resource("Deployment").Create(ctx, m, props{"RestApiId": api}))
		return props{"RestApiId": api, "StageName": "s", "DeploymentId": d.ID}
	}
	gatetest.Settings{Resource: r.resource("Stage"), Making: m, Changing: append([]string{"DeploymentId"}, changing...), Least: least,
		Fixed: []string{"CacheClusterEnabled", "TracingEnabled"},
		More: map[string]props{"Description": {"Description": "d"}, "Variables": {"Variables": props{"a": "b"}}, "Tags": {"Tags": []any{props{"Key": "a", "Value": "b"}}},
			"MethodSettings": {"MethodSettings": []any{props{"HttpMethod": "*", "ResourcePath": "/*", "ThrottlingBurstLimit": 0, "ThrottlingRateLimit": 0.5}}}},
		Read: func(id string, p props) any {
			return must[*rest.Stage](t)(r.GetStage(ctx, &rest.GetStageInput{RestApiId: p["RestApiId"].(string), StageName: id}))
		}}.Check(t)
	gatetest.Settings{Resource: r.resource("Deployment"), Making: m, Changing: changing, Least: func() props { return props{"RestApiId": api} },
		More: map[string]props{"Description": {"Description": "d"}},
		Read: func(id string, _ props) any {
			return must[*rest.Deployment](t)(r.GetDeployment(ctx, &rest.GetDeploymentInput{RestApiId: api, DeploymentId: id}))
		}}.Check(t)
	if dep.ID == "" {
		t.Error("no deployment")
	}
}
