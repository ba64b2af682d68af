package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// kit is the folder with what the tests run: the init, and the inmate. The tests run once as the user
// that started them and, if that is root, once more as an ordinary user, who is given the same kit.
const kit = "BASTIDE_SANDBOX_KIT"

func TestMain(m *testing.M) {
	for key, be := range map[string]func(){victim: beVictim, granted: beGranted, stranger: beStranger} {
		if os.Getenv(key) != "" {
			be()
			return
		}
	}
	os.Exit(m.Run())
}

// TestAsOrdinaryUser runs this test binary again as the user nobody.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 { // else everything runs as an ordinary user already
		again(t, "")
	}
}

// again runs this test binary as the user nobody, who is granted subordinate ids by a line.
func again(t *testing.T, line string, more ...string) {
	dir := kitFolder(t)
	worker(t, dir)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "suite")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-test.count=1", "-test.timeout=200s"}, more...)
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = home
	cmd.Env = []string{kit + "=" + dir, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "HOME=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if line != "" {
		cmd.Env = append(cmd.Env, granted+"="+line)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS} // and becomes nobody
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
	t.Logf("%s", out)
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

// lab is a driver to start inmates with.
type lab struct {
	t   testing.TB
	ns  *Namespace
	kit string
	n   int
}

func newLab(t testing.TB) *lab {
	t.Helper()
	dir := kitFolder(t)
	program, err := os.ReadFile(filepath.Join(dir, "init"))
	if err != nil {
		t.Fatal(err)
	}
	ns, err := New(Config{Init: program, Subordinate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return &lab{t: t, ns: ns, kit: dir}
}

// spec runs the inmate with args.
func (l *lab) spec(args ...string) Spec {
	l.n++
	return Spec{
		ID:   fmt.Sprintf("t%d", l.n),
		Argv: append([]string{"/inmate"}, args...),
		Dir:  "/",
		Root: RootFS{Binds: []Bind{{Source: filepath.Join(l.kit, "inmate"), Target: "/inmate"}}},
	}
}

// start starts it.
func (l *lab) start(s Spec) Instance {
	l.t.Helper()
	i, err := l.ns.Start(l.t.Context(), s)
	if err != nil {
		l.t.Fatal(err)
	}
	return i
}

// try runs spec to its end and returns what it printed.
func (l *lab) try(s Spec) string {
	l.t.Helper()
	out, exit := l.run(s)
	if exit.Err != nil || exit.Code != 0 {
		l.t.Fatalf("%v: %+v\n%s", s.Argv, exit, out)
	}
	return out
}

// run runs spec to its end.
func (l *lab) run(s Spec) (string, Exit) {
	l.t.Helper()
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = &out, &errs
	i := l.start(s)
	exit := <-i.Wait()
	if errs.Len() > 0 {
		l.t.Logf("%v: %s", s.Argv, errs.String())
	}
	return strings.TrimSpace(out.String()), exit
}
