package apigatewayv2

import (
	"context"
	"maps"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/document"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// The resources that are parts of an API: their names are found in it, and they go with it. An
// update says every setting, what a creation would have where the template says nothing: else one
// that the template drops would stay in force.

func createStageResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := v2.CreateStageInput{}
	if err := wire.Properties(&in, props); err != nil {
		return gate.Made{}, err
	}
	_, err := client(m).CreateStage(ctx, &in)
	if awserr.Is(err, "ConflictException") && m.Again {
		got, gerr := client(m).GetStage(ctx, &v2.GetStageInput{ApiId: in.ApiId, StageName: in.StageName})
		if gerr == nil && m.Owns("", got.Tags) {
			err = nil
		}
	}
	return gate.Made{ID: in.StageName}, err
}

func updateStageResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	in := v2.UpdateStageInput{AutoDeploy: new(false), Description: new(""), StageVariables: map[string]string{},
		RouteSettings: map[string]v2.RouteSettings{}, DefaultRouteSettings: &v2.RouteSettings{}}
	if err := wire.Properties(&in, without(after, "Tags")); err != nil {
		return gate.Made{ID: id}, err
	}
	// A stage that neither deploys by itself nor names a deployment keeps one that a Deployment
	// resource gave it, not one that its own old properties did.
	var was v2.UpdateStageInput
	if err := wire.Properties(&was, without(before, "Tags")); err != nil {
		return gate.Made{ID: id}, err
	}
	if in.DeploymentId == nil && !*in.AutoDeploy && (was.DeploymentId != nil || wire.Val(was.AutoDeploy)) {
		in.DeploymentId = new("")
	}
	if _, err := client(m).UpdateStage(ctx, &in); err != nil {
		return gate.Made{ID: id}, err
	}
	return gate.Made{ID: id}, retag(ctx, m, "/apis/"+in.ApiId+"/stages/"+id, before, after)
}

func deleteStageResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteStage(ctx, &v2.DeleteStageInput{ApiId: apiOf(props), StageName: id})
	return gone(err)
}

func createRouteResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := v2.CreateRouteInput{}
	if err := wire.Properties(&in, props); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).CreateRoute(ctx, &in)
	if err == nil {
		return gate.Made{ID: *out.RouteId, Attributes: map[string]any{"RouteId": *out.RouteId}}, nil
	}
	if !m.Again || !awserr.Is(err, "ConflictException") {
		return gate.Made{}, err
	}
	// An earlier attempt's is the same in everything.
	routes, gerr := client(m).GetRoutes(ctx, &v2.GetRoutesInput{ApiId: in.ApiId})
	if gerr != nil {
		return gate.Made{}, gerr
	}
	for _, r := range routes.Items {
		same := r.RouteKey == in.RouteKey && wire.Val(r.Target) == wire.Val(in.Target) && wire.Val(r.AuthorizerId) == wire.Val(in.AuthorizerId)
		if same && (in.AuthorizationType == nil || *in.AuthorizationType == wire.Val(r.AuthorizationType)) {
			return gate.Made{ID: *r.RouteId, Attributes: map[string]any{"RouteId": *r.RouteId}}, nil
		}
	}
	return gate.Made{}, err
}

func updateRouteResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in := v2.UpdateRouteInput{RouteId: id, AuthorizationType: new("NONE"), AuthorizationScopes: []string{}, AuthorizerId: new(""),
		Target: new(""), OperationName: new(""), ApiKeyRequired: new(false)}
	if err := wire.Properties(&in, after); err != nil {
		return gate.Made{ID: id}, err
	}
	_, err := client(m).UpdateRoute(ctx, &in)
	return gate.Made{ID: id, Attributes: map[string]any{"RouteId": id}}, err
}

func deleteRouteResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteRoute(ctx, &v2.DeleteRouteInput{ApiId: apiOf(props), RouteId: id})
	return gone(err)
}

func createIntegrationResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := v2.CreateIntegrationInput{}
	if err := wire.Properties(&in, versioned(props)); err != nil {
		return gate.Made{}, err
	}
	if m.Again {
		if id, err := spareIntegration(ctx, m, &in); err != nil || id != "" {
			return gate.Made{ID: id, Attributes: map[string]any{"IntegrationId": id}}, err
		}
	}
	out, err := client(m).CreateIntegration(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: *out.IntegrationId, Attributes: map[string]any{"IntegrationId": *out.IntegrationId}}, nil
}

