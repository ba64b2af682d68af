// Package checksum names the checksums that S3 lets a client declare for a body, in a header or
// in a trailer, and computes them:
//
//	h := checksum.New("x-amz-checksum-crc32c")
//	io.Copy(h, body)
//	checksum.Text(h) // "sOO8/Q==", as the header carries it
//
// Source: Amazon S3 User Guide, "Checking object integrity".
package checksum

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
)

// Prefix begins the name of every header that carries a checksum.
const Prefix = "x-amz-checksum-"

// castagnoli and nvme are immutable tables; nvme is CRC-64/NVME with its polynomial reflected.
var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5)
)

// New makes the hash that a header or trailer names ("x-amz-checksum-sha256"), in lower case; nil
// if it names none.
func New(header string) hash.Hash {
	switch header {
	case Prefix + "crc32":
		return crc32.NewIEEE()
	case Prefix + "crc32c":
		return crc32.New(castagnoli)
	case Prefix + "crc64nvme":
		return crc64.New(nvme)
	case Prefix + "sha1":
		return sha1.New()
	case Prefix + "sha256":
		return sha256.New()
	}
	return nil
}

// Text is the sum as headers and trailers carry it: base64 of the big-endian bytes.
func Text(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

// Name is how messages and requests name the algorithm of a header: "CRC32C", "SHA256".
func Name(header string) string { return strings.ToUpper(strings.TrimPrefix(header, Prefix)) }
