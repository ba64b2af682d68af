package pool

import (
	"slices"
	"strings"
)

// Stats is what a pool holds and what became of the starts that asked it.
type Stats struct {
	Size        int   // ready ones at most; 0: the pool is off
	MemoryBytes int64 // at most

	Ready    int
	Starting int
	Held     int64 // bytes that the ready ones have for themselves
	Hits     int64 // starts that took one
	Misses   int64 // starts that found none
	Bypasses int64 // starts whose settings take an interpreter of their own
	Died     int64 // that ended while they waited, and were replaced

	Kinds []KindStats // by name
}

// KindStats is one kind of ready sandboxes.
type KindStats struct {
	Name            string
	Ready, Starting int
	Held            int64
	Failure         string // why the last one was not made; "" where it was
}

// Stats reads the counts.
func (p *Pool) Stats() Stats {
	if p == nil {
		return Stats{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Size: p.c.Size, MemoryBytes: p.c.MemoryBytes, Hits: p.hits, Misses: p.misses, Bypasses: p.bypasses, Died: p.died}
	for _, shelf := range p.shelves {
		k := KindStats{Name: shelf.kind.Name, Ready: len(shelf.ready), Starting: shelf.starting, Failure: shelf.failure}
		for _, r := range shelf.ready {
			k.Held += r.weight
		}
		s.Ready, s.Starting, s.Held = s.Ready+k.Ready, s.Starting+k.Starting, s.Held+k.Held
		s.Kinds = append(s.Kinds, k)
	}
	slices.SortFunc(s.Kinds, func(a, b KindStats) int { return strings.Compare(a.Name, b.Name) })
	return s
}
