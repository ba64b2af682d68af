package lambda

import (
	"regexp"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// TestTracesArePassedOn: a run, one that was queued, and the run of its destination are told the trace of
// the call that led to them; a call without one begins one.
func TestTracesArePassedOn(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`)
	r.create("f")
	r.create("after")
	const given = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	traced := func(header string) api.Client {
		return api.Client{Caller: gate.Client{Gate: r.gate, Principal: r.session(account, "admin"), Region: region, Source: gate.Source{Trace: header}}}
	}
	made := regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`)
	for _, header := range []string{"", given, "Root=1-5759e988\n"} {
		_, err := traced(header).Invoke(ctx, &api.InvokeInput{FunctionName: "f"})
		r.ok(err)
		if got := r.runner.events[len(r.runner.events)-1].TraceID; header == given && got != given || header != given && !made.MatchString(got) {
			t.Errorf("a call with %q ran with %q", header, got)
		}
	}
	_, err := r.client.PutFunctionEventInvokeConfig(ctx, &api.PutFunctionEventInvokeConfigInput{FunctionName: "f",
		DestinationConfig: &api.DestinationConfig{OnSuccess: &api.OnSuccess{Destination: new("arn:aws:lambda:eu-west-1:123456789012:function:after")}}})
	r.ok(err)
	before := len(r.runner.events)
	_, err = traced(given).Invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: new("Event")})
	r.ok(err)
	r.background()
	r.until("the destination ran", func() bool {
		r.runner.mu.Lock()
		defer r.runner.mu.Unlock()
		return len(r.runner.events) == before+2
	})
	r.runner.mu.Lock()
	defer r.runner.mu.Unlock()
	for _, e := range r.runner.events[before:] {
		if e.TraceID != given {
			t.Errorf("%s ran with %q", e.ARN, e.TraceID)
		}
	}
}
