package fleet

import (
	"regexp"
	"strconv"
	"testing"
)

// TestReportsItsMemory: Max Memory Used tells of the function's memory, shared or not, and not of /tmp; and
// more than MemorySize is never told, nor had.
func TestReportsItsMemory(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "memory", `
import mmap, os, time
def handler(e, c):
    if e["tmp"]:
        with open("/tmp/x", "wb") as f:
            for _ in range(e["tmp"]):
                f.write(b"x" * 2**20)
    if e["shared"]:
        m = mmap.mmap(-1, e["shared"] << 20)
        for at in range(0, len(m), 4096):
            m[at] = 1
        time.sleep(0.5)
    return 1
`)
	fn.MemoryMB, fn.TmpMB = 128, 512
	for _, c := range []struct {
		event, failed string
		least, most   int
	}{
		{`{"tmp":300,"shared":0}`, "", 1, 60},
		{`{"tmp":0,"shared":70}`, "", 70, 120},
		{`{"tmp":0,"shared":250}`, "Unhandled", 128, 128},
	} {
		out := l.invoke(fn, c.event)
		told := regexp.MustCompile(`Max Memory Used: (\d+) MB`).FindSubmatch(out.LogTail)
		if out.FunctionError != c.failed || told == nil {
			t.Fatalf("%s: %q %s, %s", c.event, out.FunctionError, out.Payload, out.LogTail)
		}
		if n, _ := strconv.Atoi(string(told[1])); n < c.least || n > c.most {
			t.Errorf("%s: reported %d MB, want %d to %d", c.event, n, c.least, c.most)
		}
	}
}
