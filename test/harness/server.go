package harness

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/app"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// Account and Region are those of every server that the harness starts.
const (
	Account = app.DefaultAccount
	Region  = app.DefaultRegion
)

// patience bounds every wait of the harness: long enough for a loaded machine, short enough that a
// hanging server fails its own test.
const patience = 60 * time.Second

// Server is one `bastide serve` on a data directory of its own.
type Server struct {
	Data    string // the data directory
	Address string // host:port, from the ready line; another one after each start
	Log     *Log   // everything that it printed, over all starts

	args []string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of the process, once done is closed
}

// Start starts a server and waits for its ready line. It is stopped at the test's end, and its log
// printed where the test failed. Further flags of serve may be given.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	return StartAt(t, filepath.Join(t.TempDir(), "data"), flags...)
}

// StartAt is Start on a given data directory.
func StartAt(t testing.TB, data string, flags ...string) *Server {
	t.Helper()
	DoWithoutSDKs(t, data)
	s := &Server{Data: data, Log: &Log{}, args: append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, flags...)}
	t.Cleanup(func() {
		s.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log)
		}
	})
	s.Restart(t)
	return s
}

// DoWithoutSDKs lets functions of a data directory run without the SDKs that Lambda supplies, as
// `bastide runtimes install --without-sdk` does: tests fetch nothing.
func DoWithoutSDKs(t testing.TB, data string) {
	t.Helper()
	c := runtimes.New(runtimes.Config{Dir: filepath.Join(data, "runtimes")})
	for _, id := range runtimes.Identifiers() {
		if err := c.DoWithoutSDK(id); err != nil {
			t.Fatal(err)
		}
	}
}

// Restart starts the server again on the same directory, after Kill or Stop.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	cmd := exec.Command(Binary(), s.args...)
	cmd.Env = base(t)
	cmd.Stderr = s.Log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd, s.done = cmd, make(chan struct{})
	ready := make(chan string, 1)
	go s.watch(out, ready, s.done)
	select {
	case s.Address = <-ready:
	case <-s.done:
		t.Fatalf("bastide %s ended before it was ready: %v\n%s", strings.Join(s.args, " "), s.err, s.Log)
	case <-time.After(patience):
		t.Fatalf("bastide %s: no ready line in %v\n%s", strings.Join(s.args, " "), patience, s.Log)
	}
}

// watch reads the ready line, keeps the rest, and waits for the end of the process.
func (s *Server) watch(out io.Reader, ready chan<- string, done chan<- struct{}) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		_, _ = s.Log.Write(append(lines.Bytes(), '\n')) // a Log takes everything
		if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			ready <- address
		}
	}
	s.err = s.cmd.Wait()
	close(done)
}

// Kill ends the server at once (SIGKILL), as a crash would.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGKILL); err == nil {
		t.Fatal("the killed server ended by itself")
	}
}

// Stop ends the server as Ctrl-C does and wants a clean end.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Fatalf("the server's end: %v\n%s", err, s.Log)
	}
}

func (s *Server) end(signal syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it hangs, which is the error that is told: it says where
		select {
		case <-s.done:
		case <-time.After(patience):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
		return errors.New("it did not end in " + patience.String())
	}
	s.cmd = nil
	return s.err
}

// Alive fails the test when the server has ended by itself.
func (s *Server) Alive(t testing.TB) {
	t.Helper()
	select {
	case <-s.done:
		t.Fatalf("the server has ended: %v\n%s", s.err, s.Log)
	default:
	}
}

// URL is the server's address as a URL.
func (s *Server) URL() string { return "http://" + s.Address }

// Admin is the administrator's keys, as the first start left them.
func (s *Server) Admin(t testing.TB) app.Credentials {
	t.Helper()
	c, err := app.ReadCredentials(s.Data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// base is an environment without anything of the machine's that clients would act on.
func base(t testing.TB) []string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{"PATH=" + filepath.Join(root, ".tools", "bin") + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "PYTHONDONTWRITEBYTECODE=1"}
	for _, name := range []string{"TMPDIR", "NVM_DIR", "PYENV_ROOT", "GOCOVERDIR"} {
		if v := os.Getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// Env is the environment that points an AWS client at the server as the administrator. A client
// tries once, so that no fault is hidden by a retry.
func (s *Server) Env(t testing.TB) []string {
	t.Helper()
	c := s.Admin(t)
	return append(base(t), "AWS_ENDPOINT_URL="+s.URL(), "AWS_ACCESS_KEY_ID="+c.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+c.SecretAccessKey,
		"AWS_DEFAULT_REGION="+Region, "AWS_REGION="+Region, "AWS_MAX_ATTEMPTS=1")
}

// Log keeps what a process prints; its zero value is ready.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write keeps p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Bytes is a copy of everything so far.
func (l *Log) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.b.Bytes())
}

// String is everything so far.
func (l *Log) String() string { return string(l.Bytes()) }

var _ io.Writer = (*Log)(nil)

// PID is the process's, while it runs.
func (s *Server) PID() int { return s.cmd.Process.Pid }
