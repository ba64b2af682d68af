package fleet

import (
	"context"
	"io"
	"net"
	"time"
)

// dialTime bounds the opening of a declared route.
const dialTime = 30 * time.Second

// forward carries the connections of one route's door to where the route leads.
func (i *instance) forward(l net.Listener, address string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return // the instance has ended
		}
		go i.carry(in, address)
	}
}

func (i *instance) carry(in net.Conn, address string) {
	defer in.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	out, err := i.fleet.deps.Dial(ctx, *i.fn, address)
	cancel()
	if err != nil {
		return // the dialler has recorded it; the function sees its connection closed
	}
	defer out.Close()
	done := make(chan struct{}, 2)
	go pipe(out, in, done)
	go pipe(in, out, done)
	select {
	case <-done:
		// one direction has ended in order; the other may go on
		select {
		case <-done:
		case <-i.ended:
		}
	case <-i.ended:
	}
}

// pipe copies until the end and passes the end on.
func pipe(to, from net.Conn, done chan<- struct{}) {
	_, _ = io.Copy(to, from) // an error is an end too
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // it may be closed altogether
	} else {
		_ = to.Close()
	}
	done <- struct{}{}
}
