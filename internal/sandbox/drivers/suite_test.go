package drivers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/gvisor"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// The contract is one suite, run against every driver that this machine can have: as root, with all
// of them, and again as an ordinary user, with the driver that is meant for one.

// kit is the folder with the programs of the tests, built once; an ordinary user is given it.
const kit = "BASTIDE_SANDBOX_KIT"

const megabyte = 1 << 20

// TestAsOrdinaryUser runs this test binary again as the user nobody.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := Open(Config{Name: GVisor, Init: []byte{}}); err == nil || !strings.Contains(err.Error(), "root") {
			t.Errorf("gVisor without root: %v", err)
		}
		return
	}
	dir := kitFolder(t)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	if err := os.WriteFile(filepath.Join(dir, "suite"), self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(home, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "suite"), "-test.count=1", "-test.timeout=200s", "-test.v")
	cmd.Dir = home
	cmd.Env = []string{kit + "=" + dir, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "HOME=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestContract/namespace")) || !bytes.Contains(out, []byte("--- PASS: TestContract/process")) {
		t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
}

// kitFolder builds the kit, or finds the one that this run was given.
func kitFolder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(kit); dir != "" {
		return dir
	}
	dir, err := os.MkdirTemp("", "bastide-kit-") // t.TempDir is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"cmd/init", "internal/sandbox/testdata/inmate"} {
		b, err := os.ReadFile(sandboxtest.Build(t, folder))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(folder)), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// present are the drivers that must work for this user. A machine whose root has no runsc fails the
// suite: make tools installs it.
func present() []string {
	if os.Geteuid() == 0 {
		return []string{Namespace, GVisor, Process}
	}
	return []string{Namespace, Process}
}

// each runs a test against drivers that share one kit.
func each(t *testing.T, names []string, test func(*testing.T, *lab)) {
	dir := kitFolder(t)
	program, err := os.ReadFile(filepath.Join(dir, "init"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			d, err := Open(Config{Name: name, Init: program, Runsc: os.Getenv("BASTIDE_RUNSC"), Platform: os.Getenv("BASTIDE_RUNSC_PLATFORM")})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			test(t, &lab{T: t, driver: d, name: name, kit: dir})
			if g, ok := d.(*gvisor.Driver); ok && g.Broken() > 0 {
				t.Errorf("%d sandboxes hung or ended before they had executed anything", g.Broken())
			}
		})
	}
}

// lab is a driver to start inmates with.
type lab struct {
	*testing.T
	driver Driver
	name   string
	kit    string
	n      int
}

// sub runs one part by itself.
func (l *lab) sub(name string, test func(*lab)) {
	l.Run(name, func(t *testing.T) {
		inner := *l
		inner.T = t
		test(&inner)
		l.n = inner.n
	})
}

// isolates tells whether the driver keeps anything apart.
func (l *lab) isolates() bool { return l.name != Process }

// spec runs the inmate with args.
func (l *lab) spec(args ...string) sandbox.Spec {
	l.n++
	return sandbox.Spec{
		ID: fmt.Sprintf("t%d", l.n), Argv: append([]string{"/inmate"}, args...), Dir: "/",
		Root: sandbox.RootFS{Binds: []sandbox.Bind{{Source: filepath.Join(l.kit, "inmate"), Target: "/inmate"}}},
	}
}

func (l *lab) start(s sandbox.Spec) sandbox.Instance {
	l.Helper()
	i, err := l.driver.Start(l.Context(), s)
	if err != nil {
		l.Fatal(err)
	}
	return i
}

// try runs spec to its end, which must be good, and returns what it printed.
func (l *lab) try(s sandbox.Spec) string {
	l.Helper()
	out, exit := l.run(s)
	if exit.Err != nil || exit.Code != 0 {
		l.Fatalf("%v: %+v\n%s", s.Argv, exit, out)
	}
	return out
}

// run runs spec to its end.
func (l *lab) run(s sandbox.Spec) (string, sandbox.Exit) {
	l.Helper()
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = &out, &errs
	exit := <-l.start(s).Wait()
	if errs.Len() > 0 {
		l.Logf("%v: %s", s.Argv, errs.String())
	}
	return strings.TrimSpace(out.String()), exit
}

// write makes a file with its folder.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// folder is one that everybody can read.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bastide-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
