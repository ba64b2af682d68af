package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDoctor: on a machine that can run these tests, the walls stand; what is weaker says how to fix it.
func TestDoctor(t *testing.T) {
	program, err := os.ReadFile(filepath.Join(kitFolder(t), "init"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range Doctor(Config{Init: program, Subordinate: true}) {
		names = append(names, l.Name)
		if l.State == Missing {
			t.Errorf("%+v", l)
		}
		if (l.State == Full) != (l.Fix == "") || l.Detail == "" {
			t.Errorf("%+v does not say what it must", l)
		}
		if l.Name == "identity" && (l.State == Full) != ownUsers() {
			t.Errorf("%+v, users of their own are to be had: %v", l, ownUsers())
		}
	}
	for _, want := range []string{"kernel", "namespaces", "seccomp", "privileges", "root", "proc", "identity", "memory", "sockets", "processes", "cpu", "io", "freeze", "kill", "processor", "landlock", "cores"} {
		if !slices.Contains(names, want) {
			t.Errorf("nothing about %s", want)
		}
	}
	// a program that is no init cannot start anything, and is told as missing
	broken := Doctor(Config{Init: []byte("#!/no/such/program")})
	if !slices.ContainsFunc(broken, func(l Layer) bool { return l.Name == "namespaces" && l.State == Missing }) {
		t.Errorf("a broken init: %+v", broken)
	}
	// a waived layer is seen to be open
	for _, l := range Doctor(Config{Init: program, Waive: []string{"seccomp"}}) {
		if l.Name == "seccomp" && l.State != Missing {
			t.Errorf("waived: %+v", l)
		}
	}
	if fix := apparmorFix(); !strings.Contains(fix, "userns,") || !strings.Contains(fix, "apparmor_parser -r") {
		t.Error(fix)
	}
}

// TestWaived: a layer that was waived by name is not built, and sandboxes start without it.
func TestWaived(t *testing.T) {
	l := newLab(t)
	program, err := os.ReadFile(filepath.Join(l.kit, "init"))
	if err != nil {
		t.Fatal(err)
	}
	waive := []string{"ipc", "uts", "cgroup", "proc", "seccomp"}
	if l.ns.root {
		waive = append(waive, "user")
	}
	ns, err := New(Config{Init: program, Waive: waive})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	open := &lab{t: t, ns: ns, kit: l.kit}
	if got := open.try(open.spec("list", "/proc")); got != "" {
		t.Errorf("/proc holds %s", got)
	}
	if got := open.try(open.spec("seccomp")); got == "EPERM" {
		t.Error("the filter is there")
	}
	if got := open.try(open.spec("mount")); got != "EPERM" {
		t.Errorf("mount without the filter: %s", got)
	}
}
