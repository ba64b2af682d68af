package runtimes

import (
	"testing"
	"time"
)

// Every identifier has its three days, in order.
func TestSupportOfEveryRuntime(t *testing.T) {
	for _, id := range Identifiers() {
		s := SupportOf(id.Name)
		if s.Deprecated.IsZero() || !s.BlockCreate.After(s.Deprecated) || !s.BlockUpdate.After(s.BlockCreate) {
			t.Errorf("%s: %+v", id.Name, s)
		}
		if s.Over(s.Deprecated.Add(-time.Second)) || !s.Over(s.Deprecated) {
			t.Errorf("%s is over at another time", id.Name)
		}
	}
	if s := SupportOf("nodejs99.x"); s.Over(time.Now()) {
		t.Errorf("%+v", s)
	}
}

func TestVersionIDsChangeWithWhatRuns(t *testing.T) {
	id, err := Lookup("python3.12")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range []Runtime{{Identifier: id, Full: "3.12.1"}, {Identifier: id, Full: "3.12.2"}, {Identifier: id, Full: "3.12.1", SDK: SDK{Version: "1.40"}}} {
		seen[r.VersionID()] = true
	}
	a, b := Runtime{Identifier: id, Full: "3.12.1"}, Runtime{Identifier: id, Full: "3.12.1", Origin: "system"}
	if len(seen) != 3 || a.VersionID() != b.VersionID() {
		t.Errorf("%v", seen)
	}
}
