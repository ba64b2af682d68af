package lambda

import (
	"context"
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/pattern"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/mapping"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// maxFilters is the quota of filters of a mapping. Source: AWS Lambda Developer Guide, "Control which
// events Lambda sends to your function".
const maxFilters = 5

func inUse(what string) error {
	return awserr.New("ResourceInUseException", 400, "Cannot %s the event source mapping because it is in use.", what)
}

func (s *Service) createMapping(c *gate.Call, in *lambda.CreateEventSourceMappingInput) (*lambda.EventSourceMappingConfiguration, error) {
	r, err := refer(c, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	kind, err := s.kindOf(in)
	if err == nil && r.Account != c.Account() {
		err = invalid("Function and event source mapping must be in the same account.")
	}
	if err == nil {
		err = unbuiltMapping(in)
	}
	if err == nil {
		err = checkTags(in.Tags)
	}
	if err != nil {
		return nil, err
	}
	m := sourceMapping{mappingKey: mappingKey{c.Account(), c.Region(), s.IDs.UUID()}, Function: r, Source: *in.EventSourceArn, Enabled: in.Enabled == nil || *in.Enabled,
		State: creating, Reason: "USER_INITIATED", Result: mapping.NothingYet, Batch: kind.batch, Parallel: 1, Retries: -1, Age: -1, Tags: in.Tags}
	if kind.stream {
		m.Reason = "User action"
	}
	if err := m.begin(kind, in); err != nil {
		return nil, err
	}
	if err := m.set(kind, in); err != nil {
		return nil, err
	}
	if err := s.reachable(c, m); err != nil {
		return nil, err
	}
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.EventSourceMappingConfiguration, error) {
		if _, err := s.t.find(tx, r); err != nil {
			return nil, noMappedFunction(err)
		}
		if err := s.single(tx, m, kind); err != nil {
			return nil, err
		}
		m.Modified, m.Revision = tx.Now(), tx.NextSeq()
		return m.show(), s.t.mappings.rows.Put(tx, m.key(), m)
	})
	s.mapped.nudge()
	return out, err
}

func noMappedFunction(err error) error {
	if awserr.Is(err, "ResourceNotFoundException") {
		return invalid("Function does not exist")
	}
	return err
}

// single refuses a second mapping of one source to one function.
func (s *Service) single(tx *store.Tx, m sourceMapping, kind sourceKind) error {
	e, ok, err := s.t.mappings.rows.By(byFunction).Get(tx, store.K(m.Account, m.Region, m.Function.arn(), m.Source))
	if err != nil || !ok || e.Value.UUID == m.UUID {
		return err
	}
	if kind.stream {
		return conflict(`The event source arn (" %s ") and function (" %s ") provided mapping already exists. Please update or delete the existing mapping with UUID %s`, m.Source, m.Function.Name, e.Value.UUID)
	}
	return conflict(`An event source mapping with SQS arn (" %s ") and function (" %s ") already exists. Please update or delete the existing mapping with UUID %s`, m.Source, m.Function.Name, e.Value.UUID)
}

// begin reads where a stream is begun, which no update changes.
func (m *sourceMapping) begin(kind sourceKind, in *lambda.CreateEventSourceMappingInput) error {
	start := wire.Val(in.StartingPosition)
	switch {
	case !kind.stream && start != "":
		return invalid("StartingPosition is not valid for SQS event sources.")
	case !kind.stream:
		return nil
	case start == "":
		return awserr.Of(awserr.Validation, "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.")
	case !kind.known(start):
		return invalid("Unsupported starting position for arn type: %s", m.Source)
	case (start == mapping.AtTimestamp) != (in.StartingPositionTimestamp != nil):
		return invalid("StartingPositionTimestamp must be given with StartingPosition AT_TIMESTAMP, and only then.")
	}
	m.Start.Kind = start
	if in.StartingPositionTimestamp != nil {
		m.Start.Time = in.StartingPositionTimestamp.UTC()
	}
	return nil
}

