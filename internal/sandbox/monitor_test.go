package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// deeds is a monitor that notes everything and refuses what it is told to.
type deeds struct {
	mu     sync.Mutex
	seen   []Deed
	refuse func(Deed) bool
}

func (d *deeds) Judge(deed Deed) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, deed)
	return d.refuse == nil || !d.refuse(deed)
}

// has tells whether a deed was noted.
func (d *deeds) has(deed Deed) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.seen, deed)
}

// package of two files.
func packageOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"used": "of use", "unused": "of no use"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMonitor: the monitor hears of what is opened and started, relative paths made absolute, and of
// nothing before the program itself; what it refuses fails, the rest goes on.
func TestMonitor(t *testing.T) {
	l := newLab(t)
	code := packageOf(t)
	watched := func(m Monitor, args ...string) string {
		s := l.spec(args...)
		s.Code, s.Dir, s.Monitor = code, "/var/task", m
		return l.try(s)
	}
	m := &deeds{}
	if out := watched(m, "read", "used"); out != "of use" || !m.has(Deed{Read, "/var/task/used"}) {
		t.Errorf("%q, noted %+v", out, m.seen)
	}
	m = &deeds{}
	if out := watched(m, "write", "/tmp/x"); out != "ok" || !m.has(Deed{Write, "/tmp/x"}) {
		t.Errorf("%q, noted %+v", out, m.seen)
	}
	m = &deeds{}
	if out := watched(m, "run", "/inmate", "hello"); !strings.HasPrefix(out, "hello") || !m.has(Deed{Exec, "/inmate"}) || !m.has(Deed{Kind: Fork}) {
		t.Errorf("%q, noted %+v", out, m.seen)
	}
	m = &deeds{}
	if out := watched(m, "hello"); out != "hello" || m.has(Deed{Exec, "/inmate"}) || m.has(Deed{Kind: Fork}) {
		t.Errorf("%q, noted %+v", out, m.seen)
	}
	for _, c := range []struct {
		refused Deed
		args    []string
	}{
		{Deed{Read, "/var/task/unused"}, []string{"read", "unused"}},
		{Deed{Write, "/tmp/x"}, []string{"write", "/tmp/x"}},
		{Deed{Exec, "/inmate"}, []string{"run", "/inmate", "hello"}},
		{Deed{Kind: Fork}, []string{"run", "/inmate", "hello"}},
	} {
		m := &deeds{refuse: func(d Deed) bool { return d == c.refused }}
		if out := watched(m, c.args...); !strings.Contains(out, "EACCES") {
			t.Errorf("%v, refused %+v: %q", c.args, c.refused, out)
		}
	}
}

