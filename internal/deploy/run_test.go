package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

const first = `
Resources:
  A: {Type: Test::World::Thing, Properties: {Value: old}}
  B: {Type: Test::World::Thing, Properties: {Value: old, Uses: [!Ref A]}}
  C: {Type: Test::World::Thing, Properties: {Name: fixed, Value: !GetAtt A.Arn, Uses: [!Ref A, !Ref B]}}
  Gone: {Type: Test::World::Thing, Properties: {Value: old, Uses: [!Ref A]}}
`

// second replaces A, changes B, makes C follow A, adds New and removes Gone.
const second = `
Resources:
  A: {Type: Test::World::Thing, Properties: {Value: new, Kind: other}}
  B: {Type: Test::World::Thing, Properties: {Value: new, Uses: [!Ref A]}}
  C: {Type: Test::World::Thing, Properties: {Name: fixed, Value: !GetAtt A.Arn, Uses: [!Ref A, !Ref B]}}
  New: {Type: Test::World::Thing, Properties: {Value: new, Uses: [!Ref C]}}
`

// create, update and remove are operations with their phases, as a stack goes through them; phase
// is kept outside of the run, as the stack keeps it.
func create(w *world, op, body string, phase *string) error {
	g := bound(w.t, body)
	if *phase == "" {
		failed, err := w.run(op).Forward(context.Background(), g)
		if err != nil {
			return err
		}
		if len(failed) == 0 {
			return nil
		}
		*phase = "back"
	}
	_, err := w.run(op).Delete(context.Background(), Deletion{Creating: true})
	return err
}

func update(w *world, op, body string, phase *string) error {
	ctx, g := context.Background(), bound(w.t, body)
	if *phase == "" {
		failed, err := w.run(op).Forward(ctx, g)
		if err != nil {
			return err
		}
		*phase = "clean"
		if len(failed) > 0 {
			*phase = "back"
		}
	}
	if *phase == "back" {
		failed, err := w.run(op).Undo(ctx)
		if err != nil {
			return err
		}
		if len(failed) > 0 {
			w.t.Errorf("not restored: %v", failed)
		}
		*phase = "sweep"
	}
	stands := func(id string) bool { return g.Resource(id) != nil }
	if *phase == "sweep" {
		stands = func(string) bool { return true }
	}
	_, err := w.run(op).CleanUp(ctx, stands)
	return err
}

func remove(w *world, op string) error {
	failed, err := w.run(op).Delete(context.Background(), Deletion{})
	if len(failed) > 0 {
		w.t.Errorf("not deleted: %v", failed)
	}
	return err
}

// everywhere runs an operation again and again, killing the process at one more of its effects each
// time and then letting a new process carry on, until it comes through without.
func everywhere(t *testing.T, prepare func(*world), operate func(w *world, phase *string) error, check func(*testing.T, *world)) {
	t.Helper()
	for n := 0; ; n++ {
		w := newWorld(t)
		prepare(w)
		w.left, w.events = n, nil
		phase := ""
		err := operate(w, &phase)
		killed := w.crashed
		if killed != errors.Is(err, errCrash) && err != nil {
			t.Fatalf("killed at effect %d: %v", n, err)
		}
		for tries := 0; killed && err != nil; tries++ {
			if tries > 3 {
				t.Fatalf("killed at effect %d: does not come to an end: %v", n, err)
			}
			w.crashed, w.left = false, -1
			err = operate(w, &phase)
		}
		check(t, w)
		if t.Failed() {
			t.Fatalf("killed at effect %d\n  %s", n, strings.Join(w.events, "\n  "))
		}
		if !killed {
			t.Logf("killed at %d places", n)
			return
		}
	}
}

func expect(state string, made int) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		if got := w.state(); got != state {
			t.Errorf("there is %q, wanted %q", got, state)
		}
		if w.made != made {
			t.Errorf("%d things were made, wanted %d", w.made, made)
		}
	}
}

func stand(body string) func(*world) {
	return func(w *world) {
		phase := ""
		if err := create(w, "op1", body, &phase); err != nil {
			w.t.Fatal(err)
		}
		if phase != "" {
			w.t.Fatal("the stack could not be made")
		}
	}
}

