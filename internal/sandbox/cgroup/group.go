package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits bound a Group. Zero leaves a thing unbounded.
type Limits struct {
	Memory int64 // bytes, of everything: processes, page cache, tmpfs, what sockets hold (v1 counts that apart: an eighth)
	Pids   int64 // processes and threads
	CPU    int64 // thousandths of a processor

	// Of each disk, a second and direction; both or none.
	DiskBytes, DiskOps int64
}

// Group is one bounded tree of processes.
type Group struct {
	host *Host
	id   string
	dirs []string
	dir  *os.File // in the unified hierarchy, for CLONE_INTO_CGROUP; nil without one

	used, peak gauge // of memory
	cpu        gauge // of processor time
}

// Create makes a group. What the Host cannot bound stays unbounded: ask Abilities first.
func (h *Host) Create(id string, l Limits) (*Group, error) {
	g := &Group{host: h, id: id}
	for _, owner := range h.Dirs() {
		dir := filepath.Join(owner, id)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("cgroup: %w", err), g.Remove())
		}
		g.dirs = append(g.dirs, dir)
	}
	if err := g.limit(l); err != nil {
		return nil, errors.Join(fmt.Errorf("cgroup: %w", err), g.Remove())
	}
	if h.unified != "" {
		f, err := os.Open(filepath.Join(h.unified, id))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cgroup: %w", err), g.Remove())
		}
		g.dir = f
	}
	return g, nil
}

// period of processor quotas, in microseconds; the kernel's default.
const period = 100_000

// Change replaces limits that are in force by others, of which none is zero that was not.
func (g *Group) Change(was, now Limits) error {
	var l Limits
	if now.Memory != was.Memory {
		l.Memory = now.Memory
	}
	if now.Pids != was.Pids {
		l.Pids = now.Pids
	}
	if now.CPU != was.CPU {
		l.CPU = now.CPU
	}
	if l.Memory > was.Memory && g.host.v1["memory"] != "" {
		// v1 takes no bound of memory above that of memory and swap; a kernel that does not account swap
		// has no such file
		_ = write(g.v1("memory"), "memory.memsw.limit_in_bytes", strconv.FormatInt(l.Memory, 10))
	}
	if err := g.limit(l); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

func (g *Group) limit(l Limits) error {
	var errs []error
	// set writes the file of whichever version has the controller
	set := func(controller, v2File, v2Value, v1File, v1Value string) {
		switch {
		case g.host.v2[controller]:
			errs = append(errs, write(g.unified(), v2File, v2Value))
		case g.host.v1[controller] != "":
			errs = append(errs, write(g.v1(controller), v1File, v1Value))
		}
	}
	if l.Memory > 0 {
		bytes := strconv.FormatInt(l.Memory, 10)
		set("memory", "memory.max", bytes, "memory.limit_in_bytes", bytes)
		// neither file exists where the kernel does not account swap
		if g.host.v2["memory"] {
			_ = write(g.unified(), "memory.swap.max", "0")
			_ = write(g.unified(), "memory.oom.group", "1")
		} else if g.host.v1["memory"] != "" {
			_ = write(g.v1("memory"), "memory.memsw.limit_in_bytes", bytes)
		}
	}
	if l.Memory > 0 && g.host.sockets {
		errs = append(errs, write(g.v1("memory"), socketsV1, strconv.FormatInt(socketsOf(l.Memory), 10)))
	}
	if l.Pids > 0 {
		n := strconv.FormatInt(l.Pids, 10)
		set("pids", "pids.max", n, "pids.max", n)
	}
	if l.CPU > 0 {
		quota := strconv.FormatInt(max(l.CPU*period/1000, 1000), 10)
		set("cpu", "cpu.max", quota+" "+strconv.Itoa(period), "cpu.cfs_quota_us", quota)
	}
	errs = append(errs, g.limitDisks(l.DiskBytes, l.DiskOps))
	return errors.Join(errs...)
}

// Background makes the group give way to every other one that wants a processor, or ends that.
func (g *Group) Background(on bool) error {
	if on {
		return g.weigh("1", "2") // the kernel's least
	}
	return g.weigh("100", "1024") // its defaults
}

// weigh sets the group's weight among the others.
func (g *Group) weigh(weight, shares string) error {
	switch {
	case g.host.v2["cpu"]:
		return write(g.unified(), "cpu.weight", weight)
	case g.host.v1["cpu"] != "":
		return write(g.v1("cpu"), "cpu.shares", shares)
	}
	return nil
}

func (g *Group) unified() string             { return filepath.Join(g.host.unified, g.id) }
func (g *Group) v1(controller string) string { return filepath.Join(g.host.v1[controller], g.id) }

// FD is a descriptor of the group's directory in the unified hierarchy, into which a process can be
// cloned, or -1.
func (g *Group) FD() int {
	if g.dir == nil {
		return -1
	}
	return int(g.dir.Fd())
}

// Tasks are the v1 files by which a thread moves itself into the group, by writing "0" to each, and
// those by which it moves back to where the Host's maker was. What it forks in between is in the
// group. The unified hierarchy is entered by FD.
func (g *Group) Tasks() (enter, home []string) {
	for _, dir := range g.dirs {
		if g.dir == nil || dir != g.unified() {
			enter = append(enter, filepath.Join(dir, "tasks"))
			home = append(home, filepath.Join(filepath.Dir(dir), "../../tasks"))
		}
	}
	return enter, home
}

// Procs is the file of the unified hierarchy by which a process moves itself into the group.
func (g *Group) Procs() string { return filepath.Join(g.unified(), "cgroup.procs") }

// Move puts a process into the group in the unified hierarchy.
func (g *Group) Move(pid int) error { return write(g.unified(), "cgroup.procs", strconv.Itoa(pid)) }

// Freeze holds every process of the group; it returns when they stand still. Of a group that does not come
// to rest, which takes a process that waits in the kernel or has no processor for seconds, none is held.
func (g *Group) Freeze() error {
	freeze := g.freezeV2
	if g.dir == nil {
		if g.host.v1["freezer"] == "" {
			return errors.ErrUnsupported
		}
		freeze = g.freezeV1
	}
	err := freeze()
	if err != nil {
		err = errors.Join(err, g.Thaw())
	}
	return err
}

// Thaw lets them go on.
func (g *Group) Thaw() error {
	if g.dir != nil {
		return write(g.unified(), "cgroup.freeze", "0")
	}
	if g.host.v1["freezer"] == "" {
		return errors.ErrUnsupported
	}
	return write(g.v1("freezer"), "freezer.state", "THAWED")
}

// attempts and pause bound the waits for the kernel to finish what it has begun, where it offers no
// event to wait for: 2 s.
const (
	attempts = 2000
	pause    = time.Millisecond
)

func (g *Group) freezeV2() error {
	if err := write(g.unified(), "cgroup.freeze", "1"); err != nil {
		return err
	}
	for range attempts {
		b, err := os.ReadFile(filepath.Join(g.unified(), "cgroup.events"))
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte("frozen 1")) {
			return nil
		}
		time.Sleep(pause)
	}
	return errors.New("cgroup: the group does not freeze")
}

