package fleet

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// resolver answers a function's DNS queries from what is declared, and asks nobody. Its names are
// AWS's, localhost's and those that a way out is for; every other does not exist, and is told.
type resolver struct {
	lookup  func(host string) (netip.Addr, error) // the zero address if nothing declares it; an error says why none may
	refused func(Refusal)
}

// serve answers queries until the connection is closed.
func (r resolver) serve(c net.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // one sender's trouble
		}
		if answer := r.answer(b[:n]); answer != nil {
			_, _ = c.WriteTo(answer, from) // a lost answer is asked for again
		}
	}
}

// The parts of RFC 1035 (4.1) that a stub needs.
const (
	dnsHeader   = 12
	dnsResponse = 1 << 15
	dnsDesired  = 1 << 8 // recursion, and that it is available
	dnsRecurses = 1 << 7
	typeA       = 1
	classIN     = 1
	rcodeFormat = 1
	rcodeName   = 3
	rcodeNotImp = 4
	answerLife  = 60 // seconds
)

// answer makes the answer to one query, or nil for what is none.
func (r resolver) answer(q []byte) []byte {
	if len(q) < dnsHeader || q[2]&0x80 != 0 {
		return nil
	}
	flags := binary.BigEndian.Uint16(q[2:])
	reply := func(rcode uint16, question []byte, answers ...byte) []byte {
		out := append([]byte{}, q[:2]...)
		out = binary.BigEndian.AppendUint16(out, dnsResponse|flags&dnsDesired|dnsRecurses|rcode)
		out = binary.BigEndian.AppendUint16(out, uint16(min(len(question), 1)))
		out = binary.BigEndian.AppendUint16(out, uint16(min(len(answers), 1)))
		out = append(append(out, 0, 0, 0, 0), question...)
		return append(out, answers...)
	}
	if flags>>11&0xf != 0 {
		return reply(rcodeNotImp, nil)
	}
	name, end, ok := dnsName(q)
	if !ok || binary.BigEndian.Uint16(q[4:]) != 1 || len(q) < end+4 {
		return reply(rcodeFormat, nil)
	}
	question := q[dnsHeader : end+4]
	address, err := r.lookup(name)
	if err != nil {
		r.refused(Refusal{"dns", printable(name), 0, err.Error(), 1})
		return reply(rcodeName, question)
	}
	if !address.IsValid() {
		r.refused(Refusal{"dns", printable(name), 0, "no way is declared for the name", 1})
		return reply(rcodeName, question)
	}
	if binary.BigEndian.Uint16(q[end:]) != typeA || binary.BigEndian.Uint16(q[end+2:]) != classIN {
		return reply(0, question) // the name exists, without such a record
	}
	a := address.As4()
	return reply(0, question, append([]byte{0xc0, dnsHeader, 0, typeA, 0, classIN, 0, 0, 0, answerLife, 0, 4}, a[:]...)...)
}

// dnsName reads the question's name and returns where it ends. A question has no reason to be
// compressed.
func dnsName(q []byte) (name string, end int, ok bool) {
	var b strings.Builder
	for at := dnsHeader; at < len(q); {
		n := int(q[at])
		at++
		if n == 0 {
			return b.String(), at, b.Len() <= 254
		}
		if n > 63 || at+n > len(q) || b.Len() > 254 {
			return "", 0, false
		}
		b.Write(q[at : at+n])
		b.WriteByte('.')
		at += n
	}
	return "", 0, false
}

// printable is a name for a record: whatever was in its labels, only what names are made of is kept.
func printable(name string) string {
	return strings.TrimSuffix(strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '\\' && r != '"' {
			return r
		}
		return '?'
	}, name), ".")
}
