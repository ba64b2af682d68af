package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// payload is what the signature says of the body.
type payload struct {
	declared string // the last line of the canonical request
	length   int64  // of the body as the service sees it; -1 if unknown
	whole    bool   // the body was given to Verify
	trailer  string // the declared trailer's name
	s3       bool
}

func (p payload) streaming() bool { return strings.HasPrefix(p.declared, "STREAMING-") }

// readPayload finds the payload line of the canonical request.
func (s *scratch) readPayload(r *http.Request, body []byte, svc SigningOptions, c *claim, f refusal) (payload, error) {
	p := payload{length: r.ContentLength, whole: body != nil || r.ContentLength == 0, s3: svc.S3}
	values := r.Header["X-Amz-Content-Sha256"]
	if len(values) > 1 {
		return p, awserr.Of(awserr.SignatureDoesNotMatch, "x-amz-content-sha256 must be given once.")
	}
	if len(values) == 1 {
		p.declared = strings.Trim(values[0], " \t")
	}
	if svc.S3 {
		return p, s.s3Payload(&p, r, c)
	}
	switch {
	case p.declared == unsignedPayload && svc.UnsignedPayload:
	case p.whole:
		sum := sha256.Sum256(body)
		actual := hex.EncodeToString(sum[:])
		if p.declared != "" && p.declared != actual {
			return p, f.mismatch(c, nil)
		}
		p.declared = actual
	case len(p.declared) != 64 || !isLowerHex(p.declared):
		return p, awserr.Of(awserr.IncompleteSignature, "A streamed body requires a 'x-amz-content-sha256' header with its SHA-256.")
	}
	return p, nil
}

func (s *scratch) s3Payload(p *payload, r *http.Request, c *claim) error {
	if p.declared == "" && c.presigned {
		// Presigners put the hash in the query or sign none at all.
		if p.declared, _ = s.get("X-Amz-Content-Sha256"); p.declared == "" {
			p.declared = unsignedPayload
		}
	}
	switch p.declared {
	case "":
		return awserr.New("InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256")
	case unsignedPayload:
		return nil
	case streamSigned:
		return p.readLength(r)
	case streamTrailer, streamUnsigned:
		if err := p.readTrailer(r); err != nil {
			return err
		}
		return p.readLength(r)
	}
	if strings.HasPrefix(p.declared, "STREAMING-"+algorithm4a) {
		return awserr.Of(awserr.NotImplemented, "Asymmetric signatures (%s, SigV4a) are not supported; sign with %s.", algorithm4a, algorithm)
	}
	if len(p.declared) != 64 || !isLowerHex(p.declared) {
		e := awserr.New("InvalidArgument", 400, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "+
			"STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "+
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
		e.Fields = map[string]any{"ArgumentName": "x-amz-content-sha256", "ArgumentValue": clip(p.declared)}
		return e
	}
	return nil
}

// readLength reads x-amz-decoded-content-length, which every aws-chunked body declares.
func (p *payload) readLength(r *http.Request) error {
	values := r.Header["X-Amz-Decoded-Content-Length"]
	if len(values) != 1 {
		return awserr.New("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || n < 0 {
		return awserr.New("InvalidArgument", 400, "x-amz-decoded-content-length must be a length in bytes.")
	}
	p.length = n
	return nil
}

// checkWhole compares a body that Verify was given with the hash that was signed.
func (p payload) checkWhole(r *http.Request, body []byte) error {
	if !p.s3 || !p.whole || p.streaming() || p.declared == unsignedPayload {
		return nil
	}
	sum := sha256.Sum256(body)
	return p.compare(sum[:])
}

func (p payload) compare(sum []byte) error {
	actual := hex.EncodeToString(sum)
	if subtle.ConstantTimeCompare([]byte(actual), []byte(p.declared)) == 1 {
		return nil
	}
	e := awserr.New("XAmzContentSHA256Mismatch", 400, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	e.Fields = map[string]any{"ClientComputedContentSHA256": p.declared, "S3ComputedContentSHA256": actual}
	return e
}

// Unsigned is an S3 request without a signature. It may still frame its body, or name its hash,
// and Body reads and checks it all the same.
func Unsigned(r *http.Request) (Verified, error) {
	p := payload{length: r.ContentLength, s3: true}
	if values := r.Header["X-Amz-Content-Sha256"]; len(values) > 0 {
		p.declared = strings.Trim(values[0], " \t")
	}
	switch {
	case p.declared == "" || p.declared == unsignedPayload:
		p.declared = unsignedPayload
	case p.declared == streamUnsigned:
		if err := p.readTrailer(r); err != nil {
			return Verified{}, err
		}
		err := p.readLength(r)
		return Verified{payload: p}, err
	case len(p.declared) != 64 || !isLowerHex(p.declared):
		return Verified{}, awserr.New("InvalidArgument", 400, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "+
			"STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.")
	}
	return Verified{payload: p}, nil
}

// Body reads the body as the service sees it: aws-chunked framing removed, and everything that
// the signature says of it checked. The last bytes come with the verdict: a Read that completes
// the declared length returns them with io.EOF only if all of it is right, and otherwise the refusal, an
// *awserr.Error, without them; then nothing of the body may be committed. Closing it closes r if that closes.
func (v Verified) Body(r io.Reader) io.ReadCloser {
	switch {
	case v.payload.streaming():
		return newChunked(v, r)
	case v.payload.declared == unsignedPayload || v.payload.whole:
		return reader{r}
	}
	return &hashed{reader: reader{r}, p: v.payload, sum: sha256.New()}
}

// Length is the length of what Body yields, in bytes; -1 if the request does not say.
func (v Verified) Length() int64 { return v.payload.length }

// reader passes through, and refuses a body that ends early.
type reader struct{ r io.Reader }

func (b reader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	return n, short(err)
}

func (b reader) Close() error {
	if c, ok := b.r.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func short(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return incompleteBody()
	}
	return err
}

func incompleteBody() error {
	return awserr.New("IncompleteBody", 400, "The request body terminated unexpectedly")
}

// hashed checks the SHA-256 of the whole body.
type hashed struct {
	reader
	p    payload
	sum  hash.Hash
	read int64
	err  error
}

func (b *hashed) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.reader.Read(p)
	b.sum.Write(p[:n])
	b.read += int64(n)
	if err == nil && b.read == b.p.length {
		err = io.EOF
	}
	if err == io.EOF {
		if b.p.length >= 0 && b.read != b.p.length {
			err = incompleteBody()
		} else if wrong := b.p.compare(b.sum.Sum(nil)); wrong != nil {
			err = wrong
		}
	}
	if b.err = err; err != nil && err != io.EOF {
		return 0, err // the last bytes never leave without the verdict, even to io.ReadFull
	}
	return n, err
}
