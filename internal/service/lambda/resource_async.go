package lambda

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// asyncResources are the resource types of asynchronous invocation and of event source mappings.
func (s *Service) asyncResources() []gate.Resource {
	return []gate.Resource{
		s.mappingResource(),
		{Type: "AWS::Lambda::EventInvokeConfig",
			Properties: []string{"FunctionName", "Qualifier", "MaximumEventAgeInSeconds", "MaximumRetryAttempts", "DestinationConfig", "DestinationConfig.OnSuccess",
				"DestinationConfig.OnSuccess.Destination", "DestinationConfig.OnFailure", "DestinationConfig.OnFailure.Destination"},
			Lacks: lacksOfDestinations, Replace: []string{"FunctionName", "Qualifier"},
			Create: createInvokeConfigResource, Update: updateInvokeConfigResource, Delete: deleteInvokeConfigResource},
	}
}

// lacksOfDestinations are the destinations in services that are not built.
func lacksOfDestinations(props map[string]any) (out []gate.Lack) {
	for _, when := range []string{"OnSuccess", "OnFailure"} {
		config, _ := props["DestinationConfig"].(map[string]any)
		on, _ := config[when].(map[string]any)
		to, _ := on["Destination"].(string) // what waits for a resource is no string yet
		if a, err := arn.Parse(to); err == nil && unbuiltDestinations()[a.Service] != "" {
			out = append(out, gate.Lack{Path: []string{"DestinationConfig", when, "Destination"}, What: "a destination in " + unbuiltDestinations()[a.Service] + " is not built"})
		}
	}
	return out
}

func readInvokeConfig(props map[string]any) (*lambda.PutFunctionEventInvokeConfigInput, error) {
	r := &reader{}
	in := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: r.must(props, "FunctionName"), Qualifier: new(r.must(props, "Qualifier")),
		MaximumEventAgeInSeconds: r.number(props, "MaximumEventAgeInSeconds"), MaximumRetryAttempts: r.number(props, "MaximumRetryAttempts"), DestinationConfig: r.destinations(props)}
	return in, r.err
}

// destinations reads a DestinationConfig; nil where there is none.
func (r *reader) destinations(props map[string]any) *lambda.DestinationConfig {
	g := r.group(props, "DestinationConfig")
	if g == nil {
		return nil
	}
	d := &lambda.DestinationConfig{}
	if on := r.group(g, "OnSuccess"); on != nil {
		d.OnSuccess = &lambda.OnSuccess{Destination: r.text(on, "Destination")}
	}
	if on := r.group(g, "OnFailure"); on != nil {
		d.OnFailure = &lambda.OnFailure{Destination: r.text(on, "Destination")}
	}
	return d
}

func createInvokeConfigResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := readInvokeConfig(props)
	if err != nil {
		return gate.Made{}, err
	}
	out, err := lambda.Client{Caller: m}.PutFunctionEventInvokeConfig(ctx, in)
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: *out.FunctionArn}, nil
}

func updateInvokeConfigResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in, err := readInvokeConfig(after)
	if err != nil {
		return gate.Made{}, err
	}
	_, err = lambda.Client{Caller: m}.PutFunctionEventInvokeConfig(ctx, in)
	return gate.Made{ID: id}, err
}

// deleteInvokeConfigResource: the id is the function's ARN with its qualifier.
func deleteInvokeConfigResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	i := strings.LastIndexByte(id, ':')
	_, err := lambda.Client{Caller: m}.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: id[:max(i, 0)], Qualifier: new(id[i+1:])})
	return gone(err)
}

// mappingResource is AWS::Lambda::EventSourceMapping.
func (s *Service) mappingResource() gate.Resource {
	return gate.Resource{Type: "AWS::Lambda::EventSourceMapping", Attributes: []string{"Id", "EventSourceMappingArn"},
		Properties: []string{"FunctionName", "EventSourceArn", "Enabled", "BatchSize", "MaximumBatchingWindowInSeconds", "FilterCriteria", "FilterCriteria.Filters", "FilterCriteria.Filters.Pattern",
			"StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError",
			"FunctionResponseTypes", "ScalingConfig", "ScalingConfig.MaximumConcurrency", "DestinationConfig", "DestinationConfig.OnFailure", "DestinationConfig.OnFailure.Destination",
			"Tags", "Tags.Key", "Tags.Value"},
		Lacks: s.lacksOfMapping, Replace: []string{"EventSourceArn", "StartingPosition", "StartingPositionTimestamp"},
		Create: createMappingResource, Update: updateMappingResource, Delete: deleteMappingResource}
}

// lacksOfMapping is the event source that is not built.
func (s *Service) lacksOfMapping(props map[string]any) []gate.Lack {
	source, _ := props["EventSourceArn"].(string) // what waits for a resource is no string yet
	service := serviceOf(source)
	if kind, ok := sourceKinds()[service]; ok && s.Queues[service] == nil && s.Streams[service] == nil {
		return []gate.Lack{{Path: []string{"EventSourceArn"}, What: "an event source mapping for " + kind.name + " is not built"}}
	}
	return nil
}

