package audit

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEncodeAsMarshal holds the encoder to encoding/json, over records of any content.
func TestEncodeAsMarshal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		fill(t, reflect.ValueOf(&r).Elem())
		want, werr := json.Marshal(&r)
		got, err := r.appendJSON(nil)
		if (err != nil) != (werr != nil) {
			t.Fatalf("%v, want %v: %+v", err, werr, r)
		}
		if err == nil && string(got) != string(want) {
			t.Fatalf("encoded as\n%s\nwant\n%s", got, want)
		}
	})
}

// TestEncodeEveryMember finds a member that the encoder was not taught.
func TestEncodeEveryMember(t *testing.T) {
	r := Record{Additional: map[string]any{"a": 1}, Resources: []Resource{{}}, TLSDetails: &TLSDetails{},
		UserIdentity: UserIdentity{SessionContext: &SessionContext{}}}
	for _, v := range []reflect.Value{reflect.ValueOf(&r).Elem(), reflect.ValueOf(&r.UserIdentity).Elem(), reflect.ValueOf(&r.Resources[0]).Elem()} {
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String {
				f.SetString(v.Type().Field(i).Name)
			} else if f.Kind() == reflect.Bool {
				f.SetBool(true)
			}
		}
	}
	want, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.appendJSON(nil); err != nil || string(got) != string(want) {
		t.Errorf("encoded as\n%s\nwant\n%s\n%v", got, want, err)
	}
}

// fill gives v random content of the kinds that records are made of.
func fill(t *rapid.T, v reflect.Value) {
	text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ -~]{1,20}`), rapid.String(), rapid.SampledFrom([]string{"<a&b>", "\xff\xfe", "\u2028", "\x00\x7f", "é"}))
	switch v.Interface().(type) {
	case time.Time:
		at := time.UnixMilli(rapid.Int64Range(-1e14, 3e14).Draw(t, "time")).UTC()
		v.Set(reflect.ValueOf(at))
		return
	case json.RawMessage:
		raw := rapid.SampledFrom([]string{"", "null", `{"a": [1, "x<y\u2028"], "b":{}}`, "{\"p\":\"\u2028é<\"}", `{"a":1}`, "{", "[1 ,2]", "\xe2"}).Draw(t, "raw")
		if raw != "" {
			v.SetBytes([]byte(raw))
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text.Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "present") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			fill(t, v.Index(v.Len()-1))
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(rapid.SampledFrom([]map[string]any{nil, {}, {"a": "<b>"}, {"bad": func() {}}, {"n": 1, "l": []int{1}}}).Draw(t, "map")))
	}
}
