package bootstrap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// interpreter is one that this machine has.
type interpreter struct {
	name, path string
	family     bootstrap.Family
	waits      bool // started before its function is known
}

// bothWays adds every interpreter once more, as one that is started before its function is known: what
// is told later must be as what is there from the start.
func bothWays(all []interpreter) []interpreter {
	for _, in := range all {
		in.name, in.waits = in.name+"-waiting", true
		all = append(all, in)
	}
	return all
}

// interpreters are all that a plain look finds; package runtimes has the real search, and does not
// belong below this one. A machine without any cannot test anything here.
func interpreters(t testing.TB, family bootstrap.Family) []interpreter {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	want := regexp.MustCompile(`^3\.([89]|1[0-4])$`)
	if family == bootstrap.Node {
		patterns = []string{"/usr/bin/node", "/usr/local/bin/node", "/opt/*/bin/node", home + "/.nvm/versions/node/*/bin/node"}
		want = regexp.MustCompile(`^(18|20|22|24)$`)
	} else {
		patterns = []string{"/usr/bin/python3.*", home + "/.pyenv/versions/*/bin/python3.*", "/usr/local/bin/python3.*"}
	}
	seen := map[string]bool{}
	var found []interpreter
	for _, p := range patterns {
		paths, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			cmd := exec.Command(path, "--version")
			cmd.Env = []string{}
			out, err := cmd.Output()
			if err != nil {
				continue // python3.11-config and the like
			}
			v := strings.TrimPrefix(strings.TrimSpace(string(out)), "Python ")
			if parts := strings.Split(v, "."); family == bootstrap.Node {
				v = strings.TrimPrefix(parts[0], "v")
			} else if len(parts) > 1 {
				v = parts[0] + "." + parts[1]
			}
			if want.MatchString(v) && !seen[v] {
				seen[v] = true
				found = append(found, interpreter{name: string(family) + v, path: path, family: family})
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no %s interpreter on this machine: install one, for instance with `bastide runtimes install`", family)
	}
	return bothWays(found)
}

// guest is a running program with its output.
type guest struct {
	*runtimeapi.Channel
	t    testing.TB
	cmd  *exec.Cmd
	exit chan error

	output *runtimeapi.Output

	mu   sync.Mutex
	logs []string
}

type options struct {
	handler string
	files   map[string]string
	env     []string
}

// start runs the interpreter on a function made of files.
func start(t testing.TB, in interpreter, o options) *guest {
	t.Helper()
	task, lib := t.TempDir(), t.TempDir()
	for name, body := range o.files {
		path := filepath.Join(task, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := bootstrap.Write(in.family, lib); err != nil {
		t.Fatal(err)
	}
	return launch(t, in, task, filepath.Join(lib, in.family.Entry()), o)
}

func launch(t testing.TB, in interpreter, task, entry string, o options) *guest {
	t.Helper()
	host, channel := socketpair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{entry}
	if in.family == bootstrap.Python {
		argv = []string{"-S", entry}
	}
	env := append([]string{"_HANDLER=" + o.handler, "LAMBDA_TASK_ROOT=" + task, "TZ=:UTC", "LANG=en_US.UTF-8",
		"PATH=/usr/bin:/bin", "AWS_LAMBDA_FUNCTION_NAME=hello", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/hello",
		"AWS_LAMBDA_LOG_STREAM_NAME=2024/01/01/[$LATEST]abc"}, o.env...)
	if in.waits {
		argv = append(argv, "wait")
	}
	g := &guest{t: t, exit: make(chan error, 1), cmd: exec.Command(in.path, argv...)}
	g.cmd.Dir, g.cmd.Env, g.cmd.ExtraFiles = task, env, []*os.File{channel}
	g.cmd.Stdout, g.cmd.Stderr = w, w
	if in.waits {
		g.cmd.Dir, g.cmd.Env = "/", []string{"TZ=:UTC", "LANG=en_US.UTF-8", "PATH=/bin", "LEFTOVER=1"}
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	channel.Close()
	w.Close()
	go func() { g.exit <- g.cmd.Wait() }()
	g.Channel = runtimeapi.NewChannel(host)
	if in.waits {
		if err := errors.Join(g.Waiting(limit(t)), g.SetUp(limit(t), task, env)); err != nil {
			t.Fatal(err)
		}
	}
	g.output, err = runtimeapi.NewOutput(r, func(event []byte) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.logs = append(g.logs, string(event))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		_ = g.cmd.Process.Kill() // it may have ended by itself
		g.output.Close()
	})
	return g
}

func socketpair(t testing.TB) (net.Conn, *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "host")
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return c, os.NewFile(uintptr(fds[1]), "guest")
}

// take returns the output so far and forgets it.
func (g *guest) take() []string {
	g.output.Flush()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.logs
	g.logs = nil
	return out
}

func (g *guest) ready() *guest {
	g.t.Helper()
	if err := g.Ready(limit(g.t)); err != nil {
		g.t.Fatalf("Ready: %v %s\n%s", err, payloadOf(err), strings.Join(g.take(), "\n"))
	}
	return g
}

func payloadOf(err error) string {
	if e, ok := err.(*runtimeapi.InitError); ok {
		return string(e.Payload)
	}
	return ""
}

func (g *guest) invoke(event string) runtimeapi.Result {
	g.t.Helper()
	r, err := g.Invoke(limit(g.t), invocation(event))
	if err != nil {
		g.t.Fatalf("Invoke: %v\n%s", err, strings.Join(g.take(), "\n"))
	}
	return r
}

func invocation(event string) runtimeapi.Invocation {
	return runtimeapi.Invocation{
		RequestID: "8f507cfc-xmpl-4697-b07a-ac58fc914c95", Deadline: time.Now().Add(30 * time.Second),
		ARN: "arn:aws:lambda:eu-west-1:123456789012:function:hello", TraceID: "Root=1-5759e988-bd862e3fe1be46a994272793",
		Payload: []byte(event),
	}
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantResult(t *testing.T, r runtimeapi.Result, want string) {
	t.Helper()
	if r.Failed || string(r.Payload) != want {
		t.Errorf("got failed=%v %s, want %s", r.Failed, r.Payload, want)
	}
}

func wantFailure(t *testing.T, r runtimeapi.Result, errorType string, parts ...string) {
	t.Helper()
	if !r.Failed || r.ErrorType != errorType {
		t.Errorf("got failed=%v type %q %s, want a failure of type %q", r.Failed, r.ErrorType, r.Payload, errorType)
	}
	for _, p := range parts {
		if !bytes.Contains(r.Payload, []byte(p)) {
			t.Errorf("the error %s does not have %s", r.Payload, p)
		}
	}
}

func wantLog(t *testing.T, logs []string, patterns ...string) {
	t.Helper()
	if len(logs) != len(patterns) {
		t.Errorf("got %d log events, want %d:\n%s", len(logs), len(patterns), strings.Join(logs, "\n"))
		return
	}
	for i, p := range patterns {
		if !regexp.MustCompile("(?s)^" + p + "$").MatchString(logs[i]) {
			t.Errorf("log event %d is %q, want %s", i, logs[i], p)
		}
	}
}

func every(t *testing.T, family bootstrap.Family, test func(t *testing.T, in interpreter)) {
	for _, in := range interpreters(t, family) {
		t.Run(in.name, func(t *testing.T) { test(t, in) })
	}
}

func (in interpreter) minor() int {
	var n int
	if _, err := fmt.Sscanf(strings.TrimPrefix(in.name, "python3."), "%d", &n); err != nil {
		return 0
	}
	return n
}
