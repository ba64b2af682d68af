package lambda

import (
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// inside is the API as a function sees it at its own door while an event runs.
func (r *rig) inside(f fleet.Function, e fleet.Event) api.Client {
	return api.Client{Caller: gate.Client{Gate: r.gate, Principal: r.session(account, "worker"), Region: region, Source: gate.Source{Function: f.ARN, Lineage: e.Lineage}}}
}

// TestALoopOfCallersEnds: functions that invoke each other and wait are refused after 16 runs.
func TestALoopOfCallersEnds(t *testing.T) {
	for setting, want := range map[string]int{loopTerminate: maxLoop, loopAllow: 40} {
		t.Run(setting, func(t *testing.T) {
			r := newRig(t)
			var refusal error
			runs := map[string]int{}
			r.create("a")
			_, err := r.client.PutFunctionRecursionConfig(t.Context(), &api.PutFunctionRecursionConfigInput{FunctionName: "a", RecursiveLoop: setting})
			r.ok(err)
			r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`)
			r.runner.handle(func(f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
				if runs[f.Name]++; runs[f.Name] < 40 && refusal == nil {
					if _, err := r.inside(f, e).Invoke(t.Context(), &api.InvokeInput{FunctionName: "a"}); err != nil {
						refusal = err
					}
				}
				return fleet.Outcome{Payload: []byte(`{}`)}, nil
			})
			_, err = r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "a"})
			r.ok(err)
			if setting == loopTerminate {
				r.refused(refusal, "RecursiveInvocationException", "recursive loop")
			} else {
				r.ok(refusal)
			}
			if runs["a"] != want {
				t.Errorf("it ran %d times, want %d", runs["a"], want)
			}
			_, err = r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "a"})
			r.ok(err) // a chain of its own
		})
	}
}

// TestALoopOfEventsEnds: so are functions that queue events for each other; the last event is given up on
// record, and their destination hears of it.
func TestALoopOfEventsEnds(t *testing.T) {
	r := newRig(t)
	r.create("a")
	r.create("b")
	told := r.create("told")
	r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`)
	_, err := r.client.PutFunctionEventInvokeConfig(t.Context(), &api.PutFunctionEventInvokeConfigInput{FunctionName: "a",
		DestinationConfig: &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: told.FunctionArn}}})
	r.ok(err)
	runs := map[string]int{}
	var heard string
	r.runner.handle(func(f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		runs[f.Name]++
		if f.Name == "told" {
			heard = string(e.Payload)
		}
		if other := map[string]string{"a": "b", "b": "a"}[f.Name]; other != "" && runs[f.Name] < 40 {
			_, err := r.inside(f, e).Invoke(t.Context(), &api.InvokeInput{FunctionName: other, InvocationType: new(invokeEvent)})
			r.ok(err)
		}
		return fleet.Outcome{Payload: []byte(`{}`)}, nil
	})
	r.background()
	r.send("a", "{}")
	r.until("the end", func() bool { return r.queueLength() == 0 })
	if runs["a"] != maxLoop || runs["b"] != maxLoop || runs["told"] != 1 || !strings.Contains(heard, `"condition":"RecursiveInvocation"`) {
		t.Errorf("they ran %v, and the destination heard %q", runs, heard)
	}
}
