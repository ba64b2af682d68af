package sealing

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

var (
	home  = Scope{Account: "123456789012", Region: "eu-west-1", Resource: "secret/db"}
	other = Scope{Account: "123456789012", Region: "eu-west-1", Resource: "secret/other"}
	aad   = []byte("row 1")
)

func root(b byte) RootKey {
	k, err := NewRootKey(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		panic(err)
	}
	return k
}

func openDB(t testing.TB, twice bool) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), RunTwice: twice})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func seal(t testing.TB, db *store.DB, s *Sealer, sc Scope, plain string) (out []byte) {
	t.Helper()
	err := db.Update(t.Context(), store.Scope{}, func(tx *store.Tx) (err error) {
		out, err = s.Seal(tx, sc, aad, []byte(plain))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unseal(t testing.TB, db *store.DB, s *Sealer, aad, sealed []byte) (out string, err error) {
	t.Helper()
	err = db.View(t.Context(), store.Scope{}, func(tx *store.Tx) error {
		b, err := s.Open(tx, aad, sealed)
		out = string(b)
		return err
	})
	return out, err
}

func TestSealAndOpen(t *testing.T) {
	for _, twice := range []bool{false, true} {
		db := openDB(t, twice)
		s := must(Open(t.Context(), db, root(1)))(t)
		a, b, c := seal(t, db, s, home, "hunter2"), seal(t, db, s, home, "hunter2"), seal(t, db, s, other, "")
		if bytes.Equal(a, b) || bytes.Contains(a, []byte("hunter2")) {
			t.Fatal("sealing is not hiding")
		}
		if !bytes.Equal(a[:headLen], b[:headLen]) || bytes.Equal(a[:headLen], c[:headLen]) {
			t.Fatal("a data key belongs to one resource")
		}
		fresh := must(Open(t.Context(), db, root(1)))(t) // nothing cached, as after a restart
		for _, s := range []*Sealer{s, fresh} {
			if got, err := unseal(t, db, s, aad, a); got != "hunter2" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			if got, err := unseal(t, db, s, aad, c); got != "" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			if _, err := unseal(t, db, s, []byte("row 2"), a); !errors.Is(err, ErrCannotOpen) {
				t.Fatalf("opened in another row: %v", err)
			}
		}
		for i := range a {
			bad := bytes.Clone(a)
			bad[i] ^= 0x10
			if _, err := unseal(t, db, s, aad, bad); !errors.Is(err, ErrCannotOpen) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
		}
	}
}

func TestRolledBackKeyIsForgotten(t *testing.T) {
	db := openDB(t, false)
	s := must(Open(t.Context(), db, root(1)))(t)
	no := errors.New("no")
	err := db.Update(t.Context(), store.Scope{}, func(tx *store.Tx) error {
		a, err := s.Seal(tx, home, aad, []byte("x"))
		if err != nil {
			return err
		}
		b, err := s.Seal(tx, home, aad, []byte("y"))
		if err != nil {
			return err
		}
		if !bytes.Equal(a[:headLen], b[:headLen]) {
			t.Error("two keys for one resource")
		}
		return no
	})
	if !errors.Is(err, no) || len(s.current)+len(s.byID) != 0 {
		t.Fatalf("%v; %d keys are cached", err, len(s.current)+len(s.byID))
	}
	a := seal(t, db, s, home, "x")
	if got, err := unseal(t, db, must(Open(t.Context(), db, root(1)))(t), aad, a); got != "x" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestRenewal(t *testing.T) {
	db := openDB(t, false)
	s := must(Open(t.Context(), db, root(1)))(t)
	a := seal(t, db, s, home, "old")
	err := db.Update(t.Context(), store.Scope{}, func(tx *store.Tx) error {
		k, err := s.currentKey(tx, home)
		if err != nil {
			return err
		}
		row, _, err := keys().Get(tx, store.K(k.id[:]))
		if err != nil {
			return err
		}
		row.Ticks = maxTicks - 2
		if err := keys().Put(tx, store.K(k.id[:]), row); err != nil {
			return err
		}
		return s.count(tx, home, k)
	})
	if err != nil {
		t.Fatal(err)
	}
	b := seal(t, db, s, home, "same key")
	if !bytes.Equal(a[:headLen], b[:headLen]) {
		t.Fatal("renewed too early")
	}
	err = db.Update(t.Context(), store.Scope{}, func(tx *store.Tx) error {
		k, err := s.currentKey(tx, home)
		return errors.Join(err, s.count(tx, home, k))
	})
	if err != nil {
		t.Fatal(err)
	}
	c := seal(t, db, s, home, "new")
	if bytes.Equal(a[:headLen], c[:headLen]) {
		t.Fatal("not renewed")
	}
	for _, x := range []struct {
		sealed []byte
		want   string
	}{{a, "old"}, {b, "same key"}, {c, "new"}} {
		if got, err := unseal(t, db, s, aad, x.sealed); got != x.want || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestTicksAreRare(t *testing.T) {
	n := 0
	for range 1 << 20 {
		if tick() {
			n++
		}
	}
	// 16 are expected; outside of 1 to 60 has a chance below 10^-6.
	if n < 1 || n > 60 {
		t.Fatalf("%d ticks in 2^20 seals, about 16 expected", n)
	}
}

func TestRootKeys(t *testing.T) {
	db := openDB(t, false)
	s := must(Open(t.Context(), db, root(1)))(t)
	a := seal(t, db, s, home, "x")
	if _, err := Open(t.Context(), db, root(2)); !errors.Is(err, ErrWrongRootKey) {
		t.Fatalf("another root key: %v", err)
	}
	before := must(s.Equality(home, []byte("v")))(t)
	if err := s.Rekey(t.Context(), db, root(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), db, root(1)); !errors.Is(err, ErrWrongRootKey) {
		t.Fatalf("the old root key still opens: %v", err)
	}
	s2 := must(Open(t.Context(), db, root(2)))(t)
	if got, err := unseal(t, db, s2, aad, a); got != "x" || err != nil {
		t.Fatalf("after Rekey: %q, %v", got, err)
	}
	if !bytes.Equal(before, must(s2.Equality(home, []byte("v")))(t)) {
		t.Fatal("equality keys changed with the root key")
	}
}

func TestEquality(t *testing.T) {
	s := must(Open(t.Context(), openDB(t, false), root(1)))(t)
	a := must(s.Equality(home, []byte("v")))(t)
	if !bytes.Equal(a, must(s.Equality(home, []byte("v")))(t)) {
		t.Error("equal values differ")
	}
	if bytes.Equal(a, must(s.Equality(other, []byte("v")))(t)) || bytes.Equal(a, must(s.Equality(home, []byte("w")))(t)) {
		t.Error("unequal values agree")
	}
}

func TestRootKeySources(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	a := must(RootKeyFile(path))(t)
	b := must(RootKeyFile(path))(t)
	if !bytes.Equal(a.secret, b.secret) || len(a.secret) != 32 {
		t.Fatal("the file gives another key the second time")
	}
	info := must(os.Stat(path))(t)
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", info.Mode())
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := RootKeyFile(path); err == nil {
		t.Fatal("a key that the group can read was taken")
	}
	for _, text := range []string{hex.EncodeToString(a.secret), base64.StdEncoding.EncodeToString(a.secret) + "\n", base64.RawURLEncoding.EncodeToString(a.secret)} {
		if k, err := ParseRootKey(text); err != nil || !bytes.Equal(k.secret, a.secret) {
			t.Fatalf("%v", err)
		}
	}
	for _, text := range []string{"", "00", strings.Repeat("0", 62), strings.Repeat("x", 1000)} {
		if _, err := ParseRootKey(text); err == nil {
			t.Errorf("%q was taken for a key", text)
		}
	}
	shown := fmt.Sprintf("%v %+v %#v %s %x %q", a, a, a, a, a, []any{a})
	j := must(json.Marshal(map[string]any{"k": a}))(t)
	for _, secret := range []string{hex.EncodeToString(a.secret[:4]), fmt.Sprint(a.secret[0]) + " ", string(a.secret[:4])} {
		if strings.Contains(shown+string(j), secret) {
			t.Errorf("the key shows: %s %s", shown, j)
		}
	}
}

// vectors finds a file of the Wycheproof project's test vectors (C2SP/wycheproof, testvectors_v1).
func vectors(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("BASTIDE_VECTORS")
	if dir == "" {
		up := must(os.Getwd())(t)
		for {
			if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
				break
			}
			if up == filepath.Dir(up) {
				t.Fatal("no go.mod above the test")
			}
			up = filepath.Dir(up)
		}
		dir = filepath.Join(up, "..", "shared", "data")
	}
	b, err := os.ReadFile(filepath.Join(dir, "wycheproof", name))
	if err != nil {
		t.Fatalf("wanted: testvectors_v1/%s of github.com/C2SP/wycheproof, under $BASTIDE_VECTORS/wycheproof: %v", name, err)
	}
	return b
}

func TestWycheproofGCM(t *testing.T) {
	var file struct {
		TestGroups []struct {
			IVSize, KeySize, TagSize int
			Tests                    []struct {
				TcID                       int
				Key, IV, AAD, Msg, Ct, Tag string
				Result                     string
			}
		}
	}
	if err := json.Unmarshal(vectors(t, "aes_gcm_test.json"), &file); err != nil {
		t.Fatal(err)
	}
	raw := func(s string) []byte { return must(hex.DecodeString(s))(t) }
	ran := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			a, err := newAEAD(raw(c.Key))
			if g.KeySize != 256 {
				if err == nil {
					t.Errorf("case %d: a key of %d bits was taken", c.TcID, g.KeySize)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			body := append(append(raw(c.IV), raw(c.Ct)...), raw(c.Tag)...)
			got, err := a.Open(nil, nil, body, raw(c.AAD))
			fits := g.IVSize == 96 && g.TagSize == 128 // the only shape a sealed value has
			switch {
			case fits && c.Result == "valid" && (err != nil || !bytes.Equal(got, raw(c.Msg))):
				t.Errorf("case %d: %v", c.TcID, err)
			case (!fits || c.Result == "invalid") && err == nil:
				t.Errorf("case %d (nonce %d, tag %d, %s): opened", c.TcID, g.IVSize, g.TagSize, c.Result)
			}
			ran++
		}
	}
	if ran < 60 {
		t.Fatalf("only %d cases with 256-bit keys", ran)
	}
}

func FuzzOpen(f *testing.F) {
	db := openDB(f, false)
	s := must(Open(f.Context(), db, root(1)))(f)
	good := seal(f, db, s, home, "the plaintext")
	f.Add(good, aad)
	f.Add(good[:len(good)-1], aad)
	f.Add([]byte{format}, []byte{})
	f.Add(append(bytes.Clone(good), 0), aad)
	f.Fuzz(func(t *testing.T, sealed, bound []byte) {
		got, err := unseal(t, db, s, bound, sealed)
		if same := bytes.Equal(sealed, good) && bytes.Equal(bound, aad); same != (err == nil) {
			t.Fatalf("opened %q: %v", got, err)
		}
	})
}
