package fleet

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestResolverKnowsWhatIsDeclared(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	r := resolver{routes: map[string]netip.Addr{"db.internal": netip.MustParseAddr("127.0.1.1")}}
	go func() { r.serve(c); close(done) }()
	t.Cleanup(func() { c.Close(); <-done })
	client := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", c.LocalAddr().String())
	}}
	for name, want := range map[string]string{
		"dynamodb.eu-west-1.amazonaws.com.": "127.0.0.1", "S3.AmazonAWS.com.": "127.0.0.1", "DB.internal.": "127.0.1.1",
		"api.execute-api.localhost.": "127.0.0.1",
	} {
		got, err := client.LookupNetIP(t.Context(), "ip", name)
		if err != nil || len(got) != 1 || got[0].Unmap().String() != want {
			t.Errorf("%s: got %v %v, want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"example.com.", "amazonaws.com.evil.example.", "internal.", "169.254.169.254.nip.io."} {
		_, err := client.LookupNetIP(t.Context(), "ip", name)
		if e, ok := errors.AsType[*net.DNSError](err); !ok || !e.IsNotFound {
			t.Errorf("%s: got %v, want no such host", name, err)
		}
	}
}

// FuzzResolver: no query makes it panic, and every answer is one to its query.
func FuzzResolver(f *testing.F) {
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02s3\x09amazonaws\x03com\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	r := resolver{}
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
