package apigateway

import (
	"fmt"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/document"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) importRestAPI(c *gate.Call, in *rest.ImportRestApiInput) (*rest.RestApi, error) {
	r := s.newRecord(c, "")
	if err := s.define(&r, in.Body, in.Parameters, in.FailOnWarnings); err != nil {
		return nil, err
	}
	if wire.Val(r.API.Name) == "" {
		return nil, bad("Name cannot be blank")
	}
	return s.add(c, &r)
}

func (s *Service) putRestAPI(c *gate.Call, in *rest.PutRestApiInput) (*rest.RestApi, error) {
	if wire.Val(in.Mode) != "overwrite" {
		return nil, notBuilt("PutRestApi with the mode merge")
	}
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.RestApi, error) {
		root := r.Resources[0]
		root.ResourceMethods = nil
		r.Resources, r.Authorizers = []rest.Resource{root}, nil
		r.API.BinaryMediaTypes, r.API.Policy, r.API.Warnings = nil, nil, nil
		r.API.Description, r.API.MinimumCompressionSize, r.API.DisableExecuteApiEndpoint = nil, nil, new(false)
		name := r.API.Name
		if err := s.define(r, in.Body, in.Parameters, in.FailOnWarnings); err != nil {
			return nil, err
		}
		if wire.Val(r.API.Name) == "" {
			r.API.Name = name
		}
		return &r.API, nil
	})
}

// definition is a Swagger 2 or OpenAPI 3 document while it becomes an API. What it says about
// security is never left out: what cannot be enforced fails the import.
type definition struct {
	s        *Service
	r        *record
	doc      document.Value
	schemes  map[string]string // security scheme → authorizer's id, "" for AWS_IAM
	warnings []string
}

