package front

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// foreign says why a request may not touch the AWS API: its Host is no name of this server (DNS
// rebinding), or a page of another origin sent it; "" where it may.
func (f *Front) foreign(r *http.Request) string {
	if !f.known(hostname(r.Host)) {
		return "Bastide does not go by the host " + r.Host + "; use localhost or 127.0.0.1"
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "none", "same-origin":
	default:
		return "Bastide refuses requests that another site's page makes"
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return "Bastide refuses requests from the origin " + origin
		}
	}
	return ""
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
}

// known names are those of this machine, AWS's own (clients that were pointed here by DNS or a
// proxy sign for them), and the configured ones.
func (f *Front) known(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || f.hosts[host]
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		strings.HasSuffix(host, ".localhost.localstack.cloud") || host == "localhost.localstack.cloud" ||
		strings.HasSuffix(host, ".amazonaws.com") || f.hosts[host]
}

// turnAway refuses a request at station 1, in its caller's protocol where it has one, and always
// with status 403, which browsers and proxies understand too.
func (f *Front) turnAway(w http.ResponseWriter, r *http.Request, why string) {
	err := awserr.Of(awserr.AccessDenied, "%s", why)
	f.Strangers.CountRefusal(sourceOf(r).IP.String(), err.Kind.String())
	routed, _ := f.Router.Route(r, nil) // what it cannot be routed to is worded by the path's family
	code, _ := routed.Code(err)
	routed.Fail(w, awserr.New(code, http.StatusForbidden, "%s", why), f.IDs.UUID())
}
