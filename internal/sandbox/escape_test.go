package sandbox

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// TestEscapes lets a function try what it must not be able to do, each attempt in a sandbox of its own.
// What counts is techniques, of which there must be enough: the same call in another form is none.
func TestEscapes(t *testing.T) {
	l := newLab(t)
	host := hostile(l)
	techniques := map[string]bool{}
	for _, e := range append(sandboxtest.Escapes(), host.escapes()...) {
		if techniques[e.Technique] || len(e.Tries) == 0 || e.Record == "" {
			t.Errorf("%s is told twice, or not told", e.Technique)
		}
		techniques[e.Technique] = true
		for _, attempt := range e.Tries {
			if got := l.try(host.inside(l.spec(attempt.Words()...))); !attempt.Holds(got) {
				t.Errorf("%s: %s: %q, want %s", e.Technique, attempt.Do, got, attempt.Want)
			}
		}
	}
	for _, e := range sandboxtest.Said() {
		techniques[e.Technique] = true
		for _, attempt := range e.Tries {
			if got := l.say(attempt); !attempt.Holds(got) {
				t.Errorf("%s: %s: %q, want %s", e.Technique, attempt.Do, got, attempt.Want)
			}
		}
	}
	for _, given := range sandboxtest.Given() {
		if got := l.try(l.spec(given.Words()...)); !given.Holds(got) {
			t.Errorf("%s: %q", given.Do, got)
		}
	}
	t.Logf("%d techniques", len(techniques))
	if len(techniques) < sandboxtest.Least {
		t.Errorf("only %d techniques", len(techniques))
	}
	host.untouched()
}

// target is what the host has that an attempt reaches for: programs that are writable by their modes
// and one with set-id bits, a listener of each kind.
type target struct {
	*lab
	dir           string
	tcp, abstract net.Listener
}

func hostile(l *lab) *target {
	h := &target{lab: l, dir: shared(l.t)}
	b, err := os.ReadFile(filepath.Join(l.kit, "inmate"))
	if err != nil {
		l.t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"su": os.ModeSetuid | os.ModeSetgid | 0o755, "open": 0o777} {
		if err := os.WriteFile(filepath.Join(h.dir, name), b, 0o755); err != nil {
			l.t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(h.dir, name), mode); err != nil {
			l.t.Fatal(err)
		}
	}
	if h.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		l.t.Fatal(err)
	}
	if h.abstract, err = net.Listen("unix", "@bastide-test-"+filepath.Base(h.dir)); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { h.tcp.Close(); h.abstract.Close() })
	return h
}

// inside shows the host's programs.
func (h *target) inside(s Spec) Spec {
	for _, name := range []string{"su", "open"} {
		s.Root.Binds = append(s.Root.Binds, Bind{Source: filepath.Join(h.dir, name), Target: "/" + name})
	}
	return s
}

// escapes are those whose words are this run's.
func (h *target) escapes() []sandboxtest.Escape {
	return []sandboxtest.Escape{
		{Technique: "the host's abstract sockets", Record: "containerd's shim, CVE-2020-15257", Tries: []sandboxtest.Try{{Do: "dial|unix|" + h.abstract.Addr().String(), Want: "ECONNREFUSED"}}},
		{Technique: "the host's loopback", Record: "kube-proxy, CVE-2020-8558", Tries: []sandboxtest.Try{{Do: "dial|tcp|" + h.tcp.Addr().String(), Want: "ECONNREFUSED"}}},
		{Technique: "the metadata of clouds", Record: "169.254.169.254", Tries: []sandboxtest.Try{{Do: "dial|tcp|169.254.169.254:80", Want: "ECONNREFUSED"}}},
		{Technique: "the host's processes", Record: "a pid namespace that is shared", Tries: []sandboxtest.Try{{Do: fmt.Sprintf("stat|/proc/%d/comm", os.Getpid()), Want: "ENOENT"}}},
	}
}

