package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/mapping"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	queueARN  = "arn:aws:sqs:eu-west-1:123456789012:orders"
	streamARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
)

// sources are event sources in memory, which a role may open that may invoke the function "source".
type sources struct {
	mu       sync.Mutex
	records  []mapping.Record
	deleted  []string
	received bool
}

func (s *sources) may(ctx context.Context, c wire.Caller) error {
	_, err := api.Client{Caller: c}.Invoke(ctx, &api.InvokeInput{FunctionName: "source", InvocationType: new("DryRun")})
	return err
}

func (s *sources) OpenQueue(ctx context.Context, c wire.Caller, _ string) (mapping.Queue, error) {
	return s, s.may(ctx, c)
}

func (s *sources) OpenStream(ctx context.Context, c wire.Caller, _ string) (mapping.Stream, error) {
	return s, s.may(ctx, c)
}

func (s *sources) Receive(ctx context.Context, n int, _ time.Duration) ([]mapping.Record, error) {
	s.mu.Lock()
	all := s.records
	if s.received {
		all = nil
	}
	s.received = true
	s.mu.Unlock()
	if len(all) == 0 {
		<-ctx.Done()
	}
	return all, ctx.Err()
}

func (s *sources) Delete(_ context.Context, handles []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = append(s.deleted, handles...)
	return nil
}

func (s *sources) Release(context.Context, []string, time.Duration) error { return nil }

func (s *sources) Shards(context.Context) ([]mapping.Shard, error) {
	return []mapping.Shard{{ID: "shard-0"}}, nil
}

func (s *sources) Read(_ context.Context, _ string, from mapping.Position, n int) (mapping.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	if from.Kind == mapping.After {
		i = slices.IndexFunc(s.records, func(r mapping.Record) bool { return r.ID == from.Sequence }) + 1
	}
	p := mapping.Page{Records: s.records[i:min(i+n, len(s.records))], Next: from}
	if len(p.Records) > 0 {
		p.Next = mapping.Position{Kind: mapping.After, Sequence: p.Records[len(p.Records)-1].ID}
	}
	return p, nil
}

