package s3

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// source is what x-amz-copy-source names.
type source struct {
	bucket, key string
	version     *string
}

// parseSource reads "bucket/key?versionId=id", percent-encoded, with or without a slash before.
func parseSource(text string) (source, error) {
	bad := invalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", text)
	if strings.HasPrefix(text, "arn:") {
		return source{}, notBuilt("x-amz-copy-source with an access point")
	}
	var src source
	path, query, _ := strings.Cut(text, "?")
	if query != "" {
		id, ok := strings.CutPrefix(query, "versionId=")
		if !ok {
			return src, bad
		}
		src.version = &id
	}
	path, err := url.PathUnescape(path)
	if err != nil || !utf8.ValidString(path) {
		return src, bad
	}
	src.bucket, src.key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if src.bucket == "" || src.key == "" {
		return src, bad
	}
	return src, nil
}

const replace = "REPLACE"

func copyWishes(in *api.CopyObjectInput) wishes {
	return wishes{acl: in.ACL, storageClass: in.StorageClass, sse: in.ServerSideEncryption, website: in.WebsiteRedirectLocation, tagging: in.Tagging,
		grants: given(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP),
		kms:    given(in.SSEKMSKeyId, in.SSEKMSEncryptionContext) || wire.Val(in.BucketKeyEnabled),
		customerKey: given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, in.CopySourceSSECustomerAlgorithm,
			in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5),
		lock: given(in.ObjectLockMode, in.ObjectLockLegalHoldStatus) || in.ObjectLockRetainUntilDate != nil}
}

// needCopy wants to read the source and to write the target, and the same of tags that go along.
func (s *Service) needCopy(a *gate.Ask, in *api.CopyObjectInput) ([]gate.Need, error) {
	src, err := parseSource(in.CopySource)
	if err != nil {
		return nil, err
	}
	from, err := s.anywhere(a, src.bucket, in.ExpectedSourceBucketOwner)
	if err != nil {
		return nil, err
	}
	to, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	needs := from.reading("GetObject", src.key, src.version)
	tags, err := headerTags(in.Tagging)
	if err != nil {
		return nil, err
	}
	if wire.Val(in.TaggingDirective) != replace {
		if tags, err = from.tags(src); err != nil {
			return nil, err
		}
		needs[mayTags].Optional = len(tags) == 0
	}
	write := to.write(in.Key, copyWishes(in), tags, in.IfMatch)
	for i := range write {
		write[i].Keys = set(write[i].Keys, "s3:x-amz-copy-source", new(src.bucket+"/"+src.key))
		write[i].Keys = set(write[i].Keys, "s3:x-amz-metadata-directive", in.MetadataDirective)
	}
	return append(needs, write...), nil
}

// tags are those of the source.
func (p *place) tags(src source) (tags []api.Tag, err error) {
	err = p.a.View(func(tx *store.Tx) error {
		o, err := p.s.t.version(tx, p.bucket, src.key, src.version)
		if err == nil && o != nil {
			tags = o.Tags
		}
		return err
	})
	return tags, err
}

// copyObject reads the source as it is now and writes it anew, in one piece.
func (s *Service) copyObject(c *gate.Call, in *api.CopyObjectInput) (*api.CopyObjectOutput, error) {
	src, err := parseSource(in.CopySource)
	if err != nil {
		return nil, err
	}
	if err := checkCopy(in, src); err != nil {
		return nil, err
	}
	f, err := s.source(c, src, conditions{match: in.CopySourceIfMatch, noneMatch: in.CopySourceIfNoneMatch,
		modified: in.CopySourceIfModifiedSince, unmodified: in.CopySourceIfUnmodifiedSince, prefix: "x-amz-copy-source-"})
	if err != nil {
		return nil, err
	}
	if f.object.Size > maxSingle {
		return nil, invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: " + strconv.Itoa(maxSingle))
	}
	o, want, err := copied(c, in, f)
	if err != nil {
		return nil, err
	}
	t, err := s.duplicate(c, f, span{n: f.object.Size}, want)
	if err != nil {
		return nil, err
	}
	o.Size, o.ETag, o.Sum = t.size, t.etag, t.sum
	id := s.ids.Lower(versionIDLen)
	out, err := gate.Commit(c, func(tx *store.Tx) (*api.CopyObjectOutput, error) {
		o := *o
		b, err := s.place(tx, in.Bucket, &o, t, id, in.IfMatch, in.IfNoneMatch)
		if err != nil {
			return nil, err
		}
		r := &api.CopyObjectResult{ETag: new(quoted(o.ETag)), LastModified: &o.Modified, ChecksumType: &o.Sum.Type}
		carry(o.Sum, &r.ChecksumCRC32, &r.ChecksumCRC32C, &r.ChecksumCRC64NVME, &r.ChecksumSHA1, &r.ChecksumSHA256)
		return &api.CopyObjectOutput{CopyObjectResult: r, VersionId: b.shown(&o), CopySourceVersionId: f.shown(f.object), ServerSideEncryption: new(aes256)}, nil
	})
	return out, s.discard(t, err)
}

