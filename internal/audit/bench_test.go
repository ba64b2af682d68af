package audit

import (
	"encoding/json"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

func benchTrail(b *testing.B) (*store.DB, *Trail, Record) {
	b.Helper()
	db, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	trail, err := New(db, Options{Node: "n1", Key: testKey(1)})
	if err != nil {
		b.Fatal(err)
	}
	r := record(1)
	r.UserAgent = "aws-sdk-go-v2/1.30.0 os/linux lang/go#1.26 md/GOOS#linux md/GOARCH#amd64 api/dynamodb#1.34.0"
	r.RequestParameters = json.RawMessage(`{"tableName":"tasks","key":{"id":{"S":"42"}}}`)
	return db, trail, r
}

// BenchmarkAppend is what a record adds to a transaction before its commit.
func BenchmarkAppend(b *testing.B) {
	db, trail, r := benchTrail(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 200 {
		b.StopTimer()
		err := db.Update(b.Context(), store.In(Space), func(tx *store.Tx) error {
			b.StartTimer()
			defer b.StopTimer()
			for range min(200, b.N-i) {
				if err := trail.Append(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeal is what a record costs the sealer: chaining, index, its share of a signature.
func BenchmarkSeal(b *testing.B) {
	db, trail, r := benchTrail(b)
	b.ResetTimer()
	for i := 0; i < b.N; i += 1000 {
		b.StopTimer()
		err := db.Update(b.Context(), store.In(Space), func(tx *store.Tx) error {
			for range min(1000, b.N-i) {
				r.RequestID = trail.opt.IDs.UUID()
				if err := trail.Append(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		b.StartTimer()
		if err != nil {
			b.Fatal(err)
		}
		if err := trail.Seal(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFlush is what a noted record costs until it is durable.
func BenchmarkFlush(b *testing.B) {
	_, trail, r := benchTrail(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := trail.Note(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		if i%400 == 399 {
			if err := trail.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
