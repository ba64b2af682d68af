package cgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// socketsV1 bounds what the buffers of a v1 group's sockets hold, beside the group's memory. Whatever its name says,
// the kernel charges UDP's as well: __sk_mem_raise_allocated() of net/core/sock.c asks the socket's group,
// whichever protocol it has. Buffers of unix sockets are the group's memory in either version.
const socketsV1 = "memory.kmem.tcp.limit_in_bytes"

// leastSockets is what the sockets of the smallest group may hold.
const leastSockets = 16 << 20 // bytes

// socketsOf is what of a group's memory its sockets may hold besides, in v1.
func socketsOf(memory int64) int64 { return max(memory/8, leastSockets) }

// boundSockets bounds the sockets of all groups together to a sixteenth of their memory, in v1, so that those of
// other programs have memory left: net.ipv4.tcp_mem and udp_mem are one budget for the machine, a
// tenth and a fifth of it. A group's first bound has the kernel patch itself, which this one does for
// all that come. A kernel without the file has no other way: Abilities tells.
func (h *Host) boundSockets(dir string) error {
	if h.v2["memory"] {
		return nil // memory.max holds it
	}
	err := write(dir, socketsV1, strconv.FormatInt(h.whole/16, 10))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bound the sockets of all groups: %w", err)
	}
	h.sockets = true
	return nil
}

// countsSockets is the version that bounds what sockets hold, or "".
func (h *Host) countsSockets() string {
	switch {
	case h.v2["memory"] && !unaccounted("/proc/cmdline"):
		return "v2"
	case h.sockets:
		return "v1"
	}
	return ""
}

// unaccounted tells whether the kernel was started with cgroup.memory=nosocket, after which v2 does not count what
// sockets hold. Source: the kernel's admin-guide/kernel-parameters.
func unaccounted(cmdline string) bool {
	b, err := os.ReadFile(cmdline)
	if err != nil {
		return false // as if it were not set, which is rare
	}
	return slices.ContainsFunc(strings.Fields(string(b)), func(p string) bool {
		v, ok := strings.CutPrefix(p, "cgroup.memory=")
		return ok && slices.Contains(strings.Split(v, ","), "nosocket")
	})
}
