package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// signingKey is a secret derived for one date, region and service. Its HMAC states are pooled,
// since setting one up costs half of a signature.
type signingKey struct {
	states sync.Pool
}

type mac struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// deriveKey follows the four steps of "Create a signed AWS API request", step 4.
func deriveKey(secret, date, region, service string) *signingKey {
	key := []byte("AWS4" + secret)
	for _, part := range [...]string{date, region, service, terminator} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	k := &signingKey{}
	k.states.New = func() any { return &mac{h: hmac.New(sha256.New, key)} }
	return k
}

// sign is the HMAC of msg.
func (k *signingKey) sign(msg []byte) [sha256.Size]byte {
	m := k.states.Get().(*mac)
	m.h.Reset()
	m.h.Write(msg)
	m.h.Sum(m.sum[:0])
	out := m.sum
	k.states.Put(m)
	return out
}

// keyName is what a derived key depends on besides the secret.
type keyName struct{ accessKeyID, date, region, service string }

// keyCache holds the derived keys used last. The secret is compared on every use, so a renewed
// secret under the same id derives anew, and a deleted key never reaches the cache: the secret is
// asked of Keys each time.
type keyCache struct {
	mu         sync.Mutex
	max        int
	m          map[keyName]*cached
	head, tail *cached // most and least recently used
}

type cached struct {
	name       keyName
	secret     string
	key        *signingKey
	prev, next *cached
}

func newKeyCache(limit int) *keyCache {
	return &keyCache{max: limit, m: make(map[keyName]*cached)}
}

func (c *keyCache) get(name keyName, secret string) *signingKey {
	c.mu.Lock()
	if e := c.m[name]; e != nil && e.secret == secret {
		c.unlink(e)
		c.push(e)
		c.mu.Unlock()
		return e.key
	}
	c.mu.Unlock()
	key := deriveKey(secret, name.date, name.region, name.service)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.m[name]; e != nil {
		c.unlink(e)
	}
	// The name's parts point into a request's headers: keep copies, not the request.
	name = keyName{clone(name.accessKeyID), clone(name.date), clone(name.region), clone(name.service)}
	e := &cached{name: name, secret: secret, key: key}
	c.m[name] = e
	c.push(e)
	if len(c.m) > c.max {
		delete(c.m, c.tail.name)
		c.unlink(c.tail)
	}
	return key
}

func clone(s string) string { return string([]byte(s)) }

func (c *keyCache) push(e *cached) {
	e.prev, e.next = nil, c.head
	if c.head != nil {
		c.head.prev = e
	}
	c.head = e
	if c.tail == nil {
		c.tail = e
	}
}

func (c *keyCache) unlink(e *cached) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		c.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		c.tail = e.prev
	}
}