// arnOf is how C's value shows which A it follows.
func follows(t *testing.T, w *world) {
	t.Helper()
	for id, th := range w.things {
		if th.owner == "A" && w.things["fixed"] != nil && w.things["fixed"].value != "arn:"+id {
			t.Errorf("C follows %s, A is %s", w.things["fixed"].value, id)
		}
	}
}

func withoutC(w *world) string {
	s := strings.Fields(w.state())
	return strings.Join(slices.DeleteFunc(s, func(x string) bool { return strings.HasPrefix(x, "C=") }), " ")
}

func TestACreationSurvivesBeingKilledAnywhere(t *testing.T) {
	everywhere(t, func(*world) {}, func(w *world, phase *string) error { return create(w, "op1", first, phase) }, func(t *testing.T, w *world) {
		if got := withoutC(w); got != "A=old B=old Gone=old" || w.made != 4 {
			t.Errorf("%q, %d made", got, w.made)
		}
		follows(t, w)
	})
}

func TestACreationThatFailsLeavesNothing(t *testing.T) {
	everywhere(t, func(w *world) { w.refuse["C"] = true }, func(w *world, phase *string) error { return create(w, "op1", first, phase) },
		func(t *testing.T, w *world) {
			if got := w.state(); got != "" {
				t.Errorf("left over: %s", got)
			}
		})
}

func TestAnUpdateSurvivesBeingKilledAnywhere(t *testing.T) {
	everywhere(t, stand(first), func(w *world, phase *string) error { return update(w, "op2", second, phase) }, func(t *testing.T, w *world) {
		if got := withoutC(w); got != "A=new B=new New=new" || w.made != 6 {
			t.Errorf("%q, %d made", got, w.made)
		}
		follows(t, w)
		if len(w.rows) != 4 {
			t.Errorf("%d rows", len(w.rows))
		}
	})
}

func TestAnUpdateThatFailsRestoresWhatWas(t *testing.T) {
	everywhere(t, func(w *world) { stand(first)(w); w.refuse["New"] = true }, func(w *world, phase *string) error { return update(w, "op2", second, phase) },
		func(t *testing.T, w *world) {
			if got := withoutC(w); got != "A=old B=old Gone=old" || w.made != 5 {
				t.Errorf("%q, %d made", got, w.made)
			}
			follows(t, w)
			if len(w.rows) != 4 {
				t.Errorf("%d rows", len(w.rows))
			}
		})
}

func TestADeletionSurvivesBeingKilledAnywhere(t *testing.T) {
	everywhere(t, stand(first), func(w *world, _ *string) error { return remove(w, "op2") }, expect("", 4))
}

// A creation that is broken off by a deletion, whose making's outcome was lost, leaves nothing.
func TestADeletionFindsWhatACreationWasMaking(t *testing.T) {
	for n := 0; n < 16; n++ {
		w := newWorld(t)
		w.left = n
		phase := ""
		err := create(w, "op1", first, &phase)
		w.crashed, w.left = false, -1
		if derr := remove(w, "op2"); derr != nil {
			t.Fatal(derr)
		}
		if got := w.state(); got != "" {
			t.Errorf("killed at %d (%v), then deleted: %s is left", n, err, got)
		}
	}
}

func TestPoliciesRetain(t *testing.T) {
	const kept = `
Resources:
  A: {Type: Test::World::Thing, DeletionPolicy: Retain, UpdateReplacePolicy: Retain, Properties: {Value: old}}
  B: {Type: Test::World::Thing, DeletionPolicy: RetainExceptOnCreate, Properties: {Value: old}}
`
	w := newWorld(t)
	stand(kept)(w)
	phase := ""
	if err := update(w, "op2", strings.Replace(kept, "Value: old", "Value: new, Kind: other", 1), &phase); err != nil {
		t.Fatal(err)
	}
	if got := w.state(); got != "A=new A=old B=old" {
		t.Errorf("after a replacement: %s", got)
	}
	if err := remove(w, "op3"); err != nil {
		t.Fatal(err)
	}
	if got := w.state(); got != "A=new A=old B=old" {
		t.Errorf("after the deletion: %s", got)
	}

	w = newWorld(t)
	w.refuse["C"] = true
	phase = ""
	if err := create(w, "op1", kept+"  C: {Type: Test::World::Thing, DependsOn: [A, B]}\n", &phase); err != nil {
		t.Fatal(err)
	}
	if got := w.state(); got != "A=old" {
		t.Errorf("after a creation that was rolled back: %s", got)
	}
}

