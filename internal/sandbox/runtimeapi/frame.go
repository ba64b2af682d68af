package runtimeapi

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A frame is nine bytes of header, big endian, and a body:
//
//	length of body  u32
//	kind            u8
//	sequence        u32   number of the invocation that it belongs to, from 1; 0 while starting
//	body
//
// The body of an invocation is the deadline (u64, milliseconds since 1970), then six texts, each
// a u32 length and its bytes: request id, function ARN, trace id, client context, identity, tenant
// id; and the event is the rest. Every other body is what its kind says.
const headerSize = 9

type kind byte

const (
	kindSetUp     kind = 'U' // host → guest: what a guest that was started early is told, see SetUp; 'P' instead: to wait to be forked, see package sandbox
	kindInvoke    kind = 'I' // host → guest
	kindYield     kind = 'Y' // host → guest: wait for events in a way that lets other work go on, see Yield
	kindWaiting   kind = 'W' // guest → host: it waits for a set-up; empty
	kindReady     kind = 'H' // guest → host: the handler is loaded; empty
	kindInitError kind = 'F' // guest → host: an error document
	kindResponse  kind = 'R' // guest → host: the handler's answer
	kindError     kind = 'E' // guest → host: an error document
	kindFatal     kind = 'X' // guest → host: an error document, after which the guest ends itself
	// An answer that is written while the handler runs: its head, chunks, and its end, in place of which
	// an error may come. The guest's writes wait while the host does not read.
	kindHead  kind = 'S' // guest → host: the content type, or nothing
	kindChunk kind = 'C' // guest → host: bytes of the answer
	kindEnd   kind = 'Z' // guest → host: empty
)

// limit is the longest body that a guest may send of a kind; -1 for what it may not send at all.
func (k kind) limit() int {
	switch k {
	case kindReady, kindEnd, kindWaiting:
		return 0
	case kindHead:
		return maxType
	case kindChunk:
		return maxChunk
	case kindResponse:
		return MaxPayload
	case kindInitError, kindError, kindFatal:
		return maxError
	}
	return -1
}

type frame struct {
	kind kind
	seq  uint32
	body []byte // the receiver's own
}

// readFrame reads one frame of a guest. Memory for the body is taken only as far as bytes have
// arrived, so that a header alone cannot make the host allocate the limit.
func readFrame(r io.Reader) (frame, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: kind(h[4]), seq: binary.BigEndian.Uint32(h[5:])}
	n := int64(binary.BigEndian.Uint32(h[:]))
	if lim := f.kind.limit(); lim < 0 || n > int64(lim) {
		return frame{}, fmt.Errorf("%w: frame %q of %d bytes", ErrProtocol, rune(f.kind), n)
	}
	body, err := readBody(r, int(n))
	f.body = body
	return f, err
}

func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	body := make([]byte, 0, min(n, step))
	for len(body) < n {
		from := len(body)
		if from == cap(body) {
			grown := make([]byte, from, min(n, 4*from))
			copy(grown, body)
			body = grown
		}
		body = body[:cap(body)]
		if _, err := io.ReadFull(r, body[from:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return body, nil
}

// appendInvoke writes the frame that hands an event to a guest.
func appendInvoke(b []byte, seq uint32, inv Invocation) []byte {
	texts := [...]string{inv.RequestID, inv.ARN, inv.TraceID, inv.ClientContext, inv.Identity, inv.TenantID}
	n := 8 + len(inv.Payload)
	for _, t := range texts {
		n += 4 + len(t)
	}
	b = appendHeader(b, kindInvoke, seq, n)
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, inv.Deadline.UnixMilli())))
	for _, t := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(t)))
		b = append(b, t...)
	}
	return append(b, inv.Payload...)
}

func appendHeader(b []byte, k kind, seq uint32, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, byte(k))
	return binary.BigEndian.AppendUint32(b, seq)
}
