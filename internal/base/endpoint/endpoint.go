// Package endpoint is the noun of what an HTTP integration calls: a URL whose host is written out, and
// whose path and query may have parts that each request fills in.
//
//	e, err := endpoint.Parse("https://api.example.com/pets/{id}")
//	e.Fill(map[string]string{"id": "a b"}) // "https://api.example.com/pets/a%20b"
//
// What a request fills in can change neither the host nor climb out of the path: it is escaped, and
// dot segments are refused. Anything but http and https, credentials in the URL, a fragment, and a host
// that only some resolvers take for an address (127.1, 0x7f000001) are refused.
package endpoint

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/way"
)

// maxLength bounds a URL, before and after it is filled. Larger ones are refused by most servers.
const maxLength = 8 << 10

// Endpoint is a checked URL; make it with Parse.
type Endpoint struct {
	Scheme string // http or https
	Host   string // a name in lower case or an address, without brackets
	Port   int
	base   string // scheme and authority
	rest   string // path and query, with {parts}
}

// part is what a request fills in; a "+", as greedy paths have, says nothing more here.
var part = regexp.MustCompile(`\{([A-Za-z0-9._-]+)\+?\}`)

// Errors of URLs that cannot be called.
var (
	ErrInvalid = errors.New("endpoint: no URL of an HTTP server")
	ErrPart    = errors.New("endpoint: a part of the URL has no value, or one that would leave its place")
)

// Parse checks a URL.
func Parse(uri string) (Endpoint, error) {
	if len(uri) > maxLength {
		return Endpoint{}, ErrInvalid
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' || c == '^' || c == '`' || c == '|' {
			return Endpoint{}, ErrInvalid
		}
	}
	scheme, after, ok := strings.Cut(uri, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return Endpoint{}, ErrInvalid
	}
	authority, rest := after, ""
	if i := strings.IndexAny(after, "/?#"); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	e := Endpoint{Scheme: scheme, rest: rest}
	if err := e.place(authority); err != nil {
		return Endpoint{}, err
	}
	plain := part.ReplaceAllString(rest, "x")
	if strings.ContainsAny(plain, "{}#") {
		return Endpoint{}, ErrInvalid
	}
	u, err := url.Parse(e.base + plain)
	if err != nil || climbs(u.Path) {
		return Endpoint{}, ErrInvalid
	}
	return e, nil
}

// place reads the authority.
func (e *Endpoint) place(authority string) error {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
		if port == "" {
			return ErrInvalid
		}
	}
	e.Port = map[string]int{"http": 80, "https": 443}[e.Scheme]
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return ErrInvalid
		}
		e.Port = int(n)
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, "]"); !closed {
			return ErrInvalid
		}
	}
	inner = strings.ToLower(strings.TrimSuffix(inner, "."))
	a, err := netip.ParseAddr(inner)
	switch {
	case err == nil && a.Zone() == "" && bracketed == a.Is6():
		inner = a.Unmap().String()
	case err == nil || bracketed || !way.IsName(inner):
		return ErrInvalid
	}
	e.Host = inner
	written := inner
	if strings.Contains(written, ":") {
		written = "[" + written + "]"
	}
	e.base = e.Scheme + "://" + written
	if port != "" {
		e.base += ":" + strconv.Itoa(e.Port)
	}
	return nil
}

// Parts are the names of what a request fills in.
func (e Endpoint) Parts() (names []string) {
	for _, m := range part.FindAllStringSubmatch(e.rest, -1) {
		names = append(names, m[1])
	}
	return names
}

// Fill is the URL with its parts. In the path a part may be several segments: that of a greedy path is.
func (e Endpoint) Fill(values map[string]string) (string, error) {
	path, query, asked := strings.Cut(e.rest, "?")
	bad := false
	filled := part.ReplaceAllStringFunc(path, func(p string) string {
		v, ok := values[strings.TrimSuffix(p[1:len(p)-1], "+")]
		bad = bad || !ok || climbs("/"+v)
		segments := strings.Split(v, "/")
		for i, s := range segments {
			segments[i] = url.PathEscape(s)
		}
		return strings.Join(segments, "/")
	})
	if asked {
		filled += "?" + part.ReplaceAllStringFunc(query, func(p string) string {
			v, ok := values[strings.TrimSuffix(p[1:len(p)-1], "+")]
			bad = bad || !ok
			return url.QueryEscape(v)
		})
	}
	if bad || len(filled) > maxLength {
		return "", ErrPart
	}
	return e.base + filled, nil
}

// climbs tells whether a path has a dot segment, plain or escaped once more.
func climbs(path string) bool {
	for s := range strings.SplitSeq(path, "/") {
		if d, err := url.PathUnescape(s); err == nil {
			s = d
		}
		for piece := range strings.SplitSeq(strings.ReplaceAll(s, `\`, "/"), "/") {
			if piece == "." || piece == ".." {
				return true
			}
		}
	}
	return false
}
