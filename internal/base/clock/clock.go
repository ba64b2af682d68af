// Package clock is where time comes from. Rooms take a Clock instead of calling time.Now, so that
// a test can hold or move it.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time.
type Clock interface{ Now() time.Time }

// System is the machine's clock, in UTC.
type System struct{}

// Now is the machine's time in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// Manual is a clock that moves only when told; its zero value stands at the zero time.
type Manual struct {
	mu sync.Mutex
	t  time.Time
}

// NewManual stands at t.
func NewManual(t time.Time) *Manual { return &Manual{t: t} }

// Now is the time last set.
func (m *Manual) Now() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.t }

// Advance moves the clock on by d.
func (m *Manual) Advance(d time.Duration) { m.mu.Lock(); m.t = m.t.Add(d); m.mu.Unlock() }

var (
	_ Clock = System{}
	_ Clock = (*Manual)(nil)
)
