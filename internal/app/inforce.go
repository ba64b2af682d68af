package app

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// lines are the connections that functions have open outside. What lets them out may be taken away while
// an invocation runs: those that nothing in force would open any more are closed then.
type lines struct {
	again chan struct{} // asks for a look although nothing has changed since

	mu   sync.Mutex
	open map[*line]bool
}

// line is one connection.
type line struct {
	connections
	of   *lines
	fn   fleet.Function
	conn net.Conn
}

func newLines() *lines { return &lines{again: make(chan struct{}, 1), open: map[*line]bool{}} }

// Disconnected implements egress.Follower.
func (l *line) Disconnected(r egress.Record) {
	l.of.mu.Lock()
	delete(l.of.open, l)
	l.of.mu.Unlock()
	l.connections.Disconnected(r)
}

// add keeps a line until it is disconnected.
func (o *lines) add(l *line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[l] = true
}

func (o *lines) look() {
	select {
	case o.again <- struct{}{}:
	default: // it is asked for
	}
}

// version names a version of a function.
type version struct{ arn, version string }

// byVersion are the lines that are open.
func (o *lines) byVersion() map[version][]*line {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[version][]*line{}
	for l := range o.open {
		v := version{l.fn.ARN, l.fn.Version}
		out[v] = append(out[v], l)
	}
	return out
}

// waysChanged counts the changes of what ways out are made of.
func (s *Server) waysChanged() uint64 { return s.db.Changes("lambda") + s.db.Changes("ec2") }

// dialler dials by the ways that are in force for a function now.
func (s *Server) dialler(ctx context.Context, service *lambda.Service, f fleet.Function, to egress.Auditor) (*egress.Dialer, error) {
	ways, err := lambda.NewDirectory(service, s.db).Ways(ctx, f)
	if err != nil {
		return nil, err
	}
	return egress.New(egress.Policy{Ways: ways, Resolver: s.names, Clock: s.clock, Own: s.own, Auditor: to})
}

// dial opens a connection along a way that is declared for a function now. It acts as the function's role:
// one that may not be taken any more opens nothing.
func (s *Server) dial(ctx context.Context, service *lambda.Service, f fleet.Function, address string) (net.Conn, error) {
	as, err := s.roleOf(ctx, service, f)
	if err != nil {
		s.log.Warn("a function's connection failed", "function", f.ARN, "to", address, "error", err)
		return nil, err
	}
	at := s.waysChanged()
	l := &line{connections: s.connections(as, ""), of: s.lines, fn: f}
	out, err := s.dialler(ctx, service, f, l)
	if err != nil {
		return nil, err
	}
	if l.conn, err = out.Dial(ctx, "function", address); err != nil {
		return nil, err
	}
	s.lines.add(l)
	if s.waysChanged() != at { // a change that came before the line was there to be seen
		s.lines.look()
	}
	return l.conn, nil
}

// lookPause is how long a look at the lines waits after the last, and lookAgain after one that failed.
const (
	lookPause = 20 * time.Millisecond
	lookAgain = time.Second
)

// withdraw closes lines whose way was taken away, until the context ends.
func (s *Server) withdraw(ctx context.Context, service *lambda.Service) error {
	functions, stop := s.db.Watch("lambda")
	defer stop()
	networks, stop := s.db.Watch("ec2")
	defer stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-functions:
		case <-networks:
		case <-s.lines.again:
		}
		wait := lookPause
		for _, lines := range s.lines.byVersion() {
			d, err := s.dialler(ctx, service, lines[0].fn, lines[0])
			if err != nil {
				s.log.Error("the ways out that are in force could not be read", "function", lines[0].fn.ARN, "error", err)
				wait = lookAgain
				s.lines.look()
				continue
			}
			for _, l := range lines {
				d.Keep(l.conn)
			}
		}
		pause.Reset(wait)
	}
}

var _ egress.Follower = (*line)(nil)
