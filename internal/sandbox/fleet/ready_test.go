package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// counting answers with how its instance came to be and which of its invocations this is.
const counting = "import os\nn = 0\ndef handler(e, c):\n    global n\n    n += 1\n    return [os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], n, c.tenant_id]\n"

// await polls until a condition holds: instances start and end beside the test.
func (l *lab) await(what string, done func() bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if done() {
			return
		}
		<-tick.C
	}
	living, resting := l.Count()
	l.t.Fatalf("never: %s (%d live, %d rest)\n%s", what, living, resting, strings.Join(l.logs(), ""))
}

func TestInstancesAreHeldReady(t *testing.T) {
	l := newLab(t, func(d *Deps) { d.EndAfter = 50 * time.Millisecond })
	fn := l.function(l.py, "held", counting)
	fn.Version, fn.InitType, fn.Provisioned = "1", Provisioned, 2
	l.Keep([]Wish{{fn, 2}})
	ready := func(n int) func() bool { return func() bool { return l.Ready(fn.ARN, "1") == Readiness{Ready: n} } }
	l.await("two are ready", ready(2))

	// The first call finds one initialised, and so does one beside it.
	out := l.invoke(fn, `1`)
	l.want(out, "", `\["provisioned-concurrency", 1, null\]`)
	if out.Cold {
		t.Error("a call started an instance though two were ready")
	}
	// Long after an ordinary one would have been ended, both are there.
	old := l.function(l.py, "other", counting)
	l.invoke(old, `1`)
	l.await("the ordinary one has ended", func() bool { living, _ := l.Count(); return living == 2 })
	if got := l.Ready(fn.ARN, "1"); got.Ready != 2 {
		t.Errorf("%+v are ready", got)
	}
	// One that is lost is replaced.
	l.mu.Lock()
	clear(l.events)
	l.mu.Unlock()
	l.Fleet.mu.Lock()
	victim := l.groups[groupKey{arn: fn.ARN, version: "1"}].idle[0]
	l.Fleet.mu.Unlock()
	if err := victim.close(); err != nil {
		t.Fatal(err)
	}
	l.await("the lost one is replaced", func() bool { living, resting := l.Count(); return living == 2 && resting == 2 })
	// Not wished for any more, they end.
	l.Keep(nil)
	l.await("all have ended", func() bool { living, _ := l.Count(); return living == 0 })
	if got := l.Ready(fn.ARN, "1"); got != (Readiness{}) {
		t.Errorf("%+v after the wish", got)
	}
}

func TestReadyInstancesAreRenewedBeforeTheirCredentialsEnd(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "renewed", counting)
	fn.Version, fn.InitType = "1", Provisioned
	l.Keep([]Wish{{fn, 1}})
	l.await("one is ready", func() bool { return l.Ready(fn.ARN, "1").Ready == 1 })
	first := func() *instance {
		l.Fleet.mu.Lock()
		defer l.Fleet.mu.Unlock()
		if g := l.groups[groupKey{arn: fn.ARN, version: "1"}]; len(g.idle) == 1 {
			return g.idle[0]
		}
		return nil
	}
	was := first()
	l.clock.move(55 * time.Minute) // of an hour
	l.Fleet.mu.Lock()
	l.wishes[groupKey{arn: fn.ARN, version: "1"}].nudge() // as the minute's look does
	l.Fleet.mu.Unlock()
	l.await("another has taken its place", func() bool { now := first(); return now != nil && now != was })
	out := l.invoke(fn, `1`)
	if l.want(out, "", `\["provisioned-concurrency", 1, null\]`); out.Cold {
		t.Error("the call had to start one")
	}
}

func TestAWishThatCannotBeFulfilledSaysWhy(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "broken", "raise ValueError('no')\n")
	fn.Version = "1"
	l.Keep([]Wish{{fn, 1}})
	l.await("the reason is there", func() bool { return strings.Contains(l.Ready(fn.ARN, "1").Failure, "ValueError") })
	if l.Ready(fn.ARN, "1").Ready != 0 {
		t.Error("one that failed counts as ready")
	}
	// A new revision is another try.
	good := l.function(l.py, "broken", counting)
	good.Version, good.Revision = "1", "2"
	l.Keep([]Wish{{good, 1}})
	l.await("the new one is ready", func() bool { return l.Ready(fn.ARN, "1") == Readiness{Ready: 1} })
}

