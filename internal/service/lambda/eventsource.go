package lambda

import (
	"context"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/mapping"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// QueueSource opens the queues of a service. What it does there it does as caller, the role of the
// function; opening one that the role may not receive from and delete from fails.
type QueueSource interface {
	OpenQueue(ctx context.Context, caller wire.Caller, arn string) (mapping.Queue, error)
}

// StreamSource opens the streams of a service, as QueueSource does queues.
type StreamSource interface {
	OpenStream(ctx context.Context, caller wire.Caller, arn string) (mapping.Stream, error)
}

// sourceKind is what Lambda knows of a kind of event source.
type sourceKind struct {
	name    string
	stream  bool
	batch   int32  // by default
	content string // the member of what filters see that holds the payload
	info    string // the member of a failure's record that describes the batch
	starts  []string
}

const reportFailures = "ReportBatchItemFailures"

// sourceKinds are the kinds of event sources, by the service in their ARNs. Which of them can be mapped
// is decided by Deps.Queues and Deps.Streams.
func sourceKinds() map[string]sourceKind {
	all := []string{mapping.TrimHorizon, mapping.Latest, mapping.AtTimestamp}
	return map[string]sourceKind{
		"sqs":      {name: "Amazon SQS", batch: 10, content: "body"},
		"kinesis":  {name: "Amazon Kinesis", stream: true, batch: 100, content: "data", info: "KinesisBatchInfo", starts: all},
		"dynamodb": {name: "Amazon DynamoDB Streams", stream: true, batch: 100, info: "DDBStreamBatchInfo", starts: all[:2]},
		"kafka":    {name: "Amazon MSK"},
		"mq":       {name: "Amazon MQ"},
		"rds":      {name: "Amazon DocumentDB"},
	}
}

func serviceOf(source string) string {
	a, _ := arn.Parse(source) // what is no ARN is of no service
	return a.Service
}

// mappingOps are the operations on event source mappings.
func (s *Service) mappingOps() []gate.Op {
	return []gate.Op{
		gate.On(lambda.OpCreateEventSourceMapping, gate.Write, s.needCreateMapping, s.createMapping),
		gate.On(lambda.OpGetEventSourceMapping, gate.Read, onMapping(s, "lambda:GetEventSourceMapping", func(in *lambda.GetEventSourceMappingInput) string { return in.UUID }), s.getMapping),
		gate.On(lambda.OpUpdateEventSourceMapping, gate.Write, s.needUpdateMapping, s.updateMapping),
		gate.On(lambda.OpDeleteEventSourceMapping, gate.Write, onMapping(s, "lambda:DeleteEventSourceMapping", func(in *lambda.DeleteEventSourceMappingInput) string { return in.UUID }), s.deleteMapping),
		gate.On(lambda.OpListEventSourceMappings, gate.Read, onEverything[lambda.ListEventSourceMappingsInput]("lambda:ListEventSourceMappings"), s.listMappings),
	}
}

// functionKeys let policies limit the functions that are mapped.
func functionKeys(fn string) map[string][]string {
	return map[string][]string{"lambda:FunctionArn": {fn}}
}

func (s *Service) needCreateMapping(a *gate.Ask, in *lambda.CreateEventSourceMappingInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	keys := functionKeys(r.arn())
	for k, v := range gate.RequestTags(in.Tags) {
		keys[k] = v
	}
	return []gate.Need{{Action: "lambda:CreateEventSourceMapping", Resource: "*", Keys: keys}}, nil
}

// onMapping is an action on the mapping that the input names; one that is not there is judged by its
// name alone.
func onMapping[In any](s *Service, action string, of func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		n, err := s.mappingNeed(a, action, of(in))
		return []gate.Need{n}, err
	}
}

func (s *Service) mappingNeed(a *gate.Ask, action, uuid string) (gate.Need, error) {
	k := mappingKey{a.Account(), a.Region(), uuid}
	n := gate.Need{Action: action, Resource: k.arn()}
	err := a.View(func(tx *store.Tx) error {
		m, ok, err := s.t.mappings.rows.Get(tx, k.key())
		if err != nil || !ok {
			return err
		}
		n.Keys, n.Lazy = functionKeys(m.Function.arn()), gate.ResourceTags(m.Tags)
		return nil
	})
	return n, err
}

// needUpdateMapping wants the mapping as it is and, where it is to serve another function, as it will be.
func (s *Service) needUpdateMapping(a *gate.Ask, in *lambda.UpdateEventSourceMappingInput) ([]gate.Need, error) {
	n, err := s.mappingNeed(a, "lambda:UpdateEventSourceMapping", in.UUID)
	if err != nil || in.FunctionName == nil {
		return []gate.Need{n}, err
	}
	r, err := refer(a, named{*in.FunctionName, nil})
	then := n
	then.Keys = functionKeys(r.arn())
	return []gate.Need{n, then}, err
}

