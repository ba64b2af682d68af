package app

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// elsewhere is an address of an API or of a function URL, at AWS or here: its id, its service, and
// the path.
var elsewhere = regexp.MustCompile(`https?://([a-z0-9]+)\.(execute-api|lambda-url)\.[a-z0-9.-]+(?::\d+)?(/[^\s"'<>]*)?`)

// localAddresses are where what the addresses in an output name answers on this server, by host and
// by path, without those that the output has already. A template that writes amazonaws.com gives an
// address that only AWS would answer.
func localAddresses(output string, routes []Route) (out []string) {
	for _, m := range elsewhere.FindAllStringSubmatch(output, -1) {
		id, service, path := m[1], m[2], m[3]
		i := slices.IndexFunc(routes, func(r Route) bool {
			return len(strings.Fields(r.Url)) == 2 && strings.Contains(r.Url, id+"."+service+".")
		})
		if i < 0 {
			continue
		}
		addresses := strings.Fields(routes[i].Url)
		host, herr := url.Parse(addresses[0])
		byPath, perr := url.Parse(addresses[1])
		if herr != nil || perr != nil {
			continue
		}
		below := "/_aws/" + service + "/" + id
		prefix := byPath.Scheme + "://" + byPath.Host + below
		if service == "execute-api" && !stageBegins(path, below, routes) {
			prefix += "/%24default"
		}
		for _, u := range []string{host.Scheme + "://" + host.Host + path, prefix + path} {
			if !strings.Contains(output, u) && !slices.Contains(out, u) {
				out = append(out, u)
			}
		}
	}
	return out
}

// stageBegins reports whether a path at an API's host begins with one of its stages, as it does
// unless the stage is $default.
func stageBegins(path, below string, routes []Route) bool {
	stage, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	known := func(stage string) bool {
		return slices.ContainsFunc(routes, func(r Route) bool { return strings.Contains(r.Url+"/", below+"/"+stage+"/") })
	}
	return stage != "" && known(stage) || !known("%24default")
}
