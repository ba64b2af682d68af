package edge

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

// exchange is one request on its way, and what each station has learnt of it.
type exchange struct {
	edge   *Edge
	r      *http.Request
	id     string
	now    time.Time
	source gate.Source
	url    bool // for a function URL, known or not

	api      *api
	stage    *stage
	escaped  string // path within the stage
	segments []string
	path     string // canonical, within the stage
	body     []byte
	route    *route
	params   map[string]string
	rawQuery string // as sent, without a signature that has been verified
	query    []pair
	host     string // domainName of events

	// The authorizer's findings.
	who      identity.Principal
	needs    func(*gate.Ask) ([]gate.Need, error)
	context  authContext
	out      *response
	failed   reason
	extended string // x-amz-apigw-id
	trace    string // x-amzn-trace-id
}

type pair struct{ key, value string }

func (e *Edge) newExchange(r *http.Request, from gate.Source) *exchange {
	x := &exchange{edge: e, r: r, id: e.IDs.UUID(), now: e.Clock.Now(), extended: e.IDs.Lower(15) + "=", source: from}
	x.trace = r.Header.Get("X-Amzn-Trace-Id")
	if x.trace == "" || len(x.trace) > 256 {
		x.trace = "Root=1-" + strconv.FormatInt(x.now.Unix(), 16) + "-" + hex.EncodeToString(e.IDs.Bytes(12))
	}
	x.source.Trace = x.trace
	x.rawQuery, x.query = r.URL.RawQuery, queryOf(r.URL.RawQuery)
	return x
}

// queryOf reads a query in its order; what is not well escaped stands as it is.
func queryOf(raw string) []pair {
	if raw == "" {
		return nil
	}
	var out []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		out = append(out, pair{unescaped(k), unescaped(v)})
	}
	return out
}

func unescaped(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// enter finds the stage: by name in a path form; by host, one that the path begins with, else
// $default. A function URL has no other.
func (x *exchange) enter(at address) error {
	x.escaped = at.path
	x.host = at.api + ".execute-api.localhost"
	if at.host {
		x.host = hostname(x.r.Host)
	}
	switch {
	case at.url:
		if !at.host {
			x.host = at.api + ".lambda-url.localhost"
		}
		if at.region != "" && at.region != x.api.region {
			return refusal{reason: forbidden, why: errors.New("the function URL is of another region")}
		}
		x.stage = x.api.stages[defaultStage]
	case at.host:
		first, rest, _ := strings.Cut(strings.TrimPrefix(at.path, "/"), "/")
		if name, err := url.PathUnescape(first); err == nil && name != defaultStage && x.api.stages[name] != nil {
			x.stage, x.escaped = x.api.stages[name], "/"+rest
		} else {
			x.stage = x.api.stages[defaultStage]
		}
	default:
		x.stage = x.api.stages[at.stage]
	}
	if x.stage == nil {
		if x.api.rest {
			return refusal{reason: forbidden}
		}
		return refusal{reason: notFound}
	}
	var ok bool
	if x.segments, ok = segmentsOf(x.escaped); !ok {
		return refusal{reason: badRequest}
	}
	if x.api.rest && len(x.segments) > 0 && x.segments[len(x.segments)-1] == "" {
		x.segments = x.segments[:len(x.segments)-1] // REST APIs take /a/ for /a
	}
	x.path = canonical(x.segments)
	return nil
}

// methods that API Gateway serves.
var served = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// match finds the route: the closest path, then the method before ANY, then $default.
func (x *exchange) match() error {
	if !slices.Contains(served, x.r.Method) {
		return refusal{reason: notFound}
	}
	if x.api.rest {
		return x.matchREST()
	}
	var best, fallback *route
	for _, r := range x.stage.routes {
		if r.path == "" {
			fallback = r
			continue
		}
		if r.method != "ANY" && r.method != x.r.Method || !matches(r.patterns, x.segments) {
			continue
		}
		if best == nil || closer(r.patterns, best.patterns) || !closer(best.patterns, r.patterns) && r.method != "ANY" {
			best = r
		}
	}
	if best == nil {
		best = fallback
	}
	if best == nil {
		return refusal{reason: notFound}
	}
	x.route, x.params = best, parameters(best.patterns, x.segments)
	return nil
}

func (x *exchange) routeName() string {
	switch {
	case x.route != nil:
		return x.route.name()
	case x.api != nil:
		return x.api.id
	}
	return ""
}

// arn names what the request asks for: the method and path, as policies of execute-api:Invoke do.
func (x *exchange) arn() string {
	return x.apiARN(x.stage.name + "/" + x.r.Method + x.path)
}

// routeARN names the route, as the source of the function's invocation.
func (x *exchange) routeARN() string {
	if x.route.path == "" {
		return x.apiARN(x.stage.name + "/" + defaultStage)
	}
	return x.apiARN(x.stage.name + "/" + x.r.Method + x.route.path)
}

func (x *exchange) apiARN(rest string) string {
	return "arn:aws:execute-api:" + x.api.region + ":" + x.api.account + ":" + x.api.id + "/" + rest
}

// fullPath is the path with the stage in front, but for $default.
func (x *exchange) fullPath() string {
	if x.stage.name == defaultStage {
		return x.path
	}
	return "/" + x.stage.name + x.path
}

// scheme and port of the client's connection, for X-Forwarded-Proto and -Port.
func (x *exchange) origin() (scheme, port string) {
	scheme, port = "http", "80"
	if x.r.TLS != nil {
		scheme, port = "https", "443"
	}
	if i := strings.LastIndexByte(x.r.Host, ':'); i > 0 && !strings.HasSuffix(x.r.Host, "]") {
		port = x.r.Host[i+1:]
	}
	return scheme, port
}

// hopByHop are headers of the connection, not of the request. Source: RFC 9110, section 7.6.1.
var hopByHop = map[string]bool{"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Proxy-Authenticate": true, "Proxy-Authorization": true}

// headers are those that the function sees: the client's, without those of the connection, and
// the edge's own. A client's X-Forwarded-For is added to, as AWS does; where the request really
// came from stands in the request context alone.
func (x *exchange) headers() http.Header {
	h := make(http.Header, len(x.r.Header)+5)
	drop := map[string]bool{}
	for _, v := range x.r.Header["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			drop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	for k, v := range x.r.Header {
		if !hopByHop[k] && !drop[k] {
			h[k] = v
		}
	}
	h.Set("Host", x.r.Host)
	if x.body != nil && h.Get("Content-Length") == "" && len(x.body) > 0 {
		h.Set("Content-Length", strconv.Itoa(len(x.body)))
	}
	from := append(slices.Clone(x.r.Header["X-Forwarded-For"]), x.source.Address())
	h["X-Forwarded-For"] = []string{strings.Join(from, ", ")}
	scheme, port := x.origin()
	h["X-Forwarded-Proto"] = []string{scheme}
	h["X-Forwarded-Port"] = []string{port}
	h["X-Amzn-Trace-Id"] = []string{x.trace}
	return h
}