func readMapping(props map[string]any) (*lambda.CreateEventSourceMappingInput, error) {
	r := &reader{}
	in := &lambda.CreateEventSourceMappingInput{FunctionName: r.must(props, "FunctionName"), EventSourceArn: r.text(props, "EventSourceArn"), Enabled: r.truth(props, "Enabled"),
		BatchSize: r.number(props, "BatchSize"), MaximumBatchingWindowInSeconds: r.number(props, "MaximumBatchingWindowInSeconds"), StartingPosition: r.text(props, "StartingPosition"),
		ParallelizationFactor: r.number(props, "ParallelizationFactor"), MaximumRetryAttempts: r.number(props, "MaximumRetryAttempts"),
		MaximumRecordAgeInSeconds: r.number(props, "MaximumRecordAgeInSeconds"), BisectBatchOnFunctionError: r.truth(props, "BisectBatchOnFunctionError"),
		FunctionResponseTypes: r.texts(props, "FunctionResponseTypes"), DestinationConfig: r.destinations(props), Tags: r.tags(props)}
	if g := r.group(props, "ScalingConfig"); g != nil {
		in.ScalingConfig = &lambda.ScalingConfig{MaximumConcurrency: r.number(g, "MaximumConcurrency")}
	}
	if g := r.group(props, "FilterCriteria"); g != nil {
		in.FilterCriteria = &lambda.FilterCriteria{}
		for _, f := range r.groups(g, "Filters") {
			in.FilterCriteria.Filters = append(in.FilterCriteria.Filters, lambda.Filter{Pattern: r.text(f, "Pattern")})
		}
	}
	if n := r.text(props, "StartingPositionTimestamp"); n != nil {
		seconds, err := strconv.ParseFloat(*n, 64)
		if err != nil {
			r.fault("StartingPositionTimestamp", *n)
		}
		in.StartingPositionTimestamp = new(time.UnixMilli(int64(seconds * 1000)))
	}
	return in, r.err
}

func createMappingResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := readMapping(props)
	if err != nil {
		return gate.Made{}, err
	}
	c := lambda.Client{Caller: m}
	out, err := c.CreateEventSourceMapping(ctx, in)
	if awserr.Is(err, "ResourceConflictException") && m.Again {
		// There is one mapping of a source to a function: an earlier attempt's.
		list, lerr := c.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: &in.FunctionName, EventSourceArn: in.EventSourceArn})
		if lerr != nil || len(list.EventSourceMappings) != 1 {
			return gate.Made{}, err
		}
		out, err = &list.EventSourceMappings[0], nil
	}
	if err != nil {
		return gate.Made{}, err
	}
	return madeMapping(out), settled(ctx, c, *out.UUID)
}

// settled waits until a mapping is in no passing state, in which it cannot be changed.
func settled(ctx context.Context, c lambda.Client, uuid string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := c.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: uuid})
		if err != nil || *out.State == enabled || *out.State == disabled {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func madeMapping(m *lambda.EventSourceMappingConfiguration) gate.Made {
	return gate.Made{ID: *m.UUID, Attributes: map[string]any{"Id": *m.UUID, "EventSourceMappingArn": *m.EventSourceMappingArn}}
}

// updateMappingResource gives what the template no longer says its default.
func updateMappingResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in, err := readMapping(after)
	if err != nil {
		return gate.Made{}, err
	}
	up := &lambda.UpdateEventSourceMappingInput{UUID: id, FunctionName: &in.FunctionName, Enabled: in.Enabled, BatchSize: in.BatchSize,
		MaximumBatchingWindowInSeconds: in.MaximumBatchingWindowInSeconds, FilterCriteria: in.FilterCriteria, FunctionResponseTypes: in.FunctionResponseTypes,
		ParallelizationFactor: in.ParallelizationFactor, MaximumRetryAttempts: in.MaximumRetryAttempts, MaximumRecordAgeInSeconds: in.MaximumRecordAgeInSeconds,
		BisectBatchOnFunctionError: in.BisectBatchOnFunctionError, DestinationConfig: in.DestinationConfig, ScalingConfig: in.ScalingConfig}
	kind := sourceKinds()[serviceOf(*in.EventSourceArn)]
	byDefault(&up.Enabled, true)
	byDefault(&up.BatchSize, kind.batch)
	byDefault(&up.MaximumBatchingWindowInSeconds, 0)
	if up.FilterCriteria == nil {
		up.FilterCriteria = &lambda.FilterCriteria{}
	}
	if up.FunctionResponseTypes == nil {
		up.FunctionResponseTypes = []string{}
	}
	if kind.stream {
		byDefault(&up.ParallelizationFactor, 1)
		byDefault(&up.MaximumRetryAttempts, -1)
		byDefault(&up.MaximumRecordAgeInSeconds, -1)
		byDefault(&up.BisectBatchOnFunctionError, false)
		if up.DestinationConfig == nil {
			up.DestinationConfig = &lambda.DestinationConfig{}
		}
	} else if up.ScalingConfig == nil {
		up.ScalingConfig = &lambda.ScalingConfig{}
	}
	c := lambda.Client{Caller: m}
	if err := settled(ctx, c, id); err != nil {
		return gate.Made{}, err
	}
	out, err := c.UpdateEventSourceMapping(ctx, up)
	if err != nil {
		return gate.Made{}, err
	}
	return madeMapping(out), settled(ctx, c, id)
}

func byDefault[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func deleteMappingResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	c := lambda.Client{Caller: m}
	if err := settled(ctx, c, id); err != nil {
		return gone(err)
	}
	_, err := c.DeleteEventSourceMapping(ctx, &lambda.DeleteEventSourceMappingInput{UUID: id})
	for err == nil { // until it is gone
		err = settled(ctx, c, id)
	}
	return gone(err)
}
