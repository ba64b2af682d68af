package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// allPooled makes every fleet of the tests have a ready sandbox for each invocation.
const allPooled = "BASTIDE_FLEET_POOLED"

// TestAllPooled runs the stories of this package again in ready sandboxes: nothing may differ.
func TestAllPooled(t *testing.T) {
	t.Parallel()
	if os.Getenv(allPooled) != "" || os.Geteuid() != 0 {
		return // this is the second run; an ordinary user has the other stories of this file
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.count=1", "-test.timeout=600s", "-test.v",
		"-test.skip=^(TestAllPooled|TestAsOrdinaryUser|TestReady.*|TestFork.*|TestNests.*|TestStart.*|TestMemoryOfNode.*|TestNothingIsLeft|TestMachineBound.*)$")
	cmd.Env = append(os.Environ(), allPooled+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Fatalf("in ready sandboxes: %v\n%s", err, out)
	}
}

// pooled is a fleet whose pool is full for the functions before anybody calls.
func pooled(t testing.TB, size int) *lab {
	return newLab(t, func(d *Deps) { d.Pool = size })
}

// prepare waits until the pool has as many as it may for the functions.
func (l *lab) prepare(fns ...Function) {
	l.t.Helper()
	l.Expect(l.t.Context(), fns)
	l.full(fns...)
}

// full waits until the pool holds all that it may, and one for each of the functions.
func (l *lab) full(fns ...Function) {
	l.t.Helper()
	defer func() {
		if l.t.Failed() {
			l.t.Logf("%+v", l.Pool())
		}
	}()
	eventually(l.t, "the pool is full", func() bool {
		for _, fn := range fns {
			if !l.has(fn) {
				return false
			}
		}
		s := l.Pool()
		return s.Ready == s.Size
	})
}

// has tells whether a sandbox is ready for a function.
func (l *lab) has(fn Function) bool {
	rt, err := l.deps.Runtimes.Resolve(l.t.Context(), fn.Runtime)
	if err != nil {
		l.t.Fatal(err)
	}
	kind, err := l.kind(rt, fn.Account, fn.MemoryMB)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, k := range l.Pool().Kinds {
		if k.Failure != "" {
			l.t.Fatal(k.Failure)
		}
		if k.Name == kind.Name {
			return k.Ready > 0
		}
	}
	return false
}

const shellLoop = `#!/bin/sh
while true; do
  curl -sS -D /tmp/headers -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(tr -d '\r' < /tmp/headers | grep -i '^lambda-runtime-aws-request-id:' | cut -d' ' -f2)
  curl -sS -o /dev/null -X POST -d "[\"$_HANDLER $SECRET\"]" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`

// TestReadySandboxesServe: a function that starts in a ready sandbox answers as one that does not, and
// has its own code, variables, layers, log, credentials and nothing else.
func TestReadySandboxesServe(t *testing.T) {
	l := pooled(t, 3)
	for name, fn := range map[string]Function{
		"node": l.function(l.node, "node", `
exports.handler = async (e) => [process.env.SECRET, process.env._HANDLER, process.cwd(), require('fs').readdirSync('/var/task').join(), require('fs').readdirSync('/opt').join()]`),
		"python": l.function(l.py, "python", `
import os
def handler(e, c):
    return [os.environ["SECRET"], os.environ["_HANDLER"], os.getcwd(), ",".join(os.listdir("/var/task")), ",".join(os.listdir("/opt"))]
`),
		"custom": l.function("provided.al2023", "custom", shellLoop),
	} {
		t.Run(name, func(t *testing.T) {
			fn.Env = map[string]string{"SECRET": "of " + name}
			l.prepare(fn)
			before := l.Pool()
			out := l.invoke(fn, `1`)
			want := fmt.Sprintf(`["of %s","app.handler","/var/task","app.%s",""]`, name, map[string]string{"node": "js", "python": "py"}[name])
			if name == "custom" {
				want = `["app.handler of custom"]`
			}
			if got := strings.ReplaceAll(string(out.Payload), `", "`, `","`); got != want || !out.Cold {
				t.Errorf("got %s, want %s", got, want)
			}
			if after := l.Pool(); after.Hits != before.Hits+1 || after.Misses != before.Misses || after.Bypasses != before.Bypasses {
				t.Errorf("before %+v\nafter %+v", before, after)
			}
			l.Retire(fn.ARN)
		})
	}
}

