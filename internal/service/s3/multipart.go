package s3

import (
	"fmt"
	"strconv"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/s3/sums"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxParts = 10000

func createWishes(in *api.CreateMultipartUploadInput) wishes {
	return wishes{acl: in.ACL, storageClass: in.StorageClass, sse: in.ServerSideEncryption, website: in.WebsiteRedirectLocation, tagging: in.Tagging,
		grants:      given(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP),
		kms:         given(in.SSEKMSKeyId, in.SSEKMSEncryptionContext) || wire.Val(in.BucketKeyEnabled),
		customerKey: given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5),
		lock:        given(in.ObjectLockMode, in.ObjectLockLegalHoldStatus) || in.ObjectLockRetainUntilDate != nil}
}

func (s *Service) needCreateUpload(a *gate.Ask, in *api.CreateMultipartUploadInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	tags, err := headerTags(in.Tagging)
	if err != nil {
		return nil, err
	}
	return p.write(in.Key, createWishes(in), tags, nil), nil
}

func (s *Service) createUpload(c *gate.Call, in *api.CreateMultipartUploadInput) (*api.CreateMultipartUploadOutput, error) {
	if err := checkKey(in.Key); err != nil {
		return nil, err
	}
	if err := createWishes(in).check(); err != nil {
		return nil, err
	}
	tags, err := headerTags(in.Tagging)
	if err != nil {
		return nil, err
	}
	// Ids sort by time, as listings of uploads do.
	u := upload{Key: in.Key, ID: fmt.Sprintf("%012x", c.Now().UnixMilli()) + s.ids.Lower(52), Initiated: c.Now(), Initiator: c.Principal().ARN(), Tags: tags,
		Headers: headers{ContentType: wire.Val(in.ContentType), CacheControl: wire.Val(in.CacheControl), ContentDisposition: wire.Val(in.ContentDisposition),
			ContentEncoding: wire.Val(in.ContentEncoding), ContentLanguage: wire.Val(in.ContentLanguage), Expires: wire.Val(in.Expires),
			Meta: in.Metadata, StorageClass: class(in.StorageClass)}}
	if err := u.Headers.check(); err != nil {
		return nil, err
	}
	if err := u.sums(in.ChecksumAlgorithm, in.ChecksumType); err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateMultipartUploadOutput, error) {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return nil, err
		}
		u := u
		u.Bucket = b.ID
		out := &api.CreateMultipartUploadOutput{Bucket: &b.Name, Key: &u.Key, UploadId: &u.ID, ServerSideEncryption: new(aes256)}
		if u.Algorithm != "" {
			out.ChecksumAlgorithm, out.ChecksumType = &u.Algorithm, &u.Type
		}
		return out, s.t.uploads.Put(tx, b.rows().With(u.Key, u.ID), u)
	})
}

// sums sets which checksum the whole will have. Source: Amazon S3 User Guide, "Checking object
// integrity", the table of algorithms and types.
func (u *upload) sums(name, kind *string) error {
	u.Type = fullObject
	if name == nil {
		if kind != nil {
			return invalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return nil
	}
	var err error
	if u.Algorithm, err = algorithm(name); err != nil {
		return err
	}
	if u.Algorithm != defaultSum {
		u.Type = composite
	}
	if kind == nil {
		return nil
	}
	switch {
	case *kind != fullObject && *kind != composite:
		return invalidArgument("Value for x-amz-checksum-type header is invalid.", "x-amz-checksum-type", *kind)
	case *kind == composite && u.Algorithm == defaultSum, *kind == fullObject && !sums.Whole(u.Algorithm):
		return invalidRequest("The " + *kind + " checksum type cannot be used with the " + strings.ToLower(u.Algorithm) + " checksum algorithm.")
	}
	u.Type = *kind
	return nil
}

// upload is an upload in progress.
func (t *tables) upload(tx *store.Tx, b *bucket, key, id string) (*upload, error) {
	u, ok, err := t.uploads.Get(tx, b.rows().With(key, id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchUpload(id)
	}
	return &u, nil
}

func (s *Service) readUpload(c *gate.Call, name, key, id string) (u *upload, err error) {
	err = c.View(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, name)
		if err != nil {
			return err
		}
		u, err = s.t.upload(tx, b, key, id)
		return err
	})
	return u, err
}

func (s *Service) needUploadPart(a *gate.Ask, in *api.UploadPartInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return []gate.Need{p.on("PutObject", in.Key, nil)}, nil
}

func checkPart(number int32) error {
	if number < 1 || number > maxParts {
		return invalidArgument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", strconv.Itoa(int(number)))
	}
	return nil
}

