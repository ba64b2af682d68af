package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/edge/jwt"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Signatures identifies who signed a request for a service (execute-api, lambda) in a region. Its
// errors are *awserr.Error.
type Signatures interface {
	Identify(r *http.Request, body []byte, service, region string, from gate.Source) (identity.Principal, error)
}

// Acknowledgements tells which routes without authorisation an account has opened by name.
type Acknowledgements interface {
	Acknowledged(ctx context.Context, account, route string) (bool, error)
}

// Strangers counts refusals of callers whom nobody knows.
type Strangers interface {
	CountRefusal(source, code string)
}

// Deps are what an Edge works with.
type Deps struct {
	Gate             *gate.Gate
	HTTP             HTTPAPIs
	REST             RESTAPIs
	URLs             URLs
	Signatures       Signatures
	JWT              *jwt.Verifier
	Acknowledgements Acknowledgements
	Strangers        Strangers
	Clock            clock.Clock
	IDs              ids.Source
	Log              *slog.Logger
	// Base is where applications answer: "http://127.0.0.1:4566". It is asked when it is needed,
	// since a server learns its port late.
	Base func() string
	// Servers calls the HTTP servers of integrations.
	Servers Servers
	// Functions is the way to functions; the client itself where nil.
	Functions func(gate.Client) wire.Caller
}

// Edge serves applications; make it with New.
type Edge struct {
	Deps
	results *resultCache
	limits  *buckets

	mu       sync.RWMutex
	versions [2]uint64
	compiled map[string]*api
}

// New makes an Edge.
func New(d Deps) *Edge {
	if d.Functions == nil {
		d.Functions = func(c gate.Client) wire.Caller { return c }
	}
	return &Edge{Deps: d, results: newResultCache(), limits: newBuckets(), compiled: map[string]*api{}}
}

// Limits of a request. Source: API Gateway quotas, "Payload size" and "Total combined size of
// request line and header values".
const (
	maxBody = 10 << 20
	maxHead = 10240
)

// Owns reports whether the request is for an application.
func (e *Edge) Owns(r *http.Request) bool {
	_, ok := addressOf(r)
	return ok
}

// Serve answers one request of an application.
func (e *Edge) Serve(w http.ResponseWriter, r *http.Request, from gate.Source) {
	x := e.newExchange(r, from)
	out, err := e.serve(w, x)
	if err != nil {
		out = e.refuse(x, err)
	}
	out.write(w, x)
}

// serve walks a request from its size to the gate.
func (e *Edge) serve(w http.ResponseWriter, x *exchange) (*response, error) {
	at, ok := addressOf(x.r)
	if !ok {
		return nil, refusal{reason: forbidden}
	}
	x.url = at.url
	find := e.find
	if at.url {
		find = e.findURL
	}
	a, err := find(x.r.Context(), at.api)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, refusal{reason: forbidden, why: errors.New("no such API")}
	}
	x.api = a
	if err := x.locate(at); err != nil {
		return nil, err
	}
	if out := x.preflight(); out != nil {
		return out, nil
	}
	if err := x.read(w); err != nil {
		return nil, err
	}
	if err := x.match(); err != nil {
		return nil, err
	}
	if !e.limits.take(x.route, e.Clock.Now()) {
		return nil, refusal{reason: throttled}
	}
	if err := e.authorize(x); err != nil {
		return nil, err
	}
	return e.invoke(x)
}

// locate finds the stage, and refuses a head that is too large for API Gateway.
func (x *exchange) locate(at address) error {
	if x.api.disabled {
		return refusal{reason: disabled}
	}
	if err := x.enter(at); err != nil {
		return err
	}
	size := len(x.r.Method) + len(x.r.RequestURI)
	for k, vs := range x.r.Header {
		for _, v := range vs {
			size += len(k) + len(v)
		}
	}
	if size > maxHead {
		return refusal{reason: headTooLarge}
	}
	return nil
}

// read takes the body, up to the limit.
func (x *exchange) read(w http.ResponseWriter) error {
	limit := int64(maxBody)
	if x.url {
		limit = maxURLBody
	}
	if x.r.ContentLength > limit {
		return refusal{reason: tooLarge}
	}
	if x.r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, x.r.Body, limit))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return refusal{reason: tooLarge}
		}
		if a, ok := errors.AsType[*awserr.Error](err); ok && a.Kind == awserr.Throttled {
			return refusal{reason: throttled, why: err}
		}
		return refusal{reason: badRequest, why: err}
	}
	x.body = body
	return nil
}

// refuse words what went wrong, counts strangers and logs faults of ours.
func (e *Edge) refuse(x *exchange, err error) *response {
	r, ok := errors.AsType[refusal](err)
	if !ok {
		r = refusal{reason: internal, why: err}
		if a := awserr.Wrap(err); a.Kind == awserr.AccessDenied {
			r = refusal{reason: denied, message: a.Message}
		}
	}
	switch {
	case r.counted:
	case r.reason == unauthorized || r.reason == forbidden || r.reason == denied || r.reason == missingToken || r.reason == onlyLocal:
		e.Strangers.CountRefusal(x.source.Place(), string(r.reason))
	}
	if r.why != nil && r.reason != unauthorized {
		e.Log.Warn("application request failed", "request", x.id, "route", x.routeName(), "reason", string(r.reason), "error", r.why)
	}
	return x.worded(r)
}
