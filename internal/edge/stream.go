package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// streaming is the mode of a function URL that answers while its function runs.
const streaming = "RESPONSE_STREAM"

// A streamed answer of the prelude's type begins with a JSON object of status, headers and cookies, and
// its body follows eight zero bytes. Source: AWS Lambda Developer Guide, "Building a custom runtime for
// AWS Lambda", and API Gateway Developer Guide, "Set up a Lambda proxy integration with payload response
// streaming", which has the limit.
const (
	preludeType = "application/vnd.awslambda.http-integration-response"
	octets      = "application/octet-stream"
	maxPrelude  = 16 << 10
)

var (
	preludeEnd  = make([]byte, 8)
	errPrelude  = errors.New("the function's stream has no valid metadata before its body")
	errBrokeOff = errors.New("the function failed in the middle of its answer")
	errNoAnswer = errors.New("edge: a stream without an answer")
)

// streamStall is how long a client may take no byte of a stream before it is hung up on.
const streamStall = 2 * time.Minute

// flowing is the body of an answer whose function still runs.
type flowing struct {
	events    *wire.Events[lambda.InvokeWithResponseStreamResponseEvent]
	first     []byte            // bytes of the body that have come already
	ended     bool              // they were all
	completed func(error) error // tells the trail
}

// stream runs the route's function and gives its answer as soon as it has begun.
func (x *exchange) stream(ctx context.Context, c *gate.Call, event []byte) (*response, error) {
	out, err := lambda.Client{Caller: x.edge.Functions(x.client(c))}.InvokeWithResponseStream(ctx,
		&lambda.InvokeWithResponseStreamInput{FunctionName: x.route.integration.function, Payload: event})
	if err != nil {
		return nil, x.notCalled(ctx, err)
	}
	if out == nil || out.EventStream == nil {
		return nil, x.fail(internal, errNoAnswer)
	}
	f := &flowing{events: out.EventStream}
	answer, err := x.begin(f, wire.Val(out.ResponseStreamContentType))
	if err == nil {
		f.completed, err = c.Continue()
	}
	if err != nil {
		_ = f.events.Close() // of what is given up nothing is wanted
		return nil, err
	}
	answer.flow = f
	return answer, nil
}

// begin reads as much of a stream as the answer's head needs.
func (x *exchange) begin(f *flowing, kind string) (*response, error) {
	out := &response{status: http.StatusOK, header: http.Header{}}
	chunk, err := f.next()
	if err != nil && err != io.EOF {
		return nil, x.fail(failure, err)
	}
	f.first = chunk
	if kind == preludeType {
		if err := f.prelude(out); err != nil {
			return nil, x.fail(malformed, err)
		}
		kind = octets
	}
	if out.header.Get("Content-Type") == "" {
		out.header.Set("Content-Type", kind)
	}
	out.header = remapped(out.header)
	out.header.Set("X-Amzn-Trace-Id", x.trace)
	return out, nil
}

// prelude reads the metadata that comes before the body.
func (f *flowing) prelude(out *response) error {
	end := bytes.Index(f.first, preludeEnd)
	for ; end < 0; end = bytes.Index(f.first, preludeEnd) {
		if len(f.first) > maxPrelude {
			return errPrelude
		}
		chunk, err := f.next()
		if err == io.EOF {
			err = errPrelude
		}
		if err != nil {
			return err
		}
		f.first = append(f.first, chunk...)
	}
	var members map[string]json.RawMessage
	if end > maxPrelude || json.Unmarshal(f.first[:end], &members) != nil || members == nil {
		return errPrelude
	}
	delete(members, "body") // it has no place there
	f.first = f.first[end+len(preludeEnd):]
	return out.read(members, "2.0")
}

// next is the next bytes of the body; io.EOF at its end, and another error where it has broken off.
func (f *flowing) next() ([]byte, error) {
	for {
		if f.ended {
			return nil, io.EOF
		}
		ev, err := f.events.Next()
		switch {
		case err == io.EOF:
			return nil, errBrokeOff // an answer says that it is complete
		case err != nil:
			return nil, err
		case ev.InvokeComplete != nil && ev.InvokeComplete.ErrorCode != nil:
			return nil, fmt.Errorf("%w: %s", errBrokeOff, wire.Val(ev.InvokeComplete.ErrorCode))
		case ev.InvokeComplete != nil:
			f.ended = true
		case ev.PayloadChunk != nil && len(ev.PayloadChunk.Payload) > 0:
			return ev.PayloadChunk.Payload, nil
		}
	}
}

// flowOut sends the body as it comes; the head is in w. One that breaks off leaves the client with a body
// that has no end, as Lambda does, so that nobody takes it for whole. A client who has gone away does not
// end its function.
func (out *response) flowOut(w http.ResponseWriter, x *exchange, body bool) {
	f := out.flow
	w.WriteHeader(out.status)
	var gone, err error
	if body {
		gone, err = f.copy(w)
	}
	_ = f.events.Close() // an answer that is read has no more to give up
	if err != nil {
		x.edge.Log.Warn("application request failed", "request", x.id, "route", x.routeName(), "reason", string(failure), "error", err)
		err = x.fail(failure, err)
	}
	noted := f.completed(err)
	if noted != nil {
		x.edge.Log.Error("the end of a streamed answer could not be recorded", "request", x.id, "error", noted)
	}
	if gone != nil || err != nil || noted != nil {
		panic(http.ErrAbortHandler)
	}
}

// copy sends the body; gone says why the client did not get it, err why there was no more to send.
func (f *flowing) copy(w http.ResponseWriter) (gone, err error) {
	conn := http.NewResponseController(w)
	for chunk := f.first; ; {
		if gone := send(conn, w, chunk); gone != nil {
			return gone, nil
		}
		if chunk, err = f.next(); err == io.EOF {
			return deadline(conn, time.Time{}), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// send sends some bytes at once.
func send(conn *http.ResponseController, w io.Writer, b []byte) error {
	if err := deadline(conn, time.Now().Add(streamStall)); err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	return conn.Flush()
}

// deadline bounds the next write where the connection can do that.
func deadline(conn *http.ResponseController, at time.Time) error {
	if err := conn.SetWriteDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
