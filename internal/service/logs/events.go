package logs

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/logs/pattern"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Limits of one PutLogEvents. Source: API Reference, PutLogEvents.
const (
	maxBatch    = 1 << 20    // bytes, with 26 for each event
	maxMessage  = 1<<20 - 26 // bytes
	eventCost   = 26
	maxAge      = 14 * 24 * time.Hour
	maxAhead    = 2 * time.Hour
	batchWindow = 24 * time.Hour
)

func (s *Service) putLogEvents(c *gate.Call, in *logs.PutLogEventsInput) (*logs.PutLogEventsOutput, error) {
	g, err := s.readStream(c, in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	oldest := c.Now().Add(-maxAge)
	if g.Retention > 0 {
		if kept := c.Now().Add(-time.Duration(g.Retention) * 24 * time.Hour); kept.After(oldest) {
			oldest = kept
		}
	}
	var rejected *logs.RejectedLogEventsInfo
	var events []eventlog.Event
	for i, e := range in.LogEvents {
		switch {
		case e.Timestamp < oldest.UnixMilli():
			if rejected == nil {
				rejected = &logs.RejectedLogEventsInfo{}
			}
			rejected.TooOldLogEventEndIndex = new(int32(i + 1))
		case e.Timestamp > c.Now().Add(maxAhead).UnixMilli():
			if rejected == nil {
				rejected = &logs.RejectedLogEventsInfo{}
			}
			if rejected.TooNewLogEventStartIndex == nil {
				rejected.TooNewLogEventStartIndex = new(int32(i))
			}
		default:
			events = append(events, eventlog.Event{At: e.Timestamp, Message: e.Message})
		}
	}
	if err := s.Events.Append(g.events(in.LogStreamName), c.Now().UnixMilli(), events); err != nil {
		return nil, err
	}
	return &logs.PutLogEventsOutput{NextSequenceToken: new(sequence), RejectedLogEventsInfo: rejected}, nil
}

func checkBatch(events []logs.InputLogEvent) error {
	size := 0
	for i, e := range events {
		size += len(e.Message) + eventCost
		if len(e.Message) > maxMessage {
			return invalid("Log event too large: %d bytes exceeds limit of %d", len(e.Message)+eventCost, maxBatch)
		}
		if i > 0 && e.Timestamp < events[i-1].Timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > maxBatch {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatch)
	}
	if time.Duration(events[len(events)-1].Timestamp-events[0].Timestamp)*time.Millisecond > batchWindow {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// readStream reads a group whose stream must be there.
func (s *Service) readStream(c *gate.Call, name, streamName string) (g group, err error) {
	err = c.View(func(tx *store.Tx) error {
		if g, err = s.find(tx, c, name); err != nil {
			return err
		}
		ok, err := s.t.streams.Has(tx, streamKey(g.ID, streamName))
		if err == nil && !ok {
			err = noStream()
		}
		return err
	})
	return g, err
}

// token is a place in a log and a direction: "f" or "b", time and sequence.
func token(direction string, e eventlog.Event) *string {
	return new(direction + "/" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%d", e.At, e.Seq)))
}

func untoken(t string) (direction string, at, seq int64, err error) {
	bad := invalid("The specified nextToken is invalid.")
	direction, rest, ok := strings.Cut(t, "/")
	raw, err := base64.RawURLEncoding.DecodeString(rest)
	a, b, both := strings.Cut(string(raw), "/")
	if !ok || err != nil || !both || direction != "f" && direction != "b" {
		return "", 0, 0, bad
	}
	at, err1 := strconv.ParseInt(a, 10, 64)
	seq, err2 := strconv.ParseInt(b, 10, 64)
	if err1 != nil || err2 != nil {
		return "", 0, 0, bad
	}
	return direction, at, seq, nil
}

const (
	maxEvents = 10000
	maxPage   = 1 << 20 // bytes of messages
)

// errUnmask refuses to show what a data protection policy hides: nothing hides anything here, and on
// AWS the caller would need logs:Unmask.
func errUnmask() error {
	return awserr.Of(awserr.NotImplemented, "unmask is not built in this version of Bastide, as data protection policies are not; leave it out.")
}

func (s *Service) getLogEvents(c *gate.Call, in *logs.GetLogEventsInput) (*logs.GetLogEventsOutput, error) {
	if wire.Val(in.Unmask) {
		return nil, errUnmask()
	}
	name := ownNamed(c, in.LogGroupName, in.LogGroupIdentifier)
	if name == nil {
		return nil, invalid("Either logGroupName or logGroupIdentifier must be given.")
	}
	g, err := s.readStream(c, *name, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	q := eventlog.Query{Group: g.ID, Streams: []string{in.LogStreamName}, From: wire.Val(in.StartTime), To: wire.Val(in.EndTime), Newest: !wire.Val(in.StartFromHead)}
	place := eventlog.Event{}
	if in.NextToken != nil {
		direction, at, seq, err := untoken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		q.Newest, q.AfterAt, q.AfterSeq = direction == "b", at, seq
		place = eventlog.Event{At: at, Seq: seq}
	}
	limit := maxEvents
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	var events []eventlog.Event
	size := 0
	for e, err := range s.Events.Read(c.Context(), q) {
		if err != nil {
			return nil, err
		}
		if size += len(e.Message) + eventCost; len(events) == limit || size > maxPage {
			break
		}
		events = append(events, e)
	}
	if q.Newest {
		slices.Reverse(events)
	}
	out := &logs.GetLogEventsOutput{Events: []logs.OutputLogEvent{}}
	first, last := place, place
	if len(events) > 0 {
		first, last = events[0], events[len(events)-1]
	}
	out.NextBackwardToken, out.NextForwardToken = token("b", first), token("f", last)
	for _, e := range events {
		out.Events = append(out.Events, logs.OutputLogEvent{Timestamp: new(e.At), Message: new(e.Message), IngestionTime: new(e.Ingested)})
	}
	return out, nil
}

func (s *Service) filterLogEvents(c *gate.Call, in *logs.FilterLogEventsInput) (*logs.FilterLogEventsOutput, error) {
	if wire.Val(in.Unmask) {
		return nil, errUnmask()
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalid("Either logStreamNames or logStreamNamePrefix may be given, not both.")
	}
	match, err := pattern.Compile(wire.Val(in.FilterPattern))
	if err != nil {
		return nil, awserr.New("InvalidParameterException", 400, "Invalid filter pattern: %v", err)
	}
	g, err := s.read(c, ownNamed(c, in.LogGroupName, in.LogGroupIdentifier))
	if err != nil {
		return nil, err
	}
	q := eventlog.Query{Group: g.ID, Streams: in.LogStreamNames, Prefix: wire.Val(in.LogStreamNamePrefix), From: wire.Val(in.StartTime)}
	if in.EndTime != nil {
		q.To = *in.EndTime + 1 // FilterLogEvents' end is inclusive
	}
	if in.NextToken != nil {
		if _, q.AfterAt, q.AfterSeq, err = untoken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	limit := maxEvents
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &logs.FilterLogEventsOutput{Events: []logs.FilteredLogEvent{}, SearchedLogStreams: []logs.SearchedLogStream{}}
	size := 0
	var last eventlog.Event
	for e, err := range s.Events.Read(c.Context(), q) {
		if err != nil {
			return nil, err
		}
		if !match(e.Message) {
			continue
		}
		if size += len(e.Message) + eventCost; len(out.Events) == limit || size > maxPage {
			out.NextToken = token("f", last)
			break
		}
		last = e
		out.Events = append(out.Events, logs.FilteredLogEvent{LogStreamName: new(e.Stream), Timestamp: new(e.At), Message: new(e.Message),
			IngestionTime: new(e.Ingested), EventId: new(fmt.Sprintf("%020d%020d", e.At, e.Seq))})
	}
	return out, nil
}
