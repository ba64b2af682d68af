package fleet

import (
	"fmt"
	"net"
	"slices"
	"testing"
)

// departures hears of departures from a profile.
type departures struct{ facts []Fact }

func (d *departures) Learned(*Function, []Fact) {}

func (d *departures) Departed(_ *Function, f Fact, _ bool) { d.facts = append(d.facts, f) }

// TestProfiledRefusalsAreCounted: a connection that departs from an enforced profile is refused, and each
// attempt is told as a refusal beside the departure.
func TestProfiledRefusalsAreCounted(t *testing.T) {
	var told []string
	heard := &departures{}
	fn := &Function{Profile: &Profile{Mode: Enforce, Facts: map[Fact]bool{}}}
	i := &instance{fleet: &Fleet{deps: Deps{Refused: func(_ Function, r Refusal) {
		told = append(told, fmt.Sprintf("%s %s:%d %d %s", r.Network, r.Host, r.Port, r.Count, r.Reason))
	}}}, fn: fn, observer: &observer{fn: fn, told: heard, noted: map[Fact]bool{}}}
	for range 2 {
		in, out := net.Pipe()
		i.carry(in, "db.internal:5432")
		if _, err := out.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is open")
		}
	}
	const want = "tcp db.internal:5432 1 it departs from the function's profile"
	if !slices.Equal(told, []string{want, want}) || !slices.Equal(heard.facts, []Fact{{Reaches, "db.internal:5432"}, {Reaches, "db.internal:5432"}}) {
		t.Errorf("told %q, departed %v", told, heard.facts)
	}
}
