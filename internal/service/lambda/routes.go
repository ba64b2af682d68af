package lambda

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// tagEgress is the tag that declares a function's ways out: "host:port" each, separated by spaces,
// and "private=host:port" for a name that leads to a private network. localhost, a name below it
// and 127.0.0.1 are the machine that Bastide runs on.
const tagEgress = "bastide:egress"

// taken are ports of 127.0.0.1 that a function finds Bastide's own doors at.
var taken = []int{53, 443, 4566, 9001}

// routes reads the ways out that tags declare. A wrong one is refused when it is tagged, not when
// the function runs.
func routes(tags map[string]string) ([]fleet.Route, error) {
	var out []fleet.Route
	for _, text := range strings.Fields(tags[tagEgress]) {
		r, why := route(text)
		if why != "" {
			return nil, invalid("The tag %s: %q %s.", tagEgress, text, why)
		}
		if !slices.ContainsFunc(out, func(o fleet.Route) bool { return o.Host == r.Host && o.Port == r.Port }) {
			out = append(out, r)
		}
	}
	return out, nil
}

// route reads one way out; why says what is wrong with it.
func route(text string) (r fleet.Route, why string) {
	rest, private := strings.CutPrefix(text, "private=")
	host, port, ok := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return r, "is not host:port"
	}
	r = fleet.Route{Host: strings.ToLower(host), Port: int(n), Private: private}
	address, err := netip.ParseAddr(r.Host)
	local := r.Host == "localhost" || err == nil && address == netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case err == nil && !local:
		return r, "names an address; inside a sandbox only names lead out (and 127.0.0.1, this machine)"
	case !local && !isName(r.Host):
		return r, "is not the name of one host"
	case ca.Covers(r.Host):
		return r, "is a host of AWS, which Bastide itself answers for"
	case local && slices.Contains(taken, r.Port):
		return r, "is a port that Bastide answers at inside the sandbox; name it as this-machine.localhost:" + port
	case private && (local || strings.HasSuffix(r.Host, ".localhost")):
		return r, "is this machine, not a private network"
	}
	return r, ""
}

// isName tells a host name (RFC 1123) from patterns and the like.
func isName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