func checkCopy(in *api.CopyObjectInput, src source) error {
	if err := checkKey(in.Key); err != nil {
		return err
	}
	if err := copyWishes(in).check(); err != nil {
		return err
	}
	for name, d := range map[string]*string{"x-amz-metadata-directive": in.MetadataDirective, "x-amz-tagging-directive": in.TaggingDirective} {
		if d != nil && *d != "COPY" && *d != replace {
			return invalidArgument("Unknown directive.", name, *d)
		}
	}
	if src.bucket == in.Bucket && src.key == in.Key && src.version == nil && wire.Val(in.MetadataDirective) != replace &&
		!given(in.StorageClass, in.ServerSideEncryption, in.ChecksumAlgorithm) && wire.Val(in.TaggingDirective) != replace {
		return invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, " +
			"storage class, website redirect location or encryption attributes.")
	}
	return nil
}

// source finds what a copy reads.
func (s *Service) source(c *gate.Call, src source, when conditions) (*found, error) {
	f, err := s.find(c, src.bucket, src.key, src.version, true)
	if err != nil {
		if f != nil && f.object != nil && src.version != nil && c.Refusal(mayList) == nil {
			return nil, invalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
		}
		return nil, err
	}
	return f, when.check(f.object)
}

// copied is the new object, but for its content.
func copied(c *gate.Call, in *api.CopyObjectInput, f *found) (*object, declared, error) {
	o := &object{Key: in.Key, Modified: c.Now(), Headers: f.Headers, Tags: f.object.Tags}
	want := declared{algorithm: f.Sum.Algorithm}
	if in.ChecksumAlgorithm != nil {
		var err error
		if want.algorithm, err = algorithm(in.ChecksumAlgorithm); err != nil {
			return nil, want, err
		}
	}
	if wire.Val(in.TaggingDirective) == replace {
		tags, err := headerTags(in.Tagging)
		if err != nil {
			return nil, want, err
		}
		o.Tags = tags
	}
	if wire.Val(in.MetadataDirective) == replace {
		o.Headers = headers{ContentType: wire.Val(in.ContentType), CacheControl: wire.Val(in.CacheControl), ContentDisposition: wire.Val(in.ContentDisposition),
			ContentEncoding: wire.Val(in.ContentEncoding), ContentLanguage: wire.Val(in.ContentLanguage), Expires: wire.Val(in.Expires), Meta: in.Metadata}
	}
	o.Headers.StorageClass = class(in.StorageClass) // never the source's
	return o, want, o.Headers.check()
}

// duplicate streams a part of an object into a new body.
func (s *Service) duplicate(c *gate.Call, f *found, at span, want declared) (*taken, error) {
	r, err := s.open(f.pieces, at.off, at.n)
	if err != nil {
		return nil, err
	}
	t, err := s.take(c.Context(), r, want)
	if cerr := r.Close(); err == nil && cerr != nil {
		return nil, s.discard(t, cerr)
	}
	return t, err
}

// place records an object with a body that has arrived as the newest version of its key.
func (s *Service) place(tx *store.Tx, name string, o *object, t *taken, id string, ifMatch, ifNoneMatch *string) (*bucket, error) {
	b, err := s.t.bucket(tx, name)
	if err != nil {
		return nil, err
	}
	if err := s.mayWrite(tx, b, o.Key, ifMatch, ifNoneMatch); err != nil {
		return nil, err
	}
	body, err := s.own(tx, b, t)
	if err != nil {
		return nil, err
	}
	o.Body = &body
	return b, s.add(tx, b, o, id)
}
