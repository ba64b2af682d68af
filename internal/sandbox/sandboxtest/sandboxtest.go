// Package sandboxtest gives tests what a built binary has: the sandbox's init.
//
//	ns, err := sandbox.New(sandbox.Config{Init: sandboxtest.Init(t)})
package sandboxtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Init builds the init, so that a test never runs a stale one, and returns its program.
func Init(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(Build(t, "cmd/init"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Build compiles a program of this module, named by its folder below the module's root, statically
// and returns the path of the binary.
func Build(t testing.TB, folder string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(folder))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./"+folder)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", folder, err, msg)
	}
	return out
}

// root is the module's folder: the first one upwards with a go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}