func (g *Group) freezeV1() error {
	dir := g.v1("freezer")
	for range attempts {
		// a fork under way can leave the state at FREEZING until it is asked again
		if err := write(dir, "freezer.state", "FROZEN"); err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(b)) == "FROZEN" {
			return nil
		}
		time.Sleep(pause)
	}
	return errors.New("cgroup: the group does not freeze")
}

// Kill ends every process of the group at once where the kernel can (v2 since 5.14), and thaws a v1
// group, which must run to die; there the caller kills.
func (g *Group) Kill() error {
	if g.dir != nil {
		err := write(g.unified(), "cgroup.kill", "1")
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if g.host.v1["freezer"] != "" {
		return write(g.v1("freezer"), "freezer.state", "THAWED")
	}
	return nil
}

// Remove takes the group away; its processes must have ended.
func (g *Group) Remove() error {
	errs := []error{g.used.close(), g.peak.close(), g.cpu.close()}
	if g.dir != nil {
		errs = append(errs, g.dir.Close())
		g.dir = nil
	}
	for _, dir := range g.dirs {
		errs = append(errs, removeDir(dir, nil))
	}
	g.dirs = nil
	return errors.Join(errs...)
}

// removeDir removes one directory. A process that was reaped may still be leaving its cgroup for a
// moment, which the kernel calls busy. again, if there is one, runs before each attempt.
func removeDir(dir string, again func()) error {
	var err error
	for range attempts {
		if again != nil {
			again()
		}
		if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

// OOMKills counts the processes that the kernel killed for want of memory.
func (g *Group) OOMKills() (int64, error) {
	switch {
	case g.host.v2["memory"]:
		return field(g.unified(), "memory.events", "oom_kill")
	case g.host.v1["memory"] != "":
		return field(g.v1("memory"), "memory.oom_control", "oom_kill")
	}
	return 0, nil
}

// write is plain system calls: os.File would first offer the descriptor to the poller, on every start.
func write(dir, name, value string) error {
	path := filepath.Join(dir, name)
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	_, err = syscall.Write(fd, []byte(value))
	for errors.Is(err, syscall.EINTR) { // v1's bound of memory gives up for any signal, such as the Go runtime's own
		_, err = syscall.Write(fd, []byte(value))
	}
	if cerr := syscall.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return &os.PathError{Op: "write " + value + " to", Path: path, Err: err}
	}
	return nil
}

// field reads one line "key number" of a flat file.
func field(dir, name, key string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, " "); ok && k == key {
			return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		}
	}
	return 0, fmt.Errorf("cgroup: %s has no %s", name, key)
}

// Limit sets a group's limits anew; zero leaves one as it is.
func (g *Group) Limit(l Limits) error {
	if err := g.limit(l); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}
