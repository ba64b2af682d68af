package fleet

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Refusal is something that a function tried to reach and that nothing declares.
type Refusal struct {
	Network string // "tcp", "udp", or "dns" for a name that was asked for
	Host    string
	Port    int // 0 of a name
	Reason  string
}

// watchRate is how many attempts of one instance are told each second; it is bounded so that a function
// that does nothing but try costs no more than this. The kernel drops what comes faster.
const watchRate = 256

// watch tells of what an instance sends to no door, until the sandbox has ended.
func (i *instance) watch(sight io.Reader) {
	clock := i.fleet.deps.Clock
	b := make([]byte, 256)
	since, told := clock.Now(), 0
	for {
		if now := clock.Now(); now.Sub(since) >= time.Second {
			since, told = now, 0
		}
		if told++; told > watchRate {
			select {
			case <-time.After(time.Second):
			case <-i.ended:
				return
			}
			continue
		}
		n, err := sight.Read(b)
		if err != nil {
			return
		}
		network, to, ok := attempt(b[:n])
		if !ok || network == "tcp" && i.outside.open(to) {
			continue
		}
		host := i.outside.meant(to.Addr())
		if to.Addr().IsLoopback() && host == to.Addr().String() {
			continue // an address of the sandbox's own that means nothing outside
		}
		reason := "no way is declared that leads there"
		if network == "udp" {
			reason = "only TCP leaves a function, and names are asked of 127.0.0.1"
		}
		i.refused(Refusal{network, host, int(to.Port()), reason})
	}
}

// refused tells of a refusal.
func (i *instance) refused(r Refusal) {
	if told := i.fleet.deps.Refused; told != nil {
		told(*i.fn, r)
	}
}

// attempt reads where the head of an IP packet (RFC 791, RFC 8200) is going. Behind extension headers of
// IPv6 nothing is read: the watch lets none through.
func attempt(b []byte) (network string, to netip.AddrPort, ok bool) {
	var protocol byte
	var addr netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&0xf) * 4
		if head < 20 || len(b) < head+4 {
			return "", to, false
		}
		protocol, addr = b[9], netip.AddrFrom4([4]byte(b[16:20]))
		b = b[head:]
	case len(b) >= 44 && b[0]>>4 == 6:
		protocol, addr = b[6], netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
	default:
		return "", to, false
	}
	network, ok = map[byte]string{6: "tcp", 17: "udp"}[protocol]
	return network, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[2:])), ok
}

// hostPort splits an address that was made of both.
func hostPort(address string) (string, int) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	n, _ := strconv.Atoi(port) // it was a number
	return host, n
}