// TestStartSettingsBypassThePool: what an interpreter reads when it starts is there when it starts.
func TestStartSettingsBypassThePool(t *testing.T) {
	l := pooled(t, 2)
	node := l.function(l.node, "n", `exports.handler = async (e) => [process.execArgv.length, process.env[e], new Date(0).getTimezoneOffset(), typeof gc]`)
	python := l.function(l.py, "p", `
import os, sys, time
def handler(e, c):
    return [os.environ.get(e), sys.flags.hash_randomization, time.timezone]
`)
	l.prepare(node, python)
	for n, c := range []struct {
		fn         Function
		name, is   string
		want       string
		usesPooled bool
	}{
		{fn: node, name: "NODE_OPTIONS", is: "--expose-gc", want: `"function"]`},
		{fn: node, name: "TZ", is: "Asia/Tokyo", want: `-540,"undefined"]`},
		{fn: node, name: "LD_PRELOAD", is: "", want: `"undefined"]`},
		{fn: node, name: "NODE_ENV", is: "production", want: `0,"undefined"]`, usesPooled: true},
		{fn: node, name: "ANY", is: "thing", want: `0,"undefined"]`, usesPooled: true},
		{fn: python, name: "PYTHONHASHSEED", is: "0", want: `["0", 0, 0]`},
		{fn: python, name: "PYTHONPATH", is: "/var/task/x", want: `["/var/task/x", 1, 0]`},
		{fn: python, name: "TZ", is: "Asia/Tokyo", want: `["Asia/Tokyo", 1, -32400]`},
		{fn: python, name: "LC_ALL", is: "C", want: `["C", 1, 0]`},
		{fn: python, name: "ANY", is: "thing", want: `["thing", 1, 0]`, usesPooled: true},
	} {
		l.full(node, python)
		before := l.Pool()
		fn := c.fn
		fn.Revision, fn.Env = fmt.Sprint(n), map[string]string{c.name: c.is}
		out := l.invoke(fn, `"`+c.name+`"`)
		if !strings.HasSuffix(string(out.Payload), c.want) {
			t.Errorf("%s=%s: %s, want %s", c.name, c.is, out.Payload, c.want)
		}
		s := l.Pool()
		if hits, bypasses := s.Hits-before.Hits, s.Bypasses-before.Bypasses; (hits == 1) != c.usesPooled || (bypasses == 1) == c.usesPooled {
			t.Errorf("%s=%s: %d from the pool, %d past it", c.name, c.is, hits, bypasses)
		}
	}
}

