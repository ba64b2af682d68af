package pattern

import "testing"

func TestPatterns(t *testing.T) {
	const entry = `{"level":"error","ms":120,"user":{"name":"ana"},"ok":false,"gone":null,"list":["a","b"]}`
	for _, c := range []struct {
		pattern, line string
		want          bool
	}{
		{"", "anything", true},
		{"ERROR", "an ERROR here", true},
		{"ERROR", "an error here", false},
		{"ERROR timeout", "timeout after ERROR", true},
		{"ERROR timeout", "ERROR only", false},
		{`"not found"`, "it was not found", true},
		{`"not found" -debug`, "debug: not found", false},
		{"?ERROR ?WARN", "a WARN", true},
		{"?ERROR ?WARN", "an INFO", false},
		{`{ $.level = "error" }`, entry, true},
		{`{ $.level = "err*" && $.ms > 100 }`, entry, true},
		{`{ $.ms <= 100 || $.user.name = ana }`, entry, true},
		{`{ ($.ms <= 100) && ($.user.name = ana) }`, entry, false},
		{`{ $.ok IS FALSE }`, entry, true},
		{`{ $.gone IS NULL }`, entry, true},
		{`{ $.none NOT EXISTS }`, entry, true},
		{`{ $.list[1] = "b" }`, entry, true},
		{`{ $.level != "error" }`, entry, false},
		{`{ $.level = "error" }`, "no json", false},
	} {
		match, err := Compile(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if got := match(c.line); got != c.want {
			t.Errorf("%q on %q: %v, want %v", c.pattern, c.line, got, c.want)
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, p := range []string{`"open`, "{ $.a = ", "{ $.a > x }", "{ a = 1 }", "{ ($.a = 1 }", "[a, b]", "%x%", "-", "{ $.a = 1 } x"} {
		if _, err := Compile(p); err == nil {
			t.Errorf("%q is taken", p)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"ERROR -x", `{ $.a = "b" && ($.c > 1 || $.d EXISTS) }`, `?"a b" ?c`} {
		f.Add(s, `{"a":"b"}`)
	}
	f.Fuzz(func(t *testing.T, p, line string) {
		if match, err := Compile(p); err == nil {
			match(line)
		}
	})
}
