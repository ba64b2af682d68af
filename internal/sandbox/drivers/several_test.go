package drivers

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// spawn starts an inmate beside the others, and gives a reader of what it says.
func (l *lab) spawn(i sandbox.Instance, args ...string) (int, *bufio.Reader) {
	l.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { r.Close() })
	n, err := i.(sandbox.Several).Spawn(l.Context(), sandbox.Process{Argv: append([]string{"/inmate"}, args...), Dir: "/", Env: []string{"A=1"}, Stdout: w, Stderr: w})
	if err := errors.Join(err, w.Close()); err != nil {
		l.Fatal(err)
	}
	return n, bufio.NewReader(r)
}

func (l *lab) wantLine(r *bufio.Reader, want string) {
	l.Helper()
	if line, err := r.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		l.Errorf("%q, %v, want %q", line, err, want)
	}
}

// ends awaits how a process of several ended.
func (l *lab) ends(i sandbox.Instance, want sandbox.Ended) {
	l.Helper()
	if e := <-i.(sandbox.Several).Ended(); e != want {
		l.Errorf("ended %+v, want %+v", e, want)
	}
}

// several: processes beside a held one, each of whose ends is told; and after the first one's end too.
func several(l *lab) {
	s := l.spec("channel")
	s.Held, s.Channel = true, true
	i := l.start(s)
	group := i.(sandbox.Several)
	if l.isolates() {
		n, said := l.spawn(i, "env")
		l.wantLine(said, "A=1")
		l.ends(i, sandbox.Ended{Number: n})
		n, said = l.spawn(i, "self", "CapPrm", "CapBnd", "Seccomp") // older gVisors do not show NoNewPrivs
		l.wantLine(said, "CapPrm=0000000000000000 CapBnd=0000000000000000 Seccomp=2")
		l.ends(i, sandbox.Ended{Number: n})
		n, said = l.spawn(i, "ids")
		l.wantLine(said, "993 993 990 true")
		l.ends(i, sandbox.Ended{Number: n})
		n, said = l.spawn(i, "unshare user")
		l.wantLine(said, "EPERM")
		l.ends(i, sandbox.Ended{Number: n})
	}
	n, _ := l.spawn(i, "exit", "4")
	l.ends(i, sandbox.Ended{Number: n, Code: 4})
	var start *sandbox.StartError
	if _, err := group.Spawn(l.Context(), sandbox.Process{Argv: []string{"/none"}}); !errors.As(err, &start) || !errors.Is(err, syscall.ENOENT) {
		l.Errorf("a missing program: %v", err)
	}
	if err := group.Begin(l.Context()); err != nil {
		l.Fatal(err)
	}
	if err := group.Begin(l.Context()); err == nil {
		l.Error("begun twice")
	}
	b := make([]byte, 100)
	if _, err := i.Channel().Write([]byte("hi")); err != nil {
		l.Fatal(err)
	}
	if n, err := i.Channel().Read(b); err != nil || string(b[:n]) != "echo hi" {
		l.Errorf("%q, %v", b[:n], err)
	}
	l.ends(i, sandbox.Ended{})
	polite, said := l.spawn(i, "polite")
	l.wantLine(said, "waiting")
	wait, said2 := l.spawn(i, "wait")
	l.wantLine(said2, "waiting")
	if err := errors.Join(group.Signal(polite, syscall.SIGTERM), group.Signal(n, syscall.SIGKILL)); err != nil {
		l.Error(err)
	}
	l.wantLine(said, "asked")
	l.ends(i, sandbox.Ended{Number: polite})
	if err := i.Freeze(); err != nil {
		l.Fatal(err)
	}
	if err := group.Signal(wait, syscall.SIGTERM); err == nil {
		l.Error("signalled while frozen")
	}
	if err := errors.Join(i.Thaw(), group.Signal(wait, syscall.SIGTERM)); err != nil {
		l.Error(err)
	}
	l.ends(i, sandbox.Ended{Number: wait, Code: -1, Signal: 15})
	if err := i.Kill(); err != nil {
		l.Error(err)
	}
	if e := <-i.Wait(); e.Code != 0 || e.Signal != 0 || e.Err != nil {
		l.Errorf("the first one's end: %+v", e)
	}
	if _, more := <-group.Ended(); more {
		l.Error("an end too many")
	}
	if _, err := group.Spawn(l.Context(), sandbox.Process{Argv: []string{"/inmate"}}); err == nil {
		l.Error("spawned in what has ended")
	}
}

// dialled: a listener inside is reached from outside, one that is not there is refused at once, and both
// are over with the sandbox.
func dialled(l *lab) {
	s := l.spec("wait")
	s.Held = true
	i := l.start(s)
	_, said := l.spawn(i, "serve", "127.0.0.1:47654")
	l.wantLine(said, "serving")
	d := i.(sandbox.Dialer)
	c, err := d.Dial(l.Context(), 47654)
	if err != nil {
		l.Fatal(err)
	}
	big := strings.Repeat("x", 1<<20)
	go func() { _, _ = io.WriteString(c, big) }() // the reader hears of it
	if b, err := io.ReadAll(io.LimitReader(c, 1<<20)); err != nil || string(b) != big {
		l.Errorf("%d bytes came back: %v", len(b), err)
	}
	if _, err := d.Dial(l.Context(), 47655); !errors.Is(err, syscall.ECONNREFUSED) {
		l.Errorf("nobody listens: %v", err)
	}
	if err := i.Freeze(); err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.Context(), 50*time.Millisecond)
	defer cancel()
	// without a cgroup the processes are stopped, and the kernel connects for them
	if _, err := d.Dial(ctx, 47654); os.Geteuid() == 0 && !errors.Is(err, context.DeadlineExceeded) {
		l.Errorf("while frozen: %v", err)
	}
	if err := i.Kill(); err != nil {
		l.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		l.Error("the connection outlived its sandbox")
	}
	if _, err := d.Dial(l.Context(), 47654); err == nil {
		l.Error("dialled what has ended")
	}
}

// heldIsKilled: what never began leaves nothing either.
func heldIsKilled(l *lab) {
	if err := l.start(l.spec("wait")).Kill(); err != nil {
		l.Fatal(err)
	}
	before := l.traces()
	for range 3 {
		s := l.spec("wait")
		s.Held, s.Channel = true, true
		i := l.start(s)
		if _, err := i.(sandbox.Several).Spawn(l.Context(), sandbox.Process{Argv: []string{"/inmate", "wait"}}); err != nil {
			l.Fatal(err)
		}
		if err := i.Kill(); err != nil {
			l.Error(err)
		}
		if err := i.(sandbox.Several).Begin(l.Context()); err == nil {
			l.Error("begun after its end")
		}
	}
	s := l.spec()
	s.Held, s.Argv = true, []string{"/none"}
	i := l.start(s)
	if err := i.(sandbox.Several).Begin(l.Context()); !errors.Is(err, syscall.ENOENT) {
		l.Errorf("a missing program: %v", err)
	}
	<-i.Wait()
	if after := l.traces(); after != before {
		l.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestSeveral holds what every driver promises of processes that share a sandbox.
func TestSeveral(t *testing.T) {
	each(t, present(), func(t *testing.T, l *lab) {
		for _, c := range []struct {
			name string
			test func(*lab)
		}{{"several", several}, {"dial", dialled}, {"held", heldIsKilled}} {
			l.sub(c.name, c.test)
		}
	})
}
