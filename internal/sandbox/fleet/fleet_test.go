package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/sandbox/drivers"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// shared is where all tests of this package keep their runtimes' images: laying them takes longer
// than the tests.
var shared string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		panic(err)
	}
	shared = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// initKit names the init for the second run, as an ordinary user, who cannot build one.
const initKit = "BASTIDE_SANDBOX_INIT"

func initProgram(t testing.TB) []byte {
	t.Helper()
	path := os.Getenv(initKit)
	if path == "" {
		return sandboxtest.Init(t)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAsOrdinaryUser runs this test binary again as the user nobody, with the machine's own runtimes.
func TestAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // everything runs as an ordinary user already
	}
	dir, err := os.MkdirTemp("", "fleet-user-") // t.TempDir is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(home, 0o700), os.Chown(home, 65534, 65534),
		os.WriteFile(filepath.Join(dir, "suite"), self, 0o755), os.WriteFile(filepath.Join(dir, "init"), sandboxtest.Init(t), 0o755),
		os.WriteFile(filepath.Join(dir, "guest"), guestProgram(t), 0o755), os.WriteFile(filepath.Join(dir, "inmate"), inmate(t), 0o755))
	extension := filepath.Join(dir, "extension")
	err = errors.Join(err, os.Rename((&lab{t: t}).extension(), extension), os.Chmod(extension, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "suite"), "-test.count=1", "-test.timeout=600s", "-test.v")
	cmd.Dir = home
	cmd.Env = []string{initKit + "=" + filepath.Join(dir, "init"), extensionKit + "=" + extension, inmateKit + "=" + filepath.Join(dir, "inmate"), "TMPDIR=" + home, "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// lab is a fleet with real sandboxes, and everything that surrounds it.
type lab struct {
	*Fleet
	t        testing.TB
	clock    *shifted
	node, py string // runtimes that this machine has
	guest    []byte // the program of images, once it was built

	mu     sync.Mutex
	events map[Stream][]string
	dialed []string
}

// shifted is the machine's clock, moved.
type shifted struct {
	mu sync.Mutex
	by time.Duration
}

func (s *shifted) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clock.System{}.Now().Add(s.by)
}

func (s *shifted) move(d time.Duration) { s.mu.Lock(); s.by += d; s.mu.Unlock() }

func newLab(t testing.TB, change ...func(*Deps)) *lab {
	t.Helper()
	driver, err := drivers.Open(drivers.Config{Name: os.Getenv(driverKit), Init: initProgram(t)})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, clock: &shifted{}, events: map[Stream][]string{}}
	authority, err := ca.New(l.clock)
	if err != nil {
		t.Fatal(err)
	}
	catalog := runtimes.New(runtimes.Config{Dir: shared, Environ: os.Environ()})
	for _, f := range catalog.Find(t.Context()) {
		id, err := runtimes.Lookup(f.Runtime)
		if err != nil {
			t.Fatal(err)
		}
		if id.Family == bootstrap.Node && l.node == "" {
			l.node = id.Name
		} else if id.Family == bootstrap.Python && l.py == "" {
			l.py = id.Name
		}
	}
	if l.node == "" || l.py == "" {
		t.Fatal("this machine needs a node and a python")
	}
	d := Deps{Store: filepath.Dir(t.TempDir()),
		Driver: driver, Runtimes: catalog, Logs: l, CA: authority, Clock: l.clock, Dir: t.TempDir(),
		IDs: ids.Source{},
		Credentials: func(_ context.Context, fn Function) (Credentials, error) {
			return Credentials{"ASIA" + fn.Name, "secret", "token", l.clock.Now().Add(time.Hour)}, nil
		},
		Serve: func(fn Function, chain func() []string, li net.Listener) {
			_ = http.Serve(li, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s tls=%v%s", fn.Name, r.Host, r.TLS != nil, strings.Join(append([]string{""}, chain()...), " "))
			})) // ends with the listener
		},
		Dial: func(ctx context.Context, fn Function, address string) (net.Conn, error) {
			l.mu.Lock()
			l.dialed = append(l.dialed, fn.Name+" "+address)
			l.mu.Unlock()
			return nil, errors.New("nobody is there")
		},
	}
	if os.Getenv(allPooled) != "" {
		d.Pool = 4
	}
	for _, c := range change {
		c(&d)
	}
	if l.Fleet, err = New(d); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Fleet.Close(), driver.Close()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Append implements Logs.
func (l *lab) Append(s Stream, events []LogEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.events[s] = append(l.events[s], e.Message)
	}
}

// logs are all events so far, stream by stream in the order of their names.
func (l *lab) logs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []Stream
	for s := range l.events {
		names = append(names, s)
	}
	slices.SortFunc(names, func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	var out []string
	for _, s := range names {
		out = append(out, l.events[s]...)
	}
	return out
}

