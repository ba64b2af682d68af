package runtimeapi

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

type sink struct {
	mu     sync.Mutex
	events []string
}

func (s *sink) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, string(b))
}

func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.events
	s.events = nil
	return out
}

func output(t *testing.T) (*Output, *os.File, *sink) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	o, err := NewOutput(r, s.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); o.Close() })
	return o, w, s
}

func TestOutputCutsEvents(t *testing.T) {
	cases := map[string]struct {
		written string
		want    []string
	}{
		"lines":              {"one\ntwo\n\nthree\n", []string{"one", "two", "", "three"}},
		"carriage returns":   {"one\r\ntwo\r\n", []string{"one", "two"}},
		"no line break":      {"one\ntwo", []string{"one", "two"}},
		"marked":             {"\x1eone\x1ftwo\n\x1ethree\n", []string{"one\ntwo", "three"}},
		"marked in mid-line": {"start\x1eone\x1ftwo\nrest", []string{"start", "one\ntwo", "rest"}},
		"break in a line":    {"a\x1fb\n", []string{"a\x1fb"}},
		"at the limit":       {strings.Repeat("x", MaxEvent) + "\n", []string{strings.Repeat("x", MaxEvent)}},
		"above the limit":    {strings.Repeat("x", MaxEvent+3) + "\ny\n", []string{strings.Repeat("x", MaxEvent), "xxx", "y"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o, w, s := output(t)
			if _, err := w.WriteString(c.written); err != nil {
				t.Fatal(err)
			}
			o.Flush()
			if got := s.take(); !slices.Equal(got, c.want) {
				t.Errorf("got %.200q, want %.200q", got, c.want)
			}
		})
	}
}

// What was written before a Flush belongs to it, whoever of the two readers is faster.
func TestOutputFlushIsABarrier(t *testing.T) {
	o, w, s := output(t)
	line := strings.Repeat("x", 99) + "\n"
	for round := range 300 {
		n := 1 + round%40
		if _, err := w.WriteString(strings.Repeat(line, n)); err != nil {
			t.Fatal(err)
		}
		o.Flush()
		if got := s.take(); len(got) != n {
			t.Fatalf("round %d: %d events, want %d", round, len(got), n)
		}
	}
}

func TestOutputAfterTheGuestEnded(t *testing.T) {
	o, w, s := output(t)
	if _, err := w.WriteString("last\nwords"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	o.Flush()
	if got := s.take(); !slices.Equal(got, []string{"last", "words"}) {
		t.Errorf("got %q", got)
	}
	o.Flush()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	o.Flush()
	if got := s.take(); len(got) != 0 {
		t.Errorf("got %q after the end", got)
	}
}

// FuzzOutput: however the bytes are cut into reads, no event is too long and no byte that is not
// a separator is lost.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("a\nb\x1ec\x1fd\n"), 3)
	f.Add([]byte("\x1e\x1e\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var got []byte
		o := &Output{sink: func(e []byte) {
			if len(e) > MaxEvent {
				t.Fatalf("an event of %d bytes", len(e))
			}
			got = append(got, e...)
		}}
		strip := func(b []byte) []byte {
			return slices.DeleteFunc(bytes.Clone(b), func(c byte) bool { return bytes.IndexByte([]byte("\n\r\x1e\x1f"), c) >= 0 })
		}
		want := strip(b)
		cut = max(1, cut&0xff)
		for in := bytes.Clone(b); len(in) > 0; {
			n := min(cut, len(in))
			o.split(in[:n])
			in = in[n:]
		}
		if len(o.partial) > 0 {
			o.deliver(o.partial)
		}
		if got := strip(got); !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
