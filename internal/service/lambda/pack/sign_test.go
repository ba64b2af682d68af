package pack

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func keysOf(t testing.TB) []crypto.Signer {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []crypto.Signer{p256, p384, ed}
}

var claims = Claims{Profile: "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/ours/abcdefghij", Job: "job", Signed: 1000, Expires: 2000}

var pieces = []item{{"app.py", "one", 0}, {"bin/run", "two", 0o755}, {"lib/", "", fs.ModeDir | 0o755}, {"lib/to", "../app.py", fs.ModeSymlink | 0o777}}

func TestSignedPackages(t *testing.T) {
	plain := archiveOf(t, pieces...)
	keys := keysOf(t)
	for n, key := range keys {
		signed, err := Sign(plain, claims, key, ample)
		if err != nil {
			t.Fatal(err)
		}
		s := read1(t, signed)
		if err := s.Verify(key.Public()); err != nil || s.Claims.Profile != claims.Profile || s.Claims.Job != "job" {
			t.Errorf("%T: %v %+v", key, err, s.Claims)
		}
		if s.Claims.Expired(time.Unix(1999, 0)) || !s.Claims.Expired(time.Unix(2000, 0)) {
			t.Error("its time is another")
		}
		wantBroken(t, "another key", s.Verify(keys[(n+1)%len(keys)].Public()))
		other := keysOf(t)[n]
		wantBroken(t, "another key of the kind", s.Verify(other.Public()))
		// Signed again, it has one signature.
		again, err := Sign(signed, claims, other, ample)
		if err != nil {
			t.Fatal(err)
		}
		if err := read1(t, again).Verify(other.Public()); err != nil {
			t.Error(err)
		}
		if info, err := Check(bytes.NewReader(signed), int64(len(signed)), ample); err != nil || info.Files != 4 {
			t.Errorf("unpacks to %+v, %v", info, err)
		}
	}
	_, err := ReadSignature(bytes.NewReader(plain), int64(len(plain)), ample)
	if !errors.Is(err, ErrUnsigned) {
		t.Errorf("without a signature: %v", err)
	}
}

func read1(t testing.TB, b []byte) *Signature {
	t.Helper()
	s, err := ReadSignature(bytes.NewReader(b), int64(len(b)), ample)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantBroken(t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[*BrokenError](err); !ok {
		t.Errorf("%s: %v", what, err)
	}
}

// TestChangedPackages moves a signature to archives that differ in one thing each.
func TestChangedPackages(t *testing.T) {
	key := keysOf(t)[1]
	signed, err := Sign(archiveOf(t, pieces...), claims, key, ample)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(signed), int64(len(signed)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(z, SignaturePath)
	if err != nil {
		t.Fatal(err)
	}
	with := func(items ...item) *Signature {
		return read1(t, archiveOf(t, append(items, item{SignaturePath, string(text), 0})...))
	}
	if err := with(pieces[3], pieces[1], pieces[0], pieces[2]).Verify(key.Public()); err != nil {
		t.Errorf("in another order: %v", err)
	}
	wantBroken(t, "content", with(item{"app.py", "onE", 0}, pieces[1], pieces[2], pieces[3]).Verify(key.Public()))
	wantBroken(t, "name", with(item{"app.pz", "one", 0}, pieces[1], pieces[2], pieces[3]).Verify(key.Public()))
	wantBroken(t, "a byte moved from the name", with(item{"app.p", "yone", 0}, pieces[1], pieces[2], pieces[3]).Verify(key.Public()))
	wantBroken(t, "mode", with(item{"app.py", "one", 0o755}, pieces[1], pieces[2], pieces[3]).Verify(key.Public()))
	wantBroken(t, "link", with(pieces[0], pieces[1], pieces[2], item{"lib/to", "../app.px", fs.ModeSymlink | 0o777}).Verify(key.Public()))
	wantBroken(t, "less", with(pieces[0], pieces[1], pieces[2]).Verify(key.Public()))
	wantBroken(t, "more", with(append(pieces, item{"more", "", 0})...).Verify(key.Public()))
	parts := strings.Split(string(text), ".")
	for name, bad := range map[string]string{
		"none":    encode([]byte(`{"alg":"none","typ":"`+signatureType+`","kid":"`+claims.Profile+`"}`)) + "." + parts[1] + ".",
		"another": encode([]byte(`{"alg":"ES256","typ":"`+signatureType+`","kid":"`+claims.Profile+`"}`)) + "." + parts[1] + "." + parts[2],
	} {
		s, err := parseSignature(bad)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s.digest = s.Claims.Digest
		wantBroken(t, name, s.Verify(key.Public()))
	}
	for name, bad := range map[string]string{
		"two parts": parts[0] + "." + parts[1], "no base64": "?." + parts[1] + "." + parts[2], "no json": encode([]byte("x")) + "." + parts[1] + "." + parts[2],
		"critical":     encode([]byte(`{"alg":"ES384","typ":"`+signatureType+`","kid":"`+claims.Profile+`","crit":["x"]}`)) + "." + parts[1] + "." + parts[2],
		"two profiles": encode([]byte(`{"alg":"ES384","typ":"`+signatureType+`","kid":"other"}`)) + "." + parts[1] + "." + parts[2],
	} {
		_, err := parseSignature(bad)
		wantBroken(t, name, err)
	}
}

func FuzzSignature(f *testing.F) {
	key := keysOf(f)[2]
	signed, err := Sign(archiveOf(f, pieces...), claims, key, ample)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(archiveOf(f, pieces...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSignature(bytes.NewReader(b), int64(len(b)), ample)
		if err == nil && s.Verify(key.Public()) == nil && s.Claims.Digest != read1(t, signed).Claims.Digest {
			t.Error("a package that was never signed passes")
		}
	})
}
