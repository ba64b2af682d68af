package apigateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// built makes an API with GET /tasks/{id} and returns its id and the resource's.
func (r *rig) built() (api, resource string) {
	r.Helper()
	ctx := r.Context()
	a := must[*rest.RestApi](r)(r.CreateRestApi(ctx, &rest.CreateRestApiInput{Name: "tasks"}))
	tasks := must[*rest.Resource](r)(r.CreateResource(ctx, &rest.CreateResourceInput{RestApiId: *a.Id, ParentId: *a.RootResourceId, PathPart: "tasks"}))
	one := must[*rest.Resource](r)(r.CreateResource(ctx, &rest.CreateResourceInput{RestApiId: *a.Id, ParentId: *tasks.Id, PathPart: "{id}"}))
	if *one.Path != "/tasks/{id}" {
		r.Errorf("path %s", *one.Path)
	}
	must[*rest.Method](r)(r.PutMethod(ctx, &rest.PutMethodInput{RestApiId: *a.Id, ResourceId: *one.Id, HttpMethod: "GET", AuthorizationType: "NONE"}))
	must[*rest.Integration](r)(r.PutIntegration(ctx, &rest.PutIntegrationInput{RestApiId: *a.Id, ResourceId: *one.Id, HttpMethod: "GET", Type: "AWS_PROXY",
		IntegrationHttpMethod: new("POST"), Uri: new(fnPath)}))
	return *a.Id, *one.Id
}

func TestDeploymentsAreSnapshots(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, res := r.built()
	must[*rest.Method](t)(r.PutMethod(ctx, &rest.PutMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "POST", AuthorizationType: "AWS_IAM"}))
	_, err := r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api})
	refused(t, err, "BadRequestException", "No integration defined for method")
	must[*rest.DeleteMethodOutput](t)(r.DeleteMethod(ctx, &rest.DeleteMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "POST"}))
	must[*rest.Deployment](t)(r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api, StageName: new("")})) // of no stage
	d := must[*rest.Deployment](t)(r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api, StageName: new("prod")}))
	must[*rest.DeleteMethodOutput](t)(r.DeleteMethod(ctx, &rest.DeleteMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "GET"}))
	must[*rest.RestApi](t)(r.UpdateRestApi(ctx, &rest.UpdateRestApiInput{RestApiId: api, PatchOperations: []rest.PatchOperation{
		{Op: new("replace"), Path: new("/policy"), Value: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}]}`)},
		{Op: new("add"), Path: new("/binaryMediaTypes/image~1png")}}}))
	stages, known, err := r.directory.Stages(ctx, api)
	if err != nil || !known || len(stages) != 1 {
		t.Fatalf("%d stages, known %v: %v", len(stages), known, err)
	}
	if s := stages[0]; s.Policy != "" || len(s.API.BinaryMediaTypes) != 0 || s.Resources[2].ResourceMethods["GET"].MethodIntegration == nil {
		t.Errorf("what is served changed before it was deployed: %+v", s)
	}
	_, err = r.DeleteDeployment(ctx, &rest.DeleteDeploymentInput{RestApiId: api, DeploymentId: *d.Id})
	refused(t, err, "BadRequestException", "Active stages")
	_, err = r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api})
	refused(t, err, "BadRequestException", "doesn't contain any methods")
	got := must[*rest.Deployment](t)(r.GetDeployment(ctx, &rest.GetDeploymentInput{RestApiId: api, DeploymentId: *d.Id, Embed: []string{"apisummary"}}))
	if *got.ApiSummary["/tasks/{id}"]["GET"].AuthorizationType != "NONE" {
		t.Errorf("%+v", got.ApiSummary)
	}
	must[*rest.DeleteRestApiOutput](t)(r.DeleteRestApi(ctx, &rest.DeleteRestApiInput{RestApiId: api}))
	_, err = r.GetStage(ctx, &rest.GetStageInput{RestApiId: api, StageName: "prod"})
	refused(t, err, "NotFoundException", "Invalid API identifier specified 123456789012:"+api)
}

// A policy's shorthand is written out for the API that it stands on.
func TestPolicyShorthand(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, _ := r.built()
	text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":["execute-api:/prod/GET/*","arn:aws:execute-api:eu-west-1:123456789012:other/*"]}}`
	replace := func(v string) error {
		_, err := r.UpdateRestApi(ctx, &rest.UpdateRestApiInput{RestApiId: api, PatchOperations: []rest.PatchOperation{{Op: new("replace"), Path: new("/policy"), Value: &v}}})
		return err
	}
	if err := replace(text); err != nil {
		t.Fatal(err)
	}
	must[*rest.Deployment](t)(r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api, StageName: new("prod")}))
	stages, _, err := r.directory.Stages(ctx, api)
	if err != nil || !strings.Contains(stages[0].Policy, `"arn:aws:execute-api:eu-west-1:123456789012:`+api+`/prod/GET/*"`) || !strings.Contains(stages[0].Policy, "other/*") {
		t.Errorf("%v %s", err, stages[0].Policy)
	}
	refused(t, replace(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`), "BadRequestException", "Invalid policy document")
	r.Allow(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"apigateway:PATCH","Resource":"*"}]}`)
	refused(t, replace(text), "AccessDenied", "apigateway:UpdateRestApiPolicy")
}

