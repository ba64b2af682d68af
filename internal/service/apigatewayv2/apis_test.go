package apigatewayv2

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// An API is put together part by part; what is served is what was deployed, not what was changed
// since.
func TestDeploymentsAreSnapshots(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api := must[*v2.CreateApiOutput](t)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "tasks", ProtocolType: "HTTP", Tags: map[string]string{"team": "a"}}))
	id := *api.ApiId
	if *api.ApiEndpoint != "https://"+id+".execute-api.eu-west-1.amazonaws.com" {
		t.Errorf("endpoint %s", *api.ApiEndpoint)
	}
	i := must[*v2.CreateIntegrationOutput](t)(r.CreateIntegration(ctx, &v2.CreateIntegrationInput{ApiId: id, IntegrationType: "AWS_PROXY", IntegrationUri: new(fn), PayloadFormatVersion: new("2.0")}))
	if *i.TimeoutInMillis != 30000 || *i.IntegrationMethod != "POST" {
		t.Errorf("%+v", i)
	}
	target := "integrations/" + *i.IntegrationId
	route := must[*v2.CreateRouteOutput](t)(r.CreateRoute(ctx, &v2.CreateRouteInput{ApiId: id, RouteKey: "GET /tasks", Target: &target}))
	if *route.AuthorizationType != "NONE" {
		t.Errorf("%+v", route)
	}
	d := must[*v2.CreateDeploymentOutput](t)(r.CreateDeployment(ctx, &v2.CreateDeploymentInput{ApiId: id}))
	must[*v2.CreateStageOutput](t)(r.CreateStage(ctx, &v2.CreateStageInput{ApiId: id, StageName: "prod", DeploymentId: d.DeploymentId}))
	live := must[*v2.CreateStageOutput](t)(r.CreateStage(ctx, &v2.CreateStageInput{ApiId: id, StageName: "$default", AutoDeploy: new(true)}))
	if live.DeploymentId == nil {
		t.Error("the stage was not deployed")
	}
	must[*v2.CreateRouteOutput](t)(r.CreateRoute(ctx, &v2.CreateRouteInput{ApiId: id, RouteKey: "POST /tasks", Target: &target}))
	if d := cmp.Diff(map[string]int{"$default": 2, "prod": 1}, r.served(id)); d != "" {
		t.Error(d)
	}
	all := must[*v2.GetDeploymentsOutput](t)(r.GetDeployments(ctx, &v2.GetDeploymentsInput{ApiId: id}))
	if len(all.Items) != 2 {
		t.Errorf("%d deployments: one by hand and one automatic are wanted", len(all.Items))
	}
	_, err := r.DeleteDeployment(ctx, &v2.DeleteDeploymentInput{ApiId: id, DeploymentId: *d.DeploymentId})
	refused(t, err, "BadRequestException", "Active stages")
	_, err = r.DeleteIntegration(ctx, &v2.DeleteIntegrationInput{ApiId: id, IntegrationId: *i.IntegrationId})
	refused(t, err, "ConflictException", "referenced")
	_, err = r.CreateRoute(ctx, &v2.CreateRouteInput{ApiId: id, RouteKey: "GET /tasks"})
	refused(t, err, "ConflictException", "Route with key GET /tasks already exists")
	must[*v2.DeleteApiOutput](t)(r.DeleteApi(ctx, &v2.DeleteApiInput{ApiId: id}))
	if _, known, err := r.directory.Stages(ctx, id); known || err != nil {
		t.Errorf("a deleted API is known: %v", err)
	}
	_, err = r.GetApi(ctx, &v2.GetApiInput{ApiId: id})
	refused(t, err, "NotFoundException", "Invalid Api identifier specified "+id)
}

// served counts the routes of each deployed stage.
func (r *rig) served(id string) map[string]int {
	r.Helper()
	stages, known, err := r.directory.Stages(r.Context(), id)
	if err != nil || !known {
		r.Fatalf("known %v: %v", known, err)
	}
	out := map[string]int{}
	for _, s := range stages {
		out[s.Stage.StageName] = len(s.Routes)
	}
	return out
}

