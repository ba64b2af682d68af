package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type filled struct {
	Name  string
	Count *int32
	Tags  map[string]string
	Only  string
}

func TestFillCopiesWhatIsThere(t *testing.T) {
	src := struct {
		Name  *string
		Count int32
		Tags  map[string]string
		Other string
	}{new("tasks"), 3, nil, "x"}
	dst := filled{Tags: map[string]string{"kept": "yes"}, Only: "mine"}
	Fill(&dst, &src)
	want := filled{"tasks", new(int32(3)), map[string]string{"kept": "yes"}, "mine"}
	if d := cmp.Diff(want, dst); d != "" {
		t.Error(d)
	}
}

func TestPropertiesAreRead(t *testing.T) {
	var dst struct {
		Name    string
		Seconds *int32
		On      *bool
		Rate    *float64
		Sources []string
		Nested  *struct{ Audience []string }
		By      map[string]struct{ Limit *int32 }
	}
	var props map[string]any
	d := json.NewDecoder(strings.NewReader(`{"Name":12,"Seconds":"30","On":"true","Rate":1.5,"Sources":["a"],
		"Nested":{"Audience":["b"]},"By":{"k":{"Limit":7}},"Unknown":1}`))
	d.UseNumber()
	if err := d.Decode(&props); err != nil {
		t.Fatal(err)
	}
	if err := Properties(&dst, props); err != nil {
		t.Fatal(err)
	}
	if dst.Name != "12" || *dst.Seconds != 30 || !*dst.On || *dst.Rate != 1.5 || dst.Sources[0] != "a" || dst.Nested.Audience[0] != "b" || *dst.By["k"].Limit != 7 {
		t.Errorf("%+v", dst)
	}
	for props, want := range map[string]string{
		`{"Seconds":"soon"}`:                 "Property Seconds must be a whole number.",
		`{"Sources":"a"}`:                    "Property Sources must be a list.",
		`{"Nested":{"Else":1}}`:              "Property Nested.Else is not known.",
		`{"Sources":[{"a":"b"}]}`:            "Property Sources[0] must be a single value.",
		`{"On":"perhaps"}`:                   "Property On must be true or false.",
		`{"By":{"k":{"Limit":99999999999}}}`: "Property By.k.Limit must be a whole number.",
	} {
		var m map[string]any
		if err := json.Unmarshal([]byte(props), &m); err != nil {
			t.Fatal(err)
		}
		if err := Properties(&dst, m); err == nil || err.Error() != "Validation: "+want {
			t.Errorf("%s: %v, want %s", props, err, want)
		}
	}
}
