package sigv4

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

var (
	noon     = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)
	userKey  = Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	tempKey  = Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "temporary", SessionToken: "token/+="}
	iamUsers = keyring{userKey.AccessKeyID: userKey, tempKey.AccessKeyID: tempKey}
)

func iamOptions() SigningOptions {
	return SigningOptions{Services: []string{"iam"}, Region: "us-east-1"}
}

func signer(c Credentials, service string) *Signer {
	return NewSigner(Signing{Credentials: c, Region: "us-east-1", Service: service, Clock: clock.NewManual(noon), S3: service == "s3"})
}

const formBody = "Action=CreateRole&RoleName=r"

// call is a signed request of the IAM API, or of S3.
func call(t testing.TB, c Credentials, service string) *http.Request {
	t.Helper()
	r := request(t, "POST", "http://localhost:4566/a%20b/c?x=1&y=2", "Content-Type", "application/x-www-form-urlencoded", "X-Amz-Meta", "m", "My-Header", "v")
	r.ContentLength = int64(len(formBody))
	if err := signer(c, service).Sign(r, []byte(formBody)); err != nil {
		t.Fatal(err)
	}
	return r
}

// rewrite changes a part of the Authorization header.
func rewrite(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

func TestTamperedHeaderRequests(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	cases := []struct {
		name   string
		change func(*http.Request)
		iam    string // code, then part of the message
		s3     string
	}{
		{"as signed", func(*http.Request) {}, "", ""},
		{"unsigned header added", set("Accept", "*/*"), "", ""},
		{"method", func(r *http.Request) { r.Method = "GET" }, "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", "SignatureDoesNotMatch: The request signature we calculated"},
		{"path", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a b/d", "" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"path encoded twice", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a%20b/c", "/a%2520b/c" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"slash encoded", func(r *http.Request) { r.URL.RawPath = "/a%20b%2Fc" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"dot segments added", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a b/./c", "" }, "", "SignatureDoesNotMatch"},
		{"path in two forms that disagree", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/etc", "/a%20b/c" }, "Malformed", "Malformed"},
		{"parameter changed", func(r *http.Request) { r.URL.RawQuery = "x=1&y=3" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"parameter added", func(r *http.Request) { r.URL.RawQuery += "&z" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"parameter repeated", func(r *http.Request) { r.URL.RawQuery += "&x=1" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"parameter dropped", func(r *http.Request) { r.URL.RawQuery = "x=1" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"parameters in another order", func(r *http.Request) { r.URL.RawQuery = "y=2&x=1" }, "", ""},
		{"bad escape", func(r *http.Request) { r.URL.RawQuery += "&z=%zz" }, "Malformed", "Malformed"},
		{"host", func(r *http.Request) { r.Host = "example.com" }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"no host", func(r *http.Request) { r.Host = "" }, "SignatureDoesNotMatch: 'Host' or ':authority' must be", "AccessDenied"},
		{"signed header changed", set("My-Header", "w"), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"signed header twice", func(r *http.Request) { r.Header.Add("My-Header", "v") }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"signed header dropped", func(r *http.Request) { r.Header.Del("My-Header") }, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"content type", set("Content-Type", "text/plain"), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"x-amz header changed", set("X-Amz-Meta", "n"), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"x-amz header added", set("X-Amz-Acl", "public-read"), "SignatureDoesNotMatch: 'x-amz-acl' must be a 'SignedHeader'", "AccessDenied: There were headers present in the request which were not signed"},
		{"token added", set("X-Amz-Security-Token", "t"), "SignatureDoesNotMatch: 'x-amz-security-token' must be", "AccessDenied"},
		{"date changed", set("X-Amz-Date", "20240101T120001Z"), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"date of another day", set("X-Amz-Date", "20231231T235959Z"), "SignatureDoesNotMatch: Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20240101' != '20231231', from '20231231T235959Z'.", "AuthorizationHeaderMalformed"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "IncompleteSignature: Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.", "AccessDenied"},
		{"two dates", func(r *http.Request) { r.Header.Add("X-Amz-Date", "20240101T120000Z") }, "IncompleteSignature", "AccessDenied"},
		{"bad date", set("X-Amz-Date", "2024-01-01"), "IncompleteSignature: Date must be in ISO-8601", "AccessDenied"},
		{"signed header removed from the list", rewrite(";my-header", ""), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"host removed from the list", rewrite(";host", ""), "SignatureDoesNotMatch: 'Host'", "AccessDenied"},
		{"signed headers unsorted", rewrite("host;my-header", "my-header;host"), "SignatureDoesNotMatch: SignedHeaders must be", "AuthorizationHeaderMalformed"},
		{"signed headers repeated", rewrite("host;", "host;host;"), "SignatureDoesNotMatch: SignedHeaders must be", "AuthorizationHeaderMalformed"},
		{"signed headers in capitals", rewrite("host;", "Host;"), "SignatureDoesNotMatch: SignedHeaders must be", "AuthorizationHeaderMalformed"},
		{"region", rewrite("us-east-1", "eu-west-1"), "SignatureDoesNotMatch: Credential should be scoped to a valid region.", "AuthorizationHeaderMalformed: The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'"},
		{"service", rewrite("/iam/", "/sts/"), "SignatureDoesNotMatch: Credential should be scoped to correct service: 'iam'.", ""},
		{"terminator", rewrite("aws4_request", "aws5_request"), "SignatureDoesNotMatch: Credential should be scoped with a valid terminator", "AuthorizationHeaderMalformed"},
		{"scope's day", rewrite("/20240101/", "/20240102/"), "SignatureDoesNotMatch: Date in Credential scope", "AuthorizationHeaderMalformed: The authorization header is malformed; Invalid credential date"},
		{"short scope", rewrite("/aws4_request", ""), "SignatureDoesNotMatch: Credential must have exactly 5 slash-delimited elements", "AuthorizationHeaderMalformed"},
		{"unknown key", rewrite("AKIAIOSFODNN7EXAMPLE", "AKIAUNKNOWN"), "UnknownAccessKey: The security token included in the request is invalid.", "UnknownAccessKey"},
		{"another's key", rewrite("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"), "InvalidToken", "InvalidToken"},
		{"signature", rewrite("Signature=", "Signature=0"), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"signature of zeros", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-64]+strings.Repeat("0", 64))
		}, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"signature in capitals", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-64]+strings.ToUpper(a[len(a)-64:]))
		}, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"no signature", rewrite(", Signature=", ""), "IncompleteSignature: Authorization header requires 'Signature' parameter.", "AuthorizationHeaderMalformed"},
		{"unknown part", rewrite("Signature=", "Sig="), "IncompleteSignature", "AuthorizationHeaderMalformed"},
		{"part twice", rewrite("Signature=", "Signature=1, Signature="), "IncompleteSignature", "AuthorizationHeaderMalformed"},
		{"only the algorithm", set("Authorization", "AWS4-HMAC-SHA256"), "IncompleteSignature", "AuthorizationHeaderMalformed"},
		{"SigV4a", rewrite("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "NotImplemented: Asymmetric signatures", "NotImplemented"},
		{"SigV2", set("Authorization", "AWS AKIAIOSFODNN7EXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g="), "IncompleteSignature", "InvalidRequest: The authorization mechanism"},
		{"bearer", set("Authorization", "Bearer x"), "IncompleteSignature", "InvalidRequest"},
		{"authorization twice", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, "IncompleteSignature", "InvalidArgument: Only one auth mechanism allowed"},
		{"header and query", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256" }, "IncompleteSignature", "InvalidArgument: Only one auth mechanism allowed"},
		{"header and hidden query", func(r *http.Request) { r.URL.RawQuery += "&X%2DAmz%2DSignature=0" }, "IncompleteSignature", "InvalidArgument"},
		{"no signature at all", func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationToken: Missing Authentication Token", "MissingAuthenticationToken"},
		{"a very long header", set("Authorization", algorithm+" "+strings.Repeat("Credential=x,", 4000)), "IncompleteSignature", "IncompleteSignature"},
	}
	v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := call(t, userKey, "iam")
			c.change(r)
			_, err := v.Verify(r, []byte(formBody), iamOptions())
			expect(t, "iam", err, c.iam)
			r = call(t, userKey, "s3")
			c.change(r)
			_, err = v.Verify(r, []byte(formBody), s3Options())
			expect(t, "s3", err, c.s3)
		})
	}
}

// expect wants "code" or "code: beginning of the message".
func expect(t *testing.T, what string, err error, want string) {
	t.Helper()
	wantCode, message, _ := strings.Cut(want, ": ")
	if code(err) != wantCode {
		t.Errorf("%s: %v; want %s", what, err, want)
		return
	}
	if e, ok := err.(*awserr.Error); ok && !strings.HasPrefix(e.Message, message) {
		t.Errorf("%s: %q; want %q", what, e.Message, message)
	}
}

func TestBodies(t *testing.T) {
	v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)})
	for name, c := range map[string]struct {
		body   string
		header string
		iam    string
		s3     string
	}{
		"changed":             {"Action=DeleteRole&RoleName=r", "", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"},
		"empty":               {"", "", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"},
		"hash changed too":    {"x", hexSum([]byte("x")), "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		"declared unsigned":   {formBody, unsignedPayload, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		"declared streamed":   {formBody, streamUnsigned, "SignatureDoesNotMatch", "MalformedTrailerError"},
		"declared SigV4a":     {formBody, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "SignatureDoesNotMatch", "NotImplemented"},
		"declared as nothing": {formBody, "sha256", "SignatureDoesNotMatch", "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, svc := range []SigningOptions{iamOptions(), s3Options()} {
				s := NewSigner(Signing{Credentials: userKey, Region: "us-east-1", Service: svc.Services[0], Clock: clock.NewManual(noon), HashHeader: true, S3: svc.S3})
				r := request(t, "POST", "http://localhost/")
				r.ContentLength = int64(len(formBody))
				if err := s.Sign(r, []byte(formBody)); err != nil {
					t.Fatal(err)
				}
				if c.header != "" {
					r.Header.Set("X-Amz-Content-Sha256", c.header)
				}
				_, err := v.Verify(r, []byte(c.body), svc)
				want := c.iam
				if svc.S3 {
					want = c.s3
				}
				expect(t, svc.Services[0], err, want)
			}
		})
	}
	r := call(t, userKey, "s3")
	r.Header.Del("X-Amz-Content-Sha256")
	_, err := v.Verify(r, []byte(formBody), s3Options())
	expect(t, "without a hash", err, "InvalidRequest: Missing required header for this request: x-amz-content-sha256")
	r = call(t, userKey, "iam")
	_, err = v.Verify(r, nil, iamOptions())
	expect(t, "streamed without a hash", err, "IncompleteSignature: A streamed body requires")
}

func TestTime(t *testing.T) {
	now := clock.NewManual(noon)
	v := New(Options{Keys: iamUsers, Clock: now})
	for _, c := range []struct {
		after   time.Duration
		iam, s3 string
	}{
		{0, "", ""},
		{15 * time.Minute, "", ""},
		{-15 * time.Minute, "", ""},
		{15*time.Minute + time.Second, "SignatureExpired: Signature expired: 20240101T120000Z is now earlier than 20240101T120001Z (20240101T121501Z - 15 min.)", "RequestTimeTooSkewed: The difference between the request time and the current time is too large."},
		{-15*time.Minute - time.Second, "SignatureExpired: Signature not yet current: 20240101T120000Z is still later than 20240101T115959Z (20240101T114459Z + 15 min.)", "RequestTimeTooSkewed"},
	} {
		now.Advance(c.after)
		_, err := v.Verify(call(t, userKey, "iam"), []byte(formBody), iamOptions())
		expect(t, fmt.Sprint("iam after ", c.after), err, c.iam)
		_, err = v.Verify(call(t, userKey, "s3"), []byte(formBody), s3Options())
		expect(t, fmt.Sprint("s3 after ", c.after), err, c.s3)
		now.Advance(-c.after)
	}
}

func TestDateHeaderAlone(t *testing.T) {
	r := call(t, userKey, "iam")
	r.Header.Del("X-Amz-Date")
	r.Header.Set("Date", noon.Format(http.TimeFormat))
	v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)})
	_, err := v.Verify(r, []byte(formBody), iamOptions())
	expect(t, "date not signed", err, "SignatureDoesNotMatch: 'date' must be a 'SignedHeader'")

	s := signer(userKey, "iam")
	var w scratch
	r = request(t, "GET", "http://localhost/", "Date", noon.Format(http.TimeFormat))
	now := iso(noon)
	signature, err := s.signature(&w, r, now, s.scope(now), "date;host", emptySHA256)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", algorithm+" Credential="+userKey.AccessKeyID+"/"+s.scope(now)+", SignedHeaders=date;host, Signature="+signature)
	got, err := v.Verify(r, nil, iamOptions())
	if err != nil || !got.SignedAt().Equal(noon) {
		t.Errorf("date signed: %v, %v", got.SignedAt(), err)
	}
}

