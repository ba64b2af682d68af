// Package tether carries everything between a driver and the inside of a sandbox over one stream of
// bytes: the connections that are made to the doors, the process's descriptor 3, its output, and the
// words of package control. It is for sandboxes that no descriptor can be passed into or out of: those
// of gVisor, whose network is its own, and virtual machines.
//
// Both ends have a Tether; the end inside is held by the agent (cmd/init). Connections are opened by the
// agent, when a program has connected to a door, and have numbers from First on; the numbers below are
// streams that exist from the start.
//
// A frame is a head of nine bytes (kind, number, length of the body, big endian) and a body. Each stream
// has a window: what one end may send before the other has read it is at most Window bytes, so that
// no slow reader holds up the rest, and neither end holds more than Window for a stream. The end that
// breaks these rules has its tether cut.
//
// The package has no dependencies, because the agent must stay small.
package tether

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

// Streams that exist from the start: those of the process that all is for, and the output of others.
const (
	Channel = 1 // the process's descriptor 3
	Stdout  = 2
	Stderr  = 3
	First   = 128 // of the connections

	// MaxProcesses is how many processes there may be beside the first.
	MaxProcesses = 32
)

// Output is the stream of what a process writes: n is 0 for its descriptor 1 and 1 for 2. The first
// process has number 0, the others 1 to MaxProcesses.
func Output(number, n int) uint32 { return uint32(Stdout + 2*number + n) }

func isOutput(id uint32) bool { return id >= Stdout && id < Output(MaxProcesses+1, 0) }

// Limits.
const (
	Window      = 256 << 10 // bytes under way on a stream, in each direction
	MaxStreams  = 4096      // connections at a time
	MaxMessage  = 8 << 20   // bytes of a message
	MaxDatagram = 64 << 10
	piece       = 32 << 10 // of a stream in one frame
	headSize    = 9
)

// ErrBroken is an other end that does not keep to the rules.
var ErrBroken = errors.New("tether: the other end breaks the rules")

// errGone is using a stream of a tether that has ended.
var errGone = errors.New("tether: it has ended")

type kind byte

const (
	kindOpen kind = iota + 1
	kindData
	kindCredit
	kindShut  // no more data comes
	kindReset // nothing is read or written any more
	kindMessage
	kindDatagram
)

// Handlers are told what arrives, in order, by the goroutine that runs the tether: what they do holds
// up all else. An error of theirs cuts the tether. Those that are nil refuse.
type Handlers struct {
	Message  func(kind byte, body []byte) error // the body is theirs
	Opened   func(*Stream, Place) error
	Datagram func(Place, []byte) error // the bytes are only lent
	// Output takes what the process has written, in order with all else: what was written before an
	// answer on Channel is taken before the answer is. The bytes are only lent. Without it, what is
	// written arrives on streams like the others.
	Output func(id uint32, b []byte)
}

// Place is where a connection or a datagram arrived: the door's number, and the addresses in any form
// that both ends agree on.
type Place struct {
	Door     int
	At, From string
}

// Tether is one end.
type Tether struct {
	rw io.ReadWriteCloser
	on Handlers

	opening sync.Mutex // one Open at a time

	out sync.Mutex // one frame at a time
	buf []byte

	mu      sync.Mutex
	streams map[uint32]*Stream
	next    uint32
	opened  int
	ended   error // why; not nil once it has ended
}

// New makes an end of rw; Run makes it work.
func New(rw io.ReadWriteCloser, on Handlers) *Tether {
	return &Tether{rw: rw, on: on, streams: map[uint32]*Stream{}, next: First}
}

// Stream is one of those that exist from the start; nil for any other number.
func (t *Tether) Stream(id uint32) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stream(id)
}

// stream finds one; those that exist from the start are made when they are first looked for. mu is held.
func (t *Tether) stream(id uint32) *Stream {
	s := t.streams[id]
	if s == nil && (id == Channel || isOutput(id)) {
		s = newStream(t, id)
		t.streams[id] = s
		if t.ended != nil {
			s.end(errGone)
		}
	}
	return s
}

