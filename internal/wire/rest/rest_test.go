package rest_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
	"github.com/bastide-cloud/bastide/internal/wire/rest"
)

type message struct {
	Name   string              `wire:"name" in:"uri" opt:"required"`
	Max    *int32              `wire:"max-keys" name:"Max" in:"querystring"`
	Keys   []string            `wire:"key" name:"Keys" in:"querystring"`
	Others map[string]string   `wire:"others" in:"querystring"`
	Since  *time.Time          `wire:"If-Modified-Since" name:"Since" in:"header"`
	Wanted []string            `wire:"x-amz-wanted" name:"Wanted" in:"header"`
	Must   string              `wire:"x-amz-must" name:"Must" in:"header" opt:"required"`
	Meta   map[string]string   `wire:"x-amz-meta-" in:"headers"`
	Code   *int32              `wire:"Code" in:"statusCode"`
	Body   *string             `wire:"Body"`
	Multi  map[string][]string `wire:"multi"`
}

func decode(labels map[string]string, query string, h http.Header) (message, []plan.Violation, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return message{}, nil, err
	}
	var cache plan.Cache
	var out message
	var check plan.Check
	v := reflect.ValueOf(&out).Elem()
	get := func(name string) (string, bool) { s, ok := labels[name]; return s, ok }
	err = rest.Decode(rest.Request{Labels: get, Query: q, Header: h}, cache.Of(v.Type()), v, &check)
	return out, check.Violations(), err
}

func TestRoundTrip(t *testing.T) {
	at, n := time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC), int32(7)
	h := http.Header{"If-Modified-Since": {"Thu, 29 Feb 2024 12:30:15 GMT"}, "X-Amz-Wanted": {"a, b", "c"}, "X-Amz-Must": {"m"}, "X-Amz-Meta-One": {"1", "2"}}
	got, missing, err := decode(map[string]string{"name": "a/b"}, "max-keys=7&key=x&key=y&other=z", h)
	if err != nil || missing != nil {
		t.Fatal(err, missing)
	}
	want := message{Name: "a/b", Max: &n, Keys: []string{"x", "y"}, Others: map[string]string{"other": "z"}, Since: &at, Wanted: []string{"a", "b", "c"}, Must: "m",
		Meta: map[string]string{"one": "1,2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var cache plan.Cache
	out := http.Header{}
	got.Code = p(int32(202))
	got.Must = "a\r\nSet-Cookie: x"
	v := reflect.ValueOf(got)
	if status := rest.Encode(out, cache.Of(v.Type()), v); status != 202 {
		t.Errorf("status %d", status)
	}
	if diff := cmp.Diff(http.Header{"If-Modified-Since": {"Thu, 29 Feb 2024 12:30:15 GMT"}, "X-Amz-Wanted": {"a,b,c"}, "X-Amz-Must": {"a  Set-Cookie: x"},
		"x-amz-meta-one": {"1,2"}}, out); diff != "" {
		t.Error(diff)
	}
}

func TestMissing(t *testing.T) {
	_, missing, err := decode(map[string]string{"name": "n"}, "max-keys=", nil)
	if err != nil || len(missing) != 1 || missing[0].Path != "must" {
		t.Errorf("%v %v", missing, err)
	}
}

func TestErrors(t *testing.T) {
	if _, _, err := decode(nil, "max-keys=x", nil); err == nil || !strings.Contains(err.Error(), "Max") {
		t.Errorf("error %v", err)
	}
	if _, _, err := decode(nil, "", http.Header{"If-Modified-Since": {"soon"}}); err == nil || !strings.Contains(err.Error(), "timestamp") {
		t.Errorf("error %v", err)
	}
}

func p[T any](v T) *T { return &v }

func FuzzDecode(f *testing.F) {
	f.Add("n", "max-keys=1&key=a&x=y", "Thu, 29 Feb 2024 12:30:15 GMT", "a,b")
	f.Fuzz(func(t *testing.T, name, query, since, wanted string) {
		out, _, err := decode(map[string]string{"name": name}, query, http.Header{"If-Modified-Since": {since}, "X-Amz-Wanted": {wanted}, "X-Amz-Must": {wanted}})
		if err != nil {
			return
		}
		if out.Name != name || out.Must != wanted || len(out.Wanted) != strings.Count(wanted, ",")+1 {
			t.Fatalf("%+v", out)
		}
	})
}
