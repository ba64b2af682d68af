package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

// stamp is the part of a record that the sealer reads.
type stamp struct {
	EventTime time.Time
	RequestID string
}

// readStamp finds the two members without decoding the rest, which would cost more than all other
// sealing: the first occurrence is the record's own (see Record), and quotes in values are escaped.
// What does not look like a record gives zero values.
func readStamp(raw []byte) (s stamp) {
	if text, ok := member(raw, `"eventTime":"`); ok {
		s.EventTime, _ = time.Parse(time.RFC3339Nano, text)
	}
	if text, ok := member(raw, `"requestID":"`); ok && json.Unmarshal([]byte(`"`+text+`"`), &s.RequestID) != nil {
		s.RequestID = ""
	}
	return s
}

func member(raw []byte, name string) (string, bool) {
	i := bytes.Index(raw, []byte(name))
	if i < 0 {
		return "", false
	}
	rest := raw[i+len(name):]
	for j := 0; j < len(rest); j++ {
		switch rest[j] {
		case '\\':
			j++
		case '"':
			return string(rest[:j]), true
		}
	}
	return "", false
}

// Seal chains the records that were committed since the last head, in spans of about
// SealRecords, and signs each span's head. A View shows every record up to its newest: sequence
// numbers are given out in commit order, so none can appear below one already seen.
func (t *Trail) Seal(ctx context.Context) error {
	t.sealing.Lock()
	defer t.sealing.Unlock()
	for {
		more, err := t.sealSpan(ctx)
		if err != nil {
			return fmt.Errorf("audit: seal: %w", err)
		}
		if !more {
			return nil
		}
	}
}

func (t *Trail) sealSpan(ctx context.Context) (more bool, err error) {
	node := t.opt.Node
	var s span
	var index []uint64
	n := 0
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		end, err := last(tx, node)
		if err != nil {
			return err
		}
		s = span{First: end.Records + 1, After: end.Seq, Prev: end.Hash, Head: Head{Node: node, Records: end.Records, Hash: end.Hash, Seq: end.Seq}}
		index, n = nil, 0
		var row []entry
		for e, err := range records().Scan(tx, store.K(node), store.Range{After: store.K(node, end.Seq), Limit: t.opt.SealRecords}) {
			if err != nil {
				return err
			}
			row = entries(row[:0], e)
			for _, r := range row {
				if id := s.take(r.seq, r.raw); id != "" {
					index = append(index, requestHash(id))
				}
			}
			s.Head.Seq = e.Key.Int(1) // where the row ends, whatever it holds
			if n += len(row); n >= t.opt.SealRecords {
				break // at the end of a row
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		return false, err
	}
	s.Head.Time = t.db.Clock().Now().UTC()
	s.Head.sign("head", t.opt.Key)
	return n >= t.opt.SealRecords, t.db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
		end, err := last(tx, node)
		if err != nil {
			return err
		}
		if end.Hash != s.Prev || end.Records+1 != s.First {
			return errors.New("the chain was sealed by another process meanwhile")
		}
		at := store.K(node, s.Head.Records)
		return errors.Join(requests().Put(tx, at, packRequests(index)), links().Put(tx, at, s))
	})
}

// take adds a record to the span and returns its request id.
func (s *span) take(seq int64, raw []byte) string {
	s.Head.Hash = s.Head.Hash.next(seq, raw)
	s.Head.Records++
	st := readStamp(raw)
	if st.EventTime.IsZero() {
		return "" // not what Append wrote; it is chained as it is, for Verify and Query to show
	}
	if s.Earliest.IsZero() || st.EventTime.Before(s.Earliest) {
		s.Earliest = st.EventTime
	}
	if st.EventTime.After(s.Latest) {
		s.Latest = st.EventTime
	}
	return st.RequestID
}

// Head is the newest signed head of the node, after sealing what is there. A trail without a record
// has none: ok is false.
func (t *Trail) Head(ctx context.Context) (h Head, ok bool, err error) {
	if err := errors.Join(t.Flush(ctx), t.Seal(ctx)); err != nil {
		return Head{}, false, err
	}
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		h, err = last(tx, t.opt.Node)
		return err
	})
	return h, err == nil && h.Records > 0 && len(h.Signature) > 0, err
}

// Run keeps the trail until ctx ends: it makes noted records durable within 100 ms, signs heads, and
// once a minute moves sealed records to files and removes what is too old. Failures go to log and
// are tried again; records wait meanwhile.
func (t *Trail) Run(ctx context.Context, log *slog.Logger) {
	changed, cancel := t.db.Watch(Space)
	defer cancel()
	flush := stopped()
	seal := stopped()
	defer flush.Stop()
	defer seal.Stop()
	keep := time.NewTicker(time.Minute)
	defer keep.Stop()
	seal.Reset(0) // what an earlier process left unsealed
	flushing, waiting := false, true
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			log.Error("audit trail", "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			if !flushing {
				flushing = true
				flush.Reset(50 * time.Millisecond)
			}
			if len(t.notes) > flushBatch {
				flush.Reset(0)
			}
		case <-flush.C:
			flushing = false
			t.awake.Store(false)
			if err := t.Flush(ctx); err != nil {
				report(err)
				flushing = true
				flush.Reset(time.Second)
			}
			if t.refusals.any() && !waiting {
				waiting = true
				seal.Reset(t.opt.SealAfter)
			}
		case _, ok := <-changed:
			if !ok {
				return
			}
			if !waiting {
				waiting = true
				seal.Reset(t.opt.SealAfter)
			}
		case <-seal.C:
			waiting = false
			report(errors.Join(t.FlushRefusals(ctx), t.Seal(ctx)))
		case <-keep.C:
			report(errors.Join(t.FlushRefusals(ctx), t.Compact(ctx), t.Retain(ctx)))
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