func (s *Service) getMapping(c *gate.Call, in *lambda.GetEventSourceMappingInput) (*lambda.EventSourceMappingConfiguration, error) {
	var m sourceMapping
	err := c.View(func(tx *store.Tx) (err error) {
		m, err = s.t.mappings.find(tx, mappingKey{c.Account(), c.Region(), in.UUID})
		return err
	})
	if err != nil {
		return nil, err
	}
	return m.show(), nil
}

// deleteMapping marks a mapping; what runs it ends it and removes it.
func (s *Service) deleteMapping(c *gate.Call, in *lambda.DeleteEventSourceMappingInput) (*lambda.EventSourceMappingConfiguration, error) {
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.EventSourceMappingConfiguration, error) {
		m, err := s.t.mappings.find(tx, mappingKey{c.Account(), c.Region(), in.UUID})
		if err != nil {
			return nil, err
		}
		if m.State != enabled && m.State != disabled {
			return nil, inUse("delete")
		}
		m.State, m.Modified = deleting, tx.Now()
		return m.show(), s.t.mappings.rows.Put(tx, m.key(), m)
	})
	s.mapped.nudge()
	return out, err
}

func (s *Service) listMappings(c *gate.Call, in *lambda.ListEventSourceMappingsInput) (*lambda.ListEventSourceMappingsOutput, error) {
	fn := ""
	if in.FunctionName != nil {
		r, err := refer(c, named{*in.FunctionName, nil})
		if err != nil {
			return nil, err
		}
		fn = r.arn()
	}
	p, err := pageOf(in.Marker, in.MaxItems, 100)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListEventSourceMappingsOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.EventSourceMappings, out.NextMarker = []lambda.EventSourceMappingConfiguration{}, nil
		for e, err := range s.t.mappings.rows.Scan(tx, regionKey(c.Account(), c.Region()), p.from()) {
			if err != nil {
				return err
			}
			m := e.Value
			if fn != "" && m.Function.arn() != fn || in.EventSourceArn != nil && m.Source != *in.EventSourceArn {
				continue
			}
			if len(out.EventSourceMappings) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.EventSourceMappings = append(out.EventSourceMappings, *m.show())
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

// kindOf refuses event sources that are none, and those that are not built, by name.
func (s *Service) kindOf(in *lambda.CreateEventSourceMappingInput) (sourceKind, error) {
	if in.SelfManagedEventSource != nil {
		return sourceKind{}, notBuilt("An event source mapping for self-managed Apache Kafka")
	}
	source := wire.Val(in.EventSourceArn)
	kind, ok := sourceKinds()[serviceOf(source)]
	if !ok {
		return kind, invalid("Unrecognized event source.")
	}
	service := serviceOf(source)
	if s.Queues[service] == nil && s.Streams[service] == nil {
		return kind, notBuilt("An event source mapping for %s (%s)", kind.name, source)
	}
	return kind, nil
}

// unbuiltMapping are settings that are not built, which are refused by name.
func unbuiltMapping(in *lambda.CreateEventSourceMappingInput) error {
	for _, p := range []struct {
		name  string
		given bool
	}{
		{"TumblingWindowInSeconds", wire.Val(in.TumblingWindowInSeconds) > 0},
		{"KMSKeyArn", wire.Val(in.KMSKeyArn) != ""},
		{"MetricsConfig", in.MetricsConfig != nil && len(in.MetricsConfig.Metrics) > 0},
		{"LoggingConfig", in.LoggingConfig != nil},
		{"ProvisionedPollerConfig", in.ProvisionedPollerConfig != nil},
		{"SourceAccessConfigurations", len(in.SourceAccessConfigurations) > 0},
		{"Topics", len(in.Topics) > 0},
		{"Queues", len(in.Queues) > 0},
		{"AmazonManagedKafkaEventSourceConfig", in.AmazonManagedKafkaEventSourceConfig != nil},
		{"SelfManagedKafkaEventSourceConfig", in.SelfManagedKafkaEventSourceConfig != nil},
		{"DocumentDBEventSourceConfig", in.DocumentDBEventSourceConfig != nil},
	} {
		if p.given {
			return notBuilt("%s of an event source mapping", p.name)
		}
	}
	return nil
}

// fifo reports whether the source is a queue that keeps an order.
func fifo(source string) bool { return strings.HasSuffix(source, ".fifo") }

// known reports whether a starting position is one of the kind's.
func (k sourceKind) known(start string) bool { return slices.Contains(k.starts, start) }
