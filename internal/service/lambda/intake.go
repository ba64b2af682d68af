package lambda

import (
	"cmp"
	"context"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// Intake bounds the archives that are being written down and unpacked at once; who finds no room waits
// for it. A zero field is the default.
type Intake struct {
	Room     int64         // bytes; 640 MiB: two of the largest
	Patience time.Duration // of who waits; 10 s
}

// leastTaken is what a small archive counts for, in bytes: its directory may unfold to as many.
const leastTaken = 32 << 20

type intake struct {
	Intake
	room *semaphore.Weighted
}

func newIntake(i Intake) intake {
	i = Intake{cmp.Or(i.Room, 640<<20), cmp.Or(i.Patience, 10*time.Second)}
	return intake{i, semaphore.NewWeighted(i.Room)}
}

// enter waits for room for an archive of size bytes, until leave is called.
func (i *intake) enter(ctx context.Context, size int64) (leave func(), err error) {
	size = min(max(size, leastTaken), i.Room)
	wait, cancel := context.WithTimeout(ctx, i.Patience)
	defer cancel()
	if i.room.Acquire(wait, size) != nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, throttled("CallerRateLimitExceeded")
	}
	return func() { i.room.Release(size) }, nil
}

// archiveFile is an archive that is open for reading.
type archiveFile interface {
	io.ReaderAt
	io.Closer
}

// smallArchive is one that is in memory until it is kept.
type smallArchive struct{ *strings.Reader }

func (smallArchive) Close() error { return nil }

// written opens an archive that has been written down and is not kept yet.
func (s *Service) written(ref blob.Ref) (archiveFile, error) {
	if ref.Content != "" {
		return smallArchive{strings.NewReader(ref.Content)}, nil
	}
	return s.Blobs.Open(ref.ID)
}

// settle removes what a call that is over fetched and no row came to refer to. What cannot be removed
// is left to the sweeps.
func (s *Service) settle(c *gate.Call, f *fetched) {
	if f.ref.ID == "" && f.image == nil {
		return // nothing came of it
	}
	var used bool
	spare := map[string]bool{}
	look := func() (bool, error) {
		err := c.Review(func(tx *store.Tx) error {
			clear(spare)
			var err error
			used, err = s.t.refersTo(tx, f, spare)
			return err
		})
		return used, err
	}
	_, err := look()
	if err == nil && f.hold != nil {
		err = f.hold.Release(look)
	}
	for id := range spare {
		if rerr := s.Blobs.Remove(id); err == nil {
			err = rerr
		}
	}
	if err != nil {
		s.Log.Warn("lambda: what a call left behind waits for the next sweep", "request", c.RequestID(), "error", err)
	}
}

// refersTo tells whether a row refers to the package, and enters the names of the blobs that none does
// among the spare.
func (t *tables) refersTo(tx *store.Tx, f *fetched, spare map[string]bool) (bool, error) {
	if f.image == nil {
		a, ok, err := t.archives.Get(tx, archiveKey(f.ref.SHA256))
		if err == nil && f.ref.ID != "" && a.Blob.ID != f.ref.ID {
			spare[f.ref.ID] = true
		}
		return ok, err
	}
	for n, b := range f.image.blobs {
		row, _, err := t.images.layers.Get(tx, imageLayerKey(f.image.layers[n].Digest))
		if err != nil {
			return false, err
		}
		if b.ID != "" && row.Blob.ID != b.ID {
			spare[b.ID] = true
		}
	}
	return t.images.images.Has(tx, imageKey(f.SHA256))
}

var _ archiveFile = smallArchive{}
