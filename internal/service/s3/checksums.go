package s3

import (
	"encoding/base64"
	"strings"

	"github.com/bastide-cloud/bastide/internal/service/s3/sums"
)

// sent is what a request's headers say of its body.
type sent struct {
	md5       *string
	length    *int64
	algorithm *string            // x-amz-sdk-checksum-algorithm
	sums      map[string]*string // by algorithm
	others    bool               // a checksum of an algorithm that is not built
}

// declare checks that the headers agree with each other.
func (h sent) declare() (declared, error) {
	d := declared{length: h.length, md5: h.md5, sums: map[string]string{}}
	if h.others {
		return d, notBuilt("the checksum algorithm")
	}
	for name, value := range h.sums {
		if value == nil {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(*value)
		if err != nil || len(raw) != sums.Size(name) {
			return d, invalidRequest("Value for x-amz-checksum-" + strings.ToLower(name) + " header is invalid.")
		}
		d.sums[name], d.algorithm = *value, name
	}
	if len(d.sums) > 1 {
		return d, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	if h.algorithm == nil || *h.algorithm == "" {
		return d, nil
	}
	name, err := algorithm(h.algorithm)
	if err != nil {
		return d, err
	}
	if d.algorithm != "" && d.algorithm != name {
		return d, invalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	d.algorithm = name
	return d, nil
}

// algorithm is the name of a checksum algorithm as it is kept.
func algorithm(p *string) (string, error) {
	name := strings.ToUpper(*p)
	switch {
	case sums.Size(name) > 0:
		return name, nil
	case name == "MD5" || name == "SHA512" || strings.HasPrefix(name, "XXHASH"):
		return "", notBuilt("the checksum algorithm " + name)
	}
	return "", invalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

// carry puts a checksum where an answer has its member.
func carry(s sum, crc32, crc32c, crc64, sha1, sha256 **string) {
	switch s.Algorithm {
	case "CRC32":
		*crc32 = &s.Value
	case "CRC32C":
		*crc32c = &s.Value
	case "CRC64NVME":
		*crc64 = &s.Value
	case "SHA1":
		*sha1 = &s.Value
	case "SHA256":
		*sha256 = &s.Value
	}
}
