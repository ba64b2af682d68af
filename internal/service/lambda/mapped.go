package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/mapping"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// mapped are the mappings that this process runs. Every process runs every enabled one; their ledgers
// say who reads what.
type mapped struct {
	wake    chan struct{}
	running map[mappingKey]*engine
}

// engine is a mapping that runs.
type engine struct {
	revision int64
	stop     context.CancelFunc
	done     chan struct{}
}

func newMapped() *mapped {
	return &mapped{wake: make(chan struct{}, 1), running: map[mappingKey]*engine{}}
}

func (m *mapped) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// end stops a mapping and waits for what it had begun.
func (m *mapped) end(k mappingKey) {
	if e := m.running[k]; e != nil {
		e.stop()
		<-e.done
		delete(m.running, k)
	}
}

// mappings runs the event source mappings until ctx ends.
func (s *Service) mappings(ctx context.Context, g *gate.Gate) {
	if len(s.Queues)+len(s.Streams) == 0 {
		return // none can have been made
	}
	for ctx.Err() == nil {
		s.report("run event source mappings", s.follow(ctx, g))
		t := time.NewTimer(idlePoll)
		select {
		case <-ctx.Done():
		case <-s.mapped.wake:
		case <-t.C:
		}
		t.Stop()
	}
	for k := range s.mapped.running {
		s.mapped.end(k)
	}
}

