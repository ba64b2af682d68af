package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

func TestObjectComesBackAsItWas(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	put := r.ok("PUT /photos/a%2Fb%20%C3%BC%2B.txt", "hello", "Content-Type", "text/x", "Cache-Control", "no-cache", "Content-Disposition", "inline",
		"Content-Encoding", "aws-chunked,gzip", "Content-Language", "de", "Expires", "soon", "x-amz-meta-Colour", "red", "x-amz-tagging", "k=v&l=m%20n")
	for name, want := range map[string]string{"ETag": `"5d41402abc4b2a76b9719d911017c592"`, "x-amz-server-side-encryption": "AES256",
		"x-amz-checksum-crc64nvme": "M3eFcAZSQlc=", "x-amz-checksum-type": "FULL_OBJECT", "x-amz-version-id": ""} {
		if got := put.header.Get(name); got != want {
			t.Errorf("put: %s is %q, want %q", name, got, want)
		}
	}
	for _, line := range []string{"GET", "HEAD"} {
		a := r.ok(line+" /photos/a/b%20%C3%BC%2B.txt", "")
		for name, want := range map[string]string{"Content-Type": "text/x", "Cache-Control": "no-cache", "Content-Disposition": "inline", "Content-Encoding": "gzip",
			"Content-Language": "de", "Expires": "soon", "Content-Length": "5", "Accept-Ranges": "bytes", "Last-Modified": "Wed, 02 Jan 2030 03:04:05 GMT",
			"x-amz-tagging-count": "2", "x-amz-checksum-crc64nvme": ""} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", line, name, got, want)
			}
		}
		if got := a.header["x-amz-meta-colour"]; len(got) != 1 || got[0] != "red" {
			t.Errorf("%s: metadata %v", line, a.header)
		}
		if line == "GET" && a.body != "hello" || line == "HEAD" && a.body != "" {
			t.Errorf("%s: body %q", line, a.body)
		}
	}
	a := r.ok("GET /photos/a/b%20%C3%BC%2B.txt?response-content-type=text/y&response-expires=Thu,%2003%20Jan%202030%2003:04:05%20GMT", "", "x-amz-checksum-mode", "ENABLED")
	if a.header.Get("Content-Type") != "text/y" || a.header.Get("Expires") != "Thu, 03 Jan 2030 03:04:05 GMT" || a.header.Get("x-amz-checksum-crc64nvme") != "M3eFcAZSQlc=" {
		t.Errorf("%v", a.header)
	}
}

