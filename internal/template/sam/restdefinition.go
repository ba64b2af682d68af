package sam

import (
	"sort"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

const (
	inlineSwagger = "%s works only with inline Swagger specified in 'DefinitionBody' property."
	notSwagger    = "Unable to add %s because 'DefinitionBody' does not contain a valid Swagger definition."
)

// editable checks that the definition is inline and can be edited, for the property that asks.
func (d *restDefinition) editable(property *Node, name, what string) (*editor, error) {
	if d.body == nil {
		return nil, d.errorf(property, inlineSwagger, name)
	}
	if !validDefinition(d.body, true) {
		return nil, d.errorf(property, notSwagger, what)
	}
	return newEditor(d.body, true)
}

// cors adds an OPTIONS method to every path that has none.
func (d *restDefinition) cors() error {
	c := d.get("Cors")
	if c.Empty() {
		return nil
	}
	ed, err := d.editable(c, "Cors", "Cors configuration")
	if err != nil {
		return err
	}
	if c.Is(tree.String) || isIntrinsic(c) {
		c = tree.M("AllowOrigin", c).At(c.Pos)
	}
	for _, f := range c.Fields {
		if !in([]string{"AllowMethods", "AllowHeaders", "AllowOrigin", "MaxAge", "AllowCredentials"}, f.Key) {
			return tree.Errorf(f.Pos, "Invalid key '%s' for 'Cors' property.", f.Key)
		}
	}
	origin := c.Get("AllowOrigin")
	if !c.Has("AllowOrigin") {
		origin = tree.Str("'*'")
	}
	if c.Get("AllowCredentials").True() && origin.IsString("'*'") {
		return d.errorf(c, "Unable to add Cors configuration because 'AllowCredentials' can not be true when 'AllowOrigin' is \"'*'\" or not set")
	}
	if origin.Empty() {
		return d.errorf(c, "Invalid input. Value for AllowedOrigins is required")
	}
	done := map[string]bool{}
	for _, path := range keys(ed.paths()) {
		normal := path
		if path != "/" {
			normal = strings.TrimRight(path, "/")
		}
		if done[normal] {
			continue
		}
		done[normal] = true
		methods := c.Get("AllowMethods")
		err := ed.eachItem(path, func(item *Node) error {
			if item.Has("options") {
				return nil
			}
			if methods.Empty() {
				methods = tree.Str("'" + allowedMethods(item) + "'")
			}
			item.Set("options", preflight(origin, methods, c).At(c.Pos))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func allowedMethods(item *Node) string {
	seen := map[string]bool{"OPTIONS": true}
	if item.Has(anyMethod) {
		return "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
	}
	for _, k := range keys(item) {
		seen[strings.ToUpper(k)] = true
	}
	var out []string
	for m := range seen {
		out = append(out, m)
	}
	sort.Strings(out)
	return strings.Join(out, ",")
}

// preflight is the OPTIONS method: a mock that answers with the CORS headers.
func preflight(origin, methods, c *Node) *Node {
	values, headers := tree.M(), tree.M()
	add := func(name, typ string, v *Node) {
		values.Set("method.response.header.Access-Control-Allow-"+name, v.Clone())
		headers.Set("Access-Control-Allow-"+name, tree.M("type", typ))
	}
	add("Origin", "string", origin)
	if h := c.Get("AllowHeaders"); !h.Empty() {
		add("Headers", "string", h)
	}
	add("Methods", "string", methods)
	if a := c.Get("MaxAge"); !a.Absent() {
		values.Set("method.response.header.Access-Control-Max-Age", a.Clone())
		headers.Set("Access-Control-Max-Age", tree.M("type", "integer"))
	}
	if c.Get("AllowCredentials").True() {
		add("Credentials", "string", tree.Str("'true'"))
	}
	return tree.M("summary", "CORS support", "consumes", tree.Strs("application/json"), "produces", tree.Strs("application/json"),
		integrationKey, tree.M("type", "mock", "requestTemplates", tree.M("application/json", "{\n  \"statusCode\" : 200\n}\n"),
			"responses", tree.M("default", tree.M("statusCode", "200", "responseParameters", values,
				"responseTemplates", tree.M("application/json", "{}\n")))),
		"responses", tree.M("200", tree.M("description", "Default response for CORS method", "headers", headers)))
}

func (d *restDefinition) binaryMediaTypes() error {
	b := d.get("BinaryMediaTypes")
	if b.Empty() || d.body == nil {
		return nil
	}
	ed, err := newEditor(d.body, true)
	if err != nil {
		return err
	}
	ed.doc.Set("x-amazon-apigateway-binary-media-types", slashes(b))
	return nil
}

// slashes copies n with "~1", which stands for a slash, as a slash.
func slashes(n *Node) *Node {
	c := n.Clone()
	if c.Is(tree.String) {
		c.Text = strings.ReplaceAll(c.Text, "~1", "/")
	}
	for i, it := range c.Items {
		c.Items[i] = slashes(it)
	}
	for i, f := range c.Fields {
		c.Fields[i].Key, c.Fields[i].Value = strings.ReplaceAll(f.Key, "~1", "/"), slashes(f.Value)
	}
	return c
}

func (d *restDefinition) models() error {
	models := d.get("Models")
	if models.Empty() {
		return nil
	}
	ed, err := d.editable(models, "Models", "Models definitions")
	if err != nil {
		return err
	}
	for _, f := range models.Fields {
		if !f.Value.Is(tree.Map) {
			return tree.Errorf(f.Pos, "Invalid value for 'Models' property")
		}
		if f.Value.Get("type").Empty() {
			return tree.Errorf(f.Pos, "'Models' schema is missing 'type'.")
		}
		ed.define("definitions", strings.ToLower(f.Key), f.Value.Clone())
	}
	return d.postprocess()
}

func (d *restDefinition) gatewayResponses() error {
	g := d.get("GatewayResponses")
	if g.Empty() {
		return nil
	}
	ed, err := d.editable(g, "GatewayResponses", "Auth configuration")
	if err != nil {
		return err
	}
	for _, f := range g.Fields {
		if isIntrinsic(f.Value) {
			return tree.Errorf(f.Pos, "Unable to set GatewayResponses attribute because intrinsic functions are not supported for this field.")
		}
		if !f.Value.Is(tree.Map) {
			return tree.Errorf(f.Pos, "Invalid property type for GatewayResponses. Expected an object of type 'GatewayResponse'.")
		}
		for _, k := range f.Value.Fields {
			if !in([]string{"ResponseParameters", "ResponseTemplates", "StatusCode"}, k.Key) {
				return tree.Errorf(k.Pos, "Invalid property '%s' in 'GatewayResponses' property '%s'.", k.Key, f.Key)
			}
		}
		out, err := gatewayResponse(f.Value)
		if err != nil {
			return err
		}
		ed.define("x-amazon-apigateway-gateway-responses", f.Key, out.At(f.Pos))
	}
	return nil
}

func gatewayResponse(r *Node) (*Node, error) {
	params := tree.M()
	given := r.Get("ResponseParameters")
	if !given.Empty() && !given.Is(tree.Map) {
		return nil, tree.Errorf(given.Pos, "Property 'GatewayResponses.ResponseParameters' should be a map.")
	}
	for _, f := range given.Map() {
		p, ok := map[string]string{"Headers": "header.", "Paths": "path.", "QueryStrings": "querystring."}[f.Key]
		if !ok {
			return nil, tree.Errorf(f.Pos, "Invalid gateway response parameter '%s'", f.Key)
		}
		if !f.Value.Is(tree.Map) {
			return nil, tree.Errorf(f.Pos, "Property 'ResponseParameters.%s' should be a map.", f.Key)
		}
		for _, v := range f.Value.Fields {
			params.Set("gatewayresponse."+p+v.Key, v.Value.Clone())
		}
	}
	templates := r.Get("ResponseTemplates").Clone()
	if templates.Empty() {
		templates = tree.M()
	}
	out := tree.M("responseParameters", params, "responseTemplates", templates)
	if s := r.Get("StatusCode"); !s.Empty() {
		if strings.Trim(s.Text, "0123456789") != "" || len(s.Text) > 3 || !s.Scalar() {
			return nil, tree.Errorf(s.Pos, "Property 'StatusCode' must be numeric")
		}
		out.Set("statusCode", tree.Str(s.Text))
	}
	return out, nil
}

func (d *restDefinition) disableEndpoint() error {
	v := d.get("DisableExecuteApiEndpoint")
	if v == nil {
		return nil
	}
	if d.body == nil {
		return d.errorf(v, "DisableExecuteApiEndpoint works only within 'DefinitionBody' property.")
	}
	ed, err := newEditor(d.body, true)
	if err != nil {
		return err
	}
	if !version3(ed.doc.Get("openapi")) {
		ed.section(endpointKey).Set("disableExecuteApiEndpoint", v.Clone())
		return nil
	}
	return ed.disableInServers(v)
}

const endpointKey = "x-amazon-apigateway-endpoint-configuration"

// disableInServers marks every server of an OpenAPI 3 document.
func (e *editor) disableInServers(v *Node) error {
	servers := e.doc.Get("servers")
	if servers == nil {
		servers = tree.L(tree.M()).At(v.Pos)
		e.doc.Set("servers", servers)
	}
	for _, s := range servers.List() {
		if !s.Is(tree.Map) {
			return tree.Errorf(s.Pos, "Value of 'servers' item must be a dictionary according to Swagger spec.")
		}
		(&editor{s}).section(endpointKey).Set("disableExecuteApiEndpoint", v.Clone())
	}
	return nil
}

// postprocess moves what SAM wrote as Swagger to where OpenAPI 3 has it, when the Api asks for
// that version and does not bring a Swagger document of its own.
func (d *restDefinition) postprocess() error {
	if !d.body.Get("swagger").Absent() {
		return nil
	}
	v := d.get("OpenApiVersion")
	if v == nil {
		v = d.body.Get("openapi")
	}
	if v.Empty() || !version3(v) {
		return nil
	}
	for _, move := range []struct{ from, to string }{{"securityDefinitions", "securitySchemes"}, {"definitions", "schemas"}} {
		if s := d.body.Get(move.from); !s.Empty() {
			(&editor{d.body}).section("components").Set(move.to, s)
			d.body.Delete(move.from)
		}
	}
	for _, p := range d.body.Get("paths").Map() {
		if !p.Value.Is(tree.Map) {
			return tree.Errorf(p.Pos, "Value of '%s' path must be a dictionary according to Swagger spec.", p.Key)
		}
		o := p.Value.Get("options")
		if o.Empty() {
			continue
		}
		if !o.Is(tree.Map) {
			return tree.Errorf(o.Pos, "Value of options method for path %s must be a dictionary according to Swagger spec.", p.Key)
		}
		o.Delete("produces")
		o.Delete("consumes")
		headers := o.Dig("responses", "200", "headers")
		for i, h := range headers.Map() {
			headers.Fields[i].Value = tree.M("schema", h.Value).At(h.Pos)
		}
	}
	return nil
}
