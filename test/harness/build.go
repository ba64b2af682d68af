package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// binaryVariable names the binary under test; Main sets it, and CI may, to test one it has built.
const binaryVariable = "BASTIDE_BINARY"

// Main builds the binary and runs a package's tests. It is called from TestMain.
func Main(m *testing.M) int {
	if os.Getenv(binaryVariable) == "" {
		path, err := build()
		if err != nil {
			fmt.Fprintln(os.Stderr, "harness:", err)
			return 1
		}
		if err := os.Setenv(binaryVariable, path); err != nil {
			fmt.Fprintln(os.Stderr, "harness:", err)
			return 1
		}
	}
	return m.Run()
}

// Binary is the path of the binary under test.
func Binary() string { return os.Getenv(binaryVariable) }

// Root is the repository's root: the nearest folder above that holds go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the test's directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// build makes the binary with the sandbox's init inside. The go command leaves alone what is up to
// date; the lock keeps packages that are tested side by side from writing one file together.
func build() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "bastide")
	for _, args := range [][]string{{"generate", "./internal/sandbox"}, {"build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/bastide"}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return binary, nil
}
