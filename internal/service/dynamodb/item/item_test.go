package item

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

const everyType = `{"b":{"B":"AAEC"},"bool":{"BOOL":false},"bs":{"BS":["YQ==","Yg=="]},"l":{"L":[{"S":"x"},{"L":[]},{"M":{}}]},` +
	`"m":{"M":{"inner":{"N":"-1.5"},"z":{"NULL":true}}},"n":{"N":"42"},"ns":{"NS":["-1","2","10"]},"nul":{"NULL":true},` +
	`"s":{"S":"héllo \"quoted\" \n\u0001 😀"},"ss":{"SS":["a","b"]},"t":{"BOOL":true}}`

func TestEveryTypeSurvivesJSONAndBinary(t *testing.T) {
	it, err := ParseItem(everyType)
	if err != nil || it.Err() != "" {
		t.Fatal(err, it.Err())
	}
	if got := string(it.AppendJSON(nil)); got != everyType {
		t.Errorf("JSON came back as\n%s\nwant\n%s", got, everyType)
	}
	back, err := FromBinary(it.AppendBinary(nil))
	if err != nil || !EqualItems(it, back) {
		t.Errorf("binary came back as %s (%v)", back.AppendJSON(nil), err)
	}
	if got, want := it.Get("b").Text(), "\x00\x01\x02"; got != want {
		t.Errorf("binary value %q, want %q", got, want)
	}
}

