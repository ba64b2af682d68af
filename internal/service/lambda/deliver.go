package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Why the delivery of an event ended, in Lambda's words where it has one.
const (
	success          = "Success"
	retriesExhausted = "RetriesExhausted"
	ageExceeded      = "EventAgeExceeded"
	zeroConcurrency  = "ZeroReservedConcurrency"
	functionDeleted  = "FunctionDeleted"
	recursive        = "RecursiveInvocation"
	failedOnce       = "FunctionError" // it is tried again
	delayed          = "Delayed"       // by trouble of ours; it is tried again
	throttledOnce    = "Throttled"     // it is tried again
	undelivered      = "DestinationDeliveryFailed"
)

// attempt is one delivery of an event.
type attempt struct {
	s *Service
	g *gate.Gate
	q queued
	t *target

	body []byte
	ran  *fleet.Function // the version that ran, or would have
	out  *fleet.Outcome  // nil where nothing ran
	lost string          // why the function's destination gets no word
}

// deliver runs one event and decides what becomes of it.
func (s *Service) deliver(ctx context.Context, g *gate.Gate, q queued) (f flown, err error) {
	a := &attempt{s: s, g: g, q: q}
	f.how = wasNotRun
	if q.Destination != "" {
		f.how, err = a.forward(ctx)
		return f, err
	}
	j := job(g, q.Account, q.Region)
	view := func(fn func(*store.Tx) error) error { return j.View(ctx, fn) }
	if err := view(a.read); err != nil {
		return f, a.delay(ctx, err)
	}
	if a.t, err = s.target(ctx, view, q.reference); err != nil {
		return f, a.delay(ctx, err)
	}
	if a.t == nil || a.t.fn.ID != q.Function {
		return f, a.end(ctx, functionDeleted)
	}
	a.ran = s.pick(a.t)
	if r := a.t.fn.Reserved; r != nil {
		f.limit = int(*r)
	}
	switch {
	case s.Clock.Now().Sub(q.Accepted) >= a.age():
		return f, a.end(ctx, ageExceeded)
	case a.t.fn.Reserved != nil && f.limit == 0:
		return f, a.end(ctx, zeroConcurrency)
	case a.t.fn.loops(a.q.Lineage, a.q.functionKey):
		return f, a.end(ctx, recursive)
	}
	return a.run(ctx, f)
}

// run gives the event to the function.
func (a *attempt) run(ctx context.Context, f flown) (flown, error) {
	begun := a.s.Clock.Now()
	out, err := a.s.run(ctx, a.ran, fleet.Event{RequestID: a.q.RequestID, ARN: a.t.named, TraceID: a.s.traced(a.q.Trace), ClientContext: a.q.ClientContext, TenantID: a.q.TenantID, Payload: a.body,
		Lineage: a.q.Lineage.with(a.q.functionKey).pairs()})
	switch {
	case awserr.Is(err, "TooManyRequestsException"):
		f.how = hadNoRoom
		return f, a.delay(ctx, err)
	case err != nil:
		return f, a.delay(ctx, err)
	}
	a.out, f.how, f.work = &out, wasRun, out.Duration
	if out.Cold {
		f.start = a.s.Clock.Now().Sub(begun) - out.Duration
	}
	return f, a.conclude(ctx)
}

// read reads the event's body.
func (a *attempt) read(tx *store.Tx) error {
	body, ok, err := a.s.t.queue.bodies.Get(tx, store.K(a.q.ID))
	if err == nil && !ok {
		if err = a.s.t.queue.held(tx, a.q); err == nil {
			err = errors.New("lambda: an event has no body")
		}
	}
	a.body = body
	return err
}

// conclude decides by what the function answered.
func (a *attempt) conclude(ctx context.Context) error {
	if a.out.FunctionError == "" {
		return a.end(ctx, success)
	}
	if ctx.Err() != nil {
		return nil // its instance may have been ended with this process: another delivers it anew
	}
	wait := time.Duration(a.q.Failures+1) * firstRetry
	switch {
	case a.q.Failures >= a.retries():
		return a.end(ctx, retriesExhausted)
	case a.s.Clock.Now().Add(wait).Sub(a.q.Accepted) > a.age():
		return a.end(ctx, ageExceeded) // it would be too old by then
	}
	a.q.Failures++
	return a.again(ctx, failedOnce, wait)
}