func TestWhatIsNotBuiltIsRefused(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, res := r.built()
	for name, in := range map[string]rest.CreateRestApiInput{
		"private":     {EndpointConfiguration: &rest.EndpointConfiguration{Types: []string{"PRIVATE"}}},
		"compression": {MinimumCompressionSize: new(int32(0))},
		"key source":  {ApiKeySource: new("AUTHORIZER")},
		"clone":       {CloneFrom: new("x")},
	} {
		in.Name = "t"
		_, err := r.CreateRestApi(ctx, &in)
		t.Run(name, func(t *testing.T) { refused(t, err, "NotImplemented", "") })
	}
	for name, in := range map[string]rest.PutMethodInput{
		"Cognito":   {AuthorizationType: "COGNITO_USER_POOLS"},
		"API key":   {AuthorizationType: "NONE", ApiKeyRequired: new(true)},
		"validator": {AuthorizationType: "NONE", RequestValidatorId: new("x")},
		"model":     {AuthorizationType: "NONE", RequestModels: map[string]string{"application/json": "Task"}},
		"scopes":    {AuthorizationType: "AWS_IAM", AuthorizationScopes: []string{"x"}},
	} {
		in.RestApiId, in.ResourceId, in.HttpMethod = api, res, "PUT"
		_, err := r.PutMethod(ctx, &in)
		t.Run(name, func(t *testing.T) { refused(t, err, "NotImplemented", "") })
	}
	for name, in := range map[string]rest.PutIntegrationInput{
		"HTTP template":             {Type: "HTTP", Uri: new("https://x.example"), IntegrationHttpMethod: new("GET"), RequestTemplates: map[string]string{"application/json": "{}"}},
		"HTTP body":                 {Type: "HTTP", Uri: new("https://x.example"), IntegrationHttpMethod: new("GET"), RequestParameters: map[string]string{"integration.request.header.a": "method.request.body.x"}},
		"AWS":                       {Type: "AWS", Uri: new(fnPath)},
		"service":                   {Type: "AWS_PROXY", Uri: new("arn:aws:apigateway:eu-west-1:sqs:path/q"), IntegrationHttpMethod: new("POST")},
		"credentials":               {Type: "AWS_PROXY", Uri: new(fnPath), IntegrationHttpMethod: new("POST"), Credentials: new("arn:aws:iam::123456789012:role/r")},
		"a template":                {Type: "MOCK", RequestTemplates: map[string]string{"application/json": `{"statusCode": $input.path('$.s')}`}},
		"another":                   {Type: "MOCK", RequestTemplates: map[string]string{"application/json": `#set($x=1){"statusCode":200}`}},
		"no status":                 {Type: "MOCK", RequestTemplates: map[string]string{"application/json": `{}`}},
		"a variable of the request": {Type: "AWS_PROXY", IntegrationHttpMethod: new("POST"), Uri: new(strings.Replace(fnPath, "tasks", "${context.fn}", 1))},
	} {
		in.RestApiId, in.ResourceId, in.HttpMethod = api, res, "GET"
		_, err := r.PutIntegration(ctx, &in)
		t.Run(name, func(t *testing.T) { refused(t, err, "NotImplemented", "") })
	}
	must[*rest.Integration](t)(r.PutIntegration(ctx, &rest.PutIntegrationInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", Type: "AWS_PROXY",
		IntegrationHttpMethod: new("POST"), CacheKeyParameters: []string{"method.request.path.id"}, Uri: new(strings.Replace(fnPath, "tasks", "${stageVariables.fn}:${stageVariables.version}", 1))}))
	_, err := r.PutMethod(ctx, &rest.PutMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", AuthorizationType: "NONE"})
	refused(t, err, "ConflictException", "Method already exists")
	_, err = r.CreateResource(ctx, &rest.CreateResourceInput{RestApiId: api, ParentId: res, PathPart: "a/b"})
	refused(t, err, "BadRequestException", "path part")
	root := must[*rest.RestApi](t)(r.GetRestApi(ctx, &rest.GetRestApiInput{RestApiId: api})).RootResourceId
	_, err = r.CreateResource(ctx, &rest.CreateResourceInput{RestApiId: api, ParentId: *root, PathPart: "tasks"})
	refused(t, err, "ConflictException", "already has this name: tasks")
	_, err = r.PutMethod(ctx, &rest.PutMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "PUT", AuthorizationType: "CUSTOM"})
	refused(t, err, "BadRequestException", "Invalid authorizer ID")
	for name, in := range map[string]rest.CreateAuthorizerInput{
		"no source":   {Type: "TOKEN", AuthorizerUri: new(fnPath)},
		"a bad one":   {Type: "TOKEN", AuthorizerUri: new(fnPath), IdentitySource: new("method.request.querystring.t")},
		"a bad URI":   {Type: "TOKEN", AuthorizerUri: new(fn), IdentitySource: new("method.request.header.A")},
		"not cached":  {Type: "REQUEST", AuthorizerUri: new(fnPath)},
		"a bad regex": {Type: "TOKEN", AuthorizerUri: new(fnPath), IdentitySource: new("method.request.header.A"), IdentityValidationExpression: new("(")},
	} {
		in.RestApiId, in.Name = api, name
		_, err := r.CreateAuthorizer(ctx, &in)
		t.Run(name, func(t *testing.T) { refused(t, err, "BadRequestException", "") })
	}
}

