package audit

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// segment is a span whose records are in a file: gzip of one JSON object a line,
// {"seq":N,"record":{…}}, the record byte for byte as it was chained.
type segment struct {
	span
	File    blob.Ref `json:"file"`
	Cleared bool     `json:"cleared"` // its rows are gone
}

// segments are by node and number of their last record.
func segments() store.Table[segment] {
	return store.NewTable[segment](Space, "segments").UseReserve()
}

// clearBatch bounds the rows deleted in one transaction: others wait behind it.
const clearBatch = 200

// Compact moves sealed records to files: whole spans, SegmentRecords at a time, or fewer once the
// oldest is older than SegmentAfter.
func (t *Trail) Compact(ctx context.Context) error {
	t.sealing.Lock()
	defer t.sealing.Unlock()
	for {
		if err := t.clear(ctx); err != nil {
			return fmt.Errorf("audit: compact: %w", err)
		}
		more, err := t.compactOne(ctx)
		if err != nil {
			return fmt.Errorf("audit: compact: %w", err)
		}
		if !more {
			return nil
		}
	}
}

func (t *Trail) compactOne(ctx context.Context) (done bool, err error) {
	var spans []span
	var hashes []uint64
	full := false
	now := t.db.Clock().Now()
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		spans, hashes, full = nil, nil, false
		for e, err := range links().Scan(tx, store.K(t.opt.Node), store.Range{}) {
			if err != nil {
				return err
			}
			spans = append(spans, e.Value)
			list, _, err := requests().Get(tx, e.Key)
			if err != nil {
				return err
			}
			hashes = append(hashes, unpackRequests(list)...)
			if e.Value.Head.Records-spans[0].First+1 >= int64(t.opt.SegmentRecords) {
				full = true
				break
			}
		}
		return nil
	})
	if err != nil || len(spans) == 0 || !full && now.Sub(spans[0].Head.Time) < t.opt.SegmentAfter {
		return false, err
	}
	seg := segment{span: joinSpans(spans)}
	w, err := t.db.Blobs().Area.Create() // a file, however small: it is what frees the database
	if err != nil {
		return false, err
	}
	defer w.Abort()
	if err := t.writeSegment(ctx, w, seg.span); err != nil {
		return false, err
	}
	if seg.File, err = w.Commit(); err != nil {
		return false, err
	}
	return true, t.db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
		if err := t.db.Blobs().Keep(tx, seg.File); err != nil {
			return err
		}
		at := store.K(t.opt.Node, seg.Head.Records) // the last span's key: its list gives way to the whole one
		return errors.Join(requests().Put(tx, at, packRequests(hashes)), segments().Put(tx, at, seg))
	})
}

func joinSpans(spans []span) span {
	s := spans[0]
	for _, x := range spans[1:] {
		s.Head = x.Head
		if x.Earliest.Before(s.Earliest) {
			s.Earliest = x.Earliest
		}
		if x.Latest.After(s.Latest) {
			s.Latest = x.Latest
		}
	}
	return s
}

// writeSegment writes the rows of s to w, and refuses to if they are not those that were sealed:
// moving must not launder what Verify would have found.
func (t *Trail) writeSegment(ctx context.Context, w io.Writer, s span) error {
	z := gzip.NewWriter(w)
	h, n, at := s.Prev, s.First-1, s.After
	for at < s.Head.Seq {
		page, end, err := t.page(ctx, s, at)
		if err != nil {
			return err
		}
		if end == at {
			break
		}
		at = end
		for _, e := range page {
			h, n = h.next(e.seq, e.raw), n+1
			if _, err := fmt.Fprintf(z, `{"seq":%d,"record":%s}`+"\n", e.seq, e.raw); err != nil {
				return err
			}
		}
	}
	if h != s.Head.Hash || n != s.Head.Records {
		return fmt.Errorf("records %d to %d are not what was sealed; they stay in place for verification", s.First, s.Head.Records)
	}
	return z.Close()
}

// entry is a record as it is kept.
type entry struct {
	seq int64
	raw []byte
}

// pageRecords is about how many records are read in one transaction.
const pageRecords = 500

// page reads the next records of s behind sequence number at, where a row ends, and says where the
// page ends: with a row too, by its key, or at itself behind the last row. Whatever the rows hold, to
// go on from there comes to an end.
func (t *Trail) page(ctx context.Context, s span, at int64) (out []entry, end int64, err error) {
	node := s.Head.Node
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		out, end = nil, at
		for e, err := range records().Scan(tx, store.K(node), store.Range{After: store.K(node, at), To: store.K(node, s.Head.Seq+1), Limit: pageRecords}) {
			if err != nil {
				return err
			}
			end = e.Key.Int(1)
			if out = entries(out, e); len(out) >= pageRecords {
				break
			}
		}
		return nil
	})
	return out, end, err
}

