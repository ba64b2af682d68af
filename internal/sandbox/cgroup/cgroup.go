// Package cgroup bounds a tree of processes: how much memory, how many processes, how much processor
// time; and holds, releases or ends all of it at once.
//
// Machines offer this in three shapes: one unified hierarchy (v2), one hierarchy for each controller
// (v1), or both beside each other (hybrid), where limits live in v1 and the unified hierarchy can
// still freeze and kill. A Host finds out which, takes what it can get, and makes Groups. Groups lie
// below the caller's own cgroup, so that whatever bounds the caller bounds them too:
//
//	OWN/bastide/OWNER/ID
//
// OWNER names the process that made them (pid namespace, pid, start time) and its Host. A Host that starts
// removes, with everything in it, what an owner that is gone has left.
package cgroup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/ids"
)

// Host is what this machine lets the caller do with cgroups. Its paths are empty where a thing cannot
// be had.
type Host struct {
	unified string            // directory for groups in the unified hierarchy
	v2      map[string]bool   // controllers with limits in the unified hierarchy
	v1      map[string]string // controller → directory for groups
	whole   int64             // bound of memory of all groups together, in bytes
	pids    int64             // bound of processes and threads of all groups together
	sockets bool              // v1's bound of the memory of sockets is there
	disks   []string          // whose use can be bounded, as major:minor
	refused bool              // the unified hierarchy has controllers that could not be handed down
	Faults  []string          // what was there but could not be used, and why
}

// controllers that Bastide uses.
var controllers = []string{"memory", "pids", "cpu", diskV1, "freezer"}

// folder is the directory below the caller's cgroup that holds every owner's.
const folder = "bastide"

// Open looks at the machine and prepares the owner's directories. It fails only when /proc cannot be
// read: a machine without cgroups gives a Host that can do nothing.
func Open() (*Host, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return OpenFrom(string(mounts), string(own))
}

// OpenFrom is Open with the contents of /proc/self/mountinfo and /proc/self/cgroup, of which a caller
// may leave parts out.
func OpenFrom(mounts, own string) (*Host, error) {
	me, err := identify(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	me += "-" + hex.EncodeToString(ids.Source{}.Bytes(4)) // a process may have several Hosts
	h := &Host{v2: map[string]bool{}, v1: map[string]string{}}
	unified, v1 := locate(mounts, own)
	if unified != "" {
		h.takeV2(unified, me)
	}
	// Root in a login session shares its cgroup with a shell, and cannot hand limits down from there;
	// but it may make groups at the top.
	if top := topOf(mounts); unified != "" && top != "" && top != unified && h.refused && os.Geteuid() == 0 {
		_ = os.Remove(h.unified)
		h.Faults, h.refused = nil, false
		h.takeV2(top, me)
	}
	for _, c := range controllers {
		dir, ok := v1[c]
		if !ok || c == "freezer" && h.unified != "" {
			continue // the unified hierarchy freezes
		}
		if c == diskV1 && h.v2[diskV2] {
			continue
		}
		h.takeV1(c, dir, me)
	}
	own = v1["memory"]
	if h.v2["memory"] {
		own = unified
	}
	if err := h.boundWhole(own); err != nil {
		h.Faults = append(h.Faults, err.Error())
	}
	own = v1["pids"]
	if h.v2["pids"] {
		own = unified
	}
	if err := h.boundProcesses(own); err != nil {
		h.Faults = append(h.Faults, err.Error())
	}
	h.findDisks(mounts)
	return h, nil
}

// takeV1 makes the owner's directory in one controller's hierarchy.
func (h *Host) takeV1(controller, own, me string) {
	base := filepath.Join(own, folder)
	if err := os.MkdirAll(filepath.Join(base, me), 0o755); err != nil {
		h.Faults = append(h.Faults, err.Error())
		return
	}
	h.Faults = append(h.Faults, sweep(base)...)
	h.v1[controller] = filepath.Join(base, me)
}

// takeV2 makes the owner's directory in the unified hierarchy and passes the controllers on that v1
// has not taken.
func (h *Host) takeV2(own, me string) {
	base := filepath.Join(own, folder)
	if err := os.MkdirAll(base, 0o755); err != nil {
		h.Faults = append(h.Faults, err.Error())
		return
	}
	dir := filepath.Join(base, me)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		h.Faults = append(h.Faults, err.Error())
		return
	}
	h.Faults = append(h.Faults, sweep(base)...)
	h.unified = dir
	offered, err := os.ReadFile(filepath.Join(own, "cgroup.controllers"))
	if err != nil {
		h.Faults = append(h.Faults, err.Error())
		return
	}
	for _, c := range strings.Fields(string(offered)) {
		if c != "memory" && c != "pids" && c != "cpu" && c != diskV2 {
			continue
		}
		if err := pass(own, base, dir, c); err != nil {
			h.Faults = append(h.Faults, err.Error())
			h.refused = true
			continue
		}
		h.v2[c] = true
	}
}

// pass hands a controller down from own to the groups. A cgroup that holds processes cannot hand
// controllers down (the "no internal processes" rule of the kernel's cgroup-v2 document), so a caller
// that is alone in its cgroup moves into a leaf first.
func pass(own, base, dir, controller string) error {
	err := enable(own, controller)
	if errors.Is(err, errBusy) {
		if err = stepAside(own, base); err == nil {
			err = enable(own, controller)
		}
	}
	for _, d := range []string{base, dir} {
		if err == nil {
			err = enable(d, controller)
		}
	}
	return err
}

// Abilities are what a Host can do. Each is "v1", "v2" or, where it cannot, empty.
type Abilities struct{ Memory, Sockets, Pids, CPU, Disks, Freeze, Kill string }

// Abilities tells what the Host can do.
func (h *Host) Abilities() Abilities {
	limit := func(c string) string {
		switch {
		case h.v2[c]:
			return "v2"
		case h.v1[c] != "":
			return "v1"
		}
		return ""
	}
	a := Abilities{Memory: limit("memory"), Pids: limit("pids"), CPU: limit("cpu")}
	a.Sockets = h.countsSockets()
	switch {
	case len(h.disks) == 0: // nothing to bound
	case h.v2[diskV2]:
		a.Disks = "v2"
	default:
		a.Disks = "v1"
	}
	switch {
	case h.unified != "":
		a.Freeze = "v2"
		if _, err := os.Stat(filepath.Join(h.unified, "cgroup.kill")); err == nil {
			a.Kill = "v2"
		}
	case h.v1["freezer"] != "":
		a.Freeze = "v1"
	}
	return a
}

// Close removes the owner's directories; groups must be gone.
func (h *Host) Close() error {
	var errs []error
	for _, dir := range h.Dirs() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		// the shared folder goes with the last owner; until then it is not empty
		_ = os.Remove(filepath.Dir(dir))
	}
	return errors.Join(errs...)
}

// Dirs are the owner's directories; controllers may share one (cpu,cpuacct).
func (h *Host) Dirs() []string {
	var dirs []string
	seen := map[string]bool{"": true}
	add := func(d string) {
		if !seen[d] {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	add(h.unified)
	for _, c := range controllers {
		add(h.v1[c])
	}
	return dirs
}
