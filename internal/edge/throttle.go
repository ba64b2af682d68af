package edge

import (
	"sync"
	"time"
)

// limit is a token bucket's rate in requests a second and its size.
type limit struct {
	rate, burst float64
	set         bool
}

// The account's own limits stand where a route says only one. Source: API Gateway quotas.
const (
	accountRate  = 10_000
	accountBurst = 5_000
)

func newLimit(rate *float64, burst *int32) limit {
	l := limit{rate: accountRate, burst: accountBurst, set: rate != nil || burst != nil}
	if rate != nil {
		l.rate = *rate
	}
	if burst != nil {
		l.burst = float64(*burst)
	}
	return l
}

// buckets hold the tokens of routes that have a limit, by name, so that they outlive a deployment.
type buckets struct {
	mu sync.Mutex
	m  map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

const maxBuckets = 10_000

func newBuckets() *buckets { return &buckets{m: map[string]*bucket{}} }

// take takes one request's token; false where there is none left.
func (b *buckets) take(r *route, now time.Time) bool {
	if !r.limit.set {
		return true
	}
	key := r.stage.api.id + " " + r.stage.name + " " + r.key
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.m[key]
	if k == nil {
		if len(b.m) >= maxBuckets {
			clear(b.m)
		}
		k = &bucket{tokens: r.limit.burst, at: now}
		b.m[key] = k
	}
	k.tokens = min(r.limit.burst, k.tokens+now.Sub(k.at).Seconds()*r.limit.rate)
	k.at = now
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}
