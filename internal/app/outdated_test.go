package app

import (
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

func TestWhenARuntimeIsOutdated(t *testing.T) {
	id, err := runtimes.Lookup("nodejs22.x") // until 2027-04-30
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]string{"2026-10-31": "supported", "2026-11-01": "ending", "2027-04-29": "ending", "2027-04-30": "outdated"} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if got := supportOf(runtimes.Status{Identifier: id, Found: []runtimes.Found{{Version: "22.1.0"}}}, at); got.State != want || got.Deprecated != "2027-04-30" || got.Version != "22.1.0" {
			t.Errorf("on %s: %+v, want %s", day, got, want)
		}
	}
}
