package edge

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// address is how a request names its API: by host, or by a path for clients that cannot resolve
// such hosts.
type address struct {
	api   string
	stage string // by path only; by host the path begins with it
	path  string // what follows, still escaped; begins with a slash
	host  bool
}

const pathForm = "/_aws/execute-api/"

// apiHost is an API's id before the names that its host may have.
var apiHost = regexp.MustCompile(`^([a-z0-9]{4,32})\.execute-api\.(localhost|localhost\.localstack\.cloud|[a-z]{2}(?:-[a-z0-9]+)+-[0-9]\.amazonaws\.com)$`)

var apiID = regexp.MustCompile(`^[a-z0-9]{4,32}$`)

// addressOf reads the API that a request is for. The host wins over the path: a path below an
// API's host is that API's own, whatever it looks like.
func addressOf(r *http.Request) (address, bool) {
	escaped := r.URL.EscapedPath()
	if escaped == "" {
		escaped = "/"
	}
	if m := apiHost.FindStringSubmatch(hostname(r.Host)); m != nil {
		return address{api: m[1], path: escaped, host: true}, true
	}
	rest, ok := strings.CutPrefix(escaped, pathForm)
	if !ok {
		return address{}, false
	}
	id, rest, _ := strings.Cut(rest, "/")
	stage, rest, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(stage)
	if !apiID.MatchString(id) || err != nil {
		return address{}, false
	}
	return address{api: id, stage: name, path: "/" + rest}, true
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
		strings.HasSuffix(host, ".localhost.localstack.cloud") || apiHost.MatchString(host)
}

// URLs are the two addresses of a stage: by host, and by path for clients that cannot resolve the
// host. base is where applications answer.
func URLs(base, apiID, stage string) (byHost, byPath string) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		u = &url.URL{Scheme: "http", Host: "127.0.0.1"}
	}
	byHost = u.Scheme + "://" + apiID + ".execute-api.localhost"
	if p := u.Port(); p != "" {
		byHost += ":" + p
	}
	if stage != defaultStage {
		byHost += "/" + stage
	}
	return byHost, u.Scheme + "://" + u.Host + pathForm + apiID + "/" + stage
}

const defaultStage = "$default"