func (a *attempt) retries() int {
	if n := a.t.async.Retries; n != nil {
		return int(*n)
	}
	return maxRetries
}

func (a *attempt) age() time.Duration {
	if n := a.t.async.Age; n != nil {
		return time.Duration(*n) * time.Second
	}
	return maxAge
}

// count is how often the function has run for the event.
func (a *attempt) count() int {
	if a.out != nil {
		return a.q.Failures + 1
	}
	return a.q.Failures
}

// note is what the trail says of an attempt.
func (a *attempt) note(condition string) map[string]any {
	n := map[string]any{"functionArn": a.q.arn(), "requestId": a.q.RequestID, "condition": condition, "approximateInvokeCount": a.count()}
	if a.ran != nil {
		n["executedVersion"] = a.ran.Version
	}
	return n
}

// end takes the event out of the queue, on record, and sends word to where the function wants it.
func (a *attempt) end(ctx context.Context, condition string) error {
	next, body := a.word(condition)
	note := a.note(condition)
	if a.lost != "" {
		note["destinationDeliveryFailed"] = a.lost
	}
	err := a.settle(ctx, note, func(tx *store.Tx) error {
		if err := a.s.t.queue.remove(tx, a.q); err != nil || next == nil {
			return err
		}
		return a.s.t.queue.push(tx, *next, body)
	})
	if err == nil && next != nil {
		a.s.courier.expect(next.lane(), a.s.Clock.Now())
	}
	return err
}

// delay puts an event off that could not run: throttled, or by trouble of ours. It stays no longer
// than its age allows.
func (a *attempt) delay(ctx context.Context, cause error) error {
	if errors.Is(cause, errTaken) || ctx.Err() != nil {
		return nil // somebody else delivers it
	}
	wait := backoff(a.q.Delays)
	switch {
	case a.s.Clock.Now().Sub(a.q.Accepted) > maxAge:
		return errors.Join(cause, a.end(ctx, ageExceeded)) // it never came to where its own age is known
	case a.t != nil:
		wait = max(min(wait, a.q.Accepted.Add(a.age()).Sub(a.s.Clock.Now())), time.Second)
	}
	a.q.Delays++
	if e, ok := errors.AsType[*awserr.Error](cause); ok && e.Code == "TooManyRequestsException" {
		return a.again(ctx, throttledOnce, wait)
	}
	return errors.Join(cause, a.again(ctx, delayed, wait))
}

// again puts the event back, on record.
func (a *attempt) again(ctx context.Context, condition string, wait time.Duration) error {
	err := a.settle(ctx, a.note(condition), func(tx *store.Tx) error {
		q := a.q
		q.Due = tx.Now().Add(wait)
		return a.s.t.queue.again(tx, q)
	})
	if err == nil {
		a.s.courier.expect(a.q.lane(), a.s.Clock.Now().Add(wait))
	}
	return err
}

// settle changes the event and records what, if anything. What has run is settled although this process
// is ending.
func (a *attempt) settle(ctx context.Context, what map[string]any, change func(*store.Tx) error) error {
	ctx = context.WithoutCancel(ctx)
	j := job(a.g, a.q.Account, a.q.Region)
	j.Resources, j.RequestID = []string{a.q.arn()}, a.q.RequestID
	var err error
	if what == nil {
		err = j.Lease(ctx, change)
	} else {
		err = j.Update(ctx, what, change)
	}
	if errors.Is(err, errTaken) {
		return nil // another delivery of it has taken over
	}
	return err
}

// invocation is what a destination is told. Source: AWS Lambda Developer Guide, "Capturing records of
// Lambda asynchronous invocations".
type invocation struct {
	Version        string `json:"version"`
	Timestamp      string `json:"timestamp"`
	RequestContext struct {
		RequestID   string `json:"requestId"`
		FunctionARN string `json:"functionArn"`
		Condition   string `json:"condition"`
		Count       int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	RequestPayload  json.RawMessage `json:"requestPayload"`
	ResponseContext *answer         `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage `json:"responsePayload,omitempty"`
}

type answer struct {
	StatusCode int    `json:"statusCode"`
	Version    string `json:"executedVersion"`
	Error      string `json:"functionError,omitempty"`
}
