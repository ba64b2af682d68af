package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Limits of Lambda ("Lambda quotas", Invocation payload): 6 MB each way, and the 100 bytes that
// the service adds to what it prints. A streamed answer may be longer: whoever takes it counts.
const (
	MaxPayload = 6<<20 + 100
	maxError   = 256 << 10 // an error's JSON: type, message and trace
)

// Invocation is one event for a handler.
type Invocation struct {
	RequestID string
	Deadline  time.Time // when the function will be stopped; wall clock
	ARN       string    // the invoked function's ARN, with the qualifier that was asked for
	TraceID   string    // X-Ray trace header, or empty
	// ClientContext and Identity are the JSON documents of the mobile SDK's invocations (client
	// context decoded from base64), or empty.
	ClientContext, Identity string
	TenantID                string
	Payload                 []byte // a JSON document
}

// Result is what came of an invocation that the runtime answered itself.
type Result struct {
	// Payload is the handler's answer, or the JSON document of its error.
	Payload []byte
	// Failed says that the runtime reported an error; callers see it as
	// X-Amz-Function-Error: Unhandled.
	Failed bool
	// ErrorType is the errorType of a failed result ("TypeError", "Runtime.MarshalError").
	ErrorType string
	// Spent says that the runtime ends itself after this answer.
	Spent bool
	// Streamed says that a Sink has the answer, or what there was of it before it failed.
	Streamed bool
}

// InitError is a runtime's report that it could not load the handler.
type InitError struct {
	Type    string // "Runtime.ImportModuleError"
	Payload []byte // the JSON document that an invocation is answered with
}

func (e *InitError) Error() string { return "runtimeapi: the handler could not be loaded: " + e.Type }

// The ways in which a worker ends without an answer.
var (
	// ErrGone: the guest closed its end, which is what a process that exits or is killed does.
	ErrGone = errors.New("runtimeapi: the runtime is gone")
	// ErrProtocol: the guest sent what no runtime of ours sends; the worker is closed.
	ErrProtocol = errors.New("runtimeapi: the runtime broke the protocol")
	// ErrBusy: a worker serves one invocation at a time.
	ErrBusy = errors.New("runtimeapi: the runtime is serving another invocation")
)

// Worker is one running runtime. After any error from Ready or Invoke, except ErrBusy and a
// context's error before the event was handed over, it is spent: Close it.
type Worker interface {
	// Ready waits until the handler is loaded. It returns *InitError when the runtime says that
	// it is not.
	Ready(ctx context.Context) error
	// Invoke hands the event over and waits for the answer. A context that ends first leaves the
	// worker spent, because the guest is still busy.
	Invoke(ctx context.Context, inv Invocation) (Result, error)
	// Stream is Invoke with the answer, streamed or not, handed to s as it comes; Payload is then an
	// error's document alone.
	Stream(ctx context.Context, inv Invocation, s Sink) (Result, error)
	// Ended says that the guest has ended. What it said before still counts; an Invoke that waits for
	// more returns ErrGone.
	Ended()
	Close() error
}

// TooLarge is the result that stands in for an answer above MaxPayload.
func TooLarge() Result {
	return Failure("Function.ResponseSizeTooLarge", fmt.Sprintf(
		"Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload))
}

// Failure is a failed result in the platform's words.
func Failure(errorType, message string) Result {
	return Result{Failed: true, ErrorType: errorType, Payload: errorDocument(errorType, message)}
}

func errorDocument(errorType, message string) []byte {
	doc, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		return []byte(`{"errorType":"Runtime.Unknown"}`) // two strings always marshal
	}
	return doc
}

// errorType reads the type out of an error document, which the guest wrote.
func errorType(doc []byte) string {
	var e struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(doc, &e) != nil || e.Type == "" || len(e.Type) > 256 {
		return "Runtime.Unknown"
	}
	return e.Type
}
