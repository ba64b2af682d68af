//go:build !fips

package sealing

import "golang.org/x/crypto/argon2"

func stretch(passphrase []byte, p passphraseParams) (RootKey, error) {
	return RootKey{argon2.IDKey(passphrase, p.Salt, p.Time, p.MemoryKiB, p.Threads, 32)}, nil
}
