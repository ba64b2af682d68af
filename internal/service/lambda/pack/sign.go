package pack

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"time"
)

// A signed package is an archive with one more file, SignaturePath: a compact JWS (RFC 7515) whose
// payload is a Claims. What is signed is not the archive's bytes but what it unpacks to, so that a
// package may be compressed again: the SHA-384 of, for each entry but the signature in the order of
// their names, its kind ("f" file, "x" program, "d" folder, "l" link), the length of its name and the
// name, the length of its content, and the content's SHA-256; lengths as 8 bytes, big-endian. Keys are
// P-256 (ES256), P-384 (ES384) or Ed25519 (EdDSA).
const (
	SignaturePath = "META_INF/bastide_signature_v1.jws"
	signatureType = "bastide-code+jws"
	maxSignature  = 16 << 10
)

// Claims are what a signature says.
type Claims struct {
	Profile string `json:"profile"` // ARN of the signing profile's version
	Job     string `json:"job"`     // ARN that names this signing
	Signed  int64  `json:"iat"`     // seconds since 1970
	Expires int64  `json:"exp"`     // 0: never
	Digest  string `json:"sha384"`  // hex
}

// Expired tells whether a signature's time is over.
func (c Claims) Expired(now time.Time) bool { return c.Expires != 0 && now.Unix() >= c.Expires }

type protected struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	Key       string `json:"kid"` // the profile's version, as in Claims
}

// Signature is the signature of a package, before its key is known.
type Signature struct {
	Claims  Claims
	alg     string
	message []byte // what was signed
	mark    []byte
	digest  string // of what the archive holds
}

// ErrUnsigned is an archive without a signature.
var ErrUnsigned = errors.New("the archive has no signature")

// BrokenError is a signature that does not belong to what the archive holds, or is none.
type BrokenError struct{ Message string }

func (e *BrokenError) Error() string { return e.Message }

func broken(format string, args ...any) error { return &BrokenError{fmt.Sprintf(format, args...)} }

// Sign gives the archive back with a signature by key, an *ecdsa.PrivateKey or ed25519.PrivateKey.
// The digest of c is filled in. An earlier signature is replaced.
func Sign(archive []byte, c Claims, key crypto.Signer, lim Limits) ([]byte, error) {
	r := bytes.NewReader(archive)
	a, err := read(r, r.Size(), lim)
	if err != nil {
		return nil, err
	}
	if c.Digest, err = a.digest(lim); err != nil {
		return nil, err
	}
	alg, err := algorithm(key.Public())
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(protected{alg, signatureType, c.Profile})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	text := encode(head) + "." + encode(body)
	mark, err := signWith(key, alg, []byte(text))
	if err != nil {
		return nil, err
	}
	return a.with(text + "." + encode(mark))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// with writes the archive anew with a signature.
func (a *archive) with(signature string) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range a.entries {
		if e.name != SignaturePath {
			if err := w.Copy(e.file); err != nil {
				return nil, err
			}
		}
	}
	f, err := w.CreateHeader(&zip.FileHeader{Name: SignaturePath, Method: zip.Store})
	if err != nil {
		return nil, err
	}
	if _, err := f.Write([]byte(signature)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// ReadSignature reads an archive's signature and the digest of what it holds. It returns ErrUnsigned
// or a *BrokenError, and *Error or *TooLarge for what is no package.
func ReadSignature(r io.ReaderAt, size int64, lim Limits) (*Signature, error) {
	a, err := read(r, size, lim)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(a.entries, func(e entry) bool { return e.name == SignaturePath })
	if at < 0 {
		return nil, ErrUnsigned
	}
	if a.entries[at].kind != 0 {
		return nil, broken("the signature is no file")
	}
	text, err := content(a.entries[at], maxSignature)
	if err != nil {
		return nil, err
	}
	s, err := parseSignature(string(text))
	if err != nil {
		return nil, err
	}
	s.digest, err = a.digest(lim)
	return s, err
}

func content(e entry, limit int64) ([]byte, error) {
	f, err := e.file.Open()
	if err != nil {
		return nil, refuse("the entry %q cannot be read: %v", e.name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, refuse("the entry %q cannot be read: %v", e.name, err)
	}
	if int64(len(b)) > limit {
		return nil, broken("the signature is larger than %d bytes", limit)
	}
	return b, nil
}

func parseSignature(text string) (*Signature, error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 3 {
		return nil, broken("the signature is no compact JWS")
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil {
			return nil, broken("the signature is no compact JWS: %v", err)
		}
		raw[i] = b
	}
	var head protected
	s := &Signature{message: []byte(parts[0] + "." + parts[1]), mark: raw[2]}
	if err := errors.Join(strict(raw[0], &head), strict(raw[1], &s.Claims)); err != nil {
		return nil, broken("the signature cannot be read: %v", err)
	}
	if head.Type != signatureType || head.Key != s.Claims.Profile || s.Claims.Profile == "" {
		return nil, broken("the signature is not of the type %s, or names two profiles", signatureType)
	}
	s.alg = head.Algorithm
	return s, nil
}

// strict reads JSON that has no members but those known: what is not understood may have been critical.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON")
	}
	return nil
}

// Verify holds the signature against a key and against what the archive holds; the error is a
// *BrokenError. It says nothing of who the key's owner is, nor of time.
func (s *Signature) Verify(key crypto.PublicKey) error {
	alg, err := algorithm(key)
	if err != nil {
		return err
	}
	if alg != s.alg {
		return broken("the signature is by %.20q, the profile's key is for %s", s.alg, alg)
	}
	if !verifyWith(key, alg, s.message, s.mark) {
		return broken("the signature is not by the profile's key")
	}
	if s.digest != s.Claims.Digest {
		return broken("the archive holds something else than what was signed")
	}
	return nil
}

// algorithm is what a key signs with; it decides, never the signature.
func algorithm(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return "ES256", nil
		case elliptic.P384():
			return "ES384", nil
		}
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", errors.New("the key is none of P-256, P-384 and Ed25519")
}

