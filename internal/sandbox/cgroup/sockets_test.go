package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestSockets: where v1 bounds memory and the kernel offers it, what sockets hold is bounded for each group and for
// all, and the bound follows the group's memory.
func TestSockets(t *testing.T) {
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Create("sockets", Limits{Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	read := func(dir string) int64 {
		b, err := os.ReadFile(filepath.Join(dir, socketsV1))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	can := h.Abilities()
	if can.Memory == "v1" {
		_, err := os.Stat(filepath.Join(h.v1["memory"], socketsV1))
		if (err == nil) != (can.Sockets == "v1") {
			t.Errorf("sockets %q, %v", can.Sockets, err)
		}
	}
	if can.Sockets == "v1" {
		if n := read(h.v1["memory"]); n > h.whole/16 || n < h.whole/16-int64(os.Getpagesize()) {
			t.Errorf("all may hold %d of %d", n, h.whole)
		}
		if n := read(g.v1("memory")); n != 16<<20 {
			t.Errorf("of 64 MB sockets may hold %d", n)
		}
		if err := g.Change(Limits{Memory: 64 << 20}, Limits{Memory: 256 << 20}); err != nil {
			t.Error(err)
		}
		if n := read(g.v1("memory")); n != 32<<20 {
			t.Errorf("of 256 MB sockets may hold %d", n)
		}
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnaccounted reads the kernel's command line.
func TestUnaccounted(t *testing.T) {
	for line, want := range map[string]bool{"quiet cgroup.memory=nokmem,nosocket ro\n": true, "cgroup.memory=nokmem": false, "nosocket": false, "": false} {
		at := filepath.Join(t.TempDir(), "cmdline")
		if err := os.WriteFile(at, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := unaccounted(at); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}
