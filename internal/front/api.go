package front

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// raw is a request at station 1: numbered, measured, its body read unless it streams.
type raw struct {
	*http.Request
	id     string
	source gate.Source
	body   []byte
	held   *heldBody // what body takes of the room for senders not yet known
	stream bool
}

// api walks one request of the AWS API through the ten stations.
func (f *Front) api(w http.ResponseWriter, r *http.Request, from gate.Source) {
	in, err := f.accept(w, r, from)
	defer in.held.release()
	routed, unrouted := f.Router.Route(r, in.body)
	var out any
	var who identity.Principal
	if err == nil {
		out, who, err = f.call(&in, routed, unrouted)
	}
	if err != nil {
		f.refuse(w, in, routed, who, err)
		return
	}
	if err := routed.Encode(w, out, in.id); err != nil {
		f.Log.Debug("answer cut off", "request", in.id, "error", err)
		if errors.Is(err, wire.ErrCutOff) {
			panic(http.ErrAbortHandler) // net/http would end the body in order
		}
	}
}

func (f *Front) call(in *raw, routed wire.Routed, unrouted error) (out any, who identity.Principal, err error) {
	verified, who, err := f.identify(*in, routed, unrouted)
	if err != nil {
		in.held.release()
		return nil, who, err
	}
	done, err := in.held.known(f.running)
	if err != nil {
		return nil, who, err
	}
	defer done()
	if unrouted != nil {
		return nil, who, unrouted
	}
	body, stream, err := bodyOf(*in, verified)
	if err != nil {
		return nil, who, err
	}
	input, err := routed.Decode(body, stream)
	in.body, body = nil, nil // the operation has what was decoded, and may run for long
	if err != nil {
		return nil, who, err
	}
	if verified.AccessKeyID() != "" {
		in.source.Signature = gate.Signature{SignedAt: verified.SignedAt(), Presigned: verified.Presigned(), Legacy: verified.Legacy(),
			Payload: verified.PayloadHash()}
	}
	out, err = f.Gate.Do(in.Context(), gate.Entry{Principal: who, In: input, Region: routed.Region,
		RequestID: in.id, Source: in.source})
	return out, who, atGate(err)
}

// atGate marks a refusal that the gate has recorded.
func atGate(err error) error {
	if err == nil {
		return nil
	}
	return &recorded{err}
}

type recorded struct{ error }

func (r *recorded) Unwrap() error { return r.error }

// accept numbers the request and reads its body, up to the limit of what it asks for.
func (f *Front) accept(w http.ResponseWriter, r *http.Request, from gate.Source) (raw, error) {
	in := raw{Request: r, id: f.IDs.UUID(), source: from}
	in.source.Trace = f.traced(w, r)
	limit, stream := f.Router.Peek(r)
	if in.stream = stream; stream {
		return in, nil
	}
	if r.ContentLength > limit {
		return in, tooLarge(limit)
	}
	if r.Body == nil || r.Body == http.NoBody {
		in.body = []byte{} // there is none, which is not the same as one that streams
		return in, nil
	}
	in.held = f.calls.body(r.Context(), r.Body)
	body, err := io.ReadAll(http.MaxBytesReader(w, in.held, limit))
	if err != nil {
		if _, ok := err.(*http.MaxBytesError); ok {
			return in, tooLarge(limit)
		}
		if known, ok := errors.AsType[*awserr.Error](err); ok {
			return in, known
		}
		return in, awserr.Of(awserr.Malformed, "The request body could not be read.")
	}
	in.body = body
	return in, nil
}

func tooLarge(limit int64) error {
	return awserr.Of(awserr.RequestTooLarge, "The request body is larger than %d bytes.", limit)
}

// identify is stations 3 and 4. Only S3 knows callers without a signature, and operations whose
// model says so.
func (f *Front) identify(in raw, routed wire.Routed, unrouted error) (sigv4.Verified, identity.Principal, error) {
	svc := routed.Service
	if svc == nil {
		return sigv4.Verified{}, identity.Anonymous(), unrouted
	}
	open := svc.ID == "s3" || routed.Operation != nil && routed.Operation.Unsigned
	if open && !sigv4.Signed(in.Request) {
		if svc.ID != "s3" {
			return sigv4.Verified{}, identity.Anonymous(), nil
		}
		verified, err := sigv4.Unsigned(in.Request)
		return verified, identity.Anonymous(), err
	}
	opts := sigv4.SigningOptions{Services: []string{svc.SigningName}, S3: svc.ID == "s3", Bucket: routed.HostBucket(),
		Closed: in.source.Function != ""}
	body := in.body
	if in.stream || opts.S3 {
		body = nil // checked while it is read
	} else if body == nil {
		body = []byte{}
	}
	verified, err := f.Verifier.Verify(in.Request, body, opts)
	if err != nil {
		return verified, identity.Anonymous(), err
	}
	who, err := identity.Of(verified)
	return verified, who, err
}

// bodyOf is the body as the operation sees it: whole, or a stream that is checked while it is
// read. S3's small bodies may be framed and are checked here.
func bodyOf(in raw, v sigv4.Verified) ([]byte, io.Reader, error) {
	signed := v.AccessKeyID() != ""
	switch {
	case in.stream: // S3's alone
		return nil, v.Body(in.Body), nil
	case signed && strings.HasPrefix(v.Service(), "s3"):
		body, err := io.ReadAll(v.Body(bytes.NewReader(in.body)))
		return body, nil, err
	}
	return in.body, nil, nil
}

// refuse answers a failure, and records it where the gate has not.
func (f *Front) refuse(w http.ResponseWriter, in raw, routed wire.Routed, who identity.Principal, err error) {
	if known, ok := err.(*recorded); ok {
		err = known.error
	} else if who.Kind() == identity.KindAnonymous {
		f.Strangers.CountRefusal(in.source.Place(), awserr.Wrap(err).Kind.String())
	} else if noted := f.Gate.Refused(gate.Refusal{RequestID: in.id, Principal: who, Source: in.source, Service: routed.Service,
		Op: routed.Operation, Event: routed.Name, Region: routed.Region, Err: err}); noted != nil {
		err = awserr.Wrap(noted)
	}
	if e := awserr.Wrap(err); e.Cause != nil {
		f.Log.Error("request failed", "request", in.id, "service", serviceID(routed), "operation", routed.Name, "error", e.Cause)
	}
	routed.Fail(w, err, in.id)
}

func serviceID(r wire.Routed) string {
	if r.Service == nil {
		return ""
	}
	return r.Service.ID
}
