package lambda

import (
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/service/lambda/mapping"
	"github.com/bastide-cloud/bastide/internal/store"
)

// mappingKey names an event source mapping.
type mappingKey struct{ Account, Region, UUID string }

func (k mappingKey) key(more ...any) store.Key {
	return store.K(k.Account, k.Region, k.UUID).With(more...)
}

func (k mappingKey) arn() string {
	return arn.New("lambda", k.Region, k.Account, "event-source-mapping:"+k.UUID).String()
}

// States of a mapping. Those that end in -ing are left by the process that runs it.
const (
	creating  = "Creating"
	enabling  = "Enabling"
	enabled   = "Enabled"
	disabling = "Disabling"
	disabled  = "Disabled"
	updating  = "Updating"
	deleting  = "Deleting"
)

// sourceMapping is an event source mapping.
type sourceMapping struct {
	mappingKey
	Function reference
	Source   string // ARN
	Enabled  bool
	State    string
	Reason   string // of the last change of State
	Result   string // of the last records
	Modified time.Time
	Revision int64 // changes with the configuration
	Tags     map[string]string

	Batch       int32
	Window      int32 // seconds
	Filters     []string
	Partial     bool  // ReportBatchItemFailures
	Concurrency int32 // 0 for no bound of its own

	Start     mapping.Position
	Parallel  int32
	Retries   int32 // -1: no bound
	Age       int32 // seconds; -1: no bound
	Bisect    bool
	OnFailure string
}

// shardRow is where a shard of a mapping stands, and who reads it until when.
type shardRow struct {
	mapping.Checkpoint
	Token int64
	Until time.Time
}

// mappings are the tables of event source mappings.
type mappings struct {
	rows   store.Table[sourceMapping]
	shards store.Table[shardRow]
}

const byFunction = "function"

func newMappings() mappings {
	return mappings{
		rows: store.NewTable(space, "eventSourceMappings", store.Index[sourceMapping]{Name: byFunction, Keys: func(m sourceMapping) []store.Key {
			return []store.Key{store.K(m.Account, m.Region, m.Function.arn(), m.Source)}
		}}),
		shards: store.NewTable[shardRow](space, "eventSourceShards"),
	}
}

// find is the mapping of a key, which must exist.
func (t *mappings) find(tx *store.Tx, k mappingKey) (sourceMapping, error) {
	m, ok, err := t.rows.Get(tx, k.key())
	if err == nil && !ok {
		err = notFound("The resource you requested does not exist.")
	}
	return m, err
}

// delete removes a mapping and where its shards stand.
func (t *mappings) delete(tx *store.Tx, k mappingKey) error {
	if err := clearing(t.shards)(tx, k.key()); err != nil {
		return err
	}
	_, err := t.rows.Delete(tx, k.key())
	return err
}

// stream reports whether the mapping reads a stream; a queue otherwise.
func (m sourceMapping) stream() bool { return sourceKinds()[serviceOf(m.Source)].stream }

// show is the mapping as Lambda shows it.
func (m sourceMapping) show() *lambda.EventSourceMappingConfiguration {
	out := &lambda.EventSourceMappingConfiguration{UUID: new(m.UUID), EventSourceMappingArn: new(m.arn()), EventSourceArn: new(m.Source), FunctionArn: new(m.Function.arn()),
		BatchSize: new(m.Batch), MaximumBatchingWindowInSeconds: new(m.Window), LastModified: new(m.Modified.UTC().Truncate(time.Millisecond)), State: new(m.State),
		StateTransitionReason: new(m.Reason), FunctionResponseTypes: []string{}}
	if m.Partial {
		out.FunctionResponseTypes = []string{reportFailures}
	}
	for _, f := range m.Filters {
		if out.FilterCriteria == nil {
			out.FilterCriteria = &lambda.FilterCriteria{}
		}
		out.FilterCriteria.Filters = append(out.FilterCriteria.Filters, lambda.Filter{Pattern: new(f)})
	}
	if !m.stream() {
		if m.Concurrency > 0 {
			out.ScalingConfig = &lambda.ScalingConfig{MaximumConcurrency: new(m.Concurrency)}
		}
		return out
	}
	out.LastProcessingResult = new(m.Result)
	out.StartingPosition = new(m.Start.Kind)
	if m.Start.Kind == mapping.AtTimestamp {
		out.StartingPositionTimestamp = new(m.Start.Time)
	}
	out.ParallelizationFactor, out.MaximumRetryAttempts, out.MaximumRecordAgeInSeconds = new(m.Parallel), new(m.Retries), new(m.Age)
	out.BisectBatchOnFunctionError, out.TumblingWindowInSeconds = new(m.Bisect), new(int32(0))
	out.DestinationConfig = &lambda.DestinationConfig{OnFailure: &lambda.OnFailure{Destination: optional(m.OnFailure)}}
	return out
}
