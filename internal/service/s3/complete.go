package s3

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/s3/sums"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const minPart = 5 << 20 // bytes of every part but the last

func (s *Service) needComplete(a *gate.Ask, in *api.CompleteMultipartUploadInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return p.write(in.Key, wishes{}, nil, in.IfMatch), nil
}

func (s *Service) complete(c *gate.Call, in *api.CompleteMultipartUploadInput) (*api.CompleteMultipartUploadOutput, error) {
	if given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5) {
		return nil, notBuilt("x-amz-server-side-encryption-customer-algorithm")
	}
	if in.MultipartUpload == nil || len(in.MultipartUpload.Parts) == 0 || len(in.MultipartUpload.Parts) > maxParts {
		return nil, malformedXML()
	}
	want, err := sent{sums: map[string]*string{"CRC32": in.ChecksumCRC32, "CRC32C": in.ChecksumCRC32C, "CRC64NVME": in.ChecksumCRC64NVME,
		"SHA1": in.ChecksumSHA1, "SHA256": in.ChecksumSHA256}}.whole()
	if err != nil {
		return nil, err
	}
	version, made := s.ids.Lower(versionIDLen), s.ids.Lower(versionIDLen)
	return gate.Commit(c, func(tx *store.Tx) (*api.CompleteMultipartUploadOutput, error) {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return nil, err
		}
		u, err := s.t.upload(tx, b, in.Key, in.UploadId)
		if err != nil {
			return nil, err
		}
		parts, err := s.chosen(tx, b, u, in.MultipartUpload.Parts)
		if err != nil {
			return nil, err
		}
		o, err := u.join(parts)
		if err != nil {
			return nil, err
		}
		if err := agree(in, u, o, want); err != nil {
			return nil, err
		}
		if err := s.mayWrite(tx, b, u.Key, in.IfMatch, in.IfNoneMatch); err != nil {
			return nil, err
		}
		o.Modified, o.PartsID = u.Initiated, made // S3 dates an object by the beginning of its upload
		if err := s.t.made.Put(tx, b.rows().With(made), parts); err != nil {
			return nil, err
		}
		if err := s.add(tx, b, o, version); err != nil {
			return nil, err
		}
		out := &api.CompleteMultipartUploadOutput{Location: new(location(c, b, u.Key)), Bucket: &b.Name, Key: &u.Key, ETag: new(quoted(o.ETag)),
			VersionId: b.shown(o), ServerSideEncryption: new(aes256), ChecksumType: &o.Sum.Type}
		carry(o.Sum, &out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256)
		return out, s.forget(tx, b, u, parts)
	})
}

func location(c *gate.Call, b *bucket, key string) string {
	src := c.Source()
	scheme, host := "http", src.Host
	if src.TLS {
		scheme = "https"
	}
	if host == "" {
		scheme, host = "https", "s3."+b.Region+".amazonaws.com"
	}
	return (&url.URL{Scheme: scheme, Host: host, Path: "/" + b.Name + "/" + key}).String()
}

