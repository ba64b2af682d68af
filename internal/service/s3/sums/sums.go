// Package sums joins checksums: that of a whole from those of its parts, without reading the
// bytes again.
//
//	sums.Combine("CRC32", crcA, crcB, lenB) // the CRC32 of A followed by B
//	sums.Composite("SHA256", parts)         // the checksum of checksums that S3 gives an upload
//
// Source: Amazon S3 User Guide, "Checking object integrity for multipart uploads".
package sums

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/checksum"
)

// crc is a reflected CRC whose initial value and final mask are all ones, so that the CRC of A
// followed by B is that of A moved past B, plus (without carry) that of B.
type crc struct {
	poly  uint64
	width uint
}

var crcs = map[string]crc{
	"CRC32":     {0xedb88320, 32},
	"CRC32C":    {0x82f63b78, 32},
	"CRC64NVME": {0x9a6c9329ac4bc9b5, 64},
}

// Size is the length in bytes of an algorithm's sum; 0 for one that is not known here.
func Size(algorithm string) int {
	if h := checksum.New(checksum.Prefix + strings.ToLower(algorithm)); h != nil {
		return h.Size()
	}
	return 0
}

// Whole reports whether an algorithm's sums of parts can be joined to that of the whole.
func Whole(algorithm string) bool { return crcs[algorithm].width != 0 }

// Combine is the checksum of A followed by B, from the base64 sums of both and B's length in bytes.
func Combine(algorithm, a, b string, lengthB int64) (string, error) {
	c, ok := crcs[algorithm]
	if !ok {
		return "", fmt.Errorf("sums: %s does not combine", algorithm)
	}
	x, err := c.decode(a)
	if err != nil {
		return "", err
	}
	y, err := c.decode(b)
	if err != nil {
		return "", err
	}
	sum := c.multiply(c.power(lengthB), x) ^ y
	var out [8]byte
	binary.BigEndian.PutUint64(out[:], sum)
	return base64.StdEncoding.EncodeToString(out[8-c.width/8:]), nil
}

func (c crc) decode(text string) (uint64, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != int(c.width/8) {
		return 0, fmt.Errorf("sums: %q is no sum of %d bits", text, c.width)
	}
	var buf [8]byte
	copy(buf[8-len(raw):], raw)
	return binary.BigEndian.Uint64(buf[:]), nil
}

// multiply is a times b modulo the polynomial; the highest bit is the coefficient of 1.
func (c crc) multiply(a, b uint64) uint64 {
	var p uint64
	for m := uint64(1) << (c.width - 1); m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ c.poly
		} else {
			b >>= 1
		}
	}
	return p
}

// power is x to the 8·n, by which a CRC moves past n bytes.
func (c crc) power(n int64) uint64 {
	one := uint64(1) << (c.width - 1)
	p, square := one, one>>8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = c.multiply(p, square)
		}
		square = c.multiply(square, square)
	}
	return p
}

// Composite is the sum over the raw sums of all parts and the number of parts: "…==-3".
func Composite(algorithm string, parts []string) (string, error) {
	h := checksum.New(checksum.Prefix + strings.ToLower(algorithm))
	if h == nil {
		return "", fmt.Errorf("sums: no algorithm %s", algorithm)
	}
	for _, p := range parts {
		raw, err := base64.StdEncoding.DecodeString(p)
		if err != nil {
			return "", fmt.Errorf("sums: %w", err)
		}
		h.Write(raw)
	}
	return fmt.Sprintf("%s-%d", checksum.Text(h), len(parts)), nil
}
