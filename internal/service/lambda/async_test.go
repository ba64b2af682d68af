package lambda

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

func failing(fleet.Function, fleet.Event) (fleet.Outcome, error) {
	return fleet.Outcome{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"no"}`)}, nil
}

func (r *rig) send(fn string, payload string) {
	r.Helper()
	out, err := r.client.Invoke(r.Context(), &api.InvokeInput{FunctionName: fn, InvocationType: new("Event"), Payload: []byte(payload)})
	r.ok(err)
	if *out.StatusCode != 202 || len(out.Payload) > 0 {
		r.Errorf("%+v", out)
	}
}

// resting reports that one event waits, which no delivery holds.
func (r *rig) resting() bool {
	w := r.waiting()
	c := r.service.courier
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(w) == 1 && w[0].Lease == 0 && c.flying == 0
}

func (r *rig) attempts(want ...string) {
	r.Helper()
	r.until(fmt.Sprintf("the records %v", want), func() bool { return len(r.trail.attempts()) >= len(want) })
	if got := r.trail.attempts(); !slices.Equal(got, want) {
		r.Errorf("records %v, want %v", got, want)
	}
}

func TestEventsAreRetriedAndGivenUpOnRecord(t *testing.T) {
	r := newRig(t)
	r.create("f")
	var runs atomic.Int32
	r.runner.handle(func(f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		runs.Add(1)
		return failing(f, e)
	})
	r.background()
	r.send("f", `{"n":1}`)
	ran := func(n int32) func() bool { return func() bool { return runs.Load() == n && r.resting() } }
	r.until("the first run", ran(1))
	r.clock.Advance(time.Minute)
	r.until("the first retry", ran(2))
	r.clock.Advance(time.Minute)
	if !ran(2)() {
		t.Error("the second retry came after one minute")
	}
	r.clock.Advance(time.Minute)
	r.until("the end", func() bool { return runs.Load() == 3 && r.queueLength() == 0 })
	r.attempts("FunctionError", "FunctionError", "RetriesExhausted")
	for _, e := range r.runner.events {
		if e.RequestID != r.runner.events[0].RequestID || string(e.Payload) != `{"n":1}` {
			t.Errorf("%+v", e)
		}
	}
}

func TestEventsWaitOutThrottlingAndAge(t *testing.T) {
	r := newRig(t)
	r.create("f")
	var full atomic.Bool
	var runs atomic.Int32
	full.Store(true)
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		runs.Add(1)
		if full.Load() {
			return fleet.Outcome{}, &fleet.ThrottledError{Reason: "ConcurrentInvocationLimitExceeded"}
		}
		return fleet.Outcome{}, nil
	})
	r.background()
	r.send("f", "{}")
	tried := func(n int32) {
		r.until("another try", func() bool { return runs.Load() == n && r.resting() })
	}
	for n := range int32(6) {
		tried(n + 1)
		wait := r.waiting()[0].Due.Sub(r.clock.Now())
		if want := min(maxDelay, time.Second<<n); wait != want {
			t.Errorf("after %d tries the next is due in %v, want %v", n+1, wait, want)
		}
		r.clock.Advance(wait)
	}
	tried(7)
	full.Store(false)
	r.clock.Advance(maxDelay)
	r.until("the run", func() bool { return r.queueLength() == 0 && len(r.trail.attempts()) == 8 })
	if got := r.trail.attempts(); got[len(got)-1] != success {
		t.Errorf("%v", got)
	}
	full.Store(true)
	r.send("f", "{}")
	r.until("a try", func() bool { return runs.Load() == 9 && r.resting() })
	r.clock.Advance(maxAge)
	r.until("the end", func() bool { return r.queueLength() == 0 && len(r.trail.attempts()) == 10 })
	if got := r.trail.attempts(); got[len(got)-1] != ageExceeded || runs.Load() != 9 {
		t.Errorf("%v after %d runs", got, runs.Load())
	}
}

func TestEventsOfADeletedFunctionEnd(t *testing.T) {
	r := newRig(t)
	r.create("f")
	r.send("f", "{}")
	_, err := r.client.DeleteFunction(t.Context(), &api.DeleteFunctionInput{FunctionName: "f"})
	r.ok(err)
	r.create("f") // another one
	r.background()
	r.until("the end", func() bool { return r.queueLength() == 0 })
	r.attempts(functionDeleted)
	if len(r.runner.events) != 0 {
		t.Errorf("%d runs", len(r.runner.events))
	}
}

// claimed takes events as a process does that is killed then: nobody acknowledges them.
func (r *rig) claimed(lane string, n int) {
	r.Helper()
	var batch []queued
	r.ok(r.db.Update(r.Context(), store.In(space), func(tx *store.Tx) (err error) {
		batch, _, err = r.service.t.queue.claim(tx, lane, n, lease, nil)
		return err
	}))
	if len(batch) != n {
		r.Fatalf("%d claimed", len(batch))
	}
}

func TestAnEventOutlivesTheProcess(t *testing.T) {
	for _, alone := range []bool{false, true} {
		r := newRig(t)
		arn := *r.create("f").FunctionArn
		r.send("f", `{"n":1}`)
		r.claimed(arn, 1)
		next := rigOn(t, r.db, r.clock)
		next.service.Alone = alone
		next.background()
		if !alone { // another process might be at it still, until its lease ends
			next.service.courier.nudge()
			if n := next.queueLength(); n != 1 {
				t.Fatalf("%d in the queue", n)
			}
			r.clock.Advance(lease + time.Second)
		}
		next.until("the delivery", func() bool { return next.queueLength() == 0 })
		if len(next.runner.events) != 1 || string(next.runner.events[0].Payload) != `{"n":1}` {
			t.Errorf("alone %v: %+v", alone, next.runner.events)
		}
	}
}

func TestEventsOfEarlierVersionsAreDelivered(t *testing.T) {
	r := newRig(t)
	r.create("f")
	r.send("f", `{"n":2}`)
	was := r.waiting()[0]
	// The queue as it was: one row with the body inside.
	old, err := json.Marshal(map[string]any{"Account": account, "Region": region, "Name": "f", "Function": was.Function, "RequestID": "r-1", "Payload": []byte(`{"n":1}`), "Accepted": r.clock.Now()})
	r.ok(err)
	r.ok(r.db.Update(t.Context(), store.In(space), func(tx *store.Tx) error {
		_, err := r.service.t.queue.earlier.Enqueue(tx, store.Message{ID: "one", Kind: "invoke", Payload: old})
		return err
	}))
	r.background()
	r.until("both runs", func() bool { return len(r.trail.attempts()) == 2 && r.queueLength() == 0 })
	var got []string
	for _, e := range r.runner.events {
		got = append(got, string(e.Payload))
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{`{"n":1}`, `{"n":2}`}) {
		t.Errorf("%v", got)
	}
}

func TestAFullQueueThrottles(t *testing.T) {
	r := newRig(t)
	r.create("f")
	r.create("g")
	r.service.courier = newCourier()
	r.service.waitingMost = 2
	r.send("f", "{}")
	r.send("f", "{}")
	_, err := r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "f", InvocationType: new("Event")})
	r.refused(err, "TooManyRequestsException", "Rate Exceeded.")
	r.send("g", "{}")
	r.background()
	r.until("room", func() bool { return r.queueLength() == 0 })
	r.send("f", "{}")
}

func TestInvokeConfigBoundsRetriesAndAge(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	r.runner.handle(failing)
	r.background()
	set := func(retries, age *int32, qualifier *string) {
		t.Helper()
		_, err := r.client.PutFunctionEventInvokeConfig(ctx, &api.PutFunctionEventInvokeConfigInput{FunctionName: "f", Qualifier: qualifier, MaximumRetryAttempts: retries, MaximumEventAgeInSeconds: age})
		r.ok(err)
	}
	set(new(int32(0)), nil, nil)
	r.send("f", "{}")
	r.until("the end", func() bool { return r.queueLength() == 0 })
	r.attempts(retriesExhausted)

	set(new(int32(2)), new(int32(170)), nil) // one minute and then two would be too old
	r.send("f", "{}")
	r.until("the first run", func() bool { return len(r.runner.events) == 2 && r.resting() })
	r.clock.Advance(time.Minute)
	r.until("the end", func() bool { return r.queueLength() == 0 })
	r.attempts(retriesExhausted, failedOnce, ageExceeded)

	set(new(int32(0)), nil, new("1")) // a version has its own
	r.send("f:1", "{}")
	r.until("the end", func() bool { return r.queueLength() == 0 })
	r.attempts(retriesExhausted, failedOnce, ageExceeded, retriesExhausted)

	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return fleet.Outcome{}, &fleet.ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"}
	})
	set(nil, new(int32(60)), nil)
	r.send("f", "{}")
	for r.queueLength() > 0 {
		r.until("a try", func() bool { return r.queueLength() == 0 || r.resting() })
		r.clock.Advance(2 * time.Second)
	}
	r.until("its record", func() bool { got := r.trail.attempts(); return len(got) > 0 && got[len(got)-1] == ageExceeded })
}

func TestWithoutConcurrencyEventsEnd(t *testing.T) {
	r := newRig(t)
	r.create("f")
	_, err := r.client.PutFunctionConcurrency(t.Context(), &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 0})
	r.ok(err)
	r.background()
	r.send("f", "{}")
	r.until("the end", func() bool { return r.queueLength() == 0 })
	r.attempts(zeroConcurrency)
	if len(r.runner.events) != 0 {
		t.Error("it ran")
	}
}

func TestInvokeConfigs(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	f, g := r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) }), r.create("g")
	to := func(success, failure string) *api.DestinationConfig {
		d := &api.DestinationConfig{}
		if success != "" {
			d.OnSuccess = &api.OnSuccess{Destination: &success}
		}
		if failure != "" {
			d.OnFailure = &api.OnFailure{Destination: &failure}
		}
		return d
	}
	put := func(in api.PutFunctionEventInvokeConfigInput) (*api.FunctionEventInvokeConfig, error) {
		in.FunctionName = "f"
		return r.client.PutFunctionEventInvokeConfig(ctx, &in)
	}
	arn := strings.TrimSuffix(*f.FunctionArn, ":1")
	for _, c := range []struct {
		name, code, words string
		in                api.PutFunctionEventInvokeConfigInput
	}{
		{"nothing", "InvalidParameterValueException", "You must specify at least one of error handling or destination setting.", api.PutFunctionEventInvokeConfigInput{}},
		{"itself", "InvalidParameterValueException", "You can't specify the function as a destination for itself.", api.PutFunctionEventInvokeConfigInput{DestinationConfig: to(arn, "")}},
		{"nobody", "InvalidParameterValueException", "The destination ARN " + arn + "x is invalid.", api.PutFunctionEventInvokeConfigInput{DestinationConfig: to("", arn+"x")}},
		{"not allowed", "InvalidParameterValueException", "The function's execution role does not have permissions to call InvokeFunction on " + *g.FunctionArn, api.PutFunctionEventInvokeConfigInput{DestinationConfig: to("", *g.FunctionArn)}},
		{"a queue", "NotImplemented", "Amazon SQS", api.PutFunctionEventInvokeConfigInput{DestinationConfig: to("", "arn:aws:sqs:eu-west-1:123456789012:q")}},
		{"a topic", "NotImplemented", "Amazon SNS", api.PutFunctionEventInvokeConfigInput{DestinationConfig: to("arn:aws:sns:eu-west-1:123456789012:t", "")}},
		{"a bus", "NotImplemented", "Amazon EventBridge", api.PutFunctionEventInvokeConfigInput{DestinationConfig: to("", "arn:aws:events:eu-west-1:123456789012:event-bus/default")}},
		{"a bucket", "NotImplemented", "Amazon S3", api.PutFunctionEventInvokeConfigInput{DestinationConfig: to("", "arn:aws:s3:::b")}},
		{"no version", "ResourceNotFoundException", "The function doesn't exist.", api.PutFunctionEventInvokeConfigInput{Qualifier: new("7"), MaximumRetryAttempts: new(int32(1))}},
	} {
		if c.name == "nobody" {
			r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+arn+`x"}`)
		}
		_, err := put(c.in)
		t.Log(c.name)
		r.refused(err, c.code, c.words)
	}
	_, err := r.client.UpdateFunctionEventInvokeConfig(ctx, &api.UpdateFunctionEventInvokeConfigInput{FunctionName: "f", MaximumRetryAttempts: new(int32(1))})
	r.refused(err, "ResourceNotFoundException", "The function "+arn+":$LATEST doesn't have an EventInvokeConfig")
	r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+*g.FunctionArn+`"}`)
	got, err := put(api.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: new(int32(1)), DestinationConfig: to(*g.FunctionArn, "")})
	r.ok(err)
	if *got.FunctionArn != arn+":$LATEST" || *got.MaximumRetryAttempts != 1 || got.MaximumEventAgeInSeconds != nil || *got.DestinationConfig.OnSuccess.Destination != *g.FunctionArn || got.DestinationConfig.OnFailure.Destination != nil {
		t.Errorf("%+v", got)
	}
	_, err = r.client.UpdateFunctionEventInvokeConfig(ctx, &api.UpdateFunctionEventInvokeConfigInput{FunctionName: "f", MaximumEventAgeInSeconds: new(int32(60))})
	r.ok(err)
	_, err = put(api.PutFunctionEventInvokeConfigInput{Qualifier: new("1"), MaximumRetryAttempts: new(int32(0))})
	r.ok(err)
	read, err := r.client.GetFunctionEventInvokeConfig(ctx, &api.GetFunctionEventInvokeConfigInput{FunctionName: "f", Qualifier: new("$LATEST")})
	r.ok(err)
	if *read.MaximumRetryAttempts != 1 || *read.MaximumEventAgeInSeconds != 60 || *read.DestinationConfig.OnSuccess.Destination != *g.FunctionArn {
		t.Errorf("%+v", read)
	}
	list, err := r.client.ListFunctionEventInvokeConfigs(ctx, &api.ListFunctionEventInvokeConfigsInput{FunctionName: "f", MaxItems: new(int32(1))})
	r.ok(err)
	rest, err := r.client.ListFunctionEventInvokeConfigs(ctx, &api.ListFunctionEventInvokeConfigsInput{FunctionName: "f", Marker: list.NextMarker})
	r.ok(err)
	if len(list.FunctionEventInvokeConfigs) != 1 || len(rest.FunctionEventInvokeConfigs) != 1 || rest.NextMarker != nil || *rest.FunctionEventInvokeConfigs[0].FunctionArn != arn+":1" {
		t.Errorf("%+v %+v", list, rest)
	}
	_, err = r.client.DeleteFunctionEventInvokeConfig(ctx, &api.DeleteFunctionEventInvokeConfigInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.DeleteFunctionEventInvokeConfig(ctx, &api.DeleteFunctionEventInvokeConfigInput{FunctionName: "f"})
	r.refused(err, "ResourceNotFoundException", "doesn't have an EventInvokeConfig")
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.GetFunctionEventInvokeConfig(ctx, &api.GetFunctionEventInvokeConfigInput{FunctionName: "f", Qualifier: new("1")})
	r.refused(err, "ResourceNotFoundException", "doesn't have an EventInvokeConfig")
}

