package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func queueConfig() Config { return Config{BatchSize: 10, Concurrency: 5} }

func (h *history) runQueue(c Config, q *queue, work func([]body) (Answer, error), done func() bool) {
	h.Helper()
	m := &QueueMapping{Config: c, Deps: h.deps(newLedger(), h.handled(work)), Source: q}
	p := start(h.Context(), func(p *process) error { return m.Run(p.ctx) })
	defer p.crash()
	for range 10000 {
		time.Sleep(100 * time.Millisecond) // of the bubble's time
		if done() {
			return
		}
	}
	h.Errorf("it never ended; %d open", h.open())
}

func TestMessagesAreDeletedWhenTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, q := newHistory(t), newQueue(false)
		h.ordered = false
		for i := range 25 {
			q.put(h.send(body{ID: fmt.Sprint(i)}))
		}
		failed := false
		var got sizes
		h.runQueue(queueConfig(), q, func(r []body) (Answer, error) {
			got.add(r)
			if slices.ContainsFunc(r, func(b body) bool { return b.ID == "3" }) && !failed {
				failed = true
				return failing()
			}
			return Answer{}, nil
		}, func() bool { return q.len() == 0 })
		h.judge()
		for id, n := range h.taken {
			if n != 1 {
				t.Errorf("%s was taken %d times", id, n)
			}
		}
		slices.Sort(got.all)
		if !slices.Equal(got.all, []int{5, 10, 10, 10}) {
			t.Errorf("batches %v", got.all)
		}
	})
}

func TestOnlyWhatFailedComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, q := newHistory(t), newQueue(false)
		h.ordered = false
		for i := range 5 {
			q.put(h.send(body{ID: fmt.Sprint(i)}))
		}
		c := queueConfig()
		c.PartialFailures = true
		var got sizes
		h.runQueue(c, q, func(r []body) (Answer, error) {
			got.add(r)
			if len(r) == 5 {
				return Answer{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"3"}]}`)}, nil
			}
			return Answer{}, nil
		}, func() bool { return q.len() == 0 })
		if !slices.Equal(got.ids, []string{"01234", "13"}) {
			t.Errorf("%v", got.ids)
		}
	})
}

func TestFilteredMessagesAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, q := newHistory(t), newQueue(false)
		h.ordered = false
		c := queueConfig()
		c.Content, c.Filters = "body", filters(t, `{"body":{"n":[{"numeric":[">",1]}]}}`, `{"body":["plain"],"kind":["text"]}`)
		for i, seen := range []string{`{"body":"{\"n\":1}"}`, `{"body":"{\"n\":2}"}`, `{"body":"no json"}`, `{"body":"plain","kind":"text"}`, `{"body":"{\"n\":\"3\"}"}`} {
			r := h.send(body{ID: fmt.Sprint(i)})
			r.Seen = []byte(seen)
			q.put(r)
		}
		h.runQueue(c, q, func([]body) (Answer, error) { return Answer{}, nil }, func() bool { return q.len() == 0 })
		if h.taken["1"] != 1 || h.taken["3"] != 1 || len(h.taken) != 2 {
			t.Errorf("%v", h.taken)
		}
	})
}

func TestAQueuesWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, q := newHistory(t), newQueue(false)
		h.ordered = false
		c := queueConfig()
		c.BatchSize, c.Window = 30, 20*time.Second
		go func() {
			for i := range 40 {
				q.put(h.send(body{ID: fmt.Sprint(i)}))
				time.Sleep(time.Second)
			}
		}()
		var got sizes
		h.runQueue(c, q, func(r []body) (Answer, error) { got.add(r); return Answer{}, nil }, func() bool { return len(h.taken) == 40 })
		if len(got.all) != 2 || got.all[0] < 19 || got.all[0] > 21 {
			t.Errorf("%v", got.all)
		}
	})
}

func TestConcurrencyOfAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, q := newHistory(t), newQueue(false)
		h.ordered = false
		for i := range 200 {
			q.put(h.send(body{ID: fmt.Sprint(i)}))
		}
		c := queueConfig()
		c.BatchSize, c.Concurrency = 1, 7
		var mu sync.Mutex
		running, most, throttled := 0, 0, 0
		h.runQueue(c, q, func([]body) (Answer, error) {
			mu.Lock()
			running++
			most = max(most, running)
			full := running > 6
			if full {
				throttled++
			}
			mu.Unlock()
			defer func() { mu.Lock(); running--; mu.Unlock() }()
			if full {
				return Answer{}, ErrThrottled
			}
			time.Sleep(time.Second)
			return Answer{}, nil
		}, func() bool { return q.len() == 0 })
		h.judge()
		if most != 7 || throttled > 40 {
			t.Errorf("%d at once, %d throttled", most, throttled)
		}
	})
}

// TestNoMessageIsLostWhenPollersDie kills pollers at random moments; of a FIFO queue, the groups keep
// their order.
func TestNoMessageIsLostWhenPollersDie(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { dying(t, seed, seed%2 == 0) })
	}
}

func dying(t *testing.T, seed uint64, fifo bool) {
	random := chance(seed)
	h, l := newHistory(t), newLedger()
	h.ordered = fifo
	q := newQueue(fifo)
	c := queueConfig()
	c.FIFO, c.PartialFailures = fifo, random.IntN(2) == 0
	c.BatchSize = 1 + random.IntN(10)
	var mu sync.Mutex
	odds := func(n int) bool { mu.Lock(); defer mu.Unlock(); return random.IntN(n) == 0 }
	work := func(records []body) (Answer, error) {
		time.Sleep(time.Duration(len(records)*50) * time.Millisecond)
		switch {
		case odds(12):
			return Answer{}, ErrThrottled
		case odds(20):
			return Answer{}, errors.New("trouble")
		case odds(12):
			return failing()
		case c.PartialFailures && odds(6):
			// As the guide wants of functions on FIFO queues: all from the first failure on.
			var ids []string
			for _, r := range records[len(records)/2:] {
				ids = append(ids, `{"itemIdentifier":"`+r.ID+`"}`)
			}
			return Answer{Payload: []byte(`{"batchItemFailures":[` + strings.Join(ids, ",") + `]}`)}, nil
		}
		return Answer{}, nil
	}
	feeding := chance(seed + 99)
	go func() {
		for i := range 300 {
			q.put(h.send(body{ID: fmt.Sprint(i), Key: fmt.Sprint("g", feeding.IntN(5))}))
			time.Sleep(200 * time.Millisecond)
		}
	}()
	for round := 0; round < 20 || h.open() > 0 && round < 60; round++ {
		m := &QueueMapping{Config: c, Source: q}
		p := start(t.Context(), func(p *process) error {
			m.Deps = h.deps(mortal{p, l}, h.handled(work))
			m.Source = mute{p, q}
			return m.Run(p.ctx)
		})
		mu.Lock()
		life := time.Duration(random.IntN(60_000)) * time.Millisecond
		mu.Unlock()
		if round >= 20 {
			life = 5 * time.Minute
		}
		time.Sleep(life)
		p.crash()
	}
	h.judge()
	t.Logf("seed %d: %d messages, %d invocations", seed, len(h.taken), h.delivered)
}