// follow makes what runs what the rows say.
func (s *Service) follow(ctx context.Context, g *gate.Gate) error {
	var rows []sourceMapping
	err := job(g, "", "").View(ctx, func(tx *store.Tx) error {
		rows = nil
		for e, err := range s.t.mappings.rows.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			rows = append(rows, e.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	there := map[mappingKey]bool{}
	var errs []error
	for _, m := range rows {
		there[m.mappingKey] = true
		errs = append(errs, s.followOne(ctx, g, m))
	}
	for k := range s.mapped.running {
		if !there[k] {
			s.mapped.end(k)
		}
	}
	return errors.Join(errs...)
}

func (s *Service) followOne(ctx context.Context, g *gate.Gate, m sourceMapping) error {
	runs := s.mapped.running[m.mappingKey]
	wanted := m.Enabled && m.State != deleting
	if runs != nil && (!wanted || runs.revision != m.Revision) {
		s.mapped.end(m.mappingKey)
		runs = nil
	}
	if wanted && runs == nil {
		if err := s.begin(ctx, g, m); err != nil {
			return err // it is tried again; until then the mapping is in its passing state
		}
	}
	to := enabled
	if !m.Enabled {
		to = disabled
	}
	if m.State == to {
		return nil
	}
	return job(g, m.Account, m.Region).Lease(ctx, func(tx *store.Tx) error {
		now, ok, err := s.t.mappings.rows.Get(tx, m.key())
		if err != nil || !ok || now.Revision != m.Revision || now.State != m.State {
			return err
		}
		if m.State == deleting {
			return s.t.mappings.delete(tx, m.mappingKey)
		}
		now.State = to
		return s.t.mappings.rows.Put(tx, m.key(), now)
	})
}

// begin starts a mapping's engine.
func (s *Service) begin(ctx context.Context, g *gate.Gate, m sourceMapping) error {
	config, err := m.config()
	if err != nil {
		return err
	}
	b := &bound{s: s, g: g, m: m, result: m.Result}
	queue, stream, err := s.open(ctx, b.view(ctx), m)
	if err != nil {
		return err
	}
	deps := mapping.Deps{Function: b, Ledger: b, Clock: s.Clock, Discard: b.discard, Report: b.report}
	running, stop := context.WithCancel(ctx)
	e := &engine{m.Revision, stop, make(chan struct{})}
	s.mapped.running[m.mappingKey] = e
	go func() {
		defer close(e.done)
		if queue != nil {
			err = (&mapping.QueueMapping{Config: config, Deps: deps, Source: queue}).Run(running)
		} else {
			err = (&mapping.StreamMapping{Config: config, Deps: deps, Source: stream}).Run(running)
		}
		s.report("run an event source mapping", err)
	}()
	return nil
}

// bound is a mapping's function, ledger and voice.
type bound struct {
	s *Service
	g *gate.Gate
	m sourceMapping

	mu     sync.Mutex
	result string // as it was last written
}

func (b *bound) job() gate.Job {
	j := job(b.g, b.m.Account, b.m.Region)
	j.Name, j.Resources = "EventSourceMapping", []string{b.m.arn(), b.m.Function.arn()}
	return j
}

func (b *bound) view(ctx context.Context) view {
	return func(fn func(*store.Tx) error) error { return b.job().View(ctx, fn) }
}

// Invoke runs the function, on record.
func (b *bound) Invoke(ctx context.Context, event []byte) (mapping.Answer, error) {
	t, err := b.s.target(ctx, b.view(ctx), b.m.Function)
	if err == nil && t == nil {
		err = noFunction(b.m.Function.arn())
	}
	if err != nil {
		return mapping.Answer{}, err
	}
	f, id := b.s.pick(t), b.s.IDs.UUID()
	out, err := b.s.run(ctx, f, fleet.Event{RequestID: id, ARN: t.named, TraceID: b.s.traced(""), Payload: event, Lineage: lineage(nil).with(b.m.Function.functionKey).pairs()})
	happened := b.g.Happened(gate.Happening{Principal: b.job().Principal(), Service: lambda.Service, Event: "EventSourceInvoke", Region: b.m.Region, SourceARN: b.m.Source,
		Resources: []string{t.named}, Err: err, Detail: map[string]any{"eventSourceMappingArn": b.m.arn(), "requestId": id, "functionError": out.FunctionError}})
	if awserr.Is(err, "TooManyRequestsException") {
		err = mapping.ErrThrottled
	}
	return mapping.Answer{RequestID: id, Version: f.Version, Payload: out.Payload, Error: out.FunctionError}, errors.Join(err, happened)
}

// Load is the Ledger's.
func (b *bound) Load(ctx context.Context) (map[string]mapping.Checkpoint, error) {
	out := map[string]mapping.Checkpoint{}
	err := b.job().View(ctx, func(tx *store.Tx) error {
		clear(out)
		for e, err := range b.s.t.mappings.shards.Scan(tx, b.m.key(), store.Range{}) {
			if err != nil {
				return err
			}
			out[e.Key.Text(3)] = e.Value.Checkpoint
		}
		return nil
	})
	return out, err
}

// Acquire is the Ledger's. A mapping that is gone, or has changed, leases nothing any more.
func (b *bound) Acquire(ctx context.Context, shard string, lease time.Duration) (c mapping.Checkpoint, token int64, ok bool, err error) {
	k := b.m.key(shard)
	err = b.job().Lease(ctx, func(tx *store.Tx) error {
		c, token, ok = mapping.Checkpoint{}, 0, false
		row, there, err := b.s.t.mappings.rows.Get(tx, b.m.key())
		if err != nil || !there || row.Revision != b.m.Revision {
			return err
		}
		kept, _, err := b.s.t.mappings.shards.Get(tx, k)
		if err != nil || tx.Now().Before(kept.Until) {
			return err
		}
		kept.Token, kept.Until = tx.NextSeq(), tx.Now().Add(lease)
		c, token, ok = kept.Checkpoint, kept.Token, true
		return b.s.t.mappings.shards.Put(tx, k, kept)
	})
	return c, token, ok, err
}

// Save is the Ledger's.
func (b *bound) Save(ctx context.Context, shard string, token int64, c mapping.Checkpoint, lease time.Duration) error {
	k := b.m.key(shard)
	return b.job().Lease(ctx, func(tx *store.Tx) error {
		kept, ok, err := b.s.t.mappings.shards.Get(tx, k)
		if err != nil {
			return err
		}
		if !ok || kept.Token != token {
			return mapping.ErrLost
		}
		kept.Checkpoint, kept.Until = c, tx.Now().Add(lease)
		return b.s.t.mappings.shards.Put(tx, k, kept)
	})
}

// report keeps how things go, where that has changed.
func (b *bound) report(result string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.result == result {
		return
	}
	err := b.job().Lease(context.Background(), func(tx *store.Tx) error {
		m, ok, err := b.s.t.mappings.rows.Get(tx, b.m.key())
		if err != nil || !ok {
			return err
		}
		m.Result = result
		return b.s.t.mappings.rows.Put(tx, b.m.key(), m)
	})
	if err == nil {
		b.result = result
	}
	b.s.report("keep an event source mapping's result", err)
}

// batchInfo describes records that were given up. Source: AWS Lambda Developer Guide, "Retain discarded
// batch records".
type batchInfo struct {
	Shard string    `json:"shardId"`
	First string    `json:"startSequenceNumber"`
	Last  string    `json:"endSequenceNumber"`
	From  time.Time `json:"approximateArrivalOfFirstRecord"`
	To    time.Time `json:"approximateArrivalOfLastRecord"`
	Size  int       `json:"batchSize"`
	ARN   string    `json:"streamArn"`
}

// discard takes note of records that are given up, on record, and tells the mapping's destination.
func (b *bound) discard(ctx context.Context, d mapping.Discarded) error {
	first, last := d.Records[0], d.Records[len(d.Records)-1]
	info := batchInfo{d.Shard, first.ID, last.ID, first.At.UTC(), last.At.UTC(), len(d.Records), b.m.Source}
	note := map[string]any{"eventSourceMappingArn": b.m.arn(), "functionArn": b.m.Function.arn(), "condition": d.Condition, "approximateInvokeCount": d.Attempts, "batchInfo": info}
	next, body, err := b.word(ctx, d, info)
	if err != nil {
		return err
	}
	err = b.job().Update(ctx, note, func(tx *store.Tx) error {
		if next == nil {
			return nil
		}
		return b.s.t.queue.push(tx, *next, body)
	})
	if err == nil && next != nil {
		b.s.courier.expect(next.lane(), b.s.Clock.Now())
	}
	return err
}

// word is the record of what was given up on its way to the mapping's destination; nil without one.
func (b *bound) word(ctx context.Context, d mapping.Discarded, info batchInfo) (*queued, []byte, error) {
	if b.m.OnFailure == "" {
		return nil, nil, nil
	}
	t, err := b.s.target(ctx, b.view(ctx), b.m.Function)
	if err != nil || t == nil {
		return nil, nil, err
	}
	w := map[string]any{"version": "1.0", "timestamp": b.s.Clock.Now().UTC().Format(recordTime), sourceKinds()[serviceOf(b.m.Source)].info: info}
	context := map[string]any{"functionArn": b.m.Function.functionKey.arn(qualified(b.m.Function.Qualifier)), "condition": d.Condition, "approximateInvokeCount": d.Attempts}
	if d.Answer != nil {
		context["requestId"] = d.Answer.RequestID
		w["responseContext"] = answer{StatusCode: 200, Version: d.Answer.Version, Error: d.Answer.Error}
	}
	w["requestContext"] = context
	body, err := json.Marshal(w)
	return &queued{reference: b.m.Function, Function: t.fn.ID, RequestID: b.s.IDs.UUID(), Accepted: b.s.Clock.Now(), Destination: b.m.OnFailure, Role: t.first.Role,
		Lineage: lineage(nil).with(b.m.Function.functionKey)}, body, err
}

// roleCaller acts at the door as the role that a function has now.
type roleCaller struct {
	s  *Service
	in view
	r  reference
}

func (c roleCaller) Call(ctx context.Context, op *wire.Operation, in any) (any, error) {
	t, err := c.s.target(ctx, c.in, c.r)
	if err == nil && t == nil {
		err = noFunction(c.r.arn())
	}
	if err != nil {
		return nil, err
	}
	cred, err := c.s.session(ctx, assumption(*t.first), time.Minute)
	if err != nil {
		return nil, err
	}
	caller, err := c.s.Roles.Caller(cred, c.r.Region, nil)
	if err != nil {
		return nil, err
	}
	return caller.Call(ctx, op, in)
}

var (
	_ wire.Caller      = roleCaller{}
	_ mapping.Ledger   = (*bound)(nil)
	_ mapping.Function = (*bound)(nil)
)
