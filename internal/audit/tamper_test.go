package audit

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

func newGzip(w io.Writer) *gzip.Writer { return gzip.NewWriter(w) }

// tamper changes the trail behind its back.
func (f *fixture) tamper(fn func(tx *store.Tx, rows []entry) error) {
	f.Helper()
	rows := f.rows()
	f.ok(f.db.Update(f.Context(), store.In(Space), func(tx *store.Tx) error { return fn(tx, rows) }))
}

func put(tx *store.Tx, seq int64, raw []byte) error {
	return records().Put(tx, store.K("n1", seq), raw)
}

func drop(tx *store.Tx, seq int64) error {
	_, err := records().Delete(tx, store.K("n1", seq))
	return err
}

func TestVerifyFindsTampering(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tx *store.Tx, rows []entry) error
		head   bool // found only with the exported head
	}{
		"altered": {change: func(tx *store.Tx, r []entry) error {
			return put(tx, r[17].seq, bytes.Replace(r[17].raw, []byte("PutItem"), []byte("GetItem"), 1))
		}},
		"first altered": {change: func(tx *store.Tx, r []entry) error {
			return put(tx, r[0].seq, append(bytes.Clone(r[0].raw), ' '))
		}},
		"deleted":       {change: func(tx *store.Tx, r []entry) error { return drop(tx, r[23].seq) }},
		"first deleted": {change: func(tx *store.Tx, r []entry) error { return drop(tx, r[0].seq) }},
		"last deleted":  {change: func(tx *store.Tx, r []entry) error { return drop(tx, r[44].seq) }},
		"swapped": {change: func(tx *store.Tx, r []entry) error {
			return errors.Join(put(tx, r[3].seq, r[4].raw), put(tx, r[4].seq, r[3].raw))
		}},
		"moved": {change: func(tx *store.Tx, r []entry) error {
			return errors.Join(drop(tx, r[3].seq), put(tx, r[3].seq-1, r[3].raw)) // between the same neighbours
		}},
		"added": {change: func(tx *store.Tx, r []entry) error { return put(tx, r[3].seq-1, r[3].raw) }},
		"added before the first": {change: func(tx *store.Tx, r []entry) error {
			return put(tx, -5, r[3].raw)
		}},
		"span removed with its records": {change: func(tx *store.Tx, r []entry) error {
			for _, e := range r[10:20] {
				if err := drop(tx, e.seq); err != nil {
					return err
				}
			}
			_, err := links().Delete(tx, store.K("n1", 20))
			return err
		}},
		"span rewritten, unsigned": {change: func(tx *store.Tx, r []entry) error {
			s, _, err := links().Get(tx, store.K("n1", 20))
			if err != nil {
				return err
			}
			h := s.Prev
			for _, e := range r[10:20] {
				e.raw = bytes.Replace(e.raw, []byte("PutItem"), []byte("GetItem"), 1)
				h = h.next(e.seq, e.raw)
				if err := put(tx, e.seq, e.raw); err != nil {
					return err
				}
			}
			s.Head.Hash = h
			return links().Put(tx, store.K("n1", 20), s)
		}},
		"signed by another key": {change: func(tx *store.Tx, _ []entry) error {
			s, _, err := links().Get(tx, store.K("n1", 45))
			if err != nil {
				return err
			}
			s.Head.sign("head", testKey(2))
			return links().Put(tx, store.K("n1", 45), s)
		}},
		"tail cut": {head: true, change: func(tx *store.Tx, r []entry) error {
			for _, e := range r[40:] {
				if err := drop(tx, e.seq); err != nil {
					return err
				}
			}
			_, err := links().Delete(tx, store.K("n1", 45))
			return err
		}},
		"all gone": {head: true, change: func(tx *store.Tx, r []entry) error {
			_, err1 := deleteRange(tx, records(), store.Range{}, "n1")
			_, err2 := deleteRange(tx, links(), store.Range{}, "n1")
			return errors.Join(err1, err2)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, Options{})
			f.write(1, 45)
			h := f.head()
			if r := f.report(h); !r.OK() || r.Nodes[0].Sealed != 45 {
				t.Fatalf("before: %+v", r)
			}
			f.tamper(c.change)
			if r := f.report(); r.OK() != c.head {
				t.Errorf("without the head: %v", r.Problems)
			}
			if r := f.report(h); r.OK() {
				t.Error("not found with the exported head")
			}
		})
	}
}

