package sandbox

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEscapes lets a function try what it must not be able to do, one by one.
func TestEscapes(t *testing.T) {
	l := newLab(t)
	for want, attempts := range attempts() {
		for _, attempt := range attempts {
			if got := l.try(l.spec(attempt)); got != want {
				t.Errorf("%s: %s, want %s", attempt, got, want)
			}
		}
	}
}

// attempts are the inmate's, by the kernel's answer.
func attempts() map[string][]string {
	return map[string][]string{
		"EPERM": {
			"mount", "umount", "remount", "fsopen", "open_tree", "move_mount", "mount_setattr", "pivot_root",
			"chroot", "ptrace init", "ptrace me", "process_vm_readv", "pidfd_getfd", "kcmp", "unshare user",
			"unshare mount", "unshare net", "unshare time", "setns", "clone user", "clone net", "io_uring",
			"bpf", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key", "kexec_load",
			"init_module", "finit_module", "open_by_handle_at", "name_to_handle_at", "syslog", "reboot",
			"swapon", "acct", "settimeofday", "clock_settime", "adjtimex", "sethostname", "quotactl",
			"fanotify_init", "personality", "seccomp", "memfd_secret", "move_pages", "type to terminal",
			"mknod device", "raise nofile", "setgroups",
		},
		"EAFNOSUPPORT": {
			"raw socket", "raw socket 6", "ping socket", "packet socket", "vsock", "crypto socket",
			"bluetooth socket", "netfilter socket", "audit socket", "uevent socket", "sctp socket",
		},
		"ENOSYS": {"clone3", "unknown call"},
		"EINVAL": {"setuid 0", "setgid 0"}, // there is no such user inside
		"ok":     {"route socket", "tcp socket", "udp socket 6", "bounding set"},
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
	if groups := l.try(l.spec("self", "Groups")); l.ns.root && groups != "Groups=" {
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
