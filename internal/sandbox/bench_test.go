package sandbox

import "testing"

// BenchmarkStart measures from Start to the process being executed, with three doors and a channel,
// and the kill of it; start-ns/op is the first part alone.
func BenchmarkStart(b *testing.B) {
	l := newLab(b)
	spec := l.spec("wait")
	spec.Channel = true
	spec.Doors = []DoorSpec{
		{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"},
		{Name: "aws", Network: "tcp", Address: "127.0.0.1:443"},
		{Name: "dns", Network: "udp", Address: "127.0.0.1:53"},
	}
	for b.Loop() {
		i, err := l.ns.Start(b.Context(), spec)
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