// TestRewrittenHistory is an attacker who has even the signing key: a head exported before shows it.
func TestRewrittenHistory(t *testing.T) {
	f := setup(t, Options{})
	f.write(1, 45)
	h := f.head()
	f.tamper(func(tx *store.Tx, r []entry) error {
		_, err := deleteRange(tx, links(), store.Range{}, "n1")
		return errors.Join(err, put(tx, r[5].seq, bytes.Replace(r[5].raw, []byte("PutItem"), []byte("GetItem"), 1)))
	})
	f.ok(f.trail.Seal(f.Context())) // with the same key
	if r := f.report(); !r.OK() {
		t.Fatalf("the forged chain is sound in itself: %v", r.Problems)
	}
	if r := f.report(h); r.OK() {
		t.Fatal("not found with the exported head")
	}
}

func TestSegmentTampering(t *testing.T) {
	recompress := func(t *testing.T, path string, change func([]byte) []byte) {
		t.Helper()
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err = w.Write(change(text))
		if err := errors.Join(err, w.Close(), in.Close(), os.WriteFile(path, out.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(t *testing.T, path string){
		"altered": func(t *testing.T, path string) {
			recompress(t, path, func(b []byte) []byte { return bytes.Replace(b, []byte("PutItem"), []byte("GetItem"), 1) })
		},
		"line removed": func(t *testing.T, path string) {
			recompress(t, path, func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] })
		},
		"line added": func(t *testing.T, path string) {
			recompress(t, path, func(b []byte) []byte { return append(bytes.Clone(b), b[:bytes.IndexByte(b, '\n')+1]...) })
		},
		"garbage": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("not gzip"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, Options{SegmentRecords: 20})
			f.write(1, 45)
			h := f.head()
			f.ok(f.trail.Compact(f.Context()))
			if r := f.report(h); !r.OK() {
				t.Fatalf("before: %v", r.Problems)
			}
			var s segment
			f.ok(f.db.View(t.Context(), store.In(Space), func(tx *store.Tx) error {
				for e, err := range segments().Scan(tx, store.K("n1"), store.Range{Limit: 1}) {
					s = e.Value
					return err
				}
				return errors.New("no segment")
			}))
			rel, err := blob.Path(s.File.ID)
			f.ok(err)
			change(t, filepath.Join(f.db.Dir(), "blobs", rel))
			if r := f.report(); r.OK() || r.Problems[0].First != s.First || r.Problems[0].Last != s.Head.Records {
				t.Fatalf("%+v", r)
			}
		})
	}
}

// TestCompactDoesNotLaunder: what was altered stays a row, and Verify goes on finding it.
func TestCompactDoesNotLaunder(t *testing.T) {
	f := setup(t, Options{SegmentRecords: 20})
	f.write(1, 45)
	f.head()
	f.tamper(func(tx *store.Tx, r []entry) error { return put(tx, r[5].seq, r[6].raw) })
	if err := f.trail.Compact(f.Context()); err == nil {
		t.Fatal("compacted what was altered")
	}
	if r := f.report(); r.OK() {
		t.Fatal("not found")
	}
}

// TestInterruptedCompact stops after the file has been recorded and before its rows are deleted.
func TestInterruptedCompact(t *testing.T) {
	f := setup(t, Options{SegmentRecords: 20})
	f.write(1, 45)
	h := f.head()
	if _, err := f.trail.compactOne(f.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := f.report(h); !r.OK() {
			t.Fatalf("%v", r.Problems)
		}
		for _, newest := range []bool{false, true} {
			if got := f.collect(f.trail.Query(f.Context(), Filter{Newest: newest})); len(got) != 45 {
				t.Fatalf("%d records", len(got))
			}
		}
		f.ok(f.trail.Compact(f.Context())) // the next run finishes it
	}
	if n := len(f.rows()); n != 5 {
		t.Fatalf("%d rows are left", n)
	}
}
