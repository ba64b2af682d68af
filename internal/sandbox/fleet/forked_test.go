package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// inmateKit names the program that tries to escape, where it has been built already.
const inmateKit = "BASTIDE_FLEET_INMATE"

// inmate is that program.
func inmate(t testing.TB) []byte {
	t.Helper()
	path := os.Getenv(inmateKit)
	if path == "" {
		path = sandboxtest.Build(t, "internal/sandbox/testdata/inmate")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// toBeForked tells whether a process waits in a nest: it is a child of its init, in that one's pid namespace.
func toBeForked(pid int) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	var parent string
	levels := 0
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		switch f[0] {
		case "PPid:":
			parent = f[1]
		case "NSpid:":
			levels = len(f) - 1
		}
	}
	line, _ := os.ReadFile("/proc/" + parent + "/cmdline")
	above, _ := os.ReadFile("/proc/" + parent + "/status")
	_, ids, _ := strings.Cut(string(above), "NSpid:")
	ids, _, _ = strings.Cut(ids, "\n")
	return bytes.Equal(line, nestLine) && levels == len(strings.Fields(ids))
}

// nestLine is the command line of a nest's init.
var nestLine = []byte("init\x00nest\x00")

// nested are the processes of nests below this process: those that wait to be forked, and with inits the
// nests' inits as well.
func nested(t testing.TB, inits bool) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		line, _ := os.ReadFile(file) // it may have ended
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if ours(pid) && (inits && bytes.Equal(line, nestLine) || toBeForked(pid) && bytes.HasSuffix(line, []byte("\x00"+waitWord+"\x00"))) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// bothOrigins invokes a function with one event in a process that was forked, and in one that was executed.
func bothOrigins(t *testing.T, l *lab, fn Function, event string) (forked, executed json.RawMessage) {
	t.Helper()
	l.prepare(fn)
	if len(nested(t, false)) == 0 {
		t.Fatal("nothing waits to be forked")
	}
	before := l.Pool()
	forked = l.invoke(fn, event).Payload
	if now := l.Pool(); now.Hits != before.Hits+1 {
		t.Fatalf("it was not taken from the pool: %+v", now)
	}
	fn.Revision, fn.Env = "apart", maps.Clone(fn.Env)
	if fn.Env == nil {
		fn.Env = map[string]string{}
	}
	fn.Env["PYTHONNODEBUGRANGES"] = "" // which has one executed for it
	executed = l.invoke(fn, event).Payload
	if now := l.Pool(); now.Bypasses != before.Bypasses+1 {
		t.Fatalf("it was taken from the pool: %+v", now)
	}
	return forked, executed
}

const tries = `
import subprocess
def handler(e, c):
    answers = []
    for words in e:
        words = ["/var/task/inmate" if w in ("/inmate", "/su", "/open") else w for w in words]
        answers.append(subprocess.run(["/var/task/inmate"] + words, stdout=subprocess.PIPE).stdout.decode("latin-1").strip())
    return answers
`

// TestForkedPythonsEscape no more than executed ones: each attempt of the suite gets the same answer, and
// the right one.
func TestForkedPythonsEscape(t *testing.T) {
	l := pooled(t, 1)
	fn := l.function(l.py, "escape", tries)
	fn.Timeout *= 6
	if err := os.WriteFile(filepath.Join(fn.Code, "inmate"), inmate(t), 0o755); err != nil {
		t.Fatal(err)
	}
	var words [][]string
	var all []sandboxtest.Try
	techniques := sandboxtest.Escapes()
	for _, e := range techniques {
		for _, try := range e.Tries {
			all, words = append(all, try), append(words, try.Words())
		}
	}
	event, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	forked, executed := bothOrigins(t, l, fn, string(event))
	var got [2][]string
	for n, answer := range []json.RawMessage{forked, executed} {
		if err := json.Unmarshal(answer, &got[n]); err != nil || len(got[n]) != len(all) {
			t.Fatalf("%v: %s", err, answer)
		}
	}
	held := 0
	for n, try := range all {
		if got[0][n] != got[1][n] {
			t.Errorf("%s: forked %q, executed %q", try.Do, got[0][n], got[1][n])
		}
		if try.Holds(got[0][n]) {
			held++
		}
		if try.Want == "EPERM" && got[0][n] != "EPERM" {
			t.Errorf("%s: %q", try.Do, got[0][n])
		}
	}
	if held < sandboxtest.Least || len(techniques) < sandboxtest.Least {
		t.Errorf("%d attempts of %d were met as they should be", held, len(all))
	}
}

