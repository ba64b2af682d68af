package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

var benchRows = store.NewTable[[]byte]("bench", "rows")

// update is a read-modify-write transaction on one of 10,000 rows.
func update(b *testing.B, db *store.DB, n int, value []byte) {
	k := store.K("acct", "region", "table", fmt.Sprint(uint64(n)*0x9E3779B97F4A7C15%10_000))
	err := db.Update(b.Context(), store.In("bench"), func(tx *store.Tx) error {
		if _, _, err := benchRows.Get(tx, k); err != nil {
			return err
		}
		return benchRows.Put(tx, k, append(fmt.Append(nil, n), value...))
	})
	if err != nil {
		b.Error(err)
	}
}

func openBench(b *testing.B) *store.DB {
	db, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := openBench(b)
			value := make([]byte, 300)
			var n atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							return
						}
						update(b, db, int(i), value)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := openBench(b)
			for i := range 200 {
				err := db.Update(b.Context(), store.In("bench"), func(tx *store.Tx) error {
					for j := range 50 {
						if err := benchRows.Put(tx, store.K("acct", "region", "table", i*50+j), make([]byte, 300)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						k := store.K("acct", "region", "table", int(uint64(i)*0x9E3779B97F4A7C15%10_000))
						err := db.View(b.Context(), store.In("bench"), func(tx *store.Tx) error {
							_, ok, err := benchRows.Get(tx, k)
							if !ok {
								return fmt.Errorf("row %v is not there: %w", k, err)
							}
							return err
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
		})
	}
}

// BenchmarkKeptGet is a View of a row that is kept in memory.
func BenchmarkKeptGet(b *testing.B) {
	db := openBench(b)
	rows := store.NewTable[[]byte]("bench", "kept").Keep()
	const n = 1000
	err := db.Update(b.Context(), store.In("bench"), func(tx *store.Tx) (err error) {
		for i := range n {
			err = errors.Join(err, rows.Put(tx, store.K(i), make([]byte, 300)))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := db.View(b.Context(), store.In("bench"), func(tx *store.Tx) error {
			_, ok, err := rows.Get(tx, store.K(i%n))
			if !ok {
				return fmt.Errorf("row %d is not there: %w", i%n, err)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBlob is a blob with the row that refers to it, on either side of the length at which it
// becomes a file.
func BenchmarkBlob(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 65 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			db := openBench(b)
			body := make([]byte, size)
			for i := 0; b.Loop(); i++ {
				ref, err := db.Blobs().Put(b.Context(), bytes.NewReader(body), -1)
				if err == nil {
					err = db.Update(b.Context(), store.In("bench"), func(tx *store.Tx) error {
						return errors.Join(db.Blobs().Keep(tx, ref), benchRows.Put(tx, store.K(i), []byte(ref.ID)))
					})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRaw is the driver without the store, side by side with the above.
func BenchmarkRaw(b *testing.B) {
	value := make([]byte, 300)
	b.Run("update", func(b *testing.B) { store.RawUpdate(b, 1, value) })
	b.Run("update/batch=64", func(b *testing.B) { store.RawUpdate(b, 64, value) })
	b.Run("get", func(b *testing.B) { store.RawGet(b, value) })
}

// BenchmarkFsync is the machine's floor for a durable transaction of one caller: one 4 KiB page
// written and synced, nothing else.
func BenchmarkFsync(b *testing.B) { store.FsyncFloor(b) }