// function makes a function of one file.
func (l *lab) function(runtime, name, body string) Function {
	l.t.Helper()
	dir := l.t.TempDir()
	file := map[bool]string{true: "app.py", false: "app.js"}[strings.HasPrefix(runtime, "python")]
	if strings.HasPrefix(runtime, "provided") {
		file = "bootstrap"
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, file), []byte(body), 0o755)); err != nil {
		l.t.Fatal(err)
	}
	return Function{
		ARN: "arn:aws:lambda:eu-west-1:123456789012:function:" + name, Name: name, Version: "$LATEST", Revision: "1",
		Account: "123456789012", Region: "eu-west-1", Runtime: runtime, Handler: "app.handler", Code: dir, MemoryMB: 256,
		Timeout: 20 * time.Second, LogGroup: "/aws/lambda/" + name,
	}
}

func (l *lab) invoke(fn Function, event string) Outcome {
	l.t.Helper()
	if os.Getenv(allPooled) != "" && !startsApart(fn.Env) && fn.Image == nil {
		l.Expect(l.t.Context(), []Function{fn})
		eventually(l.t, "one is ready", func() bool { return l.has(fn) })
	}
	out, err := l.Invoke(l.t.Context(), fn, event1(event))
	if err != nil {
		l.t.Fatalf("%v\n%s", err, strings.Join(l.logs(), ""))
	}
	return out
}

func event1(payload string) Event {
	return Event{RequestID: "8f507cfc-xmpl-4697-b07a-ac58fc914c95", ARN: "arn:aws:lambda:eu-west-1:123456789012:function:f", Payload: []byte(payload)}
}

func (l *lab) want(out Outcome, functionError, payload string) {
	l.t.Helper()
	if out.FunctionError != functionError || !regexp.MustCompile("^"+payload+"$").Match(out.Payload) {
		l.t.Errorf("got %q %s, want %q %s\n%s", out.FunctionError, out.Payload, functionError, payload, strings.Join(l.logs(), ""))
	}
}

func wantLines(t *testing.T, got []string, patterns ...string) {
	t.Helper()
	if len(got) != len(patterns) {
		t.Errorf("got %d events, want %d:\n%q", len(got), len(patterns), got)
		return
	}
	for i, p := range patterns {
		if !regexp.MustCompile("(?s)^" + p + "\n$").MatchString(got[i]) {
			t.Errorf("event %d is %q, want %s", i, got[i], p)
		}
	}
}

const id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"

func TestInvokeColdThenWarm(t *testing.T) {
	l := newLab(t)
	for runtime, body := range map[string]string{
		l.node: "console.log('init'); let n = 0; exports.handler = async (e) => { console.log('hello\\nthere'); return [e.x, ++n] }",
		l.py:   "print('init')\nn = 0\ndef handler(e, c):\n    global n\n    n += 1\n    print('hello')\n    return [e['x'], n]\n",
	} {
		fn := l.function(runtime, "f", body)
		cold := l.invoke(fn, `{"x":7}`)
		l.want(cold, "", `\[7, ?1\]`)
		warm := l.invoke(fn, `{"x":8}`)
		l.want(warm, "", `\[8, ?2\]`)
		if !cold.Cold || warm.Cold {
			t.Errorf("cold %v, warm %v", cold.Cold, warm.Cold)
		}
		hello := ".*hello.*"
		report := `REPORT RequestId: ` + id + `\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: [1-9]\d* MB\t`
		wantLines(t, l.logs(), `INIT_START Runtime Version: (nodejs|python):.*`, ".*init", "START RequestId: "+id+` Version: \$LATEST`, hello,
			"END RequestId: "+id, report+`Init Duration: \d+\.\d\d ms\t`, "START RequestId: "+id+` Version: \$LATEST`, hello, "END RequestId: "+id, report)
		if tail := string(warm.LogTail); !strings.HasPrefix(tail, "START ") || strings.Count(tail, "\n") < 4 || !strings.Contains(tail, "hello") {
			t.Errorf("the tail is %q", tail)
		}
		l.Retire(fn.ARN)
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
}

func TestCustomRuntime(t *testing.T) {
	l := newLab(t)
	const script = `#!/bin/sh
set -e
echo starting
while true; do
  curl -sS -D /tmp/headers -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(tr -d '\r' < /tmp/headers | grep -i '^lambda-runtime-aws-request-id:' | cut -d' ' -f2)
  echo "got $(cat /tmp/event)"
  curl -sS -o /dev/null -X POST -d "{\"echo\":$(cat /tmp/event)}" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`
	fn := l.function("provided.al2023", "shell", script)
	l.want(l.invoke(fn, `{"x":1}`), "", `\{"echo":\{"x":1\}\}`)
	l.want(l.invoke(fn, `2`), "", `\{"echo":2\}`)
	logs := l.logs()
	if !slices.Contains(logs, "starting\n") || !slices.Contains(logs, "got {\"x\":1}\n") {
		t.Errorf("the log is %q", logs)
	}
	fn = l.function("provided.al2023", "none", script)
	if err := os.Rename(filepath.Join(fn.Code, "bootstrap"), filepath.Join(fn.Code, "other")); err != nil {
		t.Fatal(err)
	}
	l.want(l.invoke(fn, `1`), "Unhandled", `.*"Runtime.InvalidEntrypoint".*bootstrap.*`)
	fn = l.function("provided.al2", "ends", "#!/bin/sh\nexit 5\n")
	l.want(l.invoke(fn, `1`), "Unhandled", `.*"Runtime.ExitError","errorMessage":"RequestId: `+id+` Error: Runtime exited with error: exit status 5".*`)
}

func TestTimeoutEndsTheWholeTree(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "slow", `
import subprocess, time, os
def handler(e, c):
    print("before")
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    time.sleep(1000)
`)
	fn.Timeout = time.Second
	out := l.invoke(fn, `1`)
	l.want(out, "Unhandled", `\{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: `+id+` Error: Task timed out after 1.00 seconds"\}`)
	logs := l.logs()
	wantLines(t, logs[1:], "START .*", "before", `\S+Z `+id+` Task timed out after 1.00 seconds`+"\n", "END .*",
		`REPORT .*\tDuration: 1000.00 ms\t.*Init Duration: .*\tStatus: timeout`)
	if living, _ := l.Count(); living != 0 {
		t.Errorf("%d instances live", living)
	}
}

