package wire

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// scope is the credential scope that a request claims; nothing is verified yet.
type scope struct{ region, service string }

// regionName is the shape of AWS's region names; it keeps anything else out of keys and paths.
var regionName = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

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
	p := strings.Split(credential, "/")
	if len(p) < 5 {
		return scope{}, false
	}
	p = p[len(p)-4:] // an access key of other systems may hold slashes
	return scope{region: p[1], service: p[2]}, true
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
	if last > 0 && regionName.MatchString(labels[last]) {
		out.region, labels = labels[last], labels[:last]
	}
	if n := len(labels); n > 1 && labels[n-1] == "dualstack" {
		labels = labels[:n-1]
	}
	n := len(labels)
	out.prefix = labels[n-1]
	if region, ok := strings.CutPrefix(out.prefix, "s3-"); ok && regionName.MatchString(region) {
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
