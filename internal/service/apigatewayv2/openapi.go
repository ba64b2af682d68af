package apigatewayv2

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/document"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) importAPI(c *gate.Call, in *v2.ImportApiInput) (*v2.ImportApiOutput, error) {
	r := s.newRecord(c, "")
	if err := s.define(&r, in.Body, in.Basepath, in.FailOnWarnings); err != nil {
		return nil, err
	}
	if key, is := c.Reserved(slices.Collect(maps.Keys(r.API.Tags))...); is {
		return nil, reservedTag(key)
	}
	return add[v2.ImportApiOutput](s, c, &r)
}

func (s *Service) reimportAPI(c *gate.Call, in *v2.ReimportApiInput) (*v2.ReimportApiOutput, error) {
	fresh := s.newRecord(c, "")
	if err := s.define(&fresh, in.Body, in.Basepath, in.FailOnWarnings); err != nil {
		return nil, err
	}
	if key, is := c.Reserved(slices.Collect(maps.Keys(fresh.API.Tags))...); is {
		return nil, reservedTag(key)
	}
	return change(s, c, in.ApiId, true, func(_ *store.Tx, r *record) (*v2.ReimportApiOutput, error) {
		was := r.API
		r.API = fresh.API
		r.API.ApiId, r.API.ApiEndpoint, r.API.CreatedDate = was.ApiId, was.ApiEndpoint, was.CreatedDate
		for k, v := range was.Tags { // those given outside of the definition stay
			if _, ok := r.API.Tags[k]; !ok {
				tags := map[string]string{k: v}
				for k, v := range r.API.Tags {
					tags[k] = v
				}
				r.API.Tags = tags
			}
		}
		r.Routes, r.Integrations, r.Authorizers = fresh.Routes, fresh.Integrations, fresh.Authorizers
		return filled[v2.ReimportApiOutput](&r.API), nil
	})
}

// definition is an OpenAPI 3 document while it becomes an API. What it says about security is
// never left out: what cannot be enforced fails the import.
type definition struct {
	s           *Service
	r           *record
	doc         document.Value
	authorizers map[string]string // security scheme → authorizer's id, "" for AWS_IAM
	warnings    []string
}

