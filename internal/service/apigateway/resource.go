package apigateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resources are the CloudFormation resource types of the service.
func (s *Service) Resources() []gate.Resource {
	return []gate.Resource{
		{Type: "AWS::ApiGateway::RestApi", Attributes: []string{"RestApiId", "RootResourceId"},
			Properties: []string{"Name", "Description", "Body", "FailOnWarnings", "Mode", "Parameters", "Policy", "BinaryMediaTypes", "ApiKeySourceType",
				"DisableExecuteApiEndpoint", "EndpointConfiguration", "EndpointConfiguration.Types", "EndpointConfiguration.IpAddressType",
				"Tags", "Tags.Key", "Tags.Value"},
			Unbuilt: map[string]map[string]string{"Mode": {"merge": "the mode merge is not built"}, "ApiKeySourceType": {"AUTHORIZER": "API keys from authorizers are not built"},
				"EndpointConfiguration.Types": {"PRIVATE": "private endpoints are not built"}},
			Lacks:  lacksOfAPI,
			Create: createAPIResource, Update: updateAPIResource, Delete: deleteAPIResource},
		{Type: "AWS::ApiGateway::Resource", Attributes: []string{"ResourceId"}, Properties: []string{"RestApiId", "ParentId", "PathPart"},
			Replace: []string{"RestApiId", "ParentId", "PathPart"}, Create: createPathResource, Delete: deletePathResource},
		methodResource(),
		{Type: "AWS::ApiGateway::Deployment", Attributes: []string{"DeploymentId"}, Properties: []string{"RestApiId", "Description", "StageName"},
			Replace: []string{"RestApiId", "StageName"}, Create: createDeploymentResource, Update: updateDeploymentResource, Delete: deleteDeploymentResource},
		{Type: "AWS::ApiGateway::Stage",
			Properties: []string{"RestApiId", "DeploymentId", "StageName", "Description", "Variables", "CacheClusterEnabled", "TracingEnabled",
				"MethodSettings", "MethodSettings.HttpMethod", "MethodSettings.ResourcePath", "MethodSettings.ThrottlingBurstLimit", "MethodSettings.ThrottlingRateLimit",
				"MethodSettings.LoggingLevel", "MethodSettings.MetricsEnabled", "MethodSettings.DataTraceEnabled", "MethodSettings.CachingEnabled",
				"Tags", "Tags.Key", "Tags.Value"},
			Unbuilt: map[string]map[string]string{"CacheClusterEnabled": {"true": "caching is not built"}, "TracingEnabled": {"true": "TracingEnabled (AWS X-Ray) is not built"},
				"MethodSettings.CachingEnabled": {"true": "caching is not built"}, "MethodSettings.DataTraceEnabled": {"true": "execution logs of APIs are not built"},
				"MethodSettings.MetricsEnabled": {"true": "metrics of methods are not built"},
				"MethodSettings.LoggingLevel":   {"INFO": "execution logs of APIs are not built", "ERROR": "execution logs of APIs are not built"}},
			Replace: []string{"RestApiId", "StageName"}, Create: createStageResource, Update: updateStageResource, Delete: deleteStageResource},
		{Type: "AWS::ApiGateway::Authorizer", Attributes: []string{"AuthorizerId"},
			Properties: []string{"RestApiId", "Name", "Type", "AuthType", "AuthorizerUri", "IdentitySource", "IdentityValidationExpression", "AuthorizerResultTtlInSeconds"},
			Unbuilt:    map[string]map[string]string{"Type": {"COGNITO_USER_POOLS": "authorizers with Cognito user pools are not built"}},
			Replace:    []string{"RestApiId"}, Create: createAuthorizerResource, Update: updateAuthorizerResource, Delete: deleteAuthorizerResource},
	}
}

func client(m gate.Making) rest.Client { return rest.Client{Caller: m} }

// tagsOf are a template's tags, which are a list of keys and values.
func tagsOf(props map[string]any) (map[string]string, error) {
	var in struct{ Tags []struct{ Key, Value string } }
	if err := wire.Properties(&in, map[string]any{"Tags": props["Tags"]}); err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, t := range in.Tags {
		out[t.Key] = t.Value
	}
	return out, nil
}

