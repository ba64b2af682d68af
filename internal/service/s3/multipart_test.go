package s3

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/checksum"
)

var uploadID = regexp.MustCompile(`<UploadId>([^<]+)</UploadId>`)

func (r *rig) begin(path string, headers ...string) string {
	r.Helper()
	a := r.ok("POST "+path+"?uploads", "", headers...)
	return uploadID.FindStringSubmatch(a.body)[1]
}

func completion(parts ...any) string {
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		fmt.Fprintf(&b, "<Part><PartNumber>%v</PartNumber><ETag>%v</ETag></Part>", parts[i], parts[i+1])
	}
	return "<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>"
}

func digest(algorithm, data string) string {
	h := checksum.New(checksum.Prefix + strings.ToLower(algorithm))
	h.Write([]byte(data))
	return checksum.Text(h)
}

func TestMultipart(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	id := r.begin("/photos/big", "Content-Type", "text/x", "x-amz-meta-m", "1", "x-amz-tagging", "k=v")
	one, two, tail := strings.Repeat("1", minPart), strings.Repeat("2", minPart+77), "tail"
	put := func(n int, body string) string {
		return r.ok(fmt.Sprintf("PUT /photos/big?partNumber=%d&uploadId=%s", n, id), body).header.Get("ETag")
	}
	put(2, "replaced")
	e1, e2, e7 := put(1, one), put(2, two), put(7, tail)
	put(9, "left out")
	complete := "POST /photos/big?uploadId=" + id
	r.fails(400, "InvalidPartOrder", complete, completion(2, e2, 1, e1))
	r.fails(400, "InvalidPartOrder", complete, completion(1, e1, 1, e1))
	r.fails(400, "InvalidPart", complete, completion(1, e2, 2, e1))
	r.fails(400, "InvalidPart", complete, completion(1, e1, 3, e2))
	r.fails(400, "EntityTooSmall", complete, completion(1, e1, 7, e7, 9, put(9, "left out")))
	r.fails(400, "MalformedXML", complete, completion())
	r.fails(400, "InvalidRequest", complete, completion(1, e1, 2, e2, 7, e7), "x-amz-mp-object-size", "1")
	r.fails(400, "BadDigest", complete, completion(1, e1, 2, e2, 7, e7), "x-amz-checksum-crc64nvme", digest("crc64nvme", "other"))
	r.fails(404, "NoSuchKey", "GET /photos/big", "")
	whole := one + two + tail
	a := r.ok(complete, completion(1, e1, 2, e2, 7, e7), "x-amz-checksum-crc64nvme", digest("crc64nvme", whole))
	var sums []byte
	for _, p := range []string{one, two, tail} {
		s := md5.Sum([]byte(p))
		sums = append(sums, s[:]...)
	}
	all := md5.Sum(sums)
	if want := hex.EncodeToString(all[:]) + "-3"; !strings.Contains(a.body, want) || !strings.Contains(a.body, "<Location>http://localhost:4566/photos/big</Location>") {
		t.Errorf("%s; want %s", a.body, want)
	}
	r.reads("/photos/big", whole)
	r.fails(404, "NoSuchUpload", complete, completion(1, e1, 2, e2, 7, e7))
	h := r.ok("HEAD /photos/big", "", "x-amz-checksum-mode", "ENABLED").header
	if h.Get("x-amz-checksum-crc64nvme") != digest("crc64nvme", whole) || h.Get("x-amz-checksum-type") != "FULL_OBJECT" || h.Get("Content-Type") != "text/x" ||
		h["x-amz-meta-m"][0] != "1" || h.Get("x-amz-tagging-count") != "1" {
		t.Errorf("%v", h)
	}
	g := r.ok("GET /photos/big?partNumber=2", "")
	if g.body != two || g.header.Get("x-amz-mp-parts-count") != "3" {
		t.Errorf("%d bytes, %v", len(g.body), g.header)
	}
	g = r.ok("GET /photos/big", "", "Range", fmt.Sprintf("bytes=%d-%d", minPart-2, len(whole)-3))
	if g.body != whole[minPart-2:len(whole)-2] {
		t.Errorf("%d bytes", len(g.body))
	}
	a = r.ok("GET /photos/big?attributes", "", "x-amz-object-attributes", "ETag,ObjectParts,ObjectSize", "x-amz-max-parts", "2")
	if !strings.Contains(a.body, "<PartsCount>3</PartsCount>") || !strings.Contains(a.body, "<IsTruncated>true</IsTruncated>") {
		t.Errorf("%s", a.body)
	}
	r.ok("PUT /photos/copy", "", "x-amz-copy-source", "photos/big")
	r.reads("/photos/copy", whole)
	r.ok("DELETE /photos/big", "")
	r.ok("DELETE /photos/copy", "")
	r.ok("DELETE /photos", "")
}

