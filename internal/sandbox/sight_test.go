package sandbox

import (
	"testing"
)

// TestSightCountsWhatItLoses: of more packets than there is room for, those that are not seen are counted,
// and both are known when the sandbox has ended.
func TestSightCountsWhatItLoses(t *testing.T) {
	l := newLab(t)
	const tried = 1500
	args := []string{"dial"}
	for range tried {
		args = append(args, "udp", "10.0.0.1:82")
	}
	s := l.spec(args...)
	s.Doors = []DoorSpec{{Name: "watch", Network: "watch"}}
	i := l.start(s)
	if e := <-i.Wait(); e.Err != nil {
		t.Fatal(e.Err)
	}
	w := i.Doors()["watch"].Watch
	var seen int64
	for b := make([]byte, 100); ; seen++ {
		n, err := w.Read(b)
		if err != nil {
			break
		}
		if got := destination(b[:n]); got != "10.0.0.1:82" {
			t.Fatalf("saw %s", got)
		}
	}
	lost, err := w.Unseen()
	if err != nil || seen == 0 || lost == 0 || seen+lost != tried {
		t.Errorf("%d seen and %d not, of %d: %v", seen, lost, tried, err)
	}
	if again, err := w.Unseen(); again != 0 || err != nil {
		t.Errorf("told again: %d, %v", again, err)
	}
}
