package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
)

// What touches many rows is done in parts, because one transaction holds up every other writer: the
// call itself does up to atOnce rows of together about bytesAtOnce, a job the rest.
const (
	atOnce      = 1000
	bytesAtOnce = 8 << 20
	// lookEvery is how often the job looks for work that nobody told it of: expired items, or what
	// another process left. On AWS items expire within a few days.
	lookEvery = 10 * time.Second
)

// nudge tells the job that there may be work.
func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run does the service's background work until ctx ends.
func (s *Service) Run(ctx context.Context, g *gate.Gate) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for more := true; more; {
			var err error
			more, err = s.Work(ctx, g)
			if _, full := errors.AsType[*store.ReserveError](err); full {
				break // the disk is full; it is tried again later
			}
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// Work does one part of what there is to do: expired items to delete, indexes to fill, rows of
// deleted tables and indexes to clear. It reports whether there may be more.
func (s *Service) Work(ctx context.Context, g *gate.Gate) (more bool, err error) {
	job := gate.Job{Gate: g, Name: "TimeToLive", Service: api.Service}
	var due, unfilled []*table
	var graves []store.Key
	err = job.View(ctx, func(tx *store.Tx) error {
		if due, unfilled, err = s.outstanding(tx); err != nil {
			return err
		}
		graves = nil
		for e, err := range s.t.graves.Scan(tx, store.Key{}, store.Range{Limit: 1}) {
			if err != nil {
				return err
			}
			graves = append(graves, e.Key)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, t := range due {
		if _, err := s.expireTable(ctx, job, t); err != nil {
			return false, err
		}
	}
	for _, t := range unfilled {
		if err := job.Lease(ctx, func(tx *store.Tx) error { return s.fillMore(tx, t) }); err != nil {
			return false, err
		}
	}
	for _, prefix := range graves {
		if err := job.Lease(ctx, func(tx *store.Tx) error { return s.bury(tx, prefix) }); err != nil {
			return false, err
		}
	}
	return len(due)+len(unfilled)+len(graves) > 0, nil
}

// outstanding are the tables with expired items and those with indexes to fill.
func (s *Service) outstanding(tx *store.Tx) (due, unfilled []*table, err error) {
	for e, err := range s.t.tables.Scan(tx, store.Key{}, store.Range{}) {
		if err != nil {
			return nil, nil, err
		}
		t := &table{}
		if err := json.Unmarshal(e.Value, t); err != nil {
			return nil, nil, fmt.Errorf("dynamodb: table %s: %w", e.Key, err)
		}
		if len(t.Fills) > 0 {
			unfilled = append(unfilled, t)
		}
		if t.TTL == "" {
			continue
		}
		keys, err := s.expired(tx, t, 1)
		if err != nil {
			return nil, nil, err
		}
		if len(keys) > 0 {
			due = append(due, t)
		}
	}
	return due, unfilled, nil
}

// bury removes up to atOnce of the rows whose keys begin with prefix, those of a table or of one
// index, and leaves a mark where more remain. Nothing reads such rows any more: table ids and
// index numbers are never used twice.
func (s *Service) bury(tx *store.Tx, prefix store.Key) error {
	n, size := 0, 0
	for e, err := range s.t.items.Scan(tx, prefix, store.Range{Limit: atOnce}) {
		if err != nil {
			return err
		}
		if _, err := s.t.items.Delete(tx, e.Key); err != nil {
			return err
		}
		n++
		if size += len(e.Value); size > bytesAtOnce {
			break
		}
	}
	if n == atOnce || size > bytesAtOnce {
		return s.t.graves.Put(tx, prefix, []byte{})
	}
	_, err := s.t.graves.Delete(tx, prefix)
	return err
}

// filling reports whether index n does not yet hold all items.
func (t *table) filling(n int) bool {
	for _, f := range t.Fills {
		if f.N == n {
			return true
		}
	}
	return false
}

// fillMore is one part of filling a table's indexes.
func (s *Service) fillMore(tx *store.Tx, known *table) error {
	old, ok, err := s.table(tx, ref{known.Account, known.Region, known.Name})
	if err != nil || !ok || len(old.Fills) == 0 {
		return err
	}
	t := old.copy()
	if err := s.fill(tx, t); err != nil {
		return err
	}
	return s.saveTable(tx, t)
}

// fill enters up to atOnce of the table's items into the first index that lacks some, and notes in
// t how far it has come.
func (s *Service) fill(tx *store.Tx, t *table) error {
	if len(t.Fills) == 0 {
		return nil
	}
	f := &t.Fills[0]
	r := store.Range{Limit: atOnce}
	if f.After != "" {
		r.After = t.rows(0).With(f.After)
	}
	seen, size := 0, 0
	for e, err := range s.t.items.Scan(tx, t.rows(0), r) {
		if err != nil {
			return err
		}
		it, err := item.FromBinary(e.Value)
		if err != nil {
			return err
		}
		if err := s.enter(tx, t, f.N, it); err != nil {
			return err
		}
		f.After = e.Key.Text(4)
		seen++
		if size += len(e.Value); size > bytesAtOnce {
			break
		}
	}
	if seen < atOnce && size <= bytesAtOnce {
		t.Fills = t.Fills[1:]
	}
	return nil
}

// enter puts an item into index n. Items whose values a new index cannot hold are left out, as on
// AWS.
func (s *Service) enter(tx *store.Tx, t *table, n int, it item.Item) error {
	if n == t.TTLIndex {
		if at, ok := t.expiry(it); ok {
			return s.t.items.Put(tx, t.expiryKey(at, it), []byte{})
		}
		return nil
	}
	for i := range t.Indexes {
		if ix := &t.Indexes[i]; ix.N == n && ix.holds(it) && t.fits(ix, it) == nil {
			return s.t.items.Put(tx, t.indexKey(ix, it), t.project(ix, it).AppendBinary(nil))
		}
	}
	return nil
}
