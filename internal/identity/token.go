package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/ids"
)

// Credentials are temporary credentials as STS hands them out.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
}

// String names the key only.
func (c Credentials) String() string { return "Credentials(" + c.AccessKeyID + ")" }

// GoString is String, so that %#v shows no secret either.
func (c Credentials) GoString() string { return c.String() }

const (
	tokenVersion = 1
	saltSize     = 16
	maxToken     = 16 << 10 // characters
	maxSealed    = 10 << 10 // bytes of the sealed session; what is over refuses to be issued
	tokenInfo    = "bastide session token 1"
	cacheTokens  = 1024 // of each of two generations
)

// Tokens issues and opens session tokens. A token is base64url of
//
//	version (1 byte) | salt (16) | nonce (12) | AES-256-GCM of the session as JSON | tag (16)
//
// Its key is derived from the root key and the salt, so that no number of tokens wears a key out.
type Tokens struct {
	root []byte
	ids  ids.Source

	mu       sync.Mutex
	new, old map[string]*opened // by access key id; valid tokens only
}

// opened is what a token holds.
type opened struct {
	AccessKeyID string  `json:"i"`
	Secret      string  `json:"k"`
	Session     Session `json:"s"`

	facts *facts
	hash  [sha256.Size]byte // of the token
}

// NewTokens makes Tokens under a root key of at least 32 bytes; the same key on every node.
func NewTokens(root []byte, source ids.Source) (*Tokens, error) {
	if len(root) < 32 {
		return nil, errors.New("identity: the root key is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, root, nil, tokenInfo, 32)
	return &Tokens{root: key, ids: source, new: map[string]*opened{}, old: map[string]*opened{}}, err
}

// Issue makes credentials that stand for s until s.Expires. A session too large for a token is
// refused as STS does.
func (t *Tokens) Issue(s Session) (Credentials, error) {
	// A token keeps whole seconds; so does the session that it opens to.
	s.Issued, s.Expires = s.Issued.UTC().Truncate(time.Second), s.Expires.UTC().Truncate(time.Second)
	if _, err := newFacts(s); err != nil {
		return Credentials{}, err
	}
	o := opened{AccessKeyID: t.ids.Unique("ASIA", 20), Session: s,
		Secret: base64.StdEncoding.EncodeToString(t.ids.Bytes(30))}
	plain, err := json.Marshal(o)
	if err != nil {
		return Credentials{}, awserr.Wrap(err)
	}
	if len(plain) > maxSealed {
		return Credentials{}, awserr.New("PackedPolicyTooLarge", 400, "The session's policies and tags are larger than a token can hold.")
	}
	header := append([]byte{tokenVersion}, t.ids.Bytes(saltSize)...)
	aead, err := t.aead(header[1:])
	if err != nil {
		return Credentials{}, awserr.Wrap(err)
	}
	sealed := aead.Seal(header, nil, plain, header[:1+saltSize])
	return Credentials{o.AccessKeyID, o.Secret, base64.RawURLEncoding.EncodeToString(sealed), s.Expires}, nil
}

func (t *Tokens) aead(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, t.root, salt, tokenInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func invalidToken() error {
	return awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid.")
}

// Open is the session of a token that belongs to accessKeyID and has not expired, with its secret.
// Errors are of the kinds InvalidToken and ExpiredToken.
func (t *Tokens) Open(accessKeyID, token string, now time.Time) (Session, string, error) {
	o, err := t.open(accessKeyID, token, now)
	if err != nil {
		return Session{}, "", err
	}
	return o.Session, o.Secret, nil
}

func (t *Tokens) open(accessKeyID, token string, now time.Time) (*opened, error) {
	if len(token) > maxToken {
		return nil, invalidToken()
	}
	hash := sha256.Sum256([]byte(token))
	o := t.cached(accessKeyID)
	if o == nil || o.hash != hash {
		var err error
		if o, err = t.unseal(token); err != nil {
			return nil, err
		}
		o.hash = hash
		if o.AccessKeyID != accessKeyID {
			return nil, invalidToken()
		}
		t.keep(o)
	}
	if !now.Before(o.Session.Expires) {
		return nil, awserr.Of(awserr.ExpiredToken, "The security token included in the request is expired")
	}
	return o, nil
}

func (t *Tokens) unseal(token string) (*opened, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 1+saltSize+12+16 || raw[0] != tokenVersion {
		return nil, invalidToken()
	}
	aead, err := t.aead(raw[1 : 1+saltSize])
	if err != nil {
		return nil, awserr.Wrap(err)
	}
	plain, err := aead.Open(nil, nil, raw[1+saltSize:], raw[:1+saltSize])
	if err != nil {
		return nil, invalidToken()
	}
	o := &opened{}
	if err := json.Unmarshal(plain, o); err != nil {
		return nil, awserr.Wrap(err) // we sealed it: not the caller's fault
	}
	if o.facts, err = newFacts(o.Session); err != nil {
		return nil, err
	}
	return o, nil
}

// cached and keep hold the tokens used last: when a generation is full, the older one goes.
func (t *Tokens) cached(accessKeyID string) *opened {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o := t.new[accessKeyID]; o != nil {
		return o
	}
	o := t.old[accessKeyID]
	if o != nil {
		t.insert(o)
	}
	return o
}

func (t *Tokens) keep(o *opened) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.insert(o)
}

func (t *Tokens) insert(o *opened) {
	if len(t.new) >= cacheTokens {
		t.old, t.new = t.new, make(map[string]*opened, cacheTokens)
	}
	t.new[o.AccessKeyID] = o
}
