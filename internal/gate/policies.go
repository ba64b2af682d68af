package gate

import (
	"sync"

	"github.com/bastide-cloud/bastide/internal/policy"
)

// policyCache keeps resource policies compiled, by their text: they are read with every call
// and change seldom. It is bounded and only ever a copy, so it needs no invalidation.
type policyCache struct {
	mu sync.RWMutex
	m  map[policyText]*policy.Policy
}

type policyText struct {
	kind policy.Kind
	src  string
}

const maxCachedPolicies = 4096

func newPolicyCache() *policyCache { return &policyCache{m: make(map[policyText]*policy.Policy)} }

func (c *policyCache) parse(kind policy.Kind, src string) (*policy.Policy, error) {
	k := policyText{kind, src}
	c.mu.RLock()
	p := c.m[k]
	c.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	p, err := policy.Parse([]byte(src), kind, policy.Options{})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxCachedPolicies {
		clear(c.m)
	}
	c.m[k] = p
	return p, nil
}