// spareIntegration finds what an earlier attempt made: one like the wanted that no route has yet.
func spareIntegration(ctx context.Context, m gate.Making, in *v2.CreateIntegrationInput) (string, error) {
	all, err := client(m).GetIntegrations(ctx, &v2.GetIntegrationsInput{ApiId: in.ApiId})
	if err != nil {
		return "", err
	}
	routes, err := client(m).GetRoutes(ctx, &v2.GetRoutesInput{ApiId: in.ApiId})
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, r := range routes.Items {
		used[wire.Val(r.Target)] = true
	}
	for _, i := range all.Items {
		if !used["integrations/"+*i.IntegrationId] && wire.Val(i.IntegrationUri) == wire.Val(in.IntegrationUri) && wire.Val(i.Description) == wire.Val(in.Description) &&
			(in.PayloadFormatVersion == nil || wire.Val(i.PayloadFormatVersion) == *in.PayloadFormatVersion) {
			return *i.IntegrationId, nil
		}
	}
	return "", nil
}

// versioned writes payload format versions as the API has them: templates leave 2.0 unquoted, which
// is the number 2 by the time that it gets here.
func versioned(props map[string]any) map[string]any {
	props = maps.Clone(props)
	for _, name := range []string{"PayloadFormatVersion", "AuthorizerPayloadFormatVersion"} {
		switch v := props[name].(type) {
		case int64, float64:
			props[name] = *payloadFormat(document.Of(v))
		}
	}
	return props
}

func updateIntegrationResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in := v2.UpdateIntegrationInput{IntegrationId: id, IntegrationUri: new(""), IntegrationMethod: new("POST"),
		ConnectionType: new("INTERNET"), PayloadFormatVersion: new("1.0"), TimeoutInMillis: new(int32(usualTimeout)), Description: new("")}
	if err := wire.Properties(&in, versioned(after)); err != nil {
		return gate.Made{ID: id}, err
	}
	_, err := client(m).UpdateIntegration(ctx, &in)
	return gate.Made{ID: id, Attributes: map[string]any{"IntegrationId": id}}, err
}

func deleteIntegrationResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteIntegration(ctx, &v2.DeleteIntegrationInput{ApiId: apiOf(props), IntegrationId: id})
	return gone(err)
}

func createAuthorizerResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := v2.CreateAuthorizerInput{IdentitySource: []string{}}
	if err := wire.Properties(&in, versioned(props)); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).CreateAuthorizer(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: *out.AuthorizerId, Attributes: map[string]any{"AuthorizerId": *out.AuthorizerId}}, nil
}

func updateAuthorizerResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in := v2.UpdateAuthorizerInput{AuthorizerId: id, IdentitySource: []string{}}
	if err := wire.Properties(&in, versioned(after)); err != nil {
		return gate.Made{ID: id}, err
	}
	if wire.Val(in.AuthorizerType) != "JWT" { // which has neither
		if in.EnableSimpleResponses == nil {
			in.EnableSimpleResponses = new(false)
		}
		if in.AuthorizerResultTtlInSeconds == nil {
			in.AuthorizerResultTtlInSeconds = new(usualTTL(in.IdentitySource))
		}
	}
	_, err := client(m).UpdateAuthorizer(ctx, &in)
	return gate.Made{ID: id, Attributes: map[string]any{"AuthorizerId": id}}, err
}

func deleteAuthorizerResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteAuthorizer(ctx, &v2.DeleteAuthorizerInput{ApiId: apiOf(props), AuthorizerId: id})
	return gone(err)
}

func createDeploymentResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in := v2.CreateDeploymentInput{}
	if err := wire.Properties(&in, props); err != nil {
		return gate.Made{}, err
	}
	out, err := client(m).CreateDeployment(ctx, &in)
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: *out.DeploymentId, Attributes: map[string]any{"DeploymentId": *out.DeploymentId}}, nil
}

func updateDeploymentResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in := v2.UpdateDeploymentInput{DeploymentId: id, Description: new("")}
	if err := wire.Properties(&in, after); err != nil {
		return gate.Made{ID: id}, err
	}
	_, err := client(m).UpdateDeployment(ctx, &in)
	return gate.Made{ID: id, Attributes: map[string]any{"DeploymentId": id}}, err
}

func deleteDeploymentResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	_, err := client(m).DeleteDeployment(ctx, &v2.DeleteDeploymentInput{ApiId: apiOf(props), DeploymentId: id})
	return gone(err)
}
