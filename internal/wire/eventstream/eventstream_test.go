package eventstream_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/wire/eventstream"
)

var everyKind = eventstream.Message{
	Headers: []eventstream.Header{{"yes", true}, {"no", false}, {"byte", int8(-1)}, {"short", int16(-2)}, {"int", int32(40972)}, {"long", int64(1) << 40},
		{"bytes", []byte{0, 1, 2}}, {"text", "grüß"}, {"time", time.UnixMilli(8675309).UTC()}, {"uuid", eventstream.UUID{1, 2, 3}}},
	Payload: []byte(`{"foo":"bar"}`),
}

func TestEveryKindOfHeaderSurvives(t *testing.T) {
	b, err := eventstream.Append([]byte("before"), everyKind)
	if err != nil {
		t.Fatal(err)
	}
	got, err := eventstream.Read(bytes.NewReader(b[len("before"):]))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(everyKind, got); d != "" {
		t.Error(d)
	}
	if got.Header("text") != "grüß" || got.Header("int") != "" || got.Header("absent") != "" {
		t.Errorf("texts: %q %q %q", got.Header("text"), got.Header("int"), got.Header("absent"))
	}
}

// The bytes of these are in the test vectors that AWS's own SDKs share (empty_message, and int32_header).
func TestBytesAreThoseOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		m    eventstream.Message
		want string
	}{
		"empty": {eventstream.Message{}, "000000100000000005c248eb7d98c8ff"},
		"int": {eventstream.Message{Headers: []eventstream.Header{{"event-type", int32(40972)}}, Payload: []byte(`{'foo':'bar'}`)},
			"0000002d00000010" + "41c424b8" + "0a6576656e742d74797065" + "04" + "0000a00c" + "7b27666f6f273a27626172277d" + "36f480a0"},
	} {
		b, err := eventstream.Append(nil, c.m)
		if err != nil || hex.EncodeToString(b) != c.want {
			t.Errorf("%s: %x, want %s (%v)", name, b, c.want, err)
		}
	}
}

func TestWhatIsDamagedIsRefused(t *testing.T) {
	whole, err := eventstream.Append(nil, everyKind)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		broken := bytes.Clone(whole)
		broken[i] ^= 0x40
		if _, err := eventstream.Read(bytes.NewReader(broken)); err == nil {
			t.Errorf("a message with byte %d changed was read", i)
		}
	}
	for n := 1; n < len(whole); n++ {
		if _, err := eventstream.Read(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	if _, err := eventstream.Read(bytes.NewReader(nil)); err != io.EOF {
		t.Errorf("an empty stream: %v", err)
	}
}

func TestLimits(t *testing.T) {
	for name, m := range map[string]eventstream.Message{
		"payload":      {Payload: make([]byte, eventstream.MaxPayload+1)},
		"name":         {Headers: []eventstream.Header{{strings.Repeat("n", 256), "v"}}},
		"no name":      {Headers: []eventstream.Header{{"", "v"}}},
		"text":         {Headers: []eventstream.Header{{"n", strings.Repeat("v", 1<<15)}}},
		"bytes":        {Headers: []eventstream.Header{{"n", make([]byte, 1<<15)}}},
		"type":         {Headers: []eventstream.Header{{"n", 1.5}}},
		"many headers": {Headers: many(5)},
	} {
		b, err := eventstream.Append([]byte("x"), m)
		if err == nil || string(b) != "x" {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	// lengths that say more than they may, with a checksum that is right
	for _, head := range []string{"ffffffff00000000", "0000001000000001", "0200001000000000", "0004001000020001"} {
		raw, _ := hex.DecodeString(head)
		if _, err := eventstream.Read(bytes.NewReader(sealed(raw))); err == nil || errors.Is(err, eventstream.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", head, err)
		}
	}
}

func many(n int) (out []eventstream.Header) {
	for range n {
		out = append(out, eventstream.Header{Name: "n", Value: strings.Repeat("v", 1<<15-1)})
	}
	return out
}

func FuzzRead(f *testing.F) {
	whole, err := eventstream.Append(nil, everyKind)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(resealed(b))
		m, err := eventstream.Read(r)
		if err != nil {
			return
		}
		read := resealed(b)[:r.Size()-int64(r.Len())]
		again, err := eventstream.Append(nil, m)
		if err != nil || !bytes.Equal(again, read) {
			t.Errorf("%x was read and is written as %x (%v)", read, again, err)
		}
	})
}
