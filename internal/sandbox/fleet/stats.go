package fleet

import (
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// Stats are a function's figures since Bastide started.
type Stats struct {
	Invocations int64
	Starts      int64         // instances that became ready
	InitTime    time.Duration // of all starts together
	Connections int64         // that its instances opened to AWS's API

	LoadTime time.Duration    // of InitTime, what went by from the sandbox's start until the handler was ready
	Hosts    map[string]int64 // connections that it opened to others, by host and port
	TmpMost  int64            // bytes that one instance was seen to have in /tmp
	TmpLeft  int64            // bytes that were there at most when an invocation had ended

	DroppedRecords, DroppedBytes int64 // log events that were too many to be kept
}

// stats is where they are counted.
type stats struct {
	invocations, starts, initTime, loadTime, connections atomic.Int64

	output allowance

	mu               sync.Mutex
	hosts            map[string]int64
	tmpMost, tmpLeft int64
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
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Invocations: s.invocations.Load(), Starts: s.starts.Load(), InitTime: time.Duration(s.initTime.Load()), Connections: s.connections.Load(),
		LoadTime: time.Duration(s.loadTime.Load()), Hosts: maps.Clone(s.hosts), TmpMost: s.tmpMost, TmpLeft: s.tmpLeft, DroppedRecords: records, DroppedBytes: bytes}
}

// maxHosts bounds the hosts of one function that are counted.
const maxHosts = 100

// reached counts a connection to a host and port.
func (s *stats) reached(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		s.hosts = map[string]int64{}
	}
	if _, ok := s.hosts[address]; ok || len(s.hosts) < maxHosts {
		s.hosts[address]++
	}
}

// scratched notes what an invocation has left in /tmp, where the driver can see it.
func (i *instance) scratched() {
	box, ok := i.box.(sandbox.Scratched)
	if !ok {
		return
	}
	now, most, err := box.TmpUse()
	if err != nil {
		return // it has just ended, and nothing of its /tmp is left
	}
	s := i.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tmpMost, s.tmpLeft = max(s.tmpMost, most), max(s.tmpLeft, now)
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
