package edge

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// errHeaderValue is a client's value that no header can have (RFC 9110, section 5.5).
var errHeaderValue = errors.New("what is mapped into a header has control characters")

// isHeaderValue tells whether a text can be a header's value.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// mapParameters puts what a REST API's integration maps into the request for the server: parts of the
// path, the query and headers, from those of the client's request, the stage's variables and fixed
// values. What was not sent is not mapped. Its error is a value of the client's that cannot be mapped.
func (x *exchange) mapParameters(s *server, parts map[string]string, query string, header http.Header) (map[string]string, string, error) {
	if len(s.parameters) == 0 {
		return parts, query, nil
	}
	parts = maps.Clone(parts)
	if parts == nil {
		parts = map[string]string{}
	}
	var pairs []pair
	for _, to := range slices.Sorted(maps.Keys(s.parameters)) {
		kind, name, _ := strings.Cut(strings.TrimPrefix(to, "integration.request."), ".")
		value, ok := x.parameter(s.parameters[to])
		if !ok {
			continue
		}
		switch kind {
		case "path":
			parts[name] = value
		case "querystring":
			pairs = append(pairs, pair{name, value})
		case "header":
			if !isHeaderValue(value) {
				return nil, "", errHeaderValue
			}
			header.Set(name, value)
		}
	}
	return parts, mapQuery(query, pairs), nil
}

// mapQuery replaces what is mapped in a query, and keeps the rest as it was sent.
func mapQuery(query string, pairs []pair) string {
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if part != "" && !slices.ContainsFunc(pairs, func(p pair) bool { return p.key == unescaped(name) }) {
			kept = append(kept, part)
		}
	}
	for _, p := range pairs {
		kept = append(kept, url.QueryEscape(p.key)+"="+url.QueryEscape(p.value))
	}
	return strings.Join(kept, "&")
}

// parameter is the value that a mapping names.
func (x *exchange) parameter(from string) (string, bool) {
	if len(from) >= 2 && from[0] == '\'' {
		return from[1 : len(from)-1], true
	}
	if name, ok := strings.CutPrefix(from, "stageVariables."); ok {
		v, ok := x.stage.variables[name]
		return v, ok
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(from, "method.request."), ".")
	switch kind {
	case "path":
		v, ok := x.params[name]
		return v, ok
	case "querystring":
		for _, p := range slices.Backward(x.query) { // the last one counts, as for functions
			if p.key == name {
				return p.value, true
			}
		}
	case "header":
		if v := x.sent(name); len(v) > 0 {
			return v[len(v)-1], true
		}
	}
	return "", false
}