func TestAnInstanceServesOneTenant(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "tenants", counting)
	fn.PerTenant = true
	call := func(tenant string) string {
		t.Helper()
		ev := event1(`1`)
		ev.TenantID = tenant
		out, err := l.Invoke(t.Context(), fn, ev)
		if err != nil {
			t.Fatal(err)
		}
		return string(out.Payload)
	}
	var got []string
	for _, tenant := range []string{"a", "b", "a", "b", "a c"} {
		got = append(got, call(tenant))
	}
	if want := []string{`["on-demand", 1, "a"]`, `["on-demand", 1, "b"]`, `["on-demand", 2, "a"]`, `["on-demand", 2, "b"]`, `["on-demand", 1, "a c"]`}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	_, err := l.Invoke(t.Context(), fn, event1(`1`))
	if e, ok := errors.AsType[*TenantError](err); !ok || !e.Wanted {
		t.Errorf("without a tenant: %v", err)
	}
	fn.PerTenant = false
	ev := event1(`1`)
	ev.TenantID = "a"
	_, err = l.Invoke(t.Context(), fn, ev)
	if e, ok := errors.AsType[*TenantError](err); !ok || e.Wanted {
		t.Errorf("with a tenant where none may be: %v", err)
	}
	l.Retire(fn.ARN)
	l.await("all have ended", func() bool { living, _ := l.Count(); return living == 0 })
}

func TestAnInstanceServesOneEvent(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "once", counting)
	fn.Once = true
	for range 3 {
		out := l.invoke(fn, `1`)
		if l.want(out, "", `\["on-demand", 1, null\]`); !out.Cold {
			t.Error("an instance was used again")
		}
	}
	if living, _ := l.Count(); living != 0 {
		t.Errorf("%d instances live on", living)
	}
	// Those that wait ready are fresh ones too.
	fn.Version, fn.Revision = "1", "2"
	l.Keep([]Wish{{fn, 1}})
	for range 2 {
		l.await("one is ready", func() bool { _, resting := l.Count(); return resting == 1 })
		out := l.invoke(fn, `1`)
		if l.want(out, "", `\["on-demand", 1, null\]`); out.Cold {
			t.Error("the ready one was not used")
		}
	}
}

// at admits an invocation and says how it was refused.
func (l *lab) at(fn *Function) string {
	_, err := l.admit(fn)
	if e, ok := errors.AsType[*ThrottledError](err); ok {
		return e.Reason
	}
	return fmt.Sprint(err)
}

func TestAdmissionAndItsReasons(t *testing.T) {
	l := newLab(t, func(d *Deps) { d.Concurrency = 2 })
	plain := Function{ARN: "arn:plain", Version: "$LATEST", Account: "1", Region: "r"}
	held := Function{ARN: "arn:held", Version: "1", Account: "1", Region: "r", Provisioned: 1, HeldBack: 1}
	plain.HeldBack = 1
	want := func(fn *Function, wanted string) {
		t.Helper()
		if got := l.at(fn); got != wanted {
			t.Errorf("%s: %s, want %s", fn.ARN, got, wanted)
		}
	}
	want(&held, "<nil>")             // on what is held ready
	want(&held, "<nil>")             // spilled over to what all share
	want(&plain, ConcurrentExceeded) // which has room for one
	want(&held, ConcurrentExceeded)
	l.leave(&held, provisionedLane)
	want(&held, "<nil>")
	l.leave(&held, sharedLane)
	want(&plain, "<nil>")
	l.leave(&plain, sharedLane)

	own := Function{ARN: "arn:own", Version: "$LATEST", Account: "1", Region: "r", Reserved: new(1)}
	for range perInstance {
		want(&own, "<nil>")
		want(&own, ReservedExceeded)
		l.leave(&own, reservedLane)
	}
	want(&own, ReservedRateExceeded)
	l.clock.move(time.Second / perInstance)
	want(&own, "<nil>")

	// So has what all share.
	l.Fleet.mu.Lock()
	*l.rates["1 r"] = bucket{at: l.clock.Now().Add(time.Hour)}
	l.Fleet.mu.Unlock()
	want(&plain, RateExceeded)
}

// quotas are the bounds of this process's instances in thousandths of a processor, by the kernel's own
// files.
func quotas(t *testing.T) (all []string) {
	t.Helper()
	mine := fmt.Sprintf("-%d-", os.Getpid())
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, mine) || !strings.HasPrefix(filepath.Base(filepath.Dir(path)), "f-") {
			return nil // others come and go
		}
		if d.Name() == "cpu.max" || d.Name() == "cpu.cfs_quota_us" {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all = append(all, strings.Fields(string(b))[0])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestProcessorsFollowMemory(t *testing.T) {
	for mb, want := range map[int]int{128: 72, 1769: 1000, 3538: 2000, 10240: 5788} {
		if got := thousandths(mb); got != want {
			t.Errorf("%d MB: %d, want %d", mb, got, want)
		}
	}
	l := newLab(t)
	fn := l.function(l.py, "small", counting)
	fn.MemoryMB = 128
	l.invoke(fn, `1`)
	if os.Geteuid() != 0 {
		return // without a delegated cgroup nothing is bounded, as doctor says
	}
	got := slices.DeleteFunc(quotas(t), func(q string) bool { return q == "-1" || q == "max" }) // sandboxes that wait for a function
	if !slices.Equal(got, []string{"7200"}) {                                                   // of 100,000 µs
		t.Errorf("the kernel has %q", got)
	}
}
