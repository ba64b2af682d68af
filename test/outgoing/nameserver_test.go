package outgoing

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// nameServer answers A and AAAA questions for names with the next of their answers each time: addresses,
// or "=name" for a CNAME (RFC 1035, 4.1). Everything else does not exist.
type nameServer struct {
	mu      sync.Mutex
	answers map[string][]string
	asked   map[string]int
}

// names starts a name server and gives its address.
func names(t *testing.T, answers map[string][]string) (*nameServer, string) {
	t.Helper()
	n := &nameServer{answers: answers, asked: map[string]int{}}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			size, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := n.answer(b[:size]); answer != nil {
				_, _ = c.WriteTo(answer, from) // it is asked again
			}
		}
	}()
	return n, c.LocalAddr().String()
}

func (n *nameServer) answer(q []byte) []byte {
	end, labels := 12, []string{}
	for end < len(q) && q[end] != 0 {
		size := int(q[end])
		if end+1+size > len(q) {
			return nil
		}
		labels = append(labels, strings.ToLower(string(q[end+1:end+1+size])))
		end += 1 + size
	}
	end++
	if end+4 > len(q) {
		return nil
	}
	kind := binary.BigEndian.Uint16(q[end:])
	out := append([]byte{}, q[:end+4]...)
	copy(out[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	records, known := n.next(strings.Join(labels, "."), kind)
	if !known {
		out[3] |= 3
		return out
	}
	owner := []byte{0xc0, 12}
	for _, r := range records {
		if to, ok := strings.CutPrefix(r, "="); ok {
			name := []byte{}
			for l := range strings.SplitSeq(to, ".") {
				name = append(append(name, byte(len(l))), l...)
			}
			name = append(name, 0)
			out = append(append(append(out, owner...), 0, 5, 0, 1, 0, 0, 0, 0, 0, byte(len(name))), name...)
			owner = name
			out[7]++
			continue
		}
		a := netip.MustParseAddr(r)
		if a.Is4() != (kind == 1) {
			continue
		}
		b := a.AsSlice()
		out = append(append(append(out, owner...), 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(b))), b...)
		out[7]++
	}
	return out
}

// next is a name's answer, with a CNAME followed; each kind of question goes through the list by itself.
func (n *nameServer) next(name string, kind uint16) ([]string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list, ok := n.answers[name]
	if !ok || kind != 1 && kind != 28 {
		return nil, ok
	}
	key := name + string(rune(kind))
	one := list[min(n.asked[key], len(list)-1)]
	n.asked[key]++
	if to, ok := strings.CutPrefix(one, "="); ok {
		return []string{one, n.answers[to][0]}, true
	}
	return strings.Fields(one), true
}

// times is how often an address of a name was asked for.
func (n *nameServer) times(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[name+"\x01"]
}

// inward are names that lead to where nothing may.
func inward() map[string][]string {
	return map[string][]string{
		"loop.corp.test": {"127.0.0.1"}, "six.corp.test": {"::1"}, "mapped.corp.test": {"::ffff:127.0.0.1"}, "meta.corp.test": {"169.254.169.254"},
		"ec2.corp.test": {"fd00:ec2::254"}, "alibaba.corp.test": {"100.100.100.200"}, "azure.corp.test": {"168.63.129.16"}, "nat64.corp.test": {"64:ff9b::7f00:1"},
		"sixtofour.corp.test": {"2002:7f00:1::1"}, "any.corp.test": {"0.0.0.0"}, "cname.corp.test": {"=loop.corp.test"}, "xn--loop-rqa.corp.test": {"127.0.0.1"},
		"rebind.corp.test": {"198.51.100.7", "127.0.0.1", "169.254.169.254", "127.0.0.1"},
	}
}