const sees = `
import ctypes, gc, os, resource, signal, socket, stat, subprocess, sys, threading
def status(pid):
    keep = ("Cap", "NoNewPrivs", "Seccomp:", "Uid", "Gid", "Groups", "Sig", "Shd", "Umask", "Threads", "Name")
    return [l.split() for l in open("/proc/%s/status" % pid) if l.startswith(keep) and not l.startswith("SigQ")]
def tried(f, *a):
    try:
        return str(f(*a))
    except OSError as e:
        return e.strerror
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *a):
    return [getattr(libc, name)(*a), ctypes.get_errno()]
def kinds():
    out = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            out[fd] = stat.filemode(os.fstat(int(fd)).st_mode)[0]
        except OSError:
            pass  # the listing's own
    return out
def handler(e, c):
    return {
        "status": status("self"), "fds": kinds(), "pids": [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()],
        "argv": open("/proc/self/cmdline").read().split("\0")[:2], "environ": len(open("/proc/self/environ").read()) > 0, "exe": os.readlink("/proc/self/exe"), "variables": sorted(set(os.environ) - {"PYTHONNODEBUGRANGES"}),
        "again": tried(lambda: subprocess.run(["/proc/self/exe", "-S", "-c", "print(7)"], stdout=subprocess.PIPE).stdout),
        "cgroup": sorted(l.split(":", 1)[1] for l in open("/proc/self/cgroup")), "mounts": [l.split()[3:6] for l in open("/proc/self/mountinfo")],
        "maps": len(open("/proc/self/maps").read()) > 0, "mem": open("/proc/self/mem", "rb").seekable(), "io": tried(lambda: len(open("/proc/self/limits").read()) > 0),
        "limits": [resource.getrlimit(r) for r in range(16)], "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "cwd": os.getcwd(), "root": sorted(os.listdir("/")), "host": socket.gethostname(), "nice": os.nice(0), "threads": threading.active_count(),
        "sigchld": str(signal.getsignal(signal.SIGCHLD)), "child": subprocess.run([sys.executable, "-c", "import os; print(os.getppid() > 1)"], stdout=subprocess.PIPE).stdout.decode(),
        "exit": subprocess.run(["/bin/sh", "-c", "exit 7"]).returncode, "write": tried(open, "/x", "w"), "tmp": sorted(os.listdir("/tmp")),
        "all": tried(os.kill, -1, 0), "calls": [call("setns", 0, 0), call("unshare", 0x02000000), call("mount", b"x", b"/tmp", b"tmpfs", 0, 0), call("prctl", 22, 2, 0, 0, 0), call("prctl", 23, 21, 0, 0, 0)],
        "nested": open("/proc/self/uid_map").read().split()[::2], "oom": open("/proc/self/oom_score_adj").read(),
    }
`

// mounts are all but the code's, in order.
func mounts(list any) (out []string) {
	all, _ := list.([]any)
	for _, m := range all {
		if text := fmt.Sprint(m); !strings.Contains(text, " /var/task ") {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}

// TestForkedPythonsAreAsTight: what a forked process is and may do does not differ from an executed one, down
// to its capabilities, filters, descriptors, limits, signals, mounts and cgroups.
func TestForkedPythonsAreAsTight(t *testing.T) {
	l := pooled(t, 1)
	a, b := bothOrigins(t, l, l.function(l.py, "sees", sees), `1`)
	var forked, executed map[string]any
	if err := json.Unmarshal(a, &forked); err != nil {
		t.Fatalf("%v: %s", err, a)
	}
	if err := json.Unmarshal(b, &executed); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	for _, key := range slices.Sorted(maps.Keys(executed)) {
		got, want := fmt.Sprint(forked[key]), fmt.Sprint(executed[key])
		if key == "mounts" { // code that came late lies over a stand-in
			got, want = fmt.Sprint(mounts(forked[key])), fmt.Sprint(mounts(executed[key]))
		}
		if got != want {
			t.Errorf("%s\nforked   %s\nexecuted %s", key, got, want)
		}
	}
	for _, want := range []string{"[CapBnd: 0000000000000000]", "[CapEff: 0000000000000000]", "[NoNewPrivs: 1]", "[Seccomp: 2]", "[Uid: 993 993 993 993]"} {
		if !strings.Contains(fmt.Sprint(forked["status"]), want) {
			t.Errorf("no %s in %v", want, forked["status"])
		}
	}
	if fmt.Sprint(forked["pids"]) != "[]" {
		t.Errorf("it sees %v", forked["pids"])
	}
}

const holds = `
import os, subprocess
def handler(e, c):
    n = 0
    try:
        while e["take"]:
            os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
            n += 1
    except OSError:
        return n
    return sum(subprocess.run(["/bin/true"]).returncode == 0 for _ in range(5))
`

// TestForksHaveLimitsOfTheirOwn: one that has taken every process it may leaves others of its nest theirs.
func TestForksHaveLimitsOfTheirOwn(t *testing.T) {
	l := pooled(t, 2)
	takes, calm := l.function(l.py, "takes", holds), l.function(l.py, "calm", holds)
	takes.MemoryMB, takes.Timeout = 4096, time.Minute // where memory is looked after, what processes share counts for each
	l.prepare(takes, calm)
	out := l.invoke(takes, `{"take":true}`)
	if n, err := strconv.Atoi(string(out.Payload)); err != nil || n < 512 || n > 1100 {
		t.Errorf("it took %s processes", out.Payload)
	}
	l.want(l.invoke(calm, `{"take":false}`), "", "5")
	if s := l.Pool(); s.Hits < 2 {
		t.Errorf("they were not forked: %+v", s)
	}
}

// TestNestsAreConfined: what waits to be forked has no capability, may start nothing with one, and shares no
// namespace and no user with what is forked, nor with another account's.
func TestNestsAreConfined(t *testing.T) {
	l := pooled(t, 2)
	fn := l.function(l.py, "p", "def handler(e, c): return 1")
	other := fn
	other.Account = "222222222222"
	l.prepare(fn, other)
	pids, ready := nested(t, false), waiting(t)
	if len(pids) != 2 || len(ready) != 2 {
		t.Fatalf("%v wait to be forked, %v were", pids, ready)
	}
	all := append(slices.Clone(pids), ready...)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1"} {
		if !bytes.Contains(status, []byte(want)) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	for _, kind := range []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup"} {
		seen := map[string]bool{}
		for _, pid := range append([]int{os.Getpid()}, all...) {
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
			if err != nil {
				t.Fatal(err)
			}
			seen[link] = true
		}
		if len(seen) != 5 {
			t.Errorf("a namespace is shared: %s %v", kind, seen)
		}
	}
	if os.Geteuid() != 0 {
		return // there is but one user
	}
	users := map[string]bool{}
	for _, pid := range all {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "Uid:") {
				users[line] = true
			}
		}
	}
	if len(users) != 4 {
		t.Errorf("what waits and what was forked, of two accounts, share a user: %v", users)
	}
}

