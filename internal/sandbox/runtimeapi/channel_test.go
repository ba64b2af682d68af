package runtimeapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// pair is a channel and the guest's end of its stream.
func pair(t *testing.T) (*Channel, net.Conn) {
	t.Helper()
	host, guest := net.Pipe()
	c := NewChannel(host)
	t.Cleanup(func() { c.Close(); guest.Close() })
	return c, guest
}

func bytesOf(k kind, seq uint32, body string) []byte {
	return append(appendHeader(nil, k, seq, len(body)), body...)
}

// readInvoke reads the frame that a channel sent and returns its sequence number and body.
func readInvoke(t *testing.T, r io.Reader) (uint32, []byte) {
	t.Helper()
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		t.Error(err)
		return 0, nil
	}
	body := make([]byte, binary.BigEndian.Uint32(h[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Error(err)
	}
	return binary.BigEndian.Uint32(h[5:]), body
}

// serve answers each invocation with what answer makes of it.
func serve(t *testing.T, guest net.Conn, answer func(seq uint32, body []byte) []byte) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var h [headerSize]byte
			if _, err := io.ReadFull(guest, h[:]); err != nil {
				return
			}
			body := make([]byte, binary.BigEndian.Uint32(h[:]))
			if _, err := io.ReadFull(guest, body); err != nil {
				return
			}
			if _, err := guest.Write(answer(binary.BigEndian.Uint32(h[5:]), body)); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { guest.Close(); <-done })
}

func TestChannelHandsOverEveryField(t *testing.T) {
	c, guest := pair(t)
	inv := Invocation{RequestID: "id", Deadline: time.UnixMilli(1700000000123), ARN: "arn", TraceID: "trace",
		ClientContext: "client", Identity: "who", TenantID: "tenant", Payload: []byte(`{"a":1}`)}
	got := make(chan []byte, 1)
	go func() {
		seq, body := readInvoke(t, guest)
		got <- body
		_, _ = guest.Write(bytesOf(kindResponse, seq, `"ok"`)) // the other side checks
	}()
	r, err := c.Invoke(context.Background(), inv)
	if err != nil || r.Failed || string(r.Payload) != `"ok"` {
		t.Fatalf("got %v %v", r, err)
	}
	var want []byte
	want = binary.BigEndian.AppendUint64(want, 1700000000123)
	for _, s := range []string{"id", "arn", "trace", "client", "who", "tenant"} {
		want = append(binary.BigEndian.AppendUint32(want, uint32(len(s))), s...)
	}
	want = append(want, `{"a":1}`...)
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("got  %q\nwant %q", b, want)
	}
}

func TestChannelErrorsCarryTheirType(t *testing.T) {
	for doc, want := range map[string]string{
		`{"errorType":"TypeError","errorMessage":"x"}`: "TypeError",
		`{}`:              "Runtime.Unknown",
		`not json`:        "Runtime.Unknown",
		`{"errorType":7}`: "Runtime.Unknown",
		`{"errorType":"` + strings.Repeat("x", 300) + `"}`: "Runtime.Unknown",
	} {
		c, guest := pair(t)
		serve(t, guest, func(seq uint32, _ []byte) []byte { return bytesOf(kindError, seq, doc) })
		r, err := c.Invoke(context.Background(), Invocation{})
		if err != nil || !r.Failed || r.ErrorType != want || string(r.Payload) != doc {
			t.Errorf("%s: got %q failed=%v %v", doc, r.ErrorType, r.Failed, err)
		}
	}
}

// A guest is hostile: what it may not send ends the worker, and the worker stays ended.
func TestChannelRefusesWhatNoRuntimeSends(t *testing.T) {
	huge := appendHeader(nil, kindResponse, 1, 1<<31)
	over := appendHeader(nil, kindResponse, 1, MaxPayload+1)
	cases := map[string][]byte{
		"unknown kind":            bytesOf('?', 1, ""),
		"a frame of the host's":   bytesOf(kindInvoke, 1, ""),
		"two gigabytes":           huge,
		"one byte over the limit": over,
		"ready twice":             bytesOf(kindReady, 1, ""),
		"ready with a body":       bytesOf(kindReady, 1, "x"),
		"from the future":         bytesOf(kindResponse, 2, "1"),
		"an error over the limit": appendHeader(nil, kindError, 1, maxError+1),
		"init error, too late":    bytesOf(kindInitError, 1, "{}"),
	}
	for name, sent := range cases {
		t.Run(name, func(t *testing.T) {
			c, guest := pair(t)
			serve(t, guest, func(uint32, []byte) []byte { return sent })
			for range 2 {
				if _, err := c.Invoke(context.Background(), Invocation{}); !errors.Is(err, ErrProtocol) {
					t.Fatalf("got %v, want ErrProtocol", err)
				}
			}
		})
	}
}

