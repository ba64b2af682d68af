package mapping

import (
	"context"
	"slices"
	"sync"
)

// StreamMapping gives a stream's records to a function.
type StreamMapping struct {
	Config
	Deps
	Source Stream

	mu      sync.Mutex
	reading map[string]bool // shards that this process reads
	ended   chan struct{}   // one of them was left
}

// Run works until ctx ends.
func (m *StreamMapping) Run(ctx context.Context) error {
	m.reading, m.ended = map[string]bool{}, make(chan struct{}, 1)
	var all sync.WaitGroup
	defer all.Wait()
	for failed := 0; ctx.Err() == nil; {
		wait := lookEvery
		if err := m.look(ctx, &all); err != nil && ctx.Err() == nil {
			m.Report(SourceFailed)
			wait = backoff(failed)
			failed++
		} else {
			failed = 0
		}
		_ = rest(ctx, wait, m.ended) // the loop looks
	}
	return ctx.Err()
}

// look begins to read the shards that may be read and nobody reads.
func (m *StreamMapping) look(ctx context.Context, all *sync.WaitGroup) error {
	shards, err := m.Source.Shards(ctx)
	if err != nil {
		return err
	}
	known, err := m.Ledger.Load(ctx)
	if err != nil {
		return err
	}
	for _, s := range shards {
		waits := slices.ContainsFunc(s.Parents, func(parent string) bool {
			there := slices.ContainsFunc(shards, func(o Shard) bool { return o.ID == parent })
			return there && !known[parent].Ended
		})
		m.mu.Lock()
		busy := m.reading[s.ID]
		m.mu.Unlock()
		if waits || busy || known[s.ID].Ended {
			continue
		}
		c, token, ok, err := m.Ledger.Acquire(ctx, s.ID, leaseFor)
		if err != nil {
			return err
		}
		if !ok || c.Ended {
			continue
		}
		if c.Next.Kind == "" {
			c.Next = m.begin(s, known)
		}
		m.mu.Lock()
		m.reading[s.ID] = true
		m.mu.Unlock()
		r := newReading(m, s.ID, token, c)
		all.Go(func() {
			r.run(ctx)
			m.mu.Lock()
			delete(m.reading, s.ID)
			m.mu.Unlock()
			select {
			case m.ended <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

// begin is where a shard is read from that was not read before: as configured, but all of one whose
// parent was read, since its records follow those.
func (m *StreamMapping) begin(s Shard, known map[string]Checkpoint) Position {
	for _, parent := range s.Parents {
		if _, ok := known[parent]; ok {
			return Position{Kind: TrimHorizon}
		}
	}
	return m.Start
}
