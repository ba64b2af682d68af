package egress

import (
	"errors"
	"net"
	"testing"
)

// TestNameServerIsNamed: where a lookup fails, its error names the server that was asked, and nobody else was.
func TestNameServerIsNamed(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			answer := append([]byte{}, b[:n]...)
			answer[2], answer[3] = 0x81, 0x83 // there is no such name
			_, _ = server.WriteTo(answer, from)
		}
	}()
	r, err := NameServer(server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.LookupNetIP(t.Context(), "ip", "nobody.example")
	e, ok := errors.AsType[*net.DNSError](err)
	if !ok || !e.IsNotFound || e.Server != server.LocalAddr().String() {
		t.Errorf("%#v", err)
	}
}
