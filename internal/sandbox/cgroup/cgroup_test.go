package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestLocate reads the three shapes of machines, and containers on them.
func TestLocate(t *testing.T) {
	const v1Mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
	for name, c := range map[string]struct {
		mounts, own string
		unified     string
		v1          map[string]string
	}{
		"v2":          {"30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", "0::/user.slice/a b.scope\n", "/sys/fs/cgroup/user.slice/a b.scope", nil},
		"v2 root":     {"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "/sys/fs/cgroup", nil},
		"v2 bind":     {"30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/x/y\n", "/sys/fs/cgroup/y", nil},
		"outside":     {"30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/../y\n", "", nil},
		"spaces":      {`30 23 0:26 / /my\040cg rw - cgroup2 cgroup2 rw` + "\n", "0::/\n", "/my cg", nil},
		"none":        {"22 27 0:21 / /proc rw - proc proc rw\n", "", "", nil},
		"not cgroups": {"malformed\n30 23\n", "x\n0:\n", "", nil},
		"v1": {v1Mounts, "9:name=systemd:/\n4:memory:/box/7\n1:cpu,cpuacct:/\n", "",
			map[string]string{"memory": "/sys/fs/cgroup/memory/box/7", "cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "name=systemd": "/sys/fs/cgroup/systemd"}},
		"hybrid": {v1Mounts + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "4:memory:/\n0::/u\n", "/sys/fs/cgroup/unified/u",
			map[string]string{"memory": "/sys/fs/cgroup/memory"}},
	} {
		unified, v1 := locate(c.mounts, c.own)
		if unified != c.unified || !maps.Equal(v1, c.v1) {
			t.Errorf("%s: %q %v", name, unified, v1)
		}
	}
}

// TestOwner: an owner that lives is known, one that cannot be is not, and what is unclear is left alone.
func TestOwner(t *testing.T) {
	me, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(me, "-")
	for name, want := range map[string]bool{
		me + "-0":                               true,
		parts[0] + "-" + parts[1] + "-1-0":      false, // the pid was given to another process
		parts[0] + "-4194305-1-0":               false, // above the largest pid there is
		"1-" + parts[1] + "-" + parts[2] + "-0": true,  // of another pid namespace
		"self":                                  true,
		parts[0] + "-x-" + parts[2] + "-0":      true,
		parts[0] + "-" + parts[1] + "-1":        true,
	} {
		if got := alive(name); got != want {
			t.Errorf("%s is alive: %v, want %v", name, got, want)
		}
	}
}

// TestWhole: an eighth of the memory is the server's, within bounds, and a bound above the server counts.
func TestWhole(t *testing.T) {
	const mb, gb = int64(1) << 20, int64(1) << 30
	for total, want := range map[int64]int64{64 * gb: 62 * gb, 8 * gb: 7 * gb, gb: gb - 256*mb, 256 * mb: 128 * mb} {
		if got := wholeOf(total); got != want {
			t.Errorf("of %d bytes groups have %d, want %d", total, got, want)
		}
	}
	top := t.TempDir()
	own := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, bound := range map[string]string{own: "max", filepath.Dir(own): "4096\n"} {
		if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte(bound), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := least(own, "memory.max", gb); got != 4096 {
		t.Errorf("below a bound of 4096 bytes the machine has %d", got)
	}
}

// TestSweep removes the folders of owners that are gone and nothing else.
func TestSweep(t *testing.T) {
	base := t.TempDir()
	me, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	me += "-0"
	dead := strings.Split(me, "-")[0] + "-4194305-1-0"
	for _, dir := range []string{me + "/a", dead + "/a", dead + "/b", "self", "other"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if faults := sweep(base); len(faults) != 0 {
		t.Error(faults)
	}
	for dir, want := range map[string]bool{me + "/a": true, dead: false, "self": true, "other": true} {
		if _, err := os.Stat(filepath.Join(base, dir)); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestGroup makes a real group where this user may, and holds that it can do what Abilities says.
func TestGroup(t *testing.T) {
	runtime.LockOSThread() // which Start moves there and back
	defer runtime.UnlockOSThread()
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	can := h.Abilities()
	if whole := h.Whole(); can.Memory != "" {
		dir, file := h.unified, "memory.max"
		if can.Memory == "v1" {
			dir, file = h.v1["memory"], "memory.limit_in_bytes"
		}
		b, err := os.ReadFile(filepath.Join(dir, file))
		total, terr := machineMemory()
		if n, perr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); errors.Join(err, terr, perr) != nil || whole <= 0 || n > whole || n < whole-int64(os.Getpagesize()) || whole >= total {
			t.Errorf("all groups are bounded to %s of %d bytes, want %d (%v)", b, total, whole, errors.Join(err, terr, perr))
		}
	}
	g, err := h.Create("group", Limits{Memory: 64 << 20, Pids: 10, CPU: 500})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Create("group", Limits{}); err == nil && len(h.Dirs()) > 0 {
		t.Error("made a group twice")
	}
	if n, err := g.MemoryUsed(); can.Memory != "" && (err != nil || n < 0 || n > 64<<20) {
		t.Errorf("%d, %v", n, err)
	} else if can.Memory == "" && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("memory without a controller: %v", err)
	}
	for range 2 { // the second reads the file that the first left open
		if n, err := g.Peak(); can.Memory != "" && (err != nil || n < 0 || n > 64<<20) {
			t.Errorf("a peak of %d, %v", n, err)
		}
	}
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	in, err := cmd.StdinPipe()
	if err := errors.Join(err, g.Start(cmd)); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid)); err != nil || string(b) != "1000\n" {
		t.Errorf("a process of the group has the score %q, %v", b, err)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(g.Freeze(), g.Thaw()); can.Freeze != "" && err != nil || can.Freeze == "" && err == nil {
		t.Errorf("freeze %q: %v", can.Freeze, err)
	}
	if err := errors.Join(g.Kill(), g.Remove(), h.Close()); err != nil {
		t.Error(err)
	}
	for _, dir := range h.Dirs() {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

// TestFreezeThatFails: of a group that does not come to rest nothing stays held. The kernel's files are
// played, since no process can be made to resist the freezer.
func TestFreezeThatFails(t *testing.T) {
	t.Parallel()
	h := &Host{unified: t.TempDir()}
	at := filepath.Join(h.unified, "g")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cgroup.events": "populated 1\nfrozen 0\n", "cgroup.freeze": "0"} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := (&Group{host: h, id: "g", dir: dir}).Freeze(); err == nil {
		t.Error("it was frozen")
	}
	if b, err := os.ReadFile(filepath.Join(at, "cgroup.freeze")); err != nil || string(b) != "0" {
		t.Errorf("%q %v", b, err)
	}
}
