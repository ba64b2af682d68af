package apigateway

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// named reads the ARN of an API or a stage: arn:aws:apigateway:REGION::/restapis/ID[/stages/NAME].
func named(resourceARN string) (id, stage string, ok bool) {
	a, err := arn.Parse(resourceARN)
	if err != nil || a.Service != "apigateway" {
		return "", "", false
	}
	parts := strings.Split(strings.TrimPrefix(a.Resource, "/"), "/")
	switch {
	case len(parts) == 2 && parts[0] == "restapis":
		return parts[1], "", true
	case len(parts) == 4 && parts[0] == "restapis" && parts[2] == "stages":
		return parts[1], parts[3], true
	}
	return "", "", false
}

func idOf(resourceARN string) string {
	id, _, _ := named(resourceARN)
	return id
}

const maxResources = 300 // quota: resources per API

// partForm is a path part: text, a variable, or a greedy variable.
var partForm = regexp.MustCompile(`^([A-Za-z0-9._:@%$~-]+|\{[A-Za-z0-9._-]+\+?\})$`)

func (s *Service) createResource(c *gate.Call, in *rest.CreateResourceInput) (*rest.Resource, error) {
	id := s.ids.Lower(6)
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.Resource, error) {
		return r.addResource(id, in.ParentId, in.PathPart)
	})
}

// addResource puts a resource below another.
func (r *record) addResource(id, parentID, part string) (*rest.Resource, error) {
	parent, err := r.resource(parentID)
	if err != nil {
		return nil, err
	}
	if err := r.checkPart(parent, part, ""); err != nil {
		return nil, err
	}
	if len(r.Resources) >= maxResources {
		return nil, bad("The maximum number of resources for this API is %d", maxResources)
	}
	path := join(*parent.Path, part)
	r.Resources = append(r.Resources, rest.Resource{Id: &id, ParentId: &parentID, PathPart: &part, Path: &path})
	return &r.Resources[len(r.Resources)-1], nil
}

func (r *record) checkPart(parent *rest.Resource, part, self string) error {
	if !partForm.MatchString(part) {
		return bad("Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end.")
	}
	if strings.HasSuffix(wire.Val(parent.PathPart), "+}") {
		return bad("Cannot create a child of a resource with a greedy path variable")
	}
	variable := strings.HasPrefix(part, "{") && !strings.HasSuffix(part, "+}")
	for _, x := range r.Resources {
		if wire.Val(x.ParentId) != *parent.Id || *x.Id == self {
			continue
		}
		if *x.PathPart == part {
			return conflict("Another resource with the same parent already has this name: %s", part)
		}
		if variable && strings.HasPrefix(*x.PathPart, "{") && !strings.HasSuffix(*x.PathPart, "+}") {
			return bad("A sibling (%s) of this resource already has a variable path part -- only one is allowed", *x.PathPart)
		}
	}
	return nil
}

// shown is a resource without its methods' contents, unless they are asked for.
func shown(x rest.Resource, embed []string) rest.Resource {
	if slices.Contains(embed, "methods") || len(x.ResourceMethods) == 0 {
		return x
	}
	names := make(map[string]rest.Method, len(x.ResourceMethods))
	for verb := range x.ResourceMethods {
		names[verb] = rest.Method{}
	}
	x.ResourceMethods = names
	return x
}

func (s *Service) getResource(c *gate.Call, in *rest.GetResourceInput) (*rest.Resource, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	x, err := r.resource(in.ResourceId)
	if err != nil {
		return nil, err
	}
	return new(shown(*x, in.Embed)), nil
}

func (s *Service) getResources(c *gate.Call, in *rest.GetResourcesInput) (*rest.GetResourcesOutput, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := page(r.Resources, in.Limit, in.Position)
	out := &rest.GetResourcesOutput{Items: []rest.Resource{}, Position: next}
	for _, x := range items {
		out.Items = append(out.Items, shown(x, in.Embed))
	}
	return out, err
}

