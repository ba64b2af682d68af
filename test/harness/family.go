package harness

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Descendants are the processes that a process has started, and theirs, by pid.
func Descendants(pid int) (found []string) {
	children := map[string][]string{}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		text, _ := os.ReadFile(file) // it may have ended since
		_, rest, _ := strings.Cut(string(text), ") ")
		if part := strings.Fields(rest); len(part) > 1 {
			children[part[1]] = append(children[part[1]], filepath.Base(filepath.Dir(file)))
		}
	}
	for todo := children[strconv.Itoa(pid)]; len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], children[next]...)
		found = append(found, next)
	}
	return found
}

// Cgroups are the directories that a server with that pid has made in any hierarchy: they are below one
// that has its pid in the name.
func Cgroups(pid int) (found []string, err error) {
	mark := "-" + strconv.Itoa(pid) + "-"
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed meanwhile
		}
		if d.IsDir() && strings.Contains(path, "/bastide/") && strings.Contains(path, mark) {
			found = append(found, path)
		}
		return nil
	})
	return found, err
}
