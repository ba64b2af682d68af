package sandbox

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// watch looks at the memory of every running instance. Where the kernel bounds memory, that bound has
// to hold /tmp as well, so what the processes hold beside it is compared here with what the
// specification grants; where it does not (no delegated cgroup), this is the only bound.
type watch struct {
	mu   sync.Mutex
	all  map[*instance]bool
	stop chan struct{}
}

// glance is how often the watch looks.
const glance = 50 * time.Millisecond

func newWatch() *watch {
	w := &watch{all: map[*instance]bool{}, stop: make(chan struct{})}
	go func() {
		t := time.NewTicker(glance)
		defer t.Stop()
		for n := 0; ; n++ {
			select {
			case <-t.C:
				w.look(n%int(assess/glance) == 0)
			case <-w.stop:
				return
			}
		}
	}()
	return w
}

func (w *watch) close() { close(w.stop) }

func (w *watch) add(i *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[i] = true
}

func (w *watch) remove(i *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, i)
}

// look compares memory, and from time to time assesses the use of processors.
func (w *watch) look(assess bool) {
	w.mu.Lock()
	list := make([]*instance, 0, len(w.all))
	for i := range w.all {
		list = append(list, i)
	}
	w.mu.Unlock()
	for _, i := range list {
		i.checkMemory()
		if assess {
			i.assessCPU()
		}
	}
}

// checkMemory kills an instance whose processes have more than they were granted.
func (i *instance) checkMemory() {
	have, bound, ok := i.memoryNow()
	if ok && have > bound+overheadBytes {
		i.oom.Store(true)
		i.kill()
	}
}

// memoryNow is what the processes hold, and what they were granted; not known for the
// frozen, who take no more.
func (i *instance) memoryNow() (have, bound int64, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone || i.frozen {
		return 0, 0, false
	}
	bound = i.spec.MemoryBytes
	if i.driver.can.Memory != "" {
		have, err := i.holds(bound)
		return have, bound, err == nil
	}
	if i.brood != nil {
		return 0, 0, false // its tree holds all that were launched in it, and nothing of theirs is its own
	}
	have = i.treesMemory()
	i.peak = max(i.peak, have)
	return have, bound, true
}

// Weight implements Weigher.
func (i *instance) Weight() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return 0
	}
	if i.fork.guest != 0 {
		return treeMemory(i.pid) + i.fork.weight()
	}
	return treeMemory(i.pid)
}

// MemoryPeak implements Instance: of what the processes held. Without a cgroup it misses what came and
// went between two looks of the watch.
func (i *instance) MemoryPeak() (int64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return 0, errEnded
	}
	if i.driver.can.Memory != "" {
		return i.heldAtMost()
	}
	i.peak = max(i.peak, i.treesMemory())
	return i.peak, nil
}

// treesMemory adds up the init's tree, and that of a process which was not forked by it.
func (i *instance) treesMemory() int64 {
	total := treeMemory(i.pid)
	if i.fork.guest != 0 {
		total += treeMemory(i.fork.guest)
	}
	return total
}

// treeMemory adds up the anonymous and shared memory of a process and its descendants, in bytes. None
// can leave the tree: orphans become children of the init, which is its root. Memory that forks still
// share counts for each of them.
func treeMemory(pid int) int64 {
	total := int64(0)
	for todo := []string{strconv.Itoa(pid)}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		// processes come and go while we look: what cannot be read is gone
		status, _ := os.ReadFile("/proc/" + p + "/status")
		total += statusMemory(string(status))
		tasks, _ := os.ReadDir("/proc/" + p + "/task")
		for _, t := range tasks {
			children, _ := os.ReadFile("/proc/" + p + "/task/" + t.Name() + "/children")
			todo = append(todo, strings.Fields(string(children))...)
		}
	}
	return total
}

func statusMemory(status string) int64 {
	total := int64(0)
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		if key != "RssAnon" && key != "RssShmem" {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err == nil {
			total += kb << 10
		}
	}
	return total
}

var _ Weigher = (*instance)(nil)
