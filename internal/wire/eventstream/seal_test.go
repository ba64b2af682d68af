package eventstream_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// sealed adds the checksum to the two lengths of a prelude.
func sealed(lengths []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(lengths), crc32.ChecksumIEEE(lengths))
}

// resealed makes the checksums of a message right, where it is long enough to have them, so that a
// fuzzer gets behind them.
func resealed(b []byte) []byte {
	if len(b) < 16 {
		return b
	}
	b = bytes.Clone(b)
	copy(b, sealed(b[:8]))
	if n := binary.BigEndian.Uint32(b); n >= 16 && int64(n) <= int64(len(b)) {
		binary.BigEndian.PutUint32(b[n-4:], crc32.ChecksumIEEE(b[:n-4]))
	}
	return b
}
