package front

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// mixed is a listener that serves HTTP and TLS on one port: it looks at a connection's first
// byte, which is 22 for a TLS handshake (RFC 8446, section 5.1) and never for HTTP. Each
// connection is looked at on its own, so that a silent client holds up nobody.
type mixed struct {
	net.Listener
	config *tls.Config
	head   time.Duration
	ready  chan accepted
	done   chan struct{}
	close  sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func newMixed(l net.Listener, config *tls.Config, head time.Duration) net.Listener {
	if config == nil {
		return l
	}
	m := &mixed{Listener: l, config: config, head: head, ready: make(chan accepted), done: make(chan struct{})}
	go m.accept()
	return m
}

func (m *mixed) accept() {
	for {
		c, err := m.Listener.Accept()
		if err != nil {
			m.give(accepted{err: err})
			if m.closed() || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the server decides whether to try again: want of descriptors passes
		}
		go m.settle(c)
	}
}

func (m *mixed) closed() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *mixed) give(a accepted) {
	select {
	case m.ready <- a:
	case <-m.done:
		if a.conn != nil {
			a.conn.Close()
		}
	}
}

const handshake = 22

func (m *mixed) settle(c net.Conn) {
	first := make([]byte, 1)
	c.SetReadDeadline(time.Now().Add(m.head))
	if _, err := c.Read(first); err != nil {
		c.Close()
		return
	}
	c.SetReadDeadline(time.Time{})
	p := &prefixed{Conn: c, head: first}
	if first[0] == handshake {
		m.give(accepted{conn: tls.Server(p, m.config)})
		return
	}
	m.give(accepted{conn: p})
}

// Accept gives the next connection that has begun to speak.
func (m *mixed) Accept() (net.Conn, error) {
	select {
	case a := <-m.ready:
		return a.conn, a.err
	case <-m.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener; connections that have not spoken are dropped.
func (m *mixed) Close() error {
	m.close.Do(func() { close(m.done) })
	return m.Listener.Close()
}

// prefixed gives back the byte that was looked at.
type prefixed struct {
	net.Conn
	head []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 && len(b) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

var _ net.Listener = (*mixed)(nil)