func TestDestinationsAreTold(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	arn := *r.create("f").FunctionArn
	good, bad := *r.create("good").FunctionArn, *r.create("bad").FunctionArn
	allow := `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":["` + good + `","` + bad + `"]}`
	r.dir.allow(t, "worker", allow)
	_, err := r.client.PutFunctionEventInvokeConfig(ctx, &api.PutFunctionEventInvokeConfigInput{FunctionName: "f", MaximumRetryAttempts: new(int32(0)),
		DestinationConfig: &api.DestinationConfig{OnSuccess: &api.OnSuccess{Destination: &good}, OnFailure: &api.OnFailure{Destination: &bad}}})
	r.ok(err)
	var mu sync.Mutex
	told := map[string][]string{}
	r.runner.handle(func(f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		if f.Name == "f" {
			if strings.Contains(string(e.Payload), "fail") {
				return failing(f, e)
			}
			return fleet.Outcome{Payload: []byte(`"fine"`)}, nil
		}
		mu.Lock()
		defer mu.Unlock()
		told[f.Name] = append(told[f.Name], string(e.Payload))
		return fleet.Outcome{}, nil
	})
	r.background()
	r.send("f", `{"n":1}`)
	r.until("word of success", func() bool { mu.Lock(); defer mu.Unlock(); return len(told["good"]) == 1 })
	r.send("f", `"fail"`)
	r.until("word of failure", func() bool { mu.Lock(); defer mu.Unlock(); return len(told["bad"]) == 1 })
	mu.Lock()
	var ids []string
	for _, e := range r.runner.events {
		ids = append(ids, e.RequestID)
	}
	at := r.clock.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	for _, c := range []struct{ got, want string }{
		{told["good"][0], `{"version":"1.0","timestamp":"` + at + `","requestContext":{"requestId":"` + ids[0] + `","functionArn":"` + arn + `:$LATEST","condition":"Success","approximateInvokeCount":1},"requestPayload":{"n":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":"fine"}`},
		{told["bad"][0], `{"version":"1.0","timestamp":"` + at + `","requestContext":{"requestId":"` + ids[2] + `","functionArn":"` + arn + `:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":1},"requestPayload":"fail","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"no"}}`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
	mu.Unlock()

	// The role loses its permission: the refusal and the loss are on record, and nothing is tried again.
	r.until("rest", func() bool { return r.queueLength() == 0 })
	r.dir.allow(t, "worker", `{"Effect":"Deny","Action":"*","Resource":"*"}`)
	r.send("f", `{"n":2}`)
	r.until("the end", func() bool { return r.queueLength() == 0 })
	r.until("its record", func() bool { got := r.trail.attempts(); return got[len(got)-1] == undelivered })
	got := r.trail.attempts()
	if len(told["good"]) != 1 || !r.trail.refused("Invoke", good) {
		t.Errorf("%v, %v", told, got)
	}
	// What is too large for a destination is not sent, on record.
	r.dir.allow(t, "worker", allow)
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return fleet.Outcome{Payload: []byte(`"` + strings.Repeat("x", maxQueued) + `"`)}, nil
	})
	r.send("f", `{"n":3}`)
	r.until("the end", func() bool { return r.queueLength() == 0 && len(r.trail.attempts()) == len(got)+1 })
	last := r.trail.last("AsyncInvoke")
	if what := last.In.(map[string]any); !strings.Contains(fmt.Sprint(what["destinationDeliveryFailed"]), "too large") || last.RequestID != what["requestId"] || !slices.Equal(last.Resources, []string{arn}) {
		t.Errorf("%+v", last)
	}
}

