package edge

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync"
	"time"
)

// resultCache remembers what Lambda authorizers said, by everything that their answer may depend
// on: which authorizer of which stage, as it is configured and was deployed, and the caller's whole
// identity. So no verdict outlives a change of the authorizer. Keys
// are hashes, so that no credential is kept.
type resultCache struct {
	mu sync.Mutex
	m  map[[32]byte]verdict
}

const maxResults = 50_000

func newResultCache() *resultCache { return &resultCache{m: map[[32]byte]verdict{}} }

// resultKey writes each part with its length before it, so that no two lists of parts are one key.
func (x *exchange) resultKey(a *authorizer, values []string) [32]byte {
	h := sha256.New()
	write := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	for _, s := range []string{x.api.account, x.api.region, x.api.id, x.stage.name, x.stage.deployment, a.id, a.kind, a.uri, a.payload, a.validation,
		strconv.FormatBool(a.simple), strconv.FormatInt(int64(a.ttl), 10), strconv.Itoa(len(a.sources))} {
		write(s)
	}
	for _, s := range a.sources {
		write(s)
	}
	for _, s := range values {
		write(s)
	}
	return [32]byte(h.Sum(nil))
}

func (c *resultCache) get(key [32]byte, now time.Time) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[key]
	if ok && !now.Before(v.until) {
		delete(c.m, key)
		return verdict{}, false
	}
	return v, ok
}

func (c *resultCache) put(key [32]byte, v verdict, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxResults {
		for k, old := range c.m {
			if !now.Before(old.until) {
				delete(c.m, k)
			}
		}
		if len(c.m) >= maxResults {
			clear(c.m) // only a copy: they are asked again
		}
	}
	c.m[key] = v
}
