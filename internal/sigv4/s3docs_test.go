package sigv4

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// The worked examples of the Amazon S3 API Reference, "Authenticating Requests".
var docsKey = Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}

func docsTime() *clock.Manual { return clock.NewManual(time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)) }

func docsVerifier() *Verifier {
	return New(Options{Keys: keyring{docsKey.AccessKeyID: docsKey}, Clock: docsTime()})
}

func s3Options() SigningOptions {
	return SigningOptions{Services: []string{"s3"}, Region: "us-east-1", S3: true}
}

func request(t testing.TB, method, url string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestDocumentedS3Requests(t *testing.T) {
	v := docsVerifier()
	auth := func(signed, signature string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + signed + ",Signature=" + signature
	}
	get := request(t, "GET", "https://examplebucket.s3.amazonaws.com/test.txt", "Range", "bytes=0-9", "x-amz-content-sha256", emptySHA256,
		"x-amz-date", "20130524T000000Z",
		"Authorization", auth("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))
	if _, err := v.Verify(get, nil, s3Options()); err != nil {
		t.Error("GET:", err)
	}
	body := []byte("Welcome to Amazon S3.")
	put := request(t, "PUT", "https://examplebucket.s3.amazonaws.com/test$file.text", "Date", "Fri, 24 May 2013 00:00:00 GMT",
		"x-amz-date", "20130524T000000Z", "x-amz-storage-class", "REDUCED_REDUNDANCY",
		"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		"Authorization", auth("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))
	if _, err := v.Verify(put, body, s3Options()); err != nil {
		t.Error("PUT:", err)
	}
	if _, err := v.Verify(put, []byte("Welcome to Amazon S4."), s3Options()); !awserr.Is(err, "XAmzContentSHA256Mismatch") {
		t.Error("PUT of another body:", err)
	}
	const presigned = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	got, err := v.Verify(request(t, "GET", presigned), nil, s3Options())
	if err != nil || !got.Presigned() || got.Expires() != 24*time.Hour || got.PayloadHash() != unsignedPayload {
		t.Errorf("presigned: %+v, %v", got.c, err)
	}
}

// upload is one aws-chunked PUT of the documentation: 66,560 times "a" in chunks of 64 KiB, 1 KiB
// and nothing.
type upload struct {
	payload, trailer string
	seed             string
	chunks           [3]string
	trailerSignature string
}

var docsSigned = upload{payload: streamSigned,
	seed: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
	chunks: [3]string{"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}}

var docsTrailer = upload{payload: streamTrailer, trailer: "x-amz-checksum-crc32c:sOO8/Q==",
	seed: "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
	chunks: [3]string{"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
	trailerSignature: "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"}

var docsUnsigned = upload{payload: streamUnsigned, trailer: "x-amz-checksum-crc32c:sOO8/Q=="}

// encode frames the documented body.
func (u upload) encode() string {
	var b strings.Builder
	for i, n := range []int{65536, 1024, 0} {
		b.WriteString(strconv.FormatInt(int64(n), 16))
		if u.seed != "" {
			b.WriteString(";chunk-signature=" + u.chunks[i])
		}
		b.WriteString("\r\n" + strings.Repeat("a", n))
		if n > 0 {
			b.WriteString("\r\n")
		}
	}
	if u.trailer != "" {
		b.WriteString(u.trailer + "\r\n")
	}
	if u.trailerSignature != "" {
		b.WriteString("x-amz-trailer-signature:" + u.trailerSignature + "\r\n")
	}
	return b.String() + "\r\n"
}

// open verifies the head of the upload.
func (u upload) open(t testing.TB) Verified {
	t.Helper()
	r := request(t, "PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", "x-amz-storage-class", "REDUCED_REDUNDANCY",
		"Content-Encoding", "aws-chunked", "x-amz-decoded-content-length", "66560")
	r.ContentLength = int64(len(u.encode()))
	if u.trailer != "" {
		name, _, _ := strings.Cut(u.trailer, ":")
		r.Header.Set("x-amz-trailer", name)
	}
	if u.payload == streamSigned {
		r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	s := NewSigner(Signing{Credentials: docsKey, Region: "us-east-1", Service: "s3", Clock: docsTime(), S3: true})
	seed, err := s.SignPayload(r, u.payload)
	if err != nil {
		t.Fatal(err)
	}
	if u.seed != "" && seed != u.seed {
		t.Fatalf("seed signature %s, want %s", seed, u.seed)
	}
	v, err := docsVerifier().Verify(r, nil, s3Options())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDocumentedChunks(t *testing.T) {
	for _, u := range []upload{docsSigned, docsTrailer, docsUnsigned} {
		t.Run(u.payload, func(t *testing.T) {
			v := u.open(t)
			if v.Length() != 66560 {
				t.Errorf("length %d", v.Length())
			}
			body, err := io.ReadAll(v.Body(strings.NewReader(u.encode())))
			if err != nil || !bytes.Equal(body, bytes.Repeat([]byte("a"), 66560)) {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			slow, err := io.ReadAll(v.Body(oneByte{strings.NewReader(u.encode())}))
			if err != nil || len(slow) != 66560 {
				t.Errorf("a byte at a time: %d bytes, %v", len(slow), err)
			}
		})
	}
}

// oneByte gives a byte a Read.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }

func TestTamperedChunks(t *testing.T) {
	swap := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	cases := []struct {
		name   string
		u      upload
		change func(string) string
		code   string // awserr's code or kind
	}{
		{"data", docsSigned, swap("aaaa", "aaba"), "SignatureDoesNotMatch"},
		{"data of the last chunk", docsSigned, func(s string) string { i := strings.LastIndex(s, "a\r"); return s[:i] + "b" + s[i+1:] }, "SignatureDoesNotMatch"},
		{"chunk signature", docsSigned, swap("ad80c", "ad80d"), "SignatureDoesNotMatch"},
		{"last chunk's signature", docsSigned, swap("b6c6e", "b6c6f"), "SignatureDoesNotMatch"},
		{"trailer's value", docsTrailer, swap("sOO8/Q==", "sOO8/A=="), "SignatureDoesNotMatch"},
		{"trailer's signature", docsTrailer, swap("d81f8", "d81f9"), "SignatureDoesNotMatch"},
		{"no trailer's signature", docsTrailer, func(s string) string { return s[:strings.Index(s, "x-amz-trailer-s")] + "\r\n" }, "MalformedTrailerError"},
		{"no trailer", docsTrailer, func(s string) string { return s[:strings.Index(s, "x-amz-checksum")] + "\r\n" }, "MalformedTrailerError"},
		{"another trailer", docsUnsigned, swap("x-amz-checksum-crc32c", "x-amz-checksum-crc32"), "MalformedTrailerError"},
		{"unsigned: data", docsUnsigned, swap("aaaa", "aaba"), "BadDigest"},
		{"unsigned: checksum", docsUnsigned, swap("sOO8/Q==", "sOO8/A=="), "BadDigest"},
		{"unsigned: checksum's length", docsUnsigned, swap("sOO8/Q==", "sOO8"), "InvalidRequest"},
		{"unsigned: a signature", docsUnsigned, swap("400\r\n", "400;chunk-signature="+docsSigned.seed+"\r\n"), "InvalidRequest"},
		{"no signature", docsSigned, swap(";chunk-signature="+docsSigned.chunks[0], ""), "InvalidRequest"},
		{"chunk dropped", docsSigned, func(s string) string { return s[strings.Index(s, "400;"):] }, "SignatureDoesNotMatch"},
		{"chunk repeated", docsSigned, func(s string) string { i := strings.Index(s, "400;"); return s[:i] + s }, "IncompleteBody"},
		{"cut in a chunk", docsSigned, func(s string) string { return s[:40000] }, "IncompleteBody"},
		{"cut in the head", docsSigned, func(s string) string { return s[:30] }, "IncompleteBody"},
		{"cut before the last chunk", docsSigned, func(s string) string { return s[:strings.Index(s, "0;chunk-signature=b6")] }, "IncompleteBody"},
		{"nothing", docsSigned, func(string) string { return "" }, "IncompleteBody"},
		{"more after the end", docsSigned, func(s string) string { return s + "x" }, "InvalidRequest"},
		{"huge size", docsSigned, swap("10000;", "fffffffffffffff;"), "IncompleteBody"},
		{"overflowing size", docsSigned, swap("10000;", "ffffffffffffffff0;"), "InvalidRequest"},
		{"negative size", docsSigned, swap("10000;", "-1;"), "InvalidRequest"},
		{"endless line", docsSigned, func(string) string { return strings.Repeat("0", 1<<20) }, "InvalidRequest"},
		{"bare line feeds", docsUnsigned, func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }, "InvalidRequest"},
		{"small chunk first", docsUnsigned, func(string) string {
			return "400\r\n" + strings.Repeat("a", 1024) + "\r\n10000\r\n" + strings.Repeat("a", 65536) + "\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n"
		}, "InvalidChunkSizeError"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := c.u.open(t)
			data := c.change(c.u.encode())
			for name, read := range map[string]func(io.Reader) (int, error){
				"ReadAll": func(r io.Reader) (int, error) { b, err := io.ReadAll(r); return len(b), err },
				// A reader that asks for exactly the declared length must not miss the verdict.
				"ReadFull": func(r io.Reader) (int, error) { return io.ReadFull(r, make([]byte, 66560)) },
			} {
				if _, err := read(v.Body(strings.NewReader(data))); code(err) != c.code {
					t.Errorf("%s: %v, want %s", name, err, c.code)
				}
			}
		})
	}
}

// code is the error's code or the name of its kind.
func code(err error) string {
	e, ok := err.(*awserr.Error)
	switch {
	case err == nil:
		return ""
	case !ok:
		return "not an awserr: " + err.Error()
	case e.Code != "":
		return e.Code
	}
	return e.Kind.String()
}

func TestHashedBody(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	r := request(t, "PUT", "https://b.s3.amazonaws.com/k")
	s := NewSigner(Signing{Credentials: docsKey, Region: "us-east-1", Service: "s3", Clock: docsTime(), S3: true})
	r.ContentLength = int64(len(body))
	if err := s.Sign(r, []byte(body)); err != nil {
		t.Fatal(err)
	}
	v, err := docsVerifier().Verify(r, nil, s3Options())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ body, code string }{
		"as signed": {body, ""},
		"changed":   {body[:9999] + "x", "XAmzContentSHA256Mismatch"},
		"cut":       {body[:9999], "IncompleteBody"},
		"empty":     {"", "IncompleteBody"},
	} {
		got, err := io.ReadAll(v.Body(strings.NewReader(c.body)))
		if code(err) != c.code || err == nil && string(got) != c.body {
			t.Errorf("%s: %d bytes, %v; want %s", name, len(got), err, c.code)
		}
		if n, err := io.ReadFull(v.Body(strings.NewReader(c.body)), make([]byte, len(body))); (err == nil) != (c.code == "") {
			t.Errorf("%s, read to its length: %d bytes, %v", name, n, err)
		}
	}
}
