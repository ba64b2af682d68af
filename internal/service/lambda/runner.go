package lambda

import (
	"context"
	"time"
)

// Runner runs functions in sandboxes.
type Runner interface {
	// Invoke runs one event on an instance of the function, a new one where none is idle. What the
	// function does wrong is in the Outcome; an error says that it did not run: *Throttled, or no instance
	// could be had.
	Invoke(ctx context.Context, f Function, e Event) (Outcome, error)
}

// Function is one version of a function as a Runner starts it. It never changes.
type Function struct {
	ARN             string // without a version
	Name            string
	Version         string // "$LATEST" or a number
	Revision        string // an instance serves one revision only
	Account, Region string
	Role            string // ARN
	Runtime         string // "nodejs22.x"
	Handler         string
	Code            string   // folder that becomes /var/task
	Layers          []string // folders merged at /opt, later ones win
	Env             map[string]string
	MemoryMB, TmpMB int
	Timeout         time.Duration
	Reserved        *int // concurrency; nil: it shares the account's
	LogGroup        string
	LogFormat       string // "Text" or "JSON"
	LogLevel        string // of the application, for JSON
}

// Event is one invocation.
type Event struct {
	RequestID     string
	ARN           string // as it was invoked, with the qualifier that was asked for
	ClientContext string // JSON, or empty
	Payload       []byte // JSON
}

// Outcome is how an invocation went.
type Outcome struct {
	Payload       []byte // the answer, or the JSON document of the error
	FunctionError string // "Unhandled" where the function failed, timed out or crashed
	LogTail       []byte // the last 4 KB of the invocation's log
}

// Throttled is a Runner's refusal: the function's or the account's concurrency is used up. Reason
// is Lambda's word for which.
type Throttled struct{ Reason string }

func (t *Throttled) Error() string { return "lambda: throttled: " + t.Reason }