// set reads what an update may change too; what is not given stays as it is.
func (m *sourceMapping) set(kind sourceKind, in *lambda.CreateEventSourceMappingInput) error {
	if err := m.sizes(kind, in); err != nil {
		return err
	}
	if f := in.FilterCriteria; f != nil {
		if m.Filters = nil; len(f.Filters) > maxFilters {
			return invalid("The number of filters exceeds the limit of %d.", maxFilters)
		}
		for _, one := range f.Filters {
			if _, err := pattern.Parse([]byte(wire.Val(one.Pattern))); err != nil {
				return invalid("Invalid filter pattern definition. (%s)", err.(*pattern.Error).Message)
			}
			m.Filters = append(m.Filters, *one.Pattern)
		}
	}
	if in.FunctionResponseTypes != nil {
		m.Partial = len(in.FunctionResponseTypes) > 0
	}
	if !kind.stream {
		return m.setQueue(in)
	}
	if in.ScalingConfig != nil {
		return invalid("Unsupported parameter for given event source mapping type: ScalingConfig")
	}
	set(&m.Parallel, in.ParallelizationFactor)
	set(&m.Retries, in.MaximumRetryAttempts)
	set(&m.Bisect, in.BisectBatchOnFunctionError)
	if n := in.MaximumRecordAgeInSeconds; n != nil && *n != -1 && *n < 60 {
		return invalid("MaximumRecordAgeInSeconds must be -1 or from 60 to 604800.")
	}
	set(&m.Age, in.MaximumRecordAgeInSeconds)
	if in.DestinationConfig == nil {
		return nil
	}
	success, failure := destinations(in.DestinationConfig)
	if success != "" {
		return invalid("Unsupported DestinationConfig parameter for given event source mapping type.")
	}
	m.OnFailure = failure
	if failure == "" {
		return nil
	}
	return checkDestination(m.Function.functionKey, failure)
}

// sizes are the bounds of a batch.
func (m *sourceMapping) sizes(kind sourceKind, in *lambda.CreateEventSourceMappingInput) error {
	set(&m.Batch, in.BatchSize)
	set(&m.Window, in.MaximumBatchingWindowInSeconds)
	switch {
	case kind.stream:
	case fifo(m.Source) && m.Batch > 10:
		return invalid("Batch size for an SQS FIFO queue must be from 1 to 10.")
	case fifo(m.Source) && m.Window > 0:
		return invalid("Batching window is not supported for FIFO queues.")
	case m.Batch > 10 && m.Window == 0:
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	}
	return nil
}

// setQueue refuses what only streams have.
func (m *sourceMapping) setQueue(in *lambda.CreateEventSourceMappingInput) error {
	for name, given := range map[string]bool{"ParallelizationFactor": in.ParallelizationFactor != nil, "MaximumRetryAttempts": in.MaximumRetryAttempts != nil,
		"BisectBatchOnFunctionError": in.BisectBatchOnFunctionError != nil, "MaximumRecordAgeInSeconds": in.MaximumRecordAgeInSeconds != nil} {
		if given {
			return invalid("Unsupported parameter for given event source mapping type: %s", name)
		}
	}
	if success, failure := destinations(in.DestinationConfig); success != "" || failure != "" {
		return invalid("Unsupported DestinationConfig parameter for given event source mapping type.")
	}
	if in.ScalingConfig != nil {
		m.Concurrency = wire.Val(in.ScalingConfig.MaximumConcurrency)
	}
	return nil
}

// reachable opens the source as the function's role, and asks whether it may reach the destination.
func (s *Service) reachable(c *gate.Call, m sourceMapping) error {
	if err := c.View(func(tx *store.Tx) error { _, err := s.t.find(tx, m.Function); return err }); err != nil {
		return noMappedFunction(err)
	}
	if m.OnFailure != "" {
		if err := s.mayReach(c, m.Function, m.OnFailure); err != nil {
			return err
		}
	}
	_, _, err := s.open(c.Context(), c.View, m)
	if e, ok := errors.AsType[*awserr.Error](err); ok && e.Kind == awserr.AccessDenied {
		return invalid("The provided execution role does not have permissions to read from %s (%s)", m.Source, e.Message)
	}
	return err
}

// open opens a mapping's source: one of the two is not nil.
func (s *Service) open(ctx context.Context, in view, m sourceMapping) (mapping.Queue, mapping.Stream, error) {
	caller := roleCaller{s, in, m.Function}
	if q := s.Queues[serviceOf(m.Source)]; q != nil {
		open, err := q.OpenQueue(ctx, caller, m.Source)
		return open, nil, err
	}
	if q := s.Streams[serviceOf(m.Source)]; q != nil {
		open, err := q.OpenStream(ctx, caller, m.Source)
		return nil, open, err
	}
	return nil, nil, notBuilt("An event source mapping for %s", m.Source)
}

