package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What of the memory is left to Bastide itself and the machine: an eighth, within bounds.
const (
	reserveLeast = 256 << 20 // bytes
	reserveMost  = 2 << 30
)

// Whole is the bound of memory of all groups together in bytes; 0 where there is none.
func (h *Host) Whole() int64 { return h.whole }

// boundWhole bounds what all groups together may take, so that functions whose own bounds add up to more
// than the machine has end each other and never the server: the kernel ends the largest of them. own is the
// caller's cgroup, whose bound, or that of one above it, may be less than the machine's memory.
func (h *Host) boundWhole(own string) error {
	dir, file := h.unified, "memory.max"
	if !h.v2["memory"] {
		dir, file = h.v1["memory"], "memory.limit_in_bytes"
	}
	if dir == "" {
		return nil // Abilities tells
	}
	total, err := machineMemory()
	if err != nil {
		return err
	}
	if file == "memory.limit_in_bytes" {
		// without it a v1 group's bound says nothing of those below it; machines without the file have no other way
		if b, err := os.ReadFile(filepath.Join(dir, "memory.use_hierarchy")); err == nil && strings.TrimSpace(string(b)) == "0" {
			if err := write(dir, "memory.use_hierarchy", "1"); err != nil {
				return fmt.Errorf("bound the memory of all groups: %w", err)
			}
		}
	}
	whole := wholeOf(least(own, file, total))
	if err := write(dir, file, strconv.FormatInt(whole, 10)); err != nil {
		return fmt.Errorf("bound the memory of all groups: %w", err)
	}
	h.whole = whole
	return h.boundSockets(dir)
}

// wholeOf is what of a machine's memory groups may take.
func wholeOf(total int64) int64 {
	return total - min(max(total/8, reserveLeast), reserveMost, total/2)
}

// least is the smallest bound of a cgroup and those above it, at most total.
func least(own, file string, total int64) int64 {
	for ; own != "/" && own != "."; own = filepath.Dir(own) {
		b, err := os.ReadFile(filepath.Join(own, file))
		if err != nil {
			if _, there := os.Stat(filepath.Join(own, "cgroup.procs")); there != nil {
				break // above the hierarchy
			}
			continue // the unified root has no bound
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil { // "max" is none
			total = min(total, n)
		}
	}
	return total
}

// machineMemory is how much the machine has, in bytes.
func machineMemory() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("cgroup: /proc/meminfo does not say how much memory there is")
}
