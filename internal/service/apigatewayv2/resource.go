package apigatewayv2

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resources are the CloudFormation resource types of the service.
func (s *Service) Resources() []gate.Resource {
	return []gate.Resource{
		apiResource(),
		{Type: "AWS::ApiGatewayV2::Stage",
			Properties: []string{"ApiId", "StageName", "AutoDeploy", "DeploymentId", "Description", "StageVariables", "Tags", "RouteSettings",
				"DefaultRouteSettings", "DefaultRouteSettings.ThrottlingBurstLimit", "DefaultRouteSettings.ThrottlingRateLimit",
				"DefaultRouteSettings.DetailedMetricsEnabled", "DefaultRouteSettings.DataTraceEnabled", "DefaultRouteSettings.LoggingLevel"},
			Unbuilt: map[string]map[string]string{"DefaultRouteSettings.DetailedMetricsEnabled": {"true": "detailed metrics of routes are not built"}},
			Replace: []string{"ApiId", "StageName"}, Create: createStageResource, Update: updateStageResource, Delete: deleteStageResource},
		{Type: "AWS::ApiGatewayV2::Route", Attributes: []string{"RouteId"},
			Properties: []string{"ApiId", "RouteKey", "Target", "AuthorizationType", "AuthorizerId", "AuthorizationScopes", "OperationName", "ApiKeyRequired"},
			Replace:    []string{"ApiId"}, Create: createRouteResource, Update: updateRouteResource, Delete: deleteRouteResource},
		{Type: "AWS::ApiGatewayV2::Integration", Attributes: []string{"IntegrationId"},
			Properties: []string{"ApiId", "IntegrationType", "IntegrationUri", "IntegrationMethod", "PayloadFormatVersion", "TimeoutInMillis", "Description", "ConnectionType"},
			Unbuilt:    map[string]map[string]string{"ConnectionType": {"VPC_LINK": "VPC links are not built"}},
			Replace:    []string{"ApiId"}, Create: createIntegrationResource, Update: updateIntegrationResource, Delete: deleteIntegrationResource},
		{Type: "AWS::ApiGatewayV2::Authorizer", Attributes: []string{"AuthorizerId"},
			Properties: []string{"ApiId", "Name", "AuthorizerType", "AuthorizerUri", "AuthorizerPayloadFormatVersion", "AuthorizerResultTtlInSeconds",
				"EnableSimpleResponses", "IdentitySource", "JwtConfiguration", "JwtConfiguration.Issuer", "JwtConfiguration.Audience"},
			Replace: []string{"ApiId", "AuthorizerType"}, Create: createAuthorizerResource, Update: updateAuthorizerResource, Delete: deleteAuthorizerResource},
		{Type: "AWS::ApiGatewayV2::Deployment", Attributes: []string{"DeploymentId"}, Properties: []string{"ApiId", "Description", "StageName"},
			Replace: []string{"ApiId", "StageName"}, Create: createDeploymentResource, Update: updateDeploymentResource, Delete: deleteDeploymentResource},
	}
}

func apiResource() gate.Resource {
	return gate.Resource{Type: "AWS::ApiGatewayV2::Api", Attributes: []string{"ApiId", "ApiEndpoint"},
		Properties: []string{"Name", "ProtocolType", "Description", "Version", "Tags", "Body", "FailOnWarnings", "Target", "RouteKey",
			"DisableExecuteApiEndpoint", "RouteSelectionExpression", "ApiKeySelectionExpression", "IpAddressType",
			"CorsConfiguration", "CorsConfiguration.AllowOrigins", "CorsConfiguration.AllowMethods", "CorsConfiguration.AllowHeaders",
			"CorsConfiguration.ExposeHeaders", "CorsConfiguration.MaxAge", "CorsConfiguration.AllowCredentials"},
		Unbuilt: map[string]map[string]string{"ProtocolType": {"WEBSOCKET": "WebSocket APIs are not built"}}, Lacks: lacksOfAPI,
		Replace: []string{"ProtocolType"}, Create: createAPIResource, Update: updateAPIResource, Delete: deleteAPIResource}
}

func client(m gate.Making) v2.Client { return v2.Client{Caller: m} }

