package way

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"db.example.com:5432":      "db.example.com:5432",
		"DB.Example.com:5432":      "db.example.com:5432",
		"*.example.com:443":        "*.example.com:443",
		".example.com:443":         "*.example.com:443",
		"private=*.corp:1-64":      "private=*.corp:1-64",
		"10.0.0.0/8:5432":          "10.0.0.0/8:5432",
		"10.1.2.3:5432":            "10.1.2.3:5432",
		"[2001:db8::/32]:443":      "[2001:db8::/32]:443",
		"[2001:db8::1]:443":        "[2001:db8::1]:443",
		"0.0.0.0/0:443":            "0.0.0.0/0:443",
		"[::/0]:443":               "[::/0]:443",
		"0.0.0.0/1:443":            "0.0.0.0/1:443",
		"128.0.0.0/1:443":          "128.0.0.0/1:443",
		"[::/1]:443":               "[::/1]:443",
		"127.0.0.1:99":             "127.0.0.1:99",
		"localhost:99":             "localhost:99",
		"db.localhost:99":          "db.localhost:99",
		"a.example:8000-8010":      "a.example:8000-8010",
		"private=db.internal:5432": "private=db.internal:5432",
	} {
		w, err := Parse(text)
		if err != nil || w.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, w, err, want)
		}
		if again, err := Parse(w.String()); err != nil || again != w {
			t.Errorf("%q reads back as %+v, %v", w, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, why := range map[string]string{
		"":                                "host:port",
		"example.com":                     "host:port",
		"example.com:0":                   "host:port",
		"example.com:080":                 "host:port",
		"example.com:65536":               "host:port",
		"example.com:443-":                "host:port",
		"example.com:443-80":              "ends before",
		"example.com:1-65":                "65 ports",
		":443":                            "either a host",
		"*:443":                           "name of one host",
		"*.:443":                          "name of one host",
		"a.*.example:443":                 "name of one host",
		"**.example:443":                  "name of one host",
		"exa mple.com:443":                "name of one host",
		"user@example.com:443":            "name of one host",
		"example.com/x:443":               "name of one host",
		"example.com.:443":                "name of one host",
		"2001:db8::1:443":                 "name of one host",
		"10.1.2.3/8:443":                  "beyond its block",
		"[fe80::1%eth0]:443":              "",
		"[::1]:443":                       "",
		"168.63.129.16:80":                "metadata",
		"100.100.100.200:80":              "metadata",
		"[fd00:ec2::254]:80":              "metadata",
		"[64:ff9b::7f00:1]:80":            "no block",
		"[2002:7f00:1::]:80":              "no block",
		"0.0.0.0/8:80":                    "no block",
		"0.0.0.0:80":                      "no block",
		"[::]:80":                         "no block",
		"*.metadata.goog:80":              "metadata",
		"a.metadata.google.internal:80":   "metadata",
		"*.metadata:80":                   "metadata",
		"[::ffff:127.0.0.1]:443":          "",
		"[::ffff:10.0.0.0/104]:443":       "plain block",
		"127.0.0.0/8:443":                 "this machine",
		"127.0.0.2:443":                   "",
		"169.254.169.254:80":              "link-local",
		"169.254.0.0/16:80":               "link-local",
		"[fe80::/10]:80":                  "link-local",
		"224.0.0.0/4:80":                  "no block",
		"metadata.google.internal:80":     "metadata",
		"private=localhost:80":            "not a private network",
		"private=127.0.0.1:80":            "not a private network",
		"*.localhost:80":                  "every name",
		"127.1:80":                        "not written as one",
		"0x7f000001:80":                   "not written as one",
		"2130706433:80":                   "not written as one",
		"0177.0.0.1:80":                   "not written as one",
		strings.Repeat("a", 64) + ".x:80": "name of one host",
	} {
		if w, err := Parse(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q is %+v, %v; want %q", text, w, err, why)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		way, host string
		want      bool
	}{
		{"*.example.com:1", "a.example.com", true}, {"*.example.com:1", "a.b.example.com", true}, {"*.example.com:1", "example.com", false},
		{"*.example.com:1", ".example.com", false}, {"*.example.com:1", "aexample.com", false}, {"example.com:1", "example.com", true},
		{"example.com:1", "a.example.com", false}, {"10.0.0.0/8:1", "example.com", false}, {"0.0.0.0/0:1", "example.com", true},
	} {
		w, err := Parse(c.way)
		if err != nil || w.Names(c.host) != c.want {
			t.Errorf("%s names %s: %t, %v", c.way, c.host, !c.want, err)
		}
	}
	w, err := Parse("a.example:10-12")
	if err != nil || w.Opens(9) || !w.Opens(10) || !w.Opens(12) || w.Opens(13) {
		t.Errorf("%+v, %v", w, err)
	}
}

// FuzzParse: what is read reads back as the same, and passes its own check.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.example.com:443", "private=[fd00::/8]:1-64", "10.0.0.0/8:5432", "127.0.0.1:1", "0x7f.1:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(w.String()); err != nil || again != w || w.Check() != nil {
			t.Fatalf("%q: %+v reads back as %+v, %v", text, w, again, err)
		}
	})
}