func TestPresigned(t *testing.T) {
	now := clock.NewManual(noon)
	v := New(Options{Keys: iamUsers, Clock: now})
	signed := func(c Credentials, expires time.Duration, header ...string) *http.Request {
		r := request(t, "GET", "http://localhost:4566/bucket/key?versionId=1", header...)
		u, err := signer(c, "s3").Presign(r, nil, expires)
		if err != nil {
			t.Fatal(err)
		}
		return request(t, "GET", u, header...)
	}
	query := func(old, new string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, new, 1) }
	}
	for _, c := range []struct {
		name   string
		after  time.Duration
		change func(*http.Request)
		want   string
	}{
		{"as signed", 0, nil, ""},
		{"at its end", 10 * time.Minute, nil, ""},
		{"expired", 10*time.Minute + time.Second, nil, "AccessDenied: Request has expired"},
		{"not yet valid", -16 * time.Minute, nil, "AccessDenied: Request is not valid yet"},
		{"another method", 0, func(r *http.Request) { r.Method = "PUT" }, "SignatureDoesNotMatch"},
		{"another key", 0, func(r *http.Request) { r.URL.Path = "/bucket/other" }, "SignatureDoesNotMatch"},
		{"longer", 0, query("X-Amz-Expires=600", "X-Amz-Expires=6000"), "SignatureDoesNotMatch"},
		{"too long", 0, query("X-Amz-Expires=600", "X-Amz-Expires=604801"), "AuthorizationQueryParametersError: X-Amz-Expires must be less than a week"},
		{"negative", 0, query("X-Amz-Expires=600", "X-Amz-Expires=-1"), "AuthorizationQueryParametersError: X-Amz-Expires must be non-negative"},
		{"no number", 0, query("X-Amz-Expires=600", "X-Amz-Expires=1h"), "AuthorizationQueryParametersError: X-Amz-Expires should be a number"},
		{"no end", 0, query("X-Amz-Expires=600&", ""), "AuthorizationQueryParametersError: Query-string authentication version 4 requires"},
		{"date", 0, query("X-Amz-Date=20240101T120000Z", "X-Amz-Date=20240101T120001Z"), "SignatureDoesNotMatch"},
		{"bad date", 0, query("X-Amz-Date=20240101T120000Z", "X-Amz-Date=20240101"), "AuthorizationQueryParametersError: X-Amz-Date must be in the ISO8601 Long Format"},
		{"service", 0, query("%2Fs3%2F", "%2Fiam%2F"), "AuthorizationQueryParametersError: Error parsing the X-Amz-Credential parameter; incorrect service"},
		{"region", 0, query("us-east-1", "eu-west-1"), "AuthorizationQueryParametersError: Error parsing the X-Amz-Credential parameter; the region 'eu-west-1' is wrong"},
		{"SigV4a", 0, query(algorithm, algorithm4a), "NotImplemented"},
		{"unknown algorithm", 0, query(algorithm, "AWS4-HMAC-MD5"), "AuthorizationQueryParametersError: X-Amz-Algorithm only supports"},
		{"expires twice", 0, query("X-Amz-Expires=600", "X-Amz-Expires=600&X-Amz-Expires=700"), "AuthorizationQueryParametersError"},
		{"signature twice", 0, func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=0" }, "AuthorizationQueryParametersError"},
		{"signed header dropped", 0, func(r *http.Request) { r.Header.Del("My-Header") }, "SignatureDoesNotMatch"},
		{"signed header changed", 0, func(r *http.Request) { r.Header.Set("My-Header", "w") }, "SignatureDoesNotMatch"},
		{"x-amz header added", 0, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "AccessDenied: There were headers present in the request which were not signed"},
		{"parameter added", 0, func(r *http.Request) { r.URL.RawQuery += "&acl" }, "SignatureDoesNotMatch"},
		{"parameter changed", 0, query("versionId=1", "versionId=2"), "SignatureDoesNotMatch"},
		{"host", 0, func(r *http.Request) { r.Host = "other.s3.localhost" }, "SignatureDoesNotMatch"},
		{"with Authorization", 0, func(r *http.Request) { r.Header.Set("Authorization", "x") }, "InvalidArgument: Only one auth mechanism"},
		{"SigV2", 0, func(r *http.Request) { r.URL.RawQuery = "AWSAccessKeyId=a&Signature=b&Expires=1" }, "AccessDenied: Request has expired"},
	} {
		for _, creds := range []Credentials{userKey, tempKey} {
			t.Run(c.name+"/"+creds.AccessKeyID, func(t *testing.T) {
				r := signed(creds, 10*time.Minute, "My-Header", "v")
				if c.change != nil {
					c.change(r)
				}
				now.Advance(c.after)
				defer now.Advance(-c.after)
				_, err := v.Verify(r, nil, s3Options())
				expect(t, "s3", err, c.want)
			})
		}
	}
	r := signed(tempKey, time.Minute)
	query("X-Amz-Security-Token=", "X-Amz-Security-Token=x")(r)
	_, err := v.Verify(r, nil, s3Options())
	expect(t, "token changed", err, "InvalidToken")
}

