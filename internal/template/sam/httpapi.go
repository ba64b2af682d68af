package sam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// httpAPI generates an HttpApi's resources: the API with its definition, its stage, and the
// permissions of its authorizers.
func (m *macro) httpAPI() ([]*generated, error) {
	if d := m.get("Domain"); !d.Empty() {
		m.t.note(d.Pos, "Domain (of %s) is not built.", m.id)
	}
	if c := m.get("CorsConfiguration"); c != nil {
		m.props.Set("CorsConfiguration", m.t.resolve(c))
	}
	d := &httpDefinition{macro: m, body: m.get("DefinitionBody").Clone()}
	if d.body.Empty() {
		d.body = nil
	}
	uri := m.get("DefinitionUri")
	if !uri.Empty() && d.body != nil {
		return nil, m.errorf(uri, "Specify either 'DefinitionUri' or 'DefinitionBody' property and not both.")
	}
	for _, step := range []func() error{d.cors, d.auth, d.tags, d.disableEndpoint, d.title, d.description, d.renameDefault} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	api := m.main("AWS::ApiGatewayV2::Api")
	switch {
	case !uri.Empty():
		loc, err := bodyLocation(uri)
		if err != nil {
			return nil, err
		}
		api.props.Set("BodyS3Location", loc)
	case d.body != nil:
		api.props.Set("Body", d.body)
	default:
		return nil, m.errorf(nil, "'DefinitionUri' or 'DefinitionBody' are required properties of an 'AWS::Serverless::HttpApi'. Add a value for one of these properties or add a 'HttpApi' event to an 'AWS::Serverless::Function'.")
	}
	if f := m.get("FailOnWarnings"); !f.Empty() {
		api.props.Set("FailOnWarnings", f.Clone())
	}
	permissions, err := m.authorizerPermissions(false)
	if err != nil {
		return nil, err
	}
	stage := d.stage()
	made := append(append([]*generated{api}, permissions...), stage)
	propagate(made, d.allTags, m.get("DefinitionBody") != nil)
	m.refer(made, "Stage", "AWS::ApiGatewayV2::Stage")
	return made, nil
}

// httpDefinition is an HttpApi's definition while it is put together.
type httpDefinition struct {
	*macro
	body    *Node
	allTags *Node // the API's tags with SAM's own
}

func (d *httpDefinition) stage() *generated {
	name := d.get("StageName").Clone()
	if name.Empty() {
		name = tree.Str(defaultPath)
	}
	id := d.id + "Stage"
	switch {
	case name.IsString(defaultPath):
		id = d.id + "ApiGatewayDefaultStage"
	case name.Is(tree.String) && alphanumeric(name.Text):
		id = d.id + name.Text + "Stage"
	case name.Is(tree.String):
		id += digest(name.Text)
	}
	s := d.child(id, "AWS::ApiGatewayV2::Stage")
	s.props = tree.M("ApiId", ref(d.id), "StageName", name, "AutoDeploy", true)
	d.pass(s, "StageVariables", "AccessLogSettings", "DefaultRouteSettings", "RouteSettings")
	if d.allTags != nil {
		s.props.Set("Tags", d.allTags.Clone())
	}
	return s
}

// editable checks that the definition is inline and can be edited.
func (d *httpDefinition) editable(property *Node, name, what string) (*editor, error) {
	if d.body == nil {
		return nil, d.errorf(property, "%s works only with inline OpenApi specified in the 'DefinitionBody' property.", name)
	}
	if !validDefinition(d.body, false) {
		return nil, d.errorf(property, "Unable to add %s because 'DefinitionBody' does not contain a valid OpenApi definition.", what)
	}
	return newEditor(d.body, false)
}

func (d *httpDefinition) cors() error {
	c := d.get("CorsConfiguration")
	if c.Empty() {
		return nil
	}
	ed, err := d.editable(c, "Cors", "Cors configuration")
	if err != nil {
		return err
	}
	out := ed.section("x-amazon-apigateway-cors")
	lower := func(k string) string { return strings.ToLower(k[:1]) + k[1:] }
	names := []string{"AllowOrigins", "AllowHeaders", "AllowMethods", "ExposeHeaders", "MaxAge", "AllowCredentials"}
	switch {
	case c.Is(tree.Bool):
		out.Set("allowOrigins", tree.Strs("*").At(c.Pos))
	case isIntrinsic(c):
		// Keys in the branches of the function are written as OpenAPI has them.
		f := c.Fields[0]
		out.Set(f.Key, renameKeys(f.Value, names, lower))
	default:
		for _, f := range c.Fields {
			if !in(names, f.Key) {
				return tree.Errorf(f.Pos, "Invalid key '%s' for 'Cors' property.", f.Key)
			}
		}
		if o := c.Get("AllowOrigins"); c.Get("AllowCredentials").True() && o.Is(tree.List) && len(o.Items) == 1 && o.Items[0].IsString("*") {
			return d.errorf(c, "Unable to add Cors configuration because 'AllowCredentials' can not be true when 'AllowOrigin' is \"'*'\" or not set.")
		}
		for _, k := range names {
			v := c.Get(k)
			if k == "MaxAge" && !v.Absent() || k == "AllowCredentials" && v.True() || k != "MaxAge" && k != "AllowCredentials" && !v.Empty() {
				out.Set(lower(k), v.Clone())
			}
		}
	}
	return nil
}

func renameKeys(n *Node, names []string, rename func(string) string) *Node {
	c := n.Clone()
	for i, it := range c.Items {
		c.Items[i] = renameKeys(it, names, rename)
	}
	for i, f := range c.Fields {
		if in(names, f.Key) {
			c.Fields[i].Key = rename(f.Key)
		}
		c.Fields[i].Value = renameKeys(f.Value, names, rename)
	}
	return c
}

