package load

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// neighbours are functions that take all that they can get for as long as their event says, in seconds.
var neighbours = map[string]struct {
	code   string
	memory int32
}{
	// as many threads of computing as the machine has, with two processors' worth of memory
	"cpu": {`
import os, time
def handler(event, context):
    end = time.time() + event["n"]
    kids = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            while time.time() < end: pass
            os._exit(0)
        kids.append(pid)
    for k in kids: os.waitpid(k, 0)
    return "spun"
`, 3538},
	// nearly its whole memory, touched, let go and taken again
	"memory": {`
import mmap, time
def handler(event, context):
    end = time.time() + event["n"]
    rounds = 0
    while time.time() < end:
        m = mmap.mmap(-1, 850 << 20)
        for at in range(0, len(m), 4096): m[at] = 1
        m.close()
        rounds += 1
    return "touched" if rounds else "never"
`, 1024},
	// processes that make processes, as fast and as many as they can be
	"fork": {`
import os, time
def handler(event, context):
    end = time.time() + event["n"]
    refused = 0
    def bomb(depth):
        nonlocal refused
        while time.time() < end:
            try:
                pid = os.fork()
            except OSError:
                refused += 1
                time.sleep(0.001)
                try:
                    while os.waitpid(-1, os.WNOHANG)[0]: pass
                except ChildProcessError:
                    pass
                continue
            if pid == 0:
                if depth < 3: bomb(depth + 1)
                else: time.sleep(max(0, end - time.time()))
                os._exit(0)
    bomb(0)
    return "forked" if refused else "no bound"
`, 1769},
	// all of /tmp, again and again
	"disk": {`
import os, time
def handler(event, context):
    end = time.time() + event["n"]
    block, refused = b"x" * (1 << 20), 0
    while time.time() < end:
        try:
            with open("/tmp/full", "wb", 0) as f:
                while time.time() < end: f.write(block); f.flush(); os.fsync(f.fileno())
        except OSError:
            refused += 1
        if os.path.exists("/tmp/full"): os.remove("/tmp/full")
    return "filled" if refused else "no bound"
`, 1769},
}

const (
	window      = 200                   // calls, of which the 99th percentile is one figure
	pace        = 10 * time.Millisecond // between two calls
	noisy       = 1.5 * window * float64(pace) / float64(time.Second)
	patienceFor = 2 * time.Minute
)

// TestNoisyNeighbour: a neighbour that takes all the processor, memory, processes or disk it can does not
// double the 99th percentile of another function's steady calls. Quiet and noisy windows alternate, and
// the medians of their percentiles are compared, so that what else the machine does meets both.
func TestNoisyNeighbour(t *testing.T) {
	rounds, least := 2, false
	if os.Getenv("BASTIDE_SOAK") != "" {
		rounds, least = 7, true // only so many windows are a judgement
	}
	g := newStage(t)
	g.function("victim", "def handler(event, context):\n    return event['n'] * 2\n", 1769)
	for name, n := range neighbours {
		g.function(name, n.code, n.memory)
	}
	g.percentile()
	for _, name := range []string{"cpu", "memory", "fork", "disk"} {
		if answer, problem, err := g.invoke(t.Context(), name, `{"n":0.5}`); err != nil || problem != "" { // warm
			t.Fatalf("%s: %s %s %v", name, answer, problem, err)
		}
		var quiet, beside []time.Duration
		for range rounds {
			quiet = append(quiet, g.percentile())
			beside = append(beside, g.beside(name))
		}
		a, b := median(quiet), median(beside)
		ratio := float64(b) / float64(a)
		t.Logf("%s: quiet %v, beside it %v: %.2f × (%v, %v)", name, a, b, ratio, quiet, beside)
		if least && ratio >= 2 {
			t.Errorf("%s makes the 99th percentile %.2f times what it was", name, ratio)
		}
	}
}

// percentile is the 99th of a window of calls at a steady pace.
func (g *stage) percentile() time.Duration {
	g.Helper()
	var took []time.Duration
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := range window {
		<-tick.C
		began := time.Now()
		if answer, problem, err := g.invoke(g.Context(), "victim", fmt.Sprintf(`{"n":%d}`, i)); err != nil || problem != "" || answer != fmt.Sprint(2*i) {
			g.Fatalf("call %d: %q %s %v", i, answer, problem, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// beside is the same while the neighbour has at it.
func (g *stage) beside(name string) time.Duration {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), patienceFor)
	defer cancel()
	var wg sync.WaitGroup
	var answer, problem string
	var err error
	begun := make(chan struct{})
	wg.Go(func() {
		close(begun)
		answer, problem, err = g.invoke(ctx, name, fmt.Sprintf(`{"n":%v}`, noisy))
	})
	<-begun
	p := g.percentile()
	wg.Wait()
	if err != nil || problem != "" || strings.Contains(answer, "no") {
		g.Errorf("%s: %s %s %v", name, answer, problem, err)
	}
	return p
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}
