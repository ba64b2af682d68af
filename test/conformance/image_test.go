package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bastide-cloud/bastide/test/harness"
)

// TestClientOfTheRuntimeAPI runs AWS's own client of the Runtime API for python, awslambdaric, as the
// program of a container image: the story makes an OCI layout of it on the server's python and loads it
// with the command.
func TestClientOfTheRuntimeAPI(t *testing.T) {
	s := harness.Start(t)
	layouts := t.TempDir()
	at := []string{"LAYOUTS=" + layouts, "RUNTIMES=" + filepath.Join(s.Data, "runtimes", "images")}
	s.Python(t, filepath.Join("boto3", "image_build.py"), at...)
	made, err := os.ReadDir(layouts)
	must(t, err)
	if len(made) != 2 {
		t.Fatalf("%d layouts were made", len(made))
	}
	for _, l := range made {
		if _, bad, err := s.Bastide(t, "image", "push", filepath.Join(layouts, l.Name()), "ric:"+l.Name()); err != nil {
			t.Fatalf("image push %s: %v\n%s", l.Name(), err, bad)
		}
	}
	s.Python(t, filepath.Join("boto3", "image_run.py"))
	s.Alive(t)
}
