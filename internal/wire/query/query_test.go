package query_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
	"github.com/bastide-cloud/bastide/internal/wire/query"
)

type tag struct {
	Key   string  `wire:"Key" opt:"required"`
	Value *string `wire:"Value"`
}

type input struct {
	Name  *string           `wire:"Name"`
	Count *int32            `wire:"Count"`
	Flag  *bool             `wire:"Flag"`
	When  *time.Time        `wire:"When"`
	Tags  []tag             `wire:"Tags"`
	Flat  []string          `wire:"Flat" opt:"flattened"`
	Named []string          `wire:"Named" e.wire:"Item"`
	Map   map[string]string `wire:"Map"`
	In    *tag              `wire:"In"`
}

func decode(form string) (input, []plan.Violation, error) {
	var out input
	var cache plan.Cache
	var check plan.Check
	v := reflect.ValueOf(&out).Elem()
	err := query.Decode(form, cache.Of(v.Type()), v, &check, query.Limits{})
	return out, check.Violations(), err
}

func TestDecode(t *testing.T) {
	s := func(s string) *string { return &s }
	n, yes, when := int32(7), true, time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC)
	got, missing, err := decode("Action=X&Version=1&Name=a+b%26c&Count=7&Flag=true&When=2024-02-29T12%3A30%3A15Z" +
		"&Tags.member.1.Key=k1&Tags.member.1.Value=&Tags.member.2.Key=k2&Tags.member.10.Key=k10&Flat.1=x&Flat.2=y&Named.Item.1=z" +
		"&Map.entry.1.key=a&Map.entry.1.value=b&In.Key=i&Unknown.1=2")
	if err != nil || missing != nil {
		t.Fatal(err, missing)
	}
	want := input{Name: s("a b&c"), Count: &n, Flag: &yes, When: &when, Tags: []tag{{"k1", s("")}, {"k2", nil}, {"k10", nil}}, Flat: []string{"x", "y"},
		Named: []string{"z"}, Map: map[string]string{"a": "b"}, In: &tag{Key: "i"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyListIsThere(t *testing.T) {
	got, _, err := decode("Tags=")
	if err != nil || got.Tags == nil || len(got.Tags) != 0 || got.Flat != nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestMissing(t *testing.T) {
	_, missing, err := decode("Tags.member.1.Key=k&Tags.member.2.Value=v")
	if err != nil || len(missing) != 1 || missing[0].Path != "tags.2.member.key" {
		t.Errorf("%v %v", missing, err)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, form, want string }{
		{"escape", "Name=%zz", "malformed"},
		{"number", "Count=x", "Integer"},
		{"index", "Tags.member.x.Key=1", "no index"},
		{"index with zeros", "Flat.01=1", "no index"},
		{"half an entry", "Map.entry.1.key=a", "lacks its key or value"},
		{"scalar with members", "Name.x=1", "no value"},
		{"too deep", strings.Repeat("a.", 40) + "=1", "too deep"},
		{"too many", strings.Repeat("a=1&", 50_001), "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := decode(c.form); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("Action=X&Tags.member.1.Key=k&Tags.member.1.Value=v&Map.entry.1.key=a&Map.entry.1.value=b")
	f.Add("Flat.99999999999999999999=1&.=&&==&Name=%41")
	f.Fuzz(func(t *testing.T, form string) {
		out, _, err := decode(form)
		if err != nil {
			return
		}
		if len(out.Tags)+len(out.Flat)+len(out.Named)+len(out.Map) > strings.Count(form, "&")+1 {
			t.Fatalf("%d parameters made %+v", strings.Count(form, "&")+1, out)
		}
	})
}
