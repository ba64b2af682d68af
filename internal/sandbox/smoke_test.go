package sandbox

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

func TestRuns(t *testing.T) {
	n, err := New(Config{Init: sandboxtest.Init(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	in := sandboxtest.Build(t, "internal/sandbox/testdata/inmate")
	var out, errs bytes.Buffer
	i, err := n.Start(t.Context(), Spec{
		ID: "x", Argv: []string{"/inmate", "a"}, Dir: "/",
		Root:   RootFS{Binds: []Bind{{Source: in, Target: "/inmate"}}},
		Stdout: &out, Stderr: &errs,
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-i.Wait(); e.Code != 0 || e.Err != nil || !strings.HasPrefix(out.String(), "hello [a]") {
		t.Fatalf("%+v, %q, %q", e, out.String(), errs.String())
	}
}
