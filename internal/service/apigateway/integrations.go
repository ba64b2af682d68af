package apigateway

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) putIntegration(c *gate.Call, in *rest.PutIntegrationInput) (*rest.Integration, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *record, m *rest.Method) (*rest.Integration, error) {
		i := rest.Integration{PassthroughBehavior: new("WHEN_NO_MATCH"), CacheNamespace: &in.ResourceId}
		wire.Fill(&i, in)
		i.HttpMethod = in.IntegrationHttpMethod
		if err := checkIntegration(&i); err != nil {
			return nil, err
		}
		if old := m.MethodIntegration; old != nil {
			i.IntegrationResponses = old.IntegrationResponses
		}
		m.MethodIntegration = &i
		return &i, nil
	})
}

// checkIntegration refuses what is neither a Lambda proxy, an HTTP server nor a mock with a fixed answer. Parameters of
// a cache's key are kept as they are: only a stage can switch a cache on, and none may.
func checkIntegration(i *rest.Integration) error {
	switch kind := wire.Val(i.Type); kind {
	case "AWS_PROXY":
		if !namesFunction(wire.Val(i.Uri)) {
			return notBuilt("Integrations with AWS services other than functions, by the URI " + wire.Val(i.Uri))
		}
		if wire.Val(i.HttpMethod) != "POST" {
			return bad("The HTTP method of an integration with a function must be POST")
		}
		if len(i.RequestTemplates) > 0 {
			return bad("Request templates are not valid for AWS_PROXY integrations")
		}
	case "MOCK":
		for kind, t := range i.RequestTemplates {
			if !fixedStatus(t) {
				return notBuilt("Mapping templates: the request template for " + kind + " may only be {\"statusCode\": NUMBER}, but templates that compute are")
			}
		}
	case "HTTP", "HTTP_PROXY":
		if err := checkServer(i); err != nil {
			return err
		}
	default:
		return notBuilt(kind + " integrations")
	}
	switch {
	case wire.Val(i.ConnectionType) == "VPC_LINK" || i.ConnectionId != nil || i.IntegrationTarget != nil:
		return notBuilt("VPC links")
	case i.Credentials != nil && !callerCredentials(*i.Credentials):
		return notBuilt("Credentials of integrations other than the caller's, arn:aws:iam::*:user/*")
	case i.Credentials != nil && wire.Val(i.Type) != "AWS_PROXY":
		return bad("Credentials are not valid for %s integrations", wire.Val(i.Type))
	case len(i.RequestParameters) > 0 && !callsServer(wire.Val(i.Type)):
		return notBuilt("Parameter mapping")
	case i.ContentHandling != nil:
		return notBuilt("Content handling")
	case i.TlsConfig != nil:
		return notBuilt("TLS configuration of integrations")
	case wire.Val(i.ResponseTransferMode) == "STREAM":
		return notBuilt("Streamed responses")
	case i.TimeoutInMillis != nil && (*i.TimeoutInMillis < 50 || *i.TimeoutInMillis > 29000):
		return bad("Timeout should be between 50 ms and 29000 ms")
	case !slices.Contains([]string{"", "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"}, wire.Val(i.PassthroughBehavior)):
		return bad("Invalid passthrough behavior %s", *i.PassthroughBehavior)
	}
	if i.TimeoutInMillis == nil {
		i.TimeoutInMillis = new(int32(29000))
	}
	return nil
}

// callerCredentials reports whether the function is invoked as who calls the API. Source: API Gateway API
// Reference, "PutIntegration".
func callerCredentials(arn string) bool { return callerForm.MatchString(arn) }

