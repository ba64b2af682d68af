package document

import (
	"errors"
	"strings"
	"testing"
)

func TestParseReadsBothNotations(t *testing.T) {
	for name, src := range map[string]string{
		"json": "{\n\t\"info\": {\"title\": \"tasks\", \"version\": 1.10}, \"on\": true, \"list\": [1, \"a\"], \"account\": 000000000012}",
		"yaml": "info:\n  title: tasks\n  version: 1.10\n\"on\": true\nlist: [1, a]\n",
	} {
		if name == "json" {
			src = strings.Replace(src, "000000000012", `"000000000012"`, 1)
		}
		v, err := Parse([]byte(src))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := v.Get("info", "title").Text(); got != "tasks" {
			t.Errorf("%s: title %q", name, got)
		}
		if got := v.Get("info", "version").Text(); got != "1.10" {
			t.Errorf("%s: version %q", name, got)
		}
		if b, ok := v.Get("on").Bool(); !b || !ok {
			t.Errorf("%s: on is %v %v", name, b, ok)
		}
		if got := strings.Join(v.Get("list").Texts(), ","); got != "1,a" {
			t.Errorf("%s: list %q", name, got)
		}
		if v.Get("info", "nothing", "below").Exists() {
			t.Errorf("%s: what is not there exists", name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
		"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
	cases := map[string]struct {
		src  string
		want error
	}{
		"a list":             {"[1]", ErrForm},
		"nothing":            {"", ErrForm},
		"a key twice":        {`{"a":1,"a":2}`, ErrDuplicate},
		"too deep in JSON":   {`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", ErrTooDeep},
		"aliases that swell": {bomb, ErrTooLarge},
		"too long":           {strings.Repeat(" ", MaxSize+1), ErrTooLarge},
	}
	for name, c := range cases {
		if _, err := Parse([]byte(c.src)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"openapi":"3.0.1","paths":{"/a":{"get":{}}}}`))
	f.Add([]byte("openapi: 3.0.1\npaths: &p {/a: {get: *p}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b)
		if err == nil && !v.IsMap() {
			t.Fatalf("%q gave %s, which is no map", b, v.JSON())
		}
	})
}