// The caller's credentials need a signed caller, and no other way in.
func TestCallerCredentials(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, res := r.built()
	got := must[*rest.Integration](t)(r.PutIntegration(ctx, &rest.PutIntegrationInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", Type: "AWS_PROXY",
		IntegrationHttpMethod: new("POST"), Uri: new(fnPath), Credentials: new("arn:aws:iam::*:user/*")}))
	if wire.Val(got.Credentials) != "arn:aws:iam::*:user/*" {
		t.Errorf("%+v", got)
	}
	_, err := r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api})
	refused(t, err, "BadRequestException", "Caller provided credentials not allowed when the authorization type is not AWS_IAM (GET /tasks/{id})")
	must[*rest.Method](t)(r.UpdateMethod(ctx, &rest.UpdateMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "GET",
		PatchOperations: []rest.PatchOperation{{Op: new("replace"), Path: new("/authorizationType"), Value: new("AWS_IAM")}}}))
	must[*rest.Deployment](t)(r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api, StageName: new("prod")}))
	must[*rest.RestApi](t)(r.UpdateRestApi(ctx, &rest.UpdateRestApiInput{RestApiId: api, PatchOperations: []rest.PatchOperation{{Op: new("replace"), Path: new("/policy"),
		Value: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}]}`)}}}))
	_, err = r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api})
	refused(t, err, "BadRequestException", "Caller provided credentials not allowed when resource policy is set")
	for _, arn := range []string{"", "arn:aws:iam::*:user/bob", "arn:aws:iam::123456789012:user/*", "arn:aws:iam::*:user/*x", "NONE"} {
		_, err = r.PutIntegration(ctx, &rest.PutIntegrationInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", Type: "AWS_PROXY",
			IntegrationHttpMethod: new("POST"), Uri: new(fnPath), Credentials: &arn})
		refused(t, err, "NotImplemented", "Credentials")
	}
	_, err = r.PutIntegration(ctx, &rest.PutIntegrationInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", Type: "MOCK", Credentials: new("arn:aws:iam::*:user/*")})
	refused(t, err, "BadRequestException", "MOCK")
}

func TestUpdatesByPatch(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api, res := r.built()
	p := func(op, path, value string) []rest.PatchOperation {
		return []rest.PatchOperation{{Op: &op, Path: &path, Value: &value}}
	}
	m := must[*rest.Method](t)(r.UpdateMethod(ctx, &rest.UpdateMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", PatchOperations: p("replace", "/authorizationType", "AWS_IAM")}))
	if *m.AuthorizationType != "AWS_IAM" {
		t.Errorf("%+v", m)
	}
	_, err := r.UpdateMethod(ctx, &rest.UpdateMethodInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", PatchOperations: p("replace", "/httpMethod", "PUT")})
	refused(t, err, "BadRequestException", "Invalid patch path")
	i := must[*rest.Integration](t)(r.UpdateIntegration(ctx, &rest.UpdateIntegrationInput{RestApiId: api, ResourceId: res, HttpMethod: "GET", PatchOperations: p("replace", "/timeoutInMillis", "500")}))
	if *i.TimeoutInMillis != 500 {
		t.Errorf("%+v", i)
	}
	must[*rest.Deployment](t)(r.CreateDeployment(ctx, &rest.CreateDeploymentInput{RestApiId: api, StageName: new("prod")}))
	st := must[*rest.Stage](t)(r.UpdateStage(ctx, &rest.UpdateStageInput{RestApiId: api, StageName: "prod", PatchOperations: append(p("replace", "/variables/color", "blue"),
		append(p("replace", "/~1tasks~1{id}/GET/throttling/burstLimit", "7"), p("replace", "/*/*/throttling/rateLimit", "2.5")...)...)}))
	if st.Variables["color"] != "blue" || *st.MethodSettings["tasks~1{id}/GET"].ThrottlingBurstLimit != 7 || *st.MethodSettings["*/*"].ThrottlingRateLimit != 2.5 {
		t.Errorf("%+v", st)
	}
	_, err = r.UpdateStage(ctx, &rest.UpdateStageInput{RestApiId: api, StageName: "prod", PatchOperations: p("replace", "/*/*/logging/loglevel", "INFO")})
	refused(t, err, "NotImplemented", "logging/loglevel")
	_, err = r.UpdateStage(ctx, &rest.UpdateStageInput{RestApiId: api, StageName: "prod", PatchOperations: p("replace", "/deploymentId", "zzzzzz")})
	refused(t, err, "NotFoundException", "Deployment")
	moved := must[*rest.Resource](t)(r.UpdateResource(ctx, &rest.UpdateResourceInput{RestApiId: api, ResourceId: res, PatchOperations: p("replace", "/pathPart", "{task}")}))
	if *moved.Path != "/tasks/{task}" {
		t.Errorf("%+v", moved)
	}
}

// samBody is a definition as the SAM transform writes it, with CORS and authorizers.
const samBody = `{"swagger":"2.0","info":{"title":"shop","version":"1.0"},
 "x-amazon-apigateway-binary-media-types":["image/png"],
 "x-amazon-apigateway-policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":["execute-api:/prod/GET/items"]}]},
 "securityDefinitions":{
  "guard":{"type":"apiKey","name":"X-Token","in":"header","x-amazon-apigateway-authtype":"custom","x-amazon-apigateway-authorizer":{"type":"token","authorizerUri":"` + fnPath + `","identityValidationExpression":"^x-[a-z]+","authorizerResultTtlInSeconds":20}},
  "ask":{"type":"apiKey","name":"Unused","in":"header","x-amazon-apigateway-authtype":"custom","x-amazon-apigateway-authorizer":{"type":"request","authorizerUri":"` + fnPath + `","identitySource":"method.request.header.A, method.request.querystring.b"}},
  "AWS_IAM":{"type":"apiKey","name":"Authorization","in":"header","x-amazon-apigateway-authtype":"awsSigv4"}},
 "paths":{"/items":{
   "get":{"security":[{"guard":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `"},"responses":{}},
   "post":{"security":[{"ask":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `"},"responses":{}},
   "x-amazon-apigateway-any-method":{"security":[{"AWS_IAM":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `"},"responses":{}},
   "options":{"summary":"CORS support","consumes":["application/json"],"produces":["application/json"],
     "x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\n  \"statusCode\" : 200\n}\n"},
       "responses":{"default":{"statusCode":"200","responseParameters":{"method.response.header.Access-Control-Allow-Origin":"'*'","method.response.header.Access-Control-Max-Age":600},"responseTemplates":{"application/json":"{}\n"}}}},
     "responses":{"200":{"description":"Default response for CORS method","headers":{"Access-Control-Allow-Origin":{"type":"string"}}}}}},
  "/items/{id}/{rest+}":{"get":{"security":[{"NONE":[]}],"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `"}}}}}`

func TestImportOfWhatSAMWrites(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	api := must[*rest.RestApi](t)(r.ImportRestApi(ctx, &rest.ImportRestApiInput{Body: []byte(samBody), FailOnWarnings: new(true), Parameters: map[string]string{"endpointConfigurationTypes": "REGIONAL"}}))
	if *api.Name != "shop" || api.BinaryMediaTypes[0] != "image/png" || api.EndpointConfiguration.Types[0] != "REGIONAL" {
		t.Errorf("%+v", api)
	}
	auths := map[string]rest.Authorizer{}
	for _, a := range must[*rest.GetAuthorizersOutput](t)(r.GetAuthorizers(ctx, &rest.GetAuthorizersInput{RestApiId: *api.Id})).Items {
		auths[*a.Id] = a
		if *a.Name == "guard" && (*a.IdentitySource != "method.request.header.X-Token" || *a.AuthorizerResultTtlInSeconds != 20) {
			t.Errorf("%+v", a)
		}
	}
	got := map[string]string{}
	for _, x := range must[*rest.GetResourcesOutput](t)(r.GetResources(ctx, &rest.GetResourcesInput{RestApiId: *api.Id, Embed: []string{"methods"}})).Items {
		for verb, m := range x.ResourceMethods {
			got[verb+" "+*x.Path] = *m.AuthorizationType + " " + wire.Val(auths[wire.Val(m.AuthorizerId)].Name)
		}
	}
	want := map[string]string{"GET /items": "CUSTOM guard", "POST /items": "CUSTOM ask", "ANY /items": "AWS_IAM ", "OPTIONS /items": "NONE ", "GET /items/{id}/{rest+}": "NONE "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	must[*rest.RestApi](t)(r.PutRestApi(ctx, &rest.PutRestApiInput{RestApiId: *api.Id, Mode: new("overwrite"),
		Body: []byte(`{"openapi":"3.0.1","info":{"title":"shop"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `"}}}}}`)}))
	items := must[*rest.GetResourcesOutput](t)(r.GetResources(ctx, &rest.GetResourcesInput{RestApiId: *api.Id})).Items
	if len(items) != 2 || *items[0].Id != *api.RootResourceId || *items[1].Path != "/a" {
		t.Errorf("%+v", items)
	}
	_, err := r.PutRestApi(ctx, &rest.PutRestApiInput{RestApiId: *api.Id, Body: []byte(samBody)})
	refused(t, err, "NotImplemented", "merge")
}

// What a definition says about security is enforced, or the import fails.
func TestImportNeverLeavesAMethodOpen(t *testing.T) {
	r := newRig(t)
	const i = `"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + fnPath + `"}`
	with := func(schemes, security string) string {
		return `{"swagger":"2.0","info":{"title":"t"},"securityDefinitions":{` + schemes + `},"paths":{"/a":{"get":{"security":[` + security + `],` + i + `}}}}`
	}
	for name, body := range map[string]string{
		"an unknown scheme":     with(``, `{"users":[]}`),
		"an API key":            with(`"api_key":{"type":"apiKey","name":"x-api-key","in":"header"}`, `{"api_key":[]}`),
		"Cognito":               with(`"c":{"x-amazon-apigateway-authtype":"cognito_user_pools","x-amazon-apigateway-authorizer":{"type":"cognito_user_pools","providerARNs":["arn:x"]}}`, `{"c":[]}`),
		"a scheme called NONE":  with(`"NONE":{"type":"basic"}`, `{"NONE":[]}`),
		"basic":                 with(`"b":{"type":"basic"}`, `{"b":[]}`),
		"one of two":            with(`"i":{"x-amazon-apigateway-authtype":"awsSigv4"}`, `{"i":[]},{}`),
		"the document's":        `{"swagger":"2.0","info":{"title":"t"},"security":[{"u":[]}],"paths":{"/a":{"get":{` + i + `}}}}`,
		"a gateway response":    `{"swagger":"2.0","info":{"title":"t"},"x-amazon-apigateway-gateway-responses":{"DEFAULT_4XX":{}},"paths":{}}`,
		"a validator":           `{"swagger":"2.0","info":{"title":"t"},"paths":{"/a":{"get":{"x-amazon-apigateway-request-validator":"x",` + i + `}}}}`,
		"a policy that is none": `{"swagger":"2.0","info":{"title":"t"},"x-amazon-apigateway-policy":{"Statement":"x"},"paths":{}}`,
		"a mock that computes":  `{"swagger":"2.0","info":{"title":"t"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\":$x}"}}}}}}`,
		"no document":           `[]`,
		"no version":            `{"info":{"title":"t"},"paths":{}}`,
	} {
		if _, err := r.ImportRestApi(t.Context(), &rest.ImportRestApiInput{Body: []byte(body)}); err == nil {
			t.Errorf("%s was imported", name)
		}
	}
}

func TestResources(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	byType := map[string]gate.Resource{}
	for _, res := range r.service.Resources() {
		byType[strings.TrimPrefix(res.Type, "AWS::ApiGateway::")] = res
	}
	var body any
	if err := json.Unmarshal([]byte(samBody), &body); err != nil {
		t.Fatal(err)
	}
	tags := []any{map[string]any{"Key": gate.TagStackID, "Value": "stack/1"}, map[string]any{"Key": gate.TagLogicalID, "Value": "Api"}}
	deployer := r.Client.Caller.(gate.Client)
	deployer.Source.Via = []string{"cloudformation.amazonaws.com"}
	m := gate.Making{Caller: deployer, Account: account, Region: region, StackID: "stack/1", LogicalID: "Api", Name: "shop-Api-1"}
	props := map[string]any{"Body": body, "Tags": tags, "Parameters": map[string]any{"endpointConfigurationTypes": "REGIONAL"},
		"EndpointConfiguration": map[string]any{"Types": []any{"REGIONAL"}}, "BinaryMediaTypes": []any{"image/gif"}}
	made := must[gate.Made](t)(byType["RestApi"].Create(ctx, m, props))
	m.Again = true
	if again := must[gate.Made](t)(byType["RestApi"].Create(ctx, m, props)); again.ID != made.ID || again.Attributes["RootResourceId"] != made.Attributes["RootResourceId"] {
		t.Errorf("%+v and %+v", made, again)
	}
	if a := must[*rest.RestApi](t)(r.GetRestApi(ctx, &rest.GetRestApiInput{RestApiId: made.ID})); len(a.BinaryMediaTypes) != 2 || a.Policy == nil {
		t.Errorf("%+v", a)
	}
	one := func(typ string, props map[string]any) gate.Made {
		t.Helper()
		props["RestApiId"] = made.ID
		return must[gate.Made](t)(byType[typ].Create(ctx, m, props))
	}
	path := one("Resource", map[string]any{"ParentId": made.Attributes["RootResourceId"], "PathPart": "x"})
	if twice := one("Resource", map[string]any{"ParentId": made.Attributes["RootResourceId"], "PathPart": "x"}); twice.ID != path.ID {
		t.Error("a retry made another resource")
	}
	auth := one("Authorizer", map[string]any{"Name": "late", "Type": "TOKEN", "AuthorizerUri": fnPath, "IdentitySource": "method.request.header.A", "AuthorizerResultTtlInSeconds": "0"})
	mprops := map[string]any{"ResourceId": path.ID, "HttpMethod": "GET", "AuthorizationType": "CUSTOM", "AuthorizerId": auth.ID,
		"MethodResponses": []any{map[string]any{"StatusCode": "200", "ResponseParameters": map[string]any{"method.response.header.A": "true"}}},
		"Integration": map[string]any{"Type": "MOCK", "RequestTemplates": map[string]any{"application/json": `{"statusCode":200}`},
			"IntegrationResponses": []any{map[string]any{"StatusCode": 200, "ResponseParameters": map[string]any{"method.response.header.A": "'b'"}}}}}
	meth := one("Method", mprops)
	one("Method", mprops)
	got := must[*rest.Method](t)(r.GetMethod(ctx, &rest.GetMethodInput{RestApiId: made.ID, ResourceId: path.ID, HttpMethod: "GET"}))
	if got.MethodIntegration.IntegrationResponses["200"].ResponseParameters["method.response.header.A"] != "'b'" || *got.AuthorizerId != auth.ID {
		t.Errorf("%+v", got)
	}
	dep := one("Deployment", map[string]any{})
	sprops := map[string]any{"RestApiId": made.ID, "StageName": "prod", "DeploymentId": dep.ID, "Variables": map[string]any{"a": "1"},
		"MethodSettings": []any{map[string]any{"ResourcePath": "/x", "HttpMethod": "GET", "ThrottlingBurstLimit": 3}}}
	one("Stage", sprops)
	dep2 := one("Deployment", map[string]any{})
	must[gate.Made](t)(byType["Stage"].Update(ctx, m, "prod", sprops, map[string]any{"RestApiId": made.ID, "StageName": "prod", "DeploymentId": dep2.ID}))
	st := must[*rest.Stage](t)(r.GetStage(ctx, &rest.GetStageInput{RestApiId: made.ID, StageName: "prod"}))
	if *st.DeploymentId != dep2.ID || len(st.Variables) != 0 || st.MethodSettings["x/GET"].ThrottlingBurstLimit != nil {
		t.Errorf("%+v", st)
	}
	must[gate.Made](t)(byType["RestApi"].Update(ctx, m, made.ID, props, map[string]any{"Body": map[string]any{"openapi": "3.0.1", "info": map[string]any{"title": "n"}, "paths": map[string]any{}}}))
	if a := must[*rest.RestApi](t)(r.GetRestApi(ctx, &rest.GetRestApiInput{RestApiId: made.ID})); *a.Name != "n" || a.Policy != nil || len(a.Tags) != 0 {
		t.Errorf("%+v", a)
	}
	for range 2 { // what is gone already is no error
		for _, x := range [][2]string{{"Stage", "prod"}, {"Deployment", dep.ID}, {"Method", meth.ID}, {"Authorizer", auth.ID}, {"Resource", path.ID}, {"RestApi", made.ID}} {
			if err := byType[x[0]].Delete(ctx, m, x[1], map[string]any{"RestApiId": made.ID}); err != nil {
				t.Errorf("%s: %v", x[0], err)
			}
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(samBody))
	f.Add([]byte("swagger: '2.0'\ninfo: {title: t}\npaths: {/a: {get: {}}}"))
	s := New(Deps{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := record{Account: account, Region: region, API: rest.RestApi{Id: new("a"), ApiKeySource: new("HEADER"), RootResourceId: new("root")},
			Resources: []rest.Resource{{Id: new("root"), Path: new("/")}}}
		if err := s.define(&r, body, nil, nil); err != nil {
			return
		}
		for _, x := range r.Resources {
			for _, m := range x.ResourceMethods {
				if err := r.checkMethod(&m); err != nil {
					t.Errorf("an imported method would be refused: %v", err)
				}
			}
		}
	})
}
