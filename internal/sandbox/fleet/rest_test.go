package fleet

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// stillBox is a sandbox without processes, which can be held.
type stillBox struct {
	sandbox.Instance
	frozen         bool
	freezes, thaws int
	refuses        error
}

func (b *stillBox) Freeze() error {
	if b.refuses == nil {
		b.freezes++
		b.frozen = true
	}
	return b.refuses
}

func (b *stillBox) Thaw() error {
	b.thaws++
	b.frozen = false
	return b.refuses
}

// An instance that has events all the time costs no freezing; one that has none is frozen FreezeAfter its
// last one, to the moment.
func TestFreezesOnlyTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const after = 20 * time.Millisecond
		f := &Fleet{deps: Deps{Clock: clock.System{}, FreezeAfter: after, EndAfter: time.Hour}}
		box := &stillBox{}
		i := &instance{fleet: f, group: &group{}, box: box, ended: make(chan struct{})}
		for range 100 {
			i.sleep(time.Now())
			time.Sleep(after - 1)
			if !i.wake() || box.frozen {
				t.Fatal("it was frozen too early")
			}
			time.Sleep(after / 4) // an event
		}
		if box.freezes != 0 || box.thaws != 0 {
			t.Errorf("%d freezes and %d thaws of a busy one", box.freezes, box.thaws)
		}
		for range 3 {
			i.sleep(time.Now())
			time.Sleep(after)
			synctest.Wait()
			if !box.frozen {
				t.Fatal("it is not frozen in time")
			}
			time.Sleep(time.Minute)
			if !i.wake() || box.frozen {
				t.Fatal("it does not wake")
			}
			time.Sleep(time.Minute) // a long event is not frozen either
			if box.frozen {
				t.Fatal("a busy one is frozen")
			}
		}
		i.timer.Stop()
	})
}

// What cannot be frozen can still be used.
func TestRestlessInstancesWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fleet{deps: Deps{Clock: clock.System{}, FreezeAfter: time.Millisecond, EndAfter: time.Hour}}
		box := &stillBox{refuses: errors.ErrUnsupported}
		i := &instance{fleet: f, group: &group{}, box: box, ended: make(chan struct{})}
		i.sleep(time.Now())
		time.Sleep(time.Second)
		synctest.Wait()
		if !i.deep() || !i.wake() || box.thaws != 0 {
			t.Errorf("deep %v, thawed %d times", i.deep(), box.thaws)
		}
		i.sleep(time.Now())
		time.Sleep(time.Minute)
		box.refuses = nil
		time.Sleep(freezeAgain)
		synctest.Wait()
		if !box.frozen || box.freezes != 1 {
			t.Error("it was not asked again")
		}
		if !i.wake() || box.frozen {
			t.Error("it does not wake")
		}
	})
}