// TestMonitorOfChanges: the monitor hears of every way to make, move or remove a file as a write, and by
// where it is, whatever name leads there; of a name through another process, without any. Each can be
// refused.
func TestMonitorOfChanges(t *testing.T) {
	l := newLab(t)
	code := packageOf(t)
	if err := os.Symlink("used", filepath.Join(code, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		deed Deed
		args []string
		out  string
	}{
		{Deed{Write, "/tmp/d"}, []string{"mkdir", "/tmp/d"}, "ok"},
		{Deed{Write, "/tmp/f"}, []string{"mkfifo", "/tmp/f"}, "ok"},
		{Deed{Write, "/tmp/l"}, []string{"symlink", "/etc", "/tmp/l"}, "ok"},
		{Deed{Write, "/tmp/l"}, []string{"link", "/tmp/none", "/tmp/l"}, "ENOENT"},
		{Deed{Write, "/tmp/a"}, []string{"rename", "/tmp/a", "/dev/b"}, "EXDEV"},
		{Deed{Write, "/tmp/b"}, []string{"rename", "/dev/a", "/tmp/b"}, "EXDEV"},
		{Deed{Write, "/tmp/a"}, []string{"unlink", "/tmp/a"}, "ENOENT"},
		{Deed{Write, "/tmp"}, []string{"unnamed", "/tmp"}, "ok"},
		{Deed{Write, "/tmp/s"}, []string{"name", "/tmp/s"}, "ok"},
		{Deed{Write, "/tmp/x"}, []string{"below", "/tmp", "/../x"}, "ok"},
		{Deed{Write, "/tmp/x"}, []string{"through", "/tmp/x"}, "ok"},
		{Deed{Write, "/tmp/x"}, []string{"write", "/proc/self/root/tmp/x"}, "ok"},
		{Deed{Write, "/tmp/x"}, []string{"write", "/proc/thread-self/../../root/tmp/x"}, "ok"},
		{Deed{Write, "/tmp/x"}, []string{"write", "/proc/net/../root/tmp/x"}, "ok"},
		{Deed{Write, "/tmp/x"}, []string{"write", "/proc/self/cwd/../../tmp/x"}, "ok"},
		{Deed{Kind: Write}, []string{"write", "/proc/1/root/tmp/x"}, ""},
		{Deed{Read, "/var/task/used"}, []string{"read", "link"}, "of use"},
		{Deed{Read, "/var/task/link"}, []string{"read", "link"}, "of use"},
		{Deed{Read, "/var/task/used"}, []string{"linked", "/var/task", "/tmp/t", "used"}, "of use"},
	} {
		s := l.spec(c.args...)
		m := &deeds{}
		s.Code, s.Dir, s.Monitor = code, "/var/task", m
		if out := l.try(s); c.out != "" && out != c.out || !m.has(c.deed) {
			t.Errorf("%v: %q, noted %+v, want %q and %+v", c.args, out, m.seen, c.out, c.deed)
		}
		s.Monitor = &deeds{refuse: func(d Deed) bool { return d == c.deed }}
		if out := l.try(s); out != "EACCES" {
			t.Errorf("%v, refused: %q", c.args, out)
		}
	}
	for _, args := range [][]string{{"name", "@abstract"}, {"read", "/proc/self/status"}, {"list", "/proc/self/fd"}} {
		s := l.spec(args...)
		m := &deeds{refuse: func(d Deed) bool { return d.Kind == Write || d.Path == "" }}
		s.Monitor = m
		if out := l.try(s); strings.Contains(out, "EACCES") {
			t.Errorf("%v: %q, noted %+v", args, out, m.seen)
		}
	}
}

// TestConfine: a confinement is Landlock's, which no path that changes while it is read gets around.
func TestConfine(t *testing.T) {
	if landlockVersion() == 0 {
		t.Fatal("this kernel has no Landlock; the confinement of runtime profiles cannot be tested on it")
	}
	l := newLab(t)
	code := packageOf(t)
	for _, c := range []struct {
		confine Confinement
		args    []string
		want    string
	}{
		{Confinement{Code: []string{"used"}}, []string{"read", "used"}, "of use"},
		{Confinement{Code: []string{"used"}}, []string{"read", "unused"}, "EACCES"},
		{Confinement{Code: []string{"used"}}, []string{"read", "/proc/self/root/var/task/unused"}, "EACCES"},
		{Confinement{Code: []string{"used", "gone"}}, []string{"list", "/var/task"}, "unused used"},
		{Confinement{Code: []string{}}, []string{"read", "used"}, "EACCES"},
		{Confinement{}, []string{"read", "unused"}, "of no use"},
		{Confinement{}, []string{"write", "/tmp/x"}, "ok"},
		{Confinement{ReadTmp: true}, []string{"write", "/tmp/x"}, "EACCES"},
		{Confinement{ReadTmp: true}, []string{"list", "/tmp"}, ""},
		{Confinement{}, []string{"run", "/other", "hello"}, "EACCES"},
		{Confinement{Programs: []string{"/other"}}, []string{"run", "/other", "hello"}, "hello"},
		{Confinement{AnyProgram: true}, []string{"run", "/other", "hello"}, "hello"},
	} {
		s := l.spec(c.args...)
		s.Code, s.Dir, s.Confine = code, "/var/task", &c.confine
		s.Root.Binds = append(s.Root.Binds, Bind{Source: filepath.Join(l.kit, "inmate"), Target: "/other"})
		// one file under two names would be one file to Landlock too
		other, err := os.ReadFile(filepath.Join(l.kit, "inmate"))
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "other")
		if err := os.WriteFile(copied, other, 0o755); err != nil {
			t.Fatal(err)
		}
		s.Root.Binds[len(s.Root.Binds)-1].Source = copied
		if out := l.try(s); !strings.Contains(out, c.want) || c.want == "" && out != "" {
			t.Errorf("%+v, %v: %q, want %q", c.confine, c.args, out, c.want)
		}
	}
}

// TestFenceAround: without a confinement, nothing outside /tmp and the devices can be written, whatever
// the mounts allow.
func TestFenceAround(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s := l.spec("write", "/data/x")
	s.Root.Binds = append(s.Root.Binds, Bind{Source: dir, Target: "/data"})
	f, err := l.ns.fence(s, []string{"/inmate"})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(f.Grants); got != 3 && l.ns.landlock > 0 {
		t.Errorf("%d grants: %+v", got, f.Grants)
	}
	if out := l.try(s); out != "EROFS" && out != "EACCES" {
		t.Errorf("a read-only bind was written: %s", out)
	}
	s = l.spec("write", "/data/x")
	s.Root.Binds = append(s.Root.Binds, Bind{Source: dir, Target: "/data", Writable: true})
	if out := l.try(s); out != "ok" {
		t.Errorf("a writable bind: %s", out)
	}
}

// TestProcessorLayer: what the kernel calls vulnerable is told.
func TestProcessorLayer(t *testing.T) {
	dir := t.TempDir()
	if l := processorLayer(dir); l.State != Weaker {
		t.Errorf("%+v", l)
	}
	for name, text := range map[string]string{"meltdown": "Not affected\n", "spectre_v2": "Mitigation: Retpolines\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if l := processorLayer(dir); l.State != Full || l.Fix != "" {
		t.Errorf("%+v", l)
	}
	if err := os.WriteFile(filepath.Join(dir, "mds"), []byte("Vulnerable: no microcode\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := processorLayer(dir); l.State != Weaker || !strings.Contains(l.Detail, "mds (Vulnerable: no microcode)") || l.Fix == "" {
		t.Errorf("%+v", l)
	}
}

// TestCores: where the kernel gives cookies, each account has one of its own; elsewhere nothing stops.
func TestCores(t *testing.T) {
	var c cores
	defer c.close()
	pid := os.Getpid()
	for _, account := range []string{"1", "2", "1"} {
		if err := c.enter(account, pid); err != nil {
			t.Errorf("account %s: %v", account, err)
		}
	}
	if len(c.keepers) != 2 {
		t.Errorf("%d accounts are kept", len(c.keepers))
	}
	for account, k := range c.keepers {
		if (k != nil) != c.works() {
			t.Errorf("account %s has a keeper: %v; the kernel gives cookies: %v", account, k != nil, c.works())
		}
	}
}