// refused reports that a call on a resource was refused, on record.
func (l *trail) refused(event, resource string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.kept {
		if r.Op != nil && r.Op.Name == event && r.Err != nil && r.Explanation != nil && slices.Contains(r.Resources, resource) {
			return true
		}
	}
	return false
}

// last is the last record of an event.
func (l *trail) last(event string) *gate.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(l.kept) {
		if r.Event == event {
			return r
		}
	}
	return nil
}

// loop makes two functions that are each other's destinations.
func (r *rig) loop() {
	r.Helper()
	ctx := r.Context()
	a, b := *r.create("a").FunctionArn, *r.create("b").FunctionArn
	r.dir.allow(r, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`)
	for from, to := range map[string]string{"a": b, "b": a} {
		_, err := r.client.PutFunctionEventInvokeConfig(ctx, &api.PutFunctionEventInvokeConfigInput{FunctionName: from, DestinationConfig: &api.DestinationConfig{OnSuccess: &api.OnSuccess{Destination: &to}}})
		r.ok(err)
	}
}

func TestALoopOfDestinationsEnds(t *testing.T) {
	r := newRig(t)
	r.loop()
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return fleet.Outcome{Payload: []byte(`{}`)}, nil
	})
	r.background()
	r.send("a", "{}")
	r.until("the end", func() bool { return r.queueLength() == 0 })
	ran := map[string]int{}
	for _, f := range r.runner.ran {
		ran[f.Name]++
	}
	if want := map[string]int{"a": maxLoop, "b": maxLoop}; !reflect.DeepEqual(ran, want) {
		t.Errorf("%v, want %v", ran, want)
	}
	r.until("its record", func() bool { got := r.trail.attempts(); return got[len(got)-1] == recursive })
}

// TestALoopThatIsAllowedGoesOn: RecursiveLoop=Allow, which a function has to be given, takes the bound off.
// The loop ends here by a handler that fails at last.
func TestALoopThatIsAllowedGoesOn(t *testing.T) {
	const longer = 3 * maxLoop
	r := newRig(t)
	r.loop()
	for _, fn := range []string{"a", "b"} {
		_, err := r.client.PutFunctionRecursionConfig(t.Context(), &api.PutFunctionRecursionConfigInput{FunctionName: fn, RecursiveLoop: loopAllow})
		r.ok(err)
	}
	_, err := r.client.UpdateFunctionEventInvokeConfig(t.Context(), &api.UpdateFunctionEventInvokeConfigInput{FunctionName: "a", MaximumRetryAttempts: new(int32(0))})
	r.ok(err)
	runs := map[string]int{}
	r.runner.handle(func(f fleet.Function, _ fleet.Event) (fleet.Outcome, error) {
		if runs[f.Name]++; runs["a"] == longer {
			return fleet.Outcome{Payload: []byte(`{}`), FunctionError: "Unhandled"}, nil
		}
		return fleet.Outcome{Payload: []byte(`{}`)}, nil
	})
	r.background()
	r.send("a", "{}")
	r.until("the end", func() bool { return r.queueLength() == 0 })
	if runs["a"] != longer || runs["b"] != longer-1 {
		t.Errorf("an allowed loop ran %v, want it to go on until the handler failed at %d", runs, longer)
	}
}
