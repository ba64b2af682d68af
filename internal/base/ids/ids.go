// Package ids makes identifiers: request ids, unique ids in AWS's alphabets, names of new
// resources. A Source is injected, so that a test can be deterministic.
package ids

import (
	"crypto/rand"
	"encoding/hex"
	"io"
)

// Source makes identifiers from a reader of random bytes. The zero Source reads the system's
// cryptographic generator.
type Source struct{ R io.Reader }

const (
	upperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// Bytes are n random bytes.
func (s Source) Bytes(n int) []byte {
	b := make([]byte, n)
	r := s.R
	if r == nil {
		r = rand.Reader
	}
	if _, err := io.ReadFull(r, b); err != nil {
		panic("ids: no randomness: " + err.Error()) // crypto/rand never fails; a test's reader must be long enough
	}
	return b
}

// UUID is a random (version 4) UUID, as request ids have it.
func (s Source) UUID() string {
	b := s.Bytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	out[8] = '-'
	hex.Encode(out[9:13], b[4:6])
	out[13] = '-'
	hex.Encode(out[14:18], b[6:8])
	out[18] = '-'
	hex.Encode(out[19:23], b[8:10])
	out[23] = '-'
	hex.Encode(out[24:], b[10:])
	return string(out[:])
}

// Unique is an IAM unique identifier: a prefix such as AKIA, ASIA, AIDA or AROA and 16 or 17
// characters more, n in all.
func (s Source) Unique(prefix string, n int) string {
	b := s.Bytes(n - len(prefix))
	for i := range b {
		b[i] = upperDigits[b[i]&31]
	}
	return prefix + string(b)
}

// Lower is n characters of a to z and 0 to 9, as API ids and generated names have them.
func (s Source) Lower(n int) string {
	out := make([]byte, 0, n)
	for len(out) < n {
		for _, c := range s.Bytes(n) {
			if int(c) < 252 && len(out) < n { // 252 = 7*36: no character is likelier than another
				out = append(out, lowerDigits[c%36])
			}
		}
	}
	return string(out)
}