// untouched holds that the host's programs are what they were.
func (h *target) untouched() {
	want, err := os.ReadFile(filepath.Join(h.kit, "inmate"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range []string{"su", "open"} {
		if got, err := os.ReadFile(filepath.Join(h.dir, name)); err != nil || !bytes.Equal(got, want) {
			h.t.Errorf("%s was changed, or %v", name, err)
		}
	}
}

// TestSees holds what a function sees: only what was given to it.
func TestSees(t *testing.T) {
	l := newLab(t)
	t.Setenv("HOST_SECRET", "hunter2")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"ids"}, "993 993 990 true"},
		{[]string{"list", "/"}, "dev inmate opt proc tmp var"},
		{[]string{"list", "/dev"}, "fd full null random stderr stdin stdout urandom zero"},
		{[]string{"list", "/tmp"}, ""},
		{[]string{"list", "/var"}, "task"},
		{[]string{"list", "/sys"}, "ENOENT"},
		{[]string{"read", "/etc/passwd"}, "ENOENT"},
		{[]string{"read", "/etc/shadow"}, "ENOENT"},
		{[]string{"stat", "/dev/mem"}, "ENOENT"},
		{[]string{"stat", "/dev/kmsg"}, "ENOENT"},
		{[]string{"pids"}, ""},
		{[]string{"read", "/proc/1/environ"}, "ENOENT"},
		{[]string{"list", "/proc/1/fd"}, "ENOENT"},
		{[]string{"read", "/proc/keys"}, ""},
		{[]string{"read", "/proc/kallsyms"}, ""},
		{[]string{"read", "/proc/sys/kernel/hostname"}, "bastide"},
		{[]string{"read", "/proc/self/oom_score_adj"}, "1000"}, // ended before Bastide when memory runs out
		{[]string{"env"}, ""},
		{[]string{"fds"}, "0 1 2"},
		{[]string{"self", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"},
			"CapInh=0000000000000000 CapPrm=0000000000000000 CapEff=0000000000000000 CapBnd=0000000000000000 CapAmb=0000000000000000"},
		{[]string{"self", "NoNewPrivs", "Seccomp"}, "NoNewPrivs=1 Seccomp=2"},
		{[]string{"write", "/x"}, "EROFS"},
		{[]string{"write", "/opt/x"}, "EROFS"},
		{[]string{"write", "/dev/x"}, "EROFS"},
		{[]string{"write", "/proc/sys/kernel/hostname"}, "EACCES"},
		{[]string{"write", "/proc/sys/net/ipv4/ip_forward"}, "EACCES"},
		{[]string{"write", "/proc/self/oom_score_adj"}, "EROFS"},
		{[]string{"write", "/dev/null"}, "ok"},
		{[]string{"write", "/tmp/x"}, "ok"},
		{[]string{"signal"}, "still here"},
	} {
		if got := l.try(l.spec(c.args...)); got != c.want {
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
	}
	channel := l.spec("fds")
	channel.Channel = true
	if got := l.try(channel); got != "0 1 2 3" {
		t.Errorf("descriptors with a channel: %s", got)
	}
	env := l.spec("env")
	env.Env = []string{"A=1", "B=2"}
	if got := l.try(env); got != "A=1 B=2" {
		t.Errorf("environment: %s", got)
	}
	for line := range strings.Lines(l.try(l.spec("read", "/proc/self/cgroup"))) {
		if !strings.HasSuffix(strings.TrimSpace(line), ":/") && l.ns.can.Memory != "" {
			t.Errorf("/proc/self/cgroup tells %q", line)
		}
	}
	if groups := l.try(l.spec("self", "Groups")); l.ns.users.own() && groups != "Groups=" {
		t.Errorf("supplementary groups: %s", groups)
	}
}

// TestMountsInside holds the list of mounts, where a forgotten one of the host's would show.
func TestMountsInside(t *testing.T) {
	l := newLab(t)
	var got []string
	for line := range strings.Lines(l.try(l.spec("read", "/proc/self/mountinfo"))) {
		f := strings.Fields(line)
		if !strings.Contains(f[5], "nosuid") {
			t.Errorf("not nosuid: %s", line)
		}
		if f[4] != "/tmp" && !strings.HasPrefix(f[4], "/dev/") && !strings.HasPrefix(f[4], "/proc/") && !strings.HasPrefix(f[5], "ro") {
			t.Errorf("writable: %s", line)
		}
		if !strings.HasPrefix(f[4], "/proc/") {
			got = append(got, f[4])
		}
	}
	slices.Sort(got)
	want := "/ /dev/full /dev/null /dev/random /dev/urandom /dev/zero /inmate /proc /tmp"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("mounts %s, want %s", s, want)
	}
}

