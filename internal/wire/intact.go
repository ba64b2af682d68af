package wire

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"net/http"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/checksum"
)

// intact compares a document of S3 with the checksums that its headers declare. The content of an
// object is compared by its operation, while it arrives.
func (r Routed) intact(body []byte) error {
	if r.Service.ID != "s3" || r.Operation.Streams() {
		return nil
	}
	h := r.req.Header
	if declared := h.Get("Content-Md5"); declared != "" {
		want, err := base64.StdEncoding.DecodeString(declared)
		if err != nil || len(want) != md5.Size {
			return awserr.New("InvalidDigest", http.StatusBadRequest, "The Content-MD5 you specified was invalid.")
		}
		if got := md5.Sum(body); subtle.ConstantTimeCompare(got[:], want) != 1 {
			return awserr.New("BadDigest", http.StatusBadRequest, "The Content-MD5 you specified did not match what we received.")
		}
	}
	if len(body) == 0 || r.Operation.Name == "CompleteMultipartUpload" {
		return nil // there the checksum is that of the object
	}
	for _, name := range []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256"} {
		declared := h.Get(checksum.Prefix + name)
		if declared == "" {
			continue
		}
		sum := checksum.New(checksum.Prefix + name)
		sum.Write(body)
		if checksum.Text(sum) != declared {
			return awserr.New("BadDigest", http.StatusBadRequest, "The %s you specified did not match the calculated checksum.", checksum.Name(checksum.Prefix+name))
		}
	}
	return nil
}
