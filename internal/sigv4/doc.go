// Package sigv4 checks AWS Signature Version 4, station 3 of a request's way: it turns a request
// as it came off the wire into a Verified, which names the access key that really signed it. Only
// Verify makes one, so nothing behind it can be reached unsigned.
//
//	v := sigv4.New(sigv4.Options{Keys: keyring, Clock: clock.System{}})
//	who, err := v.Verify(r, body, sigv4.SigningOptions{Services: []string{"dynamodb"}})
//
// Signatures in the Authorization header and in the query (presigned URLs) are both checked. A
// body is either given to Verify whole, or, when it is streamed (S3), read through Verified.Body,
// which decodes aws-chunked framing and checks chunk signatures, the declared SHA-256, the length
// and trailing checksums; an error from its Read means that nothing of it may be committed.
//
// S3's presigned URLs of version 2 are checked too, since boto3 makes them by default; no other
// signature of version 2 is.
//
// A Signer does the opposite, for Bastide's own clients. Asymmetric signatures (SigV4a) are
// refused.
//
// Sources: IAM User Guide, "AWS Signature Version 4 for API requests"; Amazon S3 API Reference,
// "Authenticating Requests (AWS Signature Version 4)".
package sigv4

import "time"

const (
	algorithm    = "AWS4-HMAC-SHA256"
	algorithm4a  = "AWS4-ECDSA-P256-SHA256"
	terminator   = "aws4_request"
	isoBasic     = "20060102T150405Z"
	emptySHA256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	maxPresigned = 604800 * time.Second // a week: AWS's limit for X-Amz-Expires

	unsignedPayload = "UNSIGNED-PAYLOAD"
	streamSigned    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamUnsigned  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Limits on what is parsed before anything is known of the caller.
const (
	maxAuthorization = 8 << 10  // bytes of the Authorization header
	maxQuery         = 64 << 10 // bytes of the raw query; a session token travels in it
	maxParams        = 1024     // query parameters
	maxSigned        = 128      // names in SignedHeaders
	maxToken         = 16 << 10 // bytes of a session token
	maxKeyID         = 128
)
