package gate

import (
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// A screening lets pass whom nothing denies, runs nothing, and records what it refuses.
func TestScreen(t *testing.T) {
	r := newRig(t)
	who := r.user("ann")
	in, err := r.get.Accept(&noteInput{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	screen := func() error { return r.gate.Screen(t.Context(), Entry{Principal: who, In: in, Region: "eu-west-1"}) }
	before := len(r.records())
	if err := screen(); err != nil {
		t.Errorf("nobody denies: %v", err)
	}
	if n := len(r.records()); n != before {
		t.Errorf("%d records of a call that has not been made", n-before)
	}
	r.dir.grant(t, who, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"notes:*","Resource":"*"}]}`)
	if err := screen(); err == nil || awserr.Wrap(err).Kind != awserr.AccessDenied {
		t.Errorf("denied: %v", err)
	}
	if n := len(r.records()); n != before+1 {
		t.Errorf("%d records of a refusal", n-before)
	}
}
