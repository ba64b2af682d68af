package edge

import (
	"context"
	"errors"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// gateway is the principal that calls functions, on behalf of one of an API's resources.
const gateway = "apigateway.amazonaws.com"

// asGateway calls functions on behalf of one of the API's resources. The function's policy decides
// whether the API may.
func (x *exchange) asGateway(client gate.Client, sourceARN string) gate.Client {
	client.Principal = identity.Service(gateway, x.api.account)
	client.Region, client.Account = x.api.region, x.api.account
	client.SourceARN, client.SourceAccount = sourceARN, x.api.account
	client.Source.Trace = x.trace
	return client
}

// asCaller calls the function as who called it by its URL, or by an API that passes its caller on. The
// policies of both decide again, at the function itself.
func (x *exchange) asCaller(c *gate.Call, via string) gate.Client {
	client := c.As(x.who.Via(via))
	client.Source = x.source
	return client
}

// call runs a function with a payload.
func (x *exchange) call(ctx context.Context, client gate.Client, function string, payload []byte) (*lambda.InvokeOutput, error) {
	out, err := lambda.Client{Caller: x.edge.Functions(client)}.Invoke(ctx, &lambda.InvokeInput{FunctionName: function, Payload: payload})
	if err == nil && out == nil {
		err = errors.New("edge: a function without an answer")
	}
	return out, err
}

// perform is the handler: it runs the route's integration and makes its result the answer.
func (x *exchange) perform(c *gate.Call) (*response, error) {
	i := x.route.integration
	if i.mock != nil {
		return i.mock.answer(x)
	}
	if i.server != nil {
		return x.callServer(c)
	}
	if i.function == "" {
		return nil, x.fail(internal, errors.New("the route has no integration"))
	}
	event, err := x.event(i.payload)
	if err != nil {
		return nil, x.fail(internal, err)
	}
	if i.caller && x.route.kind != "AWS_IAM" {
		return nil, x.fail(internal, errors.New("there is no signed caller to invoke the function as"))
	}
	if i.streams {
		return x.stream(c.Context(), c, event)
	}
	ctx, cancel := context.WithTimeout(c.Context(), i.timeout)
	defer cancel()
	out, err := x.call(ctx, x.client(c), i.function, event)
	switch {
	case err != nil:
		return nil, x.notCalled(ctx, err)
	case out.FunctionError != nil:
		return nil, x.fail(failure, errors.New("the function failed: "+wire.Val(out.FunctionError)))
	}
	answer, err := x.answer(i.payload, out.Payload)
	if err != nil {
		return nil, x.fail(malformed, err)
	}
	return answer, nil
}

// notCalled is why the function did not answer at all.
func (x *exchange) notCalled(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return x.fail(timedOut, err)
	case x.url && awserr.Wrap(err).Kind == awserr.AccessDenied:
		return err // the caller's own refusal, not the integration's
	}
	return x.fail(reasonOf(err), err)
}

func (x *exchange) client(c *gate.Call) gate.Client {
	switch {
	case x.url:
		client := x.asCaller(c, lambda.Service.EventSource)
		client.Keys = viaURL
		return client
	case x.route.integration.caller:
		return x.asCaller(c, gateway)
	}
	return x.asGateway(c.As(identity.Service(gateway, x.api.account)), x.routeARN())
}

// fail notes why there is no answer; the error is the trail's.
func (x *exchange) fail(r reason, err error) error {
	x.failed = r
	return &awserr.Error{Code: string(r), Status: x.words()[r].status, Message: "The integration of " + x.route.name() + " gave no answer.", Cause: err}
}

// reasonOf tells a function that could not be called from one that was busy.
func reasonOf(err error) reason {
	e := awserr.Wrap(err)
	switch {
	case e.Kind == awserr.Throttled || e.Code == "TooManyRequestsException":
		return unavailable
	case e.Kind == awserr.RequestTooLarge || e.Code == "RequestTooLargeException":
		return tooLarge
	}
	return internal
}
