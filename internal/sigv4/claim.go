package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// claim is what a request says about its own signature: parsed, not yet believed. Its strings
// point into the request.
type claim struct {
	accessKeyID, date, region, service string
	scope                              string // "20150830/us-east-1/iam/aws4_request"
	signed                             string // "host;x-amz-date"
	signature                          string // 64 digits of lower-case hex
	token                              string
	timestamp                          string // ISO 8601 basic
	at                                 time.Time
	expires                            time.Duration // of a presigned URL
	presigned, legacy                  bool          // legacy: of version 2
}

// Signed reports whether the request carries authentication information of any version, so that
// an anonymous request can be told from one to verify.
func Signed(r *http.Request) bool {
	if len(r.Header["Authorization"]) > 0 {
		return true
	}
	var s scratch
	return !s.parseQuery(r.URL.RawQuery) || s.querySigned()
}

func (s *scratch) querySigned() bool {
	for _, p := range s.params {
		switch string(p.name) {
		case "X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential", "Signature", "AWSAccessKeyId":
			return true
		}
	}
	return false
}

// readClaim reads the claim from the header or the query; s.params are parsed already.
func (s *scratch) readClaim(r *http.Request, f *refusal) (*claim, error) {
	auth := r.Header["Authorization"]
	inQuery := s.querySigned()
	switch {
	case len(auth) == 0 && !inQuery:
		return nil, awserr.Of(awserr.MissingAuthenticationToken, "Missing Authentication Token")
	case len(auth) > 1, len(auth) == 1 && inQuery:
		if f.s3 {
			return nil, awserr.New("InvalidArgument", 400, "Only one auth mechanism allowed; only the X-Amz-Algorithm "+
				"query parameter, Signature query string parameter or the Authorization header should be specified")
		}
		return nil, awserr.Of(awserr.IncompleteSignature, "Only one authentication mechanism is allowed in a request.")
	case inQuery:
		f.presigned = true
		return s.queryClaim(*f)
	}
	return headerClaim(r.Header, auth[0], *f)
}

func headerClaim(h http.Header, auth string, f refusal) (*claim, error) {
	if len(auth) > maxAuthorization {
		return nil, awserr.Of(awserr.IncompleteSignature, "The Authorization header is longer than %d bytes.", maxAuthorization)
	}
	c := &claim{}
	credential, err := c.authorization(auth, f)
	if err != nil {
		return nil, err
	}
	if err := c.headerDate(h, auth, f); err != nil {
		return nil, err
	}
	tokens := h["X-Amz-Security-Token"]
	if len(tokens) > 1 {
		return nil, awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid.")
	}
	if len(tokens) == 1 {
		c.token = strings.Trim(tokens[0], " \t")
	}
	return c, c.finish(credential, f)
}

// authorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func (c *claim) authorization(auth string, f refusal) (credential string, err error) {
	scheme, rest, _ := strings.Cut(auth, " ")
	if err := checkAlgorithm(scheme, f); err != nil {
		return "", err
	}
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.Trim(part, " ")
		name, value, _ := strings.Cut(part, "=")
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &c.signed
		case "Signature":
			into = &c.signature
		}
		if into == nil || *into != "" || value == "" {
			return "", f.incomplete(auth, "'"+clip(part)+"' not a valid key=value pair (missing, unknown or repeated) in Authorization header.")
		}
		*into = value
	}
	if credential != "" && c.signed != "" && c.signature != "" {
		return credential, nil
	}
	var missing []string
	for name, value := range map[string]string{"Credential": credential, "Signature": c.signature, "SignedHeaders": c.signed} {
		if value == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	slices.Sort(missing)
	return "", f.incomplete(auth, missing...)
}

