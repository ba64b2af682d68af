package front

import (
	"context"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// A signature covers the body, so the body is here before its sender is known. What such bodies
// take together is bounded; small ones are free, as heads are, so that nobody who fills the rest
// keeps ordinary calls out.
const (
	freeBytes = 64 << 10
	heldStep  = 256 << 10        // taken at once
	heldTime  = 15 * time.Minute // a signature lasts no longer, and none has been looked at
)

// held is the shared room; who finds none waits in line.
type held struct {
	room     *semaphore.Weighted
	size     int64
	bulky    int64
	patience time.Duration
	clock    clock.Clock
}

func newHeld(size int64, l Limits, c clock.Clock) *held {
	return &held{semaphore.NewWeighted(size), size, l.Bulky, l.Patience, c}
}

// heldBody takes room for what it reads until it is released.
type heldBody struct {
	io.ReadCloser
	held  *held
	ctx   context.Context
	since time.Time
	read  int64
	taken int64
}

func (h *held) body(ctx context.Context, body io.ReadCloser) *heldBody {
	return &heldBody{ReadCloser: body, held: h, ctx: ctx, since: h.clock.Now()}
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.read <= freeBytes+b.taken {
		return n, err
	}
	if b.held.clock.Now().Sub(b.since) > heldTime {
		return n, tooSlow()
	}
	want := (b.read - freeBytes - b.taken + heldStep - 1) / heldStep * heldStep
	ctx, cancel := context.WithTimeout(b.ctx, b.held.patience)
	defer cancel()
	if b.held.room.Acquire(ctx, want) != nil {
		return n, tooMany()
	}
	b.taken += want
	return n, err
}

// known gives the room back, for the sender is known. A bulky body takes of another room until done is
// called, which it waits for in this one: else all that was sent, and what is decoded of it, would be in
// memory at once.
func (b *heldBody) known(running *held) (done func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	defer b.release()
	if b.read <= running.bulky {
		return func() {}, nil
	}
	size := min(b.read, running.size)
	ctx, cancel := context.WithTimeout(b.ctx, running.patience)
	defer cancel()
	if running.room.Acquire(ctx, size) != nil {
		return nil, tooMany()
	}
	return func() { running.room.Release(size) }, nil
}

func tooMany() error {
	return awserr.Of(awserr.Throttled, "Too many large requests are being received; please reduce your request rate.")
}

// release gives the room back: the sender is known, or refused.
func (b *heldBody) release() {
	if b != nil && b.taken > 0 {
		b.held.room.Release(b.taken)
		b.taken = 0
	}
}