// Open begins a connection. Only the agent does.
func (t *Tether) Open(p Place) (*Stream, error) {
	t.opening.Lock() // numbers arrive in order
	defer t.opening.Unlock()
	t.mu.Lock()
	if t.ended != nil {
		t.mu.Unlock()
		return nil, errGone
	}
	if t.opened >= MaxStreams {
		t.mu.Unlock()
		return nil, errors.New("tether: too many connections")
	}
	s := newStream(t, t.next)
	t.streams[s.id] = s
	t.opened++
	t.next++
	t.mu.Unlock()
	return s, t.send(kindOpen, s.id, appendPlace(nil, p), nil)
}

// Message sends words.
func (t *Tether) Message(k byte, body []byte) error {
	return t.send(kindMessage, uint32(k), body, nil)
}

// Datagram sends one.
func (t *Tether) Datagram(p Place, b []byte) error {
	if len(b) > MaxDatagram {
		return errors.New("tether: the datagram is too long")
	}
	return t.send(kindDatagram, 0, appendPlace(nil, p), b)
}

// send writes one frame, of two parts.
func (t *Tether) send(k kind, id uint32, a, b []byte) error {
	t.out.Lock()
	defer t.out.Unlock()
	t.buf = appendHead(t.buf[:0], k, id, len(a)+len(b))
	t.buf = append(append(t.buf, a...), b...)
	_, err := t.rw.Write(t.buf)
	if cap(t.buf) > 2*piece {
		t.buf = nil
	}
	return err
}

// Close cuts the tether; Run returns.
func (t *Tether) Close() error { return t.rw.Close() }

// Run carries what arrives until the stream ends, and then ends everything on it. The error is nil when
// the other end has closed it in order.
func (t *Tether) Run() error {
	err := t.run()
	_ = t.rw.Close() // which is how the other end learns of it
	why := err
	if why == nil {
		why = io.EOF
	}
	t.mu.Lock()
	t.ended = why
	all := make([]*Stream, 0, len(t.streams))
	for _, s := range t.streams {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.end(errGone)
	}
	return err
}

func (t *Tether) run() error {
	r := bufio.NewReaderSize(t.rw, 2*piece)
	head := make([]byte, headSize)
	buf := make([]byte, piece)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		k, id, n, err := parseHead(head)
		if err != nil {
			return err
		}
		body := buf[:min(n, len(buf))]
		if k == kindMessage || n > len(buf) {
			body = make([]byte, n)
		}
		if _, err := io.ReadFull(r, body); err != nil {
			return errors.Join(ErrBroken, err)
		}
		if err := t.take(k, id, body); err != nil {
			return err
		}
	}
}

// take deals with one frame.
func (t *Tether) take(k kind, id uint32, body []byte) error {
	switch k {
	case kindMessage:
		if t.on.Message == nil || id > 255 {
			return ErrBroken
		}
		return t.on.Message(byte(id), body)
	case kindDatagram:
		p, rest, err := parsePlace(body)
		if err != nil || t.on.Datagram == nil {
			return ErrBroken
		}
		return t.on.Datagram(p, rest)
	case kindOpen:
		return t.accept(id, body)
	}
	t.mu.Lock()
	s := t.stream(id)
	gone := s == nil && id >= First && id < t.next
	t.mu.Unlock()
	if s == nil {
		if gone {
			return nil // this end has forgotten it, and the other has not heard yet
		}
		return ErrBroken
	}
	if k == kindData && isOutput(id) && t.on.Output != nil {
		t.on.Output(id, body)
		return s.grant(len(body))
	}
	return s.take(k, body)
}

// accept makes the stream that the other end opened.
func (t *Tether) accept(id uint32, body []byte) error {
	p, rest, err := parsePlace(body)
	if err != nil || len(rest) > 0 || t.on.Opened == nil {
		return ErrBroken
	}
	t.mu.Lock()
	if id != t.next || t.opened >= MaxStreams {
		t.mu.Unlock()
		return ErrBroken
	}
	s := newStream(t, id)
	t.streams[id] = s
	t.opened++
	t.next++
	t.mu.Unlock()
	return t.on.Opened(s, p)
}

// forget drops a connection that both ends have finished with.
func (t *Tether) forget(id uint32) {
	if id < First {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[id] != nil {
		delete(t.streams, id)
		t.opened--
	}
}
