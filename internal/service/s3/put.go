package s3

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	maxKey       = 1024 // bytes of UTF-8
	maxMeta      = 2048 // bytes of all names and values
	fullObject   = "FULL_OBJECT"
	composite    = "COMPOSITE"
	aes256       = "AES256"
	standard     = "STANDARD"
	usualType    = "binary/octet-stream"
	versionIDLen = 32
)

func checkKey(key string) error {
	switch {
	case len(key) > maxKey:
		return fail("KeyTooLongError", 400, "Your key is too long", "Size", strconv.Itoa(len(key)), "MaxSizeAllowed", strconv.Itoa(maxKey))
	case key == "" || !utf8.ValidString(key):
		return fail("InvalidURI", 400, "Couldn't parse the specified URI.")
	}
	return nil
}

// wishes are what a request that makes an object may ask for beyond its content.
type wishes struct {
	acl, storageClass, sse, website, tagging *string
	grants, kms, customerKey, lock           bool
}

func given(ps ...*string) bool {
	for _, p := range ps {
		if p != nil {
			return true
		}
	}
	return false
}

// classes are the storage classes whose objects are there at once. They make no difference here
// and are kept, because clients read them.
var classes = map[string]bool{standard: true, "REDUCED_REDUNDANCY": true, "STANDARD_IA": true, "ONEZONE_IA": true,
	"INTELLIGENT_TIERING": true, "GLACIER_IR": true}

// check refuses what is not built, so that nothing that a client asked for is left out silently.
func (w wishes) check() error {
	switch {
	case w.customerKey:
		return notBuilt("x-amz-server-side-encryption-customer-algorithm")
	case w.kms || w.sse != nil && strings.HasPrefix(*w.sse, "aws:"):
		return notBuilt("x-amz-server-side-encryption: aws:kms")
	case w.sse != nil && *w.sse != aes256:
		return invalidArgument("The encryption method specified is not supported", "x-amz-server-side-encryption", *w.sse)
	case w.lock:
		return invalidRequest("Bucket is missing Object Lock Configuration")
	case w.website != nil:
		return notBuilt("x-amz-website-redirect-location")
	case w.grants || w.acl != nil && *w.acl != "private" && *w.acl != "bucket-owner-full-control":
		return noACL()
	case w.storageClass != nil && !classes[*w.storageClass]:
		switch *w.storageClass {
		case "GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE":
			return notBuilt("x-amz-storage-class: " + *w.storageClass)
		}
		return fail("InvalidStorageClass", 400, "The storage class you specified is not valid", "StorageClassRequested", *w.storageClass)
	}
	return nil
}

func noACL() error {
	return fail("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")
}

// keys are the condition keys of what the request wishes.
func (w wishes) keys(tags []api.Tag) map[string][]string {
	keys := set(nil, "s3:x-amz-acl", w.acl)
	keys = set(keys, "s3:x-amz-server-side-encryption", w.sse)
	keys = set(keys, "s3:x-amz-storage-class", w.storageClass)
	keys = set(keys, "s3:x-amz-website-redirect-location", w.website)
	return requestTags(keys, tags)
}

// write are the needs of making an object.
func (p *place) write(key string, w wishes, tags []api.Tag, ifMatch *string) []gate.Need {
	n := p.on("PutObject", key, nil)
	n.Keys = w.keys(tags)
	needs := []gate.Need{n}
	if len(tags) > 0 {
		n.Action = "s3:PutObjectTagging"
		needs = append(needs, n)
	}
	if w.acl != nil || w.grants {
		n.Action = "s3:PutObjectAcl"
		needs = append(needs, n)
	}
	if ifMatch != nil { // it tells what is there
		needs = append(needs, p.on("GetObject", key, nil))
	}
	return needs
}

func putWishes(in *api.PutObjectInput) wishes {
	return wishes{acl: in.ACL, storageClass: in.StorageClass, sse: in.ServerSideEncryption, website: in.WebsiteRedirectLocation, tagging: in.Tagging,
		grants:      given(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP),
		kms:         given(in.SSEKMSKeyId, in.SSEKMSEncryptionContext) || wire.Val(in.BucketKeyEnabled),
		customerKey: given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5),
		lock:        given(in.ObjectLockMode, in.ObjectLockLegalHoldStatus) || in.ObjectLockRetainUntilDate != nil}
}

func (s *Service) needPut(a *gate.Ask, in *api.PutObjectInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	tags, err := headerTags(in.Tagging)
	if err != nil {
		return nil, err
	}
	return p.write(in.Key, putWishes(in), tags, in.IfMatch), nil
}

func (s *Service) putObject(c *gate.Call, in *api.PutObjectInput) (*api.PutObjectOutput, error) {
	o, want, err := newObject(c, in)
	if err != nil {
		return nil, err
	}
	t, err := s.take(c.Context(), in.Body, want)
	if err != nil {
		return nil, err
	}
	o.Size, o.ETag, o.Sum = t.size, t.etag, t.sum
	id := s.ids.Lower(versionIDLen)
	out, err := gate.Commit(c, func(tx *store.Tx) (*api.PutObjectOutput, error) {
		o := *o
		b, err := s.place(tx, in.Bucket, &o, t, id, in.IfMatch, in.IfNoneMatch)
		if err != nil {
			return nil, err
		}
		out := &api.PutObjectOutput{ETag: new(quoted(o.ETag)), ServerSideEncryption: new(aes256), VersionId: b.shown(&o), ChecksumType: &o.Sum.Type}
		carry(o.Sum, &out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256)
		return out, nil
	})
	return out, s.discard(t, err)
}