func TestWhatIsNotBuiltIsRefused(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := *must[*v2.CreateApiOutput](t)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "t", ProtocolType: "HTTP"})).ApiId
	_, err := r.CreateApi(ctx, &v2.CreateApiInput{Name: "t", ProtocolType: "WEBSOCKET"})
	refused(t, err, "NotImplemented", "WebSocket")
	_, err = r.CreateApi(ctx, &v2.CreateApiInput{Name: "t", ProtocolType: "HTTP", CorsConfiguration: &v2.Cors{AllowOrigins: []string{"*"}, AllowCredentials: new(true)}})
	refused(t, err, "BadRequestException", "allowCredentials")
	for name, c := range map[string]struct {
		in         v2.CreateIntegrationInput
		code, part string
	}{
		"HTTP":        {v2.CreateIntegrationInput{IntegrationType: "HTTP_PROXY", IntegrationUri: new("https://x.example")}, "BadRequestException", "IntegrationMethod"},
		"file":        {v2.CreateIntegrationInput{IntegrationType: "HTTP_PROXY", IntegrationMethod: new("GET"), IntegrationUri: new("file:///etc/passwd")}, "BadRequestException", "Invalid HTTP endpoint"},
		"userinfo":    {v2.CreateIntegrationInput{IntegrationType: "HTTP_PROXY", IntegrationMethod: new("GET"), IntegrationUri: new("http://a@x.example/")}, "BadRequestException", "Invalid HTTP endpoint"},
		"host part":   {v2.CreateIntegrationInput{IntegrationType: "HTTP_PROXY", IntegrationMethod: new("GET"), IntegrationUri: new("http://{host}/")}, "BadRequestException", "Invalid HTTP endpoint"},
		"subtype":     {v2.CreateIntegrationInput{IntegrationType: "AWS_PROXY", IntegrationSubtype: new("SQS-SendMessage")}, "NotImplemented", "AWS services"},
		"VPC":         {v2.CreateIntegrationInput{IntegrationType: "AWS_PROXY", ConnectionType: new("VPC_LINK")}, "NotImplemented", "VPC"},
		"credentials": {v2.CreateIntegrationInput{IntegrationType: "AWS_PROXY", IntegrationUri: new(fn), CredentialsArn: new("arn:aws:iam::1:role/x")}, "NotImplemented", "Credentials"},
		"mapping":     {v2.CreateIntegrationInput{IntegrationType: "AWS_PROXY", IntegrationUri: new(fn), RequestParameters: map[string]string{"a": "b"}}, "NotImplemented", "mapping"},
		"mock":        {v2.CreateIntegrationInput{IntegrationType: "MOCK"}, "BadRequestException", "MOCK"},
		"no function": {v2.CreateIntegrationInput{IntegrationType: "AWS_PROXY", IntegrationUri: new("arn:aws:sqs:eu-west-1:1:q")}, "BadRequestException", "Invalid integration URI"},
		"variable":    {v2.CreateIntegrationInput{IntegrationType: "AWS_PROXY", IntegrationUri: new(fn + "${stageVariables.x}")}, "BadRequestException", "Invalid integration URI"},
	} {
		c.in.ApiId = id
		_, err := r.CreateIntegration(ctx, &c.in)
		t.Run(name, func(t *testing.T) { refused(t, err, c.code, c.part) })
	}
	for _, key := range []string{"", "GET", "GET tasks", "get /tasks", "GET /{a}/{a}", "GET /{a+}/b", "GET /{}", "GET /x{a}", "GET /{a", "TRACE /", "$connect", "GET /a b"} {
		_, err := r.CreateRoute(ctx, &v2.CreateRouteInput{ApiId: id, RouteKey: key})
		if err == nil {
			t.Errorf("route key %q was taken", key)
		}
	}
	for name, in := range map[string]v2.CreateRouteInput{
		"an unknown authorizer":  {RouteKey: "GET /a", AuthorizationType: new("JWT"), AuthorizerId: new("zzz")},
		"no authorizer":          {RouteKey: "GET /a", AuthorizationType: new("CUSTOM")},
		"an unknown integration": {RouteKey: "GET /a", Target: new("integrations/zzz")},
		"an API key":             {RouteKey: "GET /a", ApiKeyRequired: new(true)},
		"scopes of nothing":      {RouteKey: "GET /a", AuthorizationScopes: []string{"x"}},
	} {
		in.ApiId = id
		_, err := r.CreateRoute(ctx, &in)
		t.Run(name, func(t *testing.T) { refused(t, err, "BadRequestException", "") })
	}
	_, err = r.CreateStage(ctx, &v2.CreateStageInput{ApiId: id, StageName: "s", AccessLogSettings: &v2.AccessLogSettings{}})
	refused(t, err, "NotImplemented", "Access logs")
	for issuer, ok := range map[string]bool{"https://issuer.example/pool": true, "http://localhost:8080": true, "http://issuer.example": false, "https://a@issuer.example": false, "issuer": false} {
		_, err := r.CreateAuthorizer(ctx, &v2.CreateAuthorizerInput{ApiId: id, Name: "a", AuthorizerType: "JWT", IdentitySource: []string{"$request.header.Authorization"},
			JwtConfiguration: &v2.JWTConfiguration{Issuer: &issuer, Audience: []string{"x"}}})
		if (err == nil) != ok {
			t.Errorf("issuer %s: %v", issuer, err)
		}
	}
}

