package json_test

import (
	stdjson "encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/wire/json"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

type inner struct {
	Name string           `wire:"Name" opt:"required"`
	Tags map[string]inner `wire:"Tags"`
}

type outer struct {
	Text  *string           `wire:"Text"`
	Int   *int32            `wire:"Int"`
	Long  int64             `wire:"Long"`
	Float *float64          `wire:"Float"`
	Flag  *bool             `wire:"Flag"`
	When  *time.Time        `wire:"When"`
	ISO   *time.Time        `wire:"ISO" ts:"iso8601"`
	Blob  []byte            `wire:"Blob"`
	Raw   plan.RawJSON      `wire:"Raw"`
	In    *inner            `wire:"In"`
	List  []inner           `wire:"List"`
	Names []string          `wire:"Names"`
	Map   map[string]string `wire:"Map"`
}

func decode(t testing.TB, doc string) (outer, []plan.Violation, error) {
	var cache plan.Cache
	var out outer
	var check plan.Check
	v := reflect.ValueOf(&out).Elem()
	err := json.Decode([]byte(doc), cache.Of(v.Type()), v, &check, json.Limits{})
	return out, check.Violations(), err
}

func TestRoundTrip(t *testing.T) {
	const doc = `{"Text":"a\"\\\n\u00e9😀","Int":-7,"Long":9007199254740993,"Float":1.5,"Flag":false,"When":1709209815.25,"ISO":"2024-02-29T12:30:15Z",` +
		`"Blob":"AGJsb2L/","Raw":{"x":[1,2.50,{"y":null}]},"In":{"Name":"n","Tags":{"k":{"Name":"deep"}}},"List":[{"Name":"1"},{"Name":"2"}],"Names":[],"Map":{"a":"1","b":"2"}}`
	out, missing, err := decode(t, doc)
	if err != nil || len(missing) != 0 {
		t.Fatal(err, missing)
	}
	var cache plan.Cache
	v := reflect.ValueOf(&out).Elem()
	got := string(json.Append(nil, cache.Of(v.Type()), v))
	if want := strings.ReplaceAll(doc, `\u00e9`, "é"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestMissing(t *testing.T) {
	_, missing, err := decode(t, `{"In":{},"List":[{"Name":"1"},{"Tags":{"k":{}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range missing {
		paths = append(paths, m.Path)
	}
	if got, want := strings.Join(paths, " "), "in.name list.2.member.tags.k.name list.2.member.name"; got != want {
		t.Errorf("missing %s, want %s", got, want)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"number for string", `{"Text":5}`, "NUMBER_VALUE cannot be converted to String"},
		{"string for number", `{"Int":"5"}`, "STRING_VALUE cannot be converted to Integer"},
		{"too large", `{"Int":2147483648}`, "Number out of range"},
		{"list for string", `{"Text":[]}`, "Start of list found where not expected"},
		{"object for list", `{"Names":{}}`, "Start of structure or map found where not expected."},
		{"base64", `{"Blob":"%"}`, "base64"},
		{"no object", `[]`, "must be an object"},
		{"trailing comma", `{"Text":"a",}`, "trailing comma"},
		{"two documents", `{} {}`, "after the document"},
		{"open string", `{"Text":"a`, "end of string"},
		{"bad escape", `{"Text":"\x"}`, "invalid escape"},
		{"bad UTF-8", "{\"Text\":\"\xff\"}", "invalid UTF-8"},
		{"too deep", `{"Raw":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "too deep"},
		{"deep where unknown", `{"Unknown":` + strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat("}", 300) + `}`, "too deep"},
		{"too many", `{"Names":[` + strings.Repeat(`"",`, 250_000) + `""]}`, "too many elements"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decode(t, c.doc)
			var syntax *json.SyntaxError
			var typ *json.TypeError
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &syntax) && !errors.As(err, &typ) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestWholeFloatsAreIntegers(t *testing.T) {
	out, _, err := decode(t, `{"Int":5.0,"Long":1e3}`)
	if err != nil || *out.Int != 5 || out.Long != 1000 {
		t.Errorf("%+v %v", out, err)
	}
}

// FuzzDecode holds the decoder against Go's own: the same documents are JSON, and strings read the
// same; what we write is JSON again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"Text":"a\ud83d\ude00\ud83d"}`, `{"List":[{"Name":"x","Tags":{"a":{"Name":"b"}}}],"Raw":[1,{"a":-0.5e+3}]}`,
		`{"When":1e9,"ISO":"2024-02-29T12:30:15Z","Blob":"AA==","Float":"NaN","Int":5.0}`, `[1,2`, `{"Text":"\u12"}`, "{\"Text\":\"\x00\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		valid := json.Valid(doc, json.Limits{}) == nil
		if std := stdjson.Valid(doc); valid != std && utf8.Valid(doc) && strings.Count(string(doc), "[")+strings.Count(string(doc), "{") < 200 {
			t.Fatalf("valid %v, Go says %v", valid, std)
		}
		out, _, err := decode(t, string(doc))
		if err != nil {
			return
		}
		if !valid {
			t.Fatal("decoded what is not valid")
		}
		var cache plan.Cache
		v := reflect.ValueOf(&out).Elem()
		if b := json.Append(nil, cache.Of(v.Type()), v); !stdjson.Valid(b) {
			t.Fatalf("wrote %q", b)
		}
		if out.Text != nil {
			var std struct{ Text *string }
			if err := stdjson.Unmarshal(doc, &std); err == nil && strings.Count(strings.ToLower(string(doc)), "ext\"") == 1 && std.Text != nil && *std.Text != *out.Text {
				t.Fatalf("text %q, Go reads %q", *out.Text, *std.Text)
			}
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\n\x00\x7f\u2028é\xff😀")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := stdjson.Unmarshal(json.AppendString(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Fatalf("%q came back as %q (%v)", s, back, err)
		}
	})
}