var callerForm = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::\*:user/\*$`)

// fixedStatus reports whether a request template says a status and computes nothing.
func fixedStatus(template string) bool {
	if strings.ContainsAny(template, "#$") {
		return false
	}
	var v struct {
		StatusCode json.Number `json:"statusCode"`
	}
	d := json.NewDecoder(strings.NewReader(template))
	d.DisallowUnknownFields()
	return d.Decode(&v) == nil && statusForm.MatchString(v.StatusCode.String())
}

var statusForm = regexp.MustCompile(`^[1-5]\d\d$`)

// stageVariable is a part of a URI that each stage fills in.
var stageVariable = regexp.MustCompile(`\$\{stageVariables\.[A-Za-z0-9_]+\}`)

// namesFunction reports whether a URI names a function:
// arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations. Its name and its version
// may be the stage's variables; the edge puts them in, and calls only what lets the API call it.
func namesFunction(uri string) bool {
	uri = stageVariable.ReplaceAllString(uri, "x")
	rest, ok := strings.CutPrefix(uri, "arn:aws:apigateway:")
	if !ok {
		return false
	}
	_, path, ok := strings.Cut(rest, ":lambda:path/2015-03-31/functions/")
	if !ok {
		return false
	}
	name, ok := strings.CutSuffix(path, "/invocations")
	a, err := arn.Parse(name)
	return ok && err == nil && a.Service == "lambda" && strings.HasPrefix(a.Resource, "function:") && len(a.Resource) > len("function:") && !strings.ContainsAny(name, "${}")
}

func (s *Service) getIntegration(c *gate.Call, in *rest.GetIntegrationInput) (*rest.Integration, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	_, m, err := r.method(in.ResourceId, in.HttpMethod)
	if err == nil && m.MethodIntegration == nil {
		err = missing("Integration", "")
	}
	return m.MethodIntegration, err
}

func (s *Service) updateIntegration(c *gate.Call, in *rest.UpdateIntegrationInput) (*rest.Integration, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *record, m *rest.Method) (*rest.Integration, error) {
		if m.MethodIntegration == nil {
			return nil, missing("Integration", "")
		}
		i := *m.MethodIntegration
		err := patch(&i, []string{"uri", "httpMethod", "type", "timeoutInMillis", "requestTemplates", "requestParameters", "passthroughBehavior", "credentials", "contentHandling", "cacheNamespace"}, in.PatchOperations)
		if err != nil {
			return nil, err
		}
		m.MethodIntegration = &i
		return &i, checkIntegration(&i)
	})
}

func (s *Service) deleteIntegration(c *gate.Call, in *rest.DeleteIntegrationInput) (*rest.DeleteIntegrationOutput, error) {
	return changeMethod(s, c, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *record, m *rest.Method) (*rest.DeleteIntegrationOutput, error) {
		if m.MethodIntegration == nil {
			return nil, missing("Integration", "")
		}
		m.MethodIntegration = nil
		return &rest.DeleteIntegrationOutput{}, nil
	})
}

func (s *Service) putIntegrationResponse(c *gate.Call, in *rest.PutIntegrationResponseInput) (*rest.IntegrationResponse, error) {
	return s.changeResponse(c, in.RestApiId, in.ResourceId, in.HttpMethod, in.StatusCode, func(kind string, _ *rest.IntegrationResponse) (*rest.IntegrationResponse, error) {
		var out rest.IntegrationResponse
		wire.Fill(&out, in)
		return &out, checkResponseOf(kind, &out)
	})
}

// changeResponse alters one response of an integration; fn gets nil where there is none yet, and
// gives nil to delete it.
func (s *Service) changeResponse(c *gate.Call, api, resource, verb, status string, fn func(kind string, _ *rest.IntegrationResponse) (*rest.IntegrationResponse, error)) (*rest.IntegrationResponse, error) {
	return changeMethod(s, c, api, resource, verb, func(_ *record, m *rest.Method) (*rest.IntegrationResponse, error) {
		if m.MethodIntegration == nil {
			return nil, missing("Integration", "")
		}
		i := *m.MethodIntegration
		all := maps.Clone(i.IntegrationResponses)
		if all == nil {
			all = map[string]rest.IntegrationResponse{}
		}
		var old *rest.IntegrationResponse
		if x, ok := all[status]; ok {
			old = &x
		}
		out, err := fn(wire.Val(i.Type), old)
		if err != nil {
			return nil, err
		}
		if out == nil {
			delete(all, status)
			out = &rest.IntegrationResponse{}
		} else {
			all[status] = *out
		}
		i.IntegrationResponses = all
		m.MethodIntegration = &i
		return out, nil
	})
}

// checkResponseOf refuses a response that an integration of this kind cannot have.
func checkResponseOf(kind string, r *rest.IntegrationResponse) error {
	if callsServer(kind) {
		return checkServerResponse(r)
	}
	return checkResponse(r)
}

// checkResponse refuses an answer that is not fixed.
func checkResponse(r *rest.IntegrationResponse) error {
	if r.ContentHandling != nil {
		return notBuilt("Content handling")
	}
	if p := wire.Val(r.SelectionPattern); p != "" && !statusForm.MatchString(p) {
		return notBuilt("Selection patterns other than a status")
	}
	for k, v := range r.ResponseParameters {
		name, ok := strings.CutPrefix(k, "method.response.header.")
		if !ok || name == "" || strings.ContainsAny(name, " \r\n:") {
			return bad("Invalid mapping expression specified: %s", k)
		}
		if len(v) < 2 || v[0] != '\'' || v[len(v)-1] != '\'' || strings.ContainsAny(v, "\r\n") {
			return notBuilt("Response parameters other than 'fixed values'")
		}
	}
	for kind, t := range r.ResponseTemplates {
		if strings.ContainsAny(t, "#$") {
			return notBuilt("Mapping templates that compute (the response template for " + kind + ")")
		}
	}
	return nil
}

func (s *Service) getIntegrationResponse(c *gate.Call, in *rest.GetIntegrationResponseInput) (*rest.IntegrationResponse, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	_, m, err := r.method(in.ResourceId, in.HttpMethod)
	if err != nil {
		return nil, err
	}
	if m.MethodIntegration == nil {
		return nil, missing("Integration", "")
	}
	out, ok := m.MethodIntegration.IntegrationResponses[in.StatusCode]
	if !ok {
		return nil, missing("Response status code", "")
	}
	return &out, nil
}

func (s *Service) updateIntegrationResponse(c *gate.Call, in *rest.UpdateIntegrationResponseInput) (*rest.IntegrationResponse, error) {
	return s.changeResponse(c, in.RestApiId, in.ResourceId, in.HttpMethod, in.StatusCode, func(kind string, old *rest.IntegrationResponse) (*rest.IntegrationResponse, error) {
		if old == nil {
			return nil, missing("Response status code", "")
		}
		if err := patch(old, []string{"selectionPattern", "responseParameters", "responseTemplates", "contentHandling"}, in.PatchOperations); err != nil {
			return nil, err
		}
		return old, checkResponseOf(kind, old)
	})
}

func (s *Service) deleteIntegrationResponse(c *gate.Call, in *rest.DeleteIntegrationResponseInput) (*rest.DeleteIntegrationResponseOutput, error) {
	_, err := s.changeResponse(c, in.RestApiId, in.ResourceId, in.HttpMethod, in.StatusCode, func(_ string, old *rest.IntegrationResponse) (*rest.IntegrationResponse, error) {
		if old == nil {
			return nil, missing("Response status code", "")
		}
		return nil, nil
	})
	return &rest.DeleteIntegrationResponseOutput{}, err
}
