package edge

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// address is how a request names its API or function URL: by host, or by a path for clients that
// cannot resolve such hosts.
type address struct {
	api    string
	url    bool   // it names a function URL
	region string // of a function URL's host, where that says one
	stage  string // by path only; by host the path begins with it
	path   string // what follows, still escaped; begins with a slash
	host   bool
}

const (
	pathForm    = "/_aws/execute-api/"
	urlPathForm = "/_aws/lambda-url/"
)

// apiHost is an API's id before the names that its host may have.
var apiHost = regexp.MustCompile(`^([a-z0-9]{4,32})\.execute-api\.(localhost|localhost\.localstack\.cloud|[a-z]{2}(?:-[a-z0-9]+)+-[0-9]\.amazonaws\.com)$`)

// urlHost is a function URL's id, and its region, before the names that its host may have.
var urlHost = regexp.MustCompile(`^([a-z0-9]{32})\.lambda-url(?:\.([a-z]{2}(?:-[a-z0-9]+)+-[0-9]))?\.(localhost|localhost\.localstack\.cloud|on\.aws)$`)

var urlID = regexp.MustCompile(`^[a-z0-9]{32}$`)

var apiID = regexp.MustCompile(`^[a-z0-9]{4,32}$`)

// addressOf reads the API that a request is for. The host wins over the path: a path below an
// API's host is that API's own, whatever it looks like.
func addressOf(r *http.Request) (address, bool) {
	escaped := r.URL.EscapedPath()
	if escaped == "" {
		escaped = "/"
	}
	name := hostname(r.Host)
	if m := apiHost.FindStringSubmatch(name); m != nil {
		return address{api: m[1], path: escaped, host: true}, true
	}
	if m := urlHost.FindStringSubmatch(name); m != nil {
		return address{api: m[1], url: true, region: m[2], path: escaped, host: true}, true
	}
	if rest, ok := strings.CutPrefix(escaped, urlPathForm); ok {
		id, rest, _ := strings.Cut(rest, "/")
		return address{api: id, url: true, path: "/" + rest}, urlID.MatchString(id)
	}
	rest, ok := strings.CutPrefix(escaped, pathForm)
	if !ok {
		return address{}, false
	}
	id, rest, _ := strings.Cut(rest, "/")
	stage, rest, _ := strings.Cut(rest, "/")
	stage, err := url.PathUnescape(stage)
	if !apiID.MatchString(id) || err != nil {
		return address{}, false
	}
	return address{api: id, stage: stage, path: "/" + rest}, true
}

// hostname is a Host header's name, without port and in lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
}

// localName reports whether a host names this machine.
func localName(host string) bool {
	host = hostname(host)
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "localhost.localstack.cloud" ||
		strings.HasSuffix(host, ".localhost.localstack.cloud") || apiHost.MatchString(host) || urlHost.MatchString(host)
}

// APIURLs are the two addresses of a stage: by host, and by path for clients that cannot resolve the
// host. base is where applications answer. A shell would take "$default" for a variable of its own.
func APIURLs(base, apiID, stage string) (byHost, byPath string) {
	u := parsed(base)
	byHost = under(u, apiID+".execute-api")
	if stage != defaultStage {
		byHost += "/" + stage
	}
	return byHost, u.Scheme + "://" + u.Host + pathForm + apiID + "/" + strings.ReplaceAll(stage, "$", "%24")
}

// FunctionURLs are the two addresses of a function URL, each with a slash at its end.
func FunctionURLs(base, id string) (byHost, byPath string) {
	u := parsed(base)
	return under(u, id+".lambda-url") + "/", u.Scheme + "://" + u.Host + urlPathForm + id + "/"
}

func parsed(base string) *url.URL {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		u = &url.URL{Scheme: "http", Host: "127.0.0.1"}
	}
	return u
}

// under is the base at a name below localhost.
func under(u *url.URL, name string) string {
	s := u.Scheme + "://" + name + ".localhost"
	if p := u.Port(); p != "" {
		s += ":" + p
	}
	return s
}

const defaultStage = "$default"
