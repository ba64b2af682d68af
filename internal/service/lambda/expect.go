package lambda

import (
	"context"
	"time"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// expectEvery is how often a change is looked for of what functions there are.
const expectEvery = time.Second

// expect tells the Runner on which runtimes, and with how much memory, the functions run that there
// are, so that their first events find something ready.
func (s *Service) expect(ctx context.Context, g *gate.Gate) {
	if s.Expect == nil {
		return
	}
	t := time.NewTicker(expectEvery)
	defer t.Stop()
	for known, first := uint64(0), true; ; first = false {
		if now := s.Changes(); first || now != known {
			known = now
			fns, err := s.sorts(ctx, g)
			s.report("look for the runtimes of functions", err)
			if err == nil {
				s.Expect(ctx, fns)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// sorts are the functions that there are, one of each account, runtime and size.
func (s *Service) sorts(ctx context.Context, g *gate.Gate) ([]fleet.Function, error) {
	type sort struct {
		account, runtime string
		memory           int
	}
	var found map[sort]bool
	err := job(g, "", "").View(ctx, func(tx *store.Tx) error {
		found = map[sort]bool{}
		for e, err := range s.t.versions.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			if v := e.Value; v.Runtime != "" {
				found[sort{e.Key.Text(0), v.Runtime, int(v.Memory)}] = true
			}
		}
		return nil
	})
	fns := make([]fleet.Function, 0, len(found))
	for f := range found {
		fns = append(fns, fleet.Function{Account: f.account, Runtime: f.runtime, MemoryMB: f.memory})
	}
	return fns, err
}
