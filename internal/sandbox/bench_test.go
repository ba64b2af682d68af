package sandbox

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkStart measures from Start to the process being executed, with three doors and a channel;
// the kill is outside of the clock. On a busy machine trust the median.
func BenchmarkStart(b *testing.B) {
	l := newLab(b)
	spec := l.spec("wait")
	spec.Channel = true
	spec.Doors = []DoorSpec{
		{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"},
		{Name: "aws", Network: "tcp", Address: "127.0.0.1:443"},
		{Name: "dns", Network: "udp", Address: "127.0.0.1:53"},
	}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		i, err := l.ns.Start(b.Context(), spec)
		took = append(took, time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := i.Kill(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "ms-p90")
	b.ReportMetric(float64(took[0].Microseconds())/1000, "ms-min")
}