func (s *Service) updateMapping(c *gate.Call, in *lambda.UpdateEventSourceMappingInput) (*lambda.EventSourceMappingConfiguration, error) {
	k := mappingKey{c.Account(), c.Region(), in.UUID}
	was := sourceMapping{}
	if err := c.View(func(tx *store.Tx) (err error) { was, err = s.t.mappings.find(tx, k); return err }); err != nil {
		return nil, err
	}
	m, err := s.altered(c, was, in)
	if err != nil {
		return nil, err
	}
	if err := s.reachable(c, m); err != nil {
		return nil, err
	}
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.EventSourceMappingConfiguration, error) {
		now, err := s.t.mappings.find(tx, k)
		if err != nil {
			return nil, err
		}
		if now.Revision != was.Revision || now.State != enabled && now.State != disabled {
			return nil, inUse("update")
		}
		if _, err := s.t.find(tx, m.Function); err != nil {
			return nil, noMappedFunction(err)
		}
		if err := s.single(tx, m, sourceKinds()[serviceOf(m.Source)]); err != nil {
			return nil, err
		}
		m.Result, m.Modified, m.Revision = now.Result, tx.Now(), tx.NextSeq()
		return m.show(), s.t.mappings.rows.Put(tx, k.key(), m)
	})
	s.mapped.nudge()
	return out, err
}

// altered is a mapping as an update wants it.
func (s *Service) altered(c *gate.Call, m sourceMapping, in *lambda.UpdateEventSourceMappingInput) (sourceMapping, error) {
	as := &lambda.CreateEventSourceMappingInput{BatchSize: in.BatchSize, FilterCriteria: in.FilterCriteria, MaximumBatchingWindowInSeconds: in.MaximumBatchingWindowInSeconds,
		DestinationConfig: in.DestinationConfig, MaximumRecordAgeInSeconds: in.MaximumRecordAgeInSeconds, BisectBatchOnFunctionError: in.BisectBatchOnFunctionError,
		MaximumRetryAttempts: in.MaximumRetryAttempts, ParallelizationFactor: in.ParallelizationFactor, SourceAccessConfigurations: in.SourceAccessConfigurations,
		TumblingWindowInSeconds: in.TumblingWindowInSeconds, FunctionResponseTypes: in.FunctionResponseTypes, ScalingConfig: in.ScalingConfig,
		AmazonManagedKafkaEventSourceConfig: in.AmazonManagedKafkaEventSourceConfig, SelfManagedKafkaEventSourceConfig: in.SelfManagedKafkaEventSourceConfig,
		DocumentDBEventSourceConfig: in.DocumentDBEventSourceConfig, KMSKeyArn: in.KMSKeyArn, MetricsConfig: in.MetricsConfig, LoggingConfig: in.LoggingConfig,
		ProvisionedPollerConfig: in.ProvisionedPollerConfig}
	if err := unbuiltMapping(as); err != nil {
		return m, err
	}
	if in.FunctionName != nil {
		r, err := refer(c, named{*in.FunctionName, nil})
		if err != nil {
			return m, err
		}
		if m.Function = r; r.Account != m.Account {
			return m, invalid("Function and event source mapping must be in the same account.")
		}
	}
	if err := m.set(sourceKinds()[serviceOf(m.Source)], as); err != nil {
		return m, err
	}
	m.State = updating
	if in.Enabled != nil && *in.Enabled != m.Enabled {
		m.Enabled = *in.Enabled
		if m.State = disabling; m.Enabled {
			m.State = enabling
		}
	}
	return m, nil
}

// config is the mapping as the engine takes it.
func (m sourceMapping) config() (mapping.Config, error) {
	kind := sourceKinds()[serviceOf(m.Source)]
	c := mapping.Config{BatchSize: int(m.Batch), Window: time.Duration(m.Window) * time.Second, Content: kind.content, PartialFailures: m.Partial,
		Concurrency: int(m.Concurrency), FIFO: fifo(m.Source), Start: m.Start, Bisect: m.Bisect, Retries: int(m.Retries), Age: time.Duration(m.Age) * time.Second, Parallel: int(m.Parallel)}
	if c.Concurrency == 0 {
		c.Concurrency = parallel
	}
	for _, f := range m.Filters {
		p, err := pattern.Parse([]byte(f))
		if err != nil {
			return c, err
		}
		c.Filters = append(c.Filters, p)
	}
	return c, nil
}