func TestKeysAreKeptAsTheyAre(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	keys := []string{"..", "a/../b", "./x", "/lead", "//two", "a//b", "tail/", "日本語", "a?b#c", "+", "%2F", strings.Repeat("k", 1024), "\x01", "a\x00b"}
	c := r.client()
	for _, k := range keys {
		if _, err := c.PutObject(t.Context(), &api.PutObjectInput{Bucket: "photos", Key: k, Body: strings.NewReader(k)}); err != nil {
			t.Fatalf("%q: %v", k, err)
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &api.ListObjectsV2Input{Bucket: "photos"})
	if err != nil || len(out.Contents) != len(keys) {
		t.Fatalf("%d keys, %v", len(out.Contents), err)
	}
	for i, o := range out.Contents {
		got, err := c.GetObject(t.Context(), &api.GetObjectInput{Bucket: "photos", Key: *o.Key})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != *o.Key || i > 0 && *o.Key <= *out.Contents[i-1].Key {
			t.Errorf("%q holds %q, %v", *o.Key, body, err)
		}
	}
	r.fails(400, "KeyTooLongError", "PUT /photos/"+strings.Repeat("k", 1025), "")
	r.fails(400, "MetadataTooLarge", "PUT /photos/x", "", "x-amz-meta-a", strings.Repeat("v", 2048))
	r.fails(400, "InvalidArgument", "PUT /photos/x", "", "x-amz-tagging", "%zz")
	r.fails(400, "InvalidTag", "PUT /photos/x", "", "x-amz-tagging", "a=1&a=2")
}

func TestRanges(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	data := strings.Repeat("0123456789", 20000) // more than one frame
	r.ok("PUT /photos/x", data)
	r.ok("PUT /photos/empty", "")
	for spec, want := range map[string]string{"bytes=0-0": data[:1], "bytes=65530-65545": data[65530:65546], "bytes=199990-": data[199990:], "bytes=-3": data[199997:],
		"bytes=5-999999999999999999999": data[5:], "bytes=-300000": data} {
		a := r.ok("GET /photos/x", "", "Range", spec)
		if a.code != 206 || a.body != want || !strings.HasSuffix(a.header.Get("Content-Range"), "/200000") {
			t.Errorf("%s: %d, %d bytes, %v", spec, a.code, len(a.body), a.header)
		}
	}
	for _, spec := range []string{"bytes=2-1", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=-"} {
		if a := r.ok("GET /photos/x", "", "Range", spec); a.code != 200 || a.body != data {
			t.Errorf("%s: %d, %d bytes", spec, a.code, len(a.body))
		}
	}
	r.fails(416, "InvalidRange", "GET /photos/x", "", "Range", "bytes=200000-")
	r.fails(416, "InvalidRange", "GET /photos/x", "", "Range", "bytes=-0")
	r.fails(416, "InvalidRange", "GET /photos/empty", "", "Range", "bytes=0-")
	r.fails(416, "InvalidPartNumber", "GET /photos/x?partNumber=2", "")
	if a := r.ok("GET /photos/x?partNumber=1", ""); a.code != 206 || a.body != data {
		t.Errorf("%d", a.code)
	}
	if a := r.ok("GET /photos/empty", ""); a.body != "" || a.header.Get("Content-Length") != "0" {
		t.Errorf("%v", a.header)
	}
}

func TestConditionalReads(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	etag := r.ok("PUT /photos/x", "y").header.Get("ETag")
	const before, at = "Tue, 01 Jan 2030 00:00:00 GMT", "Wed, 02 Jan 2030 03:04:05 GMT"
	for _, c := range []struct {
		headers []string
		code    int
	}{
		{[]string{"If-Match", etag}, 200}, {[]string{"If-Match", `"no", ` + etag}, 200}, {[]string{"If-Match", "*"}, 200}, {[]string{"If-Match", `"no"`}, 412},
		{[]string{"If-None-Match", `"no"`}, 200}, {[]string{"If-None-Match", etag}, 304}, {[]string{"If-None-Match", "W/" + etag}, 304},
		{[]string{"If-Modified-Since", before}, 200}, {[]string{"If-Modified-Since", at}, 304},
		{[]string{"If-Unmodified-Since", before}, 412}, {[]string{"If-Unmodified-Since", at}, 200},
		{[]string{"If-Match", etag, "If-Unmodified-Since", before}, 200}, {[]string{"If-None-Match", `"no"`, "If-Modified-Since", at}, 200},
	} {
		a := r.send("GET /photos/x", "", c.headers...)
		if a.code != c.code || a.code == 304 && (a.header.Get("ETag") != etag || a.body != "") {
			t.Errorf("%v: %d %v", c.headers, a.code, a.header)
		}
	}
}

func TestConditionalWrites(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.fails(404, "NoSuchKey", "PUT /photos/x", "1", "If-Match", `"e"`)
	etag := r.ok("PUT /photos/x", "1", "If-None-Match", "*").header.Get("ETag")
	r.fails(412, "PreconditionFailed", "PUT /photos/x", "2", "If-None-Match", "*")
	r.fails(412, "PreconditionFailed", "PUT /photos/x", "2", "If-Match", `"e"`)
	r.reads("/photos/x", "1")
	r.ok("PUT /photos/x", "2", "If-Match", etag)
	r.fails(412, "PreconditionFailed", "DELETE /photos/x", "", "If-Match", etag)
	r.reads("/photos/x", "2")
	if n := r.blobs(); n != 2 { // the one that was overwritten waits for the sweep; those refused are gone
		t.Errorf("%d blobs", n)
	}
}

func TestWhatDoesNotArriveWholeLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", "before")
	sum := md5.Sum([]byte("other"))
	for name, c := range map[string]struct {
		body    io.Reader
		code    string
		headers []string
	}{
		"a signature that fails at the end": {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(awserr.Of(awserr.SignatureDoesNotMatch, "no"))), "SignatureDoesNotMatch", nil},
		"a line that breaks":                {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)), "IncompleteBody", nil},
		"a disk or a bug":                   {iotest.ErrReader(errors.New("broken")), "InternalError", nil},
		"less than declared":                {strings.NewReader("half"), "IncompleteBody", []string{"Content-Length", "5"}},
		"another MD5":                       {strings.NewReader("half"), "BadDigest", []string{"Content-MD5", base64.StdEncoding.EncodeToString(sum[:])}},
		"no MD5":                            {strings.NewReader("half"), "InvalidDigest", []string{"Content-MD5", "abc"}},
		"another CRC32":                     {strings.NewReader("half"), "BadDigest", []string{"x-amz-checksum-crc32", "AAAAAA=="}},
		"no CRC32":                          {strings.NewReader("half"), "InvalidRequest", []string{"x-amz-checksum-crc32", "AAAA"}},
		"two checksums":                     {strings.NewReader("half"), "InvalidRequest", []string{"x-amz-checksum-crc32", "AAAAAA==", "x-amz-checksum-crc32c", "AAAAAA=="}},
		"too much":                          {strings.NewReader("half"), "EntityTooLarge", []string{"Content-Length", "5368709121"}},
	} {
		a := r.stream("PUT /photos/x", c.body, c.headers...)
		if !strings.Contains(a.body, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	r.reads("/photos/x", "before")
	if n := r.blobs(); n != 1 {
		t.Errorf("%d blobs", n)
	}
}

// revoking takes a permission away while the body arrives.
type revoking struct {
	io.Reader
	revoke func()
}

func (b *revoking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.revoke()
	}
	return n, err
}

