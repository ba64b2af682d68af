package lambda

import (
	"context"
	"time"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// holdPoll is how often what is to be held ready is read anew without being told: another process may
// have changed it.
const holdPoll = 15 * time.Second

// nudgeReady has what is held ready read anew, after a change that went well.
func (s *Service) nudgeReady(err error) {
	if err != nil {
		return
	}
	select {
	case s.wishing <- struct{}{}:
	default:
	}
}

// holdReady tells the fleet what to hold ready, from the start and after every change.
func (s *Service) holdReady(ctx context.Context, g *gate.Gate) {
	t := time.NewTicker(holdPoll)
	defer t.Stop()
	read := uint64(0)
	for first := true; ; first = false {
		if at := s.Changes(); first || at != read {
			read = at
			wishes, err := s.wishes(ctx, g)
			s.report("read what is to be held ready", err)
			if err == nil {
				s.Runner.Keep(wishes)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wishing:
		case <-t.C:
		}
	}
}

// wished is a version that is to have instances ready.
type wished struct {
	functionKey
	version int64
	n       int32
	kind    string
}

// wishes are all versions that are to have instances ready. One whose packages cannot be read is
// reported and left out; the others are not to wait for it.
func (s *Service) wishes(ctx context.Context, g *gate.Gate) ([]fleet.Wish, error) {
	j := job(g, "", "")
	var all []wished
	err := j.View(ctx, func(tx *store.Tx) (err error) {
		all, err = s.t.wished(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []fleet.Wish
	for _, w := range all {
		t, err := s.target(ctx, func(fn func(*store.Tx) error) error { return j.View(ctx, fn) }, reference{w.functionKey, qualifierOf(w.version)})
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			s.report("hold "+w.arn(qualifierOf(w.version))+" ready", err)
			continue
		}
		if t == nil {
			continue // deleted since
		}
		f := *t.first
		f.InitType = w.kind
		out = append(out, fleet.Wish{Function: f, Ready: int(w.n)})
	}
	return out, nil
}

func (t *tables) wished(tx *store.Tx) ([]wished, error) {
	var all []wished
	for e, err := range t.provisioned.Scan(tx, store.Key{}, store.Range{}) {
		if err != nil {
			return nil, err
		}
		k := functionKey{e.Key.Text(0), e.Key.Text(1), e.Key.Text(2)}
		parts, err := t.shares(tx, k, e.Value)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if p.n > 0 {
				all = append(all, wished{k, p.version, p.n, fleet.Provisioned})
			}
		}
	}
	snaps, err := t.snapped(tx)
	return append(all, snaps...), err
}
