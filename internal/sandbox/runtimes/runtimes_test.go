package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

func catalog(t testing.TB) *Catalog {
	t.Helper()
	return New(Config{Dir: t.TempDir(), Environ: os.Environ()})
}

// onThisMachine are the runtimes that can be tested here: one of each family at least.
func onThisMachine(t *testing.T, c *Catalog) []string {
	t.Helper()
	var names []string
	families := map[bootstrap.Family]bool{}
	for _, f := range c.Find(t.Context()) {
		id, err := Lookup(f.Runtime)
		if err != nil {
			t.Fatal(err)
		}
		families[id.Family] = true
		if len(names) == 0 || names[len(names)-1] != f.Runtime {
			names = append(names, f.Runtime)
		}
	}
	if !families[bootstrap.Node] || !families[bootstrap.Python] {
		t.Fatalf("found %v: this machine needs a node and a python", names)
	}
	return names
}

func TestFindVerifiesWhatItFinds(t *testing.T) {
	c := catalog(t)
	for _, f := range c.Find(t.Context()) {
		id, err := Lookup(f.Runtime)
		if err != nil || !id.matches(f.Version) || !filepath.IsAbs(f.Path) || f.Origin == "" || (f.Library != "") != (id.Family == bootstrap.Python) {
			t.Errorf("%+v %v", f, err)
		}
		t.Logf("%-12s %-9s %-8s %s", f.Runtime, f.Version, f.Origin, f.Path)
	}
}

func TestFindPassesOverImpostors(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{"node": "#!/bin/sh\necho v22.1.0\n", "python3.12": "not even a script"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	real, err := filepath.EvalSymlinks("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, filepath.Join(dir, "python3.13")); err != nil {
		t.Fatal(err)
	}
	c := New(Config{Dir: t.TempDir(), Environ: []string{"HOME=" + dir, "PATH=" + dir}})
	for _, f := range c.Find(t.Context()) {
		if strings.HasPrefix(f.Path, dir) || f.Path == real {
			t.Errorf("%+v is no interpreter", f)
		}
	}
}

func TestMissingRuntimeSaysWhatToRun(t *testing.T) {
	for name, want := range map[string]string{
		"nodejs18.x": "bastide runtimes install nodejs18.x", "python3.14": "pyenv install 3.14",
	} {
		id, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := missing(id); !IsMissing(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := catalog(t).Resolve(t.Context(), "ruby3.3"); err == nil || !strings.Contains(err.Error(), "nodejs22.x") {
		t.Errorf("an unknown runtime: got %v", err)
	}
}

// inSandbox starts a handler on a resolved runtime, in a real sandbox, and invokes it once.
func inSandbox(t *testing.T, driver sandbox.Driver, rt *Runtime, file, body, event string) runtimeapi.Result {
	t.Helper()
	code := t.TempDir()
	if err := os.Chmod(code, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(code, file), []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"_HANDLER=app.handler"}
	for _, kv := range rt.Environ() {
		env = append(env, kv[0]+"="+kv[1])
	}
	var out strings.Builder
	inst, err := driver.Start(t.Context(), sandbox.Spec{ID: "t", Argv: rt.Argv(Launch{MemoryMB: 512}), Env: env, Root: rt.Root, Code: code,
		Channel: true, Stdout: &out, Stderr: &out, MemoryBytes: 512 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer inst.Kill()
	w := runtimeapi.NewChannel(inst.Channel())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Ready(ctx); err != nil {
		if e, ok := err.(*runtimeapi.InitError); ok {
			t.Fatalf("%v: %s", err, e.Payload)
		}
		inst.Kill()
		t.Fatalf("%v %+v\n%s", err, <-inst.Wait(), out.String())
	}
	r, err := w.Invoke(ctx, runtimeapi.Invocation{RequestID: "r", Deadline: time.Now().Add(time.Minute), Payload: []byte(event)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const nodeProgram = `
const crypto = require('crypto'), zlib = require('zlib'), { execFileSync } = require('child_process'), fs = require('fs');
exports.handler = async (event) => {
  process.env.TZ = 'Europe/Berlin';
  return [process.version, process.execPath, crypto.createHash('sha256').update('x').digest('hex').slice(0, 8),
    zlib.gunzipSync(zlib.gzipSync('z')).toString(), execFileSync('/bin/sh', ['-c', 'echo a | sed s/a/b/ | tr b c']).toString(),
    new Date(0).getTimezoneOffset(), fs.readdirSync('/').sort().join()];
};`

const pythonProgram = `
import sys, ssl, sqlite3, ctypes, hashlib, lzma, bz2, zlib, decimal, uuid, asyncio, subprocess, os, time, xml.etree.ElementTree as E
def handler(event, context):
    os.environ["TZ"] = "Europe/Berlin"; time.tzset()
    db = sqlite3.connect(":memory:")
    return [sys.version.split()[0], sys.executable, sys.prefix, hashlib.sha256(b"x").hexdigest()[:8],
        db.execute("select 1+1").fetchone()[0], ctypes.CDLL("libm.so.6").abs(-3), E.fromstring("<a>t</a>").text,
        subprocess.run("echo a | sed s/a/b/ | tr b c", shell=True, capture_output=True).stdout.decode(), time.localtime(0).tm_hour,
        ssl.create_default_context() is not None, sorted(os.listdir("/")), "".join(sys.path)]
`

func TestResolvedRuntimesRunInTheirImage(t *testing.T) {
	driver, err := sandbox.New(sandbox.Config{Init: sandboxtest.Init(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	c := catalog(t)
	for _, name := range onThisMachine(t, c) {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			rt, err := c.Resolve(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			first := time.Since(start)
			start = time.Now()
			if _, err := c.Resolve(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			t.Logf("laid in %v, found again in %v", first, time.Since(start))
			file, body, want := "app.js", nodeProgram, fmt.Sprintf(`["v%s","/var/lang/bin/node","2d711642","z","c\n",-60,"`, rt.Full)
			if rt.Family == bootstrap.Python {
				file, body = "app.py", pythonProgram
				folder := filepath.Dir(filepath.Dir(rt.Root.Binds[1].Source)) // …/var/lang
				if code, err := filepath.Glob(filepath.Join(folder, "var/runtime/__pycache__/bastide_runtime.*.pyc")); err != nil || len(code) != 1 {
					t.Errorf("the program is compiled at each start: %v %v", code, err)
				}
				want = fmt.Sprintf(`["%s", "/var/lang/bin/python%s", "/var/lang", "2d711642", 2, 3, "t", "c\n", 1, true, `, rt.Full, rt.Version)
			}
			r := inSandbox(t, driver, rt, file, body, `{}`)
			if got := string(r.Payload); r.Failed || !strings.HasPrefix(got, want) || strings.Contains(got, rt.Root.Binds[0].Source) || strings.Contains(got, "/root") {
				t.Errorf("got  %s\nwant %s…", got, want)
			}
			t.Logf("%s", r.Payload)
		})
	}
}

// TestFoldersAreTheirOwners: what is installed lies below a folder that is its owner's alone, also
// where an earlier version left it open.
func TestFoldersAreTheirOwners(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runtimes")
	if err := os.MkdirAll(filepath.Join(dir, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	place, err := New(Config{Dir: dir}).folder("sdk")
	if err != nil || place != filepath.Join(dir, "sdk") {
		t.Fatalf("%s %v", place, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}
