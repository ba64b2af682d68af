package endpoint

import (
	"net/url"
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	for _, c := range []struct {
		uri, id, want string
	}{
		{"https://API.example.com./pets/{id}", "a b", "https://api.example.com/pets/a%20b"},
		{"http://example.com:8080/{id+}", "a/b c/d", "http://example.com:8080/a/b%20c/d"},
		{"http://example.com/{id}?q={id}&fixed=1", "a&b", "http://example.com/a&b?q=a%26b&fixed=1"},
		{"http://example.com/x", "", "http://example.com/x"},
		{"http://example.com", "", "http://example.com"},
		{"http://[2001:DB8::1]:80/{id}", "\r\nHost: evil", "http://[2001:db8::1]:80/%0D%0AHost:%20evil"},
		{"http://10.1.2.3/{id}", "?x=1#y", "http://10.1.2.3/%3Fx=1%23y"},
		{"http://xn--bcher-kva.example/{id}", "@evil.example", "http://xn--bcher-kva.example/@evil.example"},
	} {
		e, err := Parse(c.uri)
		if err != nil {
			t.Errorf("%s: %v", c.uri, err)
			continue
		}
		if got, err := e.Fill(map[string]string{"id": c.id}); err != nil || got != c.want {
			t.Errorf("%s with %q: %q, %v; want %q", c.uri, c.id, got, err, c.want)
		}
	}
	e, err := Parse("http://example.com/base/{id+}")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"..", "../admin", "a/../../x", "%2e%2e/x", ".", `..\x`, "a/%2E%2E%2fb"} {
		if got, err := e.Fill(map[string]string{"id": v}); err == nil {
			t.Errorf("%q became %s", v, got)
		}
	}
	if got, err := e.Fill(nil); err == nil {
		t.Errorf("a part without a value became %s", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, uri := range []string{
		"", "example.com", "//example.com/", "file:///etc/passwd", "gopher://example.com:70/_x", "ftp://example.com/", "http:///x", "http://",
		"http://user:pass@example.com/", "http://example.com@evil.example/", "http://example.com:80@evil.example/", "http://evil.example#@example.com/",
		"http://example.com/#x", "http://exa mple.com/", "http://example.com/\r\nX: y", "http://example.com\\@evil.example/", "http://{host}/", "http://{host}.example.com/",
		"http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/", "http://0/", "http://127.0.0.01/", "http://[fe80::1%25eth0]/",
		"http://[fe80::1%eth0]/", "http://::1/", "http://[::1/", "http://127.0.0%2e1/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:/", "http://example.com:+80/",
		"http://bücher.example/", "http://①②⑦.0.0.1/", "http://example.com/{}", "http://example.com/{a b}", "http://example.com/../x", "http://example.com/%2e%2e/x", "http://example..com/",
		"http://" + strings.Repeat("a", 9000), "jar:http://example.com!/", "http:example.com", "http://[127.0.0.1]/",
	} {
		if e, err := Parse(uri); err == nil {
			t.Errorf("%q became %+v", uri, e)
		}
	}
}

// FuzzFill: whatever a request fills in, the host stays.
func FuzzFill(f *testing.F) {
	f.Add("http://example.com:81/a/{x}?q={x}", "../..")
	f.Add("https://[::1]/{x+}", "@evil.example/%2e")
	f.Fuzz(func(t *testing.T, uri, value string) {
		e, err := Parse(uri)
		if err != nil {
			return
		}
		values := map[string]string{}
		for _, p := range e.Parts() {
			values[p] = value
		}
		got, err := e.Fill(values)
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Hostname() != e.Host || u.Scheme != e.Scheme || u.User != nil || u.Fragment != "" || strings.ContainsAny(got, "\r\n ") {
			t.Fatalf("%q with %q is %q (%v), of %+v", uri, value, got, err, e)
		}
	})
}
