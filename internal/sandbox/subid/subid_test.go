package subid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/subid"
)

// TestLargest: a user's ranges are found by name and by number, and what is no line grants nothing.
func TestLargest(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want subid.Range
	}{
		"by name":             {"eve:1:9\nada:100000:65536\n", subid.Range{First: 100000, Count: 65536}},
		"by number":           {"1000:200000:65536", subid.Range{First: 200000, Count: 65536}},
		"the larger of two":   {"ada:100000:10\n1000:5000:20\nada:7000:15\n", subid.Range{First: 5000, Count: 20}},
		"the last id":         {"ada:4294967294:1\n", subid.Range{First: 4294967294, Count: 1}},
		"nothing":             {"", subid.Range{}},
		"only somebody else":  {"adam:100000:65536\n", subid.Range{}},
		"root's own id":       {"ada:0:65536\n", subid.Range{}},
		"above the last id":   {"ada:4294967294:2\n", subid.Range{}},
		"no ids":              {"ada:100000:0\n", subid.Range{}},
		"a comment":           {"# ada:100000:65536\n", subid.Range{}},
		"a field too many":    {"ada:100000:65536:1\n", subid.Range{}},
		"a sign":              {"ada:+100000:65536\nada:100000:-1\n", subid.Range{}},
		"a line without user": {":100000:65536\n", subid.Range{}},
		"a line too long":     {"ada:" + strings.Repeat("0", subid.MaxLine) + "1:65536\n", subid.Range{}},
	} {
		got, ok, err := subid.Largest(strings.NewReader(c.file), "ada", "1000", "")
		if err != nil || got != c.want || ok != (c.want.Count > 0) {
			t.Errorf("%s: %+v %v %v", name, got, ok, err)
		}
	}
	if _, _, err := subid.Largest(strings.NewReader(strings.Repeat("ada:1:1\n", subid.MaxFile/8)+"x"), "ada"); !errors.Is(err, subid.ErrTooLarge) {
		t.Errorf("a file without end: %v", err)
	}
	if r := (subid.Range{First: 10, Count: 2}); r.Holds(9) || !r.Holds(10) || !r.Holds(11) || r.Holds(12) {
		t.Error("the bounds of a range")
	}
}

// FuzzLargest: whatever a file holds, what is found is a range of ids that exist and is none of root's.
func FuzzLargest(f *testing.F) {
	f.Add("ada:100000:65536\n")
	f.Add("1000:4294967294:1\n:1:1\nada:0:1")
	f.Fuzz(func(t *testing.T, file string) {
		r, ok, err := subid.Largest(strings.NewReader(file), "ada", "1000")
		if ok != (r.Count > 0) || ok && (err != nil || r.First < 1 || r.First+r.Count-1 > 1<<32-2 || r.Holds(0)) {
			t.Errorf("%+v %v %v", r, ok, err)
		}
	})
}
