package apigateway

import (
	"regexp"
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	server "github.com/bastide-cloud/bastide/internal/base/endpoint"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// callsServer tells whether an integration calls an HTTP server.
func callsServer(kind string) bool { return kind == "HTTP" || kind == "HTTP_PROXY" }

// checkServer refuses an integration with an HTTP server that could never be called. Which servers may
// be called is judged at each request, by the address that the name has then.
func checkServer(i *rest.Integration) error {
	uri := stageVariable.ReplaceAllString(wire.Val(i.Uri), "x")
	e, err := server.Parse(uri)
	if err != nil {
		return bad("Invalid HTTP endpoint specified for URI")
	}
	if i.HttpMethod == nil || !slices.Contains(verbs, *i.HttpMethod) {
		return bad("Enumeration value for HttpMethod must be non-empty")
	}
	for kind := range i.RequestTemplates {
		return notBuilt("Mapping templates: the request template for " + kind)
	}
	for to, from := range i.RequestParameters {
		kind, name, ok := mapped(to, "integration.request.")
		if !ok {
			return bad("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", to)
		}
		if kind == "header" && unmapped[strings.ToLower(name)] {
			return bad("Invalid mapping expression specified: the header %s is the gateway's own", name)
		}
		if err := checkSource(from); err != nil {
			return err
		}
	}
	for _, p := range e.Parts() {
		if _, ok := i.RequestParameters["integration.request.path."+p]; !ok && *i.Type == "HTTP" {
			return bad("Invalid mapping expression specified: the URI's {%s} is mapped by no integration.request.path.%s", p, p)
		}
	}
	return nil
}

// verbs are the methods that an integration may call with.
var verbs = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"}

// unmapped are headers that describe the connection or the message; what a mapping put there would make
// two readers of one request.
var unmapped = map[string]bool{"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "te": true, "trailer": true,
	"upgrade": true, "expect": true, "proxy-authorization": true, "keep-alive": true}

// mapped reads a place such as method.request.header.NAME.
func mapped(place, prefix string) (kind, name string, ok bool) {
	rest, ok := strings.CutPrefix(place, prefix)
	if !ok {
		return "", "", false
	}
	kind, name, ok = strings.Cut(rest, ".")
	return kind, name, ok && parameterName.MatchString(name) && slices.Contains([]string{"path", "querystring", "header"}, kind)
}

var parameterName = regexp.MustCompile(`^[A-Za-z0-9._$!#%&'*+^|~-]+$`)

// checkSource refuses what a parameter is not mapped from: parts of the request, variables of the stage and
// fixed values are built.
func checkSource(from string) error {
	if len(from) >= 2 && from[0] == '\'' && from[len(from)-1] == '\'' && !strings.ContainsAny(from, "\r\n") {
		return nil
	}
	if name, ok := strings.CutPrefix(from, "stageVariables."); ok && parameterName.MatchString(name) {
		return nil
	}
	if _, _, ok := mapped(from, "method.request."); ok {
		return nil
	}
	return notBuilt("Parameter mapping from " + from)
}

// checkServerResponse refuses a response of an HTTP server that is mapped in a way that is not built.
func checkServerResponse(r *rest.IntegrationResponse) error {
	if p := wire.Val(r.SelectionPattern); p != "" {
		if _, err := regexp.Compile("^(?:" + p + ")$"); err != nil || len(p) > 256 {
			return bad("Invalid selection pattern specified: %s", p)
		}
	}
	fixed := *r
	fixed.SelectionPattern, fixed.ResponseParameters = nil, map[string]string{}
	for k, v := range r.ResponseParameters {
		if name, ok := strings.CutPrefix(v, "integration.response.header."); ok && parameterName.MatchString(name) {
			v = "''"
		}
		fixed.ResponseParameters[k] = v
	}
	return checkResponse(&fixed)
}