// TestCodeIsReadOnly: the code directory shows as it is, cannot be written, and its symbolic links
// lead nowhere but into the sandbox.
func TestCodeIsReadOnly(t *testing.T) {
	l := newLab(t)
	host := shared(t)
	secret := filepath.Join(host, "secret")
	code := filepath.Join(host, "code")
	write(t, secret, "the host's")
	write(t, filepath.Join(code, "handler"), "code")
	if err := os.Chmod(filepath.Join(code, "handler"), 0o666); err != nil {
		t.Fatal(err)
	}
	link(t, secret, filepath.Join(code, "absolute"))
	link(t, "../../../../../../../.."+secret, filepath.Join(code, "relative"))
	link(t, "/proc/1/root"+secret, filepath.Join(code, "through init"))
	for _, c := range [][3]string{
		{"read", "/var/task/handler", "code"},
		{"write", "/var/task/handler", "EROFS"},
		{"write", "/var/task/new", "EROFS"},
		{"read", "/var/task/absolute", "ENOENT"},
		{"read", "/var/task/relative", "ENOENT"},
		{"read", "/var/task/through init", "ENOENT"},
	} {
		s := l.spec(c[0], c[1])
		s.Code = code
		if got := l.try(s); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	// a target that lies behind a link of an untrusted tree would be made on the host
	s := l.spec("hello")
	link(t, host, filepath.Join(code, "out"))
	s.Root.Binds = append(s.Root.Binds, Bind{Source: code, Target: "/in"}, Bind{Source: secret, Target: "/in/out/planted"})
	if i, err := l.ns.Start(t.Context(), s); err == nil {
		t.Errorf("a mount followed a link: %v", i.Kill())
	}
	if _, err := os.Lstat(filepath.Join(host, "planted")); err == nil {
		t.Error("a mount's target was made on the host")
	}
}

// TestLayers: one layer or several appear at /opt, a later one above.
func TestLayers(t *testing.T) {
	l := newLab(t)
	host := shared(t)
	for _, f := range []string{"a/first", "a/both", "b/second", "b/both", "c/both"} {
		write(t, filepath.Join(host, f), f)
	}
	for _, c := range []struct {
		layers     string
		name, want string
	}{
		{"a", "both", "a/both"}, {"a b", "both", "b/both"}, {"a b c", "both", "c/both"},
		{"c a b", "both", "b/both"}, {"a b c", "first", "a/first"}, {"a b c", "second", "b/second"},
	} {
		s := l.spec("read", "/opt/"+c.name)
		for name := range strings.SplitSeq(c.layers, " ") {
			s.Layers = append(s.Layers, filepath.Join(host, name))
		}
		if got := l.try(s); got != c.want {
			t.Errorf("layers %s: %s is %s, want %s", c.layers, c.name, got, c.want)
		}
		s.ID, s.Argv = s.ID+"w", []string{"/inmate", "write", "/opt/new"}
		if got := l.try(s); got != "EROFS" {
			t.Errorf("layers %s: writing says %s", c.layers, got)
		}
	}
}

// TestNetwork: nothing is reachable but one's own doors.
func TestNetwork(t *testing.T) {
	l := newLab(t)
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	abstract, err := net.Listen("unix", "@bastide-test-"+filepath.Base(shared(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	other := l.spec("wait")
	other.Doors = []DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}}
	neighbour := l.start(other)
	defer neighbour.Kill()
	for _, c := range [][3]string{
		{"tcp", host.Addr().String(), "ECONNREFUSED"},
		{"tcp", "127.0.0.1:9001", "ECONNREFUSED"},
		{"tcp", "[::1]:9001", "ECONNREFUSED"},
		{"unix", abstract.Addr().String(), "ECONNREFUSED"},
		{"tcp", "192.0.2.1:80", "ECONNREFUSED"},
		{"tcp", "169.254.169.254:80", "ECONNREFUSED"},
		{"udp", "192.0.2.1:53", "ECONNREFUSED"},
	} {
		if got := l.try(l.spec("dial", c[0], c[1])); got != c[2] {
			t.Errorf("dial %s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// TestSetuid: a set-user-id program gives nothing.
func TestSetuid(t *testing.T) {
	l := newLab(t)
	dir := shared(t)
	b, err := os.ReadFile(filepath.Join(l.kit, "inmate"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "su")
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o6755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, os.ModeSetuid|os.ModeSetgid|0o755); err != nil {
		t.Fatal(err)
	}
	s := l.spec("run", "/su", "ids")
	s.Root.Binds = append(s.Root.Binds, Bind{Source: program, Target: "/su"})
	if got := l.try(s); got != "993 993 990 true" {
		t.Errorf("a set-user-id program runs as %s", got)
	}
}

// shared is a temporary folder that a sandbox's user may read.
func shared(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bastide-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}
