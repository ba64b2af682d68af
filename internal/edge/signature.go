package edge

import (
	"net/http"
	"slices"
	"strings"
)

// signing are the parameters of a presigned URL and signing headers those of a signed request. Source: IAM
// User Guide, "Elements of an AWS API request signature".
var (
	signing = []string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
		"x-amz-security-token", "x-amz-content-sha256"}
	signingHeaders = []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Date", "X-Amz-Content-Sha256"}
)

// unsign takes a presigned URL's signature out of the query that integrations see: it is for this API, and
// whoever has it may ask again as the caller until it expires.
func (x *exchange) unsign() {
	isSigning := func(name string) bool { return slices.Contains(signing, strings.ToLower(unescaped(name))) }
	var kept []string
	for part := range strings.SplitSeq(x.rawQuery, "&") {
		if name, _, _ := strings.Cut(part, "="); !isSigning(name) {
			kept = append(kept, part)
		}
	}
	x.rawQuery = strings.Join(kept, "&")
	x.query = queryOf(x.rawQuery)
}

// sent are the values of a header that an HTTP server may be told: none of a signature that is for this API.
func (x *exchange) sent(name string) []string {
	if x.route.kind == "AWS_IAM" && slices.Contains(signingHeaders, http.CanonicalHeaderKey(name)) {
		return nil
	}
	return x.r.Header.Values(name)
}
