package mapping

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func streamConfig() Config {
	return Config{BatchSize: 10, Start: Position{Kind: TrimHorizon}, Retries: -1, Age: -1, Parallel: 1}
}

// run runs a mapping in a process of its own until the history has no open records.
func (h *history) runStream(c Config, s *stream, work func([]body) (Answer, error), done func() bool) {
	h.Helper()
	m := &StreamMapping{Config: c, Deps: h.deps(newLedger(), h.handled(work)), Source: s}
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

// sizes gathers the lengths of batches.
type sizes struct {
	mu  sync.Mutex
	all []int
	ids []string
}

func (s *sizes) add(records []body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, len(records))
	var ids []string
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	s.ids = append(s.ids, strings.Join(ids, ""))
}

func fill(h *history, s *stream, shard string, n int) {
	for i := range n {
		s.put(shard, h.send(body{ID: string(rune('a'+i%26)) + strings.Repeat("'", i/26), Key: "k"}))
	}
}

func TestBisect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHistory(t), newStream(Shard{ID: "s"})
		fill(h, s, "s", 8)
		c := streamConfig()
		c.Bisect, c.Retries = true, 1
		var got sizes
		h.runStream(c, s, func(r []body) (Answer, error) {
			got.add(r)
			if slices.ContainsFunc(r, func(b body) bool { return b.ID == "c" }) {
				return failing()
			}
			return Answer{}, nil
		}, func() bool { return h.open() == 0 })
		h.judge()
		want := []string{"abcdefgh", "abcd", "ab", "cd", "c", "c", "d", "efgh"}
		if !slices.Equal(got.ids, want) {
			t.Errorf("batches %v, want %v", got.ids, want)
		}
		if want := map[string]string{"c": Exhausted}; !reflect.DeepEqual(h.dropped, want) {
			t.Errorf("%v", h.dropped)
		}
	})
}

func TestPartialFailuresOfAStream(t *testing.T) {
	for _, c := range []struct {
		name   string
		bisect bool
		want   []string
	}{
		{"from the first that failed", false, []string{"abcdef", "cdef", "cdef"}},
		{"bisected there", true, []string{"abcdef", "cdef", "cd", "c", "c", "c", "d", "ef"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, s := newHistory(t), newStream(Shard{ID: "s"})
			fill(h, s, "s", 6)
			cfg := streamConfig()
			cfg.PartialFailures, cfg.Retries, cfg.Bisect = true, 2, c.bisect
			var got sizes
			h.runStream(cfg, s, func(r []body) (Answer, error) {
				got.add(r)
				if slices.ContainsFunc(r, func(b body) bool { return b.ID == "c" }) {
					return partial("c")
				}
				return Answer{Payload: []byte(`{"batchItemFailures":[]}`)}, nil
			}, func() bool { return h.open() == 0 })
			h.judge()
			if !slices.Equal(got.ids, c.want) {
				t.Errorf("%s: batches %v, want %v", c.name, got.ids, c.want)
			}
		})
	}
}

func TestRecordsTooOldAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHistory(t), newStream(Shard{ID: "s"})
		fill(h, s, "s", 3)
		c := streamConfig()
		c.Age = time.Minute
		begun := time.Now()
		h.runStream(c, s, func(r []body) (Answer, error) { return failing() }, func() bool { return h.open() == 0 })
		if took := time.Since(begun); took < time.Minute || took > 3*time.Minute {
			t.Errorf("given up after %v", took)
		}
		for id, why := range h.dropped {
			if why != TooOld {
				t.Errorf("%s: %s", id, why)
			}
		}
		if len(h.dropped) != 3 || h.reports[0] != FunctionFailed {
			t.Errorf("%v %v", h.dropped, h.reports)
		}
	})
}

func TestThrottlingIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHistory(t), newStream(Shard{ID: "s"})
		fill(h, s, "s", 3)
		c := streamConfig()
		c.Retries = 0
		n := 0
		h.runStream(c, s, func(r []body) (Answer, error) {
			if n++; n < 8 {
				return Answer{}, ErrThrottled
			}
			return Answer{}, nil
		}, func() bool { return h.open() == 0 })
		if len(h.dropped) != 0 || h.reports[0] != Throttled || h.reports[len(h.reports)-1] != OK {
			t.Errorf("%v %v", h.dropped, h.reports)
		}
	})
}

func TestWindowSizeAndFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHistory(t), newStream(Shard{ID: "s"})
		c := streamConfig()
		c.Window = 30 * time.Second
		c.Filters = filters(t, `{"ID":["b"]}`, `{"ID":[{"prefix":"c"}]}`)
		var got sizes
		go func() {
			for i, id := range []string{"a", "b", "c", "d"} {
				r := h.send(body{ID: id, Key: "k"})
				if i == 0 || i == 3 {
					h.drop("filter", r)
				}
				s.put("s", r)
				time.Sleep(5 * time.Second)
			}
		}()
		begun := time.Now()
		h.runStream(c, s, func(r []body) (Answer, error) { got.add(r); return Answer{}, nil }, func() bool { return len(h.taken) == 2 })
		if took := time.Since(begun); !slices.Equal(got.ids, []string{"bc"}) || took < 34*time.Second || took > 38*time.Second {
			t.Errorf("%v after %v", got.ids, took)
		}
	})
}

func TestABatchIsBoundInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHistory(t), newStream(Shard{ID: "s"})
		for i := range 10 {
			r := h.send(body{ID: fmt.Sprint(i), Key: "k"})
			r.Event = []byte(strings.TrimSuffix(string(r.Event), "}") + `,"Pad":"` + strings.Repeat("x", 1<<20) + `"}`)
			s.put("s", r)
		}
		var got sizes
		h.runStream(streamConfig(), s, func(r []body) (Answer, error) { got.add(r); return Answer{}, nil }, func() bool { return h.open() == 0 })
		h.judge()
		if !slices.Equal(got.all, []int{5, 5}) {
			t.Errorf("%v", got.all)
		}
	})
}

func TestStartingPositions(t *testing.T) {
	for kind, want := range map[string]string{TrimHorizon: "abcd", Latest: "d", AtTimestamp: "cd"} {
		synctest.Test(t, func(t *testing.T) {
			h, s := newHistory(t), newStream(Shard{ID: "s"})
			h.ordered = false
			c := streamConfig()
			c.Start = Position{Kind: kind}
			s.put("s", h.send(body{ID: "a", Key: "k"}))
			s.put("s", h.send(body{ID: "b", Key: "k"}))
			time.Sleep(time.Minute)
			if kind == AtTimestamp {
				c.Start.Time = time.Now()
			}
			s.put("s", h.send(body{ID: "c", Key: "k"}))
			time.Sleep(time.Second)
			var got sizes
			go func() {
				time.Sleep(5 * time.Second)
				s.put("s", h.send(body{ID: "d", Key: "k"}))
			}()
			h.runStream(c, s, func(r []body) (Answer, error) { got.add(r); return Answer{}, nil }, func() bool { return h.taken["d"] > 0 })
			if all := strings.Join(got.ids, ""); all != want {
				t.Errorf("%s: %s, want %s", kind, all, want)
			}
		})
	}
}

// TestChildrenFollowTheirParents: a shard that was split is read to its end before its children, and
// these from their beginning though the mapping began at the latest record.
func TestChildrenFollowTheirParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHistory(t), newStream(Shard{ID: "s"})
		c := streamConfig()
		c.Start = Position{Kind: Latest}
		go func() {
			time.Sleep(3 * time.Second)
			for i := range 50 {
				s.put("s", h.send(body{ID: fmt.Sprintf("p%d", i), Key: "k"}))
			}
			s.split("s", "s1", "s2")
			for i := range 50 {
				s.put("s1", h.send(body{ID: fmt.Sprintf("c%d", i), Key: "k"}))
			}
		}()
		h.runStream(c, s, func(r []body) (Answer, error) {
			time.Sleep(time.Second)
			return Answer{}, nil
		}, func() bool { return len(h.taken) == 100 })
		h.judge()
	})
}

func TestOneReaderAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, l := newHistory(t), newStream(Shard{ID: "s"}), newLedger()
		fill(h, s, "s", 26)
		var running, most int
		var mu sync.Mutex
		work := func(r []body) (Answer, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(2 * time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return Answer{}, nil
		}
		c := streamConfig()
		c.BatchSize = 2
		var all []*process
		for range 3 {
			m := &StreamMapping{Config: c, Deps: h.deps(l, h.handled(work)), Source: s}
			all = append(all, start(t.Context(), func(p *process) error { return m.Run(p.ctx) }))
		}
		time.Sleep(5 * time.Minute)
		for _, p := range all {
			p.crash()
		}
		h.judge()
		for id, n := range h.taken {
			if n != 1 {
				t.Errorf("%s was taken %d times", id, n)
			}
		}
		if most != 1 {
			t.Errorf("%d at once", most)
		}
	})
}

// TestNothingIsLostWhenReadersDie kills readers at random moments, with several lanes, poison records,
// filters, functions that fail in every way, and shards that split.
func TestNothingIsLostWhenReadersDie(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { crashing(t, seed) })
	}
}

