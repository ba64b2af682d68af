package apigatewayv2

import (
	"fmt"
	"testing"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/gate/gatetest"
)

type props = map[string]any

func (r *rig) resource(name string) gate.Resource {
	r.Helper()
	for _, res := range r.service.Resources() {
		if res.Type == "AWS::ApiGatewayV2::"+name {
			return res
		}
	}
	r.Fatal("no such type: " + name)
	return gate.Resource{}
}

func (r *rig) making() gate.Making {
	deployer := r.Client.Caller.(gate.Client)
	deployer.Source.Via = []string{"cloudformation.amazonaws.com"}
	return gate.Making{Caller: deployer, Account: account, Region: region, StackID: "stack/1", StackName: "shop", LogicalID: "Api", Name: "shop-Api-1", Token: "t"}
}

// within is everything that an API has.
func (r *rig) within(id string) any {
	ctx := r.Context()
	return []any{
		must[*v2.GetApiOutput](r)(r.GetApi(ctx, &v2.GetApiInput{ApiId: id})),
		must[*v2.GetRoutesOutput](r)(r.GetRoutes(ctx, &v2.GetRoutesInput{ApiId: id})).Items,
		must[*v2.GetIntegrationsOutput](r)(r.GetIntegrations(ctx, &v2.GetIntegrationsInput{ApiId: id})).Items,
		must[*v2.GetAuthorizersOutput](r)(r.GetAuthorizers(ctx, &v2.GetAuthorizersInput{ApiId: id})).Items,
		must[*v2.GetStagesOutput](r)(r.GetStages(ctx, &v2.GetStagesInput{ApiId: id})).Items,
	}
}

var changing = []string{"ApiId", "ApiEndpoint", "RouteId", "Target", "IntegrationId", "AuthorizerId", "RouteKey", "DeploymentId", "StageName",
	"LastDeploymentStatusMessage", "CreatedDate", "LastUpdatedDate"}

// A definition with something of everything that one may say.
func sample(title string, more props) props {
	doc := props{"openapi": "3.0.1", "info": props{"title": title}, "paths": props{"/a": props{"get": props{
		"x-amazon-apigateway-integration": props{"type": "aws_proxy", "uri": fnPath, "payloadFormatVersion": "2.0"}}}}}
	for k, v := range more {
		doc[k] = v
	}
	return doc
}

var everything = sample("defined", props{
	"info":                     props{"title": "defined", "version": "7", "description": "of the definition"},
	"tags":                     []any{props{"name": "team", "x-amazon-apigateway-tag-value": "a"}},
	"x-amazon-apigateway-cors": props{"allowOrigins": []any{"https://a.example"}},
	"servers":                  []any{props{"x-amazon-apigateway-endpoint-configuration": props{"disableExecuteApiEndpoint": true}}},
	"components": props{"securitySchemes": props{"guard": props{"type": "apiKey", "name": "a", "in": "header", "x-amazon-apigateway-authorizer": props{
		"type": "request", "authorizerUri": fnPath, "authorizerPayloadFormatVersion": "2.0", "enableSimpleResponses": true,
		"identitySource": "$request.header.a", "authorizerResultTtlInSeconds": 3600}}}},
	"paths": props{"/b": props{"get": props{"operationId": "b", "security": []any{props{"guard": []any{}}},
		"x-amazon-apigateway-integration": props{"type": "aws_proxy", "uri": fnPath, "payloadFormatVersion": "1.0", "timeoutInMillis": 100, "description": "d"}}}}})

func TestUpdatesOfAnAPI(t *testing.T) {
	r := newRig(t)
	cors := props{"AllowOrigins": []any{"https://evil.example"}, "AllowMethods": []any{"GET"}, "AllowHeaders": []any{"a"}, "ExposeHeaders": []any{"b"}, "MaxAge": 3, "AllowCredentials": true}
	overlaid := map[string]props{
		"Description":               {"Description": "bad"},
		"Version":                   {"Version": "2"},
		"Tags":                      {"Tags": props{"a": "b"}},
		"DisableExecuteApiEndpoint": {"DisableExecuteApiEndpoint": "true"},
		"RouteSelectionExpression":  {"RouteSelectionExpression": "${request.method} ${request.path}"},
		"ApiKeySelectionExpression": {"ApiKeySelectionExpression": "$context.authorizer.usageIdentifierKey"},
		"IpAddressType":             {"IpAddressType": "dualstack"},
		"CorsConfiguration":         {"CorsConfiguration": cors},
	}
	s := gatetest.Settings{Resource: r.resource("Api"), Making: r.making(), Changing: changing,
		Least: func() props { return props{"Name": "x", "ProtocolType": "HTTP"} },
		Fixed: []string{"Body", "FailOnWarnings"},
		Read:  func(id string, _ props) any { return r.within(id) },
		More:  map[string]props{"Target": {"Target": fn}, "RouteKey": {"Target": fn, "RouteKey": "GET /x"}}}
	for k, v := range overlaid {
		s.More[k] = v
	}
	s.Check(t)
	s.More = map[string]props{"Body": {"Body": everything, "Name": "defined"}}
	s.Fixed = s.Resource.Properties
	s.Check(t)
	s.Least = func() props { return props{"Body": sample("defined", nil)} }
	s.More = map[string]props{"Body": {"Body": everything}}
	for k, v := range overlaid {
		s.More[k] = v
	}
	s.Check(t)
}

