package sigv4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// legacyPresigned are URLs as botocore 1.43.11 presigns them with version 2 at noon, for ten
// minutes, by userKey and tempKey.
var legacyPresigned = []struct{ method, url, bucket string }{
	{"GET", "http://127.0.0.1:4566/bucket/a%20b/%C3%BC%2Bc?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=57AC%2BKjEKWXZO6GHp8IZxVw0aMY%3D&Expires=1704111000", ""},
	{"GET", "http://127.0.0.1:4566/bucket/key?versionId=1&response-content-disposition=attachment%3B%20filename%3D%22a%20b%22&AWSAccessKeyId=ASIAIOSFODNN7EXAMPLE&Signature=w9g3f8QcL1Iw0QK9PDmpFjpDgok%3D&x-amz-security-token=token%2F%2B%3D&Expires=1704111000", ""},
	{"PUT", "http://bucket.s3.localhost:4566/key?AWSAccessKeyId=ASIAIOSFODNN7EXAMPLE&Signature=8PLUeqPuklDgKtPqk8vOSoj6YOw%3D&content-type=text%2Fx&x-amz-acl=private&x-amz-meta-who=ann%20%20b&x-amz-security-token=token%2F%2B%3D&Expires=1704111000", "bucket"},
	{"PUT", "http://127.0.0.1:4566/bucket/key?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=%2BhnEGGJ6NfoityStDY6U5e004Y4%3D&Expires=1704111000", ""},
	{"GET", "http://127.0.0.1:4566/bucket?list-type=2&prefix=a%2F&encoding-type=url&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=GSNzRqizEz5muP4K70t4eIz3hJA%3D&Expires=1704111000", ""},
	{"PUT", "http://127.0.0.1:4566/bucket/key?uploadId=u&partNumber=3&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=oBJHjFXmtT9KGCgPbzJAR37AtQY%3D&Expires=1704111000", ""},
}

func legacyRequest(t testing.TB, i int) (*http.Request, SigningOptions) {
	c := legacyPresigned[i]
	r := request(t, c.method, c.url)
	if i == 2 {
		r.Header.Set("Content-Type", "text/x")
	}
	o := s3Options()
	o.Bucket = c.bucket
	return r, o
}

func TestPresignedVersion2(t *testing.T) {
	v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon.Add(10 * time.Minute))})
	for i, c := range legacyPresigned {
		r, o := legacyRequest(t, i)
		got, err := v.Verify(r, nil, o)
		if err != nil || !got.Legacy() || !got.Presigned() || got.PayloadHash() != unsignedPayload {
			t.Errorf("%s: %+v, %v", c.url, got.c, err)
		}
	}
	// The example of S3's own documentation.
	docs := Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	v = New(Options{Keys: keyring{docs.AccessKeyID: docs}, Clock: clock.NewManual(time.Unix(1175139620, 0))})
	o := s3Options()
	o.Bucket = "johnsmith"
	r := request(t, "GET", "http://johnsmith.s3.amazonaws.com/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620")
	if _, err := v.Verify(r, nil, o); err != nil {
		t.Error(err)
	}
}

func TestTamperedVersion2(t *testing.T) {
	query := func(old, new string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, new, 1) }
	}
	const mismatch = "SignatureDoesNotMatch: The request signature we calculated"
	for _, c := range []struct {
		name   string
		url    int
		change func(*http.Request)
		want   string
	}{
		{"method", 0, func(r *http.Request) { r.Method = "DELETE" }, mismatch},
		{"key", 0, func(r *http.Request) { *r.URL = url.URL{Path: "/bucket/other", RawQuery: r.URL.RawQuery} }, mismatch},
		{"longer", 0, query("Expires=1704111000", "Expires=1804111000"), mismatch},
		{"other key", 0, query("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"), "InvalidToken"},
		{"unknown key", 0, query("AKIAIOSFODNN7EXAMPLE", "AKIANOBODY"), "UnknownAccessKey"},
		{"no expiry", 0, query("&Expires=1704111000", ""), "AccessDenied: Query-string authentication requires"},
		{"two expiries", 0, query("&Expires", "&Expires=1804111000&Expires"), "AccessDenied: Query-string authentication requires"},
		{"expiry as a word", 0, query("1704111000", "soon"), "AccessDenied: Invalid date (should be seconds since epoch): soon"},
		{"expired", 0, query("1704111000", "1704110399"), "AccessDenied: Request has expired"},
		{"tagging added", 0, query("AWSAcc", "tagging&AWSAcc"), mismatch},
		{"attributes added", 0, query("AWSAcc", "attributes&AWSAcc"), "AccessDenied: There were parameters present in the request which were not signed: attributes"},
		{"an escaped name", 0, query("AWSAcc", "t%61gging&AWSAcc"), "AccessDenied: There were parameters present"},
		{"version changed", 1, query("versionId=1", "versionId=2"), mismatch},
		{"header added", 0, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, mismatch},
		{"parameter x-amz added", 0, query("AWSAcc", "x-amz-acl=public-read&AWSAcc"), mismatch},
		{"parameter and header", 2, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "AccessDenied: x-amz-acl is given more than once"},
		{"content type", 2, func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }, mismatch},
		{"metadata", 2, query("ann", "bob"), mismatch},
		{"token", 1, query("token%2F", "t0ken%2F"), "InvalidToken"},
		{"signature", 0, query("Signature=57", "Signature=56"), mismatch},
		{"no base64", 0, query("Signature=57", "Signature=!!"), mismatch},
		{"signed chunks", 3, func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", streamSigned)
			r.Header.Set("X-Amz-Decoded-Content-Length", "1")
		}, "InvalidRequest: Signed chunks"},
		{"with Authorization", 0, func(r *http.Request) { r.Header.Set("Authorization", "x") }, "InvalidArgument: Only one auth mechanism"},
		{"with version 4", 0, query("AWSAcc", "X-Amz-Signature=x&AWSAcc"), "InvalidRequest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)})
			r, o := legacyRequest(t, c.url)
			c.change(r)
			_, err := v.Verify(r, nil, o)
			expect(t, "s3", err, c.want)
		})
	}
	t.Run("other bucket", func(t *testing.T) {
		r, o := legacyRequest(t, 2)
		o.Bucket = "other"
		_, err := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)}).Verify(r, nil, o)
		expect(t, "s3", err, mismatch)
		if err != nil && strings.Contains(err.Error(), tempKey.SessionToken) {
			t.Error("the error shows the token")
		}
	})
	t.Run("other service", func(t *testing.T) {
		r, _ := legacyRequest(t, 0)
		_, err := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)}).Verify(r, nil, iamOptions())
		expect(t, "iam", err, "IncompleteSignature")
	})
}