// mappingRig has sources, and functions of which the role may invoke all.
func mappingRig(t *testing.T) (*rig, *sources) {
	r, src := newRig(t), &sources{}
	for i := range 3 {
		src.records = append(src.records, mapping.Record{ID: fmt.Sprint(i), Handle: fmt.Sprint("h", i), Key: "k", At: r.clock.Now(), Event: []byte(fmt.Sprintf(`{"n":%d}`, i))})
	}
	r.service.Queues, r.service.Streams = map[string]QueueSource{"sqs": src}, map[string]StreamSource{"kinesis": src, "dynamodb": src}
	for _, fn := range []string{"f", "g", "source"} {
		r.create(fn)
	}
	r.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`)
	return r, src
}

func (r *rig) mapped(in api.CreateEventSourceMappingInput) (*api.EventSourceMappingConfiguration, error) {
	if in.FunctionName == "" {
		in.FunctionName = "f"
	}
	return r.client.CreateEventSourceMapping(r.Context(), &in)
}

func (r *rig) mappingState(uuid string) string {
	out, err := r.client.GetEventSourceMapping(r.Context(), &api.GetEventSourceMappingInput{UUID: uuid})
	if err != nil {
		return "gone"
	}
	return *out.State
}

// TestUnbuiltEventSourcesAreRefused: with nothing registered, every source is refused by its name.
func TestUnbuiltEventSourcesAreRefused(t *testing.T) {
	r := newRig(t)
	r.create("f")
	for source, name := range map[string]string{queueARN: "Amazon SQS", streamARN: "Amazon Kinesis", "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/2030": "Amazon DynamoDB Streams",
		"arn:aws:kafka:eu-west-1:123456789012:cluster/c/u": "Amazon MSK", "arn:aws:mq:eu-west-1:123456789012:broker:b": "Amazon MQ", "arn:aws:rds:eu-west-1:123456789012:cluster:c": "Amazon DocumentDB"} {
		_, err := r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: &source})
		r.refused(err, "NotImplemented", name)
	}
	_, err := r.mapped(api.CreateEventSourceMappingInput{SelfManagedEventSource: &api.SelfManagedEventSource{}})
	r.refused(err, "NotImplemented", "self-managed Apache Kafka")
	_, err = r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new("arn:aws:s3:::b")})
	r.refused(err, "InvalidParameterValueException", "Unrecognized event source.")
	_, err = r.mapped(api.CreateEventSourceMappingInput{})
	r.refused(err, "InvalidParameterValueException", "Unrecognized event source.")
	res := r.resource("AWS::Lambda::EventSourceMapping")
	lacks := res.Lacks(map[string]any{"EventSourceArn": queueARN})
	if len(lacks) != 1 || !strings.Contains(lacks[0].What, "Amazon SQS") {
		t.Errorf("%+v", lacks)
	}
	_, err = res.Create(t.Context(), r.making("stack-M-1"), map[string]any{"FunctionName": "f", "EventSourceArn": queueARN})
	r.refused(err, "NotImplemented", "Amazon SQS")
	list, err := r.client.ListEventSourceMappings(t.Context(), &api.ListEventSourceMappingsInput{})
	r.ok(err)
	if list.EventSourceMappings == nil || len(list.EventSourceMappings) != 0 {
		t.Errorf("%+v", list)
	}
	_, err = r.client.GetEventSourceMapping(t.Context(), &api.GetEventSourceMappingInput{UUID: "2b9c5b4a-0b39-4b5b-8ad0-0d0a5a7a4d11"})
	r.refused(err, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func TestMappingsAreChecked(t *testing.T) {
	r, _ := mappingRig(t)
	n := func(v int32) *int32 { return &v }
	for _, c := range []struct {
		name, code, words string
		in                api.CreateEventSourceMappingInput
	}{
		{"no function", "InvalidParameterValueException", "Function does not exist", api.CreateEventSourceMappingInput{FunctionName: "nobody", EventSourceArn: new(queueARN)}},
		{"a window", "InvalidParameterValueException", "Maximum batch window in seconds must be greater than 0", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), BatchSize: n(11)}},
		{"a FIFO batch", "InvalidParameterValueException", "FIFO", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN + ".fifo"), BatchSize: n(11), MaximumBatchingWindowInSeconds: n(1)}},
		{"a FIFO window", "InvalidParameterValueException", "FIFO", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN + ".fifo"), MaximumBatchingWindowInSeconds: n(1)}},
		{"a queue's start", "InvalidParameterValueException", "StartingPosition is not valid for SQS event sources.", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), StartingPosition: new("LATEST")}},
		{"a queue's retries", "InvalidParameterValueException", "MaximumRetryAttempts", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), MaximumRetryAttempts: n(1)}},
		{"no start", "ValidationException", "Value null at 'startingPosition'", api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN)}},
		{"no time", "InvalidParameterValueException", "StartingPositionTimestamp", api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("AT_TIMESTAMP")}},
		{"a table's time", "InvalidParameterValueException", "Unsupported starting position", api.CreateEventSourceMappingInput{EventSourceArn: new("arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/2030"), StartingPosition: new("AT_TIMESTAMP"), StartingPositionTimestamp: new(r.clock.Now())}},
		{"a stream's scaling", "InvalidParameterValueException", "ScalingConfig", api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("LATEST"), ScalingConfig: &api.ScalingConfig{MaximumConcurrency: n(2)}}},
		{"an age", "InvalidParameterValueException", "MaximumRecordAgeInSeconds", api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("LATEST"), MaximumRecordAgeInSeconds: n(10)}},
		{"a filter", "InvalidParameterValueException", "Invalid filter pattern definition.", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), FilterCriteria: &api.FilterCriteria{Filters: []api.Filter{{Pattern: new(`{"a":1}`)}}}}},
		{"many filters", "InvalidParameterValueException", "filters", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), FilterCriteria: &api.FilterCriteria{Filters: make([]api.Filter, 6)}}},
		{"a queue for failures", "NotImplemented", "Amazon SQS", api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("LATEST"), DestinationConfig: &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: new(queueARN)}}}},
		{"tumbling", "NotImplemented", "TumblingWindowInSeconds", api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("LATEST"), TumblingWindowInSeconds: n(5)}},
		{"a key", "NotImplemented", "KMSKeyArn", api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), KMSKeyArn: new("arn:aws:kms:eu-west-1:123456789012:key/k")}},
	} {
		t.Log(c.name)
		_, err := r.mapped(c.in)
		r.refused(err, c.code, c.words)
	}
	r.dir.allow(t, "worker", `{"Effect":"Deny","Action":"*","Resource":"*"}`)
	_, err := r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN)})
	r.refused(err, "InvalidParameterValueException", "The provided execution role does not have permissions")
}

func TestWhoMayMap(t *testing.T) {
	r, _ := mappingRig(t)
	ctx := t.Context()
	dev := r.as(account, "dev")
	f := "arn:aws:lambda:eu-west-1:123456789012:function:f"
	in := &api.CreateEventSourceMappingInput{FunctionName: "f", EventSourceArn: new(queueARN)}
	_, err := dev.CreateEventSourceMapping(ctx, in)
	r.refused(err, "AccessDeniedException", "lambda:CreateEventSourceMapping")
	r.dir.allow(t, "dev", `{"Effect":"Allow","Action":["lambda:CreateEventSourceMapping","lambda:UpdateEventSourceMapping","lambda:GetEventSourceMapping","lambda:DeleteEventSourceMapping"],"Resource":"*","Condition":{"ArnEquals":{"lambda:FunctionArn":"`+f+`"}}}`)
	out, err := dev.CreateEventSourceMapping(ctx, in)
	r.ok(err)
	_, err = dev.CreateEventSourceMapping(ctx, &api.CreateEventSourceMappingInput{FunctionName: "g", EventSourceArn: new(queueARN)})
	r.refused(err, "AccessDeniedException", "lambda:CreateEventSourceMapping")
	r.background()
	r.until("it runs", func() bool { return r.mappingState(*out.UUID) == enabled })
	_, err = dev.UpdateEventSourceMapping(ctx, &api.UpdateEventSourceMappingInput{UUID: *out.UUID, FunctionName: new("g")})
	r.refused(err, "AccessDeniedException", "lambda:UpdateEventSourceMapping")
	_, err = dev.UpdateEventSourceMapping(ctx, &api.UpdateEventSourceMappingInput{UUID: *out.UUID, BatchSize: new(int32(5))})
	r.ok(err)
	_, err = dev.ListEventSourceMappings(ctx, &api.ListEventSourceMappingsInput{})
	r.refused(err, "AccessDeniedException", "lambda:ListEventSourceMappings")
	_, err = r.as(other, "admin").GetEventSourceMapping(ctx, &api.GetEventSourceMappingInput{UUID: *out.UUID})
	r.refused(err, "ResourceNotFoundException", "does not exist")
}

func TestLifeOfAMapping(t *testing.T) {
	r, src := mappingRig(t)
	ctx := t.Context()
	made, err := r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), BatchSize: new(int32(3)), FilterCriteria: &api.FilterCriteria{Filters: []api.Filter{{Pattern: new(`{"n":[1,2]}`)}}}, Tags: map[string]string{"a": "b"}})
	r.ok(err)
	id := *made.UUID
	if *made.State != creating || *made.EventSourceMappingArn != "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:"+id || *made.FilterCriteria.Filters[0].Pattern != `{"n":[1,2]}` || made.StartingPosition != nil {
		t.Errorf("%+v", made)
	}
	_, err = r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN)})
	r.refused(err, "ResourceConflictException", "already exists. Please update or delete the existing mapping with UUID "+id)
	_, err = r.client.DeleteEventSourceMapping(ctx, &api.DeleteEventSourceMappingInput{UUID: id})
	r.refused(err, "ResourceInUseException", "Cannot delete the event source mapping because it is in use.")
	r.background()
	r.until("it runs", func() bool { return r.mappingState(id) == enabled })
	r.until("the messages are taken", func() bool { src.mu.Lock(); defer src.mu.Unlock(); return len(src.deleted) == 3 })
	r.runner.mu.Lock()
	if len(r.runner.events) != 1 || string(r.runner.events[0].Payload) != `{"Records":[{"n":1},{"n":2}]}` {
		t.Errorf("%+v", r.runner.events)
	}
	r.runner.mu.Unlock()
	off, err := r.client.UpdateEventSourceMapping(ctx, &api.UpdateEventSourceMappingInput{UUID: id, Enabled: new(false), FilterCriteria: &api.FilterCriteria{}})
	r.ok(err)
	if *off.State != disabling || off.FilterCriteria != nil {
		t.Errorf("%+v", off)
	}
	r.until("it stops", func() bool { r.service.mapped.nudge(); return r.mappingState(id) == disabled })
	list, err := r.client.ListEventSourceMappings(ctx, &api.ListEventSourceMappingsInput{FunctionName: new("f"), EventSourceArn: new(queueARN)})
	r.ok(err)
	none, err := r.client.ListEventSourceMappings(ctx, &api.ListEventSourceMappingsInput{FunctionName: new("g")})
	r.ok(err)
	if len(list.EventSourceMappings) != 1 || len(none.EventSourceMappings) != 0 {
		t.Errorf("%+v %+v", list, none)
	}
	end, err := r.client.DeleteEventSourceMapping(ctx, &api.DeleteEventSourceMappingInput{UUID: id})
	r.ok(err)
	if *end.State != deleting {
		t.Errorf("%+v", end)
	}
	r.until("it is gone", func() bool { r.service.mapped.nudge(); return r.mappingState(id) == "gone" })
}

func TestAStreamIsReadOnAfterARestart(t *testing.T) {
	r, src := mappingRig(t)
	g := "arn:aws:lambda:eu-west-1:123456789012:function:g"
	made, err := r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("TRIM_HORIZON"), BatchSize: new(int32(2)), MaximumRetryAttempts: new(int32(0)),
		DestinationConfig: &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: &g}}})
	r.ok(err)
	var mu sync.Mutex
	var told []string
	r.runner.handle(func(f fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		if f.Name == "g" {
			mu.Lock()
			told = append(told, string(e.Payload))
			mu.Unlock()
			return fleet.Outcome{}, nil
		}
		if strings.Contains(string(e.Payload), `{"n":2}`) {
			return failing(f, e)
		}
		return fleet.Outcome{}, nil
	})
	first := rigOn(t, r.db, r.clock)
	first.service.Queues, first.service.Streams = r.service.Queues, r.service.Streams
	first.runner.handle(r.runner.handler)
	first.dir.allow(t, "worker", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}`)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.service.Run(ctx, first.gate) }()
	first.until("word of what was given up", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == 1 })
	stop()
	r.ok(<-done)
	var w struct {
		RequestContext   struct{ Condition, FunctionArn string }
		KinesisBatchInfo batchInfo
	}
	r.ok(json.Unmarshal([]byte(told[0]), &w))
	if w.RequestContext.Condition != mapping.Exhausted || w.KinesisBatchInfo.First != "2" || w.KinesisBatchInfo.Size != 1 || w.KinesisBatchInfo.ARN != streamARN || w.RequestContext.FunctionArn != *made.FunctionArn+":$LATEST" {
		t.Errorf("%s", told[0])
	}
	// Another process goes on behind what was taken and what was given up.
	src.mu.Lock()
	src.records = append(src.records, mapping.Record{ID: "3", Key: "k", At: r.clock.Now(), Event: []byte(`{"n":3}`)})
	src.mu.Unlock()
	r.background()
	r.until("the next record", func() bool { r.runner.mu.Lock(); defer r.runner.mu.Unlock(); return len(r.runner.events) > 0 })
	r.runner.mu.Lock()
	defer r.runner.mu.Unlock()
	if got := string(r.runner.events[0].Payload); got != `{"Records":[{"n":3}]}` {
		t.Errorf("it went on with %s", got)
	}
}

