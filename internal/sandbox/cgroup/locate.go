package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// locate finds the directories of the caller's own cgroups: in the unified hierarchy (or ""), and for
// each v1 controller. mounts is /proc/self/mountinfo, own is /proc/self/cgroup (proc(5), cgroups(7)).
func locate(mounts, own string) (unified string, v1 map[string]string) {
	inV1, inV2 := map[string]string{}, ""
	for line := range strings.Lines(own) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[0] == "0" && parts[1] == "" {
			inV2 = parts[2]
			continue
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			inV1[c] = parts[2]
		}
	}
	v1 = map[string]string{}
	for line := range strings.Lines(mounts) {
		root, point, kind, options, ok := mountLine(line)
		if !ok {
			continue
		}
		switch kind {
		case "cgroup2":
			if dir, ok := below(point, root, inV2); ok && inV2 != "" {
				unified = dir
			}
		case "cgroup":
			for c := range strings.SplitSeq(options, ",") {
				if in, known := inV1[c]; known {
					if dir, ok := below(point, root, in); ok {
						v1[c] = dir
					}
				}
			}
		}
	}
	return unified, v1
}

// topOf is where the whole unified hierarchy is mounted, or "".
func topOf(mounts string) string {
	for line := range strings.Lines(mounts) {
		if root, point, kind, _, ok := mountLine(line); ok && kind == "cgroup2" && root == "/" {
			return point
		}
	}
	return ""
}

// mountLine takes what matters from a line of mountinfo: the mount's root within its file system, where
// it is mounted, the file system's type and its own options.
func mountLine(line string) (root, point, kind, options string, ok bool) {
	f := strings.Fields(line)
	dash := slices.Index(f, "-")
	if dash < 6 || len(f) < dash+4 {
		return "", "", "", "", false
	}
	return unescape(f[3]), unescape(f[4]), f[dash+1], f[dash+3], true
}

// unescape undoes mountinfo's octal escapes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// below is the directory of a cgroup whose hierarchy is mounted at point from root on. A container
// may see only a part of the hierarchy, and its own cgroup may lie outside of that part.
func below(point, root, in string) (string, bool) {
	if root == "/" {
		return filepath.Join(point, in), true
	}
	if in == root || strings.HasPrefix(in, root+"/") {
		return filepath.Join(point, strings.TrimPrefix(in, root)), true
	}
	// with a cgroup namespace the paths are relative to its root, which is what is mounted
	if strings.HasPrefix(in, "/..") {
		return "", false
	}
	return filepath.Join(point, path.Clean("/"+in)), true
}

// errBusy is the kernel's refusal to hand controllers down from a cgroup that holds processes.
var errBusy = syscall.EBUSY

// enable hands one controller down to a cgroup's children.
func enable(dir, controller string) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0)
	if err != nil {
		return fmt.Errorf("hand %s down: %w", controller, err)
	}
	return nil
}

// stepAside moves the caller from own into a leaf below base, if it is alone in own.
func stepAside(own, base string) error {
	list, err := os.ReadFile(filepath.Join(own, "cgroup.procs"))
	if err != nil {
		return err
	}
	me := strconv.Itoa(os.Getpid())
	if procs := strings.Fields(string(list)); len(procs) != 1 || procs[0] != me {
		return fmt.Errorf("%s holds other processes, so limits cannot be handed down: %w", own, errBusy)
	}
	leaf := filepath.Join(base, "self")
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(me), 0)
}
