package sam

import (
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// rest handles an Api event.
func (e *event) rest() (*generated, error) {
	stage := e.api.Get("StageName")
	e.stage = "Stage"
	if stage.Is(tree.String) {
		if e.stage = stage.Text; e.stage == "" {
			return nil, tree.Errorf(stage.Pos, "StageName cannot be empty.")
		}
	}
	path := greedy.ReplaceAllString(trailingSlash.ReplaceAllString(e.path, "$1"), "*")
	method := strings.ToUpper(e.method)
	if e.method == "any" {
		method = "*"
	}
	suffix := e.stage
	if !alphanumeric(suffix) {
		suffix = digest(suffix)
	}
	partition := e.m.t.opt.Partition
	g := e.permission("/"+method+path, partition, "*", suffix)
	if e.api.Get(managed).True() || e.api.Get("MergeDefinitions").True() {
		if err := e.integrateRest(); err != nil {
			return nil, err
		}
	}
	body := e.api.Get("DefinitionBody")
	if !body.Empty() && !e.auth.Get("OverrideApiAuth").Empty() {
		if e.auth.Get("Authorizer").Empty() && e.auth.Get("ApiKeyRequired").Empty() && e.auth.Get("ResourcePolicy").Empty() {
			return nil, tree.Errorf(e.auth.Pos, "Must define one of: Authorizer, ApiKeyRequired or ResourcePolicy when using the OverrideApiAuth property.")
		}
		ed, err := newEditor(body, true)
		if err != nil {
			return nil, err
		}
		return g, e.restAuth(ed)
	}
	return g, nil
}

// integrateRest adds the function to the API's definition, or, with MergeDefinitions, to one of
// its own that is then merged into the user's.
func (e *event) integrateRest() error {
	body := e.api.Get("DefinitionBody")
	if body.Absent() {
		return nil
	}
	merging := e.api.Get("MergeDefinitions").True()
	user := body
	if merging {
		body = skeleton(true).At(e.definition)
	}
	ed, err := newEditor(body, true)
	if err != nil {
		return err
	}
	if ed.integrated(e.path, e.method) {
		return tree.Errorf(e.definition, `API method "%s" defined multiple times for path "%s".`, e.method, e.path)
	}
	credentials := e.credentials()
	err = ed.integrate(e.path, e.method, e.to.condition(), e.definition, func() *Node {
		n := tree.M("type", "aws_proxy", "httpMethod", "POST", "uri", e.integration(e.uri(e.m.t.opt.Partition)))
		if e.get("ResponseTransferMode").IsString("RESPONSE_STREAM") {
			n.Set("responseTransferMode", tree.Str("STREAM"))
		}
		if credentials != nil {
			n.Set("credentials", credentials.Clone())
		}
		return n
	})
	if err != nil {
		return err
	}
	if !e.auth.Empty() {
		if err := e.restAuth(ed); err != nil {
			return err
		}
	}
	for _, step := range []func(*editor) error{e.timeout, e.requestModel, e.requestParameters} {
		if err := step(ed); err != nil {
			return err
		}
	}
	if merging {
		return e.mergeDefinition(user, body)
	}
	return nil
}

// credentials is the role that calls the function on behalf of a caller authorized by IAM.
func (e *event) credentials() *Node {
	api := e.api.Get("Auth")
	byDefault := api.Get("DefaultAuthorizer").IsString("AWS_IAM") && e.auth.Empty()
	if !e.auth.Get("Authorizer").IsString("AWS_IAM") && !byDefault {
		return nil
	}
	role := e.auth.Get("InvokeRole")
	if role.Empty() && !e.auth.Has("InvokeRole") {
		role = api.Get("InvokeRole")
		if role.Empty() && !api.Has("InvokeRole") {
			role = tree.Str("CALLER_CREDENTIALS")
		}
	}
	switch {
	case role.Empty(), role.IsString("NONE"):
		return nil
	case role.IsString("CALLER_CREDENTIALS"):
		return tree.Str("arn:" + e.m.t.opt.Partition + ":iam::*:user/*")
	}
	return role
}

func (e *event) timeout(ed *editor) error {
	t := e.get("TimeoutInMillis")
	if t.Empty() {
		return nil
	}
	return ed.eachDefinition(e.path, e.method, func(def *Node) error {
		def.Get(integrationKey).Set("timeoutInMillis", t.Clone())
		return nil
	})
}

// restAuth sets a method's authorizer, API key and resource policy.
func (e *event) restAuth(ed *editor) error {
	api := e.m.t.resolve(e.api.Get("Auth"))
	authorizer := e.auth.Get("Authorizer")
	defined := api.Get("Authorizers")
	if !authorizer.Empty() && !authorizer.IsString("AWS_IAM") {
		if err := e.knownAuthorizer(authorizer, defined, api, false); err != nil {
			return err
		}
	}
	if s := e.auth.Get("AuthorizationScopes"); !s.Empty() {
		if !s.Is(tree.List) {
			return tree.Errorf(s.Pos, "Property 'Auth.AuthorizationScopes' should be a list.")
		}
		if authorizer.Empty() {
			return tree.Errorf(s.Pos, "AuthorizationScopes works only when Authorizer is set")
		}
	}
	key := e.auth.Get("ApiKeyRequired")
	if !key.Absent() && key.Empty() && api.Get("ApiKeyRequired").Empty() {
		return tree.Errorf(key.Pos, "Unable to set ApiKeyRequired [False] on API method [%s] for path [%s] because the related API does not specify any ApiKeyRequired.", e.method, e.path)
	}
	if !authorizer.Empty() {
		if err := e.methodAuthorizer(ed, authorizer, defined); err != nil {
			return err
		}
	}
	if !key.Absent() {
		name := "api_key_false" // a mark that the API's default takes away again
		if !key.Empty() {
			name = "api_key"
			ed.defineAPIKey()
		}
		err := ed.eachDefinition(e.path, e.method, func(def *Node) error {
			return secure(def, e.path, e.method, tree.M(name, tree.L()).At(key.Pos))
		})
		if err != nil {
			return err
		}
	}
	if p := e.auth.Get("ResourcePolicy"); !p.Empty() {
		if err := ed.resourcePolicy(p, e.path, tree.Str(e.stage)); err != nil {
			return err
		}
		ed.customStatements(p)
	}
	return nil
}

func (e *event) methodAuthorizer(ed *editor, authorizer, defined *Node) error {
	scopes := tree.L()
	if def := defined.Get(authorizer.Text); def != nil && !authorizer.IsString("NONE") {
		if s := def.Get("AuthorizationScopes"); !s.Absent() {
			scopes = s
		}
		if s := e.auth.Get("AuthorizationScopes"); !s.Absent() {
			scopes = s
		}
	}
	return ed.eachDefinition(e.path, e.method, func(def *Node) error {
		if err := secure(def, e.path, e.method, tree.M(authorizer.Text, scopes.Clone()).At(e.definition)); err != nil {
			return err
		}
		if def.Get("security").Items[0].Has("AWS_IAM") {
			ed.defineIAM()
		}
		return nil
	})
}

// requestModel makes a method require a body of one of the API's models.
func (e *event) requestModel(ed *editor) error {
	rm := e.get("RequestModel")
	model := rm.Get("Model")
	if model.Empty() {
		return nil
	}
	models := e.api.Get("Models")
	fail := func(why string) error {
		return tree.Errorf(rm.Pos, "Unable to set RequestModel [%s] on API method [%s] for path [%s] because %s", model.Text, e.method, e.path, why)
	}
	switch {
	case models.Empty():
		return fail("the related API does not define any Models.")
	case !models.Is(tree.Map):
		return fail("the related API Models defined is of invalid type.")
	case !model.Is(tree.String):
		return fail("the related API does not contain valid Models.")
	case models.Get(model.Text).Empty():
		return fail("it wasn't defined in the API's Models.")
	}
	name := strings.ToLower(model.Text)
	required := rm.Get("Required")
	err := ed.eachDefinition(e.path, e.method, func(def *Node) error {
		switch {
		case !ed.doc.Get("swagger").Absent():
			p := tree.M("in", "body", "name", name, "schema", tree.M("$ref", "#/definitions/"+name))
			if !required.Absent() {
				p.Set("required", required.Clone())
			}
			appendParameter(def, p.At(e.definition))
		case version3(ed.doc.Get("openapi")):
			b := tree.M("content", tree.M("application/json", tree.M("schema", tree.M("$ref", "#/components/schemas/"+name))))
			if !required.Absent() {
				b.Set("required", required.Clone())
			}
			def.Set("requestBody", b.At(e.definition))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.requestValidator(ed, rm)
}

func appendParameter(def, p *Node) {
	params := def.Get("parameters")
	if !params.Is(tree.List) {
		params = tree.L()
		def.Set("parameters", params)
	}
	params.Add(p)
}

func (e *event) requestValidator(ed *editor, rm *Node) error {
	body, params := rm.Get("ValidateBody"), rm.Get("ValidateParameters")
	if body.Absent() && params.Absent() {
		return nil
	}
	for _, n := range []*Node{body, params} {
		if !n.Absent() && !n.Is(tree.Bool) {
			return tree.Errorf(n.Pos, "Unable to set Validator to RequestModel [%s] on API method [%s] for path [%s] ValidateBody and ValidateParameters must be a boolean type, strings or intrinsics are not supported.", rm.Get("Model").Text, e.method, e.path)
		}
	}
	name := map[[2]bool]string{{true, true}: "body-and-params", {true, false}: "body-only", {false, true}: "params-only", {false, false}: "no-validation"}[[2]bool{body.True(), params.True()}]
	at := rm.Pos
	for _, n := range []*Node{params, body} {
		if n.True() {
			at = n.Pos
		}
	}
	const key = "x-amazon-apigateway-request-validators"
	if ed.section(key).Get(name).Empty() {
		ed.define(key, name, tree.M("validateRequestBody", body.True(), "validateRequestParameters", params.True()).At(e.definition))
	}
	return ed.eachDefinition(e.path, e.method, func(def *Node) error {
		def.Set("x-amazon-apigateway-request-validator", tree.Str(name).At(at))
		return nil
	})
}

var requestParameter = regexp.MustCompile(`^method\.request\.(querystring|path|header)\.`)

func (e *event) requestParameters(ed *editor) error {
	for _, it := range e.get("RequestParameters").List() {
		name, required, caching := it.Text, false, false
		if it.Is(tree.Map) && len(it.Fields) > 0 {
			f := it.Fields[0]
			name = f.Key
			for _, k := range f.Value.Map() {
				if k.Key != "Required" && k.Key != "Caching" {
					return tree.Errorf(k.Pos, "Invalid value for 'RequestParameters' property. Values must be an object, e.g { Required: true, Caching: false }")
				}
			}
			if !f.Value.Is(tree.Map) {
				return tree.Errorf(f.Pos, "Invalid value for 'RequestParameters' property. Values must be an object, e.g { Required: true, Caching: false }")
			}
			required, caching = f.Value.Get("Required").True(), f.Value.Get("Caching").True()
		} else if !it.Is(tree.String) {
			return tree.Errorf(it.Pos, "Invalid value for 'RequestParameters' property. Property must be either a string or an object")
		}
		if !requestParameter.MatchString(name) {
			return tree.Errorf(it.Pos, "Invalid value for 'RequestParameters' property. Keys must be in the format 'method.request.[querystring|path|header].{value}', e.g 'method.request.header.Authorization'.")
		}
		where, what, _ := strings.Cut(strings.ReplaceAll(name, "method.request.", ""), ".")
		if where == "querystring" {
			where = "query"
		}
		err := ed.eachDefinition(e.path, e.method, func(def *Node) error {
			appendParameter(def, tree.M("in", where, "name", what, "required", required, "type", "string").At(it.Pos))
			if caching {
				i := def.Get(integrationKey)
				if !i.Has("cacheKeyParameters") {
					i.Set("cacheKeyParameters", tree.L().At(it.Pos))
				}
				i.Get("cacheKeyParameters").Add(tree.Str(name).At(it.Pos))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mergeDefinition puts the generated method over the user's; what both have is SAM's.
func (e *event) mergeDefinition(user, made *Node) error {
	paths := user.Get("paths")
	if paths.Absent() {
		paths = tree.M()
	}
	if !paths.Is(tree.Map) || paths.Has(e.path) && !paths.Get(e.path).Is(tree.Map) {
		return tree.Errorf(paths.Pos, "Property 'DefinitionBody' is invalid: The value of '%s' should be a map", e.path)
	}
	if !paths.Has(e.path) {
		paths.Set(e.path, tree.M().At(e.definition))
	}
	item := paths.Get(e.path)
	out := item.Get(e.method).Clone()
	if out.Absent() {
		out = tree.M().At(e.definition)
	}
	if !out.Is(tree.Map) {
		return tree.Errorf(out.Pos, "Property 'DefinitionBody.paths.%s.%s' should be a map.", e.path, e.method)
	}
	for _, f := range made.Get("paths").Get(e.path).Get(normalMethod(e.method)).Map() {
		out.Set(f.Key, f.Value)
	}
	item.Set(e.method, out)
	return nil
}