func (s *Service) updateResource(c *gate.Call, in *rest.UpdateResourceInput) (*rest.Resource, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.Resource, error) {
		x, err := r.resource(in.ResourceId)
		if err != nil {
			return nil, err
		}
		if x.ParentId == nil {
			return nil, bad("The root resource cannot be changed")
		}
		changed := *x
		if err := patch(&changed, []string{"pathPart", "parentId"}, in.PatchOperations); err != nil {
			return nil, err
		}
		parent, err := r.resource(wire.Val(changed.ParentId))
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(*parent.Path+"/", *x.Path+"/") {
			return nil, bad("A resource cannot be moved below itself")
		}
		if err := r.checkPart(parent, wire.Val(changed.PathPart), *x.Id); err != nil {
			return nil, err
		}
		*x = changed
		r.repath()
		return x, nil
	})
}

// repath writes the paths anew; parents stand before their children or are found by walking up.
func (r *record) repath() {
	byID := map[string]*rest.Resource{}
	for i := range r.Resources {
		byID[*r.Resources[i].Id] = &r.Resources[i]
	}
	for i := range r.Resources {
		path := ""
		for x := &r.Resources[i]; x != nil && x.ParentId != nil; x = byID[*x.ParentId] {
			path = "/" + *x.PathPart + path
		}
		if path == "" {
			path = "/"
		}
		r.Resources[i].Path = &path
	}
}

func (s *Service) deleteResource(c *gate.Call, in *rest.DeleteResourceInput) (*rest.DeleteResourceOutput, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.DeleteResourceOutput, error) {
		x, err := r.resource(in.ResourceId)
		if err != nil {
			return nil, err
		}
		if x.ParentId == nil {
			return nil, bad("Cannot delete the root resource")
		}
		below := *x.Path + "/"
		r.Resources = slices.DeleteFunc(r.Resources, func(y rest.Resource) bool {
			return *y.Id == in.ResourceId || strings.HasPrefix(*y.Path, below)
		})
		return &rest.DeleteResourceOutput{}, nil
	})
}

// methods that a resource may have.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"}

func (s *Service) putMethod(c *gate.Call, in *rest.PutMethodInput) (*rest.Method, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.Method, error) {
		res, err := r.resource(in.ResourceId)
		if err != nil {
			return nil, err
		}
		if _, ok := res.ResourceMethods[in.HttpMethod]; ok {
			return nil, conflict("Method already exists for this resource")
		}
		m := rest.Method{ApiKeyRequired: new(false)}
		wire.Fill(&m, in)
		if err := r.checkMethod(&m); err != nil {
			return nil, err
		}
		set(res, in.HttpMethod, m)
		return &m, nil
	})
}

// checkMethod refuses what a method would say and the edge would not do.
func (r *record) checkMethod(m *rest.Method) error {
	if !slices.Contains(methods, wire.Val(m.HttpMethod)) {
		return bad("Invalid HTTP method specified: %s", wire.Val(m.HttpMethod))
	}
	switch {
	case wire.Val(m.ApiKeyRequired):
		return notBuilt("API keys")
	case m.RequestValidatorId != nil:
		return notBuilt("Request validators")
	case len(m.AuthorizationScopes) > 0:
		return notBuilt("Authorization scopes of REST APIs")
	}
	for _, name := range m.RequestModels {
		if name != "Empty" && name != "Error" { // those that every API has
			return notBuilt("Models")
		}
	}
	switch kind := wire.Val(m.AuthorizationType); kind {
	case "NONE", "AWS_IAM":
		if m.AuthorizerId != nil {
			return bad("An authorizer is not valid for the authorization type %s", kind)
		}
	case "CUSTOM":
		if _, err := r.authorizer(wire.Val(m.AuthorizerId)); err != nil {
			return bad("Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.")
		}
	case "COGNITO_USER_POOLS":
		return notBuilt("Authorizers with Cognito user pools")
	default:
		return bad("Invalid authorizationType specified. Valid options are [NONE, AWS_IAM, CUSTOM, COGNITO_USER_POOLS]")
	}
	return nil
}

func (s *Service) getMethod(c *gate.Call, in *rest.GetMethodInput) (*rest.Method, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	_, m, err := r.method(in.ResourceId, in.HttpMethod)
	return &m, err
}

