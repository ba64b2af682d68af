package lambda

import "testing"

// TestExpectedAreNamedWhole: what the Runner prepares for is found by account, runtime and memory.
func TestExpectedAreNamedWhole(t *testing.T) {
	r := newRig(t)
	made := r.create("a")
	r.create("b")
	fns, err := r.service.sorts(t.Context(), r.gate)
	r.ok(err)
	if len(fns) != 1 || fns[0].Account != account || fns[0].Runtime != *made.Runtime || fns[0].MemoryMB != int(*made.MemorySize) {
		t.Errorf("expected %+v", fns)
	}
}
