package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/way"
)

func TestResolverKnowsWhatIsDeclared(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	o, err := newOutside(waysOf(t, "db.internal:5432", "*.example.org:443", "*.internal:80", "10.0.0.0/8:5432"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	why := map[string]string{}
	r := resolver{o.lookup, func(r Refusal) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, r.Network+" "+r.Host)
		why[r.Host] = r.Reason
	}}
	go func() { r.serve(c); close(done) }()
	t.Cleanup(func() { c.Close(); <-done })
	client := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", c.LocalAddr().String())
	}}
	for name, want := range map[string]string{
		"dynamodb.eu-west-1.amazonaws.com.": "127.0.0.1", "S3.AmazonAWS.com.": "127.0.0.1", "DB.internal.": "127.0.1.1",
		"api.execute-api.localhost.": "127.0.0.1", "a.example.org.": "127.64.0.1",
	} {
		got, err := client.LookupNetIP(t.Context(), "ip", name)
		if err != nil || len(got) != 1 || got[0].Unmap().String() != want {
			t.Errorf("%s: got %v %v, want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"example.com.", "amazonaws.com.evil.example.", "internal.", "metadata.google.internal.", "169.254.169.254.nip.io.", "example.org."} {
		_, err := client.LookupNetIP(t.Context(), "ip", name)
		if e, ok := errors.AsType[*net.DNSError](err); !ok || !e.IsNotFound {
			t.Errorf("%s: got %v, want no such host", name, err)
		}
		mu.Lock()
		if want := "dns " + strings.TrimSuffix(name, "."); !slices.Contains(told, want) {
			t.Errorf("%s was not told: %v", name, told)
		}
		mu.Unlock()
	}
	mu.Lock()
	if got := why["metadata.google.internal"]; got != errMetadata.Error() {
		t.Errorf("a metadata name is refused as %q", got)
	}
	mu.Unlock()
	if got := o.meant(netip.MustParseAddr("127.64.0.1")); got != "a.example.org" {
		t.Errorf("127.64.0.1 is %s", got)
	}
}

// TestNamesAreBounded: a pattern is not a memory without end, and the internet's block is every name but
// AWS's own.
func TestNamesAreBounded(t *testing.T) {
	o, err := newOutside(waysOf(t, "0.0.0.0/0:443"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s3.amazonaws.com", "localhost"} {
		if at, err := o.lookup(name); err != nil || at != loopback {
			t.Errorf("%s: %v %v", name, at, err)
		}
	}
	if at, err := o.lookup("metadata.google.internal"); err != errMetadata || at.IsValid() {
		t.Errorf("metadata: %v %v", at, err)
	}
	for _, name := range []string{"127.1", "0x7f.1", "a b", ""} {
		if at, err := o.lookup(name); err != nil || at.IsValid() {
			t.Errorf("%q: %v %v", name, at, err)
		}
	}
	seen := map[netip.Addr]bool{}
	for n := range maxNames {
		at, err := o.lookup(fmt.Sprintf("n%d.example", n))
		if err != nil || !at.IsLoopback() || seen[at] {
			t.Fatalf("name %d: %v %v", n, at, err)
		}
		seen[at] = true
	}
	first, err := o.lookup("n0.example") // which is used, and so kept
	if err != nil || !seen[first] {
		t.Fatal(first, err)
	}
	second := o.named["n1.example"]
	if got := o.meant(o.named["n2.example"]); got != "n2.example" {
		t.Errorf("n2 is %s", got)
	}
	more, err := o.lookup("one-more.example")
	if err != nil || seen[more] || o.meant(more) != "one-more.example" {
		t.Errorf("one more: %v %v", more, err)
	}
	if o.meant(second) != second.String() || o.meant(first) != "n0.example" {
		t.Errorf("the oldest is still %s, and one that was used is %s", o.meant(second), o.meant(first))
	}
	for n := range 70000 {
		if at, err := o.lookup(fmt.Sprintf("m%d.example", n)); err != nil || seen[at] || at == more || !at.IsLoopback() {
			t.Fatalf("name %d: %v %v", n, at, err)
		}
	}
	if len(o.names) > maxNames || len(o.named) > maxNames || len(o.at) != maxNames || o.used.Len() != maxNames {
		t.Errorf("%d names, %d named, %d in order", len(o.names), len(o.named), len(o.at))
	}
	if again, err := o.lookup("n1.example"); err != nil || again == second || o.meant(again) != "n1.example" {
		t.Errorf("one that was forgotten: %v %v", again, err)
	}
}

func TestCheckWays(t *testing.T) {
	if err := CheckWays(waysOf(t, "*.a.example:1-64", "*.b.example:1-64", "10.0.0.0/8:1-64", "db.example:1-64")); err != nil {
		t.Errorf("patterns and blocks share their doors: %v", err)
	}
	if err := CheckWays(waysOf(t, "a.example:1-64", "b.example:1-64", "c.example:1-64", "d.example:1-64")); err == nil {
		t.Error("256 doors")
	}
}

// FuzzAttempt: whatever a packet is, reading where it goes does not panic.
func FuzzAttempt(f *testing.F) {
	f.Add([]byte("\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\x7f\x00\x00\x01\xa9\xfe\xa9\xfe\x80\x00\x00\x50"))
	f.Add([]byte("\x60\x00\x00\x00\x00\x14\x06\x40"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if network, to, _, ok := attempt(b); ok && (network == "" || !to.Addr().IsValid()) {
			t.Fatalf("%x goes to %s %v", b, network, to)
		}
	})
}

func waysOf(t testing.TB, texts ...string) (out []way.Way) {
	t.Helper()
	for _, text := range texts {
		w, err := way.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, w)
	}
	return out
}

// FuzzResolver: no query makes it panic, and every answer is one to its query.
func FuzzResolver(f *testing.F) {
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02s3\x09amazonaws\x03com\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	r := resolver{func(host string) (netip.Addr, error) {
		if strings.HasPrefix(host, "s3.") {
			return loopback, nil
		}
		return netip.Addr{}, nil
	}, func(Refusal) {}}
	f.Fuzz(func(t *testing.T, q []byte) {
		a := r.answer(q)
		if a == nil {
			return
		}
		if len(a) < dnsHeader || len(a) > len(q)+16 || a[0] != q[0] || a[1] != q[1] || a[2]&0x80 == 0 {
			t.Fatalf("%x answers %x", a, q)
		}
		if binary.BigEndian.Uint16(a[6:]) > 1 {
			t.Fatalf("several answers: %x", a)
		}
	})
}
