package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// Presigned URLs of version 2, which boto3 still makes for S3 in its older regions unless told
// otherwise: base64(HMAC-SHA1(secret, method, headers, expiry, resource)). S3 alone takes them, in
// the query alone. Source: Amazon S3 API Reference, "Signing and authenticating REST requests".

// legacySigned are the parameters that are part of a resource's name in version 2.
var legacySigned = map[string]bool{"accelerate": true, "acl": true, "analytics": true, "cors": true, "defaultObjectAcl": true,
	"delete": true, "inventory": true, "lifecycle": true, "location": true, "logging": true, "metrics": true, "notification": true,
	"object-lock": true, "partNumber": true, "policy": true, "replication": true, "requestPayment": true, "restore": true,
	"response-cache-control": true, "response-content-disposition": true, "response-content-encoding": true,
	"response-content-language": true, "response-content-type": true, "response-expires": true, "select": true,
	"select-type": true, "storageClass": true, "tagging": true, "torrent": true, "uploadId": true, "uploads": true,
	"versionId": true, "versioning": true, "versions": true, "website": true}

// legacyOutside are those that version 2 leaves unsigned and that choose neither operation nor
// object: its own, and how a listing is cut. Any other would be an addition by a stranger.
var legacyOutside = map[string]bool{"AWSAccessKeyId": true, "Signature": true, "Expires": true, "content-md5": true,
	"content-type": true, "continuation-token": true, "delimiter": true, "encoding-type": true, "fetch-owner": true,
	"key-marker": true, "list-type": true, "marker": true, "max-keys": true, "prefix": true, "start-after": true,
	"version-id-marker": true, "x-id": true}

// legacy reports whether the parameters are those of a presigned URL of version 2, and no others.
func (s *scratch) legacy(r *http.Request) bool {
	if len(r.Header["Authorization"]) > 0 {
		return false
	}
	found := false
	for _, p := range s.params {
		switch string(p.name) {
		case "X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential":
			return false
		case "AWSAccessKeyId", "Signature":
			found = true
		}
	}
	return found
}

// verifyLegacy checks a presigned URL of version 2. Its region, scope and time of signing are not
// in it, so Verified has none.
func (v *Verifier) verifyLegacy(s *scratch, r *http.Request, path string, svc SigningOptions, now time.Time) (Verified, error) {
	f := refusal{s3: true, presigned: true}
	c := &claim{presigned: true, legacy: true, service: "s3", signed: "host"}
	expires, err := s.legacyClaim(c)
	if err != nil {
		return Verified{}, err
	}
	if at := time.Unix(expires, 0); now.After(at) {
		e := awserr.Of(awserr.AccessDenied, "Request has expired")
		e.Fields = map[string]any{"Expires": at.UTC().Format(s3Time), "ServerTime": now.UTC().Format(s3Time)}
		return Verified{}, e
	}
	p, err := s.readPayload(r, nil, svc, c, f)
	if err != nil {
		return Verified{}, err
	}
	if p.declared == streamSigned || p.declared == streamTrailer {
		return Verified{}, awserr.New("InvalidRequest", 400, "Signed chunks need a signature of version 4.")
	}
	text, err := legacyText(r, path, svc.Bucket, strconv.FormatInt(expires, 10))
	if err != nil {
		return Verified{}, err
	}
	secret, err := v.secret(c, svc, now)
	if err != nil {
		return Verified{}, err
	}
	if !secret.Open {
		mac := hmac.New(sha1.New, []byte(secret.Key))
		mac.Write([]byte(text))
		if sum, err := base64.StdEncoding.DecodeString(c.signature); err != nil || !hmac.Equal(sum, mac.Sum(nil)) {
			return Verified{}, legacyMismatch(c, text)
		}
	}
	return Verified{c: *c, owner: secret.Owner, open: secret.Open, payload: p}, nil
}

// legacyClaim reads who signed, and until when, in seconds since 1970.
func (s *scratch) legacyClaim(c *claim) (expires int64, err error) {
	var until string
	for _, want := range [...]struct {
		name string
		into *string
	}{{"AWSAccessKeyId", &c.accessKeyID}, {"Signature", &c.signature}, {"Expires", &until}} {
		value, n := s.get(want.name)
		if n != 1 || value == "" {
			return 0, awserr.Of(awserr.AccessDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
		}
		*want.into = value
	}
	if expires, err = strconv.ParseInt(until, 10, 64); err != nil || expires < 0 || strconv.FormatInt(expires, 10) != until {
		return 0, awserr.Of(awserr.AccessDenied, "Invalid date (should be seconds since epoch): %s", clip(until))
	}
	token, n := s.get("x-amz-security-token")
	if n > 1 || len(token) > maxToken {
		return 0, awserr.Of(awserr.InvalidToken, "The provided token is malformed or otherwise invalid.")
	}
	if c.token = token; !validKeyID(c.accessKeyID) {
		return 0, awserr.Of(awserr.UnknownAccessKey, "The AWS Access Key Id you provided does not exist in our records.")
	}
	return expires, nil
}

// legacyText is the text that version 2 signs. x-amz-* parameters count as headers of that name,
// since presigners move them into the query; none may be given in both places.
func legacyText(r *http.Request, path, bucket, expires string) (string, error) {
	var b strings.Builder
	for _, line := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), expires} {
		b.WriteString(strings.Trim(line, " \t") + "\n")
	}
	headers := map[string]string{}
	for name, values := range r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-amz-") {
			headers[low] = joined(values)
		}
	}
	resource, err := legacyQuery(r.URL.RawQuery, headers)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		b.WriteString(name + ":" + headers[name] + "\n")
	}
	if bucket != "" {
		b.WriteString("/" + bucket)
	}
	b.WriteString(path)
	if bucket == "" && strings.LastIndexByte(path, '/') == 0 && path != "/" {
		b.WriteByte('/') // a bucket is named "/bucket/", however it was sent
	}
	for i, part := range resource {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(part)
	}
	return b.String(), nil
}

// legacyQuery sorts a query into the parts of the resource's name and into headers.
func legacyQuery(raw string, headers map[string]string) (resource []string, err error) {
	for part := range strings.SplitSeq(raw, "&") {
		name, value, valued := strings.Cut(part, "=")
		value, err := url.PathUnescape(value)
		low := strings.ToLower(name)
		switch {
		case err != nil:
			return nil, awserr.Of(awserr.Malformed, "The request URI holds an invalid escape sequence.")
		case legacySigned[name]:
			if valued {
				name += "=" + value
			}
			resource = append(resource, name)
		case strings.HasPrefix(low, "x-amz-"):
			if _, twice := headers[low]; twice {
				return nil, awserr.Of(awserr.AccessDenied, "%s is given more than once", clip(low))
			}
			headers[low] = strings.Trim(value, " \t")
		case name != "" && !legacyOutside[name]:
			return nil, awserr.Of(awserr.AccessDenied, "There were parameters present in the request which were not signed: %s", clip(name))
		}
	}
	slices.SortStableFunc(resource, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return resource, nil
}

func joined(values []string) string {
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Trim(v, " \t")
	}
	return strings.Join(trimmed, ",")
}

// legacyMismatch shows what was signed, as S3 does, but for a session token.
func legacyMismatch(c *claim, text string) error {
	e := awserr.Of(awserr.SignatureDoesNotMatch, mismatchS3)
	if c.token != "" {
		text = strings.ReplaceAll(text, c.token, "…")
	}
	e.Fields = map[string]any{"AWSAccessKeyId": c.accessKeyID, "SignatureProvided": c.signature,
		"StringToSign": text, "StringToSignBytes": spaced([]byte(text))}
	return e
}