// body is an API's definition with the template's tags in it: an import takes them from there alone.
func body(props map[string]any, tags map[string]string) (string, error) {
	doc, ok := props["Body"].(map[string]any)
	if !ok {
		return "", awserr.Of(awserr.Validation, "Property Body must be a map.")
	}
	doc = maps.Clone(doc)
	list, _ := doc["tags"].([]any)
	var out []any
	for _, t := range list {
		if m, ok := t.(map[string]any); ok {
			if name, _ := m["name"].(string); tags[name] != "" && m["x-amazon-apigateway-tag-value"] != nil {
				continue
			}
		}
		out = append(out, t)
	}
	for k, v := range tags {
		out = append(out, map[string]any{"name": k, "x-amazon-apigateway-tag-value": v})
	}
	doc["tags"] = out
	var in struct{ DisableExecuteApiEndpoint *bool }
	if err := wire.Properties(&in, props); err != nil {
		return "", err
	}
	if in.DisableExecuteApiEndpoint != nil { // said here too, or the API would answer until it is said
		servers, _ := doc["servers"].([]any)
		doc["servers"] = append(slices.Clone(servers), map[string]any{"x-amazon-apigateway-endpoint-configuration": map[string]any{
			"disableExecuteApiEndpoint": *in.DisableExecuteApiEndpoint}})
	}
	b, err := json.Marshal(doc)
	return string(b), err
}

// tagsOf are a template's tags, the stack's among them.
func tagsOf(props map[string]any) (map[string]string, error) {
	var in struct{ Tags map[string]string }
	err := wire.Properties(&in, map[string]any{"Tags": props["Tags"]})
	return in.Tags, err
}

// allTags are a template's tags with those of its definition.
func allTags(props map[string]any) (map[string]string, error) {
	tags, err := tagsOf(props)
	if err != nil || props["Body"] == nil {
		return tags, err
	}
	doc, _ := props["Body"].(map[string]any)
	list, _ := doc["tags"].([]any)
	all := map[string]string{}
	for _, t := range list {
		m, _ := t.(map[string]any)
		name, _ := m["name"].(string)
		if v, ok := m["x-amazon-apigateway-tag-value"].(string); ok {
			all[name] = v
		}
	}
	maps.Copy(all, tags)
	return all, nil
}

func createAPIResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	if m.Again {
		if id, err := made(ctx, m); err != nil || id != "" {
			return attributes(ctx, m, id, err)
		}
	}
	tags, err := tagsOf(props)
	if err != nil {
		return gate.Made{}, err
	}
	if props["Body"] != nil {
		text, err := body(props, tags)
		if err != nil {
			return gate.Made{}, err
		}
		in := v2.ImportApiInput{Body: text}
		if err := wire.Properties(&in, map[string]any{"FailOnWarnings": props["FailOnWarnings"]}); err != nil {
			return gate.Made{}, err
		}
		out, err := client(m).ImportApi(ctx, &in)
		if err != nil {
			return gate.Made{}, err
		}
		return attributes(ctx, m, *out.ApiId, overlay(ctx, m, *out.ApiId, props))
	}
	in := v2.CreateApiInput{Tags: tags}
	if err := wire.Properties(&in, without(props, "Tags")); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).CreateApi(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return attributes(ctx, m, *out.ApiId, nil)
}

// overlay sets what a template says beside the definition, which the definition lacks.
func overlay(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	in := v2.UpdateApiInput{ApiId: id}
	if err := wire.Properties(&in, without(props, "Tags", "Body", "FailOnWarnings", "ProtocolType", "Target", "RouteKey")); err != nil {
		return err
	}
	if reflect.DeepEqual(in, v2.UpdateApiInput{ApiId: id}) {
		return nil
	}
	_, err := client(m).UpdateApi(ctx, &in)
	return err
}