// newObject is what a PutObject makes, but for its content.
func newObject(c *gate.Call, in *api.PutObjectInput) (*object, declared, error) {
	var want declared
	if err := checkKey(in.Key); err != nil {
		return nil, want, err
	}
	if err := putWishes(in).check(); err != nil {
		return nil, want, err
	}
	if in.WriteOffsetBytes != nil {
		return nil, want, notBuilt("x-amz-write-offset-bytes")
	}
	tags, err := headerTags(in.Tagging)
	if err != nil {
		return nil, want, err
	}
	o := &object{Key: in.Key, Modified: c.Now(), Tags: tags, Headers: headers{ContentType: wire.Val(in.ContentType), CacheControl: wire.Val(in.CacheControl),
		ContentDisposition: wire.Val(in.ContentDisposition), ContentEncoding: wire.Val(in.ContentEncoding), ContentLanguage: wire.Val(in.ContentLanguage),
		Expires: wire.Val(in.Expires), Meta: in.Metadata, StorageClass: class(in.StorageClass)}}
	if err := o.Headers.check(); err != nil {
		return nil, want, err
	}
	want, err = sent{md5: in.ContentMD5, length: in.ContentLength, algorithm: in.ChecksumAlgorithm,
		sums: map[string]*string{"CRC32": in.ChecksumCRC32, "CRC32C": in.ChecksumCRC32C, "CRC64NVME": in.ChecksumCRC64NVME,
			"SHA1": in.ChecksumSHA1, "SHA256": in.ChecksumSHA256},
		others: given(in.ChecksumMD5, in.ChecksumSHA512, in.ChecksumXXHASH64, in.ChecksumXXHASH3, in.ChecksumXXHASH128)}.declare()
	return o, want, err
}

func class(p *string) string {
	if p == nil || *p == standard {
		return ""
	}
	return *p
}

func (h headers) check() error {
	n := 0
	for k, v := range h.Meta {
		n += len(k) + len(v)
	}
	if n > maxMeta {
		return fail("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size",
			"Size", strconv.Itoa(n), "MaxSizeAllowed", strconv.Itoa(maxMeta))
	}
	return nil
}

// mayWrite checks the conditions under which an object may be written.
func (s *Service) mayWrite(tx *store.Tx, b *bucket, key string, ifMatch, ifNoneMatch *string) error {
	if ifMatch == nil && ifNoneMatch == nil {
		return nil
	}
	if ifNoneMatch != nil && *ifNoneMatch != "*" {
		return notBuilt("If-None-Match with a value other than *")
	}
	o, err := s.t.version(tx, b, key, nil)
	if err != nil {
		return err
	}
	there := o != nil && !o.Marker
	switch {
	case ifNoneMatch != nil && there:
		return preconditionFailed("If-None-Match")
	case ifMatch != nil && !there:
		return noSuchKey(key)
	case ifMatch != nil && !matches(*ifMatch, o.ETag):
		return preconditionFailed("If-Match")
	}
	return nil
}

// matches reports whether an If-Match or If-None-Match holds an entity tag.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == etag {
			return true
		}
	}
	return false
}

func quoted(etag string) string { return `"` + etag + `"` }

// shown is the version id that answers carry: only of buckets that keep or kept versions.
func (b *bucket) shown(o *object) *string {
	if !b.versioned() {
		return nil
	}
	return new(o.id())
}

const (
	maxObjectTags = 10
	maxBucketTags = 50
)

// headerTags reads x-amz-tagging: k=v&k2=v2.
func headerTags(header *string) ([]api.Tag, error) {
	if header == nil || *header == "" {
		return nil, nil
	}
	var tags []api.Tag
	for pair := range strings.SplitSeq(*header, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		value, verr := url.QueryUnescape(v)
		if err != nil || verr != nil || key == "" {
			return nil, invalidArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
				"x-amz-tagging", *header)
		}
		tags = append(tags, api.Tag{Key: key, Value: value})
		if len(tags) > maxBucketTags {
			break
		}
	}
	if err := checkTags(tags, maxObjectTags); err != nil {
		return nil, err
	}
	return tags, noSystemTags(tags)
}

func isSystem(t api.Tag) bool { return strings.HasPrefix(strings.ToLower(t.Key), "aws:") }

func noSystemTags(tags []api.Tag) error {
	if i := slices.IndexFunc(tags, isSystem); i >= 0 {
		return fail("InvalidTag", 400, "System tags cannot be added/updated by requester", "TagKey", tags[i].Key)
	}
	return nil
}

func checkTags(tags []api.Tag, limit int) error {
	if len(tags) > limit {
		what := "Object"
		if limit == maxBucketTags {
			what = "Bucket"
		}
		return fail("BadRequest", 400, what+" tags cannot be greater than "+strconv.Itoa(limit))
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case seen[t.Key]:
			return fail("InvalidTag", 400, "Cannot provide multiple Tags with the same key", "TagKey", t.Key)
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128 || !utf8.ValidString(t.Key):
			return fail("InvalidTag", 400, "The TagKey you have provided is invalid", "TagKey", t.Key)
		case utf8.RuneCountInString(t.Value) > 256 || !utf8.ValidString(t.Value):
			return fail("InvalidTag", 400, "The TagValue you have provided is invalid", "TagKey", t.Key, "TagValue", t.Value)
		}
		seen[t.Key] = true
	}
	return nil
}
