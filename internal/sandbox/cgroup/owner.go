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
)

// identify names a process so that the name can never mean another one: the inode of its pid
// namespace, its pid, its start time in clock ticks since boot.
func identify(pid int) (string, error) {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", err
	}
	ns = strings.Trim(strings.TrimPrefix(ns, "pid:"), "[]")
	start, err := startTime(pid)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%d-%s", ns, pid, start), nil
}

// startTime is field 22 of /proc/PID/stat. The second field, the command in parentheses, may hold
// anything, so fields are counted from its closing one.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 {
		return "", errors.New("cgroup: /proc/PID/stat is malformed")
	}
	return f[19], nil
}

// alive tells whether the owner of that name lives, or might: one of another pid namespace cannot be
// judged from here.
func alive(name string) bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	parts := strings.Split(name, "-")
	if err != nil || len(parts) != 4 || "pid:["+parts[0]+"]" != ns {
		return true
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil {
		return true
	}
	now, err := identify(pid)
	return err == nil && now == strings.Join(parts[:3], "-")
}

// sweep removes what owners that are gone have left below base.
func sweep(base string) (faults []string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		if !e.IsDir() || strings.Count(e.Name(), "-") != 3 || alive(e.Name()) {
			continue
		}
		if err := clear(filepath.Join(base, e.Name())); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// clear ends every process in an owner's groups and removes them. A group that was frozen must be
// thawed, since v1 does not even kill what is frozen.
func clear(owner string) error {
	groups, err := os.ReadDir(owner)
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range groups {
		if !g.IsDir() {
			continue
		}
		dir := filepath.Join(owner, g.Name())
		// these exist only where their version and controller do
		_ = write(dir, "freezer.state", "THAWED")
		_ = write(dir, "cgroup.freeze", "0")
		errs = append(errs, removeDir(dir, func() { killAll(dir) }))
	}
	errs = append(errs, removeDir(owner, nil))
	return errors.Join(errs...)
}

// killAll sends SIGKILL to whatever is listed in a group.
func killAll(dir string) {
	list, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return // gone
	}
	for _, p := range strings.Fields(string(list)) {
		if pid, err := strconv.Atoi(p); err == nil && pid > 1 && pid != os.Getpid() {
			// it may end by itself in between
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
