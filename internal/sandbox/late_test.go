package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// waiting is an inmate in a sandbox that awaits its code.
type waiting struct {
	t testing.TB
	Instance
	said *bufio.Reader
}

func (w *waiting) ask(words ...string) string {
	w.t.Helper()
	if _, err := w.Channel().Write([]byte(strings.Join(words, "\x00"))); err != nil {
		w.t.Fatal(err)
	}
	line, err := w.said.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (w *waiting) want(answer string, words ...string) {
	w.t.Helper()
	if got := w.ask(words...); got != answer {
		w.t.Errorf("%v: %q, want %q", words, got, answer)
	}
}

func (l *lab) await(store string) *waiting {
	l.t.Helper()
	return l.wait(l.spec("late"), store)
}

// wait is await with what the specification has besides.
func (l *lab) wait(s Spec, store string) *waiting {
	l.t.Helper()
	s.Late, s.Channel, s.Store = true, true, store
	return l.talk(s)
}

// talk starts an inmate that does what its channel says.
func (l *lab) talk(s Spec) *waiting {
	l.t.Helper()
	i := l.start(s)
	l.t.Cleanup(func() { _ = i.Kill() })
	return &waiting{l.t, i, bufio.NewReader(i.Channel())}
}

// store is a folder of packages, one of which is delivered; the others must not be found.
func store(t testing.TB) string {
	dir := filepath.Join(shared(t), "store")
	for name, content := range map[string]string{"code/handler": "code", "a/layer": "a", "b/layer": "b", "b/lib/so": "so", "others/secret": "hunter2"} {
		write(t, filepath.Join(dir, name), content)
		if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLateDelivery: a running process receives its code, once, and nothing else after it.
func TestLateDelivery(t *testing.T) {
	l := newLab(t)
	dir := store(t)
	w := l.await(dir)
	w.want("lib", "list", "/var/task")
	w.want("lib", "list", "/opt")
	w.want("EROFS", "write", "/opt/lib/x")
	w.want("", "find", "secret")
	d := Delivery{Code: filepath.Join(dir, "code"), Layers: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")},
		Doors: []DoorSpec{{Name: "db", Network: "tcp", Address: "127.0.1.1:432"}}, TmpBytes: 1 << 20}
	if err := w.Instance.(Receiver).Deliver(d); err != nil {
		t.Fatal(err)
	}
	w.want("ok", "cd", "/var/task")
	w.want("code", "read", "handler")
	w.want("b", "read", "/opt/layer")
	w.want("so", "read", "/opt/lib/so")
	w.want("EROFS", "write", "/var/task/handler")
	w.want("EROFS", "write", "/opt/layer")
	w.want("ENOSPC 1", "fill") // megabytes
	door := w.Doors()["db"].Listener
	go func() {
		c, err := door.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b := make([]byte, 100)
		n, err := c.Read(b)
		fmt.Fprintf(c, "late %s", b[:n])
		if err != nil {
			t.Error(err)
		}
	}()
	w.want("late ping", "dial", "tcp", "127.0.1.1:432")
	if err := w.Instance.(Receiver).Deliver(d); err == nil {
		t.Error("delivered twice")
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.Instance.(*instance).pid))
	if err != nil || !bytes.Contains(b, []byte("CapPrm:\t0000000000000000")) {
		t.Errorf("the init keeps rights: %s, %v", b, err)
	}
	if err := w.Kill(); err != nil {
		t.Error(err)
	}
	if err := l.start(l.spec("wait")).(Receiver).Deliver(d); err == nil {
		t.Error("delivered to an instance that awaits nothing")
	}
}

// TestLateIsAsTight: after a delivery every layer of isolation holds as in any other sandbox, and of the
// store nothing is there but the one package.
func TestLateIsAsTight(t *testing.T) {
	l := newLab(t)
	dir, host := store(t), hostile(l)
	w := l.wait(host.inside(l.spec("late")), dir)
	for _, attempt := range []string{"mount", "umount", "open_tree", "bpf", "setns", "ptrace init"} {
		w.want("EPERM", attempt) // what waits has no rights either
	}
	if err := w.Instance.(Receiver).Deliver(Delivery{Code: filepath.Join(dir, "code")}); err != nil {
		t.Fatal(err)
	}
	for _, e := range append(sandboxtest.Escapes(), host.escapes()...) {
		for _, attempt := range e.Tries {
			if got := w.ask(attempt.Words()...); !attempt.Holds(got) {
				t.Errorf("%s: %s: %q, want %s", e.Technique, attempt.Do, got, attempt.Want)
			}
		}
	}
	host.untouched()
	w.want("", "find", "secret")
	if found := w.ask("find", "handler"); !strings.HasSuffix(found, " /var/task/handler") {
		t.Errorf("what was delivered is found at %q", found)
	}
	w.want("", "list", "/opt")
	w.want("ENOENT", "stat", "/var/task/../others")
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		w.want(name+"=0000000000000000", "self", name)
	}
	w.want("NoNewPrivs=1", "self", "NoNewPrivs")
	w.want("Seccomp=2", "self", "Seccomp")
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", w.Instance.(*instance).pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if strings.HasSuffix(f[3], "/store") || f[4] == "/opt" || f[4] == "/var/task" && !strings.HasPrefix(f[5], "ro,nosuid,nodev") {
			t.Errorf("a mount is left, or loose: %s", line)
		}
	}
}

