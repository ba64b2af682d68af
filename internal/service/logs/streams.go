package logs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func noStream() error {
	return awserr.New("ResourceNotFoundException", 400, "The specified log stream does not exist.")
}

func (s *Service) createLogStream(c *gate.Call, in *logs.CreateLogStreamInput) (*logs.CreateLogStreamOutput, error) {
	return &logs.CreateLogStreamOutput{}, c.Update(func(tx *store.Tx) error {
		g, err := s.find(tx, c, in.LogGroupName)
		if err != nil {
			return err
		}
		taken, err := s.t.streams.Has(tx, streamKey(g.ID, in.LogStreamName))
		if err != nil {
			return err
		}
		if taken {
			return awserr.New("ResourceAlreadyExistsException", 400, "The specified log stream already exists")
		}
		return s.t.streams.Put(tx, streamKey(g.ID, in.LogStreamName), stream{Name: in.LogStreamName, Created: c.Now()})
	})
}

func (s *Service) deleteLogStream(c *gate.Call, in *logs.DeleteLogStreamInput) (*logs.DeleteLogStreamOutput, error) {
	var g group
	err := c.Update(func(tx *store.Tx) (err error) {
		if g, err = s.find(tx, c, in.LogGroupName); err != nil {
			return err
		}
		had, err := s.t.streams.Delete(tx, streamKey(g.ID, in.LogStreamName))
		if err == nil && !had {
			err = noStream()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &logs.DeleteLogStreamOutput{}, s.Events.Delete(c.Context(), g.events(in.LogStreamName), 0)
}

// describeLogStreams pages by name; by time it orders what there is, for which it must look at
// every stream.
func (s *Service) describeLogStreams(c *gate.Call, in *logs.DescribeLogStreamsInput) (*logs.DescribeLogStreamsOutput, error) {
	byTime := wire.Val(in.OrderBy) == "LastEventTime"
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	after, err := unmark(in.NextToken)
	if err != nil {
		return nil, err
	}
	g, err := s.read(c, ownNamed(c, in.LogGroupName, in.LogGroupIdentifier))
	if err != nil {
		return nil, err
	}
	var found []stream
	err = c.View(func(tx *store.Tx) error {
		found = nil
		for row, err := range s.t.streams.Scan(tx, streamsKey(g.ID), store.Range{}) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(row.Value.Name, wire.Val(in.LogStreamNamePrefix)) {
				found = append(found, row.Value)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]logs.LogStream, 0, len(found))
	for _, st := range found {
		p, err := s.publicStream(c, g, st)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	place := func(l logs.LogStream) string {
		if byTime {
			return fmt.Sprintf("%020d %s", wire.Val(l.LastEventTimestamp), *l.LogStreamName)
		}
		return *l.LogStreamName
	}
	compare := func(a, b string) int {
		if wire.Val(in.Descending) {
			return strings.Compare(b, a)
		}
		return strings.Compare(a, b)
	}
	slices.SortFunc(all, func(a, b logs.LogStream) int { return compare(place(a), place(b)) })
	// A page goes on behind a place, so that a stream that is gone meanwhile takes no other with it.
	if after != "" {
		all = slices.DeleteFunc(all, func(l logs.LogStream) bool { return compare(place(l), after) <= 0 })
	}
	limit := pageOfGroups
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &logs.DescribeLogStreamsOutput{LogStreams: append([]logs.LogStream{}, all[:min(limit, len(all))]...)}
	if len(all) > limit {
		out.NextToken = mark(place(all[limit-1]))
	}
	return out, nil
}

func (s *Service) publicStream(c *gate.Call, g group, st stream) (logs.LogStream, error) {
	span, ok, err := s.Events.Span(c.Context(), g.events(st.Name))
	p := logs.LogStream{LogStreamName: &st.Name, CreationTime: new(st.Created.UnixMilli()), Arn: new(g.streamARN(st.Name)), StoredBytes: new(int64(0)),
		UploadSequenceToken: new(sequence)}
	if ok {
		p.FirstEventTimestamp, p.LastEventTimestamp, p.LastIngestionTime = &span.First, &span.Last, &span.Ingested
	}
	return p, err
}

// sequence is the token that PutLogEvents gives and no longer looks at, as on AWS since 2023.
const sequence = "49039859603345633478236587456223447566854345678"
