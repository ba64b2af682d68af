package build

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// registry is a registry on this machine: what it holds by path, and what it was asked.
type registry struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string][]byte
	asked []string // "METHOD path authorization"
}

func newRegistry(t *testing.T) *registry {
	r := &registry{pages: map[string][]byte{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, q.Method+" "+q.URL.Path+" "+q.Header.Get("Authorization"))
	page, ok := r.pages[q.URL.Path]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"not found"}`)
	case strings.HasPrefix(q.URL.Path, "/simple/"):
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(page)
	case page[0] == '{':
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(page)
	default:
		_, _ = w.Write(page)
	}
}

// snoop is what a hostile package does when it is installed: it looks for credentials, for ways out
// and for files of the machine, and leaves what it found in a file.
const snoop = `
const http = require('http'), fs = require('fs'), net = require('net');
const found = {token: JSON.stringify(process.env).includes('sesame') || fs.readFileSync('/etc/npmrc', 'utf8').includes('sesame'),
  host: fs.existsSync('/root') || fs.existsSync('/home')};
const ask = (method, url) => new Promise((done) => {
  const r = http.request({host: '127.0.0.1', port: 3128, method, path: url, headers: {Host: method === 'CONNECT' ? url : new URL(url).host}}, (a) => { a.resume(); done(a.statusCode); });
  r.on('connect', (a) => done(a.statusCode)); r.on('error', (e) => done(String(e))); r.end();
});
const dial = (port, host) => new Promise((done) => {
  const s = net.connect({port, host, timeout: 3000}, () => done('open')); s.on('error', (e) => done(e.code)); s.on('timeout', () => done('timeout'));
});
(async () => {
  found.publish = await ask('PUT', process.env.REGISTRY_HINT + 'snoop');
  found.elsewhere = await ask('GET', 'http://elsewhere.example/');
  found.tunnel = await ask('CONNECT', 'elsewhere.example:443');
  found.direct = await dial(80, '192.0.2.1');
  fs.writeFileSync('found.json', JSON.stringify(found));
  process.exit(0);
})();
`

// npmPackage adds a package to an npm registry.
func (r *registry) npmPackage(t *testing.T, name string, files map[string]string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for file, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: "package/" + file, Mode: 0o644, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	at := "/" + name + "/-/" + name + "-1.0.0.tgz"
	r.pages[at] = b.Bytes()
	var manifest map[string]any
	if err := json.Unmarshal([]byte(files["package.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	manifest["dist"] = map[string]string{"tarball": r.URL + at, "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
	page, err := json.Marshal(map[string]any{"name": name, "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": manifest}})
	if err != nil {
		t.Fatal(err)
	}
	r.pages["/"+name] = page
}

func newBuilder(t *testing.T, environ ...string) *Builder {
	t.Helper()
	driver, err := sandbox.New(sandbox.Config{Init: sandboxtest.Init(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	environ = append([]string{"PATH=" + os.Getenv("PATH"), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"), "NVM_DIR=" + os.Getenv("NVM_DIR")}, environ...)
	catalog := runtimes.New(runtimes.Config{Dir: t.TempDir(), Environ: append(environ, "HOME="+os.Getenv("HOME"))})
	b, err := New(Options{Catalog: catalog, Driver: driver, Resolver: net.DefaultResolver, Clock: clock.System{}, Environ: environ, Say: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// runtime is one of this machine, by how its name begins.
func (b *Builder) runtime(t *testing.T, family string) string {
	t.Helper()
	for _, f := range b.Catalog.Find(t.Context()) {
		if strings.HasPrefix(f.Runtime, family) {
			return f.Runtime
		}
	}
	t.Fatalf("this machine has no %s", family)
	return ""
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestNPM installs a package whose script is hostile, from a registry that wants a token.
func TestNPM(t *testing.T) {
	r := newRegistry(t)
	r.npmPackage(t, "snoop", map[string]string{"package.json": `{"name":"snoop","version":"1.0.0","scripts":{"postinstall":"REGISTRY_HINT=` + r.URL + `/ node snoop.js"}}`, "snoop.js": snoop})
	r.npmPackage(t, "plain", map[string]string{"package.json": `{"name":"plain","version":"1.0.0"}`, "index.js": "module.exports = 1"})
	host := strings.TrimPrefix(r.URL, "http://")
	home := folder(t, map[string]string{".npmrc": "registry=" + r.URL + "/\n//" + host + "/:_authToken=sesame\n"})
	b := newBuilder(t, "HOME="+home)
	runtime := b.runtime(t, "nodejs")

	source := folder(t, map[string]string{"package.json": `{"name":"f","dependencies":{"snoop":"^1.0.0"}}`, "index.js": "exports.handler = async () => 1"})
	out, err := b.Folder(t.Context(), source, runtime)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "index.js")); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "node_modules", "snoop", "found.json"))
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Token, Host                        bool
		Publish, Elsewhere, Tunnel, Direct any
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		t.Fatal(err)
	}
	if found.Token || found.Host || found.Publish != 405.0 || found.Elsewhere != 403.0 || found.Tunnel != 403.0 || found.Direct == "open" || found.Direct == "timeout" {
		t.Errorf("a package's script found: %s", raw)
	}
	for _, q := range r.asked {
		if !strings.HasPrefix(q, "GET ") || !strings.HasSuffix(q, " Bearer sesame") {
			t.Errorf("the registry was asked: %s", q)
		}
	}
	asked := len(r.asked)
	if again, err := b.Folder(t.Context(), source, runtime); err != nil || again != out || len(r.asked) != asked {
		t.Errorf("a folder that has not changed: %s, %v, asked %d more times", again, err, len(r.asked)-asked)
	}
	locked := `{"name":"f","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"f","version":"1.0.0","dependencies":{"plain":"^1.0.0"}},"node_modules/plain":` +
		`{"version":"1.0.0","resolved":"` + r.URL + `/plain/-/plain-1.0.0.tgz"}}}`
	out, err = b.Folder(t.Context(), folder(t, map[string]string{"package.json": `{"name":"f","version":"1.0.0","dependencies":{"plain":"^1.0.0"}}`, "package-lock.json": locked}), runtime)
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(filepath.Join(out, "package-lock.json")); err != nil || string(have) != locked {
		t.Errorf("the lock file has become %s, %v", have, err)
	}
	if _, err := os.Stat(filepath.Join(out, "node_modules", "plain", "index.js")); err != nil {
		t.Error(err)
	}
	missing := folder(t, map[string]string{"package.json": `{"name":"f","dependencies":{"nobody-has-this":"^1.0.0"}}`})
	if _, err := b.Folder(t.Context(), missing, runtime); err == nil || !strings.Contains(err.Error(), "nobody-has-this") {
		t.Errorf("a package that does not exist: %v", err)
	}
	foreign := folder(t, map[string]string{"package.json": `{"name":"f","dependencies":{"git":"https://code.example/git.tgz"}}`})
	if _, err := b.Folder(t.Context(), foreign, runtime); err == nil || !strings.Contains(err.Error(), "--build-host code.example") {
		t.Errorf("a package from elsewhere: %v", err)
	}
	project := folder(t, map[string]string{"package.json": `{"name":"f"}`, ".npmrc": "@x:registry=https://elsewhere.example\n"})
	if _, err := b.Folder(t.Context(), project, runtime); err == nil || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("a project that names a registry: %v", err)
	}
}