// A ledger's lease goes to one process, and a mapping that has changed leases nothing more.
func TestTheLedgerOfAMapping(t *testing.T) {
	r, _ := mappingRig(t)
	ctx := t.Context()
	made, err := r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new(streamARN), StartingPosition: new("LATEST")})
	r.ok(err)
	var m sourceMapping
	r.ok(r.db.View(ctx, store.In(space), func(tx *store.Tx) (err error) {
		m, err = r.service.t.mappings.find(tx, mappingKey{account, region, *made.UUID})
		return err
	}))
	one, two := &bound{s: r.service, g: r.gate, m: m}, &bound{s: r.service, g: r.gate, m: m}
	_, token, ok, err := one.Acquire(ctx, "s", time.Minute)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, _, ok, _ := two.Acquire(ctx, "s", time.Minute); ok {
		t.Error("two hold it")
	}
	at := mapping.Checkpoint{Next: mapping.Position{Kind: mapping.After, Sequence: "7"}, Retries: map[int]mapping.Retry{1: {First: "8", Attempts: 2, Split: []int{3, 4}}}}
	r.ok(one.Save(ctx, "s", token, at, time.Minute))
	r.clock.Advance(2 * time.Minute)
	c, _, ok, err := two.Acquire(ctx, "s", time.Minute)
	if err != nil || !ok || c.Next != at.Next || c.Retries[1].Attempts != 2 {
		t.Errorf("%+v %v %v", c, ok, err)
	}
	if err := one.Save(ctx, "s", token, at, time.Minute); err != mapping.ErrLost {
		t.Errorf("%v", err)
	}
	r.clock.Advance(2 * time.Minute)
	one.m.Revision++
	if _, _, ok, _ := one.Acquire(ctx, "s", time.Minute); ok {
		t.Error("a mapping of another revision holds it")
	}
}

