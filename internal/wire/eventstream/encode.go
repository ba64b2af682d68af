package eventstream

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Append writes a message behind b. It fails, and gives b back as it was, where a limit is passed or a
// header's value is of no type that the format has.
func Append(b []byte, m Message) ([]byte, error) {
	start := len(b)
	if len(m.Payload) > MaxPayload {
		return b, ErrTooLarge
	}
	var none [prelude]byte
	out := append(b, none[:]...)
	for _, h := range m.Headers {
		var err error
		if out, err = appendHeader(out, h); err != nil {
			return b, err
		}
	}
	headers := len(out) - start - prelude
	if headers > MaxHeaders {
		return b, ErrTooLarge
	}
	out = append(out, m.Payload...)
	binary.BigEndian.PutUint32(out[start:], uint32(overhead+headers+len(m.Payload)))
	binary.BigEndian.PutUint32(out[start+4:], uint32(headers))
	binary.BigEndian.PutUint32(out[start+8:], crc32.ChecksumIEEE(out[start:start+8]))
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:])), nil
}

func appendHeader(b []byte, h Header) ([]byte, error) {
	if h.Name == "" || len(h.Name) > maxName {
		return b, ErrHeader
	}
	b = append(append(b, byte(len(h.Name))), h.Name...)
	be := binary.BigEndian
	switch v := h.Value.(type) {
	case bool:
		if v {
			return append(b, byte(kindTrue)), nil
		}
		return append(b, byte(kindFalse)), nil
	case int8:
		return append(b, byte(kindByte), byte(v)), nil
	case int16:
		return be.AppendUint16(append(b, byte(kindShort)), uint16(v)), nil
	case int32:
		return be.AppendUint32(append(b, byte(kindInt)), uint32(v)), nil
	case int64:
		return be.AppendUint64(append(b, byte(kindLong)), uint64(v)), nil
	case []byte:
		if len(v) > maxValue {
			return b, ErrHeader
		}
		return append(be.AppendUint16(append(b, byte(kindBytes)), uint16(len(v))), v...), nil
	case string:
		if len(v) > maxValue {
			return b, ErrHeader
		}
		return append(be.AppendUint16(append(b, byte(kindString)), uint16(len(v))), v...), nil
	case time.Time:
		return be.AppendUint64(append(b, byte(kindTime)), uint64(v.UnixMilli())), nil
	case UUID:
		return append(append(b, byte(kindUUID)), v[:]...), nil
	}
	return b, ErrHeader
}
