package load

import (
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
	own, family := strconv.Itoa(s.PID()), harness.Descendants(s.PID())
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
	groups, err := harness.Cgroups(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	h.Cgroups = len(groups)
	return h
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
