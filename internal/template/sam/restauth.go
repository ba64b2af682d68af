package sam

import (
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// auth puts the Api's Auth property into the definition.
func (d *restDefinition) auth() error {
	a := d.get("Auth")
	if a.Empty() {
		return nil
	}
	for _, f := range a.Fields {
		switch f.Key {
		case "Authorizers", "DefaultAuthorizer", "InvokeRole", "AddDefaultAuthorizerToCorsPreflight", "AddApiKeyRequiredToCorsPreflight",
			"ApiKeyRequired", "ResourcePolicy", "UsagePlan":
		default:
			return tree.Errorf(f.Pos, "Invalid value for 'Auth' property")
		}
	}
	ed, err := d.editable(a, "Auth", "Auth configuration")
	if err != nil {
		return err
	}
	if err := d.authorizers(ed, a); err != nil {
		return err
	}
	if !a.Get("ApiKeyRequired").Empty() {
		ed.defineAPIKey()
		at := a.Field("ApiKeyRequired").Value.Pos
		preflight := !a.Has("AddApiKeyRequiredToCorsPreflight") || !a.Get("AddApiKeyRequiredToCorsPreflight").Empty()
		for _, path := range keys(ed.paths()) {
			if err := ed.requireAPIKey(path, preflight, at); err != nil {
				return err
			}
		}
	}
	if p := a.Get("ResourcePolicy"); !p.Empty() {
		if !p.Is(tree.Map) {
			return tree.Errorf(p.Pos, "ResourcePolicy must be a map (ResourcePolicyStatement).")
		}
		for _, path := range keys(ed.paths()) {
			if err := ed.resourcePolicy(p, path, d.get("StageName")); err != nil {
				return err
			}
		}
		ed.customStatements(p)
	}
	return d.postprocess()
}

// authorizers defines the Api's authorizers and sets the default one on every method.
func (d *restDefinition) authorizers(ed *editor, a *Node) error {
	list := a.Get("Authorizers")
	byDefault := a.Get("DefaultAuthorizer")
	names := []string{}
	scopes := map[string]*Node{}
	if byDefault.IsString("AWS_IAM") {
		ed.define("securityDefinitions", "AWS_IAM", awsIAM())
		names = append(names, "AWS_IAM")
	}
	if !list.Empty() {
		if !list.Is(tree.Map) {
			return tree.Errorf(list.Pos, "Property 'Auth.Authorizers' should be a map.")
		}
		for _, f := range list.Fields {
			def, err := restAuthorizer(f, d.t.opt.Partition)
			if err != nil {
				return err
			}
			ed.define("securityDefinitions", f.Key, def.At(f.Pos))
			names = append(names, f.Key)
			scopes[f.Key] = f.Value.Get("AuthorizationScopes")
		}
	}
	if len(names) == 0 || byDefault.Empty() {
		return nil
	}
	if !byDefault.Is(tree.String) {
		return tree.Errorf(byDefault.Pos, "DefaultAuthorizer is not a string.")
	}
	if !in(names, byDefault.Text) {
		return tree.Errorf(byDefault.Pos, "Unable to set DefaultAuthorizer because '%s' was not defined in 'Authorizers'.", byDefault.Text)
	}
	preflight := !a.Has("AddDefaultAuthorizerToCorsPreflight") || !a.Get("AddDefaultAuthorizerToCorsPreflight").Empty()
	s := scopes[byDefault.Text]
	if s.Absent() {
		s = tree.L()
	}
	for _, path := range keys(ed.paths()) {
		if err := ed.defaultAuthorizer(path, tree.M(byDefault.Text, s), append(names, "AWS_IAM"), preflight); err != nil {
			return err
		}
	}
	return nil
}

var notMethods = []string{"summary", "description", "parameters"}

// defaultAuthorizer secures the methods of a path that do not name an authorizer themselves. NONE
// is a method's mark that it wants none; the mark is taken away.
func (e *editor) defaultAuthorizer(path string, requirement *Node, names []string, preflight bool) error {
	return e.eachMethod(path, notMethods, func(method string, def *Node) error {
		if method == "options" && !preflight {
			return nil
		}
		existing, err := requirements(def, path, method)
		if err != nil {
			return err
		}
		var others, authorizers []*Node
		none := false
		for _, s := range existing {
			switch {
			case anyKey(s, names):
				authorizers = append(authorizers, s)
			case s.Has("NONE") && !none:
				none = true
			default:
				others = append(others, s)
			}
		}
		switch {
		case none:
			authorizers = nil
		case len(authorizers) == 0:
			authorizers = []*Node{requirement.Clone().At(def.Pos)}
		}
		if all := append(others, authorizers...); len(all) > 0 {
			def.Set("security", &Node{Kind: tree.List, Pos: def.Pos, Items: all})
			if all[0].Has("AWS_IAM") {
				e.defineIAM()
			}
		}
		return nil
	})
}

func requirements(def *Node, path, method string) ([]*Node, error) {
	s := def.Get("security")
	if s == nil {
		return nil, nil
	}
	if !s.Is(tree.List) {
		return nil, tree.Errorf(s.Pos, "Type of security for path %s method %s must be a list", path, method)
	}
	for _, it := range s.Items {
		if !it.Is(tree.Map) {
			return nil, tree.Errorf(it.Pos, "%s in Security for path %s method %s is not a valid dictionary.", it.JSON(""), path, method)
		}
	}
	return s.Items, nil
}

func anyKey(n *Node, names []string) bool {
	for _, f := range n.Fields {
		if in(names, f.Key) {
			return true
		}
	}
	return false
}

// requireAPIKey asks for an API key on the methods of a path that do not say that they need none.
func (e *editor) requireAPIKey(path string, preflight bool, at tree.Pos) error {
	return e.eachMethod(path, notMethods, func(method string, def *Node) error {
		existing, err := requirements(def, path, method)
		if err != nil {
			return err
		}
		var others []*Node
		refused := false
		for _, s := range existing {
			switch {
			case s.Has("api_key_false"):
				refused = true
			case !s.Has("api_key"):
				others = append(others, s)
			}
		}
		all := others
		if !refused && (method != "options" || preflight) {
			all = append(append([]*Node(nil), others...), tree.M("api_key", tree.L()).At(at))
		}
		list := &Node{Kind: tree.List, Pos: def.Pos, Items: all}
		if !tree.Equal(list, &Node{Kind: tree.List, Items: existing}) {
			def.Set("security", list)
		}
		return nil
	})
}

// restAuthorizer is the security definition of one authorizer: Cognito, or Lambda by token or by
// request.
func restAuthorizer(f tree.Field, partition string) (*Node, error) {
	a := f.Value
	if !a.Is(tree.Map) {
		return nil, tree.Errorf(f.Pos, "Property 'Auth.Authorizers.%s' should be a map.", f.Key)
	}
	payload, identity := a.Get("FunctionPayloadType"), a.Get("Identity")
	if !payload.Absent() && !payload.IsString("TOKEN") && !payload.IsString("REQUEST") {
		return nil, tree.Errorf(payload.Pos, "%s Authorizer has invalid 'FunctionPayloadType': %s.", f.Key, payload.Text)
	}
	if !identity.Empty() && !identity.Is(tree.Map) {
		return nil, tree.Errorf(identity.Pos, "Auth.Authorizers.<Authorizer>.Identity must be a dict (LambdaTokenAuthorizationIdentity, LambdaRequestAuthorizationIdentity or CognitoAuthorizationIdentity).")
	}
	request := payload.IsString("REQUEST")
	if request && sourceMissing(identity) {
		return nil, tree.Errorf(f.Pos, "%s Authorizer must specify Identity with at least one of Headers, QueryStrings, StageVariables, or Context.", f.Key)
	}
	if s := a.Get("AuthorizationScopes"); !s.Absent() && !s.Is(tree.List) {
		return nil, tree.Errorf(s.Pos, "Property 'Authorizers.%s.AuthorizationScopes' should be a list.", f.Key)
	}
	if p := a.Get("DisableFunctionDefaultPermissions"); !p.Absent() && !p.Is(tree.Bool) {
		return nil, tree.Errorf(p.Pos, "Property 'Authorizers.%s.DisableFunctionDefaultPermissions' should be a boolean.", f.Key)
	}
	header := tree.Str("Authorization")
	if h := identity.Get("Header"); !h.Empty() {
		header = h.Clone()
	}
	expression := identity.Get("ValidationExpression")
	if pool := a.Get("UserPoolArn"); !pool.Empty() {
		arns := pool.Clone()
		if !arns.Is(tree.List) {
			arns = tree.L(arns)
		}
		auth := tree.M("type", "cognito_user_pools", "providerARNs", arns)
		if !expression.Empty() {
			auth.Set("identityValidationExpression", expression.Clone())
		}
		return tree.M("type", "apiKey", "name", header, "in", "header", "x-amazon-apigateway-authtype", "cognito_user_pools", authorizerKey, auth), nil
	}
	auth := tree.M("type", "token", "authorizerUri", authorizerURI(a, partition))
	if request {
		header = tree.Str("Unused")
		auth.Set("type", tree.Str("request"))
	}
	if ttl := identity.Get("ReauthorizeEvery"); !ttl.Absent() {
		auth.Set("authorizerResultTtlInSeconds", ttl.Clone())
	}
	if r := a.Get("FunctionInvokeRole"); !r.Empty() && !r.IsString("NONE") {
		auth.Set("authorizerCredentials", r.Clone())
	}
	if request {
		source, err := identitySource(f.Key, identity, "method.request.header.", "method.request.querystring.", "stageVariables.", "context.")
		if err != nil {
			return nil, err
		}
		if len(source) > 0 {
			auth.Set("identitySource", tree.Str(strings.Join(source, ", ")))
		}
	} else if !expression.Empty() {
		auth.Set("identityValidationExpression", expression.Clone())
	}
	return tree.M("type", "apiKey", "name", header, "in", "header", "x-amazon-apigateway-authtype", "custom", authorizerKey, auth), nil
}

const authorizerKey = "x-amazon-apigateway-authorizer"

func authorizerURI(a *Node, partition string) *Node {
	fn := a.Get("FunctionArn").Clone()
	if fn == nil {
		fn = tree.Nil()
	}
	return sub("arn:"+partition+":apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${__FunctionArn__}/invocations", tree.M("__FunctionArn__", fn))
}

// sourceMissing reports a REQUEST authorizer that caches by nothing. Without a cache (a time of
// zero) it needs no source.
func sourceMissing(identity *Node) bool {
	if identity.Empty() {
		return true
	}
	for _, k := range []string{"Headers", "QueryStrings", "StageVariables", "Context"} {
		if !identity.Get(k).Empty() {
			return false
		}
	}
	ttl := identity.Get("ReauthorizeEvery")
	if ttl.Scalar() {
		if i, err := strconv.Atoi(ttl.Text); err == nil {
			return i > 0
		}
	}
	return true
}

func identitySource(name string, identity *Node, prefixes ...string) ([]string, error) {
	var out []string
	for i, k := range []string{"Headers", "QueryStrings", "StageVariables", "Context"} {
		list := identity.Get(k)
		if list.Empty() {
			continue
		}
		if !list.Is(tree.List) {
			return nil, tree.Errorf(list.Pos, "Property 'Auth.Authorizers.%s.Identity.%s' should be a list.", name, k)
		}
		for j, it := range list.Items {
			if !it.Is(tree.String) {
				return nil, tree.Errorf(it.Pos, "Property 'Auth.Authorizers.%s.Identity.%s[%d]' should be a string.", name, k, j)
			}
			out = append(out, prefixes[i]+it.Text)
		}
	}
	return out, nil
}
