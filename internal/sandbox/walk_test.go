package sandbox

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzWalk: whatever a name is, where it leads is a clean absolute path, an end that is none such as a
// pipe's, or not told.
func FuzzWalk(f *testing.F) {
	for _, name := range []string{"/proc", "/proc/self/root/tmp", "/proc/7/task/8/fd/0", "../..//.", "loop/x", "/a/../b/", "/proc/thread-self/../..", "up/x", "", "/proc/net/../fd/1/x"} {
		f.Add(name, true)
	}
	root := f.TempDir()
	for link, target := range map[string]string{"loop": "loop", "up": "../..", "abs": "/up/b", "proc": "/proc/self/cwd"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			f.Fatal(err)
		}
	}
	w := walker{host: "/proc/self", process: "7", thread: "8", root: root}
	f.Fuzz(func(t *testing.T, name string, last bool) {
		got, err := w.walk("/", name, last)
		switch {
		case err != nil && got != "":
			t.Errorf("%q: %q and %v", name, got, err)
		case path.IsAbs(got) && !strings.Contains(got, "/../") && path.Clean(got) != got:
			t.Errorf("%q leads to %q", name, got)
		}
	})
}
