package s3

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/checksum"
	"github.com/bastide-cloud/bastide/internal/service/s3/frames"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

const (
	maxSingle = 5 << 30  // bytes of one PutObject, one part or one copy
	copySize  = 64 << 10 // bytes moved at once
)

// defaultSum is what S3 computes where the client names no algorithm.
const defaultSum = "CRC64NVME"

// declared is what a request says of its body.
type declared struct {
	length    *int64
	md5       *string
	algorithm string            // whose sum is wanted of the body; "" is defaultSum
	sums      map[string]string // by algorithm: what the client computed
}

// taken is a body that has arrived and is as declared, but belongs to nobody yet.
type taken struct {
	ref  blob.Ref
	key  []byte
	size int64
	etag string // hex MD5
	sum  sum
}

// take streams a body into a blob, sealed. Nothing remains of one that does not arrive whole or is
// not what was declared.
func (s *Service) take(ctx context.Context, body io.Reader, want declared) (*taken, error) {
	if want.length != nil && *want.length > maxSingle {
		return nil, entityTooLarge()
	}
	sumOf := want.algorithm
	if sumOf == "" {
		sumOf = defaultSum
	}
	hashes := map[string]hash.Hash{}
	for name := range want.sums {
		hashes[name] = newSum(name)
	}
	if hashes[sumOf] == nil {
		hashes[sumOf] = newSum(sumOf)
	}
	w, err := s.blobs.Create()
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	t := &taken{key: s.ids.Bytes(frames.KeySize)}
	sealed, err := frames.NewWriter(w, t.key)
	if err != nil {
		return nil, err
	}
	digest := md5.New()
	to := []io.Writer{sealed, digest}
	for _, h := range hashes {
		to = append(to, h)
	}
	room := int64(copySize)
	if want.length != nil {
		room = min(room, max(*want.length, 0)+1) // one more, so that its end is read with it
	}
	if t.size, err = pump(ctx, io.MultiWriter(to...), body, room); err != nil {
		return nil, err
	}
	if err := want.check(t.size, digest, hashes); err != nil {
		return nil, err
	}
	if err := sealed.Close(); err != nil {
		return nil, err
	}
	if t.ref, err = w.Commit(); err != nil {
		return nil, err
	}
	t.etag = hex.EncodeToString(digest.Sum(nil))
	t.sum = sum{Algorithm: sumOf, Value: checksum.Text(hashes[sumOf]), Type: fullObject}
	return t, nil
}

func newSum(algorithm string) hash.Hash {
	return checksum.New(checksum.Prefix + strings.ToLower(algorithm))
}

func pump(ctx context.Context, to io.Writer, body io.Reader, room int64) (size int64, err error) {
	if body == nil {
		return 0, nil
	}
	buf := make([]byte, room)
	for {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		n, err := body.Read(buf)
		if size += int64(n); size > maxSingle {
			return size, entityTooLarge()
		}
		if _, werr := to.Write(buf[:n]); werr != nil {
			return size, werr
		}
		switch {
		case errors.Is(err, io.EOF):
			return size, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return size, incomplete()
		case err != nil:
			return size, err
		}
	}
}

func entityTooLarge() error {
	return fail("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size", "MaxSizeAllowed", "5368709120")
}

func incomplete() error {
	return fail("IncompleteBody", 400, "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

// check compares a whole body with what was declared.
func (d declared) check(size int64, digest hash.Hash, hashes map[string]hash.Hash) error {
	if d.length != nil && *d.length != size {
		return incomplete()
	}
	if d.md5 != nil {
		want, err := base64.StdEncoding.DecodeString(*d.md5)
		if err != nil || len(want) != md5.Size {
			return fail("InvalidDigest", 400, "The Content-MD5 you specified was invalid.", "Content-MD5", *d.md5)
		}
		if got := digest.Sum(nil); subtle.ConstantTimeCompare(got, want) != 1 {
			return fail("BadDigest", 400, "The Content-MD5 you specified did not match what we received.",
				"ExpectedDigest", *d.md5, "CalculatedDigest", base64.StdEncoding.EncodeToString(got))
		}
	}
	for name, want := range d.sums {
		if checksum.Text(hashes[name]) != want {
			return fail("BadDigest", 400, "The "+name+" you specified did not match the calculated checksum.")
		}
	}
	return nil
}

// own makes a body that was taken the bucket's, in the transaction that records it.
func (s *Service) own(tx *store.Tx, b *bucket, t *taken) (bytes, error) {
	if err := s.blobs.Keep(tx, t.ref); err != nil {
		return bytes{}, err
	}
	key, err := s.sealer.Seal(tx, sealing.Scope{Account: b.Account, Region: b.Region, Resource: "s3/" + b.ID}, keyRow(t.ref.ID), t.key)
	return bytes{Blob: t.ref, Key: key, Size: t.size}, err
}

// keyRow is what a sealed key is bound to: the blob that it opens, wherever that is recorded.
func keyRow(blobID string) []byte { return []byte("s3 blob " + blobID) }

// discard removes a body whose transaction failed. What cannot be removed now is swept later.
func (s *Service) discard(t *taken, err error) error {
	if err != nil && t != nil {
		_ = s.blobs.Remove(t.ref.ID)
	}
	return err
}

// piece is a body with its key, ready to be read.
type piece struct {
	bytes
	key []byte
}

// pieces unseals the keys of an object's bodies, in their order.
func (s *Service) pieces(tx *store.Tx, b *bucket, o *object) ([]piece, error) {
	var bodies []bytes
	if o.Body != nil {
		bodies = append(bodies, *o.Body)
	} else if o.PartsID != "" {
		parts, err := s.partsOf(tx, b, o)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			bodies = append(bodies, p.Body)
		}
	}
	out := make([]piece, 0, len(bodies))
	for _, body := range bodies {
		key, err := s.sealer.Open(tx, keyRow(body.Blob.ID), body.Key)
		if err != nil {
			return nil, err
		}
		out = append(out, piece{body, key})
	}
	return out, nil
}

// open reads n bytes from off of the pieces together. The first is opened now, so that an answer
// is not begun that cannot be given.
func (s *Service) open(pieces []piece, off, n int64) (io.ReadCloser, error) {
	for len(pieces) > 0 && off >= pieces[0].Size {
		off -= pieces[0].Size
		pieces = pieces[1:]
	}
	r := &reader{blobs: s.blobs, pieces: pieces, off: off, left: n}
	if n == 0 {
		return r, nil
	}
	if err := r.next(); err != nil {
		return nil, err
	}
	return r, nil
}

type reader struct {
	blobs     *store.Blobs
	pieces    []piece
	off, left int64
	file      blob.File
	section   io.Reader
}

func (r *reader) next() error {
	if len(r.pieces) == 0 {
		return io.ErrUnexpectedEOF
	}
	p := r.pieces[0]
	r.pieces = r.pieces[1:]
	f, err := r.blobs.Open(p.Blob.ID)
	if err != nil {
		return awserr.Wrap(err)
	}
	r.file = f
	opened, err := frames.NewReader(f, p.key, p.Size)
	if err != nil {
		return err
	}
	r.section = opened.Section(r.off, r.left)
	r.off = 0
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	for r.left > 0 {
		if r.section == nil {
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.section.Read(p)
		r.left -= int64(n)
		if errors.Is(err, io.EOF) {
			err = r.Close()
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
	return 0, io.EOF
}

// Close gives up the piece that is being read.
func (r *reader) Close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file, r.section = nil, nil
	return f.Close()
}

var _ io.ReadCloser = (*reader)(nil)
