package fleet

import (
	"net"
	"sync/atomic"
	"time"
)

// Stats are a function's figures since Bastide started.
type Stats struct {
	Invocations int64
	Starts      int64         // instances that became ready
	InitTime    time.Duration // of all starts together
	Connections int64         // that its instances opened to AWS's API

	DroppedRecords, DroppedBytes int64 // log events that were too many to be kept
}

// stats is where they are counted.
type stats struct {
	invocations, starts, initTime, connections atomic.Int64
	output                                     allowance
}

// maxStats bounds the functions whose figures are kept; what is counted beyond goes nowhere.
const maxStats = 10_000

// statsOf finds or makes a function's.
func (f *Fleet) statsOf(functionARN string) *stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats[functionARN]
	if s == nil {
		s = &stats{}
		if len(f.stats) < maxStats {
			f.stats[functionARN] = s
		}
	}
	return s
}

// Stats are the figures of a function.
func (f *Fleet) Stats(functionARN string) Stats {
	f.mu.Lock()
	s := f.stats[functionARN]
	f.mu.Unlock()
	if s == nil {
		return Stats{}
	}
	records, bytes := s.output.dropped()
	return Stats{s.invocations.Load(), s.starts.Load(), time.Duration(s.initTime.Load()), s.connections.Load(), records, bytes}
}

// counted is a door whose connections are counted.
type counted struct {
	net.Listener
	to *atomic.Int64
}

// Accept implements net.Listener.
func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.to.Add(1)
	}
	return conn, err
}
