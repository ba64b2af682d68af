package pool

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// memory is a driver whose sandboxes are nothing but their weight.
type memory struct {
	mu     sync.Mutex
	living int
	most   int
	weight int64
	fail   error
}

type box struct {
	d    *memory
	exit chan sandbox.Exit
	once sync.Once
}

func (d *memory) Name() string { return "memory" }

func (d *memory) Start(context.Context, sandbox.Spec) (sandbox.Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	d.living++
	d.most = max(d.most, d.living)
	return &box{d: d, exit: make(chan sandbox.Exit, 1)}, nil
}

func (b *box) Doors() map[string]sandbox.Door { return nil }
func (b *box) Channel() net.Conn              { return nil }
func (b *box) Freeze() error                  { return nil }
func (b *box) Thaw() error                    { return nil }
func (b *box) Wait() <-chan sandbox.Exit      { return b.exit }
func (b *box) MemoryPeak() (int64, error)     { return b.d.weight, nil }
func (b *box) Weight() int64                  { return b.d.weight }
func (b *box) Kill() error {
	b.once.Do(func() {
		b.d.mu.Lock()
		b.d.living--
		b.d.mu.Unlock()
		b.exit <- sandbox.Exit{}
		close(b.exit)
	})
	return nil
}

func newPool(t *testing.T, d *memory, size int, bytes int64) *Pool {
	p := New(Config{Driver: d, Clock: clock.System{}, IDs: ids.Source{}, Size: size, MemoryBytes: bytes, Quiet: time.Millisecond})
	t.Cleanup(func() {
		if err := p.Close(); err != nil || d.living != 0 {
			t.Errorf("%d live after the end: %v", d.living, err)
		}
	})
	return p
}

func eventually(t *testing.T, what string, ok func(Stats) bool, p *Pool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(p.Stats()); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("it did not happen: %s: %+v", what, p.Stats())
		}
	}
}

func kind(name string) Kind { return Kind{Name: name, Spec: sandbox.Spec{Late: true, Hostname: name}} }

// TestBounds: never more than the number, nor than the memory.
func TestBounds(t *testing.T) {
	d := &memory{weight: 10 << 20}
	p := newPool(t, d, 4, 1<<30)
	p.Expect([]Kind{kind("a")})
	eventually(t, "four are ready", func(s Stats) bool { return s.Ready == 4 }, p)
	p.Expect([]Kind{kind("a"), kind("b"), kind("c")})
	eventually(t, "each kind has one", func(s Stats) bool {
		return s.Ready == 4 && len(s.Kinds) == 3 && s.Kinds[1].Ready > 0 && s.Kinds[2].Ready > 0
	}, p)
	tight := newPool(t, &memory{weight: 10 << 20}, 100, 45<<20)
	tight.Expect([]Kind{kind("a")})
	eventually(t, "memory is full", func(s Stats) bool { return s.Held > 30<<20 }, tight)
	if s := tight.Stats(); s.Held > 45<<20 {
		t.Errorf("%+v", s)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.most > 5 { // one that is given up may still be ending when its successor starts
		t.Errorf("%d lived at once", d.most)
	}
}

// TestOff: a pool of nothing gives nothing, and counts nothing.
func TestOff(t *testing.T) {
	p := newPool(t, &memory{}, 0, 0)
	p.Expect([]Kind{kind("a")})
	if r := p.Take(kind("a")); r != nil || p.On() || p.Stats().Misses != 0 {
		t.Errorf("%v %+v", r, p.Stats())
	}
}

// TestTakes: a taken one is the taker's, another specification replaces what is there, and a start that
// fails is told and tried again later.
func TestTakes(t *testing.T) {
	d := &memory{weight: 1}
	p := newPool(t, d, 2, 1<<30)
	if p.Take(kind("a")) != nil {
		t.Error("from nothing")
	}
	eventually(t, "what was missed is made", func(s Stats) bool { return s.Ready == 2 }, p)
	r := p.Take(kind("a"))
	if r == nil {
		t.Fatal("none, though two were ready")
	}
	if err := errors.Join(r.Instance.Kill(), r.Output.Close()); err != nil {
		t.Error(err)
	}
	<-r.Wait
	other := kind("a")
	other.Spec.Hostname = "newer"
	if p.Take(other) != nil {
		t.Error("one of an older specification was handed out")
	}
	eventually(t, "newer ones are made", func(s Stats) bool { return s.Ready == 2 }, p)
	if s := p.Stats(); s.Hits != 1 || s.Misses != 2 {
		t.Errorf("%+v", s)
	}
	d.mu.Lock()
	d.fail = errors.New("no room")
	d.mu.Unlock()
	p.Expect([]Kind{kind("b")})
	eventually(t, "the failure is told", func(s Stats) bool {
		for _, k := range s.Kinds {
			if k.Name == "b" {
				return k.Failure == "no room"
			}
		}
		return false
	}, p)
}

// TestStartsComeFirst: while functions start none is made, unless that takes long.
func TestStartsComeFirst(t *testing.T) {
	for name, c := range map[string]struct {
		start time.Duration
		made  int // while it starts
	}{"a start": {time.Second, 0}, "a start that takes long": {4 * time.Second, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, &memory{weight: 1}, 1, 0)
				started := p.Starting()
				p.Expect([]Kind{{Name: "k"}})
				time.Sleep(c.start)
				if n := p.Stats().Ready; n != c.made {
					t.Errorf("%d were made meanwhile", n)
				}
				started()
				time.Sleep(time.Second)
				if n := p.Stats().Ready; n != 1 {
					t.Errorf("%d are ready afterwards", n)
				}
			})
		})
	}
}