// TestLateBounds: limits that come with the function hold.
func TestLateBounds(t *testing.T) {
	l := newLab(t)
	dir := store(t)
	w := l.await(dir)
	i := w.Instance.(*instance)
	if i.Weight() <= 0 {
		t.Error("a waiting sandbox weighs nothing")
	}
	if err := i.Deliver(Delivery{Code: filepath.Join(dir, "code"), MemoryBytes: 64 << 20, Pids: 40, CPU: 500}); err != nil {
		t.Fatal(err)
	}
	w.want("56 56", "limit", fmt.Sprint(unix.RLIMIT_NPROC))
	if l.ns.can.Memory == "" {
		bound := fmt.Sprint(dataBound(64 << 20))
		w.want(bound+" "+bound, "limit", fmt.Sprint(unix.RLIMIT_DATA))
	}
	if _, err := w.Channel().Write([]byte("eat\x00200")); err != nil {
		t.Fatal(err)
	}
	if e := <-w.Wait(); !e.OOMKilled {
		t.Errorf("with more than it was granted: %+v", e)
	}
	if i := l.await(dir).Instance.(Receiver); i.Deliver(Delivery{Code: filepath.Join(dir, "code"), Pids: 5000}) == nil {
		t.Error("more processes than the sandbox was made for")
	}
}

// TestHeld: a sandbox without a process gets its program with its code, and is else as any other.
func TestHeld(t *testing.T) {
	l := newLab(t)
	dir := store(t)
	var out bytes.Buffer
	s := l.spec()
	s.Argv, s.Late, s.Store, s.Channel, s.Stdout = nil, true, dir, true, &out
	s.Doors = []DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}}
	i := l.start(s)
	if _, ok := i.Doors()["runtime"].Listener.(*Arrivals); !ok {
		t.Fatal("no door")
	}
	code := filepath.Join(dir, "code")
	if err := i.(Receiver).Deliver(Delivery{Code: code, Argv: []string{"/inmate", "env"}, Env: []string{"A=1", "B=2"}}); err != nil {
		t.Fatal(err)
	}
	if e := <-i.Wait(); e.Code != 0 || e.Err != nil || strings.TrimSpace(out.String()) != "A=1 B=2" {
		t.Errorf("%+v %q", e, out.String())
	}
	var start *StartError
	again := l.start(withID(s, "again"))
	if err := again.(Receiver).Deliver(Delivery{Code: code, Argv: []string{"/none"}}); !errors.As(err, &start) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing program: %v", err)
	}
	<-again.Wait()
	for name, d := range map[string]Delivery{
		"no program": {Code: code}, "no code": {Argv: []string{"/inmate"}}, "a relative one": {Code: code, Argv: []string{"inmate"}},
		"a folder that is not there": {Code: filepath.Join(dir, "none"), Argv: []string{"/inmate"}},
	} {
		i := l.start(withID(s, strings.ReplaceAll(name, " ", "-")))
		if err := i.(Receiver).Deliver(d); err == nil {
			t.Errorf("%s was taken", name)
		}
		if err := i.Kill(); err != nil {
			t.Error(err)
		}
	}
	if l.ns.users.own() {
		return
	}
	outside := l.start(withID(s, "outside"))
	defer outside.Kill()
	if err := outside.(Receiver).Deliver(Delivery{Code: dir + "/../kit", Argv: []string{"/inmate"}}); err == nil {
		t.Error("code from outside the store was taken")
	}
}

func withID(s Spec, id string) Spec {
	s.ID = id
	s.Stdout = nil
	return s
}