func TestMappingResource(t *testing.T) {
	r, _ := mappingRig(t)
	r.background()
	ctx := t.Context()
	res, m := r.resource("AWS::Lambda::EventSourceMapping"), r.making("stack-M-1")
	props := map[string]any{"FunctionName": "f", "EventSourceArn": queueARN, "BatchSize": "5", "Enabled": "false", "FunctionResponseTypes": []any{reportFailures},
		"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": `{"n":[9]}`}}}, "ScalingConfig": map[string]any{"MaximumConcurrency": 4}}
	made, err := res.Create(ctx, m, props)
	r.ok(err)
	m.Again = true
	again, err := res.Create(ctx, m, props)
	if err != nil || again.ID != made.ID {
		t.Errorf("a retry: %+v %v", again, err)
	}
	got, err := r.client.GetEventSourceMapping(ctx, &api.GetEventSourceMappingInput{UUID: made.ID})
	r.ok(err)
	if *got.State != disabled || *got.BatchSize != 5 || len(got.FunctionResponseTypes) != 1 || *got.ScalingConfig.MaximumConcurrency != 4 || len(got.FilterCriteria.Filters) != 1 {
		t.Errorf("%+v", got)
	}
	after := map[string]any{"FunctionName": "f", "EventSourceArn": queueARN}
	_, err = res.Update(ctx, m, made.ID, props, after)
	r.ok(err)
	got, err = r.client.GetEventSourceMapping(ctx, &api.GetEventSourceMappingInput{UUID: made.ID})
	r.ok(err)
	if *got.State != enabled || *got.BatchSize != 10 || len(got.FunctionResponseTypes) != 0 || got.ScalingConfig != nil || got.FilterCriteria != nil {
		t.Errorf("%+v", got)
	}
	for range 2 {
		r.ok(res.Delete(ctx, m, made.ID, after))
	}
	if state := r.mappingState(made.ID); state != "gone" {
		t.Errorf("it is %s", state)
	}
}
