package sandbox

import (
	"errors"
	"testing"
)

// TestNestsAreSpent: no more than ForksAtMost come from one process, and none after it has ended.
func TestNestsAreSpent(t *testing.T) {
	b := &brood{living: map[*instance]int{}}
	for n := range ForksAtMost {
		i := newInstance(nil, Spec{})
		if !b.take(i) || i.fork.number != n {
			t.Fatalf("place %d: %d", n, i.fork.number)
		}
	}
	if b.take(newInstance(nil, Spec{})) {
		t.Error("one too many was taken")
	}
	ended := &brood{living: map[*instance]int{}}
	if !ended.take(newInstance(nil, Spec{})) {
		t.Fatal("a new nest takes nobody")
	}
	ended.spend()
	if ended.take(newInstance(nil, Spec{})) {
		t.Error("one was taken after the end")
	}
}

// TestForks: this machine lets sandboxes be launched from inside another one, and nothing of the attempt is left.
func TestForks(t *testing.T) {
	l := newLab(t)
	if err := l.ns.Forks(); err != nil {
		t.Fatal(err)
	}
	bad := l.spec("hello")
	bad.Fork = true
	if _, err := l.ns.Start(t.Context(), bad); err == nil {
		t.Error("what awaits nothing was forked")
	}
	bad.Late, bad.Channel = true, true // a program that knows nothing of it
	var start *StartError
	if _, err := l.ns.Start(t.Context(), bad); !errors.As(err, &start) {
		t.Errorf("a program that does not wait to be forked: %v", err)
	}
}
