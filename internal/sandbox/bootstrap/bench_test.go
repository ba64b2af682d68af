package bootstrap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// The echo functions that the benchmarks run.
func echo(family bootstrap.Family) options {
	if family == bootstrap.Node {
		return options{handler: "app.handler", files: map[string]string{"app.js": `exports.handler = async (event) => event`}}
	}
	return options{handler: "app.handler", files: map[string]string{"app.py": "def handler(event, context):\n    return event\n"}}
}

// BenchmarkWarm is a round trip of 1 KB through a running program, outside a sandbox.
func BenchmarkWarm(b *testing.B) {
	for _, family := range []bootstrap.Family{bootstrap.Node, bootstrap.Python} {
		for _, in := range interpreters(b, family) {
			b.Run(in.name, func(b *testing.B) {
				g := start(b, in, echo(family)).ready()
				inv := invocation(`{"text":"` + strings.Repeat("x", 1000) + `"}`)
				ctx := limit(b)
				before := g.ran()
				for b.Loop() {
					if r, err := g.Invoke(ctx, inv); err != nil || r.Failed {
						b.Fatal(err, string(r.Payload))
					}
				}
				b.ReportMetric(float64(g.ran()-before)/float64(b.N), "guest-ns/op")
			})
		}
	}
}

// ran is the processor time that the program's first thread has used, in nanoseconds.
func (g *guest) ran() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// BenchmarkStart is from fork to the first answer, outside a sandbox.
func BenchmarkStart(b *testing.B) {
	for _, family := range []bootstrap.Family{bootstrap.Node, bootstrap.Python} {
		for _, in := range interpreters(b, family) {
			b.Run(in.name, func(b *testing.B) {
				o := echo(family)
				task, lib := b.TempDir(), b.TempDir()
				for name, body := range o.files {
					if err := os.WriteFile(filepath.Join(task, name), []byte(body), 0o644); err != nil {
						b.Fatal(err)
					}
				}
				if err := bootstrap.Write(family, lib); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					g := launch(b, in, task, filepath.Join(lib, family.Entry()), o).ready()
					g.invoke(`{}`)
					g.Close()
					<-g.exit
				}
			})
		}
	}
}
