package sigv4

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUnsignedBodies(t *testing.T) {
	const framed = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
	const sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	for name, c := range map[string]struct {
		hash, body, want string
		refused          bool // by Unsigned, or while the body is read
	}{
		"no header":        {"", "hello", "hello", false},
		"unsigned":         {"UNSIGNED-PAYLOAD", "hello", "hello", false},
		"framed":           {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", framed, "hello", false},
		"framed, damaged":  {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", strings.Replace(framed, "hello", "hallo", 1), "", true},
		"signed framing":   {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", framed, "", true},
		"its hash":         {sha, "hello", "hello", false},
		"another's hash":   {sha, "hallo", "", true},
		"a hash that isnt": {"abc", "hello", "", true},
	} {
		r := httptest.NewRequest("PUT", "/b/k", strings.NewReader(c.body))
		if c.hash != "" {
			r.Header.Set("X-Amz-Content-Sha256", c.hash)
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			r.Header.Set("X-Amz-Decoded-Content-Length", "5")
		}
		v, err := Unsigned(r)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(v.Body(r.Body))
		}
		if (err != nil) != c.refused || string(got) != c.want || v.AccessKeyID() != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
