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

// TestNestsOutliveNoFailure: what could not be launched in a nest holds no place there.
func TestNestsOutliveNoFailure(t *testing.T) {
	n := &Namespace{closed: true, living: map[string]*instance{}, users: users{first: firstUID, count: uids, blocks: map[int]bool{}}}
	block, err := n.users.block()
	if err != nil {
		t.Fatal(err)
	}
	b := &brood{driver: n, living: map[*instance]int{}, block: block}
	n.broods = []*brood{b}
	i := newInstance(n, Spec{ID: "late"})
	if !b.take(i) {
		t.Fatal("a new nest takes nobody")
	}
	i.fork.from = b
	if _, err := n.begin(t.Context(), i); err == nil {
		t.Error("a closed driver has started something")
	}
	if len(b.living) != 0 || !b.retired || len(n.broods) != 0 {
		t.Errorf("the nest waits on: %+v", b)
	}
	if other, err := n.users.block(); other == b.block || err != nil {
		t.Errorf("two nests have the same users: %v", err)
	}
}
