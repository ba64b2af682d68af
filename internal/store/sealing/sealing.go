// Package sealing keeps secrets unreadable in the store. A value is sealed under a data key, the
// data key is wrapped under the root key, and the root key is kept outside the database:
//
//	sealed, err := sealer.Seal(tx, sealing.Scope{Account: a, Region: r, Resource: "secret/x"}, row, secret)
//	secret, err := sealer.Open(tx, row, sealed)
//
// What holds:
//   - Every account, region and resource has data keys of its own, renewed after about 2^30 seals.
//   - A sealed value names its key and is bound to the bytes given as row, normally the key of the
//     row that it stands in: moved to another row it does not open.
//   - Values that must be found by equality get an HMAC (Equality) under a key of their scope.
//   - All cryptography is the standard library's (AES-256-GCM with random nonces, HKDF, HMAC with
//     SHA-256), so that it can be built with GOFIPS140.
package sealing

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/internal/system"
)

// Errors that a caller may branch on.
var (
	// ErrWrongRootKey: the database was made under another root key.
	ErrWrongRootKey = errors.New("sealing: the root key is not the one that this data was sealed under")
	// ErrCannotOpen: the sealed value is damaged, forged, moved from another row, or its key is gone.
	ErrCannotOpen = errors.New("sealing: the value cannot be opened")
)

// Scope is what a data key is for.
type Scope struct{ Account, Region, Resource string }

func (s Scope) bytes() []byte { return store.K(s.Account, s.Region, s.Resource).Bytes() }

// A sealed value is: format (1 byte), key id (16), nonce (12), ciphertext, tag (16).
const (
	format   = 1
	idLen    = 16
	headLen  = 1 + idLen
	overhead = headLen + 12 + 16
	maxPlain = 4 << 20
)

// Seals are counted by chance: each one in 2^tickShift writes a tick to the key's row, so that
// counting needs no write of its own and no counter that only one process has. After maxTicks,
// 2^30 seals give or take 1 %, the key is replaced: half of NIST SP 800-38D's 2^32 bound for
// random nonces would be 2^31.
const (
	tickShift = 16
	maxTicks  = 1 << 14
)

// Sealer seals and opens. It is safe for concurrent use; transactions carry the concurrency.
type Sealer struct {
	wrap cipher.AEAD
	mac  []byte

	mu      sync.Mutex
	current map[Scope]*key // committed keys only
	byID    map[[idLen]byte]*key
}

// maxCached bounds each cache; beyond it, any entry gives way.
const maxCached = 10_000

// key is an unwrapped data key.
type key struct {
	id   [idLen]byte
	aead cipher.AEAD
}

// keyRow is a data key as it is kept.
type keyRow struct {
	Account  string    `json:"account"`
	Region   string    `json:"region"`
	Resource string    `json:"resource"`
	Wrapped  []byte    `json:"wrapped"`
	Created  time.Time `json:"created"`
	Ticks    int       `json:"ticks"`
}

func (r keyRow) scope() Scope { return Scope{r.Account, r.Region, r.Resource} }

// rootRow ties the database to its root key.
type rootRow struct {
	Check []byte `json:"check"` // HMAC under a key derived from the root key
	MAC   []byte `json:"mac"`   // the wrapped key that equality keys are derived from
}

func keys() store.Table[keyRow] {
	return store.SystemTable[keyRow](system.Table{Space: "_sealing", Name: "keys"})
}

func currents() store.Table[[]byte] {
	return store.SystemTable[[]byte](system.Table{Space: "_sealing", Name: "current"})
}

func roots() store.Table[rootRow] {
	return store.SystemTable[rootRow](system.Table{Space: "_sealing", Name: "root"})
}

var (
	rootKey = store.K("root")
	macAAD  = []byte("bastide equality key v1")
)

