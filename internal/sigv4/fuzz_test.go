package sigv4

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// FuzzAuthorization: whatever the header says, a claim that passes is well-formed.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;,Signature=")
	f.Add("AWS4-ECDSA-P256-SHA256 Credential=a/b/c/d")
	f.Fuzz(func(t *testing.T, auth string) {
		h := http.Header{"X-Amz-Date": {"20150830T123600Z"}, "Authorization": {auth}}
		c, err := headerClaim(h, auth, refusal{})
		if err != nil {
			if _, ok := err.(*awserr.Error); !ok {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if c.accessKeyID+"/"+c.date+"/"+c.region+"/"+c.service+"/"+terminator != c.accessKeyID+"/"+c.scope ||
			len(c.signature) != 64 || !validSigned(c.signed) || strings.ContainsAny(c.accessKeyID, "\r\n /<>") {
			t.Fatalf("%q made %+v", auth, c)
		}
	})
}

// FuzzVerify: nothing that was not signed with the secret passes, and nothing panics.
func FuzzVerify(f *testing.F) {
	f.Add("GET", "/a%20b", "x=1", "localhost", "AWS4-HMAC-SHA256 Credential=A/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature="+emptySHA256, "20240101T120000Z", "X-Amz-Acl", "v", true)
	f.Add("PUT", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20240101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20240101T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="+emptySHA256, "h", "", "", "X-Amz-Content-Sha256", streamTrailer, true)
	f.Add("GET", "/b/k", "acl&x-amz-acl=v&AWSAccessKeyId=A&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1804111000", "h", "", "", "X-Amz-Meta-A", "v", true)
	v := New(Options{Keys: keyring{"A": {AccessKeyID: "A", SecretAccessKey: "not to be guessed"}}, Clock: clock.NewManual(noon)})
	f.Fuzz(func(t *testing.T, method, path, query, host, auth, date, name, value string, s3 bool) {
		r := &http.Request{Method: method, Host: host, Header: http.Header{}, URL: &url.URL{Path: path, RawPath: path, RawQuery: query}, ContentLength: 3}
		if auth != "" {
			r.Header["Authorization"] = []string{auth}
		}
		if date != "" {
			r.Header["X-Amz-Date"] = []string{date}
		}
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		Signed(r)
		_, err := v.Verify(r, []byte("abc"), SigningOptions{Services: []string{"s3"}, S3: s3})
		if _, ok := err.(*awserr.Error); !ok {
			t.Fatalf("%T %v", err, err)
		}
	})
}

// FuzzChunked: a body passes only if it is the signed one.
func FuzzChunked(f *testing.F) {
	for _, u := range []upload{docsSigned, docsTrailer, docsUnsigned} {
		f.Add(u.encode(), u.payload == docsUnsigned.payload)
	}
	f.Add("10000;chunk-signature=", false)
	f.Add("0\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n", true)
	signed, unsigned := docsSigned.open(f), docsUnsigned.open(f)
	f.Fuzz(func(t *testing.T, data string, plain bool) {
		v := signed
		if plain {
			v = unsigned
		}
		body, err := io.ReadAll(v.Body(strings.NewReader(data)))
		if err == nil && string(body) != strings.Repeat("a", 66560) && !plain {
			t.Fatalf("%d bytes passed", len(body))
		}
		if int64(len(body)) > v.Length() || err == nil && int64(len(body)) != v.Length() {
			t.Fatalf("%d bytes of %d, %v", len(body), v.Length(), err)
		}
		if _, ok := err.(*awserr.Error); err != nil && !ok {
			t.Fatalf("%T %v", err, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	r := request(b, "POST", "http://localhost:4566/", "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.PutItem",
		"User-Agent", "bench", "Accept-Encoding", "identity")
	r.ContentLength = 1024
	s := NewSigner(Signing{Credentials: userKey, Region: "us-east-1", Service: "dynamodb", Clock: clock.NewManual(noon)})
	if err := s.Sign(r, body); err != nil {
		b.Fatal(err)
	}
	v := New(Options{Keys: iamUsers, Clock: clock.NewManual(noon)})
	svc := SigningOptions{Services: []string{"dynamodb"}, Region: "us-east-1"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, body, svc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	r := request(b, "POST", "http://localhost:4566/", "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.PutItem")
	s := NewSigner(Signing{Credentials: userKey, Region: "us-east-1", Service: "dynamodb", Clock: clock.NewManual(noon)})
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Sign(r, body); err != nil {
			b.Fatal(err)
		}
	}
}
