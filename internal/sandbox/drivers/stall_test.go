package drivers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/gvisor"
)

// TestStalledSandboxes: a sandbox that hangs before it executes anything, and one that ends so, are
// replaced. A runsc that does so is played by a script for the first two.
func TestStalledSandboxes(t *testing.T) {
	if !slices.Contains(present(), GVisor) {
		return // an ordinary user, to whom the driver says so: TestAsOrdinaryUser
	}
	real, err := exec.LookPath("runsc")
	if own := os.Getenv("BASTIDE_RUNSC"); own != "" {
		real, err = own, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := kitFolder(t)
	program, err := os.ReadFile(filepath.Join(dir, "init"))
	if err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(t.TempDir(), "seen")
	script := filepath.Join(filepath.Dir(seen), "runsc")
	text := fmt.Sprintf("#!/bin/sh\necho $$ >> %[1]s\ncase $(wc -l < %[1]s) in 1) exec sleep 600 ;; 2) exit 1 ;; esac\nexec %[2]s \"$@\"\n", seen, real)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := gvisor.New(gvisor.Config{Runsc: script, Platform: os.Getenv("BASTIDE_RUNSC_PLATFORM"), Ready: -1, Stall: 5 * time.Second, Init: program})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, driver: d, name: GVisor, kit: dir}
	if got := l.try(l.spec("hello", "here")); got != "hello here" {
		t.Error("the third sandbox said nothing")
	}
	pids, err := os.ReadFile(seen)
	if err != nil || strings.Count(string(pids), "\n") != 3 || d.Broken() != 2 {
		t.Fatalf("%q %v, %d broken", pids, err, d.Broken())
	}
	stalled, _, _ := strings.Cut(string(pids), "\n")
	if _, err := os.Stat("/proc/" + stalled); err == nil {
		t.Error("the stalled one lives")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