// Open ties root to the database at its first use and checks it at every later one. Error:
// ErrWrongRootKey.
func Open(ctx context.Context, db *store.DB, root RootKey) (*Sealer, error) {
	wrap, check, err := root.derive()
	if err != nil {
		return nil, err
	}
	s := &Sealer{wrap: wrap, current: map[Scope]*key{}, byID: map[[idLen]byte]*key{}}
	err = db.Update(ctx, store.Scope{}, func(tx *store.Tx) error {
		r, ok, err := roots().Get(tx, rootKey)
		if err != nil {
			return err
		}
		if !ok {
			mac := make([]byte, 32)
			rand.Read(mac)
			s.mac = mac
			return roots().Put(tx, rootKey, rootRow{Check: check, MAC: wrap.Seal(nil, nil, mac, macAAD)})
		}
		if !hmac.Equal(r.Check, check) {
			return ErrWrongRootKey
		}
		if s.mac, err = wrap.Open(nil, nil, r.MAC, macAAD); err != nil {
			return ErrWrongRootKey
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Seal seals plaintext, at most 4 MiB, for the row named by aad. It needs an Update.
func (s *Sealer) Seal(tx *store.Tx, sc Scope, aad, plaintext []byte) ([]byte, error) {
	if !tx.Writable() {
		return nil, store.ErrReadOnly
	}
	if len(plaintext) > maxPlain {
		return nil, &store.TooLargeError{What: "value", Size: len(plaintext), Max: maxPlain}
	}
	k, err := s.currentKey(tx, sc)
	if err != nil {
		return nil, err
	}
	if tick() {
		if err := s.count(tx, sc, k); err != nil {
			return nil, err
		}
	}
	out := make([]byte, headLen, overhead+len(plaintext))
	out[0] = format
	copy(out[1:], k.id[:])
	return k.aead.Seal(out, nil, plaintext, bind(out, aad)), nil
}

// Open opens what Seal made for the row named by aad. Error: ErrCannotOpen, without a reason.
func (s *Sealer) Open(tx *store.Tx, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead || len(sealed) > overhead+maxPlain || sealed[0] != format {
		return nil, ErrCannotOpen
	}
	k, err := s.keyByID(tx, [idLen]byte(sealed[1:headLen]))
	if err != nil {
		return nil, err
	}
	out, err := k.aead.Open(nil, nil, sealed[headLen:], bind(sealed[:headLen], aad))
	if err != nil {
		return nil, ErrCannotOpen
	}
	return out, nil
}

// Equality is a 32-byte stand-in for value by which rows of a scope can be found without keeping
// the value readable. It says whether two values are equal, and nothing more.
func (s *Sealer) Equality(sc Scope, value []byte) ([]byte, error) {
	k, err := hkdf.Key(sha256.New, s.mac, nil, "bastide equality v1"+string(sc.bytes()), 32)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	h := hmac.New(sha256.New, k)
	h.Write(value)
	return h.Sum(nil), nil
}

// bind is the additional data of a sealed value: a domain, the value's head and the caller's row.
func bind(head, aad []byte) []byte {
	b := make([]byte, 0, 16+headLen+len(aad))
	b = append(b, "bastide seal v1\x00"...)
	return append(append(b, head...), aad...)
}

// currentKey is the data key that new values of sc are sealed under, made if there is none.
func (s *Sealer) currentKey(tx *store.Tx, sc Scope) (*key, error) {
	s.mu.Lock()
	k := s.current[sc]
	s.mu.Unlock()
	if k != nil {
		return k, nil
	}
	id, ok, err := currents().Get(tx, store.K(sc.Account, sc.Region, sc.Resource))
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.renew(tx, sc)
	}
	if len(id) != idLen {
		return nil, ErrCannotOpen
	}
	if k, err = s.keyByID(tx, [idLen]byte(id)); err != nil {
		return nil, err
	}
	s.install(tx, sc, k)
	return k, nil
}

// renew makes a new current key for sc. It enters the cache only once its row is durable: a value
// sealed under a key that was rolled back could never be opened again.
func (s *Sealer) renew(tx *store.Tx, sc Scope) (*key, error) {
	var id [idLen]byte
	secret := make([]byte, 32)
	rand.Read(id[:])
	rand.Read(secret)
	k, err := newKey(id, secret)
	if err != nil {
		return nil, err
	}
	row := keyRow{Account: sc.Account, Region: sc.Region, Resource: sc.Resource, Created: tx.Now(),
		Wrapped: s.wrap.Seal(nil, nil, secret, wrapAAD(id, sc))}
	if err := keys().Put(tx, store.K(id[:]), row); err != nil {
		return nil, err
	}
	if err := currents().Put(tx, store.K(sc.Account, sc.Region, sc.Resource), id[:]); err != nil {
		return nil, err
	}
	s.install(tx, sc, k)
	return k, nil
}

func (s *Sealer) install(tx *store.Tx, sc Scope, k *key) {
	tx.AfterCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		shrink(s.current)
		s.current[sc] = k
		shrink(s.byID)
		s.byID[k.id] = k
	})
}

func (s *Sealer) keyByID(tx *store.Tx, id [idLen]byte) (*key, error) {
	s.mu.Lock()
	k := s.byID[id]
	s.mu.Unlock()
	if k != nil {
		return k, nil
	}
	row, ok, err := keys().Get(tx, store.K(id[:]))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrCannotOpen
	}
	secret, err := s.wrap.Open(nil, nil, row.Wrapped, wrapAAD(id, row.scope()))
	if err != nil {
		return nil, ErrCannotOpen
	}
	if k, err = newKey(id, secret); err != nil {
		return nil, err
	}
	if !tx.Writable() { // in a View the row is committed; in an Update it may be this one's own
		s.mu.Lock()
		defer s.mu.Unlock()
		shrink(s.byID)
		s.byID[id] = k
	}
	return k, nil
}

