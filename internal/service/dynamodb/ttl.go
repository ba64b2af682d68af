package dynamodb

import (
	"context"
	"slices"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

func (s *Service) describeTTL(c *gate.Call, in *api.DescribeTimeToLiveInput) (*api.DescribeTimeToLiveOutput, error) {
	out := &api.DescribeTimeToLiveOutput{}
	err := s.view(c, in.TableName, func(_ *store.Tx, t *table) error {
		out.TimeToLiveDescription = &api.TimeToLiveDescription{TimeToLiveStatus: ptr("DISABLED")}
		if t.TTL != "" {
			out.TimeToLiveDescription = &api.TimeToLiveDescription{TimeToLiveStatus: ptr("ENABLED"), AttributeName: ptr(t.TTL)}
		}
		if t.filling(t.TTLIndex) {
			out.TimeToLiveDescription.TimeToLiveStatus = ptr("ENABLING")
		}
		return nil
	})
	return out, err
}

// updateTTL switches time to live on or off. Times of expiry are indexed, so that expired items are
// found without reading the others.
func (s *Service) updateTTL(c *gate.Call, in *api.UpdateTimeToLiveInput) (*api.UpdateTimeToLiveOutput, error) {
	spec := in.TimeToLiveSpecification
	if spec == nil {
		return nil, invalid("1 validation error detected: Value null at 'timeToLiveSpecification' failed to satisfy constraint: Member must not be null")
	}
	r, err := refer(c, in.TableName)
	if err != nil {
		return nil, err
	}
	defer s.nudge()
	return gate.Commit(c, func(tx *store.Tx) (*api.UpdateTimeToLiveOutput, error) {
		old, err := s.mustTable(tx, r)
		if err != nil {
			return nil, err
		}
		switch {
		case spec.Enabled && old.TTL != "":
			return nil, invalid("TimeToLive is already enabled")
		case !spec.Enabled && old.TTL == "":
			return nil, invalid("TimeToLive is already disabled")
		case !spec.Enabled && old.TTL != spec.AttributeName:
			return nil, invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", old.TTL)
		}
		t := old.copy()
		if spec.Enabled {
			err = s.enableTTL(tx, t, spec.AttributeName)
		} else {
			err = s.bury(tx, t.rows(t.TTLIndex))
			t.Fills = slices.DeleteFunc(t.Fills, func(f fill) bool { return f.N == t.TTLIndex })
			t.TTL, t.TTLIndex = "", 0
		}
		if err != nil {
			return nil, err
		}
		return &api.UpdateTimeToLiveOutput{TimeToLiveSpecification: spec}, s.saveTable(tx, t)
	})
}

func (s *Service) enableTTL(tx *store.Tx, t *table, attribute string) error {
	t.TTL, t.TTLIndex = attribute, t.NextIndex
	t.NextIndex++
	t.Fills = append(t.Fills, fill{N: t.TTLIndex})
	return s.fill(tx, t)
}

// oldestExpiry is how long past an expiry counts: on AWS one more than five years past is taken
// for a mistake, so that it does not wipe old data.
const oldestExpiry = 5 * 365 * 24 * time.Hour

// sweepBatch is how many expired items one transaction deletes.
const sweepBatch = 100

// expiredItems are what the record of an expiry tells.
type expiredItems struct {
	TableName string
	Items     int
}

func (s *Service) expireTable(ctx context.Context, job gate.Job, known *table) (int, error) {
	job.Account, job.Region = known.Account, known.Region
	what := &expiredItems{TableName: known.Name}
	err := job.Update(ctx, what, func(tx *store.Tx) error {
		what.Items = 0
		t, ok, err := s.table(tx, ref{known.Account, known.Region, known.Name})
		if err != nil || !ok || t.TTL == "" {
			return err
		}
		keys, err := s.expired(tx, t, sweepBatch)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := s.expire(tx, t, k); err != nil {
				return err
			}
			what.Items++
		}
		return nil
	})
	return what.Items, err
}

// expired are the item keys of up to n items whose time has passed, soonest expired first.
func (s *Service) expired(tx *store.Tx, t *table, n int) ([]store.Key, error) {
	var out []store.Key
	now := tx.Now()
	r := store.Range{From: t.rows(t.TTLIndex).With(now.Add(-oldestExpiry).Unix()), To: t.rows(t.TTLIndex).With(now.Unix()), Limit: n}
	for e, err := range s.t.items.Scan(tx, t.rows(t.TTLIndex), r) {
		if err != nil {
			return nil, err
		}
		out = append(out, t.rows(0).With(e.Key.Text(5)))
	}
	return out, nil
}

func (s *Service) expire(tx *store.Tx, t *table, key store.Key) error {
	it, err := s.stored(tx, key)
	if err != nil || it == nil {
		return err
	}
	return s.replace(tx, key, &outcome{table: t, old: it})
}