// parts is an API with a function behind it and two authorizers.
func (r *rig) parts() (api, integration, lambda, jwt string) {
	ctx := r.Context()
	api = *must[*v2.CreateApiOutput](r)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "x", ProtocolType: "HTTP"})).ApiId
	i := must[*v2.CreateIntegrationOutput](r)(r.CreateIntegration(ctx, &v2.CreateIntegrationInput{ApiId: api, IntegrationType: "AWS_PROXY", IntegrationUri: new(fn)}))
	l := must[*v2.CreateAuthorizerOutput](r)(r.CreateAuthorizer(ctx, &v2.CreateAuthorizerInput{ApiId: api, Name: "l", AuthorizerType: "REQUEST",
		AuthorizerUri: new(fnPath), AuthorizerPayloadFormatVersion: new("2.0"), IdentitySource: []string{}}))
	j := must[*v2.CreateAuthorizerOutput](r)(r.CreateAuthorizer(ctx, &v2.CreateAuthorizerInput{ApiId: api, Name: "j", AuthorizerType: "JWT",
		IdentitySource: []string{"$request.header.a"}, JwtConfiguration: &v2.JWTConfiguration{Issuer: new("https://i.example"), Audience: []string{"a"}}}))
	return api, *i.IntegrationId, *l.AuthorizerId, *j.AuthorizerId
}

func TestUpdatesOfParts(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, integration, lambda, jwt := r.parts()
	n := 0
	number := func() int { n++; return n }
	t.Run("Route", func(t *testing.T) {
		shown := []string{"RouteId", "RouteKey"} // target and authorizer show
		gatetest.Settings{Resource: r.resource("Route"), Making: r.making(), Changing: shown, Fixed: []string{"ApiKeyRequired"},
			Least: func() props { return props{"ApiId": api, "RouteKey": fmt.Sprintf("GET /%d", number())} },
			More: map[string]props{"Target": {"Target": "integrations/" + integration}, "OperationName": {"OperationName": "op"},
				"AuthorizationType":   {"AuthorizationType": "AWS_IAM"},
				"AuthorizerId":        {"AuthorizationType": "CUSTOM", "AuthorizerId": lambda},
				"AuthorizationScopes": {"AuthorizationType": "JWT", "AuthorizerId": jwt, "AuthorizationScopes": []any{"s"}},
				"all":                 {"Target": "integrations/" + integration, "OperationName": "op", "AuthorizationType": "JWT", "AuthorizerId": jwt, "AuthorizationScopes": []any{"s"}}},
			Read: func(id string, _ props) any {
				return must[*v2.GetRouteOutput](t)(r.GetRoute(ctx, &v2.GetRouteInput{ApiId: api, RouteId: id}))
			}}.Check(t)
	})
	t.Run("Integration", func(t *testing.T) {
		gatetest.Settings{Resource: r.resource("Integration"), Making: r.making(), Changing: changing, Fixed: []string{"IntegrationMethod", "ConnectionType"},
			Least: func() props { return props{"ApiId": api, "IntegrationType": "AWS_PROXY", "IntegrationUri": fn} },
			More: map[string]props{"PayloadFormatVersion": {"PayloadFormatVersion": "2.0"}, "TimeoutInMillis": {"TimeoutInMillis": 100},
				"Description": {"Description": "d"}},
			Read: func(id string, _ props) any {
				return must[*v2.GetIntegrationOutput](t)(r.GetIntegration(ctx, &v2.GetIntegrationInput{ApiId: api, IntegrationId: id}))
			}}.Check(t)
	})
}

