package lambda

import (
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/store"
)

// counted is what a package takes of its account's code storage, in bytes. Images take none: they are
// stored in a registry.
func (p packageUse) counted() int64 {
	if p.Image {
		return 0
	}
	return p.Size
}

// stored is how many bytes of code storage are taken under an account and region.
func (t *tables) stored(tx *store.Tx, under store.Key) (int64, error) {
	row, ok, err := t.codeSums.Get(tx, under)
	if err != nil || ok {
		return row.Bytes, err
	}
	sum := int64(0) // of data from before sums were kept
	for e, err := range t.versions.Scan(tx, under, store.Range{}) {
		if err != nil {
			return 0, err
		}
		sum += e.Value.Code.counted()
	}
	for e, err := range t.layerVers.Scan(tx, under, store.Range{}) {
		if err != nil {
			return 0, err
		}
		sum += e.Value.Code.counted()
	}
	return sum, nil
}

// regional is a key of what lies in an account and region.
type regional interface{ region() store.Key }

func (k functionKey) region() store.Key { return regionKey(k.Account, k.Region) }
func (k layerKey) region() store.Key    { return regionKey(k.Account, k.Region) }

// fits is what is stored with so many bytes more, which may be less than none; it refuses what is above
// the account's limit.
func (s *Service) fits(tx *store.Tx, k regional, more int64) (int64, error) {
	sum, err := s.t.stored(tx, k.region())
	if sum += more; err == nil && more > 0 && sum > s.CodeStorage {
		err = awserr.New("CodeStorageExceededException", 400, "Code storage limit exceeded.")
	}
	return sum, err
}

// occupy counts so many bytes more. It comes before the rows that have them: see stored.
func (s *Service) occupy(tx *store.Tx, k regional, more int64) error {
	if more == 0 {
		return nil
	}
	sum, err := s.fits(tx, k, more)
	if err != nil {
		return err
	}
	return s.t.codeSums.Put(tx, k.region(), codeSum{sum})
}
