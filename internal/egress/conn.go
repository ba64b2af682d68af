package egress

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// conn is a connection whose end is recorded with what passed.
type conn struct {
	net.Conn
	d        *Dialer
	to       Follower
	rec      Record
	sent     atomic.Int64
	received atomic.Int64
	once     sync.Once
	cut      atomic.Bool
}

// follow has the auditor told of a connection's end, if it wants to be.
func (d *Dialer) follow(c net.Conn, rec Record) net.Conn {
	to, ok := d.p.Auditor.(Follower)
	if !ok {
		return c
	}
	return &conn{Conn: c, d: d, to: to, rec: rec}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// ReadFrom lets the kernel move the bytes, where it can.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.Conn, r)
	c.sent.Add(n)
	return n, err
}

// WriteTo does so the other way.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, c.Conn)
	c.received.Add(n)
	return n, err
}

// CloseWrite ends one direction.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		rec := c.rec
		rec.Lasted = c.d.p.Clock.Now().Sub(rec.At)
		rec.At = rec.At.Add(rec.Lasted)
		rec.Sent, rec.Received = c.sent.Load(), c.received.Load()
		if c.cut.Load() {
			rec.Refused = "no way that is declared leads there any more"
		}
		c.to.Disconnected(rec)
	})
	return err
}

// Cut reports whether Keep has closed the connection.
func (c *conn) Cut() bool { return c.cut.Load() }

// Keep judges a connection that a Dialer with a Follower has made by what this one allows, for the host and
// the address that it was opened to. One that is not allowed is closed, and its end recorded as refused; Keep
// reports whether it stays.
func (d *Dialer) Keep(c net.Conn) bool {
	had, ok := c.(*conn)
	if !ok {
		return true
	}
	may, ok := d.permit(had.rec.Purpose, had.rec.Host, had.rec.Port)
	if ok && may(had.rec.Address) {
		return true
	}
	had.cut.Store(true)
	_ = had.Close() // nothing is left to be said
	return false
}