// count notes a tick for k and replaces it when it has had its share.
func (s *Sealer) count(tx *store.Tx, sc Scope, k *key) error {
	row, ok, err := keys().Get(tx, store.K(k.id[:]))
	if err != nil {
		return err
	}
	if !ok {
		return ErrCannotOpen
	}
	row.Ticks++
	if err := keys().Put(tx, store.K(k.id[:]), row); err != nil {
		return err
	}
	if row.Ticks < maxTicks {
		return nil
	}
	// The value at hand is still sealed under k; the next one finds the new key. A key that
	// another process has put in place already is kept.
	id, ok, err := currents().Get(tx, store.K(sc.Account, sc.Region, sc.Resource))
	if err != nil {
		return err
	}
	if ok && string(id) != string(k.id[:]) {
		tx.AfterCommit(func() { s.mu.Lock(); delete(s.current, sc); s.mu.Unlock() })
		return nil
	}
	_, err = s.renew(tx, sc)
	return err
}

// Rekey wraps every data key under another root key, in one transaction: all or none. Nothing else
// may use the sealer meanwhile.
func (s *Sealer) Rekey(ctx context.Context, db *store.DB, to RootKey) error {
	wrap, check, err := to.derive()
	if err != nil {
		return err
	}
	err = db.Update(ctx, store.Scope{}, func(tx *store.Tx) error {
		for e, err := range keys().Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			raw, _ := e.Key.Parts()[0].([]byte)
			if len(raw) != idLen {
				return ErrCannotOpen
			}
			aad := wrapAAD([idLen]byte(raw), e.Value.scope())
			secret, err := s.wrap.Open(nil, nil, e.Value.Wrapped, aad)
			if err != nil {
				return ErrCannotOpen
			}
			e.Value.Wrapped = wrap.Seal(nil, nil, secret, aad)
			if err := keys().Put(tx, e.Key, e.Value); err != nil {
				return err
			}
		}
		return roots().Put(tx, rootKey, rootRow{Check: check, MAC: wrap.Seal(nil, nil, s.mac, macAAD)})
	})
	if err != nil {
		return err
	}
	s.wrap = wrap
	return nil
}

func wrapAAD(id [idLen]byte, sc Scope) []byte {
	return append(append([]byte("bastide data key v1\x00"), id[:]...), sc.bytes()...)
}

func newKey(id [idLen]byte, secret []byte) (*key, error) {
	a, err := newAEAD(secret)
	if err != nil {
		return nil, err
	}
	return &key{id: id, aead: a}, nil
}

// newAEAD is AES-256-GCM that makes its own random nonces: the form that FIPS 140-3 approves.
func newAEAD(secret []byte) (cipher.AEAD, error) {
	if len(secret) != 32 {
		return nil, ErrCannotOpen
	}
	b, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	a, err := cipher.NewGCMWithRandomNonce(b)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return a, nil
}

func shrink[K comparable, V any](m map[K]V) {
	for k := range m {
		if len(m) < maxCached {
			return
		}
		delete(m, k)
	}
}

// tick is true once in 2^tickShift times.
func tick() bool {
	var b [8]byte
	rand.Read(b[:])
	return bits.TrailingZeros64(binary.NativeEndian.Uint64(b[:])) >= tickShift
}