func TestMismatchExplainsItselfToS3Clients(t *testing.T) {
	v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)})
	r := call(t, tempKey, "s3")
	r.Method = "PUT"
	_, err := v.Verify(r, []byte(formBody), s3Options())
	e, ok := err.(*awserr.Error)
	if !ok || e.Fields["AWSAccessKeyId"] != tempKey.AccessKeyID {
		t.Fatalf("%v, %v", err, e)
	}
	canonical, _ := e.Fields["CanonicalRequest"].(string)
	if !strings.HasPrefix(canonical, "PUT\n/a%20b/c\nx=1&y=2\ncontent-type:") {
		t.Errorf("canonical request %q", canonical)
	}
	if sts, _ := e.Fields["StringToSign"].(string); !strings.HasPrefix(sts, "AWS4-HMAC-SHA256\n20240101T120000Z\n20240101/us-east-1/s3/aws4_request\n") {
		t.Errorf("string to sign %q", sts)
	}
	if b, _ := e.Fields["StringToSignBytes"].(string); !strings.HasPrefix(b, "41 57 53 34 2d") {
		t.Errorf("bytes %q", b)
	}
	shown, _ := json.Marshal(e.Fields)
	if bytes.Contains(shown, []byte(tempKey.SessionToken)) || bytes.Contains(shown, []byte(tempKey.SecretAccessKey)) {
		t.Errorf("a secret in %s", shown)
	}
}