func (s *Service) uploadPart(c *gate.Call, in *api.UploadPartInput) (*api.UploadPartOutput, error) {
	if err := checkPart(in.PartNumber); err != nil {
		return nil, err
	}
	if given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5) {
		return nil, notBuilt("x-amz-server-side-encryption-customer-algorithm")
	}
	want, err := sent{md5: in.ContentMD5, length: in.ContentLength, algorithm: in.ChecksumAlgorithm,
		sums: map[string]*string{"CRC32": in.ChecksumCRC32, "CRC32C": in.ChecksumCRC32C, "CRC64NVME": in.ChecksumCRC64NVME,
			"SHA1": in.ChecksumSHA1, "SHA256": in.ChecksumSHA256},
		others: given(in.ChecksumMD5, in.ChecksumSHA512, in.ChecksumXXHASH64, in.ChecksumXXHASH3, in.ChecksumXXHASH128)}.declare()
	if err != nil {
		return nil, err
	}
	u, err := s.readUpload(c, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	if u.Algorithm != "" && want.algorithm != "" && want.algorithm != u.Algorithm {
		return nil, invalidRequest("Checksum Type mismatch occurred, expected checksum Type: " + strings.ToLower(u.Algorithm) +
			", actual checksum Type: " + strings.ToLower(want.algorithm))
	}
	declared := want.sums[want.algorithm]
	shown := sum{Algorithm: want.algorithm, Value: declared}
	want.algorithm = u.Algorithm
	t, err := s.take(c.Context(), in.Body, want)
	if err != nil {
		return nil, err
	}
	if u.Algorithm != "" {
		shown = t.sum
	}
	out := &api.UploadPartOutput{ETag: new(quoted(t.etag)), ServerSideEncryption: new(aes256)}
	if shown.Value != "" {
		carry(shown, &out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256)
	}
	return out, s.discard(t, c.Update(func(tx *store.Tx) error {
		return s.addPart(tx, c, in.Bucket, in.Key, in.UploadId, in.PartNumber, t)
	}))
}

// addPart records a part; one of the same number goes.
func (s *Service) addPart(tx *store.Tx, c *gate.Call, name, key, id string, number int32, t *taken) error {
	b, err := s.t.bucket(tx, name)
	if err != nil {
		return err
	}
	if _, err := s.t.upload(tx, b, key, id); err != nil {
		return err
	}
	at := b.partKey(id, number)
	old, ok, err := s.t.parts.Get(tx, at)
	if err != nil {
		return err
	}
	if ok {
		if err := s.blobs.Drop(tx, old.Body.Blob.ID); err != nil {
			return err
		}
	}
	body, err := s.own(tx, b, t)
	if err != nil {
		return err
	}
	return s.t.parts.Put(tx, at, part{Number: number, Modified: c.Now(), ETag: t.etag, Sum: t.sum, Body: body})
}

func (s *Service) needUploadPartCopy(a *gate.Ask, in *api.UploadPartCopyInput) ([]gate.Need, error) {
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
	n := to.on("PutObject", in.Key, nil)
	n.Keys = set(nil, "s3:x-amz-copy-source", new(src.bucket+"/"+src.key))
	return append(from.reading("GetObject", src.key, src.version), n), nil
}

func (s *Service) uploadPartCopy(c *gate.Call, in *api.UploadPartCopyInput) (*api.UploadPartCopyOutput, error) {
	if err := checkPart(in.PartNumber); err != nil {
		return nil, err
	}
	if given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey,
		in.CopySourceSSECustomerKeyMD5) {
		return nil, notBuilt("x-amz-server-side-encryption-customer-algorithm")
	}
	src, err := parseSource(in.CopySource)
	if err != nil {
		return nil, err
	}
	u, err := s.readUpload(c, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	f, err := s.source(c, src, conditions{match: in.CopySourceIfMatch, noneMatch: in.CopySourceIfNoneMatch,
		modified: in.CopySourceIfModifiedSince, unmodified: in.CopySourceIfUnmodifiedSince, prefix: "x-amz-copy-source-"})
	if err != nil {
		return nil, err
	}
	at, err := copyRange(in.CopySourceRange, f.object.Size)
	if err != nil {
		return nil, err
	}
	t, err := s.duplicate(c, f, at, declared{algorithm: u.Algorithm})
	if err != nil {
		return nil, err
	}
	now := c.Now()
	r := &api.CopyPartResult{ETag: new(quoted(t.etag)), LastModified: &now}
	if u.Algorithm != "" {
		carry(t.sum, &r.ChecksumCRC32, &r.ChecksumCRC32C, &r.ChecksumCRC64NVME, &r.ChecksumSHA1, &r.ChecksumSHA256)
	}
	out := &api.UploadPartCopyOutput{CopyPartResult: r, CopySourceVersionId: f.shown(f.object), ServerSideEncryption: new(aes256)}
	return out, s.discard(t, c.Update(func(tx *store.Tx) error {
		return s.addPart(tx, c, in.Bucket, in.Key, in.UploadId, in.PartNumber, t)
	}))
}

// copyRange is strict where the Range of a read is not.
func copyRange(text *string, size int64) (span, error) {
	if text == nil {
		if size > maxSingle {
			return span{}, invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: " + strconv.Itoa(maxSingle))
		}
		return span{n: size}, nil
	}
	spec, ok := strings.CutPrefix(*text, "bytes=")
	from, to, dash := strings.Cut(spec, "-")
	a, aok := digits(from)
	z, zok := digits(to)
	switch {
	case !ok || !dash || !aok || !zok || z < a:
		return span{}, invalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based "+
			"offsets of the first and last bytes to copy", "x-amz-copy-source-range", *text)
	case z >= size:
		return span{}, invalidArgument("Range specified is not valid for source object of size: "+strconv.FormatInt(size, 10), "x-amz-copy-source-range", *text)
	case z-a+1 > maxSingle:
		return span{}, entityTooLarge()
	}
	return span{a, z - a + 1, true}, nil
}