// apiOf is a RestApi as a template describes it; the policy may be a map or text.
func apiOf(m gate.Making, props map[string]any) (rest.CreateRestApiInput, error) {
	in := rest.CreateRestApiInput{}
	p := maps.Clone(props)
	if doc, ok := p["Policy"].(map[string]any); ok {
		b, err := json.Marshal(doc)
		if err != nil {
			return in, err
		}
		p["Policy"] = string(b)
	}
	for _, k := range []string{"Tags", "Body", "FailOnWarnings", "Mode", "Parameters"} {
		delete(p, k)
	}
	p["ApiKeySource"] = p["ApiKeySourceType"]
	if err := wire.Properties(&in, p); err != nil {
		return in, err
	}
	var err error
	if in.Tags, err = tagsOf(props); err != nil {
		return in, err
	}
	if in.Name == "" {
		in.Name = titleOf(props)
	}
	if in.Name == "" {
		in.Name = m.Name
	}
	if mode, _ := props["Mode"].(string); mode != "" && mode != "overwrite" {
		return in, notBuilt("The mode " + mode + " of a RestApi")
	}
	return in, nil
}

func titleOf(props map[string]any) string {
	body, _ := props["Body"].(map[string]any)
	info, _ := body["info"].(map[string]any)
	title, _ := info["title"].(string)
	return title
}

func createAPIResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := apiOf(m, props)
	if err != nil {
		return gate.Made{}, err
	}
	id := ""
	if m.Again {
		if id, err = made(ctx, m); err != nil {
			return gate.Made{}, err
		}
	}
	if id == "" {
		out, err := client(m).CreateRestApi(ctx, &in)
		if err != nil {
			return gate.Made{}, err
		}
		id = *out.Id
	}
	if err := putBody(ctx, m, id, props, &in); err != nil {
		return gate.Made{ID: id}, err
	}
	return attributes(ctx, m, id)
}

// putBody imports the definition, and sets again what the template says beside it.
func putBody(ctx context.Context, m gate.Making, id string, props map[string]any, in *rest.CreateRestApiInput) error {
	if props["Body"] == nil {
		return nil
	}
	b, err := json.Marshal(props["Body"])
	if err != nil {
		return err
	}
	put := rest.PutRestApiInput{RestApiId: id, Mode: new("overwrite"), Body: b}
	if err := wire.Properties(&put, map[string]any{"FailOnWarnings": props["FailOnWarnings"], "Parameters": props["Parameters"]}); err != nil {
		return err
	}
	if _, err := client(m).PutRestApi(ctx, &put); err != nil {
		return err
	}
	return settings(ctx, m, id, props, in)
}

// settings makes an API's settings those of the template. What it does not say is as in a fresh
// API, or as the definition has it.
func settings(ctx context.Context, m gate.Making, id string, props map[string]any, in *rest.CreateRestApiInput) error {
	now, err := client(m).GetRestApi(ctx, &rest.GetRestApiInput{RestApiId: id})
	if err != nil {
		return err
	}
	defined := props["Body"] != nil
	var ops []rest.PatchOperation
	replace := func(path string, v *string, fresh string) {
		if v == nil && !defined {
			v = &fresh
		}
		if v != nil {
			ops = append(ops, rest.PatchOperation{Op: new("replace"), Path: &path, Value: v})
		}
	}
	if in.Name != "" {
		replace("/name", &in.Name, "")
	}
	replace("/description", in.Description, "")
	replace("/policy", in.Policy, "")
	replace("/apiKeySource", in.ApiKeySource, "HEADER")
	replace("/disableExecuteApiEndpoint", text(in.DisableExecuteApiEndpoint), "false")
	if size := text(in.MinimumCompressionSize); size != nil {
		replace("/minimumCompressionSize", size, "")
	} else {
		ops = append(ops, rest.PatchOperation{Op: new("remove"), Path: new("/minimumCompressionSize")})
	}
	for _, t := range in.BinaryMediaTypes {
		if !slices.Contains(now.BinaryMediaTypes, t) {
			ops = append(ops, rest.PatchOperation{Op: new("add"), Path: mediaType(t)})
		}
	}
	for _, t := range now.BinaryMediaTypes {
		if !defined && !slices.Contains(in.BinaryMediaTypes, t) {
			ops = append(ops, rest.PatchOperation{Op: new("remove"), Path: mediaType(t)})
		}
	}
	ops = append(ops, endpoint(props, in.EndpointConfiguration)...)
	_, err = client(m).UpdateRestApi(ctx, &rest.UpdateRestApiInput{RestApiId: id, PatchOperations: ops})
	return err
}

