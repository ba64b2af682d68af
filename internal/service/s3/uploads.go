package s3

import (
	"strconv"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) needListParts(a *gate.Ask, in *api.ListPartsInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return []gate.Need{p.on("ListMultipartUploadParts", in.Key, nil)}, nil
}

// counted is a limit that a request may lower.
func counted(limit *int32, name string) (int, error) {
	if limit == nil {
		return maxKeys, nil
	}
	if *limit < 0 {
		return 0, invalidArgument("Argument "+name+" must be an integer between 0 and 2147483647", name, strconv.Itoa(int(*limit)))
	}
	return min(int(*limit), maxKeys), nil
}

func (s *Service) listParts(c *gate.Call, in *api.ListPartsInput) (*api.ListPartsOutput, error) {
	limit, err := counted(in.MaxParts, "max-parts")
	if err != nil {
		return nil, err
	}
	marker := wire.Val(in.PartNumberMarker)
	var out *api.ListPartsOutput
	err = c.View(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return err
		}
		u, err := s.t.upload(tx, b, in.Key, in.UploadId)
		if err != nil {
			return err
		}
		out = &api.ListPartsOutput{Bucket: &b.Name, Key: &u.Key, UploadId: &u.ID, PartNumberMarker: &marker, NextPartNumberMarker: new(marker),
			MaxParts: new(int32(limit)), IsTruncated: new(false), Initiator: initiator(u), Owner: owner(b.Account), StorageClass: new(u.class())}
		if u.Algorithm != "" {
			out.ChecksumAlgorithm, out.ChecksumType = &u.Algorithm, &u.Type
		}
		for e, err := range s.t.parts.Scan(tx, b.rows().With(u.ID), store.Range{After: b.partKey(u.ID, marker)}) {
			if err != nil {
				return err
			}
			if len(out.Parts) == limit {
				out.IsTruncated = new(limit > 0)
				return nil
			}
			p := e.Value
			shown := api.Part{PartNumber: &p.Number, LastModified: &p.Modified, ETag: new(quoted(p.ETag)), Size: &p.Body.Size}
			if u.Algorithm != "" {
				carry(p.Sum, &shown.ChecksumCRC32, &shown.ChecksumCRC32C, &shown.ChecksumCRC64NVME, &shown.ChecksumSHA1, &shown.ChecksumSHA256)
			}
			out.Parts = append(out.Parts, shown)
			out.NextPartNumberMarker = &p.Number
		}
		return nil
	})
	return out, err
}

func initiator(u *upload) *api.Initiator {
	name := u.Initiator[strings.LastIndexByte(u.Initiator, '/')+1:]
	return &api.Initiator{ID: &u.Initiator, DisplayName: &name}
}

func (u *upload) class() string { return (&object{Headers: u.Headers}).class() }

func (s *Service) needListUploads(a *gate.Ask, in *api.ListMultipartUploadsInput) ([]gate.Need, error) {
	return s.needListing(a, "ListBucketMultipartUploads", in.Bucket, in.ExpectedBucketOwner, listKeys(in.Prefix, in.Delimiter, nil))
}

func (s *Service) listUploads(c *gate.Call, in *api.ListMultipartUploadsInput) (*api.ListMultipartUploadsOutput, error) {
	w, err := newWindow(in.Prefix, in.Delimiter, in.MaxUploads, in.EncodingType)
	if err != nil {
		return nil, err
	}
	w.after = wire.Val(in.KeyMarker)
	var out *api.ListMultipartUploadsOutput
	err = c.View(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return err
		}
		out = &api.ListMultipartUploadsOutput{Bucket: &b.Name, KeyMarker: w.name(w.after), UploadIdMarker: new(wire.Val(in.UploadIdMarker)),
			Prefix: w.name(w.prefix), Delimiter: w.shown(in.Delimiter), MaxUploads: new(int32(w.limit)), IsTruncated: new(false), EncodingType: w.encoding()}
		return s.walkUploads(tx, b, w, wire.Val(in.UploadIdMarker), out)
	})
	return out, err
}

func (s *Service) walkUploads(tx *store.Tx, b *bucket, w window, marker string, out *api.ListMultipartUploadsOutput) error {
	rows := b.rows()
	r := w.start(rows)
	switch {
	case r.After.IsZero():
	case marker == "": // the key itself has been listed
		r = store.Range{From: rows.With(w.after).End()}
	default:
		r = store.Range{After: rows.With(w.after, marker)}
	}
	for seek := w.limit > 0; seek; {
		seek = false
		for e, err := range s.t.uploads.Scan(tx, rows.Begin(w.prefix), r) {
			if err != nil {
				return err
			}
			u := e.Value
			if len(out.Uploads)+len(out.CommonPrefixes) == w.limit {
				out.IsTruncated = new(true)
				return nil
			}
			if p := w.common(u.Key); p != "" {
				out.CommonPrefixes = append(out.CommonPrefixes, api.CommonPrefix{Prefix: w.name(p)})
				out.NextKeyMarker, out.NextUploadIdMarker = w.name(p), nil
				r, seek = store.Range{From: rows.Begin(p).End()}, true
				break
			}
			shown := api.MultipartUpload{UploadId: &u.ID, Key: w.name(u.Key), Initiated: &u.Initiated, StorageClass: new(u.class()),
				Owner: owner(b.Account), Initiator: initiator(&u)}
			if u.Algorithm != "" {
				shown.ChecksumAlgorithm, shown.ChecksumType = &u.Algorithm, &u.Type
			}
			out.Uploads = append(out.Uploads, shown)
			out.NextKeyMarker, out.NextUploadIdMarker = w.name(u.Key), &u.ID
		}
	}
	return nil
}
