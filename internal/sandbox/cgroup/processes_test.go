package cgroup

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestProcessesOf: an eighth of the processes is the machine's, within bounds; the smaller of its two bounds
// counts, and one above the server.
func TestProcessesOf(t *testing.T) {
	for total, want := range map[int64]int64{32768: 28672, 4096: 3584, 2000: 1488, 512: 256, 1: 1} {
		if got := processesOf(total); got != want {
			t.Errorf("of %d groups have %d, want %d", total, got, want)
		}
	}
	dir := t.TempDir()
	if n, err := machineProcesses(dir); err == nil {
		t.Errorf("a machine that does not say has %d", n)
	}
	for name, text := range map[string]string{"pid_max": "32768\n", "threads-max": "7000\n", "pids.max": "600\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := machineProcesses(dir); n != 7000 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n := least(dir, "pids.max", 7000); n != 600 {
		t.Errorf("below a bound of 600 there are %d", n)
	}
}

// TestProcessesTogether: groups that are each far from their own bound end at that of all.
func TestProcessesTogether(t *testing.T) {
	runtime.LockOSThread() // which Start moves there and back
	defer runtime.UnlockOSThread()
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	can := h.Abilities().Pids
	if can == "" {
		if h.Processes() != 0 {
			t.Errorf("without a controller %d are bounded", h.Processes())
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		return // and the doctor says so
	}
	dir := h.unified
	if can == "v1" {
		dir = h.v1["pids"]
	}
	total, terr := machineProcesses("/proc/sys/kernel")
	b, err := os.ReadFile(filepath.Join(dir, "pids.max"))
	if n, perr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); errors.Join(err, terr, perr) != nil || n != h.Processes() || n <= 0 || n >= total {
		t.Errorf("all groups are bounded to %q of %d, want %d (%v)", b, total, h.Processes(), errors.Join(err, terr, perr))
	}
	if err := write(dir, "pids.max", "4"); err != nil { // or the machine would have to be filled
		t.Fatal(err)
	}
	var groups []*Group
	var ends []func()
	for _, id := range []string{"one", "two"} {
		g, err := h.Create(id, Limits{Pids: 100})
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	started := 0
	for ; started < 10; started++ {
		cmd := exec.Command("cat")
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		var in io.WriteCloser
		if in, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err = groups[started%2].Start(cmd); err != nil {
			break
		}
		ends = append(ends, func() {
			if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
	// in v1 the thread that forks is in the group, and counts
	if !errors.Is(err, syscall.EAGAIN) || started < 3 || started > 4 {
		t.Errorf("of ten processes %d were started, then %v", started, err)
	}
	for _, end := range ends {
		end()
	}
	for _, g := range groups {
		if err := errors.Join(g.Kill(), g.Remove()); err != nil {
			t.Error(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
