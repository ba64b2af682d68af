package egress

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/way"
)

func ways(t *testing.T, texts ...string) (out []way.Way) {
	t.Helper()
	for _, text := range texts {
		w, err := way.Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		out = append(out, w)
	}
	return out
}

// TestWays: what is declared by name, pattern and block, and what all of them do not lead to.
func TestWays(t *testing.T) {
	resolver := func() *names {
		return &names{m: map[string][]string{
			"a.example.com": {"93.184.215.14"}, "b.a.example.com": {"93.184.215.15"}, "inner.example.com": {"10.1.2.3"}, "other.example": {"198.35.26.96"},
			"db.corp": {"10.1.2.3"}, "meta.corp": {"169.254.169.254"}, "alibaba.corp": {"100.100.100.200"}, "azure.corp": {"168.63.129.16"},
			"loop.corp": {"127.0.0.1"}, "gcp.corp": {"fd20:ce::254"}, "six.corp": {"2002:7f00:1::"}, "siit.corp": {"::ffff:0:127.0.0.1"},
			"both.corp": {"169.254.169.254 10.1.2.3"}, "self.corp": {"10.9.9.9"},
		}}
	}
	for _, c := range []struct{ ways, addr, want string }{
		{"*.example.com:443", "a.example.com:443", "93.184.215.14:443"},
		{"*.example.com:443", "B.A.example.com.:443", "93.184.215.15:443"},
		{"*.example.com:443", "a.example.com:444", "no route is declared"},
		{"*.example.com:443", "example.com:443", "no route is declared"},
		{"*.example.com:443", "93.184.215.14:443", "no route is declared"},
		{"*.example.com:443", "inner.example.com:443", "it resolves to a private address"},
		{"private=*.example.com:443", "inner.example.com:443", "10.1.2.3:443"},
		{"private=*.corp:1-64", "db.corp:64", "10.1.2.3:64"},
		{"private=*.corp:80", "meta.corp:80", "it resolves to a link-local address, which nothing reaches"},
		{"private=*.corp:80", "alibaba.corp:80", "it resolves to a cloud's metadata address, which nothing reaches"},
		{"private=*.corp:80", "azure.corp:80", "it resolves to a cloud's metadata address, which nothing reaches"},
		{"private=*.corp:80", "gcp.corp:80", "it resolves to a cloud's metadata address, which nothing reaches"},
		{"private=*.corp:80", "six.corp:80", "it resolves to an unusable address, which nothing reaches"},
		{"private=*.corp:80", "siit.corp:80", "it resolves to an unusable address, which nothing reaches"},
		{"private=*.corp:80", "loop.corp:80", "it resolves to a loopback address"},
		{"private=*.corp:80", "both.corp:80", "10.1.2.3:80"},
		{"private=*.corp:4566", "self.corp:4566", "it is Bastide itself"},
		{"10.0.0.0/8:4566", "10.9.9.9:4566", "it is Bastide itself"},
		{"10.0.0.0/8:5432", "10.1.2.3:5432", "10.1.2.3:5432"},
		{"10.0.0.0/8:5432", "11.1.2.3:5432", "no route is declared"},
		{"10.0.0.0/8:5432", "db.corp:5432", "no route is declared"},
		{"100.64.0.0/10:80", "100.100.100.200:80", "it resolves to a cloud's metadata address, which nothing reaches"},
		{"[fd00::/8]:80", "[fd00:ec2::254]:80", "it resolves to a cloud's metadata address, which nothing reaches"},
		{"[fd00::/8]:80", "[fd12::1]:80", "[fd12::1]:80"},
		{"0.0.0.0/0:443", "other.example:443", "198.35.26.96:443"},
		{"0.0.0.0/0:443", "198.35.26.96:443", "198.35.26.96:443"},
		{"0.0.0.0/0:443", "db.corp:443", "it resolves to a private address"},
		{"0.0.0.0/0:443", "10.1.2.3:443", "it resolves to a private address"},
		{"0.0.0.0/0:443", "127.0.0.1:443", "it resolves to a loopback address"},
		{"0.0.0.0/0:80", "169.254.169.254:80", "it resolves to a link-local address"},
		{"0.0.0.0/0:80", "metadata.google.internal:80", "it is where a cloud answers"},
		{"0.0.0.0/0:443 10.1.0.0/16:443", "db.corp:443", "10.1.2.3:443"},
		{"8.0.0.0/6:443", "10.1.2.3:443", "it resolves to a private address"},
		{"8.0.0.0/6:443", "8.8.8.8:443", "8.8.8.8:443"},
		{"0.0.0.0/0:443", "[::ffff:127.0.0.1]:443", "it resolves to a loopback address"},
		{"[::/0]:443", "[64:ff9b::7f00:1]:443", "it resolves to an unusable address"},
		{"[::/0]:443", "[::ffff:10.1.2.3]:443", "it resolves to a private address"},
		{"0.0.0.0/0:80", "2130706433:80", "it is not host:port"},
		{"0.0.0.0/0:80", "127.1:80", "it is not host:port"},
		{"0.0.0.0/0:80", "0x7f.0.0.1:80", "it is not host:port"},
		{"0.0.0.0/0:80", "0:80", "it is not host:port"},
	} {
		t.Run(c.ways+" "+c.addr, func(t *testing.T) {
			var dialled []string
			d, log := dialer(t, Policy{Ways: ways(t, strings.Fields(c.ways)...), Resolver: resolver(),
				Own: func(at netip.AddrPort) bool { return at == netip.MustParseAddrPort("10.9.9.9:4566") }}, &dialled)
			_, err := d.Dial(t.Context(), "function", c.addr)
			if len(log.records) != 1 {
				t.Fatalf("records %+v", log.records)
			}
			if refused, ok := errors.AsType[*Refused](err); ok {
				if !strings.HasPrefix(refused.Reason, c.want) || len(dialled) != 0 || log.records[0].Refused != refused.Reason {
					t.Errorf("refused: %s, dialled %v; want %q", refused.Reason, dialled, c.want)
				}
			} else if err != nil || len(dialled) != 1 || dialled[0] != c.want {
				t.Errorf("dialled %v, %v; want %q", dialled, err, c.want)
			}
		})
	}
}

