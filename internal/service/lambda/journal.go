package lambda

import (
	"context"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// journal gathers what instances write and hands it to the log service in batches. Nobody waits
// for it, so it is bounded: what does not fit is dropped and counted in the log itself, but for
// the platform's own lines.
type journal struct {
	caller func(ctx context.Context, st fleet.Stream) (wire.Caller, error)
	report func(what string, err error)
	now    func() time.Time

	mu      sync.Mutex
	streams map[fleet.Stream]*stream
	bytes   int // of all streams' events
	writing sync.WaitGroup
}

// stream is one stream's events that wait to be written.
type stream struct {
	events  []fleet.LogEvent
	bytes   int
	dropped int // events, and their bytes
	lost    int
	armed   bool // a flush is on its way

	writing sync.Mutex // one flush at a time; the fields below
	made    bool       // the stream exists
	denied  time.Time  // the role may not write: not tried again before
	used    time.Time
}

// Limits of a batch. Source: CloudWatch Logs API Reference, PutLogEvents.
const (
	batchEvents  = 10000
	batchBytes   = 1 << 20
	eventCharge  = 26 // bytes that each event counts beside its message
	gather       = 100 * time.Millisecond
	streamBytes  = 16 << 20 // what a function may write at once
	journalBytes = 64 << 20
	deniedPause  = 10 * time.Second
	streamIdle   = 20 * time.Minute
	writeTimeout = 10 * time.Second
)

// Append takes an instance's events, in order; it does not wait.
func (s *Service) Append(st fleet.Stream, events []fleet.LogEvent) { s.journal.append(st, events) }

func (j *journal) append(st fleet.Stream, events []fleet.LogEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.streams[st]
	if b == nil {
		b = &stream{}
		j.streams[st] = b
	}
	for _, e := range events {
		n := len(e.Message) + eventCharge
		switch {
		case e.Message == "":
		case !e.Platform && (b.bytes+n > streamBytes || j.bytes+n > journalBytes):
			b.dropped++
			b.lost += len(e.Message)
		default:
			b.events = append(b.events, e)
			b.bytes += n
			j.bytes += n
		}
	}
	if !b.armed {
		b.armed = true
		j.writing.Add(1)
		time.AfterFunc(gather, func() {
			defer j.writing.Done()
			j.flush(st, b)
		})
	}
}

// take empties a stream's buffer.
func (j *journal) take(st fleet.Stream, b *stream) []fleet.LogEvent {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := b.events
	if b.dropped > 0 {
		events = append(events, st.Notice(j.now(), b.dropped, b.lost))
	}
	j.bytes -= b.bytes
	b.events, b.bytes, b.dropped, b.lost, b.armed = nil, 0, 0, 0, false
	return events
}

// flush writes what a stream has gathered.
func (j *journal) flush(st fleet.Stream, b *stream) {
	b.writing.Lock()
	defer b.writing.Unlock()
	events := j.take(st, b)
	b.used = j.now()
	if len(events) == 0 || b.used.Before(b.denied) {
		return // without permission nothing is written, as on AWS
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	caller, err := j.caller(ctx, st)
	if err == nil {
		err = b.write(ctx, logs.Client{Caller: caller}, st, events)
	}
	if denied(err) {
		b.denied = b.used.Add(deniedPause)
		return
	}
	j.report("write logs of "+st.FunctionARN, err)
}

func denied(err error) bool {
	e, ok := err.(*awserr.Error)
	return ok && e.Kind == awserr.AccessDenied
}

func (b *stream) write(ctx context.Context, c logs.Client, st fleet.Stream, events []fleet.LogEvent) error {
	for len(events) > 0 {
		n := batch(events)
		in := &logs.PutLogEventsInput{LogGroupName: st.Group, LogStreamName: st.Name, LogEvents: make([]logs.InputLogEvent, n)}
		for i, e := range events[:n] {
			in.LogEvents[i] = logs.InputLogEvent{Timestamp: e.At.UnixMilli(), Message: e.Message}
		}
		events = events[n:]
		if err := b.put(ctx, c, st, in); err != nil {
			return err
		}
	}
	return nil
}

// batch is how many events one call may carry.
func batch(events []fleet.LogEvent) int {
	size := 0
	for i, e := range events {
		if size += len(e.Message) + eventCharge; i == batchEvents || size > batchBytes && i > 0 {
			return i
		}
	}
	return len(events)
}

// put writes one batch, making the stream and its group first where they are not there.
func (b *stream) put(ctx context.Context, c logs.Client, st fleet.Stream, in *logs.PutLogEventsInput) error {
	for range 2 {
		if !b.made {
			if err := create(ctx, c, st); err != nil {
				return err
			}
			b.made = true
		}
		_, err := c.PutLogEvents(ctx, in)
		if !awserr.Is(err, "ResourceNotFoundException") {
			return err
		}
		b.made = false // somebody has deleted it
	}
	return nil // deleted again: whoever does that does not want it
}

func create(ctx context.Context, c logs.Client, st fleet.Stream) error {
	stream := &logs.CreateLogStreamInput{LogGroupName: st.Group, LogStreamName: st.Name}
	_, err := c.CreateLogStream(ctx, stream)
	if awserr.Is(err, "ResourceNotFoundException") {
		_, err = c.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: st.Group})
		if err != nil && !awserr.Is(err, "ResourceAlreadyExistsException") {
			return err
		}
		_, err = c.CreateLogStream(ctx, stream)
	}
	if awserr.Is(err, "ResourceAlreadyExistsException") {
		return nil
	}
	return err
}

// Drain waits until all that instances have written is with the log service.
func (s *Service) Drain() { s.journal.drain() }

// drain waits until all that was gathered is written.
func (j *journal) drain() { j.writing.Wait() }

// forget drops the streams of instances that have not written for long.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for st, b := range j.streams {
		if b.armed || !b.writing.TryLock() {
			continue
		}
		if j.now().Sub(b.used) > streamIdle {
			delete(j.streams, st)
		}
		b.writing.Unlock()
	}
}
