package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// BenchmarkRefill makes one python ready, forked and executed by turns. It tells the processor time of all
// that takes part, for which it moves itself into a group of the v1 hierarchy cpuacct, and the private dirty
// memory that came with it.
func BenchmarkRefill(b *testing.B) {
	group := filepath.Join("/sys/fs/cgroup/cpuacct", "bastide-refill-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		b.Fatal(err)
	}
	move := func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			b.Fatal(err)
		}
	}
	move(group)
	b.Cleanup(func() { move(filepath.Dir(group)); _ = os.Remove(group) })
	l := newLab(b)
	rt, err := l.deps.Runtimes.Resolve(b.Context(), l.py)
	if err != nil {
		b.Fatal(err)
	}
	kind, err := l.kind(rt, "123456789012", 128)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	ready := func(fork bool) func() {
		spec := kind.Spec
		n++
		spec.ID, spec.Fork = fmt.Sprint("r", n), fork
		box, err := l.deps.Driver.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		if err := runtimeapi.NewChannel(box.Channel()).Waiting(b.Context()); err != nil {
			b.Fatal(err)
		}
		return func() {
			if err := box.Kill(); err != nil {
				b.Error(err)
			}
		}
	}
	defer ready(true)() // which keeps the nest
	used, dirty := map[bool][]float64{}, map[bool][]float64{}
	for b.Loop() {
		for _, fork := range []bool{true, false} {
			time0, memory0 := usage(b, group), private(group)
			end := ready(fork)
			used[fork] = append(used[fork], float64((usage(b, group)-time0).Microseconds())/1000)
			dirty[fork] = append(dirty[fork], float64(private(group)-memory0)/1024)
			end()
		}
	}
	for fork, name := range map[bool]string{true: "forked", false: "executed"} {
		slices.Sort(used[fork])
		slices.Sort(dirty[fork])
		b.ReportMetric(used[fork][len(used[fork])/2], name+"-cpu-ms")
		b.ReportMetric(dirty[fork][len(dirty[fork])/2], name+"-MB")
	}
}

// usage is the processor time of a group.
func usage(b *testing.B, group string) time.Duration {
	text, err := os.ReadFile(filepath.Join(group, "cpuacct.usage"))
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}

// private is the private dirty memory of a group's processes but this one, in KB.
func private(group string) (kb int) {
	pids, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	for pid := range strings.FieldsSeq(string(pids)) {
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		text, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup") // it may have ended
		_, rest, _ := strings.Cut(string(text), "Private_Dirty:")
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.Atoi(f[0])
			kb += n
		}
	}
	return kb
}
