package fleet

import "time"

// ThrottledError is an invocation that may not run now; Reason is Lambda's word for why.
type ThrottledError struct{ Reason string }

func (e *ThrottledError) Error() string { return "fleet: throttled: " + e.Reason }

// The reasons of TooManyRequestsException.
const (
	ReservedExceeded     = "ReservedFunctionConcurrentInvocationLimitExceeded"
	ConcurrentExceeded   = "ConcurrentInvocationLimitExceeded"
	ReservedRateExceeded = "ReservedFunctionInvocationRateLimitExceeded"
	RateExceeded         = "FunctionInvocationRateLimitExceeded"
)

// perInstance is how many invocations a second each unit of concurrency may begin (Lambda quotas,
// "Invocation requests per second per AWS Region").
const perInstance = 10

// lane is what an invocation counts against while it runs.
type lane int

const (
	sharedLane      lane = iota // the account's unreserved concurrency
	reservedLane                // the function's own
	provisionedLane             // the instances that are held ready for its version
)

// bucket meters invocations a second; a second's worth may come at once.
type bucket struct {
	tokens float64
	at     time.Time
}

// fill adds what has come since, at a rate a second; it is full at first.
func (b *bucket) fill(now time.Time, rate, most float64) {
	if b.at.IsZero() {
		b.tokens = most
	} else if d := now.Sub(b.at); d > 0 {
		b.tokens = min(most, b.tokens+d.Seconds()*rate)
	}
	b.at = now
}

func (b *bucket) take(now time.Time, rate int) bool {
	b.fill(now, float64(rate), float64(rate))
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// admit counts an invocation that begins, in the lane that it returns; leave counts its end.
func (f *Fleet) admit(fn *Function) (lane, error) {
	now := f.deps.Clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, errClosed
	}
	if fn.Reserved != nil {
		switch {
		case f.reserved[fn.ARN] >= *fn.Reserved:
			return 0, &ThrottledError{ReservedExceeded}
		case !f.rate(fn.ARN).take(now, perInstance**fn.Reserved):
			return 0, &ThrottledError{ReservedRateExceeded}
		}
		f.reserved[fn.ARN]++
		return reservedLane, nil
	}
	if key := (groupKey{arn: fn.ARN, version: fn.Version}); f.provisioned[key] < fn.Provisioned {
		f.provisioned[key]++
		return provisionedLane, nil
	}
	t, limit := tenant{fn.Account, fn.Region}, f.deps.Concurrency-fn.HeldBack
	switch {
	case f.accounts[t] >= limit:
		return 0, &ThrottledError{ConcurrentExceeded}
	case !f.rate(t.account+" "+t.region).take(now, perInstance*limit):
		return 0, &ThrottledError{RateExceeded}
	}
	f.accounts[t]++
	return sharedLane, nil
}

// rate is the meter of a function with a reservation, by ARN, or of an account and region.
func (f *Fleet) rate(of string) *bucket {
	b := f.rates[of]
	if b == nil {
		b = &bucket{}
		f.rates[of] = b
	}
	return b
}

func (f *Fleet) leave(fn *Function, l lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch l {
	case reservedLane:
		count(f.reserved, fn.ARN)
	case provisionedLane:
		count(f.provisioned, groupKey{arn: fn.ARN, version: fn.Version})
	default:
		count(f.accounts, tenant{fn.Account, fn.Region})
	}
}

// count takes one from a number that is forgotten at zero.
func count[K comparable](of map[K]int, key K) {
	if of[key]--; of[key] <= 0 {
		delete(of, key)
	}
}
