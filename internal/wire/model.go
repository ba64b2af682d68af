package wire

import (
	"context"
	"fmt"
	"reflect"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Protocol is one of AWS's ways to put an operation on HTTP.
type Protocol string

// The protocols, by botocore's names.
const (
	JSON     Protocol = "json" // JSON 1.0 and 1.1, X-Amz-Target
	Query    Protocol = "query"
	EC2      Protocol = "ec2" // Query with names of its own kind; see query.Limits
	RestJSON Protocol = "rest-json"
	RestXML  Protocol = "rest-xml"
)

// Service is the model of one AWS service; immutable.
type Service struct {
	ID             string // the folder's name: "dynamodb", "apigatewayv2"
	SigningName    string // in the credential scope: "apigateway" for apigatewayv2
	EndpointPrefix string // first label of the service's host
	EventSource    string // in audit records: "dynamodb.amazonaws.com"
	ActionPrefix   string // in policies: "dynamodb"
	Protocol       Protocol
	APIVersion     string // "2012-08-10"
	TargetPrefix   string // JSON: what precedes the dot in X-Amz-Target
	JSONVersion    string // "1.0" or "1.1"
	XMLNamespace   string
	Operations     []*Operation // those that are built
	Unserved       []Unserved   // those that AWS has and Bastide has not built: NotImplemented

	plans *plan.Cache
}

// Operation is one operation of a service; immutable, compared by pointer.
type Operation struct {
	Service *Service
	Name    string
	Method  string       // rest protocols; "POST" otherwise
	URI     string       // rest protocols: "/2015-03-31/functions/{FunctionName}/invocations"
	Status  int          // of a success; 200 unless the model says otherwise
	In, Out reflect.Type // struct types; values travel as pointers to them
	Errors  []ErrorShape // those of the model, so that Fail can word them
	NewIn   func() any   // a pointer to a zero input
	// Wrapper is the element that query protocols put the result in ("PutItemResult").
	Wrapper string
	// Sensitive are the dotted paths of input members that the model marks sensitive.
	Sensitive []string
	// Unsigned: the model lets callers leave the signature out (sts:AssumeRoleWithWebIdentity).
	Unsigned bool
}

// Unserved is the name and route of an operation that is not built.
type Unserved struct{ Name, Method, URI string }

// ErrorShape is an error of the model: the shape's name, the code on the wire, the HTTP status.
type ErrorShape struct {
	Name, Code string
	Status     int
}

// isQuery tells whether the service speaks a query protocol.
func (s *Service) isQuery() bool { return s.Protocol == Query || s.Protocol == EC2 }

// Caller runs an operation in this process; package gate implements it, so that a typed client
// passes the same stations as a request from the wire. in is a pointer to op.In, the result one
// to op.Out.
type Caller interface {
	Call(ctx context.Context, op *Operation, in any) (any, error)
}

// Val is the value that p points to, or the zero value where the member was absent.
func Val[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// NewService completes a service's model: each operation learns its service.
func NewService(s Service) *Service {
	s.plans = &plan.Cache{}
	for _, op := range s.Operations {
		op.Service = &s
	}
	return &s
}

// Call runs op through c and gives its output the type that the model says; generated clients are
// made of it.
func Call[Out any](ctx context.Context, c Caller, op *Operation, in any) (*Out, error) {
	out, err := c.Call(ctx, op, in)
	if err != nil {
		return nil, err
	}
	o, ok := out.(*Out)
	if !ok {
		return nil, awserr.Wrap(fmt.Errorf("wire: %s gave %T", op.Name, out))
	}
	return o, nil
}

// RawJSON is a valid JSON value that stays undecoded; nil is an absent member. DynamoDB's items
// travel so, because their service has its own parser.
type RawJSON = plan.RawJSON

// Events is a member that is a stream of events, each an E of which one member is there.
type Events[E any] = plan.Events[E]
