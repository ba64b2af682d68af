package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// Sink takes an answer while the function makes it; see runtimeapi. A caller who does not take holds the
// function up until its time is over, so that nothing gathers in between; one who has gone away takes
// everything and drops it, for the function goes on: "Streamed responses are not interrupted or stopped
// when the invoking client connection is broken" (AWS Lambda Developer Guide, "Response streaming").
type Sink = runtimeapi.Sink

// Limits of a streamed answer. Source: AWS Lambda Developer Guide, "Lambda quotas" and "Bandwidth limits
// for response streaming": 200 MB since July 2025; the first 6 MB as fast as they come, then 2 MB a second.
const (
	maxStreamed = 200 << 20
	streamBurst = 6 << 20
	streamRate  = 2 << 20
)

var errTooLong = errors.New("fleet: the streamed answer is too long")

// flow is an answer on its way to a caller's sink, counted and held to its limits.
type flow struct {
	sink  Sink
	clock clock.Clock
	rate  float64 // bytes a second; not above zero: without bound

	bytes int64
	room  float64 // bytes that may go at once
	at    time.Time

	first, last time.Time // when the answer began, and when the last of it had been taken
}

// flow is nil for an invocation that is answered as a whole.
func (f *Fleet) flow(s Sink) *flow {
	if s == nil {
		return nil
	}
	rate := f.deps.StreamRate
	if rate == 0 {
		rate = streamRate
	}
	return &flow{sink: s, clock: f.deps.Clock, rate: float64(rate), room: streamBurst}
}

func (s *flow) Begin(contentType string) {
	s.first = s.clock.Now()
	s.last = s.first
	s.sink.Begin(contentType)
}

func (s *flow) Write(ctx context.Context, chunk []byte) error {
	if s.bytes += int64(len(chunk)); s.bytes > maxStreamed {
		return errTooLong
	}
	if err := s.pace(ctx, float64(len(chunk))); err != nil {
		return err
	}
	err := s.sink.Write(ctx, chunk)
	s.last = s.clock.Now()
	return err
}

// pace waits until n bytes may go.
func (s *flow) pace(ctx context.Context, n float64) error {
	if s.rate <= 0 {
		return nil
	}
	now := s.clock.Now()
	if !s.at.IsZero() {
		s.room = min(streamBurst, s.room+s.rate*now.Sub(s.at).Seconds())
	}
	s.at, s.room = now, s.room-n
	if s.room >= 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(-s.room / s.rate * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serveEvent hands an event to the runtime.
func (i *instance) serveEvent(ctx context.Context, inv runtimeapi.Invocation, s *flow) (runtimeapi.Result, error) {
	if s == nil {
		return i.worker.Invoke(ctx, inv)
	}
	return i.worker.Stream(ctx, inv, s)
}

// answered tells when an answer of so many bytes began and how long it took ("Lambda Telemetry API Event schema
// reference", platform.runtimeDone). What is no stream begins when it is complete.
func (m measures) answered(begun time.Time, produced int) (int, []extension.Span) {
	latency := extension.Span{Name: "responseLatency", Start: extension.Stamp(begun), Duration: ms(m.duration)}
	if m.flow == nil || m.flow.first.IsZero() {
		return produced, []extension.Span{latency}
	}
	s := m.flow
	latency.Duration = ms(s.first.Sub(begun))
	return int(s.bytes), []extension.Span{latency, {Name: "responseDuration", Start: extension.Stamp(s.first), Duration: ms(s.last.Sub(s.first))}}
}

// tooLong is the result of an invocation whose streamed answer passed the limit.
func tooLong() runtimeapi.Result {
	return runtimeapi.Failure("Function.ResponseSizeTooLarge",
		fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", int64(maxStreamed)))
}
