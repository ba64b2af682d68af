package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

// noteAll notes n records and makes them durable together.
func (f *fixture) noteAll(from, n int) {
	f.Helper()
	for i := range n {
		f.ok(f.trail.Note(f.Context(), record(from+i)))
	}
	f.ok(f.trail.Flush(f.Context()))
}

func (f *fixture) batchRows() (n int) {
	f.Helper()
	f.ok(f.db.View(f.Context(), store.In(Space), func(tx *store.Tx) error {
		n = 0
		for e, err := range records().Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			if len(e.Value) > 0 && e.Value[0] == batchFormat {
				n++
			}
		}
		return nil
	}))
	return n
}

// TestNotedRecordsShareRows: rows hold many, and everything that reads the trail sees each.
func TestNotedRecordsShareRows(t *testing.T) {
	f := setup(t, Options{SealRecords: 100, SegmentRecords: 1000})
	f.noteAll(1, 700)
	f.write(701, 701)
	f.noteAll(702, 1) // alone in its row
	if n := f.batchRows(); n < 2 || n > 20 {
		t.Errorf("%d rows of several records for 700", n)
	}
	all := func(when string, want int) {
		t.Helper()
		for _, newest := range []bool{false, true} {
			if got := f.collect(f.trail.Query(f.Context(), Filter{Newest: newest})); len(got) != want {
				t.Errorf("%s: %d records, not %d", when, len(got), want)
			}
		}
		for i := 1; i <= want; i += 97 {
			if got := f.collect(f.trail.Query(f.Context(), Filter{RequestID: record(i).RequestID})); len(got) != 1 {
				t.Errorf("%s: record %d is found %d times", when, i, len(got))
			}
		}
	}
	all("before sealing", 702)
	h := f.head()
	if h.Records != 702 {
		t.Errorf("the head covers %d records", h.Records)
	}
	all("sealed", 702)
	f.noteAll(703, 600)
	h = f.head()
	f.ok(f.trail.Compact(f.Context()))
	all("in files", 1302)
	if r := f.report(h); !r.OK() {
		t.Errorf("%v", r.Problems)
	}
}

