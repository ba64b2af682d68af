package store

import (
	"sync"
	"sync/atomic"
)

// watchers tell who asked when a space has changed.
type watchers struct {
	mu     sync.Mutex
	next   int
	by     map[string]map[int]chan struct{}
	counts sync.Map // space → *atomic.Uint64
	closed bool
}

// Changes counts the commits of this process that wrote to space. It has grown by the time that
// such an Update returns, so that a copy made at one count is fresh while the count stays.
func (db *DB) Changes(space string) uint64 { return db.watch.count(space).Load() }

func (w *watchers) count(space string) *atomic.Uint64 {
	if n, ok := w.counts.Load(space); ok {
		return n.(*atomic.Uint64)
	}
	n, _ := w.counts.LoadOrStore(space, new(atomic.Uint64))
	return n.(*atomic.Uint64)
}

// Watch gives a signal after each commit that wrote to space. Signals that are not collected
// merge into one; the first read after a signal sees the change. It is a hint: who must not miss a
// change made by another process polls too. cancel ends it and closes the channel, as does Close.
func (db *DB) Watch(space string) (changed <-chan struct{}, cancel func()) {
	w := &db.watch
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		close(c)
		return c, func() {}
	}
	if w.by == nil {
		w.by = map[string]map[int]chan struct{}{}
	}
	if w.by[space] == nil {
		w.by[space] = map[int]chan struct{}{}
	}
	n := w.next
	w.next++
	w.by[space][n] = c
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, ok := w.by[space][n]; ok {
			delete(w.by[space], n)
			close(c)
		}
	}
}

func (w *watchers) tell(spaces map[string]struct{}) {
	for sp := range spaces {
		w.count(sp).Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for sp := range spaces {
		for _, c := range w.by[sp] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

func (w *watchers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, m := range w.by {
		for _, c := range m {
			close(c)
		}
	}
	w.by = nil
}
