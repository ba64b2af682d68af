package s3

import (
	"fmt"

	"github.com/bastide-cloud/bastide/internal/store"
)

const (
	enabled     = "Enabled"
	suspended   = "Suspended"
	nullVersion = "null"
)

// id is the version's name in answers.
func (o *object) id() string {
	if o.Version == "" {
		return nullVersion
	}
	return o.Version
}

// version is the version that a request names, or the newest where it names none; nil where there
// is no such.
func (t *tables) version(tx *store.Tx, b *bucket, key string, id *string) (*object, error) {
	newest, ok, err := t.objects.Get(tx, b.rows().With(key))
	if err != nil || !ok {
		return nil, err
	}
	if id == nil || *id == newest.id() {
		return &newest, nil
	}
	if *id == nullVersion {
		if newest.Null == 0 {
			return nil, nil
		}
		o, ok, err := t.older.Get(tx, b.olderKey(&object{Key: key, Order: newest.Null}))
		if err != nil || !ok {
			return nil, err
		}
		return &o, nil
	}
	e, ok, err := t.older.By("version").Get(tx, store.K(b.ID, key, *id))
	if err != nil || !ok {
		return nil, err
	}
	return &e.Value, nil
}

// save writes back a version whose tags have changed.
func (t *tables) save(tx *store.Tx, b *bucket, o *object) error {
	newest, ok, err := t.objects.Get(tx, b.rows().With(o.Key))
	if err != nil {
		return err
	}
	if ok && newest.Order == o.Order {
		return t.objects.Put(tx, b.rows().With(o.Key), *o)
	}
	return t.older.Put(tx, b.olderKey(o), *o)
}

// add makes o the newest version of its key; what it takes the place of goes. freshID is the id
// that it gets where the bucket keeps versions.
func (s *Service) add(tx *store.Tx, b *bucket, o *object, freshID string) error {
	o.Bucket, o.Order = b.ID, tx.NextSeq()
	o.Version = ""
	if b.Versioning == enabled {
		o.Version = freshID
	}
	at := b.rows().With(o.Key)
	old, ok, err := s.t.objects.Get(tx, at)
	if err != nil {
		return err
	}
	if ok {
		if err := s.supersede(tx, b, o, &old); err != nil {
			return err
		}
	}
	return s.t.objects.Put(tx, at, *o)
}

func (s *Service) supersede(tx *store.Tx, b *bucket, o, old *object) error {
	o.Older, o.Null = old.Older, old.Null
	if o.Version == "" && old.Version == "" {
		return s.drop(tx, b, old)
	}
	if o.Version == "" && old.Null != 0 {
		null := object{Key: o.Key, Order: old.Null}
		gone, ok, err := s.t.older.Get(tx, b.olderKey(&null))
		if err != nil || !ok {
			return fmt.Errorf("s3: the null version of %s/%s is missing: %w", b.Name, o.Key, err)
		}
		if _, err := s.t.older.Delete(tx, b.olderKey(&null)); err != nil {
			return err
		}
		if err := s.drop(tx, b, &gone); err != nil {
			return err
		}
		o.Older, o.Null = o.Older-1, 0
	}
	if old.Version == "" {
		o.Null = old.Order
	}
	o.Older++
	old.Older, old.Null = 0, 0
	return s.t.older.Put(tx, b.olderKey(old), *old)
}

// remove deletes one version for good; if it was the newest, the next older one takes its place.
func (s *Service) remove(tx *store.Tx, b *bucket, o *object) error {
	at := b.rows().With(o.Key)
	newest, ok, err := s.t.objects.Get(tx, at)
	if err != nil || !ok {
		return err
	}
	if err := s.drop(tx, b, o); err != nil {
		return err
	}
	if newest.Order != o.Order {
		newest.Older--
		if newest.Null == o.Order {
			newest.Null = 0
		}
		if _, err := s.t.older.Delete(tx, b.olderKey(o)); err != nil {
			return err
		}
		return s.t.objects.Put(tx, at, newest)
	}
	for e, err := range s.t.older.Scan(tx, at, store.Range{Limit: 1}) {
		if err != nil {
			return err
		}
		next := e.Value
		if _, err := s.t.older.Delete(tx, e.Key); err != nil {
			return err
		}
		if next.Older = newest.Older - 1; newest.Null != next.Order {
			next.Null = newest.Null
		}
		return s.t.objects.Put(tx, at, next)
	}
	_, err = s.t.objects.Delete(tx, at)
	return err
}

// drop gives up a version's content.
func (s *Service) drop(tx *store.Tx, b *bucket, o *object) error {
	if o.Body != nil {
		return s.blobs.Drop(tx, o.Body.Blob.ID)
	}
	if o.PartsID == "" {
		return nil
	}
	parts, err := s.partsOf(tx, b, o)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := s.blobs.Drop(tx, p.Body.Blob.ID); err != nil {
			return err
		}
	}
	_, err = s.t.made.Delete(tx, b.rows().With(o.PartsID))
	return err
}

func (s *Service) partsOf(tx *store.Tx, b *bucket, o *object) ([]part, error) {
	parts, ok, err := s.t.made.Get(tx, b.rows().With(o.PartsID))
	if err == nil && !ok {
		err = fmt.Errorf("s3: the parts of %s/%s are missing", b.Name, o.Key)
	}
	return parts, err
}
