package fleet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// Refusal is something that a function tried to reach and that nothing declares.
type Refusal struct {
	Network string // "tcp", "udp", "dns" for a name that was asked for; "" of Elsewhere
	Host    string // Elsewhere for places that are not known
	Port    int    // 0 of a name, and of Elsewhere
	Reason  string
	Count   int64 // attempts; at least 1
}

// Elsewhere is the host of attempts that were counted without being seen.
const Elsewhere = "*"

// Limits of what is told of one instance's attempts. The first at a place is told at once, and how many
// there were since each second; what the kernel lets fall while more than watchRate a second come, and what
// goes to more than watchPlaces at a time, is told by its number alone. So an instance that does nothing
// but try costs no more than this, and each attempt is counted.
const (
	watchRate   = 1 << 16
	watchPlaces = 256
	watchTurn   = time.Second
)

// attempted is one place.
type attempted struct {
	network string
	to      netip.AddrPort
}

// lookout counts what one instance sends to no door.
type lookout struct {
	i     *instance
	sight sandbox.Sight

	mu     sync.Mutex
	places map[attempted]*int64 // that were told of, and attempts since
	beyond int64                // at more places than are told apart
	timer  *time.Timer          // of the next turn; nil while there is nothing to count
}

// watch tells of what an instance sends to no door, until the sandbox has ended.
func (i *instance) watch(sight sandbox.Sight) {
	l := &lookout{i: i, sight: sight, places: map[attempted]*int64{}}
	defer l.end()
	clock := i.fleet.deps.Clock
	b := make([]byte, 256)
	since, read := clock.Now(), 0
	for {
		if now := clock.Now(); now.Sub(since) >= time.Second {
			since, read = now, 0
		}
		if read++; read > watchRate {
			select {
			case <-time.After(time.Second):
				continue
			case <-i.ended: // the rest is what had come by then
			}
		}
		n, err := sight.Read(b)
		if err != nil {
			return
		}
		network, to, answer, ok := attempt(b[:n])
		if !ok || network == "tcp" && i.outside.open(to) {
			continue
		}
		if answer && !i.outside.shares(to) {
			continue // the function looks for something of its own
		}
		if !answer && to.Addr().IsLoopback() && i.outside.meant(to.Addr()) == to.Addr().String() {
			continue // an address of the sandbox's own that means nothing outside
		}
		l.saw(attempted{network, to})
	}
}

// saw counts an attempt, and tells of it if it is the first at its place.
func (l *lookout) saw(at attempted) {
	l.mu.Lock()
	had := l.places[at]
	known := had != nil
	switch {
	case known:
		*had++
	case len(l.places) < watchPlaces:
		l.places[at] = new(int64)
	default:
		known = true
		l.beyond++
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(watchTurn, l.turn)
	}
	l.mu.Unlock()
	if !known {
		l.tell(at, 1)
	}
}

// turn tells what was counted, and forgets places that were left alone. It comes again while there is
// something to count.
func (l *lookout) turn() {
	unseen, err := l.sight.Unseen()
	l.mu.Lock()
	due := map[attempted]int64{}
	for at, n := range l.places {
		if *n == 0 {
			delete(l.places, at)
			continue
		}
		due[at] = *n
		*n = 0
	}
	unseen, l.beyond = unseen+l.beyond, 0
	l.timer = nil
	if len(l.places) > 0 {
		l.timer = time.AfterFunc(watchTurn, l.turn)
	}
	l.mu.Unlock()
	for at, n := range due {
		l.tell(at, n)
	}
	if err != nil {
		l.i.refused(Refusal{"", Elsewhere, 0, "what was tried beside what is told could not be counted: " + err.Error(), 1})
	}
	if unseen > 0 {
		l.i.refused(Refusal{"", Elsewhere, 0, "so much was tried that these places are unknown", unseen})
	}
}

// end tells what is left.
func (l *lookout) end() {
	l.turn()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *lookout) tell(at attempted, n int64) {
	reason := "no way is declared that leads there"
	if at.network == "udp" {
		reason = "only TCP leaves a function, and names are asked of 127.0.0.1"
	}
	l.i.refused(Refusal{at.network, l.i.outside.meant(at.to.Addr()), int(at.to.Port()), reason, n})
}

// refused tells of a refusal.
func (i *instance) refused(r Refusal) {
	if told := i.fleet.deps.Refused; told != nil {
		told(*i.fn, r)
	}
}

// attempt reads where the head of an IP packet (RFC 791, RFC 8200) is going; of the answer that refuses a
// connection, where it comes from. Behind extension headers of IPv6 nothing is read: the watch lets none
// through.
func attempt(b []byte) (network string, at netip.AddrPort, answer, ok bool) {
	var protocol byte
	var from, to netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&0xf) * 4
		if head < 20 || len(b) < head+4 {
			return "", at, false, false
		}
		protocol, from, to = b[9], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[head:]
	case len(b) >= 44 && b[0]>>4 == 6:
		protocol, from, to = b[6], netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
	default:
		return "", at, false, false
	}
	const flags, rst = 13, 4
	network, ok = map[byte]string{6: "tcp", 17: "udp"}[protocol]
	if network == "tcp" && len(b) > flags && b[flags]&rst != 0 {
		return network, netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)), true, ok
	}
	return network, netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:])), false, ok
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