func TestReadingIsLenientWhereTheServiceIs(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"spaces":               {" { \"a\" : { \"S\" : \"x\" } } ", `{"a":{"S":"x"}}`},
		"order":                {`{"b":{"S":"1"},"a":{"S":"2"}}`, `{"a":{"S":"2"},"b":{"S":"1"}}`},
		"repeated name":        {`{"a":{"S":"1"},"a":{"S":"2"}}`, `{"a":{"S":"2"}}`},
		"false null":           {`{"a":{"NULL":false}}`, `{"a":{"NULL":true}}`},
		"empty string":         {`{"a":{"S":""},"b":{"B":""}}`, `{"a":{"S":""},"b":{"B":""}}`},
		"sets are sorted":      {`{"a":{"NS":["10","9","-1e1"]}}`, `{"a":{"NS":["-10","9","10"]}}`},
		"null member":          {`{"a":{"S":null,"N":"1"}}`, `{"a":{"N":"1"}}`},
		"unknown member":       {`{"a":{"X":[1,{"y":[]}],"N":"1"}}`, `{"a":{"N":"1"}}`},
		"escapes":              {`{"a":{"S":"\u0041\/\b\f\n\r\t\ud83d\ude00\ud800"}}`, `{"a":{"S":"A/\u0008\u000c\n\r\t😀` + "\ufffd" + `"}}`},
		"number normalization": {`{"a":{"N":"1.50e1"}}`, `{"a":{"N":"15"}}`},
	} {
		it, err := ParseItem(c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(it.AppendJSON(nil)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	const invalid = "One or more parameter values were invalid: "
	for in, want := range map[string]string{
		`{}`:                     "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
		`{"a":""}`:               "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
		`{"M":{"a":{}}}`:         "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
		`{"L":[{"S":"a"},{}]}`:   "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
		`{"S":"a","N":"1"}`:      "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
		`{"S":"a","N":""}`:       "The parameter cannot be converted to a numeric value",
		`{"S":"a","N":"b"}`:      "The parameter cannot be converted to a numeric value: b",
		`{"NS":["1",""]}`:        "The parameter cannot be converted to a numeric value",
		`{"NS":["1","b","c"]}`:   "The parameter cannot be converted to a numeric value: b",
		`{"NS":["1","1.0"]}`:     "Input collection contains duplicates",
		`{"SS":[]}`:              invalid + "An string set  may not be empty",
		`{"NS":[]}`:              invalid + "An number set  may not be empty",
		`{"BS":[]}`:              invalid + "Binary sets should not be empty",
		`{"SS":["a",""]}`:        invalid + "An string set may not have a empty string as a member",
		`{"BS":["aaaa",""]}`:     invalid + "Binary sets may not contain null or empty values",
		`{"SS":["b","a","b"]}`:   invalid + "Input collection [b, a, b] contains duplicates.",
		`{"BS":["Yg==","Yg=="]}`: invalid + "Input collection [Yg==, Yg==]of type BS contains duplicates.",
		strings.Repeat(`{"L":[`, 32) + `{"S":""}` + strings.Repeat(`]}`, 32):         "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit",
		strings.Repeat(`{"M":{"a":`, 5000) + `{"S":""}` + strings.Repeat(`}}`, 5000): "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit",
	} {
		it, err := ParseItem(`{"x":` + in + `}`)
		if err != nil || it.Err() != want {
			t.Errorf("%.80s: %q (%v), want %q", in, it.Err(), err, want)
		}
	}
	deepest, err := ParseItem(`{"x":` + strings.Repeat(`{"M":{"n":`, 31) + `{"S":"leaf"}` + strings.Repeat(`}}`, 31) + `}`)
	if err != nil || deepest.Err() != "" || deepest.Get("x").Depth() != MaxDepth {
		t.Errorf("32 levels must be accepted: %v %q %d", err, deepest.Err(), deepest.Get("x").Depth())
	}
}

func TestTextsThatAreNoItems(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":{"S":1}}`:            "NUMBER_VALUE cannot be converted to String",
		`{"a":{"N":1}}`:            "NUMBER_VALUE cannot be converted to String",
		`{"a":{"S":true}}`:         "TRUE_VALUE cannot be converted to String",
		`{"a":{"S":[]}}`:           "Unrecognized collection type class java.lang.String",
		`{"a":{"S":{}}}`:           "Start of structure or map found where not expected",
		`{"a":{"BOOL":"x"}}`:       "STRING_VALUE cannot be converted to Boolean",
		`{"a":{"B":"abc"}}`:        "Base64 encoded length is expected a multiple of 4 bytes but found: 3",
		`{"a":{"B":"a-bc"}}`:       "Invalid Base64 character: '-'",
		`{"a":{"L":"x"}}`:          "Unexpected field type for L",
		`{"a":{"SS":{}}}`:          "Start of structure or map found where not expected",
		`{"a":"x"}`:                "Unexpected value type in payload",
		`[]`:                       "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
		`{"a":{"S":"x"}`:           "Unexpected end of JSON input",
		`{"a":{"S":"x"}} x`:        "Unexpected character 'x' at offset 16",
		`{"a":{"S":"x"},}`:         "Unexpected character '}' at offset 15",
		"{\"a\":{\"S\":\"\x01\"}}": "Unexpected character '\\x01' at offset 11",
		`{"a":{"S":"\x"}}`:         "Unexpected character '\"' at offset 13",
	} {
		_, err := ParseItem(in)
		e, ok := err.(*awserr.Error)
		if !ok || e.Code != "SerializationException" || e.Message != want {
			t.Errorf("%s: %v, want SerializationException %q", in, err, want)
		}
	}
}

func TestItemsAreValues(t *testing.T) {
	a := Of(Attr{"b", S("1")}, Attr{"a", S("2")}, Attr{"b", S("3")})
	if got := string(a.AppendJSON(nil)); got != `{"a":{"S":"2"},"b":{"S":"3"}}` {
		t.Fatalf("Of: %s", got)
	}
	with, without := a.With("aa", S("x")), a.Without("a")
	changed := a.With("a", N("1"))
	if len(a) != 2 || a.Get("a").Text() != "2" {
		t.Errorf("the item changed: %s", a.AppendJSON(nil))
	}
	if len(with) != 3 || with[1].Name != "aa" || len(without) != 1 || changed.Get("a").Type() != Number {
		t.Errorf("With and Without: %s %s %s", with.AppendJSON(nil), without.AppendJSON(nil), changed.AppendJSON(nil))
	}
	if got := string(with.Pick("b", "none", "a").AppendJSON(nil)); got != `{"a":{"S":"2"},"b":{"S":"3"}}` {
		t.Errorf("Pick: %s", got)
	}
	var many Item
	for i := 0; i < 100; i++ {
		many = many.With(strings.Repeat("k", 100-i), N(itoa(i)))
	}
	if many.Get(strings.Repeat("k", 7)).Text() != "93" || many.Get("q").Exists() {
		t.Error("large items are searched wrongly")
	}
}

func TestSizesAndComparison(t *testing.T) {
	it := Of(Attr{"id", S("abc")}, Attr{"n", N("12345")}, Attr{"l", L(S("é"), NULL())}, Attr{"m", M(Of(Attr{"k", BOOL(true)}))},
		Attr{"ss", Set(StringSet, "a", "bc")}, Attr{"e", L()})
	if got, want := it.Size(), (2+3)+(1+4)+(1+3+2+2+1)+(1+3+1+1+1)+(2+3)+(1+3); got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	a, b := Set(NumberSet, "3", "1"), Set(NumberSet, "1.0", "2", "3.00")
	if !Equal(Union(a, b), b) || Equal(a, b) || Minus(a, b).Exists() || !Equal(Minus(b, a), Set(NumberSet, "2")) {
		t.Error("set arithmetic is wrong")
	}
	if !Contains(S("hello"), S("ell")) || Contains(S("1"), N("1")) || !Contains(a, N("3")) || !Contains(L(N("1")), N("1.0")) {
		t.Error("contains is wrong")
	}
	if _, ok := Compare(BOOL(true), BOOL(false)); ok {
		t.Error("truth values have no order")
	}
}

func TestKeysSortAsValuesDo(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "ab", "b", "é", "\xff"}
	for i, a := range texts {
		for j, b := range texts {
			ka := append(AppendKey(nil, B(a)), 0xff) // what follows must not change the order
			kb := AppendKey(nil, B(b))
			if got := bytes.Compare(ka, kb); (i < j) != (got < 0) {
				t.Errorf("keys of %q and %q: %d", a, b, got)
			}
			if got := bytes.HasPrefix(kb, AppendKeyPrefix(nil, a)); got != strings.HasPrefix(b, a) {
				t.Errorf("prefix %q of %q: %v", a, b, got)
			}
		}
	}
}

