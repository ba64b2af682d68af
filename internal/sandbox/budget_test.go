package sandbox

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBudgets: what the kernel counts by user, one function takes from itself alone, where each has a user of
// its own; neither the host's root nor another function has less.
func TestBudgets(t *testing.T) {
	l := newLab(t)
	begin := queued(t)
	for what, end := range map[string]string{"watches": "true EMFILE", "timers": "true ok"} {
		for _, who := range []string{"one function", "another beside it"} {
			if got := l.stays(what); l.ns.root && got != end {
				t.Errorf("%s takes %s: %q, want %q", who, what, got, end)
			} else if !strings.HasPrefix(got, "true ") && who == "one function" {
				t.Errorf("%s takes %s: %q", who, what, got)
			}
		}
	}
	if !l.ns.root {
		return // all have one user, as the doctor says of identity
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatalf("the host's root: %v", err)
	}
	if err := unix.Close(fd); err != nil {
		t.Error(err)
	}
	if now := queued(t); now > begin+500 { // two functions have 1,000 each; others of the machine have some
		t.Errorf("signals that wait for the host's root: %d, before %d", now, begin)
	}
}

// stays starts an inmate that stays until the test's end, and gives the first line that it says.
func (l *lab) stays(args ...string) string {
	l.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	s := l.spec(args...)
	s.Stdout = w
	i := l.start(s)
	l.t.Cleanup(func() {
		if err := i.Kill(); err != nil {
			l.t.Error(err)
		}
		w.Close()
		r.Close()
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// queued is how many signals wait for this process's real user.
func queued(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "\nSigQ:")
	said, _, _ := strings.Cut(after, "/")
	n, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
