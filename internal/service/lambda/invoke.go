package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Limits of a payload in bytes. Source: AWS Lambda Developer Guide, "Lambda quotas".
const (
	maxPayload       = 6291456
	maxQueued        = 1048576
	maxClientContext = 3583
)

const (
	invokeEvent  = "Event"
	invokeDryRun = "DryRun"
)

// needInvoke judges a synchronous call by the copy, and one that is queued by the rows themselves:
// these are read again in the transaction that queues it.
func (s *Service) needInvoke(a *gate.Ask, in *lambda.InvokeInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	var n gate.Need
	if wire.Val(in.InvocationType) == invokeEvent {
		n, err = s.need(a, "lambda:InvokeFunction", r)
	} else {
		n, err = s.targetNeed(a, r)
	}
	n.Keys = direct
	return []gate.Need{n}, err
}

// direct says of an invocation that it did not come through a function's URL; one that did comes
// with the door's own word for it.
var direct = map[string][]string{"lambda:InvokedViaFunctionUrl": {"false"}}

func (s *Service) invoke(c *gate.Call, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	client, err := checkInvoke(in)
	if err != nil {
		return nil, err
	}
	if wire.Val(in.InvocationType) == invokeEvent {
		return s.enqueue(c, r, in, client)
	}
	t, err := s.called(c, r, in)
	if err != nil {
		return nil, err
	}
	if wire.Val(in.InvocationType) == invokeDryRun {
		return &lambda.InvokeOutput{StatusCode: new(int32(204))}, nil
	}
	f := s.pick(t)
	// A caller who goes away does not stop the function; its timeout bounds it.
	res, err := s.run(context.WithoutCancel(c.Context()), f, s.eventOf(c, t, in, client))
	if err != nil {
		return nil, err
	}
	out := &lambda.InvokeOutput{StatusCode: new(int32(200)), Payload: res.Payload, ExecutedVersion: &f.Version}
	if res.FunctionError != "" {
		out.FunctionError = &res.FunctionError
	}
	if wire.Val(in.LogType) == "Tail" {
		out.LogResult = new(base64.StdEncoding.EncodeToString(res.LogTail))
	}
	return out, nil
}

// called is what a synchronous invocation is to run.
func (s *Service) called(c *gate.Call, r reference, in *lambda.InvokeInput) (*target, error) {
	t, err := s.target(c.Context(), c.View, r)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, noFunction(r.arn())
	}
	if t.fn.loops(lineageOf(c), t.functionKey) {
		return nil, awserr.New("RecursiveInvocationException", 400, "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources and stopped your function's invocation.")
	}
	return t, checkTenant(t.fn, in.TenantId)
}

func (s *Service) eventOf(c *gate.Call, t *target, in *lambda.InvokeInput, client string) fleet.Event {
	return fleet.Event{RequestID: c.RequestID(), ARN: t.named, TraceID: s.traceOf(c), ClientContext: client, TenantID: wire.Val(in.TenantId), Payload: in.Payload,
		Tail: wire.Val(in.LogType) == "Tail", Lineage: lineageOf(c).with(t.functionKey).pairs()}
}

// run runs one event.
func (s *Service) run(ctx context.Context, f *fleet.Function, e fleet.Event) (fleet.Outcome, error) {
	if len(e.Payload) == 0 {
		e.Payload = []byte("{}")
	}
	res, err := s.Runner.Invoke(ctx, *f, e)
	if full, ok := errors.AsType[*fleet.ThrottledError](err); ok {
		return res, throttled(full.Reason)
	}
	if wrong, ok := errors.AsType[*fleet.TenantError](err); ok {
		return res, tenantRefusal(wrong.Wanted)
	}
	if moved, ok := errors.AsType[*runtimes.MovedError](err); ok {
		return res, awserr.New("InvalidRuntimeException", 502, "%s", moved.Error())
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return res, s.Isolation.unheld(f)
	}
	if missing, ok := errors.AsType[*runtimes.MissingError](err); ok {
		return res, awserr.New("InvalidRuntimeException", 502, "%s", missing.Error())
	}
	return res, err
}

// checkInvoke refuses what Lambda refuses before a function runs, and decodes the client context.
func checkInvoke(in *lambda.InvokeInput) (client string, err error) {
	if n := len(in.Payload); wire.Val(in.InvocationType) == invokeEvent && n > maxQueued {
		return "", tooLarge("%d byte payload is too large for the Event invocation type (limit %d bytes)", n, maxQueued)
	} else if n > maxPayload {
		return "", tooLarge("Request must be smaller than %d bytes for the InvokeFunction operation", maxPayload)
	}
	if len(in.Payload) > 0 && !json.Valid(in.Payload) {
		return "", badContent("Could not parse request body into json: Could not parse payload into json")
	}
	if in.DurableExecutionName != nil {
		return "", notBuilt("Invoking with a durable execution")
	}
	raw := wire.Val(in.ClientContext)
	if raw == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(raw)
	if err != nil || len(raw) > maxClientContext || !json.Valid(b) {
		return "", badContent("Client context must be a valid Base64-encoded JSON object.")
	}
	return string(b), nil
}

// tooLarge has the code that Lambda sends, which is not that of its model (RequestTooLargeException).
func tooLarge(format string, args ...any) error {
	return awserr.New("RequestEntityTooLargeException", 413, format, args...)
}

func badContent(text string) error {
	return awserr.New("InvalidRequestContentException", 400, "%s", text)
}
