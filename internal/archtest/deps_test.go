package archtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDeps compares deps.txt with the modules that the binary links: a new one is a decision, and
// NOTICE may need it.
func TestDeps(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "./cmd/bastide")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(strings.ReplaceAll(string(out), " ", "@"))
	slices.Sort(linked)
	want := strings.ReplaceAll(strings.Join(slices.Compact(linked), "\n"), "@", " ") + "\n"
	have, err := os.ReadFile("../../deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("deps.txt is not what the binary links (make deps); linked:\n%s", want)
	}
}
