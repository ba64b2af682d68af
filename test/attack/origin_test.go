package attack

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// pages is how a browser marks what a page of another site sends, and a rebound name.
var pages = map[string]func(*http.Request){
	"another origin":      func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	"the null origin":     func(r *http.Request) { r.Header.Set("Origin", "null") },
	"another port":        func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8080") },
	"a cross-site fetch":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	"a same-site fetch":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
	"a rebound host":      func(r *http.Request) { r.Host = "evil.example" },
	"a rebound subdomain": func(r *http.Request) { r.Host = "127.0.0.1.evil.example:4566" },
	"a name that ends so": func(r *http.Request) { r.Host = "evillocalhost" },
	"an empty label":      func(r *http.Request) { r.Host = "evil.example:4566" },
	"another address":     func(r *http.Request) { r.Host = "192.0.2.1" },
}

// TestForeignPages: a page of another origin drives nothing, not even where every key is the
// administrator's, and learns nothing either.
func TestForeignPages(t *testing.T) {
	for name, flags := range map[string][]string{"closed": nil, "open credentials": {"--open-credentials"}} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, flags...)
			admin := s.Admin(t).Signing()
			for page, mark := range pages {
				for _, d := range doors {
					r := d.signed(t, s, admin, time.Now())
					mark(r)
					foreign(t, page+" "+d.name, s.Send(t, r))
				}
				for _, path := range []string{"/", "/_bastide/health", "/_localstack/health", "/_bastide/reset", "/_bastide/v1/status", "/bucket/key", "/2015-03-31/functions"} {
					for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
						r := simple(t, s, method, path)
						mark(r)
						foreign(t, page+" "+method+" "+path, s.Send(t, r))
					}
				}
			}
			formPosts(t, s)
			s.Alive(t)
		})
	}
}

// simple is a request that a page may send without asking first (Fetch standard, "CORS-safelisted
// request-header"): a form's.
func simple(t *testing.T, s *harness.Server, method, path string) *http.Request {
	r, err := http.NewRequest(method, s.URL()+path, strings.NewReader("Action=CreateUser&UserName=csrf&Version=2010-05-08"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	return r
}

func foreign(t *testing.T, what string, a harness.Answer) {
	t.Helper()
	if a.Status != http.StatusForbidden {
		t.Errorf("%s: answered %d %.200s", what, a.Status, a.Body)
	}
	for k := range a.Header {
		if strings.HasPrefix(k, "Access-Control-Allow") {
			t.Errorf("%s: the answer carries %s", what, k)
		}
	}
}

// formPosts: a form of a browser that marks nothing carries no signature, which nobody is spared.
func formPosts(t *testing.T, s *harness.Server) {
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		r := simple(t, s, http.MethodPost, "/")
		r.Header.Set("Content-Type", kind)
		if a := s.Send(t, r); a.Status < 400 || a.Status >= 500 {
			t.Errorf("an unsigned form (%s): %d %s", kind, a.Status, a.Body)
		}
		r = simple(t, s, http.MethodPost, "/_bastide/reset")
		r.Header.Set("Content-Type", kind)
		if a := s.Send(t, r); a.Status != http.StatusForbidden {
			t.Errorf("a form resets (%s): %d %s", kind, a.Status, a.Body)
		}
	}
	for _, u := range s.Records(t, url.Values{"eventName": {"CreateUser"}}) {
		if strings.Contains(string(u.RequestParameters), "csrf") && u.ErrorCode == "" {
			t.Error("a page made a user")
		}
	}
}

// TestReset: only under open credentials, only by POST with its header.
func TestReset(t *testing.T) {
	closed, open := harness.Start(t), harness.Start(t, "--open-credentials")
	post := func(s *harness.Server, method string, header bool) harness.Answer {
		r, err := http.NewRequest(method, s.URL()+"/_bastide/reset", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header {
			r.Header.Set("X-Bastide-Reset", "yes")
		}
		return s.Send(t, r)
	}
	if a := post(closed, http.MethodPost, true); a.Status != http.StatusForbidden {
		t.Errorf("a closed server reset: %d %s", a.Status, a.Body)
	}
	if a := post(open, http.MethodPost, false); a.Status != http.StatusForbidden {
		t.Errorf("a reset without its header: %d %s", a.Status, a.Body)
	}
	if a := post(open, http.MethodGet, true); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("a reset by GET: %d %s", a.Status, a.Body)
	}
	if err := open.Client(t).CreateBucket(t.Context(), "attack-reset"); err != nil {
		t.Fatal(err)
	}
	if a := post(open, http.MethodPost, true); a.Status != http.StatusNoContent {
		t.Errorf("a reset: %d %s", a.Status, a.Body)
	}
	if there, err := open.Client(t).HeadObject(t.Context(), "attack-reset", "x"); err != nil || there {
		t.Errorf("after the reset: %v %v", there, err)
	}
	open.Recorded(t, "the reset", url.Values{"eventName": {"Reset"}}, func(r audit.Record) bool { return r.ErrorCode == "" })
}