func TestOpenCredentials(t *testing.T) {
	v := New(Options{Keys: open{}, Clock: clock.NewManual(noon)})
	r := call(t, Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "s3")
	got, err := v.Verify(r, []byte(formBody), s3Options())
	if err != nil || !got.Open() || got.Owner() != "administrator" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := v.Verify(r, []byte("x"), s3Options()); !awserr.Is(err, "XAmzContentSHA256Mismatch") {
		t.Errorf("another body: %v", err)
	}
}

type open struct{}

func (open) Key(string, string, time.Time) (Secret, error) {
	return Secret{Owner: "administrator", Open: true}, nil
}

func TestKeyCache(t *testing.T) {
	c := newKeyCache(2)
	a, b, d := keyName{accessKeyID: "a"}, keyName{accessKeyID: "b"}, keyName{accessKeyID: "d"}
	first := c.get(a, "one")
	if c.get(a, "one") != first {
		t.Error("derived twice")
	}
	if renewed := c.get(a, "two"); renewed == first || renewed.sign(nil) == first.sign(nil) {
		t.Error("a renewed secret kept the old key")
	}
	held := c.get(a, "two")
	c.get(b, "")
	c.get(a, "two")
	c.get(d, "") // drops b, used least recently
	if len(c.m) != 2 || c.m[b] != nil || c.get(a, "two") != held {
		t.Errorf("%d keys cached", len(c.m))
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, tempKey); strings.Contains(s, "temporary") || strings.Contains(s, "token/") {
			t.Errorf("%s prints %s", format, s)
		}
	}
}
