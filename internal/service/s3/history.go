package s3

import (
	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) needListVersions(a *gate.Ask, in *api.ListObjectVersionsInput) ([]gate.Need, error) {
	return s.needListing(a, "ListBucketVersions", in.Bucket, in.ExpectedBucketOwner, listKeys(in.Prefix, in.Delimiter, in.MaxKeys))
}

func (s *Service) listVersions(c *gate.Call, in *api.ListObjectVersionsInput) (*api.ListObjectVersionsOutput, error) {
	w, err := newWindow(in.Prefix, in.Delimiter, in.MaxKeys, in.EncodingType)
	if err != nil {
		return nil, err
	}
	w.after = wire.Val(in.KeyMarker)
	marker := wire.Val(in.VersionIdMarker)
	if marker != "" && w.after == "" {
		return nil, invalidArgument("A version-id marker cannot be specified without a key marker.", "version-id-marker", marker)
	}
	var h *history
	err = c.View(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return err
		}
		h = &history{window: w, bucket: b, owner: owner(b.Account), out: &api.ListObjectVersionsOutput{Name: &b.Name, KeyMarker: w.name(w.after),
			VersionIdMarker: &marker, Prefix: w.name(w.prefix), Delimiter: w.shown(in.Delimiter), MaxKeys: new(int32(w.limit)), IsTruncated: new(false),
			EncodingType: w.encoding()}}
		return s.walk(tx, h, marker)
	})
	if err != nil {
		return nil, err
	}
	return h.out, nil
}

// history is a listing of versions as it grows.
type history struct {
	window
	*bucket
	owner *api.Owner
	out   *api.ListObjectVersionsOutput
	count int
}

// full reports whether there is no room for more, and notes that there was more.
func (h *history) full() bool {
	if h.count < h.limit {
		return false
	}
	h.out.IsTruncated = new(h.limit > 0)
	return true
}

func (h *history) add(o *object, latest bool) {
	h.count++
	id := o.id()
	h.out.NextKeyMarker, h.out.NextVersionIdMarker = h.name(o.Key), &id
	if o.Marker {
		h.out.DeleteMarkers = append(h.out.DeleteMarkers, api.DeleteMarkerEntry{Owner: h.owner, Key: h.name(o.Key), VersionId: &id, IsLatest: &latest,
			LastModified: &o.Modified})
		return
	}
	h.out.Versions = append(h.out.Versions, api.ObjectVersion{ETag: new(quoted(o.ETag)), ChecksumAlgorithm: []string{o.Sum.Algorithm}, ChecksumType: &o.Sum.Type,
		Size: &o.Size, StorageClass: new(o.class()), Key: h.name(o.Key), VersionId: &id, IsLatest: &latest, LastModified: &o.Modified, Owner: h.owner})
}

// walk lists every version in the order of keys, newest first, from behind the marker.
func (s *Service) walk(tx *store.Tx, h *history, marker string) error {
	rows := h.rows()
	r := h.start(rows)
	if marker != "" && !r.After.IsZero() {
		if full, err := s.resume(tx, h, marker); err != nil || full {
			return err
		}
	}
	for seek := true; seek; {
		seek = false
		for e, err := range s.t.objects.Scan(tx, rows.Begin(h.prefix), r) {
			if err != nil {
				return err
			}
			if h.full() {
				return nil
			}
			o := e.Value
			if p := h.common(o.Key); p != "" {
				h.count++
				h.out.CommonPrefixes = append(h.out.CommonPrefixes, api.CommonPrefix{Prefix: h.name(p)})
				h.out.NextKeyMarker, h.out.NextVersionIdMarker = h.name(p), nil
				r, seek = store.Range{From: rows.Begin(p).End()}, true
				break
			}
			h.add(&o, true)
			if full, err := s.older(tx, h, &o, store.Range{}); err != nil || full {
				return err
			}
		}
	}
	if !*h.out.IsTruncated {
		h.out.NextKeyMarker, h.out.NextVersionIdMarker = nil, nil
	}
	return nil
}

// resume lists what is left of the marker's key.
func (s *Service) resume(tx *store.Tx, h *history, marker string) (full bool, err error) {
	newest, err := s.t.version(tx, h.bucket, h.after, nil)
	if err != nil || newest == nil {
		return false, err
	}
	from, err := s.t.version(tx, h.bucket, h.after, &marker)
	if err != nil || from == nil {
		return false, err
	}
	r := store.Range{}
	if from.Order != newest.Order {
		r.After = h.olderKey(from)
	}
	return s.older(tx, h, newest, r)
}

func (s *Service) older(tx *store.Tx, h *history, newest *object, r store.Range) (full bool, err error) {
	if newest.Older == 0 {
		return false, nil
	}
	for e, err := range s.t.older.Scan(tx, h.rows().With(newest.Key), r) {
		if err != nil {
			return false, err
		}
		if h.full() {
			return true, nil
		}
		h.add(&e.Value, false)
	}
	return false, nil
}