// samBody is a definition as the SAM transform writes it.
const samBody = `{"openapi":"3.0.1","info":{"title":"shop","version":"1.0"},
 "tags":[{"name":"httpapi:createdBy","x-amazon-apigateway-tag-value":"SAM"}],
 "x-amazon-apigateway-cors":{"allowOrigins":["https://app.example"],"allowMethods":["GET"],"maxAge":600,"allowCredentials":true},
 "components":{"securitySchemes":{
  "users":{"type":"oauth2","x-amazon-apigateway-authorizer":{"type":"jwt","jwtConfiguration":{"issuer":"https://issuer.example","audience":["app"]},"identitySource":"$request.header.Authorization"}},
  "guard":{"type":"apiKey","name":"Unused","in":"header","x-amazon-apigateway-authorizer":{"type":"request","authorizerUri":"` + fnPath + `","identitySource":["$request.header.X-Key"],"authorizerPayloadFormatVersion":"2.0","enableSimpleResponses":true,"authorizerResultTtlInSeconds":60}},
  "AWS_IAM":{"type":"apiKey","name":"Authorization","in":"header","x-amazon-apigateway-authtype":"awsSigv4"}}},
 "paths":{
  "$default":{"x-amazon-apigateway-any-method":{"isDefaultRoute":true,"security":[{"NONE":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `","payloadFormatVersion":"2.0"},"responses":{}}},
  "/items/{id}":{
   "get":{"security":[{"users":["items/read"]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `","payloadFormatVersion":"2.0","timeoutInMillis":5000},"responses":{}},
   "post":{"security":[{"guard":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `","payloadFormatVersion":"1.0"},"responses":{}},
   "delete":{"security":[{"AWS_IAM":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `","payloadFormatVersion":"2.0"},"responses":{}}}}}`

func TestImportOfWhatSAMWrites(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api := must[*v2.ImportApiOutput](t)(r.ImportApi(ctx, &v2.ImportApiInput{Body: samBody, FailOnWarnings: new(true)}))
	id := *api.ApiId
	if *api.Name != "shop" || api.Tags["httpapi:createdBy"] != "SAM" || *api.CorsConfiguration.MaxAge != 600 || !*api.CorsConfiguration.AllowCredentials {
		t.Errorf("%+v", api)
	}
	auths := map[string]string{}
	for _, a := range must[*v2.GetAuthorizersOutput](t)(r.GetAuthorizers(ctx, &v2.GetAuthorizersInput{ApiId: id})).Items {
		auths[*a.AuthorizerId] = a.Name + " " + *a.AuthorizerType
	}
	got := map[string]string{}
	for _, x := range must[*v2.GetRoutesOutput](t)(r.GetRoutes(ctx, &v2.GetRoutesInput{ApiId: id})).Items {
		got[x.RouteKey] = *x.AuthorizationType + " " + auths[wire.Val(x.AuthorizerId)]
		if len(x.AuthorizationScopes) > 0 {
			got[x.RouteKey] += " " + x.AuthorizationScopes[0]
		}
	}
	want := map[string]string{"$default": "NONE ", "GET /items/{id}": "JWT users JWT items/read", "POST /items/{id}": "CUSTOM guard REQUEST", "DELETE /items/{id}": "AWS_IAM "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	must[*v2.CreateStageOutput](t)(r.CreateStage(ctx, &v2.CreateStageInput{ApiId: id, StageName: "$default", AutoDeploy: new(true)}))
	must[*v2.ReimportApiOutput](t)(r.ReimportApi(ctx, &v2.ReimportApiInput{ApiId: id, Body: `{"openapi":"3.0.1","info":{"title":"shop2"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"AWS_PROXY","uri":"` + fn + `"}}}}}`}))
	if d := cmp.Diff(map[string]int{"$default": 1}, r.served(id)); d != "" {
		t.Error(d)
	}
}

// What a definition says about security is enforced, or the import fails.
// A version that a template leaves unquoted is a number by the time it is imported.
func TestImportOfPayloadFormatsAsNumbers(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	body := `{"openapi":"3.0.1","info":{"title":"t"},"components":{"securitySchemes":{"guard":{"x-amazon-apigateway-authorizer":{"type":"request","authorizerUri":"` + fnPath +
		`","identitySource":"$request.header.K","authorizerPayloadFormatVersion":%s}}}},"paths":{"/a":{"get":{"security":[{"guard":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","uri":"` +
		fnPath + `","payloadFormatVersion":%[1]s}}}}}`
	for in, want := range map[string]string{"2.0": "2.0", "2": "2.0", "1.0": "1.0", "1": "1.0", `"2.0"`: "2.0"} {
		api := must[*v2.ImportApiOutput](t)(r.ImportApi(ctx, &v2.ImportApiInput{Body: fmt.Sprintf(body, in)}))
		auth := must[*v2.GetAuthorizersOutput](t)(r.GetAuthorizers(ctx, &v2.GetAuthorizersInput{ApiId: *api.ApiId})).Items[0]
		integration := must[*v2.GetIntegrationsOutput](t)(r.GetIntegrations(ctx, &v2.GetIntegrationsInput{ApiId: *api.ApiId})).Items[0]
		if *auth.AuthorizerPayloadFormatVersion != want || *integration.PayloadFormatVersion != want {
			t.Errorf("%s is %s and %s", in, *auth.AuthorizerPayloadFormatVersion, *integration.PayloadFormatVersion)
		}
	}
	for _, in := range []string{"3.0", "2.5", "true"} {
		_, err := r.ImportApi(ctx, &v2.ImportApiInput{Body: fmt.Sprintf(body, in)})
		refused(t, err, "BadRequestException", "ayload")
	}
}

func TestImportNeverLeavesARouteOpen(t *testing.T) {
	r := newRig(t)
	const integration = `"x-amazon-apigateway-integration":{"type":"aws_proxy","uri":"` + fn + `","payloadFormatVersion":"2.0"}`
	for name, body := range map[string]string{
		"an unknown scheme":        `{"openapi":"3.0.1","info":{"title":"t"},"paths":{"/a":{"get":{"security":[{"users":[]}],` + integration + `}}}}`,
		"a scheme we cannot check": `{"openapi":"3.0.1","info":{"title":"t"},"components":{"securitySchemes":{"users":{"type":"http","scheme":"basic"}}},"paths":{"/a":{"get":{"security":[{"users":[]}],` + integration + `}}}}`,
		"security of the document": `{"openapi":"3.0.1","info":{"title":"t"},"security":[{"users":[]}],"paths":{"/a":{"get":{` + integration + `}}}}`,
		"two requirements":         `{"openapi":"3.0.1","info":{"title":"t"},"components":{"securitySchemes":{"i":{"x-amazon-apigateway-authtype":"awsSigv4"}}},"paths":{"/a":{"get":{"security":[{"i":[]},{}],` + integration + `}}}}`,
		"another authorizer":       `{"openapi":"3.0.1","info":{"title":"t"},"components":{"securitySchemes":{"u":{"x-amazon-apigateway-authorizer":{"type":"cognito"}}}},"paths":{}}`,
		"an unknown integration":   `{"openapi":"3.0.1","info":{"title":"t"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"http_proxy","uri":"https://x"}}}}}`,
		"Swagger 2":                `{"swagger":"2.0","info":{"title":"t"},"paths":{}}`,
		"no paths":                 `{"openapi":"3.0.1","info":{"title":"t"}}`,
		"no document":              `]`,
	} {
		if _, err := r.ImportApi(t.Context(), &v2.ImportApiInput{Body: body}); err == nil {
			t.Errorf("%s was imported", name)
		}
	}
	_, err := r.ImportApi(t.Context(), &v2.ImportApiInput{Body: `{"openapi":"3.0.1","info":{"title":"t"},"paths":{"/a":{"get":{}}}}`, FailOnWarnings: new(true)})
	refused(t, err, "BadRequestException", "no integration")
	if n := len(must[*v2.GetApisOutput](t)(r.GetApis(t.Context(), &v2.GetApisInput{})).Items); n != 0 {
		t.Errorf("%d APIs are left", n)
	}
}

func TestNeedsNameThePath(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	a := *must[*v2.CreateApiOutput](t)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "a", ProtocolType: "HTTP", Tags: map[string]string{"team": "a"}})).ApiId
	b := *must[*v2.CreateApiOutput](t)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "b", ProtocolType: "HTTP"})).ApiId
	r.Allow(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["apigateway:GET"],"Resource":"arn:aws:apigateway:eu-west-1::/apis/` + a + `/routes"},
		{"Effect":"Allow","Action":["apigateway:PATCH"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}},
		{"Effect":"Allow","Action":["apigateway:POST"],"Resource":"arn:aws:apigateway:eu-west-1::/apis","Condition":{"StringEquals":{"aws:RequestTag/team":"b"}}}]}`)
	must[*v2.GetRoutesOutput](t)(r.GetRoutes(ctx, &v2.GetRoutesInput{ApiId: a}))
	_, err := r.GetRoutes(ctx, &v2.GetRoutesInput{ApiId: b})
	refused(t, err, "AccessDenied", "apigateway:GET on resource: arn:aws:apigateway:eu-west-1::/apis/"+b+"/routes")
	must[*v2.UpdateApiOutput](t)(r.UpdateApi(ctx, &v2.UpdateApiInput{ApiId: a, Description: new("x")}))
	_, err = r.UpdateApi(ctx, &v2.UpdateApiInput{ApiId: b, Description: new("x")})
	refused(t, err, "AccessDenied", "apigateway:PATCH")
	must[*v2.CreateApiOutput](t)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "c", ProtocolType: "HTTP", Tags: map[string]string{"team": "b"}}))
	_, err = r.CreateApi(ctx, &v2.CreateApiInput{Name: "c", ProtocolType: "HTTP", Tags: map[string]string{"team": "a"}})
	refused(t, err, "AccessDenied", "apigateway:POST")
}

func TestTagsAndSettings(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := *must[*v2.CreateApiOutput](t)(r.CreateApi(ctx, &v2.CreateApiInput{Name: "a", ProtocolType: "HTTP", Target: new(fn)})).ApiId
	name := "arn:aws:apigateway:eu-west-1::/apis/" + id
	must[*v2.TagResourceOutput](t)(r.TagResource(ctx, &v2.TagResourceInput{ResourceArn: name, Tags: map[string]string{"a": "1", "b": "2"}}))
	must[*v2.UntagResourceOutput](t)(r.UntagResource(ctx, &v2.UntagResourceInput{ResourceArn: name, TagKeys: []string{"a"}}))
	if d := cmp.Diff(map[string]string{"b": "2"}, must[*v2.GetTagsOutput](t)(r.GetTags(ctx, &v2.GetTagsInput{ResourceArn: name})).Tags); d != "" {
		t.Error(d)
	}
	st := must[*v2.UpdateStageOutput](t)(r.UpdateStage(ctx, &v2.UpdateStageInput{ApiId: id, StageName: "$default", StageVariables: map[string]string{"color": "blue"},
		RouteSettings: map[string]v2.RouteSettings{"$default": {ThrottlingBurstLimit: new(int32(5)), ThrottlingRateLimit: new(2.5)}}}))
	if *st.RouteSettings["$default"].ThrottlingRateLimit != 2.5 || st.StageVariables["color"] != "blue" {
		t.Errorf("%+v", st)
	}
	must[*v2.DeleteRouteSettingsOutput](t)(r.DeleteRouteSettings(ctx, &v2.DeleteRouteSettingsInput{ApiId: id, StageName: "$default", RouteKey: "$default"}))
	_, err := r.DeleteRouteSettings(ctx, &v2.DeleteRouteSettingsInput{ApiId: id, StageName: "$default", RouteKey: "$default"})
	refused(t, err, "NotFoundException", "Route settings")
	_, err = r.UpdateStage(ctx, &v2.UpdateStageInput{ApiId: id, StageName: "$default", DeploymentId: new("zzzzzz")})
	refused(t, err, "BadRequestException", "autoDeploy")
}

// The resources of a stack come and go through the public operations; one that was cut off is
// found again.
func TestResources(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	byType := map[string]gate.Resource{}
	for _, res := range r.service.Resources() {
		byType[res.Type] = res
	}
	var body any
	if err := json.Unmarshal([]byte(samBody), &body); err != nil {
		t.Fatal(err)
	}
	tags := map[string]any{gate.TagStackID: "stack/1", gate.TagLogicalID: "Api", gate.TagStackName: "shop"}
	deployer := r.Client.Caller.(gate.Client)
	deployer.Source.Via = []string{"cloudformation.amazonaws.com"}
	m := gate.Making{Caller: deployer, Account: account, Region: region, StackID: "stack/1", StackName: "shop", LogicalID: "Api", Name: "shop-Api-1", Token: "t"}
	api := byType["AWS::ApiGatewayV2::Api"]
	props := map[string]any{"Body": body, "FailOnWarnings": "true", "Tags": tags, "Description": "mine"}
	made := must[gate.Made](t)(api.Create(ctx, m, props))
	m.Again = true
	again := must[gate.Made](t)(api.Create(ctx, m, props))
	if again.ID != made.ID || again.Attributes["ApiEndpoint"] == "" {
		t.Errorf("%+v and %+v", made, again)
	}
	got := must[*v2.GetApiOutput](t)(r.GetApi(ctx, &v2.GetApiInput{ApiId: made.ID}))
	if got.Tags[gate.TagStackName] != "shop" || *got.Description != "mine" {
		t.Errorf("%+v", got)
	}
	stage := byType["AWS::ApiGatewayV2::Stage"]
	sm := m
	sm.LogicalID = "Stage"
	sprops := map[string]any{"ApiId": made.ID, "StageName": "$default", "AutoDeploy": true, "Tags": map[string]any{gate.TagStackID: "stack/1", gate.TagLogicalID: "Stage"}}
	if s := must[gate.Made](t)(stage.Create(ctx, sm, sprops)); s.ID != "$default" {
		t.Errorf("%+v", s)
	}
	must[gate.Made](t)(stage.Create(ctx, sm, sprops))
	after := map[string]any{"Body": map[string]any{"openapi": "3.0.1", "info": map[string]any{"title": "shop"}, "paths": map[string]any{}}, "Tags": map[string]any{"x": "y"}}
	must[gate.Made](t)(api.Update(ctx, m, made.ID, props, after))
	if d := cmp.Diff(map[string]int{"$default": 0}, r.served(made.ID)); d != "" {
		t.Error(d)
	}
	if tags := must[*v2.GetApiOutput](t)(r.GetApi(ctx, &v2.GetApiInput{ApiId: made.ID})).Tags; tags["x"] != "y" || tags[gate.TagStackName] != "" {
		t.Errorf("%v", tags)
	}
	im := must[gate.Made](t)(byType["AWS::ApiGatewayV2::Integration"].Create(ctx, m, map[string]any{"ApiId": made.ID, "IntegrationType": "AWS_PROXY", "IntegrationUri": fn, "PayloadFormatVersion": "2.0"}))
	if twice := must[gate.Made](t)(byType["AWS::ApiGatewayV2::Integration"].Create(ctx, m, map[string]any{"ApiId": made.ID, "IntegrationType": "AWS_PROXY", "IntegrationUri": fn, "PayloadFormatVersion": float64(2)})); twice.ID != im.ID {
		t.Error("a retry made another integration")
	}
	for _, version := range []any{int64(1), float64(2)} { // as a template's 1 and 2.0 arrive
		a := must[gate.Made](t)(byType["AWS::ApiGatewayV2::Authorizer"].Create(ctx, m, map[string]any{"ApiId": made.ID, "Name": fmt.Sprint("a", version), "AuthorizerType": "REQUEST",
			"AuthorizerUri": fnPath, "AuthorizerPayloadFormatVersion": version}))
		got := must[*v2.GetAuthorizerOutput](t)(r.GetAuthorizer(ctx, &v2.GetAuthorizerInput{ApiId: made.ID, AuthorizerId: a.ID}))
		if want := fmt.Sprint(version, ".0"); *got.AuthorizerPayloadFormatVersion != want {
			t.Errorf("version %s, want %s", *got.AuthorizerPayloadFormatVersion, want)
		}
	}
	rprops := map[string]any{"ApiId": made.ID, "RouteKey": "GET /x", "Target": "integrations/" + im.ID}
	rm := must[gate.Made](t)(byType["AWS::ApiGatewayV2::Route"].Create(ctx, m, rprops))
	changed := map[string]any{"ApiId": made.ID, "RouteKey": "GET /y", "Target": "integrations/" + im.ID, "AuthorizationType": "AWS_IAM"}
	must[gate.Made](t)(byType["AWS::ApiGatewayV2::Route"].Update(ctx, m, rm.ID, rprops, changed))
	if x := must[*v2.GetRouteOutput](t)(r.GetRoute(ctx, &v2.GetRouteInput{ApiId: made.ID, RouteId: rm.ID})); *x.RouteKey != "GET /y" || *x.AuthorizationType != "AWS_IAM" {
		t.Errorf("%+v", x)
	}
	for range 2 { // what is gone already is no error
		for _, one := range []struct {
			typ, id string
		}{{"Route", rm.ID}, {"Integration", im.ID}, {"Stage", "$default"}, {"Api", made.ID}} {
			if err := byType["AWS::ApiGatewayV2::"+one.typ].Delete(ctx, m, one.id, map[string]any{"ApiId": made.ID}); err != nil {
				t.Errorf("%s: %v", one.typ, err)
			}
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(samBody)
	f.Add("openapi: 3.0.1\npaths: {/a: {get: {}}}")
	s := New(Deps{})
	f.Fuzz(func(t *testing.T, body string) {
		r := record{Account: account, Region: region, API: v2.Api{ApiId: new("a"), RouteSelectionExpression: selection}}
		if err := s.define(&r, body, nil, nil); err != nil {
			return
		}
		for i := range r.Routes {
			if err := checkRoute(&r, &r.Routes[i]); err != nil {
				t.Errorf("an imported route would be refused: %v", err)
			}
		}
	})
}
