package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Held is the memory that cannot be taken back from the group's processes: what they have for
// themselves, and what lies in memory files, be they shared mappings, memfds or files of a tmpfs. The
// memory of gVisor's guests is such a file. What v1 has let out to swap counts; v2's groups have none.
func (g *Group) Held() (int64, error) {
	dir, keys := "", []string{"anon", "shmem"}
	switch {
	case g.host.v2["memory"]:
		dir = g.unified()
	case g.host.v1["memory"] != "":
		dir, keys = g.v1("memory"), []string{"total_rss", "total_shmem", "total_swap"}
	default:
		return 0, errors.ErrUnsupported
	}
	b, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(keys, k) {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

// KillEach ends the group's processes one by one, where Kill cannot do it at once. Who forks meanwhile
// is found by the next call.
func (g *Group) KillEach() {
	for _, dir := range g.dirs {
		killAll(dir)
	}
}
