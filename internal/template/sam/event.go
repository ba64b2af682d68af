package sam

import (
	"regexp"
	"sort"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// event is one entry of a function's Events: it adds the function to an API's definition and lets
// the API call the function.
type event struct {
	m          *macro
	name       string
	props      *Node
	to         target
	apiID      string
	api        *Node // the API's properties
	path       string
	method     string // lower case
	stage      string // suffix of the permission's id
	auth       *Node
	definition tree.Pos
}

// events generates what the function's events need, in the order of their paths ("$default" before
// "/"), so that a default route makes other permissions needless.
func (m *macro) events(to target) ([]*generated, error) {
	fields := append([]tree.Field(nil), m.get("Events").Map()...)
	order := func(f tree.Field) string {
		if p := f.Value.Dig("Properties", "Path"); p.Is(tree.String) {
			return p.Text
		}
		return f.Key
	}
	sort.SliceStable(fields, func(i, j int) bool { return order(fields[i]) < order(fields[j]) })
	var made []*generated
	for _, f := range fields {
		e := &event{m: m, name: f.Key, props: f.Value.Get("Properties"), to: to, definition: f.Pos}
		var g *generated
		err := e.check(f.Value.Get("Type").Text)
		if err == nil {
			if f.Value.Get("Type").IsString("Api") {
				g, err = e.rest()
			} else {
				g, err = e.http()
			}
		}
		if err != nil {
			return nil, eventError(f, err)
		}
		if g != nil {
			made = append(made, g)
		}
	}
	return made, nil
}

func (e *event) get(name string) *Node {
	if n := e.props.Get(name); !n.Absent() {
		return n
	}
	return nil
}

func (e *event) check(typ string) error {
	shapes := map[string]string{"Path": "s", "Method": "s", "RestApiId": "s", "Stage": "s", "Auth": "m", "RequestModel": "m",
		"RequestParameters": "l", "TimeoutInMillis": "i", "ResponseTransferMode": "s"}
	id := "RestApiId"
	if typ == "HttpApi" {
		shapes = map[string]string{"Path": "s", "Method": "s", "ApiId": "s", "Stage": "s", "Auth": "m", "TimeoutInMillis": "i",
			"RouteSettings": "m", "PayloadFormatVersion": "s"}
		id = "ApiId"
	}
	for _, f := range e.props.Map() {
		shape, ok := shapes[f.Key]
		if !ok {
			return tree.Errorf(f.Pos, "property %s not defined for resource of type %s", f.Key, typ)
		}
		if !f.Value.Absent() && !(f.Value.Is(tree.Map) && len(f.Value.Fields) == 1) && !fits(f.Value, shape) {
			return tree.Errorf(f.Value.Pos, "Property '%s' should be %s.", f.Key, shapeName(shape))
		}
	}
	for _, k := range []string{"Path", "Method"} {
		if !e.props.Get(k).Is(tree.String) {
			return tree.Errorf(posOf(e.props), "Missing required property '%s'.", k)
		}
	}
	e.path, e.method, e.auth = e.get("Path").Text, strings.ToLower(e.get("Method").Text), e.get("Auth")
	e.apiID = apiOf(e.get(id))
	def := e.m.t.resources().Get(e.apiID)
	if def == nil {
		return tree.Errorf(posOf(e.get(id)), "%s property of %s event must reference a valid resource in the same template.", id, typ)
	}
	e.api = def.Get("Properties")
	if e.api == nil {
		e.api = tree.M()
		def.Set("Properties", e.api)
	}
	return nil
}

var trailingSlash = regexp.MustCompile(`^(.+)/$`)

// permission lets API Gateway call the function on a route of the API.
func (e *event) permission(route, partition string, stage, suffix string) *generated {
	id := e.m.id + e.name + "Permission" + suffix
	g := &generated{id: id, typ: "AWS::Lambda::Permission", attrs: tree.M(), props: tree.M()}
	for _, k := range []string{"Condition", "DeletionPolicy", "UpdateReplacePolicy"} {
		if v := e.to.attrs.Get(k); v != nil {
			g.attrs.Set(k, v.Clone())
		}
	}
	id = "RestApiId"
	if stage == "" {
		id, stage = "ApiId", "*"
	}
	source := sub("arn:"+partition+":execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/${__Stage__}"+route,
		tree.M("__ApiId__", e.get(id).Clone(), "__Stage__", stage))
	g.props = tree.M("Action", "lambda:InvokeFunction", "FunctionName", e.to.name(), "Principal", "apigateway.amazonaws.com", "SourceArn", source)
	return g
}

// uri is the integration's address of the function.
func (e *event) uri(partition string) *Node {
	version, end := "2015-03-31", "/invocations"
	if e.get("ResponseTransferMode").IsString("RESPONSE_STREAM") {
		version, end = "2021-11-15", "/response-streaming-invocations"
	}
	return sub("arn:"+partition+":apigateway:${AWS::Region}:lambda:path/"+version+"/functions/"+shorthand(e.to.arn())+end, nil)
}

func (e *event) integration(uri *Node) *Node {
	if c := e.to.condition(); c != "" {
		return ifElse(c, uri, nil)
	}
	return uri
}

// http handles an HttpApi event.
func (e *event) http() (*generated, error) {
	g, err := e.httpPermission()
	if err != nil {
		return nil, err
	}
	body := e.api.Get("DefinitionBody")
	if body.Absent() {
		return g, nil
	}
	ed, err := newEditor(body, false)
	if err != nil {
		return nil, err
	}
	there := ed.integrated(e.path, e.method)
	if there && e.api.Get(managed).True() {
		return nil, tree.Errorf(e.definition, "API method '%s' defined multiple times for path '%s'.", e.method, e.path)
	}
	if !there {
		var more []tree.Field
		if e.path == defaultPath && normalMethod(e.method) == anyMethod {
			more = append(more, tree.Field{Key: "isDefaultRoute", Value: tree.Truth(true)})
		}
		err := ed.integrate(e.path, e.method, e.to.condition(), e.definition, func() *Node {
			return tree.M("type", "aws_proxy", "httpMethod", "POST", "payloadFormatVersion", "2.0", "uri", e.integration(e.uri("${AWS::Partition}")))
		}, more...)
		if err != nil {
			return nil, err
		}
	}
	if !e.auth.Empty() {
		if err := e.httpAuth(ed); err != nil {
			return nil, err
		}
	}
	return g, e.httpDetails(ed)
}

func (e *event) httpPermission() (*generated, error) {
	path := trailingSlash.ReplaceAllString(e.path, "$1")
	if body := e.api.Get("DefinitionBody"); !body.Empty() {
		ed, err := newEditor(body, false)
		if err != nil {
			return nil, err
		}
		if path != defaultPath && ed.calls(defaultPath, anyMethod, e.to.id) {
			return nil, nil // the default route's permission is for all
		}
	}
	if path == defaultPath {
		path = ""
	}
	path = greedyHTTP.ReplaceAllString(path, "*")
	method := strings.ToUpper(e.method)
	if e.method == "any" || e.method == anyMethod {
		method = "*"
	}
	route := "/" + method + path
	if e.method == "any" && path == "/"+defaultPath {
		route = path
	}
	return e.permission(route, "${AWS::Partition}", "", ""), nil
}

var functionARN = regexp.MustCompile(`([A-Za-z0-9]+)\.Arn`)

// calls reports whether every integration of a route is the function of that id.
func (ed *editor) calls(path, method, id string) bool {
	if !ed.integrated(path, method) {
		return false
	}
	all := true
	for _, item := range branches(ed.paths().Get(path)) {
		for _, def := range branches(item.Get(normalMethod(method))) {
			uri := def.Dig(integrationKey, "uri")
			if !uri.Is(tree.Map) {
				return false
			}
			for _, u := range branches(uri) {
				text := u.Get("Fn::Sub")
				m := []string(nil)
				if text.Is(tree.String) {
					m = functionARN.FindStringSubmatch(text.Text)
				}
				all = all && m != nil && m[1] == id
			}
		}
	}
	return all
}

func (e *event) httpDetails(ed *editor) error {
	return ed.eachDefinition(e.path, e.method, func(def *Node) error {
		if t := e.get("TimeoutInMillis"); !t.Empty() {
			def.Get(integrationKey).Set("timeoutInMillis", t.Clone())
		}
		for _, name := range braces.FindAllStringSubmatch(e.path, -1) {
			addParameter(def, name[1], e.definition)
		}
		if v := e.get("PayloadFormatVersion"); !v.Empty() {
			def.Get(integrationKey).Set("payloadFormatVersion", v.Clone())
		}
		return nil
	})
}

var braces = regexp.MustCompile(`{(.*?)}`)

func addParameter(def *Node, name string, p tree.Pos) {
	params := def.Get("parameters")
	if !params.Is(tree.List) {
		params = tree.L().At(p)
		def.Set("parameters", params)
	}
	for _, it := range params.Items {
		if it.Get("name").IsString(name) {
			it.Set("in", tree.Str("path").At(p))
			it.Set("required", tree.Truth(true).At(p))
			return
		}
	}
	params.Add(tree.M("name", name, "in", "path", "required", true).At(p))
}

// httpAuth sets the authorizer of a route.
func (e *event) httpAuth(ed *editor) error {
	api := e.api.Get("Auth")
	authorizer := e.auth.Get("Authorizer")
	if authorizer.Empty() {
		if authorizer = api.Get("DefaultAuthorizer").Clone(); authorizer.Empty() {
			return tree.Errorf(e.auth.Pos, "'Auth' section requires either an explicit 'Authorizer' set or a 'DefaultAuthorizer' configured on the HttpApi.")
		}
	}
	defined := api.Get("Authorizers")
	iam := api.Get("EnableIamAuthorizer").True()
	if err := e.knownAuthorizer(authorizer, defined, api, iam); err != nil {
		return err
	}
	scopes := e.auth.Get("AuthorizationScopes")
	if !scopes.Empty() && !scopes.Is(tree.List) {
		return tree.Errorf(scopes.Pos, "Unable to set Authorizer on API method [%s] for path [%s] because 'AuthorizationScopes' must be a list of strings.", e.method, e.path)
	}
	if authorizer.IsString("NONE") || authorizer.IsString("AWS_IAM") {
		scopes = nil
	} else if scopes.Empty() {
		scopes = defined.Get(authorizer.Text).Get("AuthorizationScopes")
	}
	if scopes.Empty() {
		scopes = tree.L()
	}
	return ed.eachDefinition(e.path, e.method, func(def *Node) error {
		return secure(def, e.path, e.method, tree.M(authorizer.Text, scopes.Clone()).At(e.definition))
	})
}

// knownAuthorizer refuses an authorizer that the API does not define. NONE needs a default that it
// turns off; AWS_IAM is known without a definition where it is enabled.
func (e *event) knownAuthorizer(authorizer, defined, api *Node, iam bool) error {
	name := authorizer.Text
	if !authorizer.Is(tree.String) {
		name = authorizer.JSON("")
	}
	switch {
	case authorizer.IsString("NONE"):
		if api.Get("DefaultAuthorizer").Empty() {
			return tree.Errorf(authorizer.Pos, "Unable to set Authorizer on API method [%s] for path [%s] because 'NONE' is only a valid value when a DefaultAuthorizer on the API is specified.", e.method, e.path)
		}
		return nil
	case authorizer.IsString("AWS_IAM") && iam:
		return nil
	case defined.Empty():
		return tree.Errorf(authorizer.Pos, "Unable to set Authorizer [%s] on API method [%s] for path [%s] because the related API does not define any Authorizers.", name, e.method, e.path)
	case !authorizer.Is(tree.String) || !defined.Is(tree.Map):
		return tree.Errorf(authorizer.Pos, "Unable to set Authorizer [%s] on API method [%s] for path [%s]. The method authorizer must be a string with a corresponding dict entry in the api authorizer.", name, e.method, e.path)
	case defined.Get(name).Empty():
		return tree.Errorf(authorizer.Pos, "Unable to set Authorizer [%s] on API method [%s] for path [%s] because it wasn't defined in the API's Authorizers.", name, e.method, e.path)
	case !defined.Get(name).Is(tree.Map):
		return tree.Errorf(authorizer.Pos, "Type of authorizer '%s' must be a dictionary", name)
	}
	return nil
}