// TestPip installs a wheel from an index that wants a password.
func TestPip(t *testing.T) {
	r := newRegistry(t)
	var wheel bytes.Buffer
	w := zip.NewWriter(&wheel)
	for name, body := range map[string]string{"greeting/__init__.py": "word = 'hello'\n", "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
		"greeting-1.0.dist-info/WHEEL":  "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"greeting-1.0.dist-info/RECORD": "greeting/__init__.py,,\ngreeting-1.0.dist-info/METADATA,,\ngreeting-1.0.dist-info/WHEEL,,\ngreeting-1.0.dist-info/RECORD,,\n"} {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r.pages["/simple/greeting/"] = []byte(`<!DOCTYPE html><a href="/files/greeting-1.0-py3-none-any.whl">greeting-1.0-py3-none-any.whl</a>`)
	r.pages["/files/greeting-1.0-py3-none-any.whl"] = wheel.Bytes()
	index := strings.Replace(r.URL, "http://", "http://me:sesame@", 1) + "/simple"
	b := newBuilder(t, "HOME="+t.TempDir(), "PIP_CONFIG_FILE=/dev/null", "PIP_INDEX_URL="+index)
	runtime := b.runtime(t, "python")

	out, err := b.Folder(t.Context(), folder(t, map[string]string{"requirements.txt": "greeting==1.0\n", "app.py": "import greeting\n"}), runtime)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"app.py", "greeting/__init__.py", "greeting-1.0.dist-info/METADATA"} {
		if _, err := os.Stat(filepath.Join(out, file)); err != nil {
			t.Error(err)
		}
	}
	for _, q := range r.asked {
		if !strings.HasPrefix(q, "GET ") || !strings.HasSuffix(q, " "+basic("me", "sesame")) {
			t.Errorf("the index was asked: %s", q)
		}
	}
	_, err = b.Folder(t.Context(), folder(t, map[string]string{"requirements.txt": "nobody-has-this==1.0\n"}), runtime)
	if err == nil || !strings.Contains(err.Error(), "nobody-has-this") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a package that does not exist: %v", err)
	}
}

