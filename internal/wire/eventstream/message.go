// Package eventstream is the framing in which AWS sends a sequence of events in one body
// (application/vnd.amazon.eventstream): the answer of lambda:InvokeWithResponseStream is one.
//
// A Message is some typed headers and a payload. On the wire, big endian:
//
//	total length    u32   of everything, the lengths and checksums included
//	headers length  u32
//	prelude CRC     u32   of the two lengths
//	headers               each: u8 length and name, u8 type, value
//	payload
//	message CRC     u32   of everything before it
//
// Both checksums are CRC-32 (IEEE). Source: "Event stream encoding", Amazon Transcribe Developer Guide
// and Smithy's "Amazon event stream specification".
//
//	b, err := eventstream.Append(nil, eventstream.Message{Headers: …, Payload: chunk})
package eventstream

import (
	"errors"
)

// Limits of a message. Source: Smithy's "Amazon event stream specification".
const (
	MaxHeaders = 128 << 10 // bytes of all headers
	MaxPayload = 16 << 20
	maxName    = 255
	maxValue   = 1<<15 - 1 // of a text or bytes
)

const (
	prelude  = 12
	trailer  = 4
	overhead = prelude + trailer
)

// Message is one event, error or other message.
type Message struct {
	Headers []Header
	Payload []byte
}

// Header is one header. Its value is a bool, int8, int16, int32, int64, []byte, string, time.Time (to
// the millisecond) or UUID.
type Header struct {
	Name  string
	Value any
}

// UUID is a header's value.
type UUID [16]byte

// Faults of a message.
var (
	ErrTooLarge = errors.New("eventstream: the message is larger than a message may be")
	ErrHeader   = errors.New("eventstream: a header is not valid")
)

// kind is a header's type on the wire.
type kind byte

const (
	kindTrue kind = iota
	kindFalse
	kindByte
	kindShort
	kindInt
	kindLong
	kindBytes
	kindString
	kindTime
	kindUUID
)
