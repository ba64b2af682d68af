package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// buckets is how many parts the hash of partition keys divides a table into; a segment of a
// parallel scan is a range of them.
const buckets = 1 << (8 * bucketBytes)

func (s *Service) scan(c *gate.Call, in *api.ScanInput) (*api.ScanOutput, error) {
	q, err := s.parseScan(c, in)
	if err != nil {
		return nil, err
	}
	err = c.View(func(tx *store.Tx) error {
		w, err := s.beginWalk(tx, &q.listing)
		if err != nil {
			return err
		}
		if err := q.narrow(w); err != nil {
			return err
		}
		q.page, err = s.walk(tx, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	p := q.page
	return &api.ScanOutput{Items: p.items, Count: &p.count, ScannedCount: &p.scanned, LastEvaluatedKey: raw(p.last),
		ConsumedCapacity: p.spent.report(wire.Val(in.ReturnConsumedCapacity))}, nil
}

type scanPlan struct {
	listing
	segment, total int // total 0: not a parallel scan
}

func (s *Service) parseScan(c where, in *api.ScanInput) (*scanPlan, error) {
	q := &scanPlan{segment: int(wire.Val(in.Segment)), total: int(wire.Val(in.TotalSegments))}
	exprs := []param{{"ProjectionExpression", in.ProjectionExpression != nil}, {"FilterExpression", in.FilterExpression != nil}}
	old := []param{{"AttributesToGet", in.AttributesToGet != nil}, {"ScanFilter", in.ScanFilter != nil}, {"ConditionalOperator", in.ConditionalOperator != nil}}
	if err := checkParams(exprs, old, in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return nil, err
	}
	switch {
	case in.TotalSegments != nil && in.Segment == nil:
		return nil, invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.TotalSegments == nil && in.Segment != nil:
		return nil, invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.Segment != nil && q.segment >= q.total:
		return nil, invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", q.segment, q.total)
	}
	scope, err := s.open(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if q.filter, err = filter(scope, in.FilterExpression, in.ScanFilter, in.ConditionalOperator); err != nil {
		return nil, err
	}
	if q.selection, err = selection(scope, in.ProjectionExpression, in.AttributesToGet); err != nil {
		return nil, err
	}
	if err := scope.Close(); err != nil {
		return nil, err
	}
	q.index, q.sel, q.consistent, q.verb = wire.Val(in.IndexName), wire.Val(in.Select), wire.Val(in.ConsistentRead), "Scanning"
	q.limit = int(wire.Val(in.Limit))
	q.by = selector(in.ProjectionExpression)
	return q, q.finish(c, in.TableName, in.ExclusiveStartKey)
}

// narrow bounds the walk to the segment's buckets.
func (q *scanPlan) narrow(w *walk) error {
	if q.total == 0 {
		return nil
	}
	first, next := q.bucket(q.segment), q.bucket(q.segment+1)
	w.from = w.prefix.Begin(bucketPrefix(first))
	if next < buckets {
		w.to = w.prefix.Begin(bucketPrefix(next))
	}
	if first == next { // more segments than buckets: this one has none
		w.to = w.from
	}
	if w.start == nil {
		return nil
	}
	b := appendPartition(nil, w.start.Get(w.key.Hash))
	if at := int(b[0])<<8 | int(b[1]); at < first || at >= next {
		return invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d",
			q.total, q.segment)
	}
	return nil
}

// bucket is the first bucket of a segment.
func (q *scanPlan) bucket(segment int) int { return segment * buckets / q.total }

func bucketPrefix(b int) string { return string([]byte{byte(b >> 8), byte(b)}) }
