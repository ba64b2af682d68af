package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processReserve is the least that is left of a machine's processes to Bastide itself and the machine, where it
// has twice as many.
const processReserve = 512

// Processes is the bound of processes and threads of all groups together; 0 where there is none.
func (h *Host) Processes() int64 { return h.pids }

// boundProcesses bounds how many processes and threads all groups together may have, so that functions which
// fork to their own bounds leave numbers for the rest of the machine. own is the caller's cgroup, whose bound, or
// that of one above it, may be less than the machine's.
func (h *Host) boundProcesses(own string) error {
	dir := h.unified
	if !h.v2["pids"] {
		dir = h.v1["pids"]
	}
	if dir == "" {
		return nil // Abilities tells
	}
	total, err := machineProcesses("/proc/sys/kernel")
	if err != nil {
		return fmt.Errorf("bound the processes of all groups: %w", err)
	}
	n := processesOf(least(own, "pids.max", total))
	if err := write(dir, "pids.max", strconv.FormatInt(n, 10)); err != nil {
		return fmt.Errorf("bound the processes of all groups: %w", err)
	}
	h.pids = n
	return nil
}

// processesOf is what of a machine's processes groups may have: an eighth is left, as of its memory.
func processesOf(total int64) int64 { return total - min(max(total/8, processReserve), total/2) }

// machineProcesses is how many processes and threads the machine can have: the numbers for them and the kernel's
// own bound. settings is /proc/sys/kernel. Source: proc_sys_kernel(5).
func machineProcesses(settings string) (int64, error) {
	total := int64(0)
	for _, name := range []string{"pid_max", "threads-max"} {
		b, err := os.ReadFile(filepath.Join(settings, name))
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%s says %q", filepath.Join(settings, name), b)
		}
		if total == 0 || n < total {
			total = n
		}
	}
	return total, nil
}
