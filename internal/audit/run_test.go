package audit

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

// TestRun holds the promised times, in a bubble's own time: noted records within 100 ms, heads and
// counted refusals within about a second, files within about an hour, retention after its age.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		trail, err := New(db, Options{Node: "n1", Key: testKey(1), KeepAge: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { trail.Run(ctx, slog.New(slog.DiscardHandler)); close(ended) }()
		pass := func(d time.Duration) {
			time.Sleep(d) // the bubble's time
			synctest.Wait()
		}
		state := func(wantRecords int, wantSealed int64, wantFiles int) {
			t.Helper()
			n := 0
			for _, err := range trail.Query(ctx, Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			head, files := Head{}, 0
			err := db.View(ctx, store.In(Space), func(tx *store.Tx) (err error) {
				for _, err := range segments().Scan(tx, store.K("n1"), store.Range{}) {
					if err != nil {
						return err
					}
					files++
				}
				head, err = last(tx, "n1")
				return err
			})
			if err != nil || n != wantRecords || head.Records != wantSealed || files != wantFiles {
				t.Fatalf("%d records, %d sealed, %d files; want %d, %d, %d: %v", n, head.Records, files, wantRecords, wantSealed, wantFiles, err)
			}
		}
		pass(time.Minute + time.Second/2)
		for i := range 1000 {
			if err := trail.Note(ctx, record(i)); err != nil {
				t.Fatal(err)
			}
		}
		trail.CountRefusal("10.1.1.1", "IncompleteSignature")
		pass(100 * time.Millisecond)
		state(1000, 0, 0)
		pass(2500 * time.Millisecond)
		state(1001, 1001, 0)
		pass(62 * time.Minute)
		state(1001, 1001, 1)
		pass(25 * time.Hour)
		state(0, 1001, 0)
		if r, err := trail.Verify(ctx); err != nil || !r.OK() {
			t.Fatalf("%v %v", r.Problems, err)
		}
		cancel()
		<-ended
		if err := trail.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(fmt.Errorf("close: %w", err))
		}
	})
}
