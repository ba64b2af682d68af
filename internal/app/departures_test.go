package app

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// TestDeparturesAreCounted: the first of a kind is recorded at once and the rest by its number, and a
// function that departs in ever new ways has so many records a minute and no more; another has its own.
func TestDeparturesAreCounted(t *testing.T) {
	var kept []gate.Happening
	now := clock.NewManual(time.Unix(1, 0))
	d := newDepartures(now, func(h gate.Happening) error { kept = append(kept, h); return nil })
	depart := func(arn, what string, mode fleet.ProfileMode) {
		t.Helper()
		made := func() gate.Happening { return gate.Happening{SourceARN: arn, Resources: []string{arn}} }
		if err := d.add(arn, departure{what, mode, mode == fleet.Enforce}, made); err != nil {
			t.Fatal(err)
		}
	}
	flush := func() []gate.Happening {
		t.Helper()
		kept = nil
		if err := d.flush(); err != nil {
			t.Fatal(err)
		}
		return kept
	}
	for range 500 {
		depart("f", "writing to /tmp", fleet.Report)
	}
	if len(kept) != 1 || countOf(kept[0]) != nil || kept[0].Err != nil {
		t.Fatalf("500 of a kind: %+v", kept)
	}
	if got := flush(); len(got) != 1 || countOf(got[0]) != int64(499) || got[0].Detail.(map[string]any)["departure"] != "writing to /tmp" {
		t.Fatalf("%+v", got)
	}
	depart("f", "writing to /tmp", fleet.Enforce)
	if e := awserr.Wrap(kept[len(kept)-1].Err); len(kept) != 2 || e.Kind != awserr.AccessDenied || e.Message != "The function f does not do this by its runtime profile: writing to /tmp." {
		t.Fatalf("a refusal: %+v", kept)
	}
	kept = nil
	for second := range 59 {
		for n := range 1000 {
			depart("f", fmt.Sprint("opening ", second, n), fleet.Enforce)
		}
		depart("g", "starting a process", fleet.Report)
		now.Advance(time.Second)
		if err := d.flush(); err != nil {
			t.Fatal(err)
		}
	}
	apart, unknown, others := 0, int64(0), int64(0)
	for _, h := range kept {
		n, _ := countOf(h).(int64)
		switch what := h.Detail.(map[string]any)["departure"]; {
		case h.SourceARN == "g":
			others += max(n, 1)
		case what == placesUnknown:
			unknown += n
		default:
			apart += int(max(n, 1))
		}
	}
	if len(kept) > departuresPerMinute+2*60 || apart != departuresPerMinute-3 || int64(apart)+unknown != 59_000 || others != 59 {
		t.Errorf("%d records: %d told apart, %d not, %d of the other", len(kept), apart, unknown, others)
	}
	now.Advance(time.Second)
	if flush(); len(d.functions) != 0 {
		t.Errorf("after the minute %v is kept", d.functions)
	}
	depart("f", "opening 0 0", fleet.Enforce)
	if len(kept) != 1 {
		t.Errorf("in the next minute: %+v", kept)
	}
	full := errors.New("disk full")
	d.note = func(gate.Happening) error { return full }
	if err := d.add("h", departure{}, func() gate.Happening { return gate.Happening{} }); !errors.Is(err, full) {
		t.Errorf("a departure that is not recorded: %v", err)
	}
}