// changeMethod alters a method and writes it back.
func changeMethod[Out any](s *Service, c *gate.Call, api, resource, verb string, fn func(*record, *rest.Method) (*Out, error)) (*Out, error) {
	return change(s, c, api, func(_ *store.Tx, r *record) (*Out, error) {
		res, m, err := r.method(resource, verb)
		if err != nil {
			return nil, err
		}
		out, err := fn(r, &m)
		if err == nil {
			set(res, verb, m)
		}
		return out, err
	})
}

func (s *Service) updateMethod(c *gate.Call, in *rest.UpdateMethodInput) (*rest.Method, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(r *record, m *rest.Method) (*rest.Method, error) {
		err := patch(m, []string{"authorizationType", "authorizerId", "apiKeyRequired", "operationName", "requestParameters", "requestModels", "requestValidatorId", "authorizationScopes"}, in.PatchOperations)
		if err != nil {
			return nil, err
		}
		if k := wire.Val(m.AuthorizationType); k == "NONE" || k == "AWS_IAM" {
			m.AuthorizerId = nil
		}
		return m, r.checkMethod(m)
	})
}

func (s *Service) deleteMethod(c *gate.Call, in *rest.DeleteMethodInput) (*rest.DeleteMethodOutput, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.DeleteMethodOutput, error) {
		res, _, err := r.method(in.ResourceId, in.HttpMethod)
		if err != nil {
			return nil, err
		}
		res.ResourceMethods = maps.Clone(res.ResourceMethods)
		delete(res.ResourceMethods, in.HttpMethod)
		return &rest.DeleteMethodOutput{}, nil
	})
}

func (s *Service) putMethodResponse(c *gate.Call, in *rest.PutMethodResponseInput) (*rest.MethodResponse, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *record, m *rest.Method) (*rest.MethodResponse, error) {
		if _, ok := m.MethodResponses[in.StatusCode]; ok {
			return nil, conflict("Response already exists for this resource")
		}
		var out rest.MethodResponse
		wire.Fill(&out, in)
		return &out, putResponse(m, out)
	})
}

func putResponse(m *rest.Method, out rest.MethodResponse) error {
	for k := range out.ResponseParameters {
		if !strings.HasPrefix(k, "method.response.header.") {
			return bad("Invalid mapping expression specified: %s", k)
		}
	}
	if m.MethodResponses = maps.Clone(m.MethodResponses); m.MethodResponses == nil {
		m.MethodResponses = map[string]rest.MethodResponse{}
	}
	m.MethodResponses[*out.StatusCode] = out
	return nil
}

func (s *Service) getMethodResponse(c *gate.Call, in *rest.GetMethodResponseInput) (*rest.MethodResponse, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	_, m, err := r.method(in.ResourceId, in.HttpMethod)
	if err != nil {
		return nil, err
	}
	out, ok := m.MethodResponses[in.StatusCode]
	if !ok {
		return nil, missing("Response status code", "")
	}
	return &out, nil
}

func (s *Service) updateMethodResponse(c *gate.Call, in *rest.UpdateMethodResponseInput) (*rest.MethodResponse, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *record, m *rest.Method) (*rest.MethodResponse, error) {
		out, ok := m.MethodResponses[in.StatusCode]
		if !ok {
			return nil, missing("Response status code", "")
		}
		if err := patch(&out, []string{"responseParameters", "responseModels"}, in.PatchOperations); err != nil {
			return nil, err
		}
		return &out, putResponse(m, out)
	})
}

func (s *Service) deleteMethodResponse(c *gate.Call, in *rest.DeleteMethodResponseInput) (*rest.DeleteMethodResponseOutput, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *record, m *rest.Method) (*rest.DeleteMethodResponseOutput, error) {
		if _, ok := m.MethodResponses[in.StatusCode]; !ok {
			return nil, missing("Response status code", "")
		}
		m.MethodResponses = maps.Clone(m.MethodResponses)
		delete(m.MethodResponses, in.StatusCode)
		return &rest.DeleteMethodResponseOutput{}, nil
	})
}
