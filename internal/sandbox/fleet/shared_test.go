package fleet

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// keeper hides a secret wherever it can, or looks for one wherever it can. What it looks for is told to it
// in two halves, so that it does not find its own question.
const keeper = `
import ctypes, glob, mmap, os, re, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
KEY = 0x5ec7e7
kept = []

def writable():
    for dir, dirs, files in os.walk("/"):
        if dir.startswith("/proc"):
            dirs[:] = []
        elif os.access(dir, os.W_OK):
            yield dir

def hide(secret):
    done = []
    kept.append(bytearray(secret * 100000))
    m = mmap.mmap(-1, 1 << 20); m.write(secret * 1000); kept.append(m); done.append("memory")
    os.environ["HIDDEN"] = secret.decode(); done.append("environment")
    for dir in list(writable()) + ["/dev/shm", "/var/run", "/run", os.environ.get("HOME", "/tmp"), os.getcwd()]:
        try:
            with open(dir + "/" + secret.decode(), "wb") as f: f.write(secret * 10)
            done.append("files")
        except OSError:
            pass
    for f in glob.glob("/tmp/**", recursive=True) + sys.path:
        try:
            with open(f, "ab") as out: out.write(secret)
        except OSError:
            pass
    id = libc.shmget(KEY, 4096, 0o1666)
    if id >= 0:
        ctypes.memmove(libc.shmat(id, None, 0), secret, len(secret)); done.append("ipc")
    s = socket.socket(socket.AF_UNIX); s.bind("\0" + secret.decode()); s.listen(); kept.append(s); done.append("sockets")
    kept.append(subprocess.Popen(["/proc/self/exe", "-c", "import time; time.sleep(1000)", secret.decode()])); done.append("processes")
    fd = os.memfd_create("kept"); os.write(fd, secret * 10); kept.append(fd)
    return sorted(set(done))

def holds(b, a, z):
    at = b.find(a)
    while at >= 0:
        if b[at+len(a):at+len(a)+len(z)] == z: return True
        at = b.find(a, at + 1)
    return False

def contents(path, limit=1 << 22):
    try:
        with open(path, "rb") as f: return f.read(limit)
    except OSError:
        return b""

def memory(pid, a, z):
    for line in contents("/proc/%s/maps" % pid).decode().splitlines():
        m = re.match("([0-9a-f]+)-([0-9a-f]+) r", line)
        if not m or line.endswith("[vvar]") or line.endswith("[vsyscall]") or "/lang/" in line: continue
        begin, end = int(m[1], 16), int(m[2], 16)
        if end - begin > 1 << 28: continue
        try:
            with open("/proc/%s/mem" % pid, "rb", 0) as f:
                f.seek(begin)
                if holds(f.read(end - begin), a, z): return True
        except (OSError, OverflowError, ValueError):
            pass
    return False

def seek(a, z):
    found = []
    for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
        if holds(contents("/proc/%s/environ" % pid), a, z): found.append("environment")
        if holds(contents("/proc/%s/cmdline" % pid), a, z): found.append("processes")
        if memory(pid, a, z): found.append("memory")
        for fd in glob.glob("/proc/%s/fd/*" % pid):
            if holds(os.readlink(fd).encode() if os.path.islink(fd) else b"", a, z): found.append("descriptors")
    fresh = mmap.mmap(-1, 32 << 20)
    if fresh.read().count(0) != 32 << 20: found.append("fresh memory")
    for dir, dirs, files in os.walk("/"):
        if dir.startswith("/proc") or dir.startswith("/var/lang"):
            dirs[:] = []
            continue
        for f in files:
            if holds(f.encode(), a, z) or dir.startswith(("/tmp", "/dev", "/run", "/home", "/var/task", "/opt")) and os.path.isfile(dir + "/" + f) and holds(contents(dir + "/" + f), a, z):
                found.append("files")
    if holds(contents("/proc/net/unix"), a, z): found.append("sockets")
    id = libc.shmget(KEY, 0, 0)
    if id >= 0 and holds(ctypes.string_at(libc.shmat(id, None, 0), 4096), a, z): found.append("ipc")
    return sorted(set(found))

def handler(event, context):
    if "hide" in event: return hide(event["hide"].encode())
    return seek(event["a"].encode(), event["z"].encode())
`

// TestNeverShared: what one instance knows is in nothing of another's: not of the next of the same
// function, of another function, version, tenant or account, while the first lives and after its end. In
// sandboxes of their own and, with the stories of TestAllPooled, in ready ones.
func TestNeverShared(t *testing.T) {
	l := newLab(t)
	raw := make([]byte, 16)
	rand.Read(raw)
	secret := "S" + hex.EncodeToString(raw)
	half := len(secret) / 2
	question, err := json.Marshal(map[string]string{"a": secret[:half], "z": secret[half:]})
	if err != nil {
		t.Fatal(err)
	}
	knows := l.function(l.py, "knows", keeper)
	knows.PerTenant, knows.MemoryMB = true, 512
	knows.Env = map[string]string{"GIVEN": secret}
	ask := func(who string, fn Function, tenant, event string) []string {
		t.Helper()
		ev := event1(event)
		ev.TenantID = tenant
		out, err := l.Invoke(t.Context(), fn, ev)
		var found []string
		if err != nil || out.FunctionError != "" || json.Unmarshal(out.Payload, &found) != nil {
			t.Fatalf("%s: %v %s", who, err, out.Payload)
		}
		return found
	}
	everything := []string{"environment", "files", "ipc", "memory", "processes", "sockets"}
	if hidden := ask("hide", knows, "a", fmt.Sprintf(`{"hide":%q}`, secret)); !slices.Equal(hidden, everything) {
		t.Fatalf("hidden in %v only", hidden)
	}
	for _, place := range everything { // else the search proves nothing
		if found := ask("itself", knows, "a", string(question)); !slices.Contains(found, place) {
			t.Errorf("the one that hid it finds it in %v, not in %s", found, place)
		}
	}
	without := knows
	without.Env = nil
	tenant := without
	tenant.Revision = "2"
	other := l.function(l.py, "other", keeper)
	other.MemoryMB = 512
	version := without
	version.Version, version.ARN, version.Revision = "7", knows.ARN+":7", "7"
	account := other
	account.Account = "999999999999"
	account.ARN = strings.Replace(account.ARN, "123456789012", "999999999999", 1)
	strangers := func(when string) {
		t.Helper()
		for who, fn := range map[string]Function{"another function": other, "another version": version, "another account": account} {
			which := ""
			if fn.PerTenant {
				which = "b"
			}
			if found := ask(who, fn, which, string(question)); len(found) > 0 {
				t.Errorf("%s, %s finds it in %v", when, who, found)
			}
			l.Retire(fn.ARN)
		}
	}
	strangers("while it lives")
	// another tenant of the very same function has its configuration, and so GIVEN, but nothing else
	if found := ask("another tenant", knows, "b", string(question)); slices.ContainsFunc(found, func(p string) bool { return p != "environment" && p != "memory" }) {
		t.Errorf("another tenant finds it in %v", found)
	}
	l.Retire(knows.ARN)
	l.await("all have ended", func() bool { living, _ := l.Count(); return living == 0 })
	strangers("after its end")
	for _, who := range []string{"a", "b"} {
		if found := ask("the next instance", tenant, who, string(question)); len(found) > 0 {
			t.Errorf("the next instance, of tenant %s, finds it in %v", who, found)
		}
	}
}
