// Package frames keeps a stream of bytes sealed so that any part of it can be read without the
// rest: frames of 64 KiB, each under AES-256-GCM with a random nonce, bound to its place and to
// whether it is the last, so that frames cannot be swapped, dropped or cut off.
//
//	w, err := frames.NewWriter(file, key)   // one key a stream
//	io.Copy(w, body); err = w.Close()       // Close writes the last frame
//	r, err := frames.NewReader(file, key, size)
//	io.Copy(dst, r.Section(off, n))
package frames

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// KeySize is a key's length in bytes.
const KeySize = 32

const (
	plain    = 64 << 10 // bytes of a full frame
	overhead = 12 + 16  // nonce and tag
)

// ErrDamaged: the bytes are not what was written under this key.
var ErrDamaged = errors.New("frames: damaged")

func aead(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("frames: a key of %d bytes", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("frames: %w", err)
	}
	g, err := cipher.NewGCMWithRandomNonce(block) // the only GCM that FIPS 140-3 mode allows
	if err != nil {
		return nil, fmt.Errorf("frames: %w", err)
	}
	return g, nil
}

// place is the additional data of frame i.
func place(dst []byte, i int64, last bool) []byte {
	dst = binary.BigEndian.AppendUint64(dst[:0], uint64(i))
	if last {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Writer seals what is written to it.
type Writer struct {
	w    io.Writer
	aead cipher.AEAD
	buf  []byte
	out  []byte
	at   int64
	ad   [9]byte
}

// NewWriter writes frames to w under key, which must be used for this stream only.
func NewWriter(w io.Writer, key []byte) (*Writer, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	return &Writer{w: w, aead: a}, nil
}

// Write takes p; a frame is written once it is known not to be the last.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(w.buf) == plain {
			if err := w.seal(false); err != nil {
				return n, err
			}
		}
		took := min(len(p), plain-len(w.buf))
		w.buf = append(w.buf, p[:took]...)
		p, n = p[took:], n+took
	}
	return n, nil
}

func (w *Writer) seal(last bool) error {
	w.out = w.aead.Seal(w.out[:0], nil, w.buf, place(w.ad[:0], w.at, last))
	w.at++
	w.buf = w.buf[:0]
	if _, err := w.w.Write(w.out); err != nil {
		return err
	}
	return nil
}

// Close writes the last frame, which may be empty.
func (w *Writer) Close() error { return w.seal(true) }

// Reader opens frames.
type Reader struct {
	src  io.ReaderAt
	aead cipher.AEAD
	size int64
}

// NewReader reads what a Writer wrote under key; size is the number of bytes that it was given.
func NewReader(src io.ReaderAt, key []byte, size int64) (*Reader, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, ErrDamaged
	}
	return &Reader{src: src, aead: a, size: size}, nil
}

// frame opens frame i into buf.
func (r *Reader) frame(i int64, buf []byte) ([]byte, error) {
	off := i * plain
	n := min(r.size-off, plain)
	last := off+n == r.size
	sealed := buf[:n+overhead]
	if got, err := r.src.ReadAt(sealed, i*(plain+overhead)); got < len(sealed) {
		if errors.Is(err, io.EOF) {
			err = ErrDamaged
		}
		return nil, err
	}
	var ad [9]byte
	out, err := r.aead.Open(sealed[:0], nil, sealed, place(ad[:0], i, last))
	if err != nil {
		return nil, ErrDamaged
	}
	return out, nil
}

// Section reads n bytes from off; fewer where the stream ends before.
func (r *Reader) Section(off, n int64) io.Reader {
	off = min(max(off, 0), r.size)
	return &section{r: r, at: off, end: off + min(max(n, 0), r.size-off)}
}

type section struct {
	r       *Reader
	at, end int64
	buf     []byte
	left    []byte
}

func (s *section) Read(p []byte) (int, error) {
	if s.at == s.end {
		return 0, io.EOF
	}
	if len(s.left) == 0 {
		if s.buf == nil {
			s.buf = make([]byte, min(plain, s.r.size)+overhead)
		}
		frame, err := s.r.frame(s.at/plain, s.buf)
		if err != nil {
			return 0, err
		}
		s.left = frame[s.at%plain:]
	}
	n := copy(p, s.left[:min(int64(len(s.left)), s.end-s.at)])
	s.left, s.at = s.left[n:], s.at+int64(n)
	return n, nil
}
