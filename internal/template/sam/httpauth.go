package sam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// httpAuthorizer is the security scheme of one authorizer: JWT, or a Lambda function.
func httpAuthorizer(f tree.Field, partition string) (*Node, error) {
	a := f.Value
	if !a.Is(tree.Map) {
		return nil, tree.Errorf(f.Pos, "Property 'Auth.Authorizers.%s' should be a map.", f.Key)
	}
	if a.Has("OpenIdConnectUrl") {
		return nil, tree.Errorf(a.Field("OpenIdConnectUrl").Pos, "'OpenIdConnectUrl' is no longer a supported property for authorizer '%s'. Please refer to the AWS SAM documentation.", f.Key)
	}
	jwt := a.Get("JwtConfiguration")
	if !jwt.Empty() && !jwt.Is(tree.Map) {
		return nil, tree.Errorf(jwt.Pos, "Property 'JwtConfiguration' should be a map.")
	}
	if s := a.Get("AuthorizationScopes"); !s.Absent() && !s.Is(tree.List) {
		return nil, tree.Errorf(s.Pos, "AuthorizationScopes must be a list.")
	}
	if err := misplaced(a, !jwt.Empty()); err != nil {
		return nil, err
	}
	if !jwt.Empty() {
		return jwtScheme(f, jwt)
	}
	for _, k := range []string{"FunctionArn", "AuthorizerPayloadFormatVersion"} {
		if a.Get(k).Empty() {
			return nil, tree.Errorf(f.Pos, "%s Lambda Authorizer must define '%s'.", f.Key, k)
		}
	}
	auth := tree.M("type", "request", "authorizerUri", authorizerURI(a, partition))
	if r := a.Get("FunctionInvokeRole"); !r.Empty() && !r.IsString("NONE") {
		auth.Set("authorizerCredentials", r.Clone())
	}
	if identity := a.Get("Identity"); !identity.Empty() {
		if !identity.Is(tree.Map) {
			return nil, tree.Errorf(identity.Pos, "Property 'Auth.Authorizers.%s.Identity' should be a map.", f.Key)
		}
		if ttl := identity.Get("ReauthorizeEvery"); !ttl.Absent() {
			auth.Set("authorizerResultTtlInSeconds", ttl.Clone())
		}
		source, err := identitySource(f.Key, identity, "$request.header.", "$request.querystring.", "$stageVariables.", "$context.")
		if err != nil {
			return nil, err
		}
		auth.Set("identitySource", tree.Strs(source...))
	}
	auth.Set("authorizerPayloadFormatVersion", a.Get("AuthorizerPayloadFormatVersion").Clone())
	if s := a.Get("EnableSimpleResponses"); !s.Empty() {
		auth.Set("enableSimpleResponses", s.Clone())
	}
	return tree.M("type", "apiKey", "name", "Unused", "in", "header", authorizerKey, auth), nil
}

func jwtScheme(f tree.Field, jwt *Node) (*Node, error) {
	source := f.Value.Get("IdentitySource")
	if source.Empty() {
		return nil, tree.Errorf(f.Pos, "%s OAuth2 Authorizer must define 'IdentitySource'.", f.Key)
	}
	config := tree.M()
	for _, k := range jwt.Fields {
		config.Set(strings.ToLower(k.Key), k.Value.Clone())
	}
	return tree.M("type", "oauth2", authorizerKey, tree.M("jwtConfiguration", config, "identitySource", source.Clone(), "type", "jwt")), nil
}

// misplaced refuses properties of the other kind of authorizer.
func misplaced(a *Node, jwt bool) error {
	forJWT := []string{"AuthorizationScopes", "JwtConfiguration", "IdentitySource"}
	forLambda := []string{"FunctionArn", "FunctionInvokeRole", "Identity", "AuthorizerPayloadFormatVersion", "EnableSimpleResponses", "EnableFunctionDefaultPermissions"}
	for _, f := range a.Fields {
		if f.Value.Absent() {
			continue
		}
		if jwt && in(forLambda, f.Key) {
			return tree.Errorf(f.Pos, "%s is only supported for Lambda Authorizer.", f.Key)
		}
		if !jwt && in(forJWT, f.Key) {
			hint := "OAuth2 Authorizer."
			if f.Key == "IdentitySource" {
				hint = "OAuth2 Authorizer. For Lambda Authorizer, use the 'Identity' property instead."
			}
			return tree.Errorf(f.Pos, "%s is only supported for %s", f.Key, hint)
		}
	}
	if p := a.Get("EnableFunctionDefaultPermissions"); !p.Absent() && !p.Is(tree.Bool) {
		return tree.Errorf(p.Pos, "Property 'Authorizers.EnableFunctionDefaultPermissions' should be a boolean.")
	}
	return nil
}

// authorizerPermissions let the API call its Lambda authorizers: by default for a REST API, when
// asked for an HTTP API.
func (m *macro) authorizerPermissions(rest bool) ([]*generated, error) {
	var made []*generated
	for _, f := range m.get("Auth").Get("Authorizers").Map() {
		fn := f.Value.Get("FunctionArn")
		on := f.Value.Get("EnableFunctionDefaultPermissions").True()
		partition := "${AWS::Partition}"
		if rest {
			on, partition = !f.Value.Get("DisableFunctionDefaultPermissions").True(), m.t.opt.Partition
		}
		if fn.Empty() || !on {
			continue
		}
		if !alphanumeric(f.Key) {
			return nil, tree.Errorf(f.Pos, "Logical ids must be alphanumeric.")
		}
		p := m.child(m.id+f.Key+"AuthorizerPermission", "AWS::Lambda::Permission")
		p.props = tree.M("Action", "lambda:InvokeFunction", "FunctionName", fn.Clone(), "Principal", "apigateway.amazonaws.com",
			"SourceArn", sub("arn:"+partition+":execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*", tree.M("__ApiId__", ref(m.id))))
		made = append(made, p)
	}
	return made, nil
}