// TestTamperedBatch alters rows that hold many records; each way must be found.
func TestTamperedBatch(t *testing.T) {
	alter := func(old, new string) func([]byte) []byte {
		return func(row []byte) []byte { return bytes.Replace(row, []byte(old), []byte(new), 1) }
	}
	for name, change := range map[string]func(row []byte) []byte{
		"a record altered":      alter("Event", "Evenu"),
		"a record's length":     func(row []byte) []byte { row[2]--; return row },
		"a number":              func(row []byte) []byte { row[1]++; return row },
		"the last record gone":  func(row []byte) []byte { return row[:bytes.LastIndex(row, []byte(`{"eventVersion"`))-2] },
		"its format":            func(row []byte) []byte { row[0]++; return row },
		"nothing left":          func([]byte) []byte { return []byte{batchFormat} },
		"two records exchanged": func(row []byte) []byte { return exchange(t, row) },
		"a second format byte":  func(row []byte) []byte { return append([]byte{batchFormat}, row...) },
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, Options{})
			f.noteAll(1, 40)
			h := f.head()
			if r := f.report(h); !r.OK() {
				t.Fatalf("before: %v", r.Problems)
			}
			f.ok(f.db.Update(t.Context(), store.In(Space), func(tx *store.Tx) error {
				for e, err := range records().Scan(tx, store.Key{}, store.Range{Limit: 1}) {
					if err != nil {
						return err
					}
					return records().Put(tx, e.Key, change(bytes.Clone(e.Value)))
				}
				return fmt.Errorf("no row")
			}))
			if r := f.report(h); r.OK() || r.Problems[0].First != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// rowOf writes a row whose records lie at these distances before its end.
func rowOf(distances []uint64, raw func(i int) []byte) []byte {
	out := []byte{batchFormat}
	for i, d := range distances {
		out = binary.AppendUvarint(out, d)
		out = binary.AppendUvarint(out, uint64(len(raw(i))))
		out = append(out, raw(i)...)
	}
	return out
}

// disordered are the distances of rows whose records' numbers do not ascend to the row's own.
var disordered = map[string][]uint64{
	"none":                {},
	"one before the end":  {1},
	"all before the end":  {3, 2, 1},
	"beyond all numbers":  {1 << 62, 0},
	"behind the end":      {1<<64 - 1, 0},
	"the same twice":      {2, 2, 0},
	"the last twice":      {1, 0, 0},
	"descending":          {1, 2, 0},
	"ending as it begins": {0, 1, 0},
}

func TestSplitBatchRefuses(t *testing.T) {
	raw := func(int) []byte { return []byte("{}") }
	for name, distances := range disordered {
		if got, ok := splitBatch(nil, 1000, rowOf(distances, raw)[1:]); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got, ok := splitBatch(nil, 1000, rowOf([]uint64{5, 1, 0}, raw)[1:]); !ok || len(got) != 3 || got[0].seq != 995 || got[2].seq != 1000 {
		t.Errorf("a good row: %v, %v", got, ok)
	}
}

// TestRowsOutOfOrderAreOneRecord: a row whose numbers were tampered with stands for one record, and
// reading the trail goes past it, both where it has been sealed and where it has not.
func TestRowsOutOfOrderAreOneRecord(t *testing.T) {
	for name, distances := range disordered {
		t.Run(name, func(t *testing.T) {
			f := setup(t, Options{})
			f.noteAll(1, 40)
			h := f.head()
			f.noteAll(41, 3)
			f.write(44, 44)
			f.ok(f.db.Update(t.Context(), store.In(Space), func(tx *store.Tx) error {
				for e, err := range records().Scan(tx, store.Key{}, store.Range{}) {
					if err != nil {
						return err
					}
					if e.Value[0] != batchFormat {
						continue
					}
					list, ok := splitBatch(nil, e.Key.Int(1), e.Value[1:])
					if !ok {
						return fmt.Errorf("no batch")
					}
					if err := records().Put(tx, e.Key, rowOf(distances, func(i int) []byte { return list[i].raw })); err != nil {
						return err
					}
				}
				return nil
			}))
			r := f.report(h)
			if len(r.Problems) != 1 || r.Problems[0].What != "1 records are there, 40 were signed" || r.Nodes[0].Unsealed != 2 {
				t.Errorf("%+v", r)
			}
			if got := f.collect(f.trail.Query(t.Context(), Filter{RequestID: record(44).RequestID})); len(got) != 1 {
				t.Errorf("the record behind is found %d times", len(got))
			}
			f.ok(f.trail.Seal(t.Context()))
			if h := f.head(); h.Records != 42 {
				t.Errorf("the head covers %d records", h.Records)
			}
		})
	}
}

// exchange changes the places of the first two records but not their numbers.
func exchange(t *testing.T, row []byte) []byte {
	t.Helper()
	list, ok := splitBatch(nil, 1000, row[1:])
	if !ok || len(list) < 2 {
		t.Fatal("not a batch")
	}
	list[0].raw, list[1].raw = list[1].raw, list[0].raw
	var b batch
	for _, e := range list {
		b.add(e.seq, e.raw)
	}
	return b.row()
}

func FuzzSplitBatch(f *testing.F) {
	var b batch
	for i := range 3 {
		b.add(int64(10+i), []byte(strings.Repeat("x", i)))
	}
	f.Add(b.row()[1:])
	f.Add([]byte{0, 200, 1})
	f.Fuzz(func(t *testing.T, row []byte) {
		list, ok := splitBatch(nil, 1<<40, row)
		if !ok {
			return
		}
		var again batch
		for i, e := range list {
			if i > 0 && e.seq <= list[i-1].seq {
				t.Fatal("numbers do not ascend")
			}
			again.add(e.seq, e.raw)
		}
		if len(list) == 0 || again.last != 1<<40 {
			t.Fatalf("%d records, the last is %d", len(list), again.last)
		}
	})
}
