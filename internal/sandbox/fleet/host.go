package fleet

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ownHost tells whether a request names the door that it came through: by loopback's address, or by a
// name that only a sandbox knows. What a function was made to fetch under another name that led here (DNS
// rebinding) gets no answer with an event in it.
func ownHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || strings.EqualFold(host, "sandbox.localdomain") || strings.EqualFold(host, "sandbox")
}
