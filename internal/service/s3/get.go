package s3

import (
	"strconv"
	"strings"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// The needs of reading an object: the action itself, and two that only decide what is told.
const (
	mayRead = iota
	mayList // a missing object is told
	mayTags // the number of tags is told
)

func (p *place) reading(action, key string, version *string) []gate.Need {
	tags := p.on(versioned("GetObjectTagging", version), key, version)
	tags.Optional = true
	return []gate.Need{p.on(versioned(action, version), key, version), p.list(), tags}
}

func (s *Service) needGet(a *gate.Ask, in *api.GetObjectInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return p.reading("GetObject", in.Key, in.VersionId), nil
}

func (s *Service) needHead(a *gate.Ask, in *api.HeadObjectInput) ([]gate.Need, error) {
	return s.needGet(a, (*api.GetObjectInput)(in))
}

// found is a version that a request names, with what is needed to send it.
type found struct {
	*bucket
	*object
	parts  []part
	pieces []piece
}

// find reads the version that a request names; a missing one and a delete marker are errors.
func (s *Service) find(c *gate.Call, bucketName, key string, version *string, content bool) (*found, error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	f := &found{}
	err := c.View(func(tx *store.Tx) error {
		var err error
		if f.bucket, err = s.t.bucket(tx, bucketName); err != nil {
			return err
		}
		if f.object, err = s.t.version(tx, f.bucket, key, version); err != nil || f.object == nil || f.Marker {
			return err
		}
		if f.PartsID != "" {
			if f.parts, err = s.partsOf(tx, f.bucket, f.object); err != nil {
				return err
			}
		}
		if content {
			f.pieces, err = s.pieces(tx, f.bucket, f.object)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, f.missing(c, key, version)
}

// missing is nil for a version with content, and otherwise what a caller learns of it.
func (f *found) missing(c *gate.Call, key string, version *string) error {
	if f.object != nil && !f.Marker {
		return nil
	}
	if err := c.Refusal(mayList); err != nil {
		return err
	}
	switch {
	case f.object == nil && version != nil:
		return noSuchVersion(key, *version)
	case f.object == nil:
		return noSuchKey(key)
	}
	e := noSuchKey(key)
	if version != nil {
		e = fail("MethodNotAllowed", 405, "The specified method is not allowed against this resource.", "Method", "GET", "ResourceType", "DeleteMarker")
		e.Header = map[string]string{"Allow": "DELETE", "Last-Modified": f.Modified.UTC().Format(httpTime)}
	} else {
		e.Header = map[string]string{}
	}
	e.Header["x-amz-delete-marker"] = "true"
	e.Header["x-amz-version-id"] = f.id()
	return e
}

func checkVersion(version *string) error {
	if version == nil || *version == nullVersion {
		return nil
	}
	if *version == "" {
		return invalidArgument("Version id cannot be the empty string", "versionId", "")
	}
	if len(*version) != versionIDLen || strings.Trim(*version, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return invalidArgument("Invalid version id specified", "versionId", *version)
	}
	return nil
}

// conditions are those under which an object is read.
type conditions struct {
	match, noneMatch     *string
	modified, unmodified *time.Time
	prefix               string // of the header's names, for messages: "x-amz-copy-source-"
}

// check follows RFC 9110, section 13.2.2: an entity tag decides before a date does.
func (k conditions) check(o *object) error {
	at := o.Modified.Truncate(time.Second)
	if k.match != nil {
		if !matches(*k.match, o.ETag) {
			return preconditionFailed(k.prefix + "If-Match")
		}
	} else if k.unmodified != nil && at.After(*k.unmodified) {
		return preconditionFailed(k.prefix + "If-Unmodified-Since")
	}
	unchanged, name := false, ""
	if k.noneMatch != nil {
		unchanged, name = matches(*k.noneMatch, o.ETag), "If-None-Match"
	} else if k.modified != nil {
		unchanged, name = !at.After(*k.modified), "If-Modified-Since"
	}
	switch {
	case !unchanged:
		return nil
	case k.prefix != "":
		return preconditionFailed(k.prefix + name)
	}
	e := fail("NotModified", 304, "Not Modified")
	e.Header = map[string]string{"ETag": quoted(o.ETag), "Last-Modified": o.Modified.UTC().Format(httpTime)}
	if o.Headers.CacheControl != "" {
		e.Header["Cache-Control"] = o.Headers.CacheControl
	}
	return e
}

// span is the part of an object that is sent.
type span struct {
	off, n int64
	some   bool // the answer is a partial one
}

// span finds what a Range or a part number asks for.
func (f *found) span(header *string, number *int32) (span, error) {
	whole := span{n: f.object.Size}
	if number != nil {
		if header != nil {
			return whole, invalidRequest("Cannot specify both Range header and partNumber query parameter")
		}
		return f.part(*number)
	}
	if header == nil {
		return whole, nil
	}
	return rangeOf(*header, f.object.Size)
}

func (f *found) part(number int32) (span, error) {
	if number < 1 || number > maxParts {
		return span{}, invalidArgument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", strconv.Itoa(int(number)))
	}
	if len(f.parts) == 0 && number == 1 {
		return span{n: f.object.Size, some: f.object.Size > 0}, nil
	}
	if int(number) > len(f.parts) {
		return span{}, fail("InvalidPartNumber", 416, "The requested partnumber is not satisfiable",
			"PartNumberRequested", strconv.Itoa(int(number)), "ActualPartCount", strconv.Itoa(max(len(f.parts), 1)))
	}
	var at span
	for _, p := range f.parts[:number-1] {
		at.off += p.Body.Size
	}
	at.n, at.some = f.parts[number-1].Body.Size, true
	return at, nil
}

// rangeOf reads one range of bytes; several ranges and what is none are ignored, as S3 does.
func rangeOf(header string, size int64) (span, error) {
	whole := span{n: size}
	spec, ok := strings.CutPrefix(header, "bytes=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return whole, nil
	}
	bad := fail("InvalidRange", 416, "The requested range is not satisfiable",
		"RangeRequested", header, "ActualObjectSize", strconv.FormatInt(size, 10))
	bad.Header = map[string]string{"Content-Range": "bytes */" + strconv.FormatInt(size, 10)}
	last, lok := digits(to)
	if from == "" {
		if !lok {
			return whole, nil
		}
		if last == 0 || size == 0 {
			return whole, bad
		}
		n := min(last, size)
		return span{size - n, n, true}, nil
	}
	start, sok := digits(from)
	switch {
	case !sok, to != "" && (!lok || last < start):
		return whole, nil
	case start >= size:
		return whole, bad
	case to == "":
		last = size - 1
	}
	return span{start, min(last, size-1) - start + 1, true}, nil
}

func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true // beyond any object
	}
	return n, true
}

func readConditions(in *api.GetObjectInput) conditions {
	return conditions{match: in.IfMatch, noneMatch: in.IfNoneMatch, modified: in.IfModifiedSince, unmodified: in.IfUnmodifiedSince}
}

// answer is everything of GetObject but the content, which HeadObject gives alone.
func (s *Service) answer(c *gate.Call, in *api.GetObjectInput, content bool) (*found, span, *api.GetObjectOutput, error) {
	if given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5) {
		return nil, span{}, nil, notBuilt("x-amz-server-side-encryption-customer-algorithm")
	}
	if err := mayOverride(c, in); err != nil {
		return nil, span{}, nil, err
	}
	f, err := s.find(c, in.Bucket, in.Key, in.VersionId, content)
	if err != nil {
		return nil, span{}, nil, err
	}
	if err := readConditions(in).check(f.object); err != nil {
		return nil, span{}, nil, err
	}
	at, err := f.span(in.Range, in.PartNumber)
	if err != nil {
		return nil, span{}, nil, err
	}
	out := f.out()
	out.ContentLength = &at.n
	if at.some {
		out.ContentRange = new("bytes " + strconv.FormatInt(at.off, 10) + "-" + strconv.FormatInt(at.off+at.n-1, 10) + "/" + strconv.FormatInt(f.object.Size, 10))
	}
	if in.PartNumber != nil && len(f.parts) > 0 {
		out.PartsCount = new(int32(len(f.parts)))
	}
	if wire.Val(in.ChecksumMode) == "ENABLED" && !at.some && f.Sum.Value != "" {
		carry(f.Sum, &out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256)
		out.ChecksumType = &f.Sum.Type
	}
	if len(f.object.Tags) > 0 && c.Refusal(mayTags) == nil {
		out.TagCount = new(int32(len(f.object.Tags)))
	}
	override(in, out)
	return f, at, out, nil
}

func (f *found) out() *api.GetObjectOutput {
	h := f.Headers
	modified := f.Modified.Truncate(time.Second)
	out := &api.GetObjectOutput{AcceptRanges: new("bytes"), LastModified: &modified, ETag: new(quoted(f.ETag)), VersionId: f.shown(f.object),
		ContentType: optional(h.ContentType), CacheControl: optional(h.CacheControl), ContentDisposition: optional(h.ContentDisposition),
		ContentEncoding: optional(h.ContentEncoding), ContentLanguage: optional(h.ContentLanguage), Expires: optional(h.Expires),
		Metadata: h.Meta, ServerSideEncryption: new(aes256), StorageClass: optional(h.StorageClass)}
	if out.ContentType == nil {
		out.ContentType = new(usualType)
	}
	return out
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// mayOverride: whoever signed may choose headers of the answer, which a stranger must not.
func mayOverride(c *gate.Call, in *api.GetObjectInput) error {
	if anonymous(c.Principal()) && (in.ResponseExpires != nil || given(in.ResponseCacheControl, in.ResponseContentDisposition,
		in.ResponseContentEncoding, in.ResponseContentLanguage, in.ResponseContentType)) {
		return invalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
	}
	return nil
}

func override(in *api.GetObjectInput, out *api.GetObjectOutput) {
	for _, o := range []struct {
		from *string
		to   **string
	}{{in.ResponseCacheControl, &out.CacheControl}, {in.ResponseContentDisposition, &out.ContentDisposition}, {in.ResponseContentEncoding, &out.ContentEncoding},
		{in.ResponseContentLanguage, &out.ContentLanguage}, {in.ResponseContentType, &out.ContentType}} {
		if o.from != nil {
			*o.to = o.from
		}
	}
	if in.ResponseExpires != nil {
		out.Expires = new(in.ResponseExpires.UTC().Format(httpTime))
	}
}

func (s *Service) getObject(c *gate.Call, in *api.GetObjectInput) (*api.GetObjectOutput, error) {
	f, at, out, err := s.answer(c, in, true)
	if err != nil {
		return nil, err
	}
	out.Body, err = s.open(f.pieces, at.off, at.n)
	return out, err
}

func (s *Service) headObject(c *gate.Call, in *api.HeadObjectInput) (*api.HeadObjectOutput, error) {
	_, _, o, err := s.answer(c, (*api.GetObjectInput)(in), false)
	if err != nil {
		return nil, err
	}
	return &api.HeadObjectOutput{AcceptRanges: o.AcceptRanges, LastModified: o.LastModified, ContentLength: o.ContentLength, ETag: o.ETag,
		ChecksumCRC32: o.ChecksumCRC32, ChecksumCRC32C: o.ChecksumCRC32C, ChecksumCRC64NVME: o.ChecksumCRC64NVME, ChecksumSHA1: o.ChecksumSHA1,
		ChecksumSHA256: o.ChecksumSHA256, ChecksumType: o.ChecksumType, VersionId: o.VersionId, CacheControl: o.CacheControl,
		ContentDisposition: o.ContentDisposition, ContentEncoding: o.ContentEncoding, ContentLanguage: o.ContentLanguage, ContentRange: o.ContentRange,
		ContentType: o.ContentType, Expires: o.Expires, ServerSideEncryption: o.ServerSideEncryption, Metadata: o.Metadata,
		StorageClass: o.StorageClass, PartsCount: o.PartsCount, TagCount: o.TagCount}, nil
}
