package fleet

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// extended gives a function external extensions, each with the tests' program under its name.
func (l *lab) extended(fn Function, plan string, names ...string) Function {
	l.t.Helper()
	layer := l.t.TempDir()
	dir := filepath.Join(layer, "extensions")
	if err := os.Mkdir(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	program, err := os.ReadFile(l.extension())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), program, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, d := range []string{layer, dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	fn.Layers = append(fn.Layers, layer)
	fn.Env = map[string]string{"PLAN": plan, "MINE": "yes"}
	return fn
}

// extensionKit names the tests' extension for the second run, as an ordinary user.
const extensionKit = "BASTIDE_FLEET_EXTENSION"

func (l *lab) extension() string {
	if path := os.Getenv(extensionKit); path != "" {
		return path
	}
	path := filepath.Join(shared, "extension-program")
	if _, err := os.Stat(path); err != nil {
		if err := os.Rename(sandboxtest.Build(l.t, "internal/sandbox/fleet/testdata/extension"), path); err != nil {
			l.t.Fatal(err)
		}
	}
	return path
}

// wantLog waits until the log has lines that match, in this order, others between them.
func (l *lab) wantLog(patterns ...string) {
	l.t.Helper()
	find := func() string {
		rest := l.logs()
		for _, p := range patterns {
			re := regexp.MustCompile("(?s)^" + p + "\n?$")
			for ; len(rest) > 0 && !re.MatchString(strings.TrimSuffix(rest[0], "\n")); rest = rest[1:] {
			}
			if len(rest) == 0 {
				return p
			}
			rest = rest[1:]
		}
		return ""
	}
	missing := ""
	for range 200 {
		if missing = find(); missing == "" {
			return
		}
		l.flush()
		time.Sleep(25 * time.Millisecond)
	}
	l.t.Errorf("the log has no %s (in this order):\n%s", missing, strings.Join(l.logs(), ""))
}

// flush brings what waits in the journals of the living.
func (l *lab) flush() {
	l.Fleet.mu.Lock()
	defer l.Fleet.mu.Unlock()
	for i := range l.Fleet.living {
		i.report.journal.flush()
	}
}

const both = `{"Events":["INVOKE","SHUTDOWN"],"Env":["MINE","_HANDLER","LAMBDA_TASK_ROOT","AWS_LAMBDA_LOG_STREAM_NAME","AWS_LAMBDA_FUNCTION_NAME","AWS_ACCESS_KEY_ID"]}`

// TestExtensionsLiveWithTheFunction: programs start before the runtime, hear of every invocation and of
// the end, in each kind of runtime.
func TestExtensionsLiveWithTheFunction(t *testing.T) {
	const shell = `#!/bin/sh
set -e
echo runtime starts
while true; do
  curl -sS -D /tmp/headers -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(tr -d '\r' < /tmp/headers | grep -i '^lambda-runtime-aws-request-id:' | cut -d' ' -f2)
  curl -sS -o /dev/null -X POST -d "$(cat /tmp/event)" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`
	l := newLab(t)
	for runtime, body := range map[string]string{
		l.node:            "console.log('runtime starts'); exports.handler = async (e) => e",
		l.py:              "print('runtime starts')\ndef handler(e, c):\n    return e\n",
		"provided.al2023": shell,
	} {
		fn := l.extended(l.function(runtime, "f", body), both, "monitor", "auditor")
		l.want(l.invoke(fn, `7`), "", `7`)
		l.want(l.invoke(fn, `8`), "", `8`)
		event := `monitor event 200 \{"eventType":"INVOKE","deadlineMs":\d{13},"requestId":"` + id +
			`","invokedFunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f","tracing":\{"type":"X-Amzn-Trace-Id","value":""\}\}`
		l.wantLog(`monitor env MINE true yes`, `monitor env _HANDLER false `, `monitor env LAMBDA_TASK_ROOT false `,
			`monitor env AWS_LAMBDA_LOG_STREAM_NAME false `, `monitor env AWS_LAMBDA_FUNCTION_NAME true f`, `monitor env AWS_ACCESS_KEY_ID true ASIAf`,
			`.*runtime starts`, `EXTENSION\tName: auditor\tState: Ready\tEvents: \[INVOKE, SHUTDOWN\]`,
			`EXTENSION\tName: monitor\tState: Ready\tEvents: \[INVOKE, SHUTDOWN\]`, "START .*")
		l.wantLog(`monitor registered 200 \{"functionVersion":"\$LATEST","functionName":"f","handler":"app.handler","accountId":"123456789012"\} 36`)
		l.wantLog("START .*", event, "END .*", "REPORT .*", "START .*", event, "REPORT .*")
		l.Retire(fn.ARN)
		l.wantLog(`monitor event 200 \{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":\d{13}\}`)
		l.wantLog(`auditor event 200 \{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":\d{13}\}`, `auditor bye .*`)
		eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
}

// TestExtensionsFinishTheInvocation: the caller is answered when the runtime has answered; the
// environment goes on until the extensions are done, which the report counts.
func TestExtensionsFinishTheInvocation(t *testing.T) {
	l := newLab(t)
	fn := l.extended(l.function(l.py, "f", "import os\ndef handler(e, c):\n    return os.getpid()\n"), `{"Events":["INVOKE"],"Linger":2000}`, "slow")
	l.want(l.invoke(fn, `1`), "", `\d+`)
	logs := strings.Join(l.logs(), "")
	if strings.Contains(logs, "REPORT") {
		t.Errorf("the caller waited for the extension:\n%s", logs)
	}
	second := l.invoke(fn, `1`) // while the first environment is not free yet
	if !second.Cold {
		t.Error("an environment was used whose extension is not done")
	}
	l.wantLog(`REPORT .*\tDuration: [2-9]\d{3}\.\d\d ms\t.*`)
	eventually(t, "rest", func() bool { _, resting := l.Count(); return resting == 2 })
	ev := event1(`1`)
	ev.Tail = true
	out, err := l.Invoke(t.Context(), fn, ev)
	if err != nil || out.Cold || !strings.Contains(string(out.LogTail), "REPORT") {
		t.Errorf("with its log: %v, %+v, %s", err, out, out.LogTail)
	}
	fn = l.extended(l.function(l.py, "g", "def handler(e, c):\n    return 1\n"), `{"Events":["INVOKE","SHUTDOWN"],"Linger":5000}`, "slower")
	fn.Timeout = time.Second
	l.want(l.invoke(fn, `1`), "", `1`)
	l.wantLog(`.* Task timed out after 1.00 seconds\n?`, `REPORT .*\tDuration: 1000.00 ms\t.*Status: timeout`)
}

// TestExtensionsThatFail: each failure is Lambda's, ends the environment and is told to the caller.
func TestExtensionsThatFail(t *testing.T) {
	l := newLab(t)
	body := "def handler(e, c):\n    import time\n    time.sleep(2)\n    return 1\n"
	failed := func(kind, words string) string {
		return `\{"errorType":"Extension.` + kind + `","errorMessage":"RequestId: ` + id + ` Error: ` + words + `"\}`
	}
	for plan, want := range map[string][2]string{
		`{"ExitAt":"start"}`:                         {failed("Crash", "exit status 3"), `EXTENSION\tName: bad\tState: Started\tEvents: \[\]\tError Type: Extension.Crash`},
		`{"Events":["SHUTDOWN"],"ExitAt":"init"}`:    {failed("Crash", "exit status 3"), `EXTENSION\tName: bad\tState: Registered\tEvents: \[SHUTDOWN\]\tError Type: Extension.Crash`},
		`{"Events":["INVOKE"],"ExitAt":"invoke"}`:    {failed("Crash", "exit status 3"), `Error: exit status 3`},
		`{"Events":[],"Error":"init/error"}`:         {failed("InitError", "exit status 4"), `EXTENSION\tName: bad\tState: InitError\tEvents: \[\]\tError Type: Fixture.Wanted`},
		`{"Events":["INVOKE"],"Error":"exit/error"}`: {failed("ExitError", "exit status 4"), `EXTENSION\tName: bad\tState: ExitError\tEvents: \[INVOKE\]\tError Type: Fixture.Wanted`},
	} {
		fn := l.extended(l.function(l.py, "f", body), plan, "bad")
		l.want(l.invoke(fn, `1`), "Unhandled", want[0])
		l.wantLog(".*" + want[1] + ".*")
		eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
	fn := l.extended(l.function(l.py, "f", body), `{}`, "bad")
	if err := os.Chmod(filepath.Join(fn.Layers[0], "extensions/bad"), 0o644); err != nil {
		t.Fatal(err)
	}
	l.want(l.invoke(fn, `1`), "Unhandled", failed("LaunchError", "fork/exec /opt/extensions/bad: permission denied"))
	l.wantLog(`EXTENSION\tName: bad\tState: LaunchError\tEvents: \[\]\tError Type: PermissionDenied`)
	fn = l.extended(l.function(l.py, "many", body), `{"Events":[]}`, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
	l.want(l.invoke(fn, `1`), "Unhandled", failed("LaunchError", "ErrTooManyExtensions"))
	l.wantLog(`EXTENSION\tName: k\tState: LaunchError\tEvents: \[\]\tError Type: TooManyExtensions`)
}

// TestExtensionsThatNeverRegister: the initialisation has its limit.
func TestExtensionsThatNeverRegister(t *testing.T) {
	l := newLab(t)
	fn := l.extended(l.function(l.py, "f", "def handler(e, c):\n    return 1\n"), `{"Silent":true}`, "silent")
	fn.Timeout = time.Second
	l.want(l.invoke(fn, `1`), "Unhandled", `.*Sandbox.Timedout.*`)
	l.wantLog(`EXTENSION\tName: silent\tState: Started\tEvents: \[\]`, "START .*", ".*Task timed out.*\n?", "REPORT .*")
	eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
}

// TestExtensionsAreToldWhy: a timeout and a failure of the function pass the shutdown phase too.
func TestExtensionsAreToldWhy(t *testing.T) {
	l := newLab(t)
	fn := l.extended(l.function(l.py, "f", "import time\ndef handler(e, c):\n    time.sleep(100)\n"), `{"Events":["SHUTDOWN"]}`, "told")
	fn.Timeout = time.Second
	l.want(l.invoke(fn, `1`), "Unhandled", `.*Sandbox.Timedout.*`)
	l.wantLog(`told event 200 .*"shutdownReason":"timeout".*`, "told bye .*")
	fn = l.extended(l.function(l.py, "g", "import os\ndef handler(e, c):\n    os._exit(7)\n"), `{"Events":["SHUTDOWN"]}`, "told2")
	l.want(l.invoke(fn, `1`), "Unhandled", `.*Runtime.ExitError.*exit status 7.*`)
	l.wantLog(`told2 event 200 .*"shutdownReason":"failure".*`, "told2 bye .*")
	fn = l.extended(l.function(l.py, "h", "def handler(e, c):\n    return 1\n"), `{"Events":["SHUTDOWN"],"Stubborn":true}`, "told3")
	l.want(l.invoke(fn, `1`), "", `1`)
	l.Retire(fn.ARN)
	l.wantLog(`told3 event 200 .*"shutdownReason":"spindown".*`)
	eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
}

// TestRuntimesAreAskedToEnd: with an extension the runtime gets a SIGTERM, which its code may handle,
// also where it was frozen.
func TestRuntimesAreAskedToEnd(t *testing.T) {
	l := newLab(t)
	for runtime, body := range map[string]string{
		l.node: "process.on('SIGTERM', () => { console.log('asked'); process.exit(0) }); exports.handler = async (e) => 1",
		l.py:   "import signal, sys\ndef asked(*a):\n    print('asked', flush=True)\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, asked)\ndef handler(e, c):\n    return 1\n",
	} {
		fn := l.extended(l.function(runtime, "f", body), `{"Events":[]}`, "quiet")
		l.want(l.invoke(fn, `1`), "", `1`)
		eventually(t, "its freezing", func() bool {
			l.Fleet.mu.Lock()
			defer l.Fleet.mu.Unlock()
			for i := range l.Fleet.living {
				i.mu.Lock()
				still := i.rest == frozen
				i.mu.Unlock()
				if still {
					return true
				}
			}
			return false
		})
		l.Retire(fn.ARN)
		l.wantLog(".*asked.*")
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
}

// TestInternalExtensions: code of the runtime's own process takes part too; node's event loop turns
// for it between events.
func TestInternalExtensions(t *testing.T) {
	l := newLab(t)
	const node = `
import http from 'http';
const call = (method, path, headers, body) => new Promise((ok, no) => {
  const req = http.request('http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2020-01-01/extension' + path, { method, headers }, (res) => {
    let text = ''; res.on('data', (d) => { text += d; }); res.on('end', () => ok({ status: res.statusCode, id: res.headers['lambda-extension-identifier'], text }));
  });
  req.on('error', no); req.end(body);
});
(async () => {
  const bad = await call('POST', '/register', { 'Lambda-Extension-Name': 'inner' }, '{"events":["SHUTDOWN"]}');
  console.log('refused', bad.status, bad.text);
  const { id } = await call('POST', '/register', { 'Lambda-Extension-Name': 'inner' }, '{"events":["INVOKE"]}');
  for (;;) {
    const e = await call('GET', '/event/next', { 'Lambda-Extension-Identifier': id });
    console.log('inner', e.text);
    await new Promise((ok) => setTimeout(ok, 50));
  }
})();
await new Promise((ok) => setTimeout(ok, 200));
export const handler = async (e) => e;
`
	const python = `
import json, os, threading, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension"
def call(method, path, headers, body=None):
    req = urllib.request.Request(base + path, data=body, headers=headers, method=method)
    with urllib.request.urlopen(req) as res:
        return res.headers.get("Lambda-Extension-Identifier"), res.read().decode()
name, _ = call("POST", "/register", {"Lambda-Extension-Name": "inner"}, b'{"events":["INVOKE"]}')
def loop():
    while True:
        print("inner", call("GET", "/event/next", {"Lambda-Extension-Identifier": name})[1])
threading.Thread(target=loop, daemon=True).start()
def handler(e, c):
    return e
`
	for runtime, body := range map[string]string{l.node: node, l.py: python} {
		fn := l.function(runtime, "f", body)
		if runtime == l.node {
			if err := os.Rename(filepath.Join(fn.Code, "app.js"), filepath.Join(fn.Code, "app.mjs")); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 3 {
			l.want(l.invoke(fn, `5`), "", `5`)
			eventually(t, "rest", func() bool { living, resting := l.Count(); return living == 1 && resting == 1 })
			l.wantLog(append([]string{`EXTENSION\tName: inner\tState: Ready\tEvents: \[INVOKE\]`}, repeat(`.*inner \{"eventType":"INVOKE".*`, n+1)...)...)
		}
		if runtime == l.node {
			l.wantLog(`.*refused 403 .*"errorType":"Extension.InvalidEventType".*`)
		}
		l.Retire(fn.ARN)
		eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
}

func repeat(s string, n int) []string {
	return strings.Split(strings.Repeat(s+"\x00", n)[:n*(len(s)+1)-1], "\x00")
}

// TestTelemetry: extensions hear by HTTP and by TCP what happens in their environment.
func TestTelemetry(t *testing.T) {
	l := newLab(t)
	body := "print('loaded')\ndef handler(e, c):\n    print('handled')\n    return e\n"
	hears := []string{
		`EAR hears platform.initStart \{"initializationType":"on-demand","phase":"init","runtimeVersion":"python:.*","functionName":"f","functionVersion":"\$LATEST","instanceId":".*","instanceMaxMemory":256\}`,
		`EAR hears platform.telemetrySubscription \{"name":"EAR","state":"Subscribed","types":\["platform","function","extension"\]\}`,
		`EAR hears platform.initRuntimeDone \{"initializationType":"on-demand","phase":"init","status":"success"\}`,
		`EAR hears platform.extension \{"name":"EAR","state":"Ready","events":\["INVOKE","SHUTDOWN"\]\}`,
		`EAR hears platform.initReport \{"initializationType":"on-demand","phase":"init","status":"success","metrics":\{"durationMs":.*\}\}`,
		`EAR hears platform.start \{"requestId":"` + id + `","version":"\$LATEST"\}`,
		`EAR hears platform.runtimeDone \{"requestId":"` + id + `","status":"success","metrics":\{"durationMs":.*,"producedBytes":1\},"spans":\[\{"name":"responseLatency".*\}\]\}`,
		`EAR hears platform.report \{"requestId":"` + id + `","status":"success","metrics":\{"durationMs":.*,"billedDurationMs":\d+,"memorySizeMB":256,"maxMemoryUsedMB":\d+,"initDurationMs":.*\},"spans":\[\{"name":"extensionOverhead".*\}\]\}`,
	}
	for name, plan := range map[string]string{
		"http": `"Subscribe":{"schemaVersion":"2022-12-13","types":["platform","function","extension"],"buffering":{"timeoutMs":25,"maxItems":1000},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}}`,
		"tcp":  `"TCP":true,"Subscribe":{"schemaVersion":"2025-01-29","types":["platform","function","extension"],"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP","port":8080}}`,
	} {
		fn := l.extended(l.function(l.py, "f", body), `{"Events":["INVOKE","SHUTDOWN"],"Listen":8080,"API":"/2022-07-01/telemetry","Linger":100,`+plan+`}`, name)
		l.want(l.invoke(fn, `1`), "", `1`)
		eventually(t, "rest", func() bool { _, resting := l.Count(); return resting == 1 })
		l.want(l.invoke(fn, `2`), "", `2`)
		for _, want := range hears {
			l.wantLog(strings.ReplaceAll(want, "EAR", name))
		}
		l.wantLog(`TELEMETRY\tName: ` + name + `\tState: Subscribed\tTypes: \[Platform, Function, Extension\]`)
		eventually(t, "rest", func() bool { _, resting := l.Count(); return resting == 1 })
		l.Retire(fn.ARN)
		l.wantLog(name + ` bye .*platform.initStart.* function .*extension .*platform.report.*platform.start.*platform.report.*`)
		eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
}

// TestLogsAPI: the older API has its own words.
func TestLogsAPI(t *testing.T) {
	l := newLab(t)
	fn := l.extended(l.function(l.py, "f", "def handler(e, c):\n    print('handled')\n    return e\n"),
		`{"Events":["INVOKE","SHUTDOWN"],"Listen":8080,"API":"/2020-08-15/logs","Linger":100,"Subscribe":{"schemaVersion":"2021-03-18","types":["platform","function"],"buffering":{"timeoutMs":25},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/logs"}}}`, "old")
	l.want(l.invoke(fn, `1`), "", `1`)
	eventually(t, "rest", func() bool { _, resting := l.Count(); return resting == 1 })
	l.Retire(fn.ARN)
	for _, want := range []string{`old hears platform.logsSubscription \{"name":"old","state":"Subscribed","types":\["platform","function"\]\}`,
		`old hears platform.start \{"requestId":"` + id + `","version":"\$LATEST"\}`, `old hears platform.runtimeDone \{"requestId":"` + id + `","status":"success"\}`,
		`old hears platform.end \{"requestId":"` + id + `"\}`, `old hears platform.report \{"metrics":\{.*\},"requestId":"` + id + `"\}`,
		`LOGS\tName: old\tState: Subscribed\tTypes: \[Platform, Function\]`, `old bye .*function.*`} {
		l.wantLog(want)
	}
	if logs := strings.Join(l.logs(), ""); strings.Contains(logs, "old hears platform.init") {
		t.Errorf("the older API knows no initialisation:\n%s", logs)
	}
}

// TestExtensionsInReadySandboxes: a waiting interpreter is told its function when its extensions have
// registered.
func TestExtensionsInReadySandboxes(t *testing.T) {
	l := pooled(t, 2)
	for runtime, body := range map[string]string{
		l.node: "console.log('runtime starts'); exports.handler = async (e) => e",
		l.py:   "print('runtime starts')\ndef handler(e, c):\n    return e\n",
	} {
		fn := l.extended(l.function(runtime, "f", body), `{"Events":["INVOKE","SHUTDOWN"],"Env":["MINE"]}`, "monitor")
		l.prepare(fn)
		before := l.Pool()
		l.want(l.invoke(fn, `7`), "", `7`)
		if after := l.Pool(); after.Hits != before.Hits+1 || after.Bypasses != before.Bypasses {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		l.wantLog(`monitor env MINE true yes`) // each process has a pipe of its own
		l.wantLog(`.*runtime starts`, "START .*", "END .*")
		l.wantLog(`EXTENSION\tName: monitor\tState: Ready.*`, "START .*", "END .*")
		l.Retire(fn.ARN)
		l.wantLog(`monitor event 200 .*"shutdownReason":"spindown".*`, `monitor bye .*`)
		eventually(t, "its end", func() bool { living, _ := l.Count(); return living == 0 })
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
	}
}