func crashing(t *testing.T, seed uint64) {
	random := chance(seed)
	h, s, l := newHistory(t), newStream(Shard{ID: "s0"}, Shard{ID: "s1"}), newLedger()
	c := streamConfig()
	c.BatchSize, c.Parallel, c.Retries = 1+random.IntN(20), 1+random.IntN(4), 3
	c.Bisect, c.PartialFailures = random.IntN(2) == 0, random.IntN(2) == 0
	c.Window = time.Duration(random.IntN(3)) * time.Second
	c.Filters = filters(t, `{"ID":[{"anything-but":{"suffix":"-dropped"}}]}`)
	var mu sync.Mutex
	odds := func(n int) bool { mu.Lock(); defer mu.Unlock(); return random.IntN(n) == 0 }
	work := func(records []body) (Answer, error) {
		time.Sleep(time.Duration(100+len(records)*10) * time.Millisecond)
		poison := slices.IndexFunc(records, func(b body) bool { return strings.HasSuffix(b.ID, "-poison") })
		switch {
		case odds(10):
			return Answer{}, ErrThrottled
		case odds(20):
			return Answer{}, errors.New("trouble")
		case poison >= 0 && c.PartialFailures:
			return partial(records[poison].ID)
		case poison >= 0 || odds(15):
			return failing()
		}
		return Answer{}, nil
	}
	go feed(h, s, chance(seed+1000))
	for round := range 40 {
		m := &StreamMapping{Config: c, Source: s}
		p := start(t.Context(), func(p *process) error {
			m.Deps = h.deps(mortal{p, l}, h.handled(work))
			return m.Run(p.ctx)
		})
		mu.Lock()
		life := time.Duration(random.IntN(30_000)) * time.Millisecond
		mu.Unlock()
		time.Sleep(life)
		if round < 30 {
			p.crash()
			continue
		}
		time.Sleep(5 * time.Minute)
		p.crash()
		if h.open() == 0 {
			break
		}
	}
	h.judge()
	for id, why := range h.dropped {
		if why == Exhausted && !c.PartialFailures && c.Bisect && !strings.HasSuffix(id, "-poison") && h.taken[id] > 0 {
			t.Errorf("seed %d: %s was taken and then given up", seed, id)
		}
	}
	t.Logf("seed %d: %d records, %d invocations, %d dropped", seed, len(h.taken), h.delivered, len(h.dropped))
}

// feed writes 400 records over two minutes, and splits a shard half way.
func feed(h *history, s *stream, random *rand.Rand) {
	for i := range 400 {
		id := fmt.Sprint(i)
		switch random.IntN(40) {
		case 0:
			id += "-poison"
		case 1, 2, 3:
			id += "-dropped"
		}
		key := fmt.Sprint("k", random.IntN(6))
		r := h.send(body{ID: id, Key: key})
		if strings.HasSuffix(id, "-dropped") {
			h.drop("filter", r)
		}
		switch {
		case key < "k3":
			s.put("s0", r)
		case i < 200:
			s.put("s1", r)
		case key == "k3":
			s.put("s2", r)
		default:
			s.put("s3", r)
		}
		if i == 200 {
			s.split("s1", "s2", "s3")
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func TestFailures(t *testing.T) {
	records := []Record{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	for payload, want := range map[string]struct {
		failed []int
		all    bool
	}{
		``:                           {},
		`null`:                       {},
		`{}`:                         {},
		`{"batchItemFailures":null}`: {},
		`{"batchItemFailures":[]}`:   {},
		`{"other":1}`:                {},
		`{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}`:  {failed: []int{0, 2}},
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                          {all: true},
		`{"batchItemFailures":[{"itemIdentifier":null}]}`:                        {all: true},
		`{"batchItemFailures":[{"ItemIdentifier":"a"}]}`:                         {all: true},
		`{"batchItemFailures":[{"id":"a"}]}`:                                     {all: true},
		`{"batchItemFailures":[{"itemIdentifier":"z"}]}`:                         {all: true},
		`{"batchItemFailures":[{"itemIdentifier":1}]}`:                           {all: true},
		`{"batchItemFailures":["a"]}`:                                            {all: true},
		`{"batchItemFailures":[null]}`:                                           {all: true},
		`{"batchItemFailures":"a"}`:                                              {all: true},
		`"fine"`:                                                                 {all: true},
		`[1]`:                                                                    {all: true},
		`{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":null}]}`: {all: true},
		`{`: {all: true},
	} {
		failed, all := failures([]byte(payload), records)
		if !slices.Equal(failed, want.failed) || all != want.all {
			t.Errorf("%s: %v %v", payload, failed, all)
		}
	}
}

func FuzzFailures(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}`))
	f.Add([]byte(`{"batchItemFailures":[null,{"itemIdentifier":1}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		failed, all := failures(payload, []Record{{ID: "a"}, {ID: "b"}, {ID: "c"}})
		if all && failed != nil || len(failed) > 3 || !slices.IsSorted(failed) {
			t.Errorf("%v %v", failed, all)
		}
	})
}