// What cannot be deleted is kept in mind and tried again.
func TestWhatCannotBeDeletedIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	stand(first)(w)
	old := w.run("x").Rows["A"].Now.PhysicalID
	w.keep[old] = true
	phase := ""
	if err := update(w, "op2", second, &phase); err != nil {
		t.Fatal(err)
	}
	if w.things[old] == nil {
		t.Fatal("the old A is gone")
	}
	failed, err := w.run("op3").Delete(context.Background(), Deletion{})
	if err != nil || len(failed) != 1 || failed[0] != "A" {
		t.Errorf("failed: %v (%v)", failed, err)
	}
	delete(w.keep, old)
	if err := remove(w, "op4"); err != nil {
		t.Fatal(err)
	}
	if got := w.state(); got != "" {
		t.Errorf("left over: %s", got)
	}
	w = newWorld(t)
	stand(first)(w)
	w.keep["fixed"] = true
	if _, err := w.run("op2").Delete(context.Background(), Deletion{}); err != nil {
		t.Fatal(err)
	}
	if len(w.things) < 3 {
		t.Errorf("what the rest needs was deleted: %s", w.state())
	}
	w.things["fixed"].uses = nil // who retains it answers for what it needs
	if failed, err := w.run("op3").Delete(context.Background(), Deletion{Retain: []string{"C"}}); err != nil || len(failed) > 0 {
		t.Errorf("failed: %v (%v)", failed, err)
	}
	if got := w.state(); !strings.HasPrefix(got, "C=") || strings.Contains(got, " ") {
		t.Errorf("left over: %s", got)
	}
}

// A name that the template gives and that belongs to somebody else is neither taken nor deleted.
func TestAStrangersResourceIsLeftAlone(t *testing.T) {
	everywhere(t, func(w *world) { w.things["fixed"] = &thing{value: "theirs", owner: "Stranger"} },
		func(w *world, phase *string) error { return create(w, "op1", first, phase) },
		func(t *testing.T, w *world) {
			if got := w.state(); got != "Stranger=theirs" {
				t.Errorf("there is %q", got)
			}
		})
}

// Without a rollback an update that failed can be tried again, from what stands.
func TestAnUpdateGoesOnFromWhereOneFailed(t *testing.T) {
	w := newWorld(t)
	stand(first)(w)
	w.refuse["B"] = true
	if failed, err := w.run("op2").Forward(context.Background(), bound(t, second)); err != nil || !slices.Contains(failed, "B") {
		t.Fatalf("failed: %v (%v)", failed, err)
	}
	delete(w.refuse, "B")
	phase := ""
	if err := update(w, "op3", second, &phase); err != nil {
		t.Fatal(err)
	}
	if got := withoutC(w); got != "A=new B=new New=new" {
		t.Errorf("there is %s", got)
	}
	follows(t, w)
}

func TestASupersededRunStops(t *testing.T) {
	w := newWorld(t)
	w.taken = true
	if _, err := w.run("op1").Forward(context.Background(), bound(t, first)); !errors.Is(err, ErrSuperseded) {
		t.Errorf("%v", err)
	}
	if w.made != 0 {
		t.Error("it went on")
	}
}

func TestALateRunBeginsNothing(t *testing.T) {
	w := newWorld(t)
	r := w.run("op1")
	r.Late = func() (string, bool) { return "too late", true }
	failed, err := r.Forward(context.Background(), bound(t, first))
	if err != nil || len(failed) != 1 || failed[0] != "A" || w.made != 0 || r.Rows["A"].Reason != "too late" {
		t.Errorf("failed %v (%v), %d made", failed, err, w.made)
	}
}