func (d *definition) warn(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

func (s *Service) define(r *record, body string, basepath *string, failOnWarnings *bool) error {
	if b := wire.Val(basepath); b != "" && b != "ignore" {
		return notBuilt("basepath " + b)
	}
	doc, err := document.Parse([]byte(body))
	if err != nil {
		return bad("Unable to parse the API definition: %v", err)
	}
	if v := doc.Get("openapi").Text(); !strings.HasPrefix(v, "3.") {
		return bad("Unable to parse the API definition because of a malformed definition or unsupported version: an HTTP API wants OpenAPI 3")
	}
	d := &definition{s: s, r: r, doc: doc, authorizers: map[string]string{}}
	for _, step := range []func() error{d.info, d.tags, d.cors, d.servers, d.schemes, d.paths} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := checkAPI(&r.API); err != nil {
		return err
	}
	if wire.Val(failOnWarnings) && len(d.warnings) > 0 {
		return bad("Warnings found during import: %s", strings.Join(d.warnings, "; "))
	}
	r.API.ImportInfo, r.API.Warnings = nil, d.warnings
	return nil
}

func (d *definition) info() error {
	info := d.doc.Get("info")
	d.r.API.Name = info.Get("title").Text()
	d.r.API.Version = info.Get("version").Pointer()
	d.r.API.Description = info.Get("description").Pointer()
	return nil
}

func (d *definition) tags() error {
	tags := map[string]string{}
	for _, t := range d.doc.Get("tags").List() {
		if v := t.Get("x-amazon-apigateway-tag-value"); v.Exists() {
			tags[t.Get("name").Text()] = v.Text()
		}
	}
	if len(tags) > 0 {
		d.r.API.Tags = tags
	}
	return nil
}

func (d *definition) cors() error {
	c := d.doc.Get("x-amazon-apigateway-cors")
	if !c.Exists() {
		return nil
	}
	cors := &v2.Cors{AllowOrigins: c.Get("allowOrigins").Texts(), AllowHeaders: c.Get("allowHeaders").Texts(),
		AllowMethods: c.Get("allowMethods").Texts(), ExposeHeaders: c.Get("exposeHeaders").Texts()}
	if n, ok := c.Get("maxAge").Int(); ok {
		cors.MaxAge = &n
	}
	if b, ok := c.Get("allowCredentials").Bool(); ok {
		cors.AllowCredentials = &b
	}
	for _, k := range c.Keys() {
		if !slices.Contains([]string{"allowOrigins", "allowHeaders", "allowMethods", "exposeHeaders", "maxAge", "allowCredentials"}, k) {
			return bad("Unknown key %s in x-amazon-apigateway-cors", k)
		}
	}
	d.r.API.CorsConfiguration = cors
	return nil
}

func (d *definition) servers() error {
	for _, s := range d.doc.Get("servers").List() {
		if b, ok := s.Get("x-amazon-apigateway-endpoint-configuration", "disableExecuteApiEndpoint").Bool(); ok {
			d.r.API.DisableExecuteApiEndpoint = &b
		}
	}
	return nil
}

// schemes makes the authorizers that the security schemes describe.
func (d *definition) schemes() error {
	schemes := d.doc.Get("components", "securitySchemes")
	for _, name := range schemes.Keys() {
		scheme := schemes.Get(name)
		if strings.EqualFold(scheme.Get("x-amazon-apigateway-authtype").Text(), "awsSigv4") {
			d.authorizers[name] = ""
			continue
		}
		a := scheme.Get("x-amazon-apigateway-authorizer")
		if !a.Exists() {
			continue // refused where a route wants it
		}
		made := v2.Authorizer{AuthorizerId: new(d.s.ids.Lower(6)), Name: name, AuthorizerUri: a.Get("authorizerUri").Pointer(),
			AuthorizerCredentialsArn: a.Get("authorizerCredentials").Pointer(), AuthorizerPayloadFormatVersion: payloadFormat(a.Get("authorizerPayloadFormatVersion"))}
		for _, src := range a.Get("identitySource").Texts() {
			for _, one := range strings.Split(src, ",") {
				made.IdentitySource = append(made.IdentitySource, strings.TrimSpace(one))
			}
		}
		if n, ok := a.Get("authorizerResultTtlInSeconds").Int(); ok {
			made.AuthorizerResultTtlInSeconds = &n
		}
		if b, ok := a.Get("enableSimpleResponses").Bool(); ok {
			made.EnableSimpleResponses = &b
		}
		switch kind := strings.ToLower(a.Get("type").Text()); kind {
		case "jwt":
			made.AuthorizerType = new("JWT")
			j := a.Get("jwtConfiguration")
			made.JwtConfiguration = &v2.JWTConfiguration{Issuer: j.Get("issuer").Pointer(), Audience: j.Get("audience").Texts()}
		case "request":
			made.AuthorizerType = new("REQUEST")
		default:
			return bad("Unsupported authorizer type %q in security scheme %s", kind, name)
		}
		if err := checkAuthorizer(&made); err != nil {
			return err
		}
		d.authorizers[name] = *made.AuthorizerId
		d.r.Authorizers = append(d.r.Authorizers, made)
	}
	return nil
}

// payloadFormat is a version that may be a number: 2.0, which JSON may also write as 2.
func payloadFormat(v document.Value) *string {
	p := v.Pointer()
	if p != nil && (*p == "1" || *p == "2") {
		*p += ".0"
	}
	return p
}

const anyMethod = "x-amazon-apigateway-any-method"

func (d *definition) paths() error {
	paths := d.doc.Get("paths")
	if !paths.IsMap() {
		return bad("Unable to parse the API definition: it has no paths")
	}
	for _, path := range paths.Keys() {
		item := paths.Get(path)
		for _, method := range item.Keys() {
			switch {
			case method == anyMethod || slices.Contains(methods, strings.ToUpper(method)):
			case slices.Contains([]string{"parameters", "summary", "description", "servers"}, method) || strings.HasPrefix(method, "x-"):
				continue
			default:
				d.warn("Ignored %s of path %s", method, path)
				continue
			}
			if err := d.route(path, method, item.Get(method)); err != nil {
				e := *awserr.Wrap(err) // a copy: where it is belongs in front of what it is
				e.Message = fmt.Sprintf("%s %s: %s", method, path, e.Message)
				return &e
			}
		}
	}
	if len(d.r.Routes) > maxRoutes {
		return bad("The maximum number of routes for this API is %d", maxRoutes)
	}
	return nil
}

func (d *definition) route(path, method string, op document.Value) error {
	key := strings.ToUpper(method) + " " + path
	if method == anyMethod {
		key = "ANY " + path
	}
	if path == "$default" || path == "/$default" {
		key = "$default"
	}
	r := v2.Route{RouteId: new(d.s.ids.Lower(7)), RouteKey: key, OperationName: op.Get("operationId").Pointer(),
		ApiKeyRequired: new(false), AuthorizationType: new("NONE")}
	in := op.Get("x-amazon-apigateway-integration")
	if ref := in.Get("$ref").Text(); ref != "" {
		name, ok := strings.CutPrefix(ref, "#/components/x-amazon-apigateway-integrations/")
		if !ok {
			return bad("Invalid reference %s", ref)
		}
		in = d.doc.Get("components", "x-amazon-apigateway-integrations", name)
	}
	if !in.Exists() {
		d.warn("Route %s has no integration", key)
	} else {
		id, err := d.integration(in)
		if err != nil {
			return err
		}
		r.Target = new("integrations/" + id)
	}
	security := op.Get("security")
	if !security.Exists() {
		security = d.doc.Get("security")
	}
	if err := d.secure(&r, security); err != nil {
		return err
	}
	if err := checkRoute(d.r, &r); err != nil {
		return err
	}
	d.r.Routes = append(d.r.Routes, r)
	return nil
}

// none is the scheme that the SAM transform leaves on a route that wants no authorizer in spite of a
// default one; it is defined nowhere.
const none = "NONE"

// secure gives a route the authorizer that its security requirement names.
func (d *definition) secure(r *v2.Route, security document.Value) error {
	list := security.List()
	if len(list) == 0 {
		return nil
	}
	names := list[0].Keys()
	if len(list) > 1 || len(names) > 1 {
		return bad("Only one security requirement per route is supported")
	}
	if len(names) == 0 {
		return nil // {}: OpenAPI's way to ask for none
	}
	id, ok := d.authorizers[names[0]]
	if !ok && names[0] == none && !d.doc.Get("components", "securitySchemes", none).Exists() {
		return nil
	}
	if !ok {
		return bad("The security scheme %s has no x-amazon-apigateway-authorizer that is supported", names[0])
	}
	if id == "" {
		r.AuthorizationType = new("AWS_IAM")
		return nil
	}
	i, err := find(d.r.Authorizers, authorizerID, "Authorizer", id)
	if err != nil {
		return err
	}
	r.AuthorizerId = &id
	if *d.r.Authorizers[i].AuthorizerType == "JWT" {
		r.AuthorizationType, r.AuthorizationScopes = new("JWT"), list[0].Get(names[0]).Texts()
	} else {
		r.AuthorizationType = new("CUSTOM")
	}
	return nil
}

func (d *definition) integration(in document.Value) (string, error) {
	i := v2.Integration{IntegrationId: new(d.s.ids.Lower(7)), ConnectionType: new("INTERNET"),
		IntegrationType: new(strings.ToUpper(in.Get("type").Text())), IntegrationUri: in.Get("uri").Pointer(), IntegrationMethod: in.Get("httpMethod").Pointer(),
		IntegrationSubtype: in.Get("integrationSubtype").Pointer(), ConnectionId: in.Get("connectionId").Pointer(),
		CredentialsArn: in.Get("credentials").Pointer(), PayloadFormatVersion: payloadFormat(in.Get("payloadFormatVersion")),
		Description: in.Get("description").Pointer(), RequestParameters: in.Get("requestParameters").TextMap(), RequestTemplates: in.Get("requestTemplates").TextMap()}
	if t := in.Get("connectionType"); t.Exists() {
		i.ConnectionType = new(strings.ToUpper(t.Text()))
	}
	if in.Get("responseParameters").Exists() {
		return "", notBuilt("Parameter mapping")
	}
	if n, ok := in.Get("timeoutInMillis").Int(); ok {
		if n < 50 || n > 30000 {
			return "", bad("Timeout should be between 50 ms and 30000 ms")
		}
		i.TimeoutInMillis = &n
	}
	if err := checkIntegration(&i); err != nil {
		return "", err
	}
	d.r.Integrations = append(d.r.Integrations, i)
	return *i.IntegrationId, nil
}