func without(props map[string]any, names ...string) map[string]any {
	out := maps.Clone(props)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// made finds what an earlier attempt made.
func made(ctx context.Context, m gate.Making) (string, error) {
	var next *string
	for {
		page, err := client(m).GetApis(ctx, &v2.GetApisInput{NextToken: next})
		if err != nil {
			return "", err
		}
		for _, a := range page.Items {
			if m.Owns("", a.Tags) {
				return *a.ApiId, nil
			}
		}
		if next = page.NextToken; next == nil {
			return "", nil
		}
	}
}

func attributes(ctx context.Context, m gate.Making, id string, err error) (gate.Made, error) {
	if err != nil {
		return gate.Made{ID: id}, err
	}
	out, err := client(m).GetApi(ctx, &v2.GetApiInput{ApiId: id})
	if err != nil {
		return gate.Made{ID: id}, err
	}
	return gate.Made{ID: id, Attributes: map[string]any{"ApiId": id, "ApiEndpoint": wire.Val(out.ApiEndpoint)}}, nil
}

// updateAPIResource says every setting of the API, what a creation would have where the template
// says nothing; a definition is read anew with everything that it makes.
func updateAPIResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	var err error
	if after["Body"] != nil {
		if err = reimport(ctx, m, id, after); err == nil {
			err = overlay(ctx, m, id, after)
		}
	} else {
		err = resetAPI(ctx, m, id, before, after)
	}
	if err == nil && before["Target"] != nil && (after["Target"] == nil || after["Body"] != nil) {
		_, err = client(m).UpdateApi(ctx, &v2.UpdateApiInput{ApiId: id, Target: new("")})
	}
	if err == nil {
		err = retag(ctx, m, "/apis/"+id, before, after)
	}
	return attributes(ctx, m, id, err)
}

func reimport(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	tags, err := tagsOf(props)
	if err != nil {
		return err
	}
	text, err := body(props, tags)
	if err != nil {
		return err
	}
	in := v2.ReimportApiInput{ApiId: id, Body: text}
	if err := wire.Properties(&in, map[string]any{"FailOnWarnings": props["FailOnWarnings"]}); err != nil {
		return err
	}
	_, err = client(m).ReimportApi(ctx, &in)
	return err
}

// resetAPI makes an API what a template without a definition says.
func resetAPI(ctx context.Context, m gate.Making, id string, before, after map[string]any) error {
	if before["Body"] != nil { // what the old definition made goes with it
		empty := maps.Clone(after)
		empty["Body"] = map[string]any{"openapi": "3.0.1", "info": map[string]any{"title": after["Name"]}, "paths": map[string]any{}}
		if err := reimport(ctx, m, id, empty); err != nil {
			return err
		}
	}
	if before["CorsConfiguration"] != nil && after["CorsConfiguration"] == nil {
		if _, err := client(m).DeleteCorsConfiguration(ctx, &v2.DeleteCorsConfigurationInput{ApiId: id}); err != nil {
			return err
		}
	}
	in := v2.UpdateApiInput{ApiId: id, Name: new(""), Description: new(""), Version: new(""), DisableExecuteApiEndpoint: new(false),
		RouteSelectionExpression: new(selection), ApiKeySelectionExpression: new(keySelection), IpAddressType: new("ipv4")}
	if after["Target"] != nil {
		in.RouteKey = new("$default")
	}
	if err := wire.Properties(&in, without(after, "Tags", "ProtocolType")); err != nil {
		return err
	}
	_, err := client(m).UpdateApi(ctx, &in)
	return err
}

// retag makes the tags of an API or stage those of the template.
func retag(ctx context.Context, m gate.Making, resource string, before, after map[string]any) error {
	was, err := allTags(before)
	if err != nil {
		return err
	}
	want, err := allTags(after)
	if err != nil {
		return err
	}
	name := "arn:aws:apigateway:" + m.Region + "::" + resource
	var gone []string
	for k := range was {
		if _, ok := want[k]; !ok {
			gone = append(gone, k)
		}
	}
	if len(gone) > 0 {
		if _, err := client(m).UntagResource(ctx, &v2.UntagResourceInput{ResourceArn: name, TagKeys: gone}); err != nil {
			return err
		}
	}
	if len(want) == 0 || maps.Equal(was, want) {
		return nil
	}
	_, err = client(m).TagResource(ctx, &v2.TagResourceInput{ResourceArn: name, Tags: want})
	return err
}

func deleteAPIResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := client(m).DeleteApi(ctx, &v2.DeleteApiInput{ApiId: id})
	return gone(err)
}

// gone takes what is not there for deleted.
func gone(err error) error {
	if awserr.Is(err, "NotFoundException") {
		return nil
	}
	return err
}

func apiOf(props map[string]any) string {
	id, _ := props["ApiId"].(string)
	return id
}
