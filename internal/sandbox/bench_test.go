package sandbox

import (
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// BenchmarkStart measures from Start to the process being executed, with three doors and a channel,
// and the kill of it; start-ns/op is the first part alone.
func BenchmarkStart(b *testing.B) {
	n, err := New(Config{Init: sandboxtest.Init(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	spec := Spec{
		ID: "bench", Argv: []string{"/inmate", "wait"}, Dir: "/", Channel: true,
		Root: RootFS{Binds: []Bind{{Source: sandboxtest.Build(b, "internal/sandbox/testdata/inmate"), Target: "/inmate"}}},
		Doors: []DoorSpec{
			{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"},
			{Name: "aws", Network: "tcp", Address: "127.0.0.1:443"},
			{Name: "dns", Network: "udp", Address: "127.0.0.1:53"},
		},
	}
	for b.Loop() {
		i, err := n.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := i.Kill(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
