package lambda

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// asInvoke is a streaming invocation as the plain one that asks for the same: both are judged and
// checked alike, and policies know them by one action.
func asInvoke(in *lambda.InvokeWithResponseStreamInput) *lambda.InvokeInput {
	return &lambda.InvokeInput{FunctionName: in.FunctionName, Qualifier: in.Qualifier, InvocationType: in.InvocationType, LogType: in.LogType,
		ClientContext: in.ClientContext, Payload: in.Payload, TenantId: in.TenantId}
}

func (s *Service) needInvokeStream(a *gate.Ask, in *lambda.InvokeWithResponseStreamInput) ([]gate.Need, error) {
	return s.needInvoke(a, asInvoke(in))
}

// invokeStream answers as soon as the function begins to; what it cannot run is refused before.
func (s *Service) invokeStream(c *gate.Call, in *lambda.InvokeWithResponseStreamInput) (*lambda.InvokeWithResponseStreamOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	plain := asInvoke(in)
	client, err := checkInvoke(plain)
	if err != nil {
		return nil, err
	}
	t, err := s.called(c, r, plain)
	if err != nil {
		return nil, err
	}
	if wire.Val(in.InvocationType) == invokeDryRun {
		return &lambda.InvokeWithResponseStreamOutput{StatusCode: new(int32(204))}, nil
	}
	completed, err := c.Continue()
	if err != nil {
		return nil, err
	}
	f, ev := s.pick(t), s.eventOf(c, t, plain, client)
	st := newStreamed(ev.Tail)
	ev.Sink = st
	go st.end(completed, func() (fleet.Outcome, error) { return s.run(context.WithoutCancel(c.Context()), f, ev) })
	if err := st.wait(); err != nil {
		return nil, err
	}
	return &lambda.InvokeWithResponseStreamOutput{StatusCode: new(int32(200)), ExecutedVersion: &f.Version, ResponseStreamContentType: &st.kind,
		EventStream: &wire.Events[lambda.InvokeWithResponseStreamResponseEvent]{Next: st.next, Close: st.close}}, nil
}

// heldChunks is how many chunks wait for a caller before the function does.
const heldChunks = 4

// streamed is an answer between a function and its caller. It is a fleet.Sink for the one and the
// events of the answer for the other.
type streamed struct {
	tail   bool // the caller wants the end of the log
	chunks chan []byte

	begun chan struct{} // closed when kind is known
	kind  string
	gone  chan struct{} // closed when the caller takes no more
	leave sync.Once

	done  chan struct{} // closed when the invocation has ended: the fields below are set then
	ran   bool
	last  *lambda.InvokeWithResponseStreamCompleteEvent // until it is given
	fault error
}

func newStreamed(tail bool) *streamed {
	return &streamed{tail: tail, kind: "application/json", chunks: make(chan []byte, heldChunks), begun: make(chan struct{}), gone: make(chan struct{}), done: make(chan struct{})}
}

// Begin implements fleet.Sink.
func (st *streamed) Begin(contentType string) {
	st.kind = contentType
	close(st.begun)
}

// Write implements fleet.Sink. For a caller who has gone away the function still runs to its end.
func (st *streamed) Write(ctx context.Context, chunk []byte) error {
	select {
	case <-st.gone:
		return nil
	default:
	}
	select {
	case st.chunks <- append([]byte{}, chunk...):
		return nil
	case <-st.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end runs the function and says how it ended, in the trail before to the caller.
func (st *streamed) end(completed func(error) error, run func() (fleet.Outcome, error)) {
	defer close(st.done)
	out, err := safely(run)
	if st.ran = err == nil; !st.ran {
		st.fault = err // the call's own failure, unless its answer has begun
	}
	select {
	case <-st.begun:
	default:
		if !st.ran {
			return // the call has failed, which the door records
		}
	}
	if err := completed(err); err != nil {
		st.fault = err
		return
	}
	st.last = &lambda.InvokeWithResponseStreamCompleteEvent{}
	if out.FunctionError != "" {
		st.last.ErrorCode, st.last.ErrorDetails = &out.FunctionError, new(string(out.Payload))
	}
	if st.tail {
		st.last.LogResult = new(base64.StdEncoding.EncodeToString(out.LogTail))
	}
}

// safely turns a panic into an error, as the door does for handlers.
func safely(run func() (fleet.Outcome, error)) (out fleet.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = awserr.Wrap(fmt.Errorf("lambda: a streamed invocation panicked: %v\n%s", p, debug.Stack()))
		}
	}()
	return run()
}

// wait returns when the answer begins, or with what kept the function from running.
func (st *streamed) wait() error {
	select {
	case <-st.begun:
		return nil
	case <-st.done:
	}
	if !st.ran {
		return st.fault
	}
	return nil
}

// next is the answer's next event.
func (st *streamed) next() (*lambda.InvokeWithResponseStreamResponseEvent, error) {
	select {
	case chunk := <-st.chunks:
		return chunkOf(chunk), nil
	case <-st.gone:
		return nil, io.ErrClosedPipe
	case <-st.done:
	}
	select {
	case chunk := <-st.chunks:
		return chunkOf(chunk), nil
	default:
	}
	last := st.last
	switch st.last = nil; {
	case st.fault != nil:
		return nil, st.fault
	case last != nil:
		return &lambda.InvokeWithResponseStreamResponseEvent{InvokeComplete: last}, nil
	}
	return nil, io.EOF
}

func chunkOf(b []byte) *lambda.InvokeWithResponseStreamResponseEvent {
	return &lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: b}}
}

func (st *streamed) close() error {
	st.leave.Do(func() { close(st.gone) })
	return nil
}

var _ fleet.Sink = (*streamed)(nil)