func TestFoldersWithoutManifestStayAsTheyAre(t *testing.T) {
	b := &Builder{}
	for runtime, files := range map[string]map[string]string{"nodejs22.x": {"index.js": "", "requirements.txt": "x"}, "python3.12": {"app.py": "", "package.json": "{}"}, "provided.al2023": {"bootstrap": ""}} {
		dir := folder(t, files)
		if out, err := b.Folder(t.Context(), dir, runtime); out != dir || err != nil {
			t.Errorf("%s: %s, %v", runtime, out, err)
		}
	}
}

// TestFileLinks reads from pages where files are, and nothing that a package says of itself.
func TestFileLinks(t *testing.T) {
	for _, c := range []struct{ kind, page, want string }{
		{"text/html", `<a href="https://files.example/a.whl">https://words.example/</a><a href='rel/b.whl'>`, "https://files.example/"},
		{"application/vnd.pypi.simple.v1+json", `{"files":[{"url":"https://files.example/a.whl"}],"meta":{"url":"https://words.example/"}}`, "https://files.example/a.whl"},
		{"application/json", `{"bugs":{"url":"https://words.example/"},"versions":{"1.0.0":{"tarball":"https://words.example/","dist":{"tarball":"https://files.example/a.tgz"}}}}`, "https://files.example/a.tgz"},
	} {
		if got := strings.TrimSpace(strings.Join(fileLinks(c.kind, []byte(c.page)), " ")); got != c.want {
			t.Errorf("%s: %q, want %q", c.kind, got, c.want)
		}
	}
}

func TestPipSettings(t *testing.T) {
	got := pipSettings("global.index-url='https://a.example/simple'\nglobal.extra-index-url='https://b.example\\nhttps://c.example'\n:env:.index-url='https://d.example/simple'\ninstall.index-url='https://e.example'\n")
	if got["index-url"][0] != "https://d.example/simple" || len(got["extra-index-url"]) != 2 {
		t.Errorf("%v", got)
	}
}

// TestUnpackStaysInside has archives that lead outside.
func TestUnpackStaysInside(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"a parent":         {{Name: "../out", Typeflag: tar.TypeReg}},
		"an absolute one":  {{Name: "/out", Typeflag: tar.TypeReg}},
		"a link out":       {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../.."}},
		"an absolute link": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}},
		"a hard link out":  {{Name: "l", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}},
		"a device":         {{Name: "d", Typeflag: tar.TypeChar}},
		"a file twice":     {{Name: "f", Typeflag: tar.TypeReg}, {Name: "f", Typeflag: tar.TypeReg}},
	} {
		if err := unpack(bytes.NewReader(archiveOf(t, headers)), filepath.Join(t.TempDir(), "out")); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	err := unpack(bytes.NewReader(archiveOf(t, []tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "./a/b.js", Typeflag: tar.TypeReg}, {Name: "./.bin/b", Typeflag: tar.TypeSymlink, Linkname: "../a/b.js"}})), dir)
	if _, serr := os.Stat(filepath.Join(dir, ".bin", "b")); err != nil || serr != nil {
		t.Errorf("a plain archive: %v, %v", err, serr)
	}
}

func archiveOf(t testing.TB, headers []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzUnpack(f *testing.F) {
	f.Add(archiveOf(f, []tar.Header{{Name: "a", Typeflag: tar.TypeReg}, {Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		_ = unpack(bytes.NewReader(b), filepath.Join(dir, "out"))
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
			t.Errorf("%v beside the result: %v", entries, err)
		}
	})
}

func FuzzFileLinks(f *testing.F) {
	f.Add("text/html", []byte(`<a href="https://x/y">`))
	f.Add("application/json", []byte(`{"dist":{"tarball":"https://x/y"}}`))
	f.Fuzz(func(t *testing.T, kind string, page []byte) {
		for _, l := range fileLinks(kind, page) {
			if strings.HasPrefix(kind, "text/html") && !strings.HasPrefix(l, "https://") {
				t.Errorf("%q from %q", l, page)
			}
		}
	})
}