func (d *definition) warn(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

// define reads a document into an API that has only its root.
func (s *Service) define(r *record, body []byte, parameters map[string]string, failOnWarnings *bool) error {
	for k, v := range parameters {
		known := k == "basepath" && v == "ignore" || k == "endpointConfigurationTypes" && (v == "REGIONAL" || v == "EDGE") || k == "ignore" && v == "documentation"
		if !known {
			return notBuilt("The import parameter " + k + "=" + v)
		}
		if k == "endpointConfigurationTypes" {
			r.API.EndpointConfiguration = &rest.EndpointConfiguration{Types: []string{v}, IpAddressType: new("ipv4")}
		}
	}
	doc, err := document.Parse(body)
	if err != nil {
		return bad("Unable to parse the API definition: %v", err)
	}
	if doc.Get("swagger").Text() != "2.0" && !strings.HasPrefix(doc.Get("openapi").Text(), "3.") {
		return bad("Invalid OpenAPI input: neither Swagger 2.0 nor OpenAPI 3")
	}
	d := &definition{s: s, r: r, doc: doc, schemes: map[string]string{}}
	for _, step := range []func() error{d.head, d.refused, d.security, d.paths} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := r.checkAPI(); err != nil && wire.Val(r.API.Name) != "" {
		return err
	}
	if wire.Val(failOnWarnings) && len(d.warnings) > 0 {
		return bad("Warnings found during import: %s", strings.Join(d.warnings, "; "))
	}
	r.API.Warnings = d.warnings
	return nil
}

const ext = "x-amazon-apigateway-"

func (d *definition) head() error {
	info := d.doc.Get("info")
	d.r.API.Name = info.Get("title").Pointer()
	d.r.API.Version = info.Get("version").Pointer()
	if t := info.Get("description"); t.Exists() {
		d.r.API.Description = t.Pointer()
	}
	d.r.API.BinaryMediaTypes = d.doc.Get(ext + "binary-media-types").Texts()
	if p := d.doc.Get(ext + "policy"); p.Exists() {
		text := p.Text()
		if p.IsMap() {
			text = p.JSON()
		}
		d.r.API.Policy = &text
		if err := d.r.checkPolicy(); err != nil {
			return err
		}
	}
	endpoints := append(d.doc.Get("servers").List(), d.doc)
	for _, s := range endpoints {
		e := s.Get(ext + "endpoint-configuration")
		if b, ok := e.Get("disableExecuteApiEndpoint").Bool(); ok {
			d.r.API.DisableExecuteApiEndpoint = &b
		}
		if e.Get("vpcEndpointIds").Exists() {
			return notBuilt("Private endpoints")
		}
	}
	return nil
}

// refused are parts of a document that would change what the API does.
func (d *definition) refused() error {
	for k, what := range map[string]string{"gateway-responses": "Gateway responses", "minimum-compression-size": "Compression",
		"request-validator": "Request validators"} {
		if d.doc.Get(ext + k).Exists() {
			return notBuilt(what)
		}
	}
	if k := d.doc.Get(ext + "api-key-source").Text(); k != "" && k != "HEADER" {
		return notBuilt("API keys from authorizers")
	}
	for _, k := range []string{"definitions", "components/schemas"} {
		if len(d.doc.Get(strings.Split(k, "/")...).Keys()) > 0 {
			d.warn("Models are not kept: %s", k)
		}
	}
	return nil
}

// security makes the authorizers that the security schemes describe.
func (d *definition) security() error {
	schemes := d.doc.Get("securityDefinitions")
	if !schemes.Exists() {
		schemes = d.doc.Get("components", "securitySchemes")
	}
	for _, name := range schemes.Keys() {
		s := schemes.Get(name)
		kind := s.Get(ext + "authtype").Text()
		a := s.Get(ext + "authorizer")
		switch {
		case strings.EqualFold(kind, "awsSigv4"):
			d.schemes[name] = ""
			continue
		case !a.Exists():
			continue // refused where a method wants it
		}
		made := rest.Authorizer{Id: new(d.s.ids.Lower(6)), Name: &name, AuthType: optional(kind), Type: new(strings.ToUpper(a.Get("type").Text())),
			AuthorizerUri: a.Get("authorizerUri").Pointer(), AuthorizerCredentials: a.Get("authorizerCredentials").Pointer(),
			IdentitySource: a.Get("identitySource").Pointer(), IdentityValidationExpression: a.Get("identityValidationExpression").Pointer(),
			ProviderARNs: a.Get("providerARNs").Texts()}
		if *made.Type == "TOKEN" && made.IdentitySource == nil {
			made.IdentitySource = new("method.request.header." + s.Get("name").Text())
		}
		if n, ok := a.Get("authorizerResultTtlInSeconds").Int(); ok {
			made.AuthorizerResultTtlInSeconds = &n
		}
		if err := d.r.checkAuthorizer(&made); err != nil {
			return err
		}
		d.schemes[name] = *made.Id
		d.r.Authorizers = append(d.r.Authorizers, made)
	}
	if len(d.r.Authorizers) > maxAuthorizers {
		return bad("The maximum number of authorizers for this API is %d", maxAuthorizers)
	}
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (d *definition) paths() error {
	paths := d.doc.Get("paths")
	for _, path := range paths.Keys() {
		if !strings.HasPrefix(path, "/") {
			return bad("Invalid path %q", path)
		}
		res, err := d.resource(path)
		if err != nil {
			return located(err, path)
		}
		item := paths.Get(path)
		for _, k := range item.Keys() {
			verb := strings.ToUpper(k)
			switch {
			case k == ext+"any-method":
				verb = "ANY"
			case slices.Contains(methods, verb) && verb != "ANY":
			case slices.Contains([]string{"parameters", "summary", "description", "servers"}, k) || strings.HasPrefix(k, "x-"):
				continue
			default:
				d.warn("Ignored %s of path %s", k, path)
				continue
			}
			m, err := d.method(verb, item.Get(k))
			if err != nil {
				return located(err, k+" "+path)
			}
			set(res, verb, m)
		}
	}
	return nil
}

// located puts in front of an error where in the document it is.
func located(err error, where string) error {
	e := *awserr.Wrap(err)
	e.Message = where + ": " + e.Message
	return &e
}

// resource makes the resource of a path and those above it.
func (d *definition) resource(path string) (*rest.Resource, error) {
	path = strings.TrimSuffix(path, "/")
	parent := *d.r.Resources[0].Id
	at := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if path == "" {
			break
		}
		at += "/" + part
		if x := d.r.at(at); x != nil {
			parent = *x.Id
			continue
		}
		x, err := d.r.addResource(d.s.ids.Lower(6), parent, part)
		if err != nil {
			return nil, err
		}
		parent = *x.Id
	}
	return d.r.resource(parent)
}

func (d *definition) method(verb string, op document.Value) (rest.Method, error) {
	m := rest.Method{HttpMethod: &verb, AuthorizationType: new("NONE"), ApiKeyRequired: new(false), OperationName: op.Get("operationId").Pointer()}
	if op.Get(ext + "request-validator").Exists() {
		return m, notBuilt("Request validators")
	}
	security := op.Get("security")
	if !security.Exists() {
		security = d.doc.Get("security")
	}
	if err := d.secure(&m, security); err != nil {
		return m, err
	}
	if err := d.r.checkMethod(&m); err != nil {
		return m, err
	}
	responses := op.Get("responses")
	for _, status := range responses.Keys() {
		if !statusForm.MatchString(status) {
			d.warn("Ignored response %s", status)
			continue
		}
		r := rest.MethodResponse{StatusCode: &status}
		for _, h := range responses.Get(status, "headers").Keys() {
			if r.ResponseParameters == nil {
				r.ResponseParameters = map[string]bool{}
			}
			r.ResponseParameters["method.response.header."+h] = false
		}
		if err := putResponse(&m, r); err != nil {
			return m, err
		}
	}
	in := op.Get(ext + "integration")
	if !in.Exists() {
		d.warn("Method %s has no integration", verb)
		return m, nil
	}
	i, err := integration(in)
	m.MethodIntegration = i
	return m, err
}

// none is the scheme that the SAM transform leaves on a method that wants no authorizer in spite of
// a default one; it is defined nowhere.
const none = "NONE"

func (d *definition) defined(scheme string) bool {
	return d.doc.Get("securityDefinitions", scheme).Exists() || d.doc.Get("components", "securitySchemes", scheme).Exists()
}

// secure gives a method the authorizer that its security requirements name.
func (d *definition) secure(m *rest.Method, security document.Value) error {
	found := false
	for _, requirement := range security.List() {
		for _, name := range requirement.Keys() {
			id, ok := d.schemes[name]
			if !ok && name == none && !d.defined(name) {
				continue
			}
			if !ok {
				s := d.doc.Get("securityDefinitions", name)
				if !s.Exists() {
					s = d.doc.Get("components", "securitySchemes", name)
				}
				if s.Get("type").Text() == "apiKey" && strings.EqualFold(s.Get("name").Text(), "x-api-key") {
					return notBuilt("API keys")
				}
				return bad("The security scheme %s has no authorizer that is supported", name)
			}
			if found {
				return bad("Only one security scheme per method is supported")
			}
			found = true
			if id == "" {
				m.AuthorizationType = new("AWS_IAM")
				continue
			}
			if len(requirement.Get(name).Texts()) > 0 {
				return notBuilt("Authorization scopes of REST APIs")
			}
			m.AuthorizationType, m.AuthorizerId = new("CUSTOM"), &id
		}
	}
	if found && len(security.List()) > 1 {
		return bad("Only one security requirement per method is supported")
	}
	return nil
}

func integration(in document.Value) (*rest.Integration, error) {
	i := &rest.Integration{Type: new(strings.ToUpper(in.Get("type").Text())), HttpMethod: in.Get("httpMethod").Pointer(), Uri: in.Get("uri").Pointer(),
		ConnectionId: in.Get("connectionId").Pointer(), Credentials: in.Get("credentials").Pointer(), ContentHandling: in.Get("contentHandling").Pointer(),
		RequestParameters: in.Get("requestParameters").TextMap(), RequestTemplates: in.Get("requestTemplates").TextMap(),
		CacheKeyParameters: in.Get("cacheKeyParameters").Texts(), ResponseTransferMode: in.Get("responseTransferMode").Pointer(), PassthroughBehavior: new("WHEN_NO_MATCH")}
	if p := in.Get("passthroughBehavior"); p.Exists() {
		i.PassthroughBehavior = new(strings.ToUpper(p.Text()))
	}
	if t := in.Get("connectionType"); t.Exists() {
		i.ConnectionType = new(strings.ToUpper(t.Text()))
	}
	if n, ok := in.Get("timeoutInMillis").Int(); ok {
		i.TimeoutInMillis = &n
	}
	if err := checkIntegration(i); err != nil {
		return i, err
	}
	responses := in.Get("responses")
	for _, pattern := range responses.Keys() {
		r := responses.Get(pattern)
		one := rest.IntegrationResponse{StatusCode: r.Get("statusCode").Pointer(), ResponseParameters: quoted(r.Get("responseParameters")),
			ResponseTemplates: r.Get("responseTemplates").TextMap(), ContentHandling: r.Get("contentHandling").Pointer()}
		if pattern != "default" {
			one.SelectionPattern = &pattern
		}
		if one.StatusCode == nil || !statusForm.MatchString(*one.StatusCode) {
			return i, bad("An integration response has no valid statusCode")
		}
		if *i.Type == "AWS_PROXY" || *i.Type == "HTTP_PROXY" {
			continue // a proxy's response is passed on; the document's is not looked at, as on AWS
		}
		if err := checkResponseOf(*i.Type, &one); err != nil {
			return i, err
		}
		if i.IntegrationResponses == nil {
			i.IntegrationResponses = map[string]rest.IntegrationResponse{}
		}
		i.IntegrationResponses[*one.StatusCode] = one
	}
	return i, nil
}

// quoted are response parameters; a number, as SAM writes Access-Control-Max-Age, is a fixed value.
func quoted(v document.Value) map[string]string {
	out := v.TextMap()
	for k, text := range out {
		if text != "" && strings.Trim(text, "0123456789") == "" {
			out[k] = "'" + text + "'"
		}
	}
	return out
}