func TestChannelIsSpentAfterAFatalError(t *testing.T) {
	c, guest := pair(t)
	serve(t, guest, func(seq uint32, _ []byte) []byte { return bytesOf(kindFatal, seq, `{"errorType":"E"}`) })
	r, err := c.Invoke(context.Background(), Invocation{})
	if err != nil || !r.Failed || !r.Spent || r.ErrorType != "E" {
		t.Errorf("got %+v %v", r, err)
	}
	if _, err := c.Invoke(context.Background(), Invocation{}); !errors.Is(err, ErrGone) {
		t.Errorf("after: got %v, want ErrGone", err)
	}
}

func TestChannelDropsALateAnswer(t *testing.T) {
	c, guest := pair(t)
	serve(t, guest, func(seq uint32, _ []byte) []byte {
		if seq == 1 {
			return bytesOf(kindResponse, 1, `"first"`)
		}
		return append(bytesOf(kindResponse, seq-1, `"again"`), bytesOf(kindResponse, seq, `"second"`)...)
	})
	for _, want := range []string{`"first"`, `"second"`} {
		r, err := c.Invoke(context.Background(), Invocation{})
		if err != nil || string(r.Payload) != want {
			t.Errorf("got %s %v, want %s", r.Payload, err, want)
		}
	}
}

func TestChannelWhoseGuestEndsIsGone(t *testing.T) {
	half := bytesOf(kindResponse, 1, "12345")[:headerSize+2]
	for name, sent := range map[string][]byte{"silently": nil, "in a header": half[:4], "in a body": half} {
		t.Run(name, func(t *testing.T) {
			c, guest := pair(t)
			go func() {
				readInvoke(t, guest)
				_, _ = guest.Write(sent) // the other side checks
				guest.Close()
			}()
			if _, err := c.Invoke(context.Background(), Invocation{}); !errors.Is(err, ErrGone) {
				t.Errorf("got %v, want ErrGone", err)
			}
		})
	}
	c, guest := pair(t)
	guest.Close()
	if err := c.Ready(context.Background()); !errors.Is(err, ErrGone) {
		t.Errorf("Ready: got %v, want ErrGone", err)
	}
}

func TestChannelIsSpentAfterItsContextEnds(t *testing.T) {
	c, guest := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		readInvoke(t, guest)
		if _, err := c.Invoke(context.Background(), Invocation{}); !errors.Is(err, ErrBusy) {
			t.Errorf("a second caller: got %v, want ErrBusy", err)
		}
		cancel()
	}()
	if _, err := c.Invoke(ctx, Invocation{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	if _, err := c.Invoke(context.Background(), Invocation{}); !errors.Is(err, ErrGone) {
		t.Errorf("after: got %v, want ErrGone", err)
	}
}

func TestChannelTakesNoEventAboveTheLimit(t *testing.T) {
	c, guest := pair(t)
	serve(t, guest, func(seq uint32, _ []byte) []byte { return bytesOf(kindResponse, seq, `1`) })
	if _, err := c.Invoke(context.Background(), Invocation{Payload: make([]byte, MaxPayload+1)}); err == nil {
		t.Error("an event above the limit was taken")
	}
	if _, err := c.Invoke(context.Background(), Invocation{Payload: make([]byte, MaxPayload)}); err != nil {
		t.Errorf("an event at the limit: %v", err)
	}
}

// FuzzReadFrame: no bytes make the reader panic, take more memory than arrived, or return a frame
// that its kind does not allow.
func FuzzReadFrame(f *testing.F) {
	f.Add(bytesOf(kindResponse, 1, `{"a":1}`))
	f.Add(bytesOf(kindReady, 0, ""))
	f.Add(appendHeader(nil, kindResponse, 1, 1<<31))
	f.Add(appendHeader(nil, kindError, 1, maxError))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			before := r.Len()
			fr, err := readFrame(r)
			if err != nil {
				return
			}
			if n := len(fr.body); n > fr.kind.limit() || before-r.Len() != headerSize+n {
				t.Fatalf("frame %q of %d bytes, %d read", fr.kind, n, before-r.Len())
			}
			if again := bytesOf(fr.kind, fr.seq, string(fr.body)); !bytes.Equal(again, b[len(b)-before:][:headerSize+len(fr.body)]) {
				t.Fatalf("frame %q does not write back", again)
			}
		}
	})
}

func TestReadBodyTakesMemoryOnlyAsBytesArrive(t *testing.T) {
	short := bytes.NewReader(make([]byte, 1000))
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			short.Seek(0, io.SeekStart)
			if _, err := readBody(short, MaxPayload); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 80<<10 {
		t.Errorf("a lying header made the host allocate %d bytes", allocated)
	}
}
