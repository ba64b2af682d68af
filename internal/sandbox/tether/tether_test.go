package tether

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair are two ends that talk to each other; what the first opens arrives at the second.
func pair(t *testing.T, second Handlers) (a, b *Tether) {
	t.Helper()
	x, y := net.Pipe()
	a, b = New(x, Handlers{}), New(y, second)
	var both sync.WaitGroup
	both.Go(func() { _ = a.Run() })
	both.Go(func() { _ = b.Run() })
	t.Cleanup(func() {
		a.Close()
		both.Wait()
	})
	return a, b
}

// TestConnections: what is written at one end is read at the other, each way, each stream by itself,
// more than a window of it; and an end passes on.
func TestConnections(t *testing.T) {
	type arrival struct {
		s *Stream
		p Place
	}
	arrived := make(chan arrival, 10)
	a, _ := pair(t, Handlers{Opened: func(s *Stream, p Place) error { arrived <- arrival{s, p}; return nil }})
	var all sync.WaitGroup
	for n := range 3 {
		mine, err := a.Open(Place{Door: 300 + n, At: "at", From: strings.Repeat("f", 255)})
		if err != nil {
			t.Fatal(err)
		}
		got := <-arrived
		if got.p.Door != 300+n || got.p.At != "at" || len(got.p.From) != 255 {
			t.Errorf("arrived at %+v", got.p)
		}
		payload := bytes.Repeat([]byte{byte(n), 1, 2, 3, 5}, Window/2)
		all.Go(func() {
			if _, err := mine.Write(payload); err != nil {
				t.Error(err)
			}
			if err := mine.CloseWrite(); err != nil {
				t.Error(err)
			}
			if back, err := io.ReadAll(mine); err != nil || !bytes.Equal(back, payload) {
				t.Errorf("back came %d of %d bytes: %v", len(back), len(payload), err)
			}
			if _, err := mine.Write([]byte("x")); err == nil {
				t.Error("wrote after the end")
			}
		})
		all.Go(func() {
			b, err := io.ReadAll(got.s)
			if err != nil || !bytes.Equal(b, payload) {
				t.Errorf("%d of %d bytes: %v", len(b), len(payload), err)
			}
			if _, err := got.s.Write(b); err != nil {
				t.Error(err)
			}
			if err := got.s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if a.opened != 0 || len(a.streams) != 0 {
		t.Errorf("%d connections are still known", a.opened)
	}
}

// TestSlowReader: a stream that nobody reads takes a window and no more, and holds nothing else up.
func TestSlowReader(t *testing.T) {
	arrived := make(chan *Stream, 2)
	a, b := pair(t, Handlers{Opened: func(s *Stream, _ Place) error { arrived <- s; return nil }})
	slow, err := a.Open(Place{})
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := slow.Write(make([]byte, 2*Window)); n != Window || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes that nobody reads: %v", n, err)
	}
	if _, err := a.Stream(Channel).Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(b.Stream(Channel), got); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
	theirs := <-arrived
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := slow.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := slow.Read(got); n != 0 || err != io.EOF {
		t.Errorf("read %d of a closed connection: %v", n, err)
	}
	if _, err := slow.Write([]byte("x")); err == nil {
		t.Error("wrote to a closed connection")
	}
	if err := b.Stream(Channel).SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stream(Channel).Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
}

// TestOrder: output that was written before an answer is taken before the answer is.
func TestOrder(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	a, b := pair(t, Handlers{Output: func(id uint32, p []byte) { mu.Lock(); defer mu.Unlock(); out.Write(p) }})
	for range 100 {
		line := strings.Repeat("x", 5000)
		if _, err := a.Stream(Stdout).Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Stream(Channel).Write([]byte("!")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(b.Stream(Channel), make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if out.Len() != len(line) {
			t.Errorf("%d bytes of output before the answer, want %d", out.Len(), len(line))
		}
		out.Reset()
		mu.Unlock()
	}
}

// TestMessages: words and datagrams arrive whole.
func TestMessages(t *testing.T) {
	said := make(chan string, 4)
	a, _ := pair(t, Handlers{
		Message:  func(k byte, body []byte) error { said <- string(rune('0'+k)) + string(body); return nil },
		Datagram: func(p Place, b []byte) error { said <- p.At + p.From + string(b); return nil },
	})
	if err := errors.Join(a.Message(7, []byte("words")), a.Datagram(Place{Door: 1, At: "a", From: "f"}, []byte("gram"))); err != nil {
		t.Fatal(err)
	}
	if one, two := <-said, <-said; one != "7words" || two != "afgram" {
		t.Errorf("%q %q", one, two)
	}
	if err := a.Datagram(Place{}, make([]byte, MaxDatagram+1)); err == nil {
		t.Error("sent a datagram that is too long")
	}
}

// frames are what a hostile end might send.
func frame(k kind, id uint32, body []byte) []byte {
	return append(appendHead(nil, k, id, len(body)), body...)
}

// TestHostile: an end that breaks the rules is cut off.
func TestHostile(t *testing.T) {
	full := bytes.Repeat(frame(kindData, Channel, make([]byte, piece)), Window/piece)
	for name, bytes := range map[string][]byte{
		"no kind":             frame(99, 0, nil),
		"a long body":         appendHead(nil, kindData, Channel, piece+1),
		"a huge message":      appendHead(nil, kindMessage, 1, MaxMessage+1),
		"an unknown stream":   frame(kindData, First+5, []byte("x")),
		"a number out of row": frame(kindOpen, First+1, appendPlace(nil, Place{})),
		"a place cut short":   frame(kindOpen, First, []byte{0}),
		"beyond the window":   append(full, frame(kindData, Channel, []byte("x"))...),
		"credit for nothing":  frame(kindCredit, Channel, []byte{0, 0, 0, 1}),
		"data after the end":  append(frame(kindShut, Channel, nil), frame(kindData, Channel, []byte("x"))...),
		"no such message":     frame(kindMessage, 256, nil),
		"half a frame":        frame(kindData, Channel, []byte("xyz"))[:headSize+1],
	} {
		x, y := net.Pipe()
		tt := New(y, Handlers{Opened: func(*Stream, Place) error { return nil }, Message: func(byte, []byte) error { return nil }})
		ended := make(chan error, 1)
		go func() { ended <- tt.Run() }()
		go func() { _, _ = x.Write(bytes); x.Close() }()
		if err := <-ended; !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tt.Stream(Channel).Write([]byte("x")); err == nil {
			t.Errorf("%s: the tether still takes bytes", name)
		}
	}
}

// FuzzRun: no bytes make an end panic, hang or hold more than its windows.
func FuzzRun(f *testing.F) {
	f.Add(frame(kindOpen, First, appendPlace(nil, Place{Door: 1, At: "a", From: "b"})))
	f.Add(append(frame(kindData, Channel, []byte("x")), frame(kindReset, Channel, nil)...))
	f.Add(frame(kindDatagram, 0, appendPlace(nil, Place{})))
	f.Fuzz(func(t *testing.T, b []byte) {
		tt := New(deaf{bytes.NewReader(b)}, Handlers{
			Opened: func(*Stream, Place) error { return nil }, Message: func(byte, []byte) error { return nil },
			Datagram: func(Place, []byte) error { return nil },
		})
		_ = tt.Run()
		for id, s := range tt.streams {
			if len(s.in) > Window {
				t.Errorf("stream %d holds %d bytes", id, len(s.in))
			}
		}
	})
}

// deaf reads what it was given and loses what is written.
type deaf struct{ io.Reader }

func (deaf) Write(b []byte) (int, error) { return len(b), nil }
func (deaf) Close() error                { return nil }
