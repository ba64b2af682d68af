package fleet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkWarm is an invocation of 1 KB on an instance that rests, without the door in front.
func BenchmarkWarm(b *testing.B) {
	l := newLab(b)
	body := `{"text":"` + string(make1k()) + `"}`
	for name, fn := range map[string]Function{
		"node":   l.function(l.node, "node", "exports.handler = async (e) => e"),
		"python": l.function(l.py, "python", "def handler(e, c):\n    return e\n"),
	} {
		b.Run(name, func(b *testing.B) {
			l.invoke(fn, body)
			for b.Loop() {
				if out := l.invoke(fn, body); out.FunctionError != "" {
					b.Fatal(string(out.Payload))
				}
			}
		})
	}
}

func make1k() []byte {
	b := make([]byte, 1000)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// BenchmarkCold is from nothing to the answer: sandbox, runtime, handler.
func BenchmarkCold(b *testing.B) {
	l := newLab(b)
	for name, fn := range map[string]Function{
		"node":   l.function(l.node, "node", "exports.handler = async (e) => e"),
		"python": l.function(l.py, "python", "def handler(e, c):\n    return e\n"),
	} {
		b.Run(name, func(b *testing.B) {
			l.invoke(fn, `1`)
			for b.Loop() {
				l.Retire(fn.ARN)
				if out := l.invoke(fn, `1`); !out.Cold {
					b.Fatal("it was warm")
				}
			}
		})
	}
}

// BenchmarkColdPooled is from a ready sandbox to the answer; making the next one ready is outside of the
// clock. Beside the time, which on a busy machine says little, it tells the processor time that this
// process, the inits and the interpreters took.
func BenchmarkColdPooled(b *testing.B) {
	l := pooled(b, 2)
	for name, fn := range map[string]Function{
		"node":   l.function(l.node, "node", "exports.handler = async (e) => e"),
		"python": l.function(l.py, "python", "def handler(e, c):\n    return e\n"),
	} {
		b.Run(name, func(b *testing.B) {
			var took, host, inits, guests []time.Duration
			for b.Loop() {
				b.StopTimer()
				l.Retire(fn.ARN)
				l.prepare(fn)
				pids := waiting(b)
				was := [3]time.Duration{self(b), ran(pids, true), ran(pids, false)}
				began := time.Now()
				b.StartTimer()
				l.invoke(fn, `1`)
				took = append(took, time.Since(began))
				host = append(host, self(b)-was[0])
				inits = append(inits, ran(pids, true)-was[1])
				guests = append(guests, ran(pids, false)-was[2])
			}
			for unit, all := range map[string][]time.Duration{"wall-µs": took, "host-µs": host, "init-µs": inits, "guest-µs": guests} {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds()), unit)
			}
			b.ReportMetric(float64(took[0].Microseconds()), "best-µs")
		})
	}
}

// self is the processor time of this process.
func self(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ran is the processor time of processes, or of their inits.
func ran(pids []int, parents bool) time.Duration {
	total := int64(0)
	for _, pid := range pids {
		if parents {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			pid, _ = strconv.Atoi(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[1])
		}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range threads {
			text, _ := os.ReadFile(file)
			n, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			total += n
		}
	}
	return time.Duration(total)
}
