package sam

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Whatever a template holds, the transform answers with a template or with an error of ours, and
// leaves what it was given alone.
func FuzzTransform(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("the corpus is missing: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		root, err := tree.Parse(src)
		if err != nil || !root.Get("Resources").Is(tree.Map) {
			return
		}
		for _, r := range root.Get("Resources").Fields {
			if !r.Value.Is(tree.Map) {
				return
			}
		}
		before := root.Canonical()
		if _, err := Transform(root, options(root)); err != nil {
			if _, ok := errors.AsType[*tree.Error](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
		}
		if root.Canonical() != before {
			t.Fatal("the template was changed")
		}
	})
}