func TestCrashes(t *testing.T) {
	l := newLab(t)
	cases := map[string]struct{ runtime, body, errorType, message string }{
		"node exits":        {l.node, `exports.handler = async () => { process.exit(3) }`, "Runtime.ExitError", "Runtime exited with error: exit status 3"},
		"node exits with 0": {l.node, `exports.handler = async () => { process.exit(0) }`, "Runtime.ExitError", "Runtime exited without providing a reason"},
		"python segfaults":  {l.py, "import ctypes\ndef handler(e, c):\n    ctypes.string_at(0)\n", "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"},
		"python exits":      {l.py, "import sys\ndef handler(e, c):\n    sys.exit('gone')\n", "Runtime.ExitError", "Runtime exited with error: exit status 1"},
		"python's memory":   {l.py, "def handler(e, c):\n    x = [bytearray(1 << 20) for i in range(2000)]\n", "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"},
		"exits at start":    {l.py, "import os\nos._exit(4)\n", "Runtime.ExitError", "Runtime exited with error: exit status 4"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			fn := l.function(c.runtime, strings.ReplaceAll(name, " ", "-"), c.body)
			l.t = t
			l.want(l.invoke(fn, `1`), "Unhandled", `\{"errorType":"`+c.errorType+`","errorMessage":"RequestId: `+id+` Error: `+c.message+`"\}`)
		})
	}
	l.t = t
	fn := l.function(l.node, "again", `exports.handler = async (e) => { if (e === 1) process.exit(1); return 'alive' }`)
	l.invoke(fn, `1`)
	l.want(l.invoke(fn, `2`), "", `"alive"`)
}

func TestInitFailure(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "broken", "import nothing_like_it\n")
	l.want(l.invoke(fn, `1`), "Unhandled", `\{"errorMessage": "Unable to import module 'app': No module named 'nothing_like_it'", "errorType": "Runtime.ImportModuleError", .*\}`)
	wantLines(t, l.logs(), "INIT_START .*", `\[ERROR\] Runtime.ImportModuleError: .*`, `INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError`,
		"START .*", "END .*", `REPORT .*Status: error\tError Type: Runtime.ImportModuleError`)
	fn.Runtime = "python2.7"
	if _, err := l.Invoke(t.Context(), fn, event1(`1`)); err == nil {
		t.Error("an unknown runtime ran")
	}
}

// An error after which the process ends must not take the next event with it.
func TestUnhandledRejectionCostsOneEventOnly(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "rejects", `exports.handler = (e) => { if (e === 1) Promise.reject(new Error('lost')); return new Promise((ok) => setTimeout(ok, 20, 'fine')) }`)
	for range 5 {
		l.want(l.invoke(fn, `1`), "Unhandled", `.*"Runtime.UnhandledPromiseRejection".*`)
		l.want(l.invoke(fn, `2`), "", `"fine"`)
	}
}