// clip keeps a message short and free of what a caller might have misplaced there.
func clip(s string) string {
	if i := strings.IndexByte(s, '='); i >= 0 {
		s = s[:i]
	}
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

func checkAlgorithm(name string, f refusal) error {
	switch {
	case name == algorithm:
		return nil
	case name == algorithm4a:
		return awserr.Of(awserr.NotImplemented,
			"Asymmetric signatures (%s, SigV4a) are not supported; sign with %s.", algorithm4a, algorithm)
	case f.s3 && f.presigned:
		return awserr.New("AuthorizationQueryParametersError", 400, "X-Amz-Algorithm only supports %q", algorithm)
	case f.s3:
		return awserr.New("InvalidRequest", 400, "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
	}
	return awserr.Of(awserr.IncompleteSignature, "Unsupported signing algorithm; use %s.", algorithm)
}

// headerDate takes X-Amz-Date or, without it, Date.
func (c *claim) headerDate(h http.Header, auth string, f refusal) error {
	name := "X-Amz-Date"
	values := h[name]
	if len(values) == 0 {
		name, values = "Date", h["Date"]
	}
	if len(values) != 1 {
		if f.s3 {
			return awserr.Of(awserr.AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
		}
		return f.incomplete(auth, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	at, ok := parseDate(values[0], name == "Date")
	if !ok {
		if f.s3 {
			return awserr.Of(awserr.AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
		}
		return awserr.Of(awserr.IncompleteSignature, "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	c.at, c.timestamp = at, values[0]
	if name == "Date" {
		c.timestamp = iso(at)
	}
	return nil
}

func parseDate(s string, http1 bool) (time.Time, bool) {
	if len(s) == len(isoBasic) {
		t, err := time.Parse(isoBasic, s)
		return t, err == nil
	}
	if !http1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(s)
	return t.UTC(), err == nil
}

// queryClaim reads the parameters of a presigned URL; each may be given once.
func (s *scratch) queryClaim(f refusal) (*claim, error) {
	c := &claim{presigned: true}
	var alg, credential, expires string
	for _, want := range [...]struct {
		name     string
		into     *string
		optional bool
	}{
		{"X-Amz-Algorithm", &alg, false}, {"X-Amz-Credential", &credential, false}, {"X-Amz-Date", &c.timestamp, false},
		{"X-Amz-SignedHeaders", &c.signed, false}, {"X-Amz-Signature", &c.signature, false},
		{"X-Amz-Expires", &expires, !f.s3}, {"X-Amz-Security-Token", &c.token, true},
	} {
		value, n := s.get(want.name)
		if n > 1 || n == 0 && !want.optional {
			if want.name == "X-Amz-Algorithm" && n == 0 && f.s3 {
				return nil, awserr.New("InvalidRequest", 400, "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
			}
			return nil, f.incomplete("", "AWS query-string parameters must include '"+want.name+"' once. Re-examine the query-string parameters.")
		}
		*want.into = value
	}
	if err := checkAlgorithm(alg, f); err != nil {
		return nil, err
	}
	var ok bool
	if c.at, ok = parseDate(c.timestamp, false); !ok {
		return nil, f.malformed(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`,
			"Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	if err := c.readExpires(expires, f); err != nil {
		return nil, err
	}
	return c, c.finish(credential, f)
}

func (c *claim) readExpires(text string, f refusal) error {
	if text == "" && !f.s3 {
		c.expires = 15 * time.Minute
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	var message string
	switch {
	case err != nil:
		message = "X-Amz-Expires should be a number"
	case n < 0:
		message = "X-Amz-Expires must be non-negative"
	case n > int64(maxPresigned/time.Second):
		message = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
	default:
		c.expires = time.Duration(n) * time.Second
		return nil
	}
	return f.malformed(message, message)
}

// finish reads the credential and checks the forms of the other parts.
func (c *claim) finish(credential string, f refusal) error {
	if len(c.token) > maxToken {
		return awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid.")
	}
	if strings.Count(credential, "/") != 4 {
		return f.malformed(credentialForm(f), "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	var term string
	c.accessKeyID, c.scope, _ = strings.Cut(credential, "/")
	c.date, term, _ = strings.Cut(c.scope, "/")
	c.region, term, _ = strings.Cut(term, "/")
	c.service, term, _ = strings.Cut(term, "/")
	if term != terminator {
		return f.malformed(prefixed(f)+"incorrect terminal "+strconv.Quote(clip(term))+`. This endpoint uses "aws4_request".`,
			"Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	if !validKeyID(c.accessKeyID) {
		return awserr.Of(awserr.UnknownAccessKey, "The security token included in the request is invalid.")
	}
	if len(c.signature) != 64 || !isLowerHex(c.signature) {
		return f.mismatch(c, nil)
	}
	if !validSigned(c.signed) {
		return f.malformed("SignedHeaders is mal-formed; expecting lower-case names, sorted, once each, divided by semicolons",
			"SignedHeaders must be lower-case header names, sorted, each once, divided by semicolons.")
	}
	return nil
}

func credentialForm(f refusal) string {
	if f.presigned {
		return `Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	}
	return `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
}

func prefixed(f refusal) string {
	if f.presigned {
		return "Error parsing the X-Amz-Credential parameter; "
	}
	return ""
}

func validKeyID(s string) bool {
	if s == "" || len(s) > maxKeyID {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !unreserved(c) {
			return false
		}
	}
	return true
}

func isLowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// validSigned wants what every signer writes: header names in lower case, ascending, none twice.
// A looser reading would let one header be signed and another be served.
func validSigned(list string) bool {
	last, n := "", 0
	for name := range strings.SplitSeq(list, ";") {
		if n++; n > maxSigned || name <= last || len(name) > 128 {
			return false
		}
		for i := 0; i < len(name); i++ {
			c := name[i]
			if c >= 'A' && c <= 'Z' || !unreserved(c) && !strings.ContainsRune("!#$%&'*+^`|", rune(c)) {
				return false
			}
		}
		last = name
	}
	return true
}

// signs reports whether name, in lower case, is in the list of signed headers.
func signs(list, name string) bool {
	for {
		i := strings.Index(list, name)
		if i < 0 {
			return false
		}
		end := i + len(name)
		if (i == 0 || list[i-1] == ';') && (end == len(list) || list[end] == ';') {
			return true
		}
		list = list[end:]
	}
}