func mediaType(t string) *string {
	return new("/binaryMediaTypes/" + strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1"))
}

// text is how a patch says a value.
func text[T any](v *T) *string {
	if v == nil {
		return nil
	}
	return new(fmt.Sprint(*v))
}

// endpoint sets the endpoint that a template says, else the usual one; an import's parameters may
// have said another.
func endpoint(props map[string]any, e *rest.EndpointConfiguration) []rest.PatchOperation {
	kind, address := "EDGE", "ipv4"
	if e != nil {
		if len(e.Types) == 1 {
			kind = e.Types[0]
		}
		if e.IpAddressType != nil {
			address = *e.IpAddressType
		}
	} else if given, _ := props["Parameters"].(map[string]any); props["Body"] != nil && given["endpointConfigurationTypes"] != nil {
		return nil
	}
	return []rest.PatchOperation{{Op: new("replace"), Path: new("/endpointConfiguration/types/" + kind), Value: &kind},
		{Op: new("replace"), Path: new("/endpointConfiguration/ipAddressType"), Value: &address}}
}

// made finds what an earlier attempt made.
func made(ctx context.Context, m gate.Making) (string, error) {
	var next *string
	for {
		page, err := client(m).GetRestApis(ctx, &rest.GetRestApisInput{Position: next, Limit: new(int32(maxPage))})
		if err != nil {
			return "", err
		}
		for _, a := range page.Items {
			if m.Owns("", a.Tags) {
				return *a.Id, nil
			}
		}
		if next = page.Position; next == nil {
			return "", nil
		}
	}
}

func attributes(ctx context.Context, m gate.Making, id string) (gate.Made, error) {
	out, err := client(m).GetRestApi(ctx, &rest.GetRestApiInput{RestApiId: id})
	if err != nil {
		return gate.Made{ID: id}, err
	}
	return gate.Made{ID: id, Attributes: map[string]any{"RestApiId": id, "RootResourceId": *out.RootResourceId}}, nil
}

// empty is a definition of nothing.
const empty = `{"swagger":"2.0","info":{},"paths":{}}`

func updateAPIResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	in, err := apiOf(m, after)
	if err != nil {
		return gate.Made{ID: id}, err
	}
	was, err := apiOf(m, before)
	if err != nil {
		return gate.Made{ID: id}, err
	}
	if was.Name == m.Name && in.Name == m.Name {
		in.Name = "" // neither template says one: it keeps what it was created with
	}
	if after["Body"] == nil && before["Body"] != nil { // what the old definition made goes with it
		_, err = client(m).PutRestApi(ctx, &rest.PutRestApiInput{RestApiId: id, Mode: new("overwrite"), Body: []byte(empty)})
	}
	switch {
	case err != nil:
	case after["Body"] != nil:
		err = putBody(ctx, m, id, after, &in)
	default:
		err = settings(ctx, m, id, after, &in)
	}
	if err == nil {
		err = retag(ctx, m, "/restapis/"+id, was.Tags, in.Tags)
	}
	if err != nil {
		return gate.Made{ID: id}, err
	}
	return attributes(ctx, m, id)
}

// retag makes the tags of an API or stage those of the template.
func retag(ctx context.Context, m gate.Making, resource string, was, want map[string]string) error {
	name := "arn:aws:apigateway:" + m.Region + "::" + resource
	var gone []string
	for k := range was {
		if _, ok := want[k]; !ok {
			gone = append(gone, k)
		}
	}
	if len(gone) > 0 {
		if _, err := client(m).UntagResource(ctx, &rest.UntagResourceInput{ResourceArn: name, TagKeys: gone}); err != nil {
			return err
		}
	}
	if len(want) == 0 || maps.Equal(was, want) {
		return nil
	}
	_, err := client(m).TagResource(ctx, &rest.TagResourceInput{ResourceArn: name, Tags: want})
	return err
}

func deleteAPIResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := client(m).DeleteRestApi(ctx, &rest.DeleteRestApiInput{RestApiId: id})
	return gone(err)
}

// gone takes what is not there for deleted.
func gone(err error) error {
	if awserr.Is(err, "NotFoundException") {
		return nil
	}
	return err
}

func restAPIOf(props map[string]any) string {
	id, _ := props["RestApiId"].(string)
	return id
}