func TestEnvironmentAndFiles(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "env", `
import os, pwd, ssl
def handler(e, c):
    try:
        open("/var/task/x", "w")
    except OSError as err:
        readonly = err.strerror
    return [dict(os.environ), readonly, pwd.getpwuid(os.getuid()).pw_name, len(ssl.create_default_context().get_ca_certs()) > 0, open("/tmp/x", "w").write("1")]
`)
	fn.Env = map[string]string{"TABLE": "orders", "AWS_REGION": "not this", "TZ": "Europe/Berlin"}
	var got []json.RawMessage
	env := map[string]string{}
	out := l.invoke(fn, `1`)
	if err := json.Unmarshal(out.Payload, &got); err != nil || json.Unmarshal(got[0], &env) != nil {
		t.Fatalf("%v %s", err, out.Payload)
	}
	for name, want := range map[string]string{
		"TABLE": "orders", "AWS_REGION": "eu-west-1", "TZ": "Europe/Berlin", "AWS_LAMBDA_FUNCTION_NAME": "env", "AWS_ACCESS_KEY_ID": "ASIAenv",
		"AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "_HANDLER": "app.handler", "AWS_EXECUTION_ENV": "AWS_Lambda_" + l.py,
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/env", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "LAMBDA_TASK_ROOT": "/var/task",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if env["HOME"] != "" || !regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(env["AWS_LAMBDA_LOG_STREAM_NAME"]) {
		t.Errorf("HOME %q, stream %q", env["HOME"], env["AWS_LAMBDA_LOG_STREAM_NAME"])
	}
	if rest := string(got[1]) + string(got[2]) + string(got[3]) + string(got[4]); rest != `"Read-only file system""sbx_user1051"true1` {
		t.Errorf("got %s", rest)
	}
}

func TestDoors(t *testing.T) {
	l := newLab(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	l.deps.Dial = func(ctx context.Context, fn Function, address string) (net.Conn, error) {
		if address != "db.internal:5432" {
			return nil, errors.New("not declared: " + address)
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Addr().String())
	}
	fn := l.function(l.py, "doors", `
import socket, urllib.request, os
def get(url):
    try:
        return urllib.request.urlopen(url, timeout=5).read().decode()
    except Exception as e:
        return type(e).__name__ + ": " + str(e)[:60]
def talk(host, port):
    try:
        s = socket.create_connection((host, port), 5)
        s.sendall(b"ping"); s.shutdown(socket.SHUT_WR)
        return s.makefile().read()
    except Exception as e:
        return type(e).__name__
def handler(e, c):
    return [get(os.environ["AWS_ENDPOINT_URL"] + "/x"), get("https://dynamodb.eu-west-1.amazonaws.com/"), get("https://my-bucket.s3.amazonaws.com/k"),
        get("http://example.com/"), get("http://169.254.169.254/latest"), talk("db.internal", 5432), talk("db.internal", 5433), talk("other.internal", 5432)]
`)
	fn.Ways = waysOf(t, "db.internal:5432")
	out := l.invoke(fn, `1`)
	var got []string
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		t.Fatalf("%v %s", err, out.Payload)
	}
	want := []string{"doors 127.0.0.1:4566 tls=false", "doors dynamodb.eu-west-1.amazonaws.com tls=true", "doors my-bucket.s3.amazonaws.com tls=true",
		"URLError: .*Name or service not known.*", "URLError: .*(refused).*", "ping", "ConnectionRefusedError", "gaierror"}
	for i, w := range want {
		if i >= len(got) || !regexp.MustCompile("^"+w+"$").MatchString(got[i]) {
			t.Errorf("%d: got %q, want %s", i, got, w)
		}
	}
}

func TestPlatformEventsAsJSON(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "json", `exports.handler = async (e) => { console.log('hi'); if (e === 2) throw new TypeError('no') }`)
	fn.LogFormat, fn.LogLevel = "JSON", "INFO"
	l.want(l.invoke(fn, `1`), "", "null")
	l.want(l.invoke(fn, `2`), "Unhandled", `.*"errorType":"TypeError".*`)
	stamp := `\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","type":"platform\.`
	start := stamp + `start","record":\{"requestId":"` + id + `","version":"\$LATEST"\}\}`
	wantLines(t, l.logs(), stamp+`initStart","record":\{.*"runtimeVersion":"nodejs:.*\}\}`, start, `\{"timestamp":.*"level":"INFO",.*"message":"hi"\}`,
		stamp+`report","record":\{"metrics":\{"billedDurationMs":\d+,"durationMs":[\d.]+,"initDurationMs":[\d.]+,"maxMemoryUsedMB":\d+,"memorySizeMB":256\},"requestId":"`+id+`","status":"success"\}\}`,
		start, `\{.*"message":"hi"\}`, `\{.*"level":"ERROR".*`, stamp+`report","record":\{"errorType":"TypeError",.*"status":"error"\}\}`)
}
