package outgoing

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// canary is a server of this machine that nobody may reach.
func canary(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		fmt.Fprint(w, "canary")
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, hits
}

// refusedAt selects the record of a refusal at a place, for a reason.
func refusedAt(place, why string) func(audit.Record) bool {
	return func(r audit.Record) bool {
		return on(place)(r) && strings.HasPrefix(r.ErrorCode, "AccessDenied") && strings.Contains(r.ErrorMessage, why)
	}
}

// TestFunctionSSRF has a function that may reach the whole internet and a private network try what turns
// such leave against this machine. Each attempt comes to nothing, and is recorded as the function's.
func TestFunctionSSRF(t *testing.T) {
	dns, server := names(t, inward())
	port, hits := canary(t)
	s := harness.Start(t, "--name-server", server)
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}))
	t.Cleanup(away.Close)
	_, awayPort, _ := net.SplitHostPort(away.Listener.Addr().String())
	_, own, _ := net.SplitHostPort(s.Address)
	f := function{t, s, "ssrf"}
	f.create(map[string]string{
		"bastide:egress":      fmt.Sprintf("0.0.0.0/0:%s [::/0]:%s private=.corp.test:%s", port, port, port),
		"bastide:egress:more": fmt.Sprintf("away.localhost:%s self.localhost:%s", awayPort, own),
	})
	const nowhere, unnamed = "which nothing reaches", "which no route names"
	for _, c := range []struct{ name, url, place, why string }{
		{"loopback", "http://127.0.0.1:PORT/", "127.0.0.1:PORT", unnamed},
		{"short form", "http://127.1:PORT/", "127.0.0.1:PORT", unnamed},
		{"decimal", "http://2130706433:PORT/", "127.0.0.1:PORT", unnamed},
		{"hexadecimal", "http://0x7f000001:PORT/", "127.0.0.1:PORT", unnamed},
		{"octal", "http://0177.0.0.1:PORT/", "127.0.0.1:PORT", unnamed},
		{"zero", "http://0:PORT/", "127.0.0.1:PORT", unnamed},
		{"another loopback address", "http://127.8.8.8:PORT/", "127.8.8.8:PORT", unnamed},
		{"IPv6 loopback", "http://[::1]:PORT/", "[::1]:PORT", unnamed},
		{"IPv4-mapped", "http://[::ffff:127.0.0.1]:PORT/", "127.0.0.1:PORT", unnamed},
		{"IPv4-mapped metadata", "http://[::ffff:a9fe:a9fe]:PORT/", "169.254.169.254:PORT", nowhere},
		{"NAT64", "http://[64:ff9b::7f00:1]:PORT/", "[64:ff9b::7f00:1]:PORT", nowhere},
		{"6to4", "http://[2002:7f00:1::1]:PORT/", "[2002:7f00:1::1]:PORT", nowhere},
		{"private", "http://10.0.0.1:PORT/", "10.0.0.1:PORT", unnamed},
		{"metadata", "http://169.254.169.254:PORT/latest/meta-data/", "169.254.169.254:PORT", nowhere},
		{"metadata in decimal", "http://2852039166:PORT/", "169.254.169.254:PORT", nowhere},
		{"metadata over IPv6", "http://[fd00:ec2::254]:PORT/", "[fd00:ec2::254]:PORT", nowhere},
		{"metadata at its own port", "http://169.254.169.254/latest/", "169.254.169.254:80", "no way is declared"},
		{"metadata of Alibaba", "http://100.100.100.200:PORT/", "100.100.100.200:PORT", nowhere},
		{"metadata by its name", "http://metadata.google.internal:PORT/", "metadata.google.internal", "answers for its metadata"},
		{"a name of loopback", "http://loop.corp.test:PORT/", "loop.corp.test:PORT", unnamed},
		{"a name of IPv6 loopback", "http://six.corp.test:PORT/", "six.corp.test:PORT", unnamed},
		{"a name of a mapped address", "http://mapped.corp.test:PORT/", "mapped.corp.test:PORT", unnamed},
		{"a name of metadata", "http://meta.corp.test:PORT/", "meta.corp.test:PORT", nowhere},
		{"a name of IPv6 metadata", "http://ec2.corp.test:PORT/", "ec2.corp.test:PORT", nowhere},
		{"a name of Alibaba's metadata", "http://alibaba.corp.test:PORT/", "alibaba.corp.test:PORT", nowhere},
		{"a name of Azure's wire server", "http://azure.corp.test:PORT/", "azure.corp.test:PORT", nowhere},
		{"a name of NAT64", "http://nat64.corp.test:PORT/", "nat64.corp.test:PORT", nowhere},
		{"a name of 6to4", "http://sixtofour.corp.test:PORT/", "sixtofour.corp.test:PORT", nowhere},
		{"a name of no address", "http://any.corp.test:PORT/", "any.corp.test:PORT", nowhere},
		{"a CNAME inwards", "http://cname.corp.test:PORT/", "cname.corp.test:PORT", unnamed},
		{"upper case and a final dot", "http://LOOP.Corp.Test.:PORT/", "loop.corp.test:PORT", unnamed},
		{"punycode", "http://xn--loop-rqa.corp.test:PORT/", "xn--loop-rqa.corp.test:PORT", unnamed},
		{"a redirect to loopback", "http://away.localhost:AWAY/?to=http://127.0.0.1:PORT/", "127.0.0.1:PORT", unnamed},
		{"a redirect to metadata", "http://away.localhost:AWAY/?to=http://169.254.169.254:PORT/", "169.254.169.254:PORT", nowhere},
		{"Bastide itself", "http://self.localhost:OWN/_bastide/health", "self.localhost:OWN", "it is Bastide itself"},
		{"credentials in the URL", "http://example.com@127.0.0.1:PORT/", "", ""},
		{"circled digits", "http://①②⑦.⓪.⓪.①:PORT/", "", ""},
		{"a zone", "http://[fe80::1%25lo]:PORT/", "", ""},
		{"a line break", "http://127.0.0.1:PORT/\r\nX: y", "", ""},
		{"gopher", "gopher://127.0.0.1:PORT/_GET%20/", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fill := strings.NewReplacer("PORT", port, "AWAY", awayPort, "OWN", own)
			got := f.visit(fill.Replace(c.url))
			if got.Error == "" || got.Body != "" {
				t.Errorf("%s answered %q", c.url, got.Body)
			}
			if c.place == "" {
				return // the client itself refuses it, or says it as another of these
			}
			event := url.Values{"eventName": {"Connect"}}
			if strings.Contains(c.why, "for the name") || c.name == "metadata by its name" {
				event = url.Values{"eventName": {"Resolve"}}
			}
			rec := s.Recorded(t, "the refusal of "+c.url, event, refusedAt(fill.Replace(c.place), c.why))
			if rec.EventSource != "lambda.amazonaws.com" || !strings.HasSuffix(rec.UserIdentity.ARN, ":assumed-role/ssrf/ssrf") {
				t.Errorf("its record: %+v", rec)
			}
		})
	}
	t.Run("rebinding", func(t *testing.T) {
		for range 4 {
			if got := f.visit("http://rebind.corp.test:" + port + "/"); got.Error == "" {
				t.Errorf("answered %q", got.Body)
			}
		}
		s.Recorded(t, "what the name led to later", url.Values{"eventName": {"Connect"}}, refusedAt("rebind.corp.test:"+port, "loopback"))
		if dns.times("rebind.corp.test") < 2 {
			t.Error("the name was not asked for again")
		}
	})
	if n := hits.Load(); n > 0 {
		t.Errorf("the server of this machine was reached %d times", n)
	}
	counted(t, s, port)
}

// counted: what was refused is counted by function and place, each attempt.
func counted(t *testing.T, s *harness.Server, port string) {
	t.Helper()
	harness.Until(t, "the refusals of 127.0.0.1 are counted", func() bool {
		out, bad, err := s.Bastide(t, "egress", "--function", "ssrf", "--refused", "--output", "json")
		if err != nil {
			t.Fatal(err, bad)
		}
		for _, d := range harness.Decode[[]struct {
			Source, Host string
			Port         int
			Refused      int
		}](t, out) {
			if d.Host == "127.0.0.1" && fmt.Sprint(d.Port) == port && strings.HasSuffix(d.Source, ":function:ssrf") {
				return d.Refused >= 8
			}
		}
		return false
	})
}