// clear deletes the rows that segments have taken over.
func (t *Trail) clear(ctx context.Context) error {
	var todo []segment
	node := t.opt.Node
	err := t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		todo = nil
		for e, err := range segments().Scan(tx, store.K(node), store.Range{Reverse: true}) {
			if err != nil {
				return err
			}
			if e.Value.Cleared {
				return nil // those before it are, too
			}
			todo = append(todo, e.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(todo) - 1; i >= 0; i-- {
		s := todo[i]
		for done := false; !done; {
			err := t.db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
				var n [3]int
				var errs [3]error
				n[0], errs[0] = deleteRange(tx, links(), store.Range{To: store.K(node, s.Head.Records+1), Limit: clearBatch}, node)
				n[1], errs[1] = deleteRange(tx, records(), store.Range{To: store.K(node, s.Head.Seq+1), Limit: clearBatch}, node)
				n[2], errs[2] = deleteRange(tx, requests(), store.Range{From: store.K(node, s.First), To: store.K(node, s.Head.Records), Limit: clearBatch}, node)
				if err := errors.Join(errs[:]...); err != nil {
					return err
				}
				done = max(n[0], n[1], n[2]) < clearBatch
				if !done {
					return nil
				}
				s.Cleared = true
				return segments().Put(tx, store.K(node, s.Head.Records), s)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func deleteRange[T any](tx *store.Tx, from store.Table[T], r store.Range, node string) (n int, err error) {
	for e, err := range from.Scan(tx, store.K(node), r) {
		if err != nil {
			return n, err
		}
		if _, err := from.Delete(tx, e.Key); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// maxLine bounds a line of a segment: a record, its number and the names around them.
const maxLine = maxRecord + 1<<20

// readSegment calls fn with each record of a segment's file until fn returns false. A file that
// cannot be read to its end is an error.
func (t *Trail) readSegment(s segment, fn func(entry) (bool, error)) error {
	f, err := t.db.Blobs().Open(s.File.ID)
	if err != nil {
		return err
	}
	defer f.Close()
	return decodeSegment(bufio.NewReaderSize(f, 64<<10), s.Head.Records-s.First+1, fn)
}

// decodeSegment reads at most max records from r.
func decodeSegment(r io.Reader, max int64, fn func(entry) (bool, error)) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("audit: segment: %w", err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for n := int64(0); lines.Scan(); n++ {
		if n == max {
			return errors.New("audit: segment: more records than it is said to have")
		}
		var line struct {
			Seq    int64           `json:"seq"`
			Record json.RawMessage `json:"record"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("audit: segment: %w", err)
		}
		if more, err := fn(entry{line.Seq, line.Record}); err != nil || !more {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("audit: segment: %w", err)
	}
	return nil
}

// Retain removes the oldest segments that are older than KeepAge or exceed KeepBytes together, and
// signs where the trail now begins.
func (t *Trail) Retain(ctx context.Context) error {
	if t.opt.KeepAge == 0 && t.opt.KeepBytes == 0 {
		return nil
	}
	t.sealing.Lock()
	defer t.sealing.Unlock()
	var all []segment
	err := t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		all = nil
		for e, err := range segments().Scan(tx, store.K(t.opt.Node), store.Range{}) {
			if err != nil {
				return err
			}
			all = append(all, e.Value)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("audit: retain: %w", err)
	}
	var size int64
	for _, s := range all {
		size += s.File.Size
	}
	now := t.db.Clock().Now()
	for _, s := range all {
		old := t.opt.KeepAge > 0 && now.Sub(s.Latest) > t.opt.KeepAge
		if !s.Cleared || !old && (t.opt.KeepBytes == 0 || size <= t.opt.KeepBytes) {
			return nil // removed in order, so that what is left is one stretch
		}
		if err := t.trim(ctx, s, now); err != nil {
			return fmt.Errorf("audit: retain: %w", err)
		}
		size -= s.File.Size
	}
	return nil
}

// trim removes a segment and leaves a signed note of it.
func (t *Trail) trim(ctx context.Context, s segment, now time.Time) error {
	note := s.Head
	note.Time = now.UTC()
	note.sign("trim", t.opt.Key)
	at := store.K(t.opt.Node, s.Head.Records)
	return t.db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
		_, err1 := segments().Delete(tx, at)
		_, err2 := requests().Delete(tx, at)
		return errors.Join(err1, err2, trims().Put(tx, store.K(t.opt.Node), note), t.db.Blobs().Drop(tx, s.File.ID))
	})
}
