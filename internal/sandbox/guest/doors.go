package guest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// waiting bounds what has arrived at a door and was not taken yet.
const waiting = 1024

// door is a door's outer end.
type door struct {
	number int
	spec   sandbox.DoorSpec
	at     net.Addr
	conns  chan net.Conn
	grams  chan gram
	tether *tether.Tether

	mu       sync.Mutex
	deadline time.Time
	alarm    *time.Timer
	changed  chan struct{} // closed and replaced with the deadline
	ended    chan struct{}
}

type gram struct {
	from netip.AddrPort
	b    []byte
}

func newDoor(number int, spec sandbox.DoorSpec, at netip.AddrPort, t *tether.Tether) *door {
	d := &door{number: number, spec: spec, tether: t, changed: make(chan struct{}), ended: make(chan struct{})}
	if spec.Network == "udp" {
		d.at, d.grams = net.UDPAddrFromAddrPort(at), make(chan gram, waiting)
	} else {
		d.at, d.conns = net.TCPAddrFromAddrPort(at), make(chan net.Conn, waiting)
	}
	return d
}

func (d *door) door() sandbox.Door {
	if d.grams != nil {
		return sandbox.Door{Packet: packets{d}}
	}
	return sandbox.Door{Listener: listener{d}}
}

// Close ends the door; what waits at it is turned away.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.ended:
		return net.ErrClosed
	default:
	}
	close(d.ended)
	for d.conns != nil {
		select {
		case c := <-d.conns:
			_ = c.Close() // only tells the other side
			continue
		default:
		}
		break
	}
	return nil
}

// end ends the door; what waits at it can be taken still.
func (d *door) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.ended:
	default:
		close(d.ended)
	}
}

// arrive queues a connection; one too many is turned away, as a full backlog does.
func (d *door) arrive(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.ended:
	default:
		select {
		case d.conns <- c:
			return
		default:
		}
	}
	_ = c.Close() // as above
}

type listener struct{ *door }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
	}
	select {
	case c := <-l.conns: // that came before the end
		return c, nil
	default:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.at, Err: net.ErrClosed}
	}
}

func (l listener) Addr() net.Addr { return l.at }

type packets struct{ *door }

func (p packets) LocalAddr() net.Addr { return p.at }

func (p packets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		changed, late := p.changed, !p.deadline.IsZero() && !time.Now().Before(p.deadline)
		p.mu.Unlock()
		if late {
			return 0, nil, os.ErrDeadlineExceeded
		}
		select {
		case g := <-p.grams:
			return copy(b, g.b), net.UDPAddrFromAddrPort(g.from), nil
		case <-changed:
		case <-p.ended:
			return 0, nil, &net.OpError{Op: "read", Net: "udp", Addr: p.at, Err: net.ErrClosed}
		}
	}
}

func (p packets) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: net.InvalidAddrError("no address of UDP")}
	}
	err := p.tether.Datagram(tether.Place{Door: p.number, From: wire(u.AddrPort())}, b)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p packets) SetDeadline(t time.Time) error      { return p.SetReadDeadline(t) }
func (p packets) SetWriteDeadline(t time.Time) error { return nil } // a write never waits for a reader

func (p packets) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alarm != nil {
		p.alarm.Stop()
		p.alarm = nil
	}
	p.deadline = t
	again := func() {
		close(p.changed)
		p.changed = make(chan struct{})
	}
	if !t.IsZero() {
		p.alarm = time.AfterFunc(time.Until(t), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			again()
		})
	}
	again()
	return nil
}

// conn is a connection that was made inside.
type conn struct {
	*tether.Stream
	local, remote net.Addr
}

func (c conn) LocalAddr() net.Addr  { return c.local }
func (c conn) RemoteAddr() net.Addr { return c.remote }

// Write reports a connection that is gone as net does.
func (c conn) Write(b []byte) (int, error) {
	n, err := c.Stream.Write(b)
	if err == io.ErrClosedPipe {
		err = net.ErrClosed
	}
	return n, err
}

// Read reports a connection that was closed here as net does.
func (c conn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if err == io.ErrClosedPipe {
		err = net.ErrClosed
	}
	return n, err
}

// stream is the address of a channel, which has none.
type stream struct{}

func (stream) Network() string { return "tether" }
func (stream) String() string  { return "channel" }

// wire is an address as the agent reads it.
func wire(a netip.AddrPort) string {
	return string(a.Addr().Unmap().AsSlice()) + string([]byte{byte(a.Port() >> 8), byte(a.Port())})
}

// address reads what the agent wrote.
func address(s string) (netip.AddrPort, bool) {
	if len(s) < 2 {
		return netip.AddrPort{}, false
	}
	a, ok := netip.AddrFromSlice([]byte(s[:len(s)-2]))
	return netip.AddrPortFrom(a, uint16(s[len(s)-2])<<8|uint16(s[len(s)-1])), ok
}

var (
	_ net.Listener   = listener{}
	_ net.PacketConn = packets{}
	_ net.Conn       = conn{}
)
