package wire

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/query"
)

// Router finds which service and operation a request names. It is immutable and safe for
// concurrent use.
type Router struct {
	region   string                // of requests that name none
	services []*Service            //
	signing  map[string][]*Service // by signing name
	targets  map[string]*Service   // by target prefix
	trees    map[string]*tree      // by signing name: its rest services' endpoints
	buffers  *sync.Pool
}

// NewRouter routes to services; region is that of requests that name none.
func NewRouter(region string, services []*Service) *Router {
	rt := &Router{region: region, services: services, signing: map[string][]*Service{}, targets: map[string]*Service{},
		trees: map[string]*tree{}, buffers: &sync.Pool{New: func() any { return new([]byte) }}}
	for _, s := range services {
		rt.signing[s.SigningName] = append(rt.signing[s.SigningName], s)
		if s.TargetPrefix != "" {
			rt.targets[s.TargetPrefix] = s
		}
		if s.Protocol != RestJSON && s.Protocol != RestXML {
			continue
		}
		t := rt.trees[s.SigningName]
		if t == nil {
			t = &tree{}
			rt.trees[s.SigningName] = t
		}
		for _, op := range s.Operations {
			t.add(op.Method, op.URI, endpointOf(op))
		}
		for _, u := range s.Unserved {
			t.add(u.Method, u.URI, &endpoint{svc: s, name: u.Name})
		}
	}
	return rt
}

// Peek says, from the head of a request alone, how many bytes of its body may be read before it
// is routed; stream means none: the body goes to the operation as it is.
func (rt *Router) Peek(r *http.Request) (limit int64, stream bool) {
	sc, _ := scopeOf(r)
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return rt.targets[target[:max(strings.LastIndexByte(target, '.'), 0)]].bodyLimit(), false
	}
	routed, err := rt.rest(r, sc.service)
	if err == nil && routed.Operation != nil {
		return routed.Service.bodyLimit(), routed.Operation.Streams()
	}
	if svc := rt.signing[sc.service]; len(svc) > 0 {
		return svc[0].bodyLimit(), false
	}
	return defaultBodyLimit, false
}

// Route finds the operation that r names. body is the whole body, or nil where Peek says that it
// streams. On an error Routed still knows how the caller expects it to be worded. Nothing here is
// verified: the scope is what the request claims.
func (rt *Router) Route(r *http.Request, body []byte) (Routed, error) {
	sc, signed := scopeOf(r)
	routed, err := rt.route(r, body, sc.service)
	routed.router, routed.req = rt, r
	routed.Region = rt.region
	if h := parseHost(r.Host); h.region != "" {
		routed.Region = h.region
	}
	if !signed {
		return routed, err
	}
	if !isRegion(sc.region) {
		return routed, awserr.Of(awserr.SignatureDoesNotMatch, "Credential should be scoped to a valid region. ")
	}
	routed.Region = sc.region
	if svc := routed.Service; svc != nil && svc.SigningName != sc.service {
		return routed, awserr.Of(awserr.SignatureDoesNotMatch, "Credential should be scoped to correct service: '%s'. ", svc.SigningName)
	}
	return routed, err
}

func (rt *Router) route(r *http.Request, body []byte, service string) (Routed, error) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return rt.target(target)
	}
	if service == "" {
		service = rt.claimed(r)
	}
	if routed, ok, err := rt.action(r, body, service); ok {
		return routed, err
	}
	if service != "" && rt.signing[service] == nil {
		return Routed{family: restFamily}, awserr.Of(awserr.NotImplemented, "Bastide has not built the service %s.", clip(service))
	}
	return rt.rest(r, service)
}

// claimed is the service that an unsigned request's host name says; empty where it says none.
func (rt *Router) claimed(r *http.Request) string {
	prefix := parseHost(r.Host).prefix
	for _, s := range rt.services {
		if s.EndpointPrefix == prefix && prefix != "" {
			return s.SigningName
		}
	}
	return ""
}

func (rt *Router) target(target string) (Routed, error) {
	i := strings.LastIndexByte(target, '.')
	if i < 0 {
		return Routed{family: jsonFamily}, awserr.Of(awserr.UnknownOperation, "X-Amz-Target names no operation.")
	}
	svc := rt.targets[target[:i]]
	if svc == nil {
		return Routed{family: jsonFamily}, awserr.Of(awserr.NotImplemented, "Bastide has not built the service %s.", clip(target[:i]))
	}
	return svc.named(target[i+1:])
}

// named is the operation of that name; JSON and query services find theirs so.
func (s *Service) named(name string) (Routed, error) {
	routed := Routed{Service: s, Name: name, family: s.family()}
	for _, op := range s.Operations {
		if op.Name == name {
			routed.Operation = op
			return routed, nil
		}
	}
	if slices.ContainsFunc(s.Unserved, func(u Unserved) bool { return u.Name == name }) {
		return routed, notBuilt(s, name)
	}
	routed.Name = clip(name)
	if s.isQuery() {
		return routed, awserr.Of(awserr.UnknownOperation, "Could not find operation %s for version %s", clip(name), s.APIVersion)
	}
	return routed, awserr.Of(awserr.UnknownOperation, "%s", "")
}

