package runtimeapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Stream is one end of a connected byte stream to the guest: a socketpair, a vsock connection.
type Stream interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// Channel is a Worker over a framed stream. The guest's end must be in blocking mode.
type Channel struct {
	stream Stream
	in     *bufio.Reader

	mu    sync.Mutex // held for a whole Ready or Invoke
	out   []byte
	seq   uint32
	spent error
}

// NewChannel takes the host's end of the stream.
func NewChannel(stream Stream) *Channel {
	return &Channel{stream: stream, in: bufio.NewReaderSize(stream, 4096)}
}

// Ready waits for the guest to say that its handler is loaded.
func (c *Channel) Ready(ctx context.Context) error {
	if !c.mu.TryLock() {
		return ErrBusy
	}
	defer c.mu.Unlock()
	f, err := c.converse(ctx, nil)
	if err != nil {
		return err
	}
	switch f.kind {
	case kindReady:
		return nil
	case kindInitError:
		c.spent = ErrGone
		return &InitError{Type: errorType(f.body), Payload: f.body}
	}
	return c.broken(f)
}

// Invoke hands one event over and waits for its answer.
func (c *Channel) Invoke(ctx context.Context, inv Invocation) (Result, error) {
	var whole collected
	r, err := c.invoke(ctx, inv, &whole)
	return whole.result(r), err
}

// invoke gives an answer as its result, and a streamed one to s.
func (c *Channel) invoke(ctx context.Context, inv Invocation, s Sink) (Result, error) {
	if !c.mu.TryLock() {
		return Result{}, ErrBusy
	}
	defer c.mu.Unlock()
	if len(inv.Payload) > MaxPayload {
		return Result{}, fmt.Errorf("runtimeapi: an event of %d bytes is above the limit of %d", len(inv.Payload), MaxPayload)
	}
	c.seq++
	c.out = appendInvoke(c.out[:0], c.seq, inv)
	f, err := c.converse(ctx, c.out)
	if cap(c.out) > 256<<10 {
		c.out = nil // one large event must not be remembered by an idle instance
	}
	if err != nil {
		return Result{}, err
	}
	switch f.kind {
	case kindResponse:
		return Result{Payload: f.body}, nil
	case kindError, kindFatal:
		return c.failed(f), nil
	case kindHead:
		s.Begin(contentType(string(f.body), octets))
		return c.receive(ctx, s)
	}
	return Result{}, c.broken(f)
}

// failed is an error that the guest reports.
func (c *Channel) failed(f frame) Result {
	r := Result{Payload: f.body, Failed: true, ErrorType: errorType(f.body)}
	if f.kind == kindFatal {
		c.spent, r.Spent = ErrGone, true
	}
	return r
}

// converse sends what there is to send and reads the answer. An answer to an earlier invocation cannot be meant for this one and is dropped.
func (c *Channel) converse(ctx context.Context, send []byte) (frame, error) {
	if c.spent != nil {
		return frame{}, c.spent
	}
	if err := ctx.Err(); err != nil {
		return frame{}, err
	}
	stop := context.AfterFunc(ctx, c.expire)
	defer stop()
	if len(send) > 0 {
		if _, err := c.stream.Write(send); err != nil {
			return frame{}, c.lost(ctx, err)
		}
	}
	for {
		f, err := readFrame(c.in)
		if err != nil {
			return frame{}, c.lost(ctx, err)
		}
		switch {
		case f.seq == c.seq:
			if !stop() { // the context ended while the answer was read: the stream has a deadline now
				c.spent = ErrGone
			}
			return f, nil
		case f.seq > c.seq:
			return frame{}, c.broken(f)
		}
	}
}

// expire ends whatever the stream waits for.
func (c *Channel) expire() { _ = c.stream.SetDeadline(time.Unix(1, 0)) }

// lost names why the stream failed and leaves the worker spent.
func (c *Channel) lost(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		c.spent = ErrGone
		return ctx.Err()
	case errors.Is(err, ErrProtocol):
		c.spent = err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, os.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		c.spent = ErrGone
	default: // a reset or a broken pipe
		c.spent = fmt.Errorf("%w: %w", ErrGone, err)
	}
	return c.spent
}

func (c *Channel) broken(f frame) error {
	c.spent = fmt.Errorf("%w: frame %q with sequence %d, expected %d", ErrProtocol, rune(f.kind), f.seq, c.seq)
	return c.spent
}

// Yield asks the guest to wait for its events, from now on, in a way that lets the rest of its program
// go on meanwhile: node's otherwise waits in a call that keeps its event loop from turning. It may be
// called while an invocation runs, for which it is no event.
func (c *Channel) Yield() error {
	_, err := c.stream.Write(appendHeader(nil, kindYield, 0, 0))
	return err
}

// Ended implements Worker. Processes that the guest has left behind may hold its end of the stream open:
// what has arrived is read, and then it ends.
func (c *Channel) Ended() {
	if s, ok := c.stream.(interface{ CloseRead() error }); ok {
		_ = s.CloseRead() // it has ended already, with all of its processes
	}
}

// Close ends the stream; an Invoke that waits returns ErrGone.
func (c *Channel) Close() error { return c.stream.Close() }

var _ Worker = (*Channel)(nil)
