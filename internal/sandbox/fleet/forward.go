package fleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// dialTime bounds the opening of a declared route.
const dialTime = 30 * time.Second

// maxConnections is how many connections an instance may have open outside at once: below the 1,024 files
// that a function may have open, and a bound to what one costs Bastide.
const maxConnections = 256

// forward carries the connections of one door to where they are meant to go.
func (i *instance) forward(d wayDoor, l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return // the instance has ended
		}
		target := i.outside.target(d, in.LocalAddr())
		select {
		case i.connections <- struct{}{}:
			go func() {
				defer func() { <-i.connections }()
				i.carry(in, target)
			}()
		default:
			host, port := hostPort(target)
			i.refused(Refusal{"tcp", host, port, fmt.Sprintf("the instance has %d connections open already", maxConnections), 1})
			reset(in)
		}
	}
}

func (i *instance) carry(in net.Conn, address string) {
	if i.observer != nil && !i.observer.reaches(address) {
		host, port := hostPort(address)
		i.refused(Refusal{"tcp", host, port, "it departs from the function's profile", 1}) // each attempt; the departure is told once
		reset(in)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	out, err := i.fleet.deps.Dial(ctx, *i.fn, address)
	cancel()
	if err != nil {
		reset(in) // the dialler has recorded it
		return
	}
	i.stats.reached(address)
	done := make(chan bool, 2)
	go func() { done <- pipe(out, in) }()
	go func() { done <- pipe(in, out) }()
	left := 2
	for ordered := true; left > 0 && ordered; {
		select {
		case ordered = <-done: // one direction that has ended in order lets the other go on
			left--
		case <-i.ended:
			ordered = false
		}
	}
	if left > 0 {
		// both ends are cut, and then waited for, so that what passed is counted
		past := time.Unix(1, 0)
		_, _ = in.SetDeadline(past), out.SetDeadline(past) // either may be closed already
	}
	for ; left > 0; left-- {
		<-done
	}
	if c, ok := out.(interface{ Cut() bool }); ok && c.Cut() {
		reset(in) // its way was taken away: that is no end in order
	}
	_, _ = out.Close(), in.Close() // nothing is left to be said
}

// pipe copies until the end and passes the end on; it reports whether it was an end in order.
func pipe(to, from net.Conn) bool {
	_, err := io.Copy(to, from)
	if err != nil {
		return false
	}
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite() == nil
	}
	return false
}

// reset closes a connection so that its peer sees that it failed, not that it was served nothing.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then it is only closed
	}
	_ = c.Close()
}
