package egress

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestSpecialBlocks: each is named anew, with what nothing, or only a route of its own, reaches.
func TestSpecialBlocks(t *testing.T) {
	private := []string{"100.64.0.0/10", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "fec0::/10"}
	if len(private) != len(special) {
		t.Errorf("%d blocks, %d are expected", len(special), len(private))
	}
	for _, text := range private {
		if got := classOf(netip.MustParsePrefix(text).Addr()); got != classPrivate {
			t.Errorf("%s is %s one", text, got)
		}
	}
	for text, want := range map[string]class{
		"192.0.0.192": classMetadata, "100.100.100.200": classMetadata, "168.63.129.16": classMetadata, "fd00:42::42": classMetadata, "fd00:c1::1": classMetadata,
		"fd00:ec2::254": classMetadata, "fd20:ce::254": classMetadata, "0.1.2.3": classNever, "192.0.0.1": classNever, "192.88.99.1": classNever, "255.255.255.255": classNever,
		"::7f00:1": classNever, "::ffff:0:7f00:1": classNever, "64:ff9b::1": classNever, "64:ff9b:1::1": classNever, "100::1": classNever, "2001::1": classNever,
		"2002::1": classNever, "3fff::1": classNever,
	} {
		a := netip.MustParseAddr(text)
		if got := classOf(a); got != want {
			t.Errorf("%s is %s address", text, got)
		}
		var dialled []string
		d, log := dialer(t, Policy{Public: []string{"p"}, Routes: []Route{{Host: text}, {Host: "a.example", Private: true}}, Ways: ways(t, "0.0.0.0/0:80", "[::/0]:80"),
			Resolver: &names{m: map[string][]string{"a.example": {text}}}}, &dialled)
		for _, host := range []string{"[" + text + "]", "a.example"} {
			_, err := d.Dial(t.Context(), "p", host+":80")
			if refused, ok := errors.AsType[*Refused](err); !ok || !refused.Final || len(dialled) != 0 {
				t.Errorf("%s by %s: %v, dialled %v", text, host, err, dialled)
			}
		}
		if len(log.records) != 2 || !log.records[0].Final {
			t.Errorf("%s: %+v", text, log.records)
		}
	}
	var dialled []string
	d, _ := dialer(t, Policy{Public: []string{"p"}}, &dialled)
	if _, err := d.Dial(t.Context(), "p", "10.1.2.3:80"); err == nil {
		t.Error("a private address was dialled")
	} else if refused, ok := errors.AsType[*Refused](err); !ok || refused.Final {
		t.Errorf("a route would lead there: %v", err)
	}
}

// TestAnswersAreBounded in their headers, and in how long they may take, to the last byte.
func TestAnswersAreBounded(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/headers":
			w.Header().Set("X-Long", strings.Repeat("x", 65<<10))
		case "/fits":
			w.Header().Set("X-Long", strings.Repeat("x", 60<<10))
		case "/silent":
			<-r.Context().Done()
		case "/dripping":
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	d, _ := local(t, s, Policy{})
	if _, err := d.Fetcher("test").Get(t.Context(), s.URL+"/fits", 10); err != nil {
		t.Error(err)
	}
	if _, err := d.Fetcher("test").Get(t.Context(), s.URL+"/headers", 10); err == nil || !strings.Contains(err.Error(), "exceeded 65536 bytes") {
		t.Errorf("long headers: %v", err)
	}
	d, _ = local(t, s, Policy{Timeout: 50 * time.Millisecond})
	for _, path := range []string{"/silent", "/dripping"} {
		if _, err := d.Fetcher("test").Get(t.Context(), s.URL+path, 10); err == nil || !isTimeout(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func isTimeout(err error) bool {
	late, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && late.Timeout()
}
