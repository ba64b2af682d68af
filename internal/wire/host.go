package wire

import (
	"net/http"
	"net/url"
	"strings"
)

// scope is the credential scope that a request claims; nothing is verified yet.
type scope struct{ region, service string }

// isRegion reports whether s has the shape of AWS's region names: two to four words of small
// letters and a number, with dashes between. It keeps anything else out of keys and paths.
func isRegion(s string) bool {
	words, n := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			n++
		case c == '-':
			if n < 2 || n > 12 {
				return false
			}
			words, n = words+1, 0
		case c >= '0' && c <= '9' && n == 0 && words >= 2 && words <= 4:
			return i > 0 && s[i-1] == '-' && (i == len(s)-1 || i == len(s)-2 && s[i+1] >= '0' && s[i+1] <= '9')
		default:
			return false
		}
	}
	return false
}

// scopeOf reads KEY/DATE/REGION/SERVICE/aws4_request from the Authorization header or from a
// presigned query.
func scopeOf(r *http.Request) (scope, bool) {
	credential := ""
	if auth := r.Header.Get("Authorization"); strings.HasPrefix(auth, "AWS4-") {
		_, rest, ok := strings.Cut(auth, "Credential=")
		if !ok {
			return scope{}, false
		}
		end := strings.IndexAny(rest, ", ")
		if end < 0 {
			end = len(rest)
		}
		credential = rest[:end]
	} else if c, ok := queryParam(r.URL.RawQuery, "X-Amz-Credential"); ok {
		credential = c
	}
	// From the end: an access key of other systems may hold slashes.
	rest, end := cutLast(credential)
	rest, service := cutLast(rest)
	rest, region := cutLast(rest)
	key, date := cutLast(rest)
	if end == "" || date == "" || key == "" {
		return scope{}, false
	}
	return scope{region: region, service: service}, true
}

// cutLast divides s at its last slash.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// queryParam is the first value of a query parameter, without a parse of the whole string.
func queryParam(raw, name string) (string, bool) {
	for len(raw) > 0 {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if k, v, _ := strings.Cut(pair, "="); k == name {
			s, err := url.QueryUnescape(v)
			return s, err == nil
		}
	}
	return "", false
}

// domains are what AWS's and this ecosystem's host names end in.
var domains = []string{".localhost.localstack.cloud", ".localhost", ".amazonaws.com", ".amazonaws.com.cn", ".api.aws"}

// host is what a host name says: "dynamodb.eu-west-1.amazonaws.com", "photos.s3.localhost".
type host struct{ bucket, prefix, region string }

func parseHost(h string) host {
	if i := strings.LastIndexByte(h, ':'); i > strings.LastIndexByte(h, ']') {
		h = h[:i]
	}
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	for _, d := range domains {
		if name, ok := strings.CutSuffix(h, d); ok {
			return splitHost(name)
		}
	}
	return host{}
}

func splitHost(name string) host {
	var out host
	labels := strings.Split(name, ".")
	last := len(labels) - 1
	if last > 0 && isRegion(labels[last]) {
		out.region, labels = labels[last], labels[:last]
	}
	if n := len(labels); n > 1 && labels[n-1] == "dualstack" {
		labels = labels[:n-1]
	}
	n := len(labels)
	out.prefix = labels[n-1]
	if region, ok := strings.CutPrefix(out.prefix, "s3-"); ok && isRegion(region) {
		out.prefix, out.region = "s3", region // the old form s3-eu-west-1.amazonaws.com
	}
	if n > 1 && out.prefix == "s3" {
		out.bucket = strings.Join(labels[:n-1], ".")
	}
	return out
}

// bareBucket is the bucket of "photos.localhost", which clients make of an endpoint "localhost"
// when they put the bucket in front.
func bareBucket(hostname string) string {
	if i := strings.LastIndexByte(hostname, ':'); i >= 0 {
		hostname = hostname[:i]
	}
	bucket, ok := strings.CutSuffix(strings.ToLower(hostname), ".localhost")
	if !ok || bucket == "s3" || strings.HasSuffix(bucket, ".s3") || strings.Contains(bucket, ".s3.") || strings.HasPrefix(bucket, "s3.") {
		return ""
	}
	return bucket
}
