package edge

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// invocation is the input of execute-api:Invoke, as the trail shows it. Nobody but the edge can
// make one that does anything.
type invocation struct {
	APIID  string `wire:"apiId" name:"ApiId"`
	Stage  string `wire:"stage" name:"Stage"`
	Route  string `wire:"routeKey" name:"RouteKey"`
	Method string `wire:"httpMethod" name:"HttpMethod"`
	Path   string `wire:"path" name:"Path"`

	x *exchange
}

type invoked struct {
	Status int32 `wire:"statusCode" name:"StatusCode"`
}

// opInvoke is a request of an application, as an operation at the door. It is no part of AWS's
// API: AWS knows it as an action of policies alone.
var opInvoke = &wire.Operation{Name: "Invoke", Method: "POST", Status: 200, In: reflect.TypeFor[invocation](), Out: reflect.TypeFor[invoked](),
	NewIn: func() any { return new(invocation) }}

// Service is the model of what applications are asked for.
var Service = wire.NewService(wire.Service{ID: "execute-api", SigningName: "execute-api", EndpointPrefix: "execute-api",
	EventSource: "execute-api.amazonaws.com", ActionPrefix: "execute-api", Protocol: wire.RestJSON, APIVersion: "2018-11-29",
	Operations: []*wire.Operation{opInvoke}})

// urlInvocation is the input of lambda:InvokeFunctionUrl.
type urlInvocation struct {
	URLID    string `wire:"urlId" name:"UrlId"`
	Function string `wire:"functionArn" name:"FunctionArn"`
	Method   string `wire:"httpMethod" name:"HttpMethod"`
	Path     string `wire:"path" name:"Path"`

	x *exchange
}

// opInvokeURL is a request to a function URL; AWS knows it, too, as an action of policies alone.
var opInvokeURL = &wire.Operation{Name: "InvokeFunctionUrl", Method: "POST", Status: 200, In: reflect.TypeFor[urlInvocation](), Out: reflect.TypeFor[invoked](),
	NewIn: func() any { return new(urlInvocation) }}

// URLService is the model of what function URLs are asked for.
var URLService = wire.NewService(wire.Service{ID: "lambda-url", SigningName: "lambda", EndpointPrefix: "lambda-url",
	EventSource: "lambda.amazonaws.com", ActionPrefix: "lambda", Protocol: wire.RestJSON, APIVersion: "2015-03-31",
	Operations: []*wire.Operation{opInvokeURL}})

// Units are the edge's tables. They have no place in the router: only the edge calls them.
func Units() []gate.Unit {
	return []gate.Unit{
		{Model: Service, Ops: []gate.Op{exchanging(opInvoke, func(in *invocation) *exchange { return in.x })}},
		{Model: URLService, Ops: []gate.Op{exchanging(opInvokeURL, func(in *urlInvocation) *exchange { return in.x })}},
	}
}

var errOutside = errors.New("edge: an invocation that did not come through the edge")

// exchanging is an operation on an exchange. Its needs are what the route's authorisation wants:
// execute-api:Invoke of a signed caller or of one with an authorizer's policy, the resource policy of
// a REST API, the two actions of a function URL; nothing of a caller whom an authorizer has let in by
// name.
func exchanging[In any](op *wire.Operation, of func(*In) *exchange) gate.Op {
	return gate.On(op, gate.Invoke, func(a *gate.Ask, in *In) ([]gate.Need, error) {
		x := of(in)
		if x == nil || x.needs == nil {
			return nil, awserr.Wrap(errOutside)
		}
		return x.needs(a)
	}, func(c *gate.Call, in *In) (*invoked, error) {
		x := of(in)
		if x == nil {
			return nil, awserr.Wrap(errOutside)
		}
		out, err := x.perform(c)
		if err != nil {
			return nil, err
		}
		x.out = out
		return &invoked{int32(out.status)}, nil
	})
}

// accepted is the request as the operation that it is.
func (x *exchange) accepted() (wire.In, error) {
	if x.url {
		return opInvokeURL.Accept(&urlInvocation{URLID: x.api.id, Function: x.api.url.FunctionARN, Method: x.r.Method, Path: x.path, x: x})
	}
	return opInvoke.Accept(&invocation{APIID: x.api.id, Stage: x.stage.name, Route: x.route.key, Method: x.r.Method, Path: x.path, x: x})
}

// entry is the request at the door.
func (x *exchange) entry() (gate.Entry, error) {
	in, err := x.accepted()
	return gate.Entry{Principal: x.who, In: in, Region: x.api.region, Account: x.api.account, RequestID: x.id, Source: x.source}, err
}

// screen refuses whom the API's resource policy explicitly denies, before anybody asks an authorizer
// about them; what the authorizer says is judged together with the policy later. Source: API Gateway
// Developer Guide, "How API Gateway resource policies affect authorization workflow".
func (e *Edge) screen(x *exchange) error {
	if x.stage.policy == "" {
		return nil
	}
	x.who, x.needs = identity.Anonymous(), x.resourceNeed
	entry, err := x.entry()
	if err == nil {
		err = e.Gate.Screen(x.r.Context(), entry)
	}
	if err == nil {
		return nil
	}
	if a := awserr.Wrap(err); a.Kind == awserr.AccessDenied {
		return refusal{reason: denied, message: a.Message, counted: true}
	}
	return refusal{reason: internal, why: err, counted: true}
}

// invoke passes the request through the gate as the caller whom authorize has established. A
// client who goes away does not end what it has begun, as on AWS; the integration's timeout does.
func (e *Edge) invoke(x *exchange) (*response, error) {
	entry, err := x.entry()
	if err != nil {
		return nil, err
	}
	_, err = e.Gate.Do(context.WithoutCancel(x.r.Context()), entry)
	switch {
	case err == nil:
		return x.out, nil
	case x.failed != "":
		return nil, refusal{reason: x.failed, why: err, counted: true}
	}
	if a := awserr.Wrap(err); a.Kind == awserr.AccessDenied {
		return nil, refusal{reason: denied, message: x.deniedMessage(a.Message), counted: true}
	}
	return nil, refusal{reason: internal, why: err, counted: true}
}

// deniedMessage is what a REST API tells of a denial: all of it to a caller whom policies name, and
// to one of a Lambda authorizer only whether something denied it. Source: answers of the service.
func (x *exchange) deniedMessage(message string) string {
	if x.route.kind != "CUSTOM" {
		return message
	}
	told := restWords[denied].message
	if strings.Contains(message, "with an explicit deny") {
		told += " with an explicit deny in an identity-based policy"
	}
	return told
}