// TestNestsEnd with what was forked in them, and are made anew when they have died.
func TestNestsEnd(t *testing.T) {
	l := pooled(t, 2)
	fn := l.function(l.py, "p", "import os\ndef handler(e, c): return os.getpid() > 1")
	l.prepare(fn)
	first := nested(t, false)
	if len(first) != 1 {
		t.Fatalf("%v wait to be forked", first)
	}
	if err := syscall.Kill(first[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is missed", func() bool { return len(nested(t, false)) == 0 })
	l.want(l.invoke(fn, `1`), "", "true") // what was forked lives on
	if s := l.Pool(); s.Hits != 1 || s.Died != 0 {
		t.Errorf("%+v", s)
	}
	refilled := func() {
		t.Helper()
		eventually(t, "the pool is full", func() bool { s := l.Pool(); return s.Ready == s.Size })
	}
	refilled()
	second := nested(t, false)
	if len(second) != 1 || second[0] == first[0] {
		t.Fatalf("%v wait to be forked", second)
	}
	before := l.Pool()
	for _, pid := range nested(t, true) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // the death of one's init is one's own
	}
	eventually(t, "those that were forked are missed", func() bool { return l.Pool().Died > before.Died })
	refilled() // what was just being forked failed, which the pool has seen
	l.Retire(fn.ARN)
	l.want(l.invoke(fn, `1`), "", "true")
}

// TestNestsLeaveNothing: the last of what was forked takes its nest with it.
func TestNestsLeaveNothing(t *testing.T) {
	l := newLab(t)
	deps := l.deps
	deps.Pool, deps.Dir = 3, t.TempDir()
	f, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	in := &lab{Fleet: f, t: t, clock: l.clock, events: l.events}
	fn := l.function(l.py, "p", "def handler(e, c): return 1")
	in.prepare(fn)
	in.want(in.invoke(fn, `1`), "", "1")
	if len(nested(t, true)) != 2 {
		t.Fatal("no nest")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "nothing is left of nests", func() bool { return len(nested(t, true)) == 0 })
}

const draws = `
import random, secrets, uuid, tempfile, ssl, ctypes, os, time, threading
def handler(e, c):
    return [[random.random(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(), ssl.RAND_bytes(16).hex(), next(tempfile._get_candidate_names()), os.urandom(8).hex()],
            [hash("bastide"), ctypes.addressof(ctypes.create_string_buffer(1 << 20))]]
`

// TestForksReseed: forks of one process draw different random numbers, names and secrets; what they share is
// the hash seed and the addresses, which no other account has.
func TestForksReseed(t *testing.T) {
	l := pooled(t, 2)
	type draw struct{ fresh, shared []any }
	draw1 := func(name, account string) (d draw) {
		fn := l.function(l.py, name, draws)
		fn.Account = account
		l.prepare(fn)
		var got [2][]any
		if err := json.Unmarshal(l.invoke(fn, `1`).Payload, &got); err != nil {
			t.Fatal(err)
		}
		return draw{got[0], got[1]}
	}
	one, two, other := draw1("a", "123456789012"), draw1("b", "123456789012"), draw1("c", "210987654321")
	for n := range one.fresh {
		if one.fresh[n] == nil || one.fresh[n] == two.fresh[n] {
			t.Errorf("draw %d: %v and %v", n, one.fresh[n], two.fresh[n])
		}
	}
	for n := range one.shared {
		if one.shared[n] != two.shared[n] {
			t.Errorf("they are not of one process: %v and %v", one.shared, two.shared)
		}
		if one.shared[n] == other.shared[n] {
			t.Errorf("accounts share %v", other.shared[n])
		}
	}
	if s := l.Pool(); s.Hits != 3 {
		t.Errorf("%+v", s)
	}
}
