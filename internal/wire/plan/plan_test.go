package plan_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

type leaf struct {
	Name string `wire:"Name" opt:"required" min:"3" max:"5"`
}

type shape struct {
	Word   *string           `wire:"Word" pattern:"[a-z]+"`
	Secret *string           `wire:"Secret" opt:"sensitive" min:"8"`
	Count  *int32            `wire:"Count" min:"1" max:"10"`
	Blob   []byte            `wire:"Blob" max:"2"`
	Kind   *string           `wire:"Kind" enum:"A|B"`
	Leaf   *leaf             `wire:"Leaf"`
	Leaves []leaf            `wire:"Leaves" max:"2"`
	ByName map[string]leaf   `wire:"ByName"`
	Tags   map[string]string `wire:"Tags" k.min:"1" k.max:"3" e.max:"4"`
	Words  []string          `wire:"Words" opt:"required" e.min:"2" e.pattern:"[a-z]+"`
	Again  []shape           `wire:"Again"`
}

func p[T any](v T) *T { return &v }

func TestValidate(t *testing.T) {
	ok := shape{Words: []string{"ab"}}
	for _, c := range []struct {
		name string
		in   shape
		want []string
	}{
		{"fine", ok, nil},
		{"null", shape{}, []string{"Value null at 'words' failed to satisfy constraint: Member must not be null"}},
		{"pattern matches the whole", shape{Words: ok.Words, Word: p("abc1")}, []string{"Value 'abc1' at 'word' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+"}},
		{"secret", shape{Words: ok.Words, Secret: p("short")}, []string{"Value at 'secret' failed to satisfy constraint: Member must have length greater than or equal to 8"}},
		{"number", shape{Words: ok.Words, Count: p(int32(11))}, []string{"Value '11' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10"}},
		{"bytes", shape{Words: ok.Words, Blob: []byte("abc")}, []string{"Value '[3 bytes]' at 'blob' failed to satisfy constraint: Member must have length less than or equal to 2"}},
		{"enumeration", shape{Words: ok.Words, Kind: p("C")}, []string{"Value 'C' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [A, B]"}},
		{"characters, not bytes", shape{Words: ok.Words, Leaf: &leaf{"éééé"}}, nil},
		{"inside", shape{Words: ok.Words, Leaf: &leaf{"a"}}, []string{"Value 'a' at 'leaf.name' failed to satisfy constraint: Member must have length greater than or equal to 3"}},
		{"in a list", shape{Words: ok.Words, Leaves: []leaf{{"abc"}, {"abcdef"}}}, []string{"Value 'abcdef' at 'leaves.2.member.name' failed to satisfy constraint: Member must have length less than or equal to 5"}},
		{"in a map", shape{Words: ok.Words, ByName: map[string]leaf{"k": {"a"}}}, []string{"Value 'a' at 'byName.k.member.name' failed to satisfy constraint: Member must have length greater than or equal to 3"}},
		{"map", shape{Words: ok.Words, Tags: map[string]string{"long": "v"}}, []string{"Value '{1 entries}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 3, Member must have length greater than or equal to 1]"}},
		{"list of words", shape{Words: []string{"ab", "c"}}, []string{"Value '[ab, c]' at 'words' failed to satisfy constraint: Member must satisfy constraint: [Member must have length greater than or equal to 2, Member must satisfy regular expression pattern: [a-z]+]"}},
		{"recursive", shape{Words: ok.Words, Again: []shape{{Words: ok.Words, Count: p(int32(0))}}}, []string{"Value '0' at 'again.1.member.count' failed to satisfy constraint: Member must have value greater than or equal to 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cache plan.Cache
			var check plan.Check
			check.Validate(cache.Of(reflect.TypeFor[shape]()), reflect.ValueOf(c.in), true)
			var got []string
			for _, v := range check.Violations() {
				got = append(got, v.String())
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestManyViolationsAreBounded(t *testing.T) {
	var cache plan.Cache
	var check plan.Check
	in := shape{Words: []string{"ab"}, Leaves: make([]leaf, 1000)}
	check.Validate(cache.Of(reflect.TypeFor[shape]()), reflect.ValueOf(in), true)
	if n := len(plan.Message(check.Violations())); n > 10_000 || !strings.HasPrefix(plan.Message(check.Violations()), "32 validation errors detected: ") {
		t.Errorf("a message of %d bytes", n)
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 30, 15, 250e6, time.UTC)
	for f, want := range map[plan.Format]string{plan.Unix: "1709209815.25", plan.ISO8601: "2024-02-29T12:30:15.250Z",
		plan.RFC822: "Thu, 29 Feb 2024 12:30:15 GMT", plan.ISOMillis: "2024-02-29T12:30:15.250Z"} {
		got := string(plan.AppendTime(nil, at, f))
		if got != want {
			t.Errorf("%s: %s, want %s", f, got, want)
		}
		back, err := plan.ParseTime(got)
		if err != nil || back.Sub(at).Abs() >= time.Second {
			t.Errorf("%s: %s came back as %s (%v)", f, got, back, err)
		}
	}
	if got := string(plan.AppendTime(nil, time.Unix(-1, 500e6).UTC(), plan.Unix)); got != "-0.5" {
		t.Errorf("before 1970: %s", got)
	}
	for _, bad := range []string{"", "yesterday", "1e300", "NaN", "2024-13-01T00:00:00Z"} {
		if got, err := plan.ParseTime(bad); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2024-02-29T12:30:15Z")
	f.Add("1709209815.25")
	f.Add("Thu, 29 Feb 2024 12:30:15 GMT")
	f.Fuzz(func(t *testing.T, s string) {
		at, err := plan.ParseTime(s)
		if err != nil || at.Year() < 1 || at.Year() > 9999 {
			return
		}
		back, err := plan.ParseTime(string(plan.AppendTime(nil, at, plan.ISO8601)))
		if err != nil || back.Sub(at).Abs() >= time.Second {
			t.Fatalf("%q is %s, which came back as %s (%v)", s, at, back, err)
		}
	})
}
