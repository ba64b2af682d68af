package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// FsyncFloor writes and syncs one page of a preallocated file per round.
func FsyncFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for i := range 256 {
		if _, err := f.WriteAt(page, int64(i)*4096); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for i := range b.N {
		if _, err := f.WriteAt(page, int64(i%256)*4096); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}

// RawUpdate does, on the driver alone, what a transaction of BenchmarkUpdate does: n reads with a
// write each, `batch` of them a commit.
func RawUpdate(b *testing.B, batch int, value []byte) {
	c := rawConn(b)
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		must(b, c.begin(true))
		for j := i; j < min(i+batch, b.N); j++ {
			k := []byte("bench\x00rows\x00" + K("acct", "region", "table", fmt.Sprint(uint64(j)*0x9E3779B97F4A7C15%10_000)).s)
			_, _, _, err := c.get(false, k)
			must(b, err)
			must(b, c.put(k, int64(j), append(fmt.Append(nil, j), value...)))
		}
		must(b, c.commit())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}

// RawGet reads single rows on the driver alone, each in a transaction of its own.
func RawGet(b *testing.B, value []byte) {
	c := rawConn(b)
	must(b, c.begin(true))
	for i := range 10_000 {
		must(b, c.put([]byte("bench\x00rows\x00"+K("acct", "region", "table", i).s), 1, value))
	}
	must(b, c.commit())
	b.ResetTimer()
	for i := range b.N {
		must(b, c.begin(false))
		_, _, ok, err := c.get(false, []byte("bench\x00rows\x00"+K("acct", "region", "table", int(uint64(i)*0x9E3779B97F4A7C15%10_000)).s))
		must(b, err)
		if !ok {
			b.Fatal("a row is missing")
		}
		must(b, c.commit())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}

func rawConn(b *testing.B) *conn {
	c, err := openConn(filepath.Join(b.TempDir(), dbFile), true)
	must(b, err)
	b.Cleanup(func() { must(b, c.close()) })
	_, err = c.migrate()
	must(b, err)
	return c
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}
