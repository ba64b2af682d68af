//go:build fips

package sealing

func stretch([]byte, passphraseParams) (RootKey, error) { return RootKey{}, ErrPassphrase }
