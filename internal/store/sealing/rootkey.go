package sealing

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// EnvRootKey is the environment variable that may carry the root key, 32 bytes in base64 or hex.
const EnvRootKey = "BASTIDE_ROOT_KEY"

// RootKey wraps all data keys. It shows itself to no formatter or encoder.
type RootKey struct{ secret []byte }

// NewRootKey takes 32 random bytes.
func NewRootKey(secret []byte) (RootKey, error) {
	if len(secret) != 32 {
		return RootKey{}, fmt.Errorf("sealing: a root key has 32 bytes, not %d", len(secret))
	}
	return RootKey{bytes.Clone(secret)}, nil
}

// ParseRootKey reads a root key as the environment variable and the key file carry it.
func ParseRootKey(text string) (RootKey, error) {
	text = string(bytes.TrimSpace([]byte(text)))
	if len(text) > 128 {
		return RootKey{}, errors.New("sealing: a root key is 32 bytes in base64 or hex")
	}
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString,
		base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if b, err := decode(text); err == nil && len(b) == 32 {
			return RootKey{b}, nil
		}
	}
	return RootKey{}, errors.New("sealing: a root key is 32 bytes in base64 or hex")
}

// RootKeyFile reads the root key in path, which only its owner may be able to read; without a file
// it makes a key and keeps it there, durably, before it is used.
func RootKeyFile(path string) (RootKey, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, 32)
		rand.Read(secret)
		if err := writeOnce(path, []byte(base64.StdEncoding.EncodeToString(secret)+"\n")); err != nil {
			return RootKey{}, err
		}
		return RootKey{secret}, nil
	}
	if err != nil {
		return RootKey{}, fmt.Errorf("sealing: root key file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > 128 {
		return RootKey{}, fmt.Errorf("sealing: %s must be a regular file that only its owner can read (chmod 600)", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return RootKey{}, fmt.Errorf("sealing: root key file: %w", err)
	}
	return ParseRootKey(string(b))
}

// derive makes the key that wraps data keys, and a value by which a database knows its root key.
func (k RootKey) derive() (wrap cipher.AEAD, check []byte, err error) {
	if len(k.secret) != 32 {
		return nil, nil, errors.New("sealing: no root key")
	}
	w, err := hkdf.Key(sha256.New, k.secret, nil, "bastide root wrap v1", 32)
	if err != nil {
		return nil, nil, fmt.Errorf("sealing: %w", err)
	}
	c, err := hkdf.Key(sha256.New, k.secret, nil, "bastide root check v1", 32)
	if err != nil {
		return nil, nil, fmt.Errorf("sealing: %w", err)
	}
	if wrap, err = newAEAD(w); err != nil {
		return nil, nil, err
	}
	h := hmac.New(sha256.New, c)
	h.Write([]byte("bastide root check"))
	return wrap, h.Sum(nil), nil
}

const redacted = "sealing.RootKey(redacted)"

// String hides the key.
func (k RootKey) String() string { return redacted }

// GoString hides the key from %#v.
func (k RootKey) GoString() string { return redacted }

// Format hides the key from every verb.
func (k RootKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText hides the key from encoders and loggers.
func (k RootKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// writeOnce makes path with content, for the owner only, and has it on disk when it returns.
func writeOnce(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		var d *os.File
		if d, err = os.Open(filepath.Dir(path)); err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	return nil
}
