package runtimes

import (
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// nodeHere is a runtime of node that this machine has. Unlike python's, its SDK is never taken over
// from the machine.
func nodeHere(t *testing.T, c *Catalog) Identifier {
	t.Helper()
	for _, name := range onThisMachine(t, c) {
		if id, err := Lookup(name); err == nil && id.Family == bootstrap.Node {
			return id
		}
	}
	t.Fatal("no node on this machine: bastide runtimes install nodejs22.x")
	return Identifier{}
}

// TestReadyWantsTheSDK: a runtime without the SDK that Lambda supplies is missing, until it is
// installed, by whatever process, or the machine's owner says that it does without.
func TestReadyWantsTheSDK(t *testing.T) {
	r := newRegistry(t)
	c := installer(t, r, true)
	id := nodeHere(t, c)
	check := func(what string, version string, withoutSDK bool) {
		t.Helper()
		rt, err := c.Ready(t.Context(), id.Name)
		switch {
		case version == "" && !withoutSDK:
			if !IsMissing(err) || !strings.Contains(err.Error(), "bastide runtimes install "+id.Name) || !strings.Contains(err.Error(), "--without-sdk") {
				t.Errorf("%s: got %v", what, err)
			}
		case err != nil || rt.SDK.Version != version:
			t.Errorf("%s: got %+v %v", what, rt, err)
		}
		list, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.Name == id.Name && (s.WithoutSDK != withoutSDK || s.SDK.Version != version) {
				t.Errorf("%s: listed as %+v", what, s)
			}
		}
		names, err := c.Unsupplied(t.Context())
		if err != nil || len(names) == 1 != withoutSDK {
			t.Errorf("%s: without SDK are %v %v", what, names, err)
		}
	}
	check("at first", "", false)
	if _, err := c.Ready(t.Context(), "provided.al2023"); err != nil {
		t.Errorf("a custom runtime brings its own: %v", err)
	}
	if err := c.InstallWithoutSDK(t.Context(), id.Name, nil); err != nil {
		t.Fatal(err)
	}
	check("told to do without", "", true)
	if err := c.wantSDK(id.Name); err != nil {
		t.Fatal(err)
	}
	check("no more", "", false)
	if err := c.InstallWithoutSDK(t.Context(), id.Name, nil); err != nil {
		t.Fatal(err)
	}
	other := New(Config{Dir: c.dir, Environ: c.environ, HTTP: c.http}) // another process
	other.pins = c.pins
	if err := other.Install(t.Context(), id.Name, nil, nil); err != nil {
		t.Fatal(err)
	}
	check("installed", "3.1.0", false)
	if err := c.InstallWithoutSDK(t.Context(), "cobol85", nil); err == nil {
		t.Error("no such runtime")
	}
}