func TestChecksumsOfUploads(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	one, two := strings.Repeat("x", minPart), "two"
	for _, c := range []struct {
		algorithm, kind, want string
	}{
		{"CRC32", "", "COMPOSITE"}, {"SHA256", "COMPOSITE", "COMPOSITE"}, {"SHA1", "", "COMPOSITE"},
		{"CRC32", "FULL_OBJECT", "FULL_OBJECT"}, {"CRC32C", "FULL_OBJECT", "FULL_OBJECT"}, {"CRC64NVME", "", "FULL_OBJECT"},
	} {
		headers := []string{"x-amz-checksum-algorithm", c.algorithm}
		if c.kind != "" {
			headers = append(headers, "x-amz-checksum-type", c.kind)
		}
		id, low := r.begin("/photos/x", headers...), strings.ToLower(c.algorithm)
		var parts strings.Builder
		for i, p := range []string{one, two} {
			a := r.ok(fmt.Sprintf("PUT /photos/x?partNumber=%d&uploadId=%s", i+1, id), p, "x-amz-checksum-"+low, digest(c.algorithm, p))
			fmt.Fprintf(&parts, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Checksum%s>%s</Checksum%[3]s></Part>", i+1, a.header.Get("ETag"), c.algorithm, digest(c.algorithm, p))
		}
		if c.want == composite {
			bare := regexp.MustCompile(`<Checksum.*?</Checksum[A-Z0-9]*>`).ReplaceAllString(parts.String(), "")
			r.fails(400, "InvalidRequest", "POST /photos/x?uploadId="+id, "<CompleteMultipartUpload>"+bare+"</CompleteMultipartUpload>")
		}
		wrong := strings.Replace(parts.String(), digest(c.algorithm, two), digest(c.algorithm, one), 1)
		r.fails(400, "InvalidPart", "POST /photos/x?uploadId="+id, "<CompleteMultipartUpload>"+wrong+"</CompleteMultipartUpload>")
		r.ok("POST /photos/x?uploadId="+id, "<CompleteMultipartUpload>"+parts.String()+"</CompleteMultipartUpload>")
		h := r.ok("HEAD /photos/x", "", "x-amz-checksum-mode", "ENABLED").header
		got := h.Get("x-amz-checksum-" + low)
		if c.want == fullObject && got != digest(c.algorithm, one+two) || c.want == composite && !strings.HasSuffix(got, "-2") || h.Get("x-amz-checksum-type") != c.want {
			t.Errorf("%+v: %s, %s", c, got, h.Get("x-amz-checksum-type"))
		}
	}
	if crc32.ChecksumIEEE([]byte(one)) == 0 {
		t.Error("a sum of zero would prove nothing")
	}
	r.fails(400, "InvalidRequest", "POST /photos/x?uploads", "", "x-amz-checksum-algorithm", "SHA256", "x-amz-checksum-type", "FULL_OBJECT")
	r.fails(400, "InvalidRequest", "POST /photos/x?uploads", "", "x-amz-checksum-algorithm", "CRC64NVME", "x-amz-checksum-type", "COMPOSITE")
	r.fails(400, "InvalidRequest", "POST /photos/x?uploads", "", "x-amz-checksum-type", "COMPOSITE")
	id := r.begin("/photos/x", "x-amz-checksum-algorithm", "SHA256")
	r.fails(400, "InvalidRequest", "PUT /photos/x?partNumber=1&uploadId="+id, two, "x-amz-checksum-crc32", digest("CRC32", two))
}

func TestUploadsInProgress(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	a, b, c := r.begin("/photos/dir/a"), r.begin("/photos/dir/b"), r.begin("/photos/top")
	list := r.ok("GET /photos?uploads&delimiter=/", "")
	if !strings.Contains(list.body, "<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>") || strings.Count(list.body, "<Upload>") != 1 {
		t.Errorf("%s", list.body)
	}
	first := r.ok("GET /photos?uploads&max-uploads=1", "")
	if !strings.Contains(first.body, "<UploadId>"+a) || !strings.Contains(first.body, "<IsTruncated>true</IsTruncated>") {
		t.Errorf("%s", first.body)
	}
	rest := r.ok("GET /photos?uploads&key-marker=dir/a&upload-id-marker="+a, "")
	if strings.Contains(rest.body, "<UploadId>"+a) || !strings.Contains(rest.body, "<UploadId>"+b) || !strings.Contains(rest.body, "<UploadId>"+c) {
		t.Errorf("%s", rest.body)
	}
	r.ok("PUT /photos/top?partNumber=3&uploadId="+c, "three")
	r.ok("PUT /photos/top?partNumber=5&uploadId="+c, "five")
	parts := r.ok("GET /photos/top?uploadId="+c+"&max-parts=1", "")
	if !strings.Contains(parts.body, "<NextPartNumberMarker>3</NextPartNumberMarker>") || !strings.Contains(parts.body, "<IsTruncated>true</IsTruncated>") {
		t.Errorf("%s", parts.body)
	}
	parts = r.ok("GET /photos/top?uploadId="+c+"&part-number-marker=3", "")
	if !strings.Contains(parts.body, "<PartNumber>5</PartNumber>") || strings.Contains(parts.body, "<PartNumber>3</PartNumber>") {
		t.Errorf("%s", parts.body)
	}
	r.ok("DELETE /photos/top?uploadId="+c, "")
	r.fails(404, "NoSuchUpload", "DELETE /photos/top?uploadId="+c, "")
	r.fails(404, "NoSuchUpload", "PUT /photos/top?partNumber=3&uploadId="+c, "three")
	r.fails(404, "NoSuchUpload", "PUT /photos/other?partNumber=1&uploadId="+a, "three")
	r.fails(400, "InvalidArgument", "PUT /photos/dir/a?partNumber=10001&uploadId="+a, "")
}

func TestUploadPartCopy(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	data := strings.Repeat("0123456789", minPart/10+1)
	r.ok("PUT /photos/source", data)
	id := r.begin("/photos/x")
	part := func(n int, span string) string {
		a := r.ok(fmt.Sprintf("PUT /photos/x?partNumber=%d&uploadId=%s", n, id), "", "x-amz-copy-source", "photos/source", "x-amz-copy-source-range", span)
		return regexp.MustCompile(`[0-9a-f]{32}`).FindString(a.body)
	}
	e1, e2 := part(1, fmt.Sprintf("bytes=0-%d", minPart-1)), part(2, "bytes=5-9")
	line := "PUT /photos/x?partNumber=3&uploadId=" + id
	r.fails(400, "InvalidArgument", line, "", "x-amz-copy-source", "photos/source", "x-amz-copy-source-range", "bytes=5-")
	r.fails(400, "InvalidArgument", line, "", "x-amz-copy-source", "photos/source", "x-amz-copy-source-range", fmt.Sprintf("bytes=0-%d", len(data)))
	r.ok("POST /photos/x?uploadId="+id, completion(1, e1, 2, e2))
	r.reads("/photos/x", data[:minPart]+"56789")
}
