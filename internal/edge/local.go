package edge

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// open lets a caller of a route without authorisation in: one on this machine, or anybody once the
// route is acknowledged by name.
func (e *Edge) open(x *exchange) error {
	why := x.stranger()
	if why == "" {
		return nil
	}
	ok, err := e.Acknowledgements.Acknowledged(x.r.Context(), x.api.account, x.route.name())
	if err != nil {
		return err
	}
	if ok {
		return nil
	}
	return refusal{reason: onlyLocal, why: errors.New(why), message: "The route \"" + x.route.name() +
		"\" has no authorisation and answers this machine only; " + why + ". To open it: bastide acknowledge \"" + x.route.name() + "\""}
}

// stranger says why a caller is not one of this machine; "" where it is. A proxy or tunnel on this
// machine that says whom it speaks for is that caller, and a page of another site in a local
// browser is that site.
func (x *exchange) stranger() string {
	switch {
	case x.source.Function != "":
		return "the caller is the function " + x.source.Function
	case !x.source.IP.IsLoopback():
		return "the caller is another machine"
	case !localName(x.r.Host):
		return "the host is not one of this machine"
	case forwarded(x.r.Header):
		return "the caller came through a proxy"
	case x.foreignPage():
		return "the caller is a page of another site"
	}
	return ""
}

// forwarded reports whether a proxy says that it speaks for another machine.
func forwarded(h http.Header) bool {
	if len(h["Forwarded"]) > 0 {
		return true
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip"} {
		for _, v := range h[name] {
			for one := range strings.SplitSeq(v, ",") {
				if ip, err := netip.ParseAddr(strings.TrimSpace(one)); err != nil || !ip.Unmap().IsLoopback() {
					return true
				}
			}
		}
	}
	return false
}

// foreignPage reports a request that a page of another origin makes, unless the API's CORS
// configuration allows it. Following a link is no such request.
func (x *exchange) foreignPage() bool {
	h := x.r.Header
	if o := h.Get("Origin"); o != "" && o != "null" {
		if u, err := url.Parse(o); err == nil && localName(u.Host) {
			return false
		}
		return x.stage.cors.allowed(o) == ""
	}
	if h.Get("Sec-Fetch-Site") != "cross-site" {
		return h.Get("Origin") == "null"
	}
	follows := h.Get("Sec-Fetch-Mode") == "navigate" && (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead)
	return !follows
}
