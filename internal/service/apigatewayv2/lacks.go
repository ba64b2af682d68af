package apigatewayv2

import (
	"slices"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/document"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// lacksOfAPI lists what a template's definition of an API asks for and is not built, before it is
// imported. What waits for a resource is left to the operations.
func lacksOfAPI(props map[string]any) []gate.Lack {
	body, ok := props["Body"].(map[string]any)
	if !ok {
		return nil
	}
	var out []gate.Lack
	add := func(what string, path ...string) {
		out = append(out, gate.Lack{Path: append([]string{"Body"}, path...), What: what})
	}
	doc := document.Of(body)
	schemes := doc.Get("components", "securitySchemes")
	for _, name := range schemes.Keys() {
		if schemes.Get(name, "x-amazon-apigateway-authorizer", "authorizerCredentials").Exists() {
			add("the authorizer "+name+" has credentials (FunctionInvokeRole), which are not built", "components", "securitySchemes", name, "x-amazon-apigateway-authorizer", "authorizerCredentials")
		}
	}
	const key = "x-amazon-apigateway-integration"
	paths := doc.Get("paths")
	for _, path := range paths.Keys() {
		for _, method := range paths.Get(path).Keys() {
			in := paths.Get(path, method, key)
			if method != anyMethod && !slices.Contains(methods, strings.ToUpper(method)) || !in.Exists() {
				continue
			}
			if in.Get("credentials").Exists() {
				add("credentials of integrations are not built", "paths", path, method, key, "credentials")
			}
			if what := lackOfIntegration(in.With("credentials", nil)); what != "" {
				add(what, "paths", path, method, key)
			}
		}
	}
	return out
}

// lackOfIntegration is why an integration is not built.
func lackOfIntegration(in document.Value) string {
	if in.Get("type").Text() == "" {
		return ""
	}
	d := &definition{s: New(Deps{}), r: &record{API: v2.Api{}}}
	_, err := d.integration(in.Settled())
	if e, ok := err.(*awserr.Error); ok && e.Kind == awserr.NotImplemented {
		return strings.TrimSuffix(e.Message, " in this version of Bastide.")
	}
	return ""
}
