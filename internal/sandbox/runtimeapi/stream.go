package runtimeapi

import (
	"context"
	"strings"
)

// Sink takes a response while the handler writes it.
type Sink interface {
	// Begin says of what type the response is. It comes once, before the first Write; of an invocation
	// that fails before it has written anything it does not come.
	Begin(contentType string)
	// Write takes a chunk, which is only lent, and returns when there is room for more: until then the
	// handler's own writes wait. It ends with ctx. An error ends the invocation and leaves the worker spent.
	Write(ctx context.Context, chunk []byte) error
}

// The content types of responses that name none: of a stream, and of an answer that is no stream
// ("Using the Lambda runtime API"; Lambda's own runtimes).
const (
	octets = "application/octet-stream"
	answer = "application/json"
)

const (
	maxChunk = 64 << 10
	maxType  = 1 << 10
)

// contentType is what a guest says of a response, or what it is where that is no header's value.
func contentType(said, otherwise string) string {
	if said == "" || len(said) > maxType || strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r > '~' }) {
		return otherwise
	}
	return said
}

// collected is the Sink of an invocation that is answered as a whole.
type collected struct {
	body []byte
	over bool
}

func (c *collected) Begin(string) {}

func (c *collected) Write(_ context.Context, chunk []byte) error {
	if c.over = c.over || len(c.body)+len(chunk) > MaxPayload; !c.over {
		c.body = append(c.body, chunk...)
	}
	return nil // the handler writes to its end, whatever becomes of it
}

// result is the whole response.
func (c *collected) result(r Result) Result {
	switch {
	case !r.Streamed || r.Failed:
	case c.over:
		r = TooLarge()
	default:
		r.Payload = c.body
	}
	return r
}

// give hands an answer that is no stream to a sink, as one chunk.
func (r Result) give(ctx context.Context, s Sink) (Result, error) {
	if r.Failed {
		return r, nil
	}
	s.Begin(answer)
	err := s.Write(ctx, r.Payload)
	return Result{Streamed: true}, err
}

// Stream hands one event over and the response to s.
func (c *Channel) Stream(ctx context.Context, inv Invocation, s Sink) (Result, error) {
	r, err := c.invoke(ctx, inv, s)
	if err != nil || r.Streamed {
		return r, err
	}
	if r, err = r.give(ctx, s); err != nil {
		c.spend()
	}
	return r, err
}

// receive takes a streamed response, whose head has come.
func (c *Channel) receive(ctx context.Context, s Sink) (Result, error) {
	for {
		if err := ctx.Err(); err != nil {
			c.spend()
			return Result{}, err
		}
		f, err := c.converse(ctx, nil)
		if err != nil {
			return Result{}, err
		}
		switch f.kind {
		case kindChunk:
			if err := s.Write(ctx, f.body); err != nil {
				c.spend()
				return Result{}, err
			}
		case kindEnd:
			return Result{Streamed: true}, nil
		case kindError, kindFatal:
			r := c.failed(f)
			r.Streamed = true
			return r, nil
		default:
			return Result{}, c.broken(f)
		}
	}
}

// spend leaves the worker spent: its guest is busy with what nobody waits for any more.
func (c *Channel) spend() {
	if c.spent == nil {
		c.spent = ErrGone
	}
}
