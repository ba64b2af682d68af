package control

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

var setup = Setup{
	Hostname: "h", CgroupNS: true, Proc: true, RootBytes: 1 << 26, TmpBytes: 1 << 40,
	Doors:  []Door{{Datagram: true, IP: "\x7f\x00\x00\x01", Port: 53}, {IP: "0123456789abcdef", Port: 65535}},
	Tree:   []Mount{{Source: "/tree"}},
	Mounts: []Mount{{Target: "/a", Source: "/b", Writable: true}, {Target: "/c"}},
	Layers: []Mount{{Source: "/l"}},
	Dirs:   []string{"/d", ""},
	Files:  []File{{Path: "/f", Mode: 0o755, Content: "\x00x"}},
	Links:  []Link{{Path: "/l", Target: "t"}},
	Limits: []Limit{{Resource: 7, Value: 1<<64 - 1}},
	Filter: []byte{1, 2, 3}, Late: true, Store: "/s",
}

// TestRoundTrip: what one side says is what the other hears.
func TestRoundTrip(t *testing.T) {
	if got, err := ParseSetup(setup.Append(nil)); err != nil || !reflect.DeepEqual(*got, setup) {
		t.Errorf("%+v, %v", got, err)
	}
	d := Delivery{Mounts: setup.Mounts, Layers: setup.Layers, Doors: setup.Doors, TmpBytes: 1 << 33, Limits: setup.Limits}
	if got, err := ParseDelivery(d.Append(nil)); err != nil || !reflect.DeepEqual(*got, d) {
		t.Errorf("%+v, %v", got, err)
	}
	p := Process{Argv: []string{"/a", "b"}, Env: []string{"A=1"}, Dir: "/", Notify: []byte{1, 2},
		Fence: Fence{Handled: 1 << 15, Scoped: 3, Grants: []Grant{{"/tmp", 7}, {"/", 1}}}}
	if got, err := ParseProcess(p.Append(nil)); err != nil || !reflect.DeepEqual(*got, p) {
		t.Errorf("%+v, %v", got, err)
	}
	s := Status{Code: 3, Signal: 9}
	if got, err := ParseStatus(s.Append(nil)); err != nil || got != s {
		t.Errorf("%+v, %v", got, err)
	}
	f := Failure{Stage: "x", Errno: 13}
	if got, err := ParseFailure(f.Append(nil)); err != nil || got != f {
		t.Errorf("%+v, %v", got, err)
	}
	b := Birth{UID: 1, GID: 2, InsideUID: 3, InsideGID: 4, User: true, UTS: true, IntoCgroup: true, Enter: []string{"a"}, Home: []string{"b"}}
	if got, err := ParseBirth(b.Append(nil)); err != nil || !reflect.DeepEqual(*got, b) {
		t.Errorf("%+v, %v", got, err)
	}
	n := Born{PID: 77, Failure: f}
	if got, err := ParseBorn(n.Append(nil)); err != nil || got != n {
		t.Errorf("%+v, %v", got, err)
	}
	c := Child{Number: 3, Process: p}
	if got, err := ParseChild(c.Append(nil)); err != nil || !reflect.DeepEqual(*got, c) {
		t.Errorf("%+v, %v", got, err)
	}
	e := End{Number: 4, Status: s}
	if got, err := ParseEnd(e.Append(nil)); err != nil || got != e {
		t.Errorf("%+v, %v", got, err)
	}
	g := Sign{Number: 4, Signal: 15}
	if got, err := ParseSign(g.Append(nil)); err != nil || got != g {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParsePort(Port(65535).Append(nil)); err != nil || got != 65535 {
		t.Errorf("%+v, %v", got, err)
	}
	h := Header{Kind: Deliver, FDs: MaxFDs, Body: MaxBody}
	if got, err := ParseHeader(h.Append(nil)); err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRefused: every cut of a message, and lies about lengths, are refused without a large allocation.
func TestRefused(t *testing.T) {
	whole := setup.Append(nil)
	for n := range whole {
		if _, err := ParseSetup(whole[:n]); !errors.Is(err, ErrFrame) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := ParseSetup(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrFrame) {
		t.Errorf("a byte too many: %v", err)
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	if _, err := ParseProcess(huge); !errors.Is(err, ErrFrame) {
		t.Errorf("a huge count: %v", err)
	}
	for _, h := range []Header{{Kind: 0}, {Kind: Taken + 1}, {Kind: Start, FDs: MaxFDs + 1}, {Kind: Start, Body: MaxBody + 1}} {
		if _, err := ParseHeader(h.Append(nil)); !errors.Is(err, ErrFrame) {
			t.Errorf("%+v: %v", h, err)
		}
	}
	if _, err := ParseHeader([]byte{1, 0, 0}); !errors.Is(err, ErrFrame) {
		t.Error("a short header")
	}
}

// FuzzParse: no bytes make a parser panic, and what is taken is said again the same.
func FuzzParse(f *testing.F) {
	f.Add(setup.Append(nil))
	p := Process{Argv: []string{"/a"}}
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSetup(b); err == nil {
			if again, err := ParseSetup(s.Append(nil)); err != nil || !reflect.DeepEqual(s, again) {
				t.Errorf("%+v, %+v, %v", s, again, err)
			}
		}
		if p, err := ParseProcess(b); err == nil {
			if again, err := ParseProcess(p.Append(nil)); err != nil || !reflect.DeepEqual(p, again) {
				t.Errorf("%+v, %+v, %v", p, again, err)
			}
		}
		_, err1 := ParseDelivery(b)
		_, err2 := ParseBirth(b)
		_, err3 := ParseBorn(b)
		_, err4 := ParseStatus(b)
		_, err5 := ParseFailure(b)
		_, err6 := ParseHeader(b)
		_, err7 := ParseChild(b)
		_, err8 := ParseEnd(b)
		_, err9 := ParseSign(b)
		_, err10 := ParsePort(b)
		_, err11 := ParseWard(b)
		_, err12 := ParseAdoption(b)
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12} {
			if err != nil && !errors.Is(err, ErrFrame) {
				t.Error(err)
			}
		}
	})
}