// ends is a trail that is told of the ends of connections.
type ends struct {
	trail
	ended []Record
}

func (e *ends) Disconnected(r Record) { e.ended = append(e.ended, r) }

// TestEndsAreRecorded counts what passed each way, however the bytes were moved.
func TestEndsAreRecorded(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c) // what came is told to the test by the answer's length
			_, _ = c.Write(append(b, "more"...))
			c.Close()
		}
	}()
	log := &ends{}
	d, err := New(Policy{Ways: ways(t, "127.0.0.1:"+server.Addr().String()[len("127.0.0.1:"):]), Auditor: log, Clock: clock.System{}, Resolver: net.DefaultResolver})
	if err != nil {
		t.Fatal(err)
	}
	for _, copied := range []bool{false, true} {
		c, err := d.Dial(t.Context(), "function", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		if copied {
			if _, err := io.Copy(c, strings.NewReader(strings.Repeat("x", 1000))); err != nil {
				t.Fatal(err)
			}
		} else if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err = io.Copy(io.Discard, c); err != nil || n != 1004 {
			t.Fatal(n, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		last := log.ended[len(log.ended)-1]
		if last.Sent != 1000 || last.Received != 1004 || last.Lasted <= 0 || last.Host != "127.0.0.1" {
			t.Errorf("copied %t: %+v", copied, last)
		}
	}
	if len(log.records) != 2 || len(log.ended) != 2 {
		t.Errorf("%d begun, %d ended", len(log.records), len(log.ended))
	}
}
