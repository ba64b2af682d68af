package lambda

import (
	"context"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// asyncResources are the resource types of asynchronous invocation.
func asyncResources() []gate.Resource {
	return []gate.Resource{
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
