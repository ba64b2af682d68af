package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// inside is the processor time that the server's descendants have used: the launcher, the sandboxes'
// inits and the functions. What has ended is no longer counted.
func (s *server) inside() time.Duration {
	children := map[string][]string{}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		text, _ := os.ReadFile(file) // it may have ended since
		_, rest, _ := strings.Cut(string(text), ") ")
		if part := strings.Fields(rest); len(part) > 1 {
			children[part[1]] = append(children[part[1]], filepath.Base(filepath.Dir(file)))
		}
	}
	total := time.Duration(0)
	for todo := children[strconv.Itoa(s.cmd.Process.Pid)]; len(todo) > 0; {
		pid := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], children[pid]...)
		total += ran(pid)
	}
	return total
}

// ran is the processor time of a process's threads, exact where /proc/PID/stat counts in ticks of 10 ms
// ("schedstats" in the kernel's documentation of the scheduler).
func ran(pid string) time.Duration {
	total := int64(0)
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%s/task/*/schedstat", pid))
	for _, file := range threads {
		text, _ := os.ReadFile(file)
		if part := strings.Fields(string(text)); len(part) > 0 {
			n, _ := strconv.ParseInt(part[0], 10, 64)
			total += n
		}
	}
	return time.Duration(total)
}
