package extension

import (
	"net"
	"testing"
	"time"
)

// BenchmarkNobody is what an environment without extensions pays at its start: a set, and a server at a
// door that nobody comes to.
func BenchmarkNobody(b *testing.B) {
	id := func() string { return "00000000-0000-4000-8000-000000000000" }
	for b.Loop() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := New(Config{Now: time.Now, NewID: id})
		done := make(chan bool)
		go func() { Serve(l, s); close(done) }()
		s.Seal()
		if err := s.Ready(b.Context()); err != nil {
			b.Fatal(err)
		}
		s.Close()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		<-done
	}
}