func TestUpdatesOfAuthorizers(t *testing.T) {
	r := newRig(t)
	where := map[string]string{}
	least := func(more props) func() props {
		return func() props {
			api, _, _, _ := r.parts() // an API has ten at most
			out := props{"ApiId": api, "Name": "a"}
			for k, v := range more {
				out[k] = v
			}
			return out
		}
	}
	sources := []any{"$request.header.tenant"}
	s := gatetest.Settings{Resource: r.resource("Authorizer"), Making: r.making(), Changing: []string{"AuthorizerId"}, Fixed: []string{"JwtConfiguration"},
		Least: least(props{"AuthorizerType": "REQUEST", "AuthorizerUri": fnPath, "AuthorizerPayloadFormatVersion": "2.0"}),
		More: map[string]props{"EnableSimpleResponses": {"EnableSimpleResponses": true}, "IdentitySource": {"IdentitySource": sources},
			"AuthorizerResultTtlInSeconds": {"IdentitySource": sources, "AuthorizerResultTtlInSeconds": 3600}},
		Read: func(id string, p props) any {
			where[id] = p["ApiId"].(string)
			return must[*v2.GetAuthorizerOutput](t)(r.GetAuthorizer(t.Context(), &v2.GetAuthorizerInput{ApiId: where[id], AuthorizerId: id}))
		}}
	s.Check(t)
	s.Least = least(props{"AuthorizerType": "REQUEST", "AuthorizerUri": fnPath, "AuthorizerPayloadFormatVersion": "2.0", "IdentitySource": sources})
	s.More = map[string]props{"AuthorizerResultTtlInSeconds": {"AuthorizerResultTtlInSeconds": 0}, "EnableSimpleResponses": {"EnableSimpleResponses": true}}
	s.Check(t)
	s.Least = least(props{"AuthorizerType": "JWT", "IdentitySource": sources, "JwtConfiguration": props{"Issuer": "https://i.example", "Audience": []any{"a"}}})
	s.Fixed = []string{"AuthorizerUri", "AuthorizerPayloadFormatVersion", "AuthorizerResultTtlInSeconds", "EnableSimpleResponses"}
	s.More = map[string]props{"JwtConfiguration": {"JwtConfiguration": props{"Issuer": "https://j.example", "Audience": []any{"b", "c"}}}}
	s.Check(t)
}

func TestUpdatesOfStages(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	route := r.resource("Route")
	deployed := map[string]string{}
	least := func() props {
		api, integration, _, _ := r.parts() // an API has ten at most
		must[gate.Made](t)(route.Create(ctx, r.making(), props{"ApiId": api, "RouteKey": "GET /a", "Target": "integrations/" + integration}))
		deployed[api] = *must[*v2.CreateDeploymentOutput](t)(r.CreateDeployment(ctx, &v2.CreateDeploymentInput{ApiId: api})).DeploymentId
		return props{"ApiId": api, "StageName": "s"}
	}
	read := func(id string, p props) any {
		out := must[*v2.GetStageOutput](t)(r.GetStage(ctx, &v2.GetStageInput{ApiId: p["ApiId"].(string), StageName: id}))
		all := must[*v2.GetDeploymentsOutput](t)(r.GetDeployments(ctx, &v2.GetDeploymentsInput{ApiId: p["ApiId"].(string)}))
		return []any{out, out.DeploymentId != nil, out.LastDeploymentStatusMessage != nil, len(all.Items)}
	}
	limits := props{"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 1}
	gatetest.Settings{Resource: r.resource("Stage"), Making: r.making(), Changing: changing, Least: least, Read: read, Fixed: []string{"DeploymentId"},
		More: map[string]props{"AutoDeploy": {"AutoDeploy": true}, "Description": {"Description": "d"}, "StageVariables": {"StageVariables": props{"a": "b"}},
			"Tags": {"Tags": props{"a": "b"}}, "RouteSettings": {"RouteSettings": props{"GET /a": limits}},
			"DefaultRouteSettings": {"DefaultRouteSettings": limits}}}.Check(t)

	stage, m := r.resource("Stage"), r.making()
	was := least()
	must[gate.Made](t)(stage.Create(ctx, m, was))
	named := props{"ApiId": was["ApiId"], "StageName": "s", "DeploymentId": deployed[was["ApiId"].(string)]}
	must[gate.Made](t)(stage.Update(ctx, m, "s", was, named))
	must[gate.Made](t)(stage.Update(ctx, m, "s", named, was))
	at := &v2.GetStageInput{ApiId: was["ApiId"].(string), StageName: "s"}
	if st := must[*v2.GetStageOutput](t)(r.GetStage(ctx, at)); st.DeploymentId != nil {
		t.Errorf("a deployment that the template dropped is served: %s", *st.DeploymentId)
	}
	must[gate.Made](t)(r.resource("Deployment").Create(ctx, m, props{"ApiId": was["ApiId"], "StageName": "s"}))
	must[gate.Made](t)(stage.Update(ctx, m, "s", was, props{"ApiId": was["ApiId"], "StageName": "s", "Description": "d"}))
	if st := must[*v2.GetStageOutput](t)(r.GetStage(ctx, at)); st.DeploymentId == nil {
		t.Error("the deployment that a resource gave the stage is gone")
	}
}

func TestUpdatesOfDeployments(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, integration, _, _ := r.parts()
	must[gate.Made](t)(r.resource("Route").Create(ctx, r.making(), props{"ApiId": api, "RouteKey": "GET /a", "Target": "integrations/" + integration}))
	gatetest.Settings{Resource: r.resource("Deployment"), Making: r.making(), Changing: changing,
		Least: func() props { return props{"ApiId": api} },
		More:  map[string]props{"Description": {"Description": "d"}},
		Read: func(id string, _ props) any {
			return must[*v2.GetDeploymentOutput](t)(r.GetDeployment(ctx, &v2.GetDeploymentInput{ApiId: api, DeploymentId: id}))
		}}.Check(t)
}
