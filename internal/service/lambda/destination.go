package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
)

// recordTime is how records write times.
const recordTime = "2006-01-02T15:04:05.000Z"

// word is the invocation's record on its way to the destination of its condition; nil where the
// function has none.
func (a *attempt) word(condition string) (*queued, []byte) {
	if a.t == nil || condition == functionDeleted {
		return nil, nil
	}
	to := a.t.async.OnFailure
	if condition == success {
		to = a.t.async.OnSuccess
	}
	if to == "" {
		return nil, nil
	}
	w := invocation{Version: "1.0", Timestamp: a.s.Clock.Now().UTC().Format(recordTime), RequestPayload: document(a.body, "{}")}
	w.RequestContext.RequestID, w.RequestContext.Condition, w.RequestContext.Count = a.q.RequestID, condition, a.count()
	w.RequestContext.FunctionARN = a.q.functionKey.arn(qualified(a.q.Qualifier))
	if a.out != nil {
		w.ResponseContext = &answer{StatusCode: 200, Version: a.ran.Version, Error: a.out.FunctionError}
		w.ResponsePayload = document(a.out.Payload, "null")
	}
	body, err := json.Marshal(w)
	if err != nil {
		a.s.report("word an invocation's record", err)
		return nil, nil
	}
	if len(body) > maxQueued {
		a.lost = fmt.Sprintf("%d byte payload is too large for the Event invocation type (limit %d bytes)", len(body), maxQueued)
		return nil, nil
	}
	next := queued{reference: a.q.reference, Function: a.q.Function, RequestID: a.q.RequestID, Accepted: a.s.Clock.Now(), Destination: to, Role: a.ran.Role,
		Lineage: a.q.Lineage.with(a.q.functionKey), Trace: a.q.Trace}
	return &next, body
}

// qualified is a qualifier as records write it.
func qualified(q string) string {
	if q == "" {
		return name.Latest
	}
	return q
}

// document is a payload inside another document: what is no JSON becomes a string.
func document(b []byte, empty string) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage(empty)
	}
	if json.Valid(b) {
		return b
	}
	text, err := json.Marshal(string(b))
	if err != nil {
		return json.RawMessage(empty)
	}
	return text
}

// forward delivers a record to its destination, under the function's role.
func (a *attempt) forward(ctx context.Context) (landing, error) {
	if a.s.Clock.Now().Sub(a.q.Accepted) > maxAge {
		return wasNotRun, a.fail(ctx, "the destination could not be reached for 6 hours")
	}
	if err := job(a.g, a.q.Account, a.q.Region).View(ctx, a.read); err != nil {
		return wasNotRun, a.delay(ctx, err)
	}
	err := a.s.tell(ctx, a.q.functionKey, a.q.Role, a.q.Destination, a.body, map[string][]string{lineageKey: a.q.Lineage.pairs(), traceKey: {a.q.Trace}})
	switch e, ok := errors.AsType[*awserr.Error](err); {
	case err == nil:
		return wasRun, a.settle(ctx, nil, func(tx *store.Tx) error { return a.s.t.queue.remove(tx, a.q) }) // the call has its own record
	case ok && e.Code == "TooManyRequestsException":
		return hadNoRoom, a.delay(ctx, err)
	case ok && e.Kind != awserr.Internal:
		return wasNotRun, a.fail(ctx, e.Message) // the call's own record has the refusal
	}
	return wasNotRun, a.delay(ctx, err)
}

// fail gives a record up, on record.
func (a *attempt) fail(ctx context.Context, why string) error {
	note := map[string]any{"functionArn": a.q.arn(), "requestId": a.q.RequestID, "condition": undelivered, "destination": a.q.Destination, "reason": why}
	return a.settle(ctx, note, func(tx *store.Tx) error { return a.s.t.queue.remove(tx, a.q) })
}

// tell invokes a destination with an event, as the function's role.
func (s *Service) tell(ctx context.Context, f functionKey, role, destination string, event []byte, keys map[string][]string) error {
	c, err := s.inRole(ctx, f, role, keys)
	if err == nil {
		_, err = c.Invoke(ctx, &lambda.InvokeInput{FunctionName: destination, InvocationType: new(invokeEvent), Payload: event})
	}
	return err
}

// inRole is Lambda's API for a function's role.
func (s *Service) inRole(ctx context.Context, f functionKey, role string, keys map[string][]string) (lambda.Client, error) {
	cred, err := s.session(ctx, Assumption{f.Account, f.Region, role, f.arn(""), sessionName(f.Name)}, time.Minute)
	if err != nil {
		return lambda.Client{}, err
	}
	caller, err := s.Roles.Caller(cred, f.Region, keys)
	return lambda.Client{Caller: caller}, err
}