// chosen are the parts that the client names, which must be those that it uploaded.
func (s *Service) chosen(tx *store.Tx, b *bucket, u *upload, names []api.CompletedPart) ([]part, error) {
	if !slices.IsSortedFunc(names, func(a, b api.CompletedPart) int { // equal ones are out of order too
		return cmp.Or(cmp.Compare(wire.Val(a.PartNumber), wire.Val(b.PartNumber)), -1)
	}) {
		return nil, fail("InvalidPartOrder", 400, "The list of parts was not in ascending order. Parts must be ordered by part number.", "UploadId", u.ID)
	}
	parts := make([]part, 0, len(names))
	for i := range names {
		n := &names[i]
		number := wire.Val(n.PartNumber)
		p, ok, err := s.t.parts.Get(tx, b.partKey(u.ID, number))
		if err != nil {
			return nil, err
		}
		etag := strings.Trim(wire.Val(n.ETag), `"`)
		if !ok || etag != p.ETag {
			return nil, fail("InvalidPart", 400, "One or more of the specified parts could not be found.  The part may not have been uploaded, "+
				"or the specified entity tag may not match the part's entity tag.", "UploadId", u.ID, "PartNumber", strconv.Itoa(int(number)), "ETag", etag)
		}
		if err := u.same(n, &p); err != nil {
			return nil, err
		}
		if i < len(names)-1 && p.Body.Size < minPart {
			return nil, fail("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size", "ProposedSize", strconv.FormatInt(p.Body.Size, 10),
				"MinSizeAllowed", strconv.Itoa(minPart), "PartNumber", strconv.Itoa(int(number)), "ETag", p.ETag)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// same compares the checksums that the client repeats for a part.
func (u *upload) same(n *api.CompletedPart, p *part) error {
	if given(n.ChecksumMD5, n.ChecksumSHA512, n.ChecksumXXHASH64, n.ChecksumXXHASH3, n.ChecksumXXHASH128) {
		return notBuilt("the checksum algorithm")
	}
	for name, value := range map[string]*string{"CRC32": n.ChecksumCRC32, "CRC32C": n.ChecksumCRC32C, "CRC64NVME": n.ChecksumCRC64NVME,
		"SHA1": n.ChecksumSHA1, "SHA256": n.ChecksumSHA256} {
		switch {
		case name == p.Sum.Algorithm && value != nil && *value != p.Sum.Value, value != nil && u.Algorithm != "" && name != u.Algorithm:
			return fail("InvalidPart", 400, "One or more of the specified parts could not be found.  The part may not have been uploaded, "+
				"or the specified entity tag may not match the part's entity tag.", "UploadId", u.ID, "PartNumber", strconv.Itoa(int(p.Number)), "ETag", p.ETag)
		case name == u.Algorithm && value == nil && u.Type == composite:
			return invalidRequest("The upload was created using a " + strings.ToLower(name) + " checksum. The complete request must include the checksum " +
				"for each part. It was missing for part " + strconv.Itoa(int(p.Number)) + " in the request.")
		}
	}
	return nil
}

// join is the object that the parts make.
func (u *upload) join(parts []part) (*object, error) {
	o := &object{Key: u.Key, Headers: u.Headers, Tags: u.Tags, Parts: len(parts)}
	digests := md5.New()
	var of []string
	for i, p := range parts {
		raw, err := hex.DecodeString(p.ETag)
		if err != nil {
			return nil, err
		}
		digests.Write(raw)
		of = append(of, p.Sum.Value)
		if i == 0 {
			o.Sum = sum{Algorithm: p.Sum.Algorithm, Value: p.Sum.Value, Type: fullObject}
		} else if u.Type == fullObject {
			if o.Sum.Value, err = sums.Combine(p.Sum.Algorithm, o.Sum.Value, p.Sum.Value, p.Body.Size); err != nil {
				return nil, err
			}
		}
		o.Size += p.Body.Size
	}
	o.ETag = hex.EncodeToString(digests.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	if u.Type == composite {
		var err error
		o.Sum.Type = composite
		if o.Sum.Value, err = sums.Composite(o.Sum.Algorithm, of); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// whole reads the checksum of the whole that a client may give; a composite one ends in "-N".
func (h sent) whole() (sum, error) {
	var out sum
	for name, value := range h.sums {
		if value == nil {
			continue
		}
		if out.Value != "" {
			return out, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		out = sum{Algorithm: name, Value: *value}
	}
	return out, nil
}

// agree compares the object with what the client says of it.
func agree(in *api.CompleteMultipartUploadInput, u *upload, o *object, want sum) error {
	if given(in.ChecksumMD5, in.ChecksumSHA512, in.ChecksumXXHASH64, in.ChecksumXXHASH3, in.ChecksumXXHASH128) {
		return notBuilt("the checksum algorithm")
	}
	if in.MpuObjectSize != nil && *in.MpuObjectSize != o.Size {
		return invalidRequest("The provided 'x-amz-mp-object-size' header value " + strconv.FormatInt(*in.MpuObjectSize, 10) +
			" does not match what was computed: " + strconv.FormatInt(o.Size, 10))
	}
	if in.ChecksumType != nil && *in.ChecksumType != u.Type {
		return invalidRequest("The upload was created using the " + u.Type + " checksum mode. The complete request must use the same checksum mode.")
	}
	if want.Value == "" {
		return nil
	}
	value, _, _ := strings.Cut(want.Value, "-")
	mine, _, _ := strings.Cut(o.Sum.Value, "-")
	if want.Algorithm != o.Sum.Algorithm || value != mine {
		return fail("BadDigest", 400, "The "+strings.ToLower(want.Algorithm)+" you specified did not match the calculated checksum.")
	}
	return nil
}

// forget ends an upload; the bodies of parts that are not kept go.
func (s *Service) forget(tx *store.Tx, b *bucket, u *upload, kept []part) error {
	keep := make(map[string]bool, len(kept))
	for _, p := range kept {
		keep[p.Body.Blob.ID] = true
	}
	for e, err := range s.t.parts.Scan(tx, b.rows().With(u.ID), store.Range{}) {
		if err != nil {
			return err
		}
		if !keep[e.Value.Body.Blob.ID] {
			if err := s.blobs.Drop(tx, e.Value.Body.Blob.ID); err != nil {
				return err
			}
		}
		if _, err := s.t.parts.Delete(tx, e.Key); err != nil {
			return err
		}
	}
	_, err := s.t.uploads.Delete(tx, b.rows().With(u.Key, u.ID))
	return err
}

func (s *Service) needAbort(a *gate.Ask, in *api.AbortMultipartUploadInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return []gate.Need{p.on("AbortMultipartUpload", in.Key, nil)}, nil
}

func (s *Service) abort(c *gate.Call, in *api.AbortMultipartUploadInput) (*api.AbortMultipartUploadOutput, error) {
	if in.IfMatchInitiatedTime != nil {
		return nil, notBuilt("x-amz-if-match-initiated-time")
	}
	return &api.AbortMultipartUploadOutput{}, c.Update(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return err
		}
		u, err := s.t.upload(tx, b, in.Key, in.UploadId)
		if err != nil {
			return err
		}
		return s.forget(tx, b, u, nil)
	})
}

// abortAll ends the uploads of a bucket that goes.
func (s *Service) abortAll(tx *store.Tx, b *bucket) error {
	for e, err := range s.t.uploads.Scan(tx, b.rows(), store.Range{}) {
		if err != nil {
			return err
		}
		if err := s.forget(tx, b, &e.Value, nil); err != nil {
			return err
		}
	}
	return nil
}