func TestPermissionIsAskedAgainBeforeTheCommit(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	w := r.as(r.user(account, "writer", all))
	a := w.stream("PUT /photos/x", &revoking{strings.NewReader("data"), func() { r.allow(w.who, nothing) }})
	if a.code != 403 {
		t.Errorf("a body was stored for a caller whose permission was gone: %d %s", a.code, a.body)
	}
	guard := statement(`{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::photos/*"}`)
	a = r.stream("PUT /photos/x", &revoking{strings.NewReader("data"), func() { r.ok("PUT /photos?policy", guard) }})
	if a.code != 403 {
		t.Errorf("a body was stored against the bucket's policy: %d %s", a.code, a.body)
	}
	r.fails(404, "NoSuchKey", "GET /photos/x", "")
	if n := r.blobs(); n != 0 {
		t.Errorf("%d blobs", n)
	}
}

func TestContentIsSealedAtRest(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", strings.Repeat("very secret words ", 9999))
	found := 0
	err := filepath.Walk(r.db.Dir(), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "secret words") {
			t.Errorf("%s holds the content", path)
		}
		found++
		return err
	})
	if err != nil || found < 2 {
		t.Errorf("%d files, %v", found, err)
	}
}

func TestOverwrittenAndDeletedBodiesAreSwept(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", "1")
	r.ok("PUT /photos/x", "2")
	r.ok("PUT /photos/y", "3")
	r.ok("DELETE /photos/y", "")
	r.clock.Advance(time.Hour)
	old := time.Now().Add(-24 * time.Hour) // the sweep looks at the files' own times too
	if err := filepath.Walk(filepath.Join(r.db.Dir(), "blobs"), func(path string, _ os.FileInfo, err error) error {
		return errors.Join(err, os.Chtimes(path, old, old))
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.db.Blobs().Sweep(t.Context()); err != nil || n != 2 {
		t.Errorf("%d swept, %v", n, err)
	}
	r.reads("/photos/x", "2")
}

func TestCopy(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.bucket("copies")
	r.ok("PUT /photos/a%20b", "hello", "Content-Type", "text/x", "x-amz-meta-m", "1", "x-amz-tagging", "k=v", "x-amz-storage-class", "STANDARD_IA")
	a := r.ok("PUT /copies/c", "", "x-amz-copy-source", "/photos/a%20b")
	if !strings.Contains(a.body, "5d41402abc4b2a76b9719d911017c592") {
		t.Errorf("%s", a.body)
	}
	h := r.ok("HEAD /copies/c", "").header
	if h.Get("Content-Type") != "text/x" || h["x-amz-meta-m"][0] != "1" || h.Get("x-amz-tagging-count") != "1" || h.Get("x-amz-storage-class") != "" {
		t.Errorf("%v", h)
	}
	r.ok("PUT /copies/c", "", "x-amz-copy-source", "copies/c", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-n", "2", "x-amz-tagging-directive", "REPLACE")
	h = r.ok("HEAD /copies/c", "").header
	if h.Get("Content-Type") != "binary/octet-stream" || h["x-amz-meta-m"] != nil || h["x-amz-meta-n"][0] != "2" || h.Get("x-amz-tagging-count") != "" {
		t.Errorf("%v", h)
	}
	r.fails(400, "InvalidRequest", "PUT /copies/c", "", "x-amz-copy-source", "copies/c")
	r.fails(404, "NoSuchKey", "PUT /copies/c", "", "x-amz-copy-source", "photos/none")
	r.fails(404, "NoSuchBucket", "PUT /copies/c", "", "x-amz-copy-source", "nowhere/none")
	r.fails(400, "InvalidArgument", "PUT /copies/c", "", "x-amz-copy-source", "photos")
	r.fails(412, "PreconditionFailed", "PUT /copies/d", "", "x-amz-copy-source", "photos/a%20b", "x-amz-copy-source-if-match", `"no"`)
	r.fails(412, "PreconditionFailed", "PUT /copies/d", "", "x-amz-copy-source", "photos/a%20b", "x-amz-copy-source-if-none-match", `"5d41402abc4b2a76b9719d911017c592"`)
	sum := md5.Sum([]byte("hello"))
	r.ok("PUT /copies/d", "", "x-amz-copy-source", "photos/a%20b", "x-amz-copy-source-if-match", hex.EncodeToString(sum[:]))
	r.reads("/copies/d", "hello")
}

func TestObjectTags(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	const tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
	r.fails(404, "NoSuchKey", "PUT /photos/x?tagging", tags)
	r.ok("PUT /photos/x", "y")
	r.ok("PUT /photos/x?tagging", tags)
	if a := r.ok("GET /photos/x?tagging", ""); !strings.Contains(a.body, "<Key>k</Key><Value>v</Value>") {
		t.Errorf("%s", a.body)
	}
	many := strings.Replace(tags, "<Tag>", strings.Repeat("<Tag><Key>k</Key><Value>v</Value></Tag>", 10)+"<Tag>", 1)
	r.fails(400, "BadRequest", "PUT /photos/x?tagging", many)
	r.ok("DELETE /photos/x?tagging", "")
	if a := r.ok("GET /photos/x?tagging", ""); strings.Contains(a.body, "<Tag>") {
		t.Errorf("%s", a.body)
	}
	r.reads("/photos/x", "y")
}
