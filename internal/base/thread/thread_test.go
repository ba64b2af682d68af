package thread

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// TestGo: many at once each have a thread, none of them the first, and every one ends.
func TestGo(t *testing.T) {
	const many = 64
	for range 20 {
		var mu sync.Mutex
		var all sync.WaitGroup
		tids := map[int]bool{}
		for range many {
			all.Add(1)
			Go(func() {
				defer all.Done()
				mu.Lock()
				defer mu.Unlock()
				tids[syscall.Gettid()] = true
				if syscall.Gettid() == syscall.Getpid() {
					t.Error("it is the first thread")
				}
			})
			runtime.Gosched()
		}
		all.Wait()
		if len(tids) == 0 {
			t.Fatal("nothing ran")
		}
		for tid := range tids {
			for n := 0; ; n++ {
				if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid)); os.IsNotExist(err) {
					break
				}
				if n == 1e6 {
					t.Fatalf("thread %d stays", tid)
				}
				runtime.Gosched()
			}
		}
	}
}
