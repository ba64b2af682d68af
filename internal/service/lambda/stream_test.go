package lambda

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// read takes a streamed answer to its end.
func read(out *api.InvokeWithResponseStreamOutput) (chunks []string, last *api.InvokeWithResponseStreamCompleteEvent, err error) {
	for {
		ev, err := out.EventStream.Next()
		switch {
		case err == io.EOF:
			return chunks, last, nil
		case err != nil:
			return chunks, last, err
		case ev.PayloadChunk != nil:
			chunks = append(chunks, string(ev.PayloadChunk.Payload))
		default:
			last = ev.InvokeComplete
		}
	}
}

// writing is a function that writes chunks and ends so.
func writing(out fleet.Outcome, chunks ...string) func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
	return func(_ fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		e.Sink.Begin("text/event-stream")
		for _, c := range chunks {
			if err := e.Sink.Write(context.Background(), []byte(c)); err != nil {
				return fleet.Outcome{}, err
			}
		}
		return out, nil
	}
}

func TestInvokeWithResponseStream(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	r.runner.handle(writing(fleet.Outcome{LogTail: []byte("END")}, "a", "b"))
	out, err := r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f", Payload: []byte(`{"n":1}`), LogType: new("Tail")})
	r.ok(err)
	if *out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" || *out.ResponseStreamContentType != "text/event-stream" {
		t.Errorf("%+v", out)
	}
	chunks, last, err := read(out)
	if err != nil || strings.Join(chunks, "|") != "a|b" || last.ErrorCode != nil || *last.LogResult != base64.StdEncoding.EncodeToString([]byte("END")) {
		t.Errorf("%q %+v %v", chunks, last, err)
	}
	if got := r.runner.events[0]; string(got.Payload) != `{"n":1}` || got.RequestID == "" || !strings.HasSuffix(got.ARN, ":function:f") {
		t.Errorf("the event %+v", got)
	}

	// an error in the middle, and one before anything was written
	failed := fleet.Outcome{FunctionError: "Unhandled", Payload: []byte(`{"errorType":"E"}`)}
	r.runner.handle(writing(failed, "a"))
	out, err = r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"})
	r.ok(err)
	if chunks, last, err = read(out); err != nil || strings.Join(chunks, "|") != "a" || *last.ErrorCode != "Unhandled" || *last.ErrorDetails != `{"errorType":"E"}` || last.LogResult != nil {
		t.Errorf("%q %+v %v", chunks, last, err)
	}
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) { return failed, nil })
	out, err = r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"})
	r.ok(err)
	if chunks, last, err = read(out); err != nil || len(chunks) != 0 || *last.ErrorCode != "Unhandled" {
		t.Errorf("%q %+v %v", chunks, last, err)
	}

	out, err = r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f", InvocationType: new("DryRun")})
	if err != nil || *out.StatusCode != 204 || out.EventStream != nil {
		t.Errorf("%+v %v", out, err)
	}
}

func TestInvokeWithResponseStreamRefuses(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	for name, c := range map[string]struct {
		in          api.InvokeWithResponseStreamInput
		code, words string
	}{
		"no function":  {api.InvokeWithResponseStreamInput{FunctionName: "g"}, "ResourceNotFoundException", "Function not found"},
		"no alias":     {api.InvokeWithResponseStreamInput{FunctionName: "f", Qualifier: new("dead")}, "ResourceNotFoundException", "dead"},
		"no JSON":      {api.InvokeWithResponseStreamInput{FunctionName: "f", Payload: []byte("{")}, "InvalidRequestContentException", "Could not parse"},
		"asynchronous": {api.InvokeWithResponseStreamInput{FunctionName: "f", InvocationType: new("Event")}, "ValidationException", "invocationType"},
		"too large":    {api.InvokeWithResponseStreamInput{FunctionName: "f", Payload: make([]byte, maxPayload+1)}, "RequestEntityTooLargeException", "6291456"},
	} {
		_, err := r.client.InvokeWithResponseStream(ctx, &c.in)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		r.refused(err, c.code, c.words)
	}
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) {
		return fleet.Outcome{}, &fleet.ThrottledError{Reason: fleet.ConcurrentExceeded}
	})
	_, err := r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"})
	r.refused(err, "TooManyRequestsException", "Rate Exceeded.")
	r.runner.handle(func(fleet.Function, fleet.Event) (fleet.Outcome, error) { panic("in the runner") })
	if _, err = r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"}); awserr.Wrap(err).Kind != awserr.Internal {
		t.Errorf("a panic: %v", err)
	}
	_, err = r.asService("events.amazonaws.com", "arn:aws:events:eu-west-1:123456789012:rule/r").InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"})
	r.refused(err, "AccessDeniedException", "lambda:InvokeFunction")
}

// A caller who goes away does not stop the function; one who is slow holds it up, and little waits.
func TestStreamsCallers(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.create("f")
	ended := make(chan error, 1)
	wrote := make(chan int, 100)
	r.runner.handle(func(_ fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		e.Sink.Begin("a/b")
		var err error
		for n := 0; n < 50 && err == nil; n++ {
			err = e.Sink.Write(context.Background(), []byte("chunk"))
			wrote <- n
		}
		ended <- err
		return fleet.Outcome{}, nil
	})
	out, err := r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"})
	r.ok(err)
	for range heldChunks {
		<-wrote
	}
	select {
	case n := <-wrote:
		t.Errorf("chunk %d was taken though nobody reads", n)
	default:
	}
	if ev, err := out.EventStream.Next(); err != nil || string(ev.PayloadChunk.Payload) != "chunk" {
		t.Errorf("%+v %v", ev, err)
	}
	for range 2 {
		r.ok(out.EventStream.Close())
	}
	if err := <-ended; err != nil {
		t.Errorf("the function was stopped: %v", err)
	}

	r.runner.handle(func(_ fleet.Function, e fleet.Event) (fleet.Outcome, error) {
		e.Sink.Begin("a/b")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var err error
		for err == nil {
			err = e.Sink.Write(ctx, []byte("chunk"))
		}
		ended <- err
		return fleet.Outcome{}, nil
	})
	if _, err = r.client.InvokeWithResponseStream(ctx, &api.InvokeWithResponseStreamInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("beyond its time: %v", err)
	}
}