// TestWrapperScripts: Lambda's runtimes are started by the function's wrapper, which gets the interpreter's
// command line; custom runtimes are not.
func TestWrapperScripts(t *testing.T) {
	l := pooled(t, 2)
	const wrapper = "#!/bin/bash\necho \"wrapped $(basename $1) $# as $0\"\nexport WRAPPED=yes\nexec \"$@\"\n"
	node := l.function(l.node, "n", "exports.handler = async () => [process.env.WRAPPED, process.argv.length]")
	python := l.function(l.py, "p", "import os, sys\ndef handler(e, c):\n    return [os.environ.get('WRAPPED'), len(sys.argv)]\n")
	custom := l.function("provided.al2023", "c", shellLoop)
	for _, fn := range []*Function{&node, &python, &custom} {
		if err := errors.Join(os.WriteFile(filepath.Join(fn.Code, "wrap"), []byte(wrapper), 0o755),
			os.WriteFile(filepath.Join(fn.Code, "bare"), []byte(strings.SplitN(wrapper, "\n", 2)[1]), 0o755),
			os.WriteFile(filepath.Join(fn.Code, "text"), []byte(wrapper), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for n, c := range []struct {
		fn                  Function
		wrapper, want, says string
	}{
		{node, "/var/task/wrap", `["yes",2]`, "wrapped node"},
		{node, "./bare", `["yes",2]`, "wrapped node"},
		{python, "/var/task/wrap", `["yes", 1]`, "wrapped python"},
		{python, "/opt/none", "exit status 127", "/opt/none: does not exist"},
		{node, "/var/task/text", "exit status 126", "/var/task/text: is not an executable"},
		{custom, "/var/task/wrap", `["app.handler "]`, ""},
	} {
		fn := c.fn
		fn.Revision, fn.Env = fmt.Sprint(n), map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": c.wrapper}
		l.mu.Lock()
		clear(l.events)
		l.mu.Unlock()
		out := l.invoke(fn, `1`)
		logs := strings.Join(l.logs(), "")
		if !strings.Contains(string(out.Payload), c.want) || !strings.Contains(logs, c.says) || c.says == "" && strings.Contains(logs, "wrapped") {
			t.Errorf("%s %s: %s\n%s", fn.Name, c.wrapper, out.Payload, logs)
		}
	}
}

// TestReadyOnesAreUsedOnce: what one function leaves, the next does not find, and no two at once get the
// same sandbox.
func TestReadyOnesAreUsedOnce(t *testing.T) {
	l := pooled(t, 4)
	const body = `
import os
MARK = "/tmp/" + os.environ["NAME"]
seen = [f for f in os.listdir("/tmp")] + [k for k in os.environ if k.startswith("SECRET_")]
open(MARK, "w").write("secret")
def handler(e, c):
    return seen
`
	var fns []Function
	for n := range 4 {
		fn := l.function(l.py, fmt.Sprint("f", n), body)
		fn.Env = map[string]string{"NAME": fn.Name, "SECRET_" + fn.Name: "x"}
		fns = append(fns, fn)
	}
	l.prepare(fns...)
	for range 2 {
		var wg sync.WaitGroup
		for _, fn := range fns {
			wg.Go(func() {
				out, err := l.Invoke(t.Context(), fn, event1(`1`))
				if err != nil || string(out.Payload) != `["SECRET_`+fn.Name+`"]` {
					t.Errorf("%s: %s %v", fn.Name, out.Payload, err)
				}
			})
		}
		wg.Wait()
		for _, fn := range fns {
			l.Retire(fn.ARN)
		}
		l.full()
	}
	if s := l.Pool(); s.Hits != 8 || s.Misses != 0 {
		t.Errorf("%+v", s)
	}
}

// TestReadyOnesLeaveNothing: a fleet that is closed takes its ready sandboxes with it.
func TestReadyOnesLeaveNothing(t *testing.T) {
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	l := newLab(t)
	fns := []Function{l.function(l.py, "p", "def handler(e, c): return 1"), l.function("provided.al2023", "c", shellLoop)}
	round := func() {
		deps := l.deps
		deps.Pool, deps.Dir = 3, t.TempDir()
		f, err := New(deps)
		if err != nil {
			t.Fatal(err)
		}
		in := &lab{Fleet: f, t: t, clock: l.clock, events: l.events}
		in.prepare(fns...)
		in.want(in.invoke(fns[0], `1`), "", "1")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	round()
	files, goroutines := count(), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	eventually(t, "descriptors are given back", func() bool { return count() <= files })
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// TestReadyOnesThatDie are replaced, and never handed out.
func TestReadyOnesThatDie(t *testing.T) {
	l := pooled(t, 2)
	fn := l.function(l.py, "p", "def handler(e, c): return 1")
	l.prepare(fn)
	pids := waiting(t)
	if len(pids) != 2 {
		t.Fatalf("%d interpreters wait", len(pids))
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both are missed", func() bool { return l.Pool().Died == 2 })
	l.full(fn)
	l.want(l.invoke(fn, `1`), "", "1")
	if s := l.Pool(); s.Hits != 1 || s.Misses != 0 {
		t.Errorf("%+v", s)
	}
}

// TestReadyOnesCostNoTime: what waits does not run.
func TestReadyOnesCostNoTime(t *testing.T) {
	l := pooled(t, 2)
	l.prepare(l.function(l.node, "n", "exports.handler = async () => 1"), l.function(l.py, "p", "def handler(e, c): return 1"))
	for _, pid := range waiting(t) {
		var was string
		for same := 0; same < 20; { // soon it stands still, and stays so
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
			if err != nil {
				t.Fatal(err)
			}
			if string(b) == was {
				same++
			} else {
				was, same = string(b), 0
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// waiting are the interpreters that wait below this process.
func waiting(t testing.TB) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		line, _ := os.ReadFile(file) // it may have ended
		if !bytes.HasSuffix(line, []byte("\x00"+waitWord+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if ours(pid) && !toBeForked(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ours tells whether a process descends from this one.
func ours(pid int) bool {
	for pid > 1 {
		if pid == os.Getpid() {
			return true
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			return false
		}
	}
	return false
}

// TestMemoryOfNodeDecides: node's heap is bounded when it starts, so that sizes of memory do not mix.
func TestMemoryOfNodeDecides(t *testing.T) {
	l := pooled(t, 4)
	var got []int
	for _, mb := range []int{128, 1024} {
		fn := l.function(l.node, fmt.Sprint("m", mb), `exports.handler = async () => Math.round(require('v8').getHeapStatistics().heap_size_limit / 1048576)`)
		fn.MemoryMB = mb
		l.prepare(fn)
		var limit int
		if err := json.Unmarshal(l.invoke(fn, `1`).Payload, &limit); err != nil {
			t.Fatal(err)
		}
		got = append(got, limit)
	}
	if got[0] > 128+64 || got[1] < 800 || l.Pool().Hits != 2 {
		t.Errorf("heaps of %v MB, %+v", got, l.Pool())
	}
}