func FuzzParseItem(f *testing.F) {
	f.Add(everyType)
	f.Add(`{"a":{"S":"\ud83d\ude00"},"b":{"X":[{"y":1}],"N":"1e2"}}`)
	f.Add(`{"a":{"L":[{"M":{"b":{"NS":["1","2"]}}}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		it, err := ParseItem(text)
		if err != nil || it.Err() != "" {
			return
		}
		out := it.AppendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("%q is written as %q, which is not JSON", text, out)
		}
		again, err := ParseItem(string(out))
		if err != nil || !EqualItems(it, again) {
			t.Fatalf("%q came back as %q (%v)", out, again.AppendJSON(nil), err)
		}
		stored, err := FromBinary(it.AppendBinary(nil))
		if err != nil || !EqualItems(it, stored) || stored.Size() != it.Size() {
			t.Fatalf("%q came back from the store as %q (%v)", out, stored.AppendJSON(nil), err)
		}
	})
}

func FuzzFromBinary(f *testing.F) {
	it, _ := ParseItem(everyType)
	f.Add(it.AppendBinary(nil))
	f.Add([]byte{1, 1, 1, 'a', 8, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		it, err := FromBinary(data)
		if err == nil && len(it) > len(data) {
			t.Fatalf("%d attributes out of %d bytes", len(it), len(data))
		}
	})
}

var sample = `{"id":{"S":"user#12345"},"sort":{"S":"order#2024-01-01"},"count":{"N":"17"},"active":{"BOOL":true},` +
	`"tags":{"SS":["a","b","c"]},"address":{"M":{"city":{"S":"Carcassonne"},"zip":{"S":"11000"}}},"payload":{"S":"` + strings.Repeat("x", 700) + `"}}`

func BenchmarkParseItem(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseItem(sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBinaryAndJSON(b *testing.B) {
	it, _ := ParseItem(sample)
	data := it.AppendBinary(nil)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		got, err := FromBinary(data)
		if err != nil {
			b.Fatal(err)
		}
		buf = got.AppendJSON(buf[:0])
	}
}
