package sandbox

import (
	"strconv"
	"testing"
)

// TestSocketMemory: what a function has its sockets hold, and reads from none, is bounded.
func TestSocketMemory(t *testing.T) {
	l := newLab(t)
	for _, kind := range []string{"udp", "tcp"} {
		s := l.spec("hoard", kind, "400")
		s.MemoryBytes, s.TmpBytes = 128*megabyte, 32*megabyte
		out, e := l.run(s)
		n, err := strconv.Atoi(out)
		bound := map[string]int{"v1": 40, "v2": 176, "": 500}[l.ns.can.Sockets] // MB; the doctor says that there is none
		// a connection may have its least whatever the bound
		if err != nil || n < 4 || n > bound {
			t.Errorf("%s: sockets hold %q MB, want 4 to %d: %+v", kind, out, bound, e)
		}
		t.Logf("%s: %s MB", kind, out)
	}
}
