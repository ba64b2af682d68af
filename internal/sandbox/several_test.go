package sandbox

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// spawn starts an inmate beside the others, and gives a reader of what it says.
func (l *lab) spawn(i Instance, args ...string) (int, *bufio.Reader) {
	l.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { r.Close() })
	n, err := i.(Several).Spawn(l.t.Context(), Process{Argv: append([]string{"/inmate"}, args...), Dir: "/", Env: []string{"A=1"}, Stdout: w, Stderr: w})
	if err := errors.Join(err, w.Close()); err != nil {
		l.t.Fatal(err)
	}
	return n, bufio.NewReader(r)
}

func (l *lab) wantLine(r *bufio.Reader, want string) {
	l.t.Helper()
	if line, err := r.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		l.t.Errorf("%q, %v, want %q", line, err, want)
	}
}

// TestSeveral: processes that are started beside a held one share its world and its lack of rights,
// and each end is told.
func TestSeveral(t *testing.T) {
	l := newLab(t)
	s := l.spec("channel")
	s.Held, s.Channel = true, true
	i := l.start(s)
	several := i.(Several)
	env, said := l.spawn(i, "env")
	l.wantLine(said, "A=1")
	if e := <-several.Ended(); e != (Ended{Number: env}) {
		t.Errorf("%+v", e)
	}
	_, said = l.spawn(i, "self", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")
	l.wantLine(said, "CapPrm=0000000000000000 CapBnd=0000000000000000 NoNewPrivs=1 Seccomp=2")
	<-several.Ended()
	_, said = l.spawn(i, "fds")
	l.wantLine(said, "0 1 2")
	<-several.Ended()
	_, said = l.spawn(i, "unshare user")
	l.wantLine(said, "EPERM")
	<-several.Ended()
	var start *StartError
	if _, err := several.Spawn(t.Context(), Process{Argv: []string{"/none"}}); !errors.As(err, &start) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a missing program: %v", err)
	}
	if err := several.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := several.Begin(t.Context()); err == nil {
		t.Error("begun twice")
	}
	b := make([]byte, 100)
	if _, err := i.Channel().Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if n, err := i.Channel().Read(b); err != nil || string(b[:n]) != "echo hi" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if e := <-several.Ended(); e.Number != 0 || e.Code != 0 || e.Signal != 0 {
		t.Errorf("%+v", e)
	}
	polite, said := l.spawn(i, "polite") // after the first one's end, which is not the sandbox's
	l.wantLine(said, "waiting")
	wait, said2 := l.spawn(i, "wait")
	l.wantLine(said2, "waiting")
	if err := errors.Join(several.Signal(polite, syscall.SIGTERM), several.Signal(env, syscall.SIGKILL)); err != nil {
		t.Error(err)
	}
	l.wantLine(said, "asked")
	if e := <-several.Ended(); e != (Ended{Number: polite}) {
		t.Errorf("%+v", e)
	}
	if err := i.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := several.Signal(wait, syscall.SIGTERM); err == nil {
		t.Error("signalled while frozen")
	}
	if err := errors.Join(i.Thaw(), several.Signal(wait, syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	if e := <-several.Ended(); e != (Ended{Number: wait, Code: -1, Signal: 15}) {
		t.Errorf("%+v", e)
	}
	if err := i.Kill(); err != nil {
		t.Error(err)
	}
	if e := <-i.Wait(); e.Code != 0 || e.Signal != 0 || e.Err != nil {
		t.Errorf("the first one's end: %+v", e)
	}
	if _, more := <-several.Ended(); more {
		t.Error("an end too many")
	}
	if _, err := several.Spawn(t.Context(), Process{Argv: []string{"/inmate"}}); !errors.Is(err, errEnded) {
		t.Errorf("spawned in what has ended: %v", err)
	}
}

// TestHeldIsKilled: what never began leaves nothing either.
func TestHeldIsKilled(t *testing.T) {
	l := newLab(t)
	if out := l.try(l.spec("hello")); out != "hello" {
		t.Fatal(out)
	}
	before := traces(t, l)
	for range 5 {
		s := l.spec("wait")
		s.Held, s.Channel = true, true
		i := l.start(s)
		if _, err := i.(Several).Spawn(t.Context(), Process{Argv: []string{"/inmate", "wait"}}); err != nil {
			t.Fatal(err)
		}
		if err := i.Kill(); err != nil {
			t.Error(err)
		}
		if err := i.(Several).Begin(t.Context()); !errors.Is(err, errEnded) {
			t.Errorf("begun after its end: %v", err)
		}
	}
	s := l.spec()
	s.Held, s.Argv = true, []string{"/none"}
	i := l.start(s)
	if err := i.(Several).Begin(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a missing program: %v", err)
	}
	<-i.Wait()
	if after := traces(t, l); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestDial: a listener inside is reached from outside, one that is not there is refused at once.
func TestDial(t *testing.T) {
	l := newLab(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := l.spec("serve", "127.0.0.1:8080")
	s.Stdout = w
	i := l.start(s)
	w.Close()
	l.wantLine(bufio.NewReader(r), "serving")
	d := i.(Dialer)
	for range 3 {
		c, err := d.Dial(t.Context(), 8080)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
			t.Errorf("%q, %v", b, err)
		}
		c.Close()
	}
	if _, err := d.Dial(t.Context(), 8081); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	if err := i.Kill(); err != nil {
		t.Error(err)
	}
	if _, err := d.Dial(t.Context(), 8080); !errors.Is(err, errEnded) {
		t.Errorf("after the end: %v", err)
	}
}