func (d *httpDefinition) auth() error {
	a := d.get("Auth")
	if a.Empty() {
		return nil
	}
	for _, f := range a.Fields {
		if !in([]string{"Authorizers", "DefaultAuthorizer", "EnableIamAuthorizer"}, f.Key) {
			return tree.Errorf(f.Pos, "Invalid value for 'Auth' property")
		}
	}
	ed, err := d.editable(a, "Auth", "Auth configuration")
	if err != nil {
		return err
	}
	var names []string
	schemes := tree.M()
	if a.Get("EnableIamAuthorizer").True() {
		names = append(names, "AWS_IAM")
		schemes.Set("AWS_IAM", tree.M("type", "apiKey", "name", "Authorization", "in", "header", "x-amazon-apigateway-authtype", "awsSigv4").At(a.Pos))
	}
	list := a.Get("Authorizers")
	if !list.Empty() && !list.Is(tree.Map) {
		return tree.Errorf(list.Pos, "Property 'Auth.Authorizers' should be a map.")
	}
	for _, f := range list.Map() {
		s, err := httpAuthorizer(f, d.t.opt.Partition)
		if err != nil {
			return err
		}
		names = append(names, f.Key)
		schemes.Set(f.Key, s.At(f.Pos))
	}
	if len(names) > 0 {
		c := &editor{ed.section("components")}
		for _, f := range schemes.Fields {
			c.define("securitySchemes", f.Key, f.Value)
		}
	}
	byDefault := a.Get("DefaultAuthorizer")
	switch {
	case byDefault.Empty() || byDefault.NoValue():
		return nil
	case !byDefault.Is(tree.String):
		return tree.Errorf(byDefault.Pos, "Property 'Auth.DefaultAuthorizer' should be a string.")
	case !in(names, byDefault.Text):
		return tree.Errorf(byDefault.Pos, "Unable to set DefaultAuthorizer because '%s' was not defined in 'Authorizers'.", byDefault.Text)
	}
	return ed.defaultHTTPAuthorizer(byDefault.Text, list.Get(byDefault.Text).Get("AuthorizationScopes"))
}

// defaultHTTPAuthorizer secures every method but OPTIONS that names no authorizer itself.
func (e *editor) defaultHTTPAuthorizer(name string, scopes *Node) error {
	if scopes.Absent() {
		scopes = tree.L()
	}
	for _, path := range keys(e.paths()) {
		err := e.eachMethod(path, []string{"parameters"}, func(method string, def *Node) error {
			if method != "options" && def.Get("security").Empty() {
				def.Set("security", tree.L(tree.M(name, scopes.Clone())).At(def.Pos))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tags writes the API's tags, and SAM's own, into the definition.
func (d *httpDefinition) tags() error {
	given := d.get("Tags")
	d.allTags = given.Clone()
	if d.body == nil || !validDefinition(d.body, false) {
		if given.Empty() {
			return nil
		}
		_, err := d.editable(given, "Tags", "`Tags`")
		return err
	}
	if d.allTags == nil {
		d.allTags = tree.M()
	}
	d.allTags.Set("httpapi:createdBy", tree.Str("SAM"))
	list := d.body.Get("tags")
	if list.Empty() {
		list = tree.L()
		d.body.Set("tags", list)
	}
	if !list.Is(tree.List) {
		return tree.Errorf(list.Pos, "Tags in OpenApi DefinitionBody needs to be a list.")
	}
next:
	for _, f := range d.allTags.Fields {
		for _, it := range list.Items {
			if it.Get("name").IsString(f.Key) {
				it.Set("x-amazon-apigateway-tag-value", f.Value.Clone())
				continue next
			}
		}
		list.Add(tree.M("name", f.Key, "x-amazon-apigateway-tag-value", f.Value.Clone()))
	}
	return nil
}

func (d *httpDefinition) disableEndpoint() error {
	v := d.get("DisableExecuteApiEndpoint")
	if v == nil {
		return nil
	}
	if d.body == nil {
		return d.errorf(v, "DisableExecuteApiEndpoint works only within 'DefinitionBody' property.")
	}
	ed, err := newEditor(d.body, false)
	if err != nil {
		return err
	}
	return ed.disableInServers(v)
}

func (d *httpDefinition) title() error {
	name := d.get("Name")
	if name.Empty() {
		return nil
	}
	ed, err := d.editable(name, "Name", "Name")
	if err != nil {
		return err
	}
	if t := d.body.Dig("info", "title"); !t.Get("Ref").IsString("AWS::StackName") {
		return d.errorf(name, "Unable to set Name because it is already defined within inline OpenAPI specified in the 'DefinitionBody' property.")
	}
	ed.section("info").Set("title", name.Clone())
	return nil
}

func (d *httpDefinition) description() error {
	text := d.get("Description")
	if text.Empty() {
		return nil
	}
	ed, err := d.editable(text, "Description", "Description")
	if err != nil {
		return err
	}
	if !d.body.Dig("info", "description").Empty() {
		return d.errorf(text, "Unable to set Description because it is already defined within inline OpenAPI specified in the 'DefinitionBody' property.")
	}
	ed.section("info").Set("description", text.Clone())
	return nil
}

// renameDefault writes "$default" as "/$default" where warnings fail the import.
func (d *httpDefinition) renameDefault() error {
	if d.get("FailOnWarnings").Empty() || d.body == nil {
		return nil
	}
	if f := d.body.Get("paths").Field(defaultPath); f != nil {
		f.Key = "/" + defaultPath
	}
	return nil
}
