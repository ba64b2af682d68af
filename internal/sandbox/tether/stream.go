package tether

import (
	"io"
	"os"
	"sync"
	"time"
)

// Stream is one stream of bytes in each direction. It is safe for concurrent use.
type Stream struct {
	t  *Tether
	id uint32

	writing sync.Mutex // one Write at a time

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when one of the fields below changes
	in       []byte        // arrived, not read
	inEnd    error         // after in; nil: more may come
	credit   int           // bytes that may be sent
	owed     int           // bytes that were read and not yet granted again
	outEnd   error         // not nil: nothing can be sent
	shut     bool          // this end sends no more
	closed   bool
	deadline [2]time.Time // of reads, of writes
	alarm    [2]*time.Timer
}

func newStream(t *Tether, id uint32) *Stream {
	return &Stream{t: t, id: id, changed: make(chan struct{}), credit: Window}
}

// wake tells whoever waits; mu is held.
func (s *Stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// take deals with a frame of this stream.
func (s *Stream) take(k kind, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch k {
	case kindData:
		if s.inEnd != nil && !s.closed {
			return ErrBroken
		}
		if s.closed {
			return nil // a Reset is under way to who sends it
		}
		if len(s.in)+s.owed+len(body) > Window {
			return ErrBroken
		}
		s.in = append(s.in, body...)
	case kindCredit:
		n := 0
		for _, c := range body {
			n = n<<8 | int(c)
		}
		if n < 0 || n > Window || s.credit+n > Window {
			return ErrBroken
		}
		s.credit += n
	case kindShut:
		if s.inEnd == nil {
			s.inEnd = io.EOF
		}
		s.settled()
	case kindReset:
		if s.inEnd == nil {
			s.inEnd = io.EOF
		}
		s.outEnd = io.ErrClosedPipe
		s.settled()
	}
	s.wake()
	return nil
}

// settled forgets a connection with nothing left to come or to send; mu is held.
func (s *Stream) settled() {
	if s.inEnd != nil && (s.shut || s.outEnd != nil) {
		s.t.forget(s.id)
	}
}

// end is the end of the tether.
func (s *Stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inEnd == nil {
		s.inEnd = io.EOF
	}
	s.outEnd = err
	s.wake()
}

// The two directions, as indices.
const (
	reading = iota
	writing
)

// wait waits for a change, or for the deadline; mu is held, and is again when it returns.
func (s *Stream) wait(direction int) error {
	if d := s.deadline[direction]; !d.IsZero() && !time.Now().Before(d) {
		return os.ErrDeadlineExceeded
	}
	c := s.changed
	s.mu.Unlock()
	<-c
	s.mu.Lock()
	return nil
}

// Read implements io.Reader.
func (s *Stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	for len(s.in) == 0 && len(b) > 0 {
		err := s.inEnd
		if s.closed {
			err = io.ErrClosedPipe
		}
		if err == nil {
			err = s.wait(reading)
		}
		if err != nil {
			s.mu.Unlock()
			return 0, err
		}
	}
	n := copy(b, s.in)
	if s.in = s.in[n:]; len(s.in) == 0 {
		s.in = nil
	}
	grant := s.owe(n)
	s.mu.Unlock()
	return n, s.grant(grant)
}

// owe counts what was read, and returns what is worth telling; mu is held.
func (s *Stream) owe(n int) int {
	s.owed += n
	if s.owed < Window/4 || s.inEnd != nil {
		return 0
	}
	n, s.owed = s.owed, 0
	return n
}

// grant lets the other end send more. It fails only when nobody is there to send.
func (s *Stream) grant(n int) error {
	if n > 0 {
		_ = s.t.send(kindCredit, s.id, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, nil)
	}
	return nil
}

// Write implements io.Writer.
func (s *Stream) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	done := 0
	for done < len(b) {
		n, err := s.allowance(len(b) - done)
		if err == nil {
			err = s.t.send(kindData, s.id, b[done:done+n], nil)
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// allowance waits until something may be sent, and takes of it.
func (s *Stream) allowance(want int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed || s.shut:
			return 0, io.ErrClosedPipe
		case s.outEnd != nil:
			return 0, s.outEnd
		}
		if d := s.deadline[writing]; !d.IsZero() && !time.Now().Before(d) {
			return 0, os.ErrDeadlineExceeded
		}
		if s.credit > 0 {
			n := min(want, s.credit, piece)
			s.credit -= n
			return n, nil
		}
		if err := s.wait(writing); err != nil {
			return 0, err
		}
	}
}

// CloseWrite says that nothing more will be written.
func (s *Stream) CloseWrite() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.shut || s.closed || s.outEnd != nil {
		s.mu.Unlock()
		return nil
	}
	s.shut = true
	s.settled()
	s.wake()
	s.mu.Unlock()
	return s.t.send(kindShut, s.id, nil, nil)
}

// Close ends both directions. What was written still arrives; what has not been read is lost.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.in = nil
	tell := kindReset
	switch {
	case s.outEnd != nil || s.shut && s.inEnd != nil:
		tell = 0
	case s.inEnd != nil:
		tell = kindShut
	}
	s.shut = true
	if s.inEnd == nil {
		s.inEnd = io.ErrClosedPipe
	}
	for _, a := range s.alarm {
		if a != nil {
			a.Stop()
		}
	}
	s.settled()
	s.wake()
	s.mu.Unlock()
	if tell == 0 {
		return nil
	}
	_ = s.t.send(tell, s.id, nil, nil) // it fails when nobody is there to be told
	return nil
}

// SetReadDeadline and SetWriteDeadline bound waits, as net.Conn has them.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.setDeadline(reading, t) }

// SetWriteDeadline is SetReadDeadline's other half.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.setDeadline(writing, t) }

// SetDeadline sets both.
func (s *Stream) SetDeadline(t time.Time) error {
	_ = s.setDeadline(reading, t)
	return s.setDeadline(writing, t)
}

func (s *Stream) setDeadline(direction int, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.alarm[direction]; a != nil {
		a.Stop()
		s.alarm[direction] = nil
	}
	s.deadline[direction] = t
	if !t.IsZero() && !s.closed {
		s.alarm[direction] = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			s.wake()
			s.mu.Unlock()
		})
	}
	s.wake()
	return nil
}
