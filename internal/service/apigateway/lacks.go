package apigateway

import (
	"slices"
	"strconv"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/document"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// lacks lists what a template's definition of an API asks for and is not built, before it is imported.
type lacks struct {
	doc  document.Value
	list []gate.Lack
}

func (l *lacks) add(what string, path ...string) {
	l.list = append(l.list, gate.Lack{Path: append([]string{"Body"}, path...), What: what})
}

func lacksOfAPI(props map[string]any) []gate.Lack {
	body, ok := props["Body"].(map[string]any)
	if !ok {
		return nil
	}
	l := &lacks{doc: document.Of(body)}
	for _, k := range l.doc.Get(ext + "gateway-responses").Keys() {
		l.add("gateway responses are not built", ext+"gateway-responses", k)
	}
	for k, what := range map[string]string{"minimum-compression-size": "compression is not built", "request-validator": "request validators are not built"} {
		if l.doc.Get(ext + k).Exists() {
			l.add(what, ext+k)
		}
	}
	for _, section := range [][]string{{"securityDefinitions"}, {"components", "securitySchemes"}} {
		l.schemes(section)
	}
	paths := l.doc.Get("paths")
	for _, path := range paths.Keys() {
		for _, k := range paths.Get(path).Keys() {
			if k == ext+"any-method" || slices.Contains(methods, strings.ToUpper(k)) {
				l.method(paths.Get(path, k), "paths", path, k)
			}
		}
	}
	return l.list
}

func (l *lacks) schemes(section []string) {
	all := l.doc.Get(section...)
	for _, name := range all.Keys() {
		a := all.Get(name, ext+"authorizer")
		at := append(slices.Clone(section), name)
		switch {
		case strings.EqualFold(a.Get("type").Text(), "cognito_user_pools") || a.Get("providerARNs").Exists():
			l.add("the authorizer "+name+" needs Cognito user pools, which are not built", at...)
		case a.Get("authorizerCredentials").Exists():
			l.add("the authorizer "+name+" has credentials (FunctionInvokeRole), which are not built", append(at, ext+"authorizer", "authorizerCredentials")...)
		}
	}
}

func (l *lacks) method(op document.Value, at ...string) {
	under := func(more ...string) []string { return append(slices.Clone(at), more...) }
	if op.Get(ext + "request-validator").Exists() {
		l.add("request validators are not built", under(ext+"request-validator")...)
	}
	security, where := op.Get("security"), under("security")
	if !security.Exists() {
		security, where = l.doc.Get("security"), []string{"security"}
	}
	for i, requirement := range security.List() {
		for _, name := range requirement.Keys() {
			s := l.doc.Get("securityDefinitions", name)
			if !s.Exists() {
				s = l.doc.Get("components", "securitySchemes", name)
			}
			path := append(slices.Clone(where), strconv.Itoa(i), name)
			switch {
			case s.Get("type").Text() == "apiKey" && strings.EqualFold(s.Get("name").Text(), "x-api-key"):
				l.add("API keys (ApiKeyRequired) are not built", path...)
			case len(requirement.Get(name).Texts()) > 0 && !strings.HasPrefix(strings.ToLower(s.Get(ext+"authtype").Text()), "cognito"):
				l.add("authorization scopes of REST APIs are not built", path...)
			}
		}
	}
	in := op.Get(ext + "integration")
	if c := in.Get("credentials"); c.Exists() && !callerCredentials(c.Text()) {
		l.add(roleCredentials, under(ext+"integration", "credentials")...)
	}
	if what := lackOfIntegration(in); what != "" {
		l.add(what, under(ext+"integration")...)
	}
}

const roleCredentials = "an integration's credentials other than the caller's, arn:aws:iam::*:user/*, are not built"

// someFunction stands for the function that a URI will name.
const someFunction = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations"

// someServer stands for the HTTP server that a URI will name.
const someServer = "https://example.com/"

// lackOfIntegration is why an integration is not built, but for its credentials. What waits for a
// resource is left to the operations.
func lackOfIntegration(in document.Value) string {
	if in.Get("type").Text() == "" {
		return ""
	}
	in = in.With("credentials", nil)
	if in.Get("uri").IsMap() {
		in = in.With("uri", someFunction)
		if callsServer(strings.ToUpper(in.Get("type").Text())) {
			in = in.With("uri", someServer)
		}
	}
	if _, err := integration(in.Settled()); awserr.Wrap(err).Kind == awserr.NotImplemented {
		e := awserr.Wrap(err)
		return strings.TrimSuffix(e.Message, " in this version of Bastide.")
	}
	return ""
}

// lacksOfMethod is lacksOfAPI, of a method that a template describes by itself.
func lacksOfMethod(props map[string]any) []gate.Lack {
	v := document.Of(props)
	var out []gate.Lack
	for kind, model := range v.Get("RequestModels").TextMap() {
		if model != "Empty" && model != "Error" && model != "" {
			out = append(out, gate.Lack{Path: []string{"RequestModels", kind}, What: "models are not built"})
		}
	}
	in := v.Get("Integration")
	if c := in.Get("Credentials"); c.Exists() && !callerCredentials(c.Text()) {
		out = append(out, gate.Lack{Path: []string{"Integration", "Credentials"}, What: roleCredentials})
	}
	i := rest.Integration{Type: in.Get("Type").Pointer(), HttpMethod: in.Get("IntegrationHttpMethod").Pointer(), Uri: in.Get("Uri").Pointer(),
		RequestTemplates: in.Settled().Get("RequestTemplates").TextMap(), RequestParameters: in.Settled().Get("RequestParameters").TextMap(), ConnectionType: in.Get("ConnectionType").Pointer()}
	if wire.Val(i.Type) == "" || in.Get("Uri").IsMap() {
		return out
	}
	if e := awserr.Wrap(checkIntegration(&i)); e != nil && e.Kind == awserr.NotImplemented {
		out = append(out, gate.Lack{Path: []string{"Integration"}, What: strings.TrimSuffix(e.Message, " in this version of Bastide.")})
	}
	return out
}
