package eventstream

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
	"unicode/utf8"
)

// ErrChecksum: what is read is damaged.
var ErrChecksum = errors.New("eventstream: a checksum does not match")

// sizes are the bytes of the kinds that have a fixed size.
var sizes = map[kind]int{kindTrue: 0, kindFalse: 0, kindByte: 1, kindShort: 2, kindInt: 4, kindLong: 8, kindTime: 8, kindUUID: 16}

// Read reads one message; io.EOF where the stream ends before one begins. The message is the caller's
// own. Memory is taken only as far as bytes have arrived.
func Read(r io.Reader) (Message, error) {
	var head [prelude]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message{}, err
	}
	total, headers := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
	switch {
	case crc32.ChecksumIEEE(head[:8]) != binary.BigEndian.Uint32(head[8:]):
		return Message{}, ErrChecksum
	case headers > MaxHeaders || total > overhead+MaxHeaders+MaxPayload:
		return Message{}, ErrTooLarge
	case total < overhead+headers:
		return Message{}, ErrHeader
	case total-overhead-headers > MaxPayload:
		return Message{}, ErrTooLarge
	}
	rest, err := readExactly(r, int(total)-prelude)
	if err != nil {
		return Message{}, err
	}
	body, sum := rest[:len(rest)-trailer], binary.BigEndian.Uint32(rest[len(rest)-trailer:])
	if crc32.Update(crc32.ChecksumIEEE(head[:]), crc32.IEEETable, body) != sum {
		return Message{}, ErrChecksum
	}
	m := Message{Payload: body[headers:]}
	m.Headers, err = readHeaders(body[:headers])
	return m, err
}

func readExactly(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		from := len(b)
		if from == cap(b) {
			grown := make([]byte, from, min(n, 4*from))
			copy(grown, b)
			b = grown
		}
		b = b[:cap(b)]
		if _, err := io.ReadFull(r, b[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}

func readHeaders(b []byte) (out []Header, err error) {
	for len(b) > 0 {
		var h Header
		if h, b, err = readHeader(b); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// readHeader reads one header and gives what follows it.
func readHeader(b []byte) (Header, []byte, error) {
	n := int(b[0])
	if n == 0 || len(b) < 1+n+1 || !utf8.Valid(b[1:1+n]) {
		return Header{}, nil, ErrHeader
	}
	h, k := Header{Name: string(b[1 : 1+n])}, kind(b[1+n])
	b = b[2+n:]
	size, fixed := sizes[k]
	if k == kindBytes || k == kindString {
		if len(b) < 2 {
			return h, nil, ErrHeader
		}
		size, fixed, b = int(binary.BigEndian.Uint16(b)), true, b[2:]
		if size > maxValue {
			return h, nil, ErrHeader
		}
	}
	if !fixed || len(b) < size {
		return h, nil, ErrHeader
	}
	v := b[:size]
	be := binary.BigEndian
	switch k {
	case kindTrue, kindFalse:
		h.Value = k == kindTrue
	case kindByte:
		h.Value = int8(v[0])
	case kindShort:
		h.Value = int16(be.Uint16(v))
	case kindInt:
		h.Value = int32(be.Uint32(v))
	case kindLong:
		h.Value = int64(be.Uint64(v))
	case kindBytes:
		h.Value = append([]byte{}, v...)
	case kindString:
		if !utf8.Valid(v) {
			return h, nil, ErrHeader
		}
		h.Value = string(v)
	case kindTime:
		h.Value = time.UnixMilli(int64(be.Uint64(v))).UTC()
	case kindUUID:
		h.Value = UUID(v)
	}
	return h, b[size:], nil
}

// Header is the text of a header; "" where there is none, or none that is a text.
func (m Message) Header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			s, _ := h.Value.(string)
			return s
		}
	}
	return ""
}
