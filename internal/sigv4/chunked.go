package sigv4

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/checksum"
)

const (
	minChunk = 8 << 10 // bytes; S3's least for all chunks but the last
	maxLine  = 1 << 10 // bytes of a chunk's or trailer's line
)

// readTrailer reads x-amz-trailer: the one checksum that follows the body.
func (p *payload) readTrailer(r *http.Request) error {
	values := r.Header["X-Amz-Trailer"]
	if len(values) != 1 {
		return malformedTrailer()
	}
	name := strings.ToLower(strings.Trim(values[0], " \t"))
	if checksum.New(name) == nil {
		return awserr.New("InvalidRequest", 400, "The value specified in the x-amz-trailer header is not supported")
	}
	p.trailer = name
	return nil
}

func malformedTrailer() error {
	return awserr.New("MalformedTrailerError", 400,
		"The request contained trailing data that was not well-formed or did not conform to our published schema.")
}

// chunked decodes an aws-chunked body:
//
//	10000;chunk-signature=<64 hex>\r\n<65536 bytes>\r\n … 0;chunk-signature=<64 hex>\r\n
//	x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:<64 hex>\r\n\r\n
//
// Each chunk's signature covers the one before, so that chunks cannot be dropped, repeated or
// reordered. Without signatures the same framing has sizes only. Source: Amazon S3 API Reference,
// "Signature calculations for the Authorization header: transferring payload in multiple chunks".
type chunked struct {
	reader
	src     *bufio.Reader
	v       Verified
	signed  bool
	left    int64 // bytes of the current chunk
	total   int64 // bytes yielded
	size    int64 // of the last chunk begun, -1 before the first
	sum     hash.Hash
	prev    string // signature before
	current string // signature that the current chunk declares
	check   hash.Hash
	err     error
}

func newChunked(v Verified, r io.Reader) *chunked {
	c := &chunked{reader: reader{r}, src: bufio.NewReaderSize(r, 32<<10), v: v, size: -1, prev: v.c.signature,
		signed: v.payload.declared != streamUnsigned}
	if c.signed {
		c.sum = sha256.New()
	}
	if v.payload.trailer != "" {
		c.check = checksum.New(v.payload.trailer)
	}
	return c
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n := 0
	if c.left == 0 && c.total < c.v.payload.length {
		if c.err = c.begin(); c.err == nil && c.left == 0 {
			c.err = incompleteBody() // the last chunk came before the declared length
		}
	}
	if c.err == nil && c.left > 0 {
		n, c.err = c.data(p)
	}
	if c.err == nil && c.left == 0 && c.total == c.v.payload.length {
		c.err = c.finish()
	}
	if c.err != nil && c.err != io.EOF {
		return 0, c.err // the last bytes never leave without the verdict, even to io.ReadFull
	}
	return n, c.err
}

func (c *chunked) data(p []byte) (int, error) {
	n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.total += int64(n)
	if c.signed {
		c.sum.Write(p[:n])
	}
	if c.check != nil {
		c.check.Write(p[:n])
	}
	if err != nil {
		return n, ended(err)
	}
	if c.left == 0 {
		if err = c.crlf(); err == nil {
			err = c.verifyChunk()
		}
	}
	return n, err
}

// ended turns an end within the framing into the refusal.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return incompleteBody()
	}
	return err
}

// line reads up to CRLF, without it.
func (c *chunked) line() (string, error) {
	b, err := c.src.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return "", ended(err)
	}
	if err != nil || len(b) > maxLine || len(b) < 2 || b[len(b)-2] != '\r' {
		return "", badFraming()
	}
	return string(b[:len(b)-2]), nil
}

func badFraming() error {
	return awserr.New("InvalidRequest", 400, "The aws-chunked body is not well-formed.")
}

func (c *chunked) crlf() error {
	s, err := c.line()
	if err == nil && s != "" {
		err = badFraming()
	}
	return err
}

// begin reads a chunk's line.
func (c *chunked) begin() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, rest, extended := strings.Cut(line, ";")
	n, ok := parseSize(size)
	if !ok || extended != c.signed {
		return badFraming()
	}
	if c.signed {
		const name = "chunk-signature="
		if c.current = strings.TrimPrefix(rest, name); len(rest) != len(name)+64 || len(c.current) != 64 || !isLowerHex(c.current) {
			return badFraming()
		}
	}
	if n > 0 && c.size >= 0 && c.size < minChunk {
		return awserr.New("InvalidChunkSizeError", 403, "Only the last chunk is allowed to have a size less than 8192 bytes")
	}
	if n > c.v.payload.length-c.total {
		return incompleteBody()
	}
	c.size, c.left = n, n
	return nil
}

// parseSize reads at most 15 hex digits, so that it never overflows.
func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 15 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(hexDigits, s[i]) < 0 {
			return 0, false
		}
		n = n<<4 | int64(hexValue(s[i]))
	}
	return n, true
}

// verifyChunk compares the signature of the chunk just read.
func (c *chunked) verifyChunk() error {
	if !c.signed {
		return nil
	}
	var data [sha256.Size]byte
	c.sum.Sum(data[:0])
	c.sum.Reset()
	return c.verify("AWS4-HMAC-SHA256-PAYLOAD", c.current, emptySHA256+"\n"+hex.EncodeToString(data[:]))
}

func (c *chunked) verify(kind, signature, last string) error {
	if !c.v.open {
		sts := strings.Join([]string{kind, c.v.c.timestamp, c.v.c.scope, c.prev, last}, "\n")
		if !equalHex(c.v.key.sign([]byte(sts)), signature) {
			return refusal{s3: true}.mismatch(&c.v.c, nil)
		}
	}
	c.prev = signature
	return nil
}

// finish reads the empty chunk, the trailers and the end.
func (c *chunked) finish() error {
	if err := c.begin(); err != nil {
		return err
	}
	if err := c.verifyChunk(); err != nil { // size is 0: begin allows no more than the length declared
		return err
	}
	if c.check != nil {
		if err := c.trailer(); err != nil {
			return err
		}
	}
	if err := c.crlf(); err != nil {
		return err
	}
	if _, err := c.src.ReadByte(); err == nil {
		return badFraming()
	} else if !errors.Is(err, io.EOF) {
		return short(err)
	}
	return io.EOF
}

// trailer reads the declared checksum and, in a signed stream, the signature over it.
func (c *chunked) trailer() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
	if !ok || name != c.v.payload.trailer {
		return malformedTrailer()
	}
	if c.signed {
		sig, err := c.line()
		if err != nil {
			return err
		}
		sigName, signature, _ := strings.Cut(sig, ":")
		signature = strings.Trim(signature, " \t")
		if !strings.EqualFold(sigName, "x-amz-trailer-signature") || len(signature) != 64 || !isLowerHex(signature) {
			return malformedTrailer()
		}
		sum := sha256.Sum256([]byte(name + ":" + value + "\n"))
		if err := c.verify("AWS4-HMAC-SHA256-TRAILER", signature, hex.EncodeToString(sum[:])); err != nil {
			return err
		}
	}
	actual := checksum.Text(c.check)
	if len(value) != len(actual) {
		return awserr.New("InvalidRequest", 400, "Value for %s trailing header is invalid.", name)
	}
	if subtle.ConstantTimeCompare([]byte(actual), []byte(value)) != 1 {
		return awserr.New("BadDigest", 400, "The %s you specified did not match the calculated checksum.", checksum.Name(name))
	}
	return nil
}

var _ io.ReadCloser = (*chunked)(nil)
