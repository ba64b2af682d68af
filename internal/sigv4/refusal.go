package sigv4

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// refusal words refusals: S3 has codes and messages of its own, and others again for presigned
// URLs; every other service shares one set.
type refusal struct{ s3, presigned bool }

const mismatchOther = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

const mismatchS3 = "The request signature we calculated does not match the signature you provided. " +
	"Check your key and signing method."

// malformed refuses a credential or parameter that S3 names itself; other is what the other
// services say.
func (f refusal) malformed(s3, other string) error {
	if !f.s3 {
		return awserr.Of(awserr.SignatureDoesNotMatch, "%s", other)
	}
	if f.presigned {
		return awserr.New("AuthorizationQueryParametersError", 400, "%s", s3)
	}
	return awserr.New("AuthorizationHeaderMalformed", 400, "%s", "The authorization header is malformed; "+s3)
}

// incomplete refuses authentication information that lacks a part. The header is named by its
// hash, as AWS does, since it may hold what should not be echoed.
func (f refusal) incomplete(header string, missing ...string) error {
	if f.s3 && f.presigned {
		return awserr.New("AuthorizationQueryParametersError", 400, "Query-string authentication version 4 requires the "+
			"X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	}
	if f.s3 {
		return awserr.New("AuthorizationHeaderMalformed", 400, "The authorization header is malformed; %s", strings.Join(missing, " "))
	}
	if f.presigned {
		return awserr.Of(awserr.IncompleteSignature, "%s", strings.Join(missing, " "))
	}
	sum := sha256.Sum256([]byte(header))
	return awserr.Of(awserr.IncompleteSignature, "%s (Hashed with SHA-256 and encoded with Base64) Authorization=%s",
		strings.Join(missing, " "), base64.StdEncoding.EncodeToString(sum[:]))
}

// mismatch refuses a wrong signature. S3 shows what it calculated from; a session token in it is
// masked, so that no error carries one.
func (f refusal) mismatch(c *claim, s *scratch) error {
	if !f.s3 {
		return awserr.Of(awserr.SignatureDoesNotMatch, mismatchOther)
	}
	e := awserr.Of(awserr.SignatureDoesNotMatch, mismatchS3)
	e.Fields = map[string]any{"AWSAccessKeyId": c.accessKeyID, "SignatureProvided": c.signature}
	if s != nil {
		canonical := string(s.buf)
		if c.token != "" {
			canonical = strings.ReplaceAll(canonical, c.token, "…")
			canonical = strings.ReplaceAll(canonical, string(appendEncoded(nil, c.token)), "…")
		}
		e.Fields["StringToSign"] = string(s.sts)
		e.Fields["StringToSignBytes"] = spaced(s.sts)
		e.Fields["CanonicalRequest"] = canonical
		e.Fields["CanonicalRequestBytes"] = spaced([]byte(canonical))
	}
	return e
}

func appendEncoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = appendByte(dst, s[i])
	}
	return dst
}

// spaced is how S3 shows bytes: "41 57 53".
func spaced(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	out := make([]byte, 0, 3*len(b))
	for _, c := range b {
		out = hex.AppendEncode(out, []byte{c})
		out = append(out, ' ')
	}
	return string(out[:len(out)-1])
}

func iso(t time.Time) string { return t.UTC().Format(isoBasic) }

const s3Time = "2006-01-02T15:04:05Z"

// early and late refuse a signature outside its time.
func (f refusal) early(c *claim, now time.Time, skew time.Duration) error {
	if f.s3 && f.presigned {
		e := awserr.Of(awserr.AccessDenied, "Request is not valid yet")
		e.Fields = map[string]any{"X-Amz-Date": c.timestamp, "ServerTime": now.UTC().Format(s3Time)}
		return e
	}
	if f.s3 {
		return tooSkewed(c, now, skew)
	}
	return awserr.Of(awserr.SignatureExpired, "Signature not yet current: %s is still later than %s (%s + %s.)",
		c.timestamp, iso(now.Add(skew)), iso(now), minutes(skew))
}

func (f refusal) late(c *claim, now time.Time, life time.Duration) error {
	if f.s3 && f.presigned {
		e := awserr.Of(awserr.AccessDenied, "Request has expired")
		e.Fields = map[string]any{"X-Amz-Expires": fmt.Sprint(int(c.expires / time.Second)),
			"Expires": c.at.Add(c.expires).UTC().Format(s3Time), "ServerTime": now.UTC().Format(s3Time)}
		return e
	}
	if f.s3 {
		return tooSkewed(c, now, life)
	}
	return awserr.Of(awserr.SignatureExpired, "Signature expired: %s is now earlier than %s (%s - %s.)",
		c.timestamp, iso(now.Add(-life)), iso(now), minutes(life))
}

func tooSkewed(c *claim, now time.Time, skew time.Duration) error {
	e := awserr.New("RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large.")
	e.Fields = map[string]any{"RequestTime": c.timestamp, "ServerTime": now.UTC().Format(s3Time),
		"MaxAllowedSkewMilliseconds": fmt.Sprint(skew.Milliseconds())}
	return e
}

func minutes(d time.Duration) string {
	if d%time.Minute != 0 {
		return fmt.Sprintf("%d sec", d/time.Second)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}

// unsignedHeader refuses a header that must be among the signed ones and is not.
func (f refusal) unsignedHeader(name string) error {
	if f.s3 {
		e := awserr.Of(awserr.AccessDenied, "There were headers present in the request which were not signed")
		e.Fields = map[string]any{"HeadersNotSigned": name}
		return e
	}
	if name == "host" {
		return awserr.Of(awserr.SignatureDoesNotMatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return awserr.Of(awserr.SignatureDoesNotMatch, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
}