func notBuilt(s *Service, name string) error {
	return awserr.Of(awserr.NotImplemented, "Bastide has not built the operation %s of %s.", name, s.ID)
}

// maxAction bounds how far into a form the Action is looked for.
const maxAction = 1 << 20

// action routes the query protocol; ok is false where the request does not speak it.
func (rt *Router) action(r *http.Request, body []byte, service string) (Routed, bool, error) {
	form := r.URL.RawQuery
	name, ok := query.Get(form, "Action")
	if !ok && r.Method == http.MethodPost && isForm(r, body) {
		form = string(body)
		name, ok = query.Get(form[:min(len(form), maxAction)], "Action")
	}
	candidates := rt.signing[service]
	if !ok {
		if len(candidates) > 0 && candidates[0].isQuery() {
			return Routed{Service: candidates[0], family: queryFamily}, true,
				awserr.New("MissingAction", http.StatusBadRequest, "The request is missing an action or a required parameter.")
		}
		return Routed{}, false, nil
	}
	version, _ := query.Get(form, "Version")
	if service == "" {
		candidates = rt.services
	}
	for _, s := range candidates {
		if !s.isQuery() || service == "" && s.APIVersion != version {
			continue
		}
		if routed, err := s.named(name); err == nil || service != "" {
			routed.form = form
			return routed, true, err
		}
	}
	if service != "" && len(candidates) > 0 {
		return Routed{}, false, nil // a rest service with a parameter named Action
	}
	return Routed{family: queryFamily}, true, awserr.Of(awserr.NotImplemented, "Bastide has not built the service %s.", clip(service))
}

func isForm(r *http.Request, body []byte) bool {
	ct := r.Header.Get("Content-Type")
	return strings.HasPrefix(ct, "application/x-www-form-urlencoded") || ct == "" && bytes.Contains(body[:min(len(body), 512)], []byte("Action="))
}

// rest routes by path, within the service that the signature claims, or, where there is none,
// among those whose paths are their own, and else to S3.
func (rt *Router) rest(r *http.Request, service string) (Routed, error) {
	path, q := r.URL.EscapedPath(), r.URL.Query()
	if t := rt.trees[service]; t != nil && service != "s3" {
		return rt.endpoint(t, path, r, q, rt.signing[service][0])
	}
	if service == "" {
		for _, name := range rt.restNames() {
			t := rt.trees[name]
			first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
			if name != "s3" && t.fixed[first] != nil {
				return rt.endpoint(t, path, r, q, rt.signing[name][0])
			}
		}
	}
	if t := rt.trees["s3"]; t != nil && (service == "s3" || service == "") {
		if b := bucketOf(r.Host); b != "" {
			path = "/" + url.PathEscape(b) + path
		}
		return rt.endpoint(t, path, r, q, rt.signing["s3"][0])
	}
	if known := rt.signing[service]; len(known) > 0 { // a JSON service without its X-Amz-Target
		return Routed{Service: known[0], family: known[0].family()}, awserr.Of(awserr.UnknownOperation, "%s", "")
	}
	return Routed{family: restFamily}, awserr.Of(awserr.UnknownOperation, "No operation is at this path.")
}

func (rt *Router) restNames() []string {
	var names []string
	for _, s := range rt.services { // in their own order, not the map's
		if rt.trees[s.SigningName] != nil && !slices.Contains(names, s.SigningName) {
			names = append(names, s.SigningName)
		}
	}
	return names
}

func bucketOf(hostname string) string {
	if b := parseHost(hostname).bucket; b != "" {
		return b
	}
	return bareBucket(hostname)
}

func (rt *Router) endpoint(t *tree, path string, r *http.Request, q url.Values, first *Service) (Routed, error) {
	m, ok := t.find(strings.TrimPrefix(path, "/"), nil, request{r.Method, q, r.Header})
	if !ok {
		return Routed{Service: first, family: first.family()}, awserr.Of(awserr.UnknownOperation, "%s", unknownPath(first))
	}
	routed := Routed{Service: m.svc, Operation: m.op, Name: m.name, family: m.svc.family(), query: q}
	for _, l := range m.literals {
		delete(q, l[0]) // part of the route, no parameter
	}
	for i, v := range m.values {
		s, err := url.PathUnescape(v)
		if err != nil || !utf8.ValidString(s) {
			return routed, badPath(m.svc)
		}
		routed.labels = append(routed.labels, [2]string{m.labels[i], s})
	}
	if m.op == nil {
		return routed, notBuilt(m.svc, m.name)
	}
	return routed, nil
}

func badPath(s *Service) error {
	if s.ID == "s3" {
		return awserr.New("InvalidURI", http.StatusBadRequest, "Couldn't parse the specified URI.")
	}
	return awserr.Of(awserr.Malformed, "The path is not valid.")
}

func unknownPath(s *Service) string {
	if s.ID == "s3" {
		return "The specified method is not allowed against this resource."
	}
	return "No operation of " + s.ID + " is at this path."
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