func hashOfMessage(alg string, message []byte) []byte {
	var h hash.Hash = sha256.New()
	if alg == "ES384" {
		h = sha512.New384()
	}
	h.Write(message)
	return h.Sum(nil)
}

// width is the length of each half of an ECDSA signature (RFC 7518, 3.4).
func width(alg string) int {
	if alg == "ES384" {
		return 48
	}
	return 32
}

func signWith(key crypto.Signer, alg string, message []byte) ([]byte, error) {
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(k, message), nil
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, hashOfMessage(alg, message))
		if err != nil {
			return nil, err
		}
		out := make([]byte, 2*width(alg))
		r.FillBytes(out[:width(alg)])
		s.FillBytes(out[width(alg):])
		return out, nil
	}
	return nil, errors.New("the key is none of P-256, P-384 and Ed25519")
}

func verifyWith(key crypto.PublicKey, alg string, message, mark []byte) bool {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, mark)
	case *ecdsa.PublicKey:
		n := width(alg)
		if len(mark) != 2*n {
			return false
		}
		return ecdsa.Verify(k, hashOfMessage(alg, message), new(big.Int).SetBytes(mark[:n]), new(big.Int).SetBytes(mark[n:]))
	}
	return false
}

// digest is the digest of what the archive unpacks to, without its signature.
func (a *archive) digest(lim Limits) (string, error) {
	all := slices.Clone(a.entries)
	slices.SortFunc(all, func(x, y entry) int { return strings.Compare(x.name, y.name) })
	sum, left := sha512.New384(), lim.Unzipped
	number := func(n int64) { _ = binary.Write(sum, binary.BigEndian, n) } // a hash takes everything
	for _, e := range all {
		if e.name == SignaturePath {
			continue
		}
		n, of, err := e.sum(left)
		if err != nil {
			return "", err
		}
		left -= n
		sum.Write([]byte(e.letter()))
		number(int64(len(e.name)))
		sum.Write([]byte(e.name))
		number(n)
		sum.Write(of)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (e entry) letter() string {
	switch {
	case e.kind == fs.ModeDir:
		return "d"
	case e.kind == fs.ModeSymlink:
		return "l"
	case e.exec:
		return "x"
	}
	return "f"
}

// sum is the length and SHA-256 of an entry's content.
func (e entry) sum(limit int64) (int64, []byte, error) {
	h := sha256.New()
	if e.kind == fs.ModeDir {
		return 0, h.Sum(nil), nil
	}
	f, err := e.file.Open()
	if err != nil {
		return 0, nil, refuse("the entry %q cannot be read: %v", e.name, err)
	}
	defer f.Close()
	n, err := io.Copy(h, io.LimitReader(f, limit+1))
	if err != nil {
		return 0, nil, refuse("the entry %q cannot be read: %v", e.name, err)
	}
	if n > limit {
		return 0, nil, &TooLarge{limit}
	}
	return n, h.Sum(nil), nil
}
