package load

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/test/harness"
)

// holdings are what a server has of the machine, itself and by the processes that it started.
type holdings struct {
	Processes   int // its descendants
	Threads     int // of these; Go keeps idle ones of its own
	Descriptors int // of its own and its launcher's
	Sockets     int // of these
	Mounts      int // in its own mount namespace
	Networks    int // network namespaces of its descendants, or held by a descriptor
	Cgroups     int
	Goroutines  int
	Instances   int
}

// held counts.
func held(t *testing.T, s *harness.Server) holdings {
	t.Helper()
	var st struct{ Goroutines, Instances int }
	if err := s.Client(t).REST(t.Context(), "bastide", http.MethodGet, "/_bastide/v1/status", nil, &st); err != nil {
		t.Fatal(err)
	}
	h := holdings{Goroutines: st.Goroutines, Instances: st.Instances}
	own, family := strconv.Itoa(s.PID()), descendants(s.PID())
	h.Processes = len(family)
	networks := map[string]bool{}
	for _, pid := range append(family, own) {
		if name, err := os.Readlink("/proc/" + pid + "/ns/net"); err == nil {
			networks[name] = true
		}
		for _, name := range descriptors(pid) {
			if strings.HasPrefix(name, "net:[") {
				networks[name] = true
			}
		}
	}
	h.Networks = len(networks)
	for _, pid := range append(launchers(family), own) {
		open := descriptors(pid)
		h.Descriptors += len(open)
		for _, name := range open {
			if strings.HasPrefix(name, "socket:") {
				h.Sockets++
			}
		}
	}
	for _, pid := range family {
		tasks, _ := os.ReadDir("/proc/" + pid + "/task") // it may have ended since
		h.Threads += len(tasks)
	}
	mounts, err := os.ReadFile("/proc/" + own + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	h.Mounts = strings.Count(string(mounts), "\n")
	h.Cgroups = cgroups(t, own)
	return h
}

// descendants are the processes that a process has started, and theirs.
func descendants(pid int) (found []string) {
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

// launchers are those that sandboxes are forked from.
func launchers(family []string) (found []string) {
	for _, pid := range family {
		if line, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && strings.Contains(string(line), "launch") {
			found = append(found, pid)
		}
	}
	return found
}

// descriptors are what a process has open, by name.
func descriptors(pid string) (open []string) {
	all, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, file := range all {
		if name, err := os.Readlink(file); err == nil {
			open = append(open, name)
		}
	}
	return open
}

// cgroups counts the directories that the server has made in any hierarchy: they are below one that
// has its pid in the name.
func cgroups(t *testing.T, pid string) (n int) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed meanwhile
		}
		if d.IsDir() && strings.Contains(path, "/bastide/") && strings.Contains(path, "-"+pid+"-") {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
