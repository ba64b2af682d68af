package runtimes

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// registry is a small npm registry on this machine.
type registry struct {
	*httptest.Server
	archives map[string][]byte // path → archive
	versions map[string]map[string]any
	tokens   []string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{archives: map[string][]byte{}, versions: map[string]map[string]any{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.tokens = append(r.tokens, q.Header.Get("Authorization"))
		name := strings.TrimPrefix(strings.ReplaceAll(q.URL.Path, "%2f", "/"), "/")
		if body, ok := r.archives[name]; ok {
			_, _ = w.Write(body) // the client checks
			return
		}
		versions, ok := r.versions[name]
		if !ok {
			http.NotFound(w, q)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "versions": versions, "dist-tags": map[string]string{}}) // the client checks
	}))
	t.Cleanup(r.Close)
	return r
}

// publish adds a package and returns its integrity.
func (r *registry) publish(name, version string, files map[string]string) string {
	body := archive(files)
	sum := sha512.Sum512(body)
	integrity := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	at := name + "/-/" + filepath.Base(name) + "-" + version + ".tgz"
	r.archives[at] = body
	if r.versions[name] == nil {
		r.versions[name] = map[string]any{}
	}
	r.versions[name][version] = map[string]any{"name": name, "version": version,
		"dist": map[string]string{"integrity": integrity, "tarball": r.URL + "/" + at}}
	return integrity
}

func archive(files map[string]string) []byte {
	var headers []tar.Header
	var bodies []string
	for name, body := range files {
		headers = append(headers, tar.Header{Name: name, Mode: 0o755, Size: int64(len(body)), Typeflag: tar.TypeReg})
		bodies = append(bodies, body)
	}
	return archiveOf(headers, bodies)
}

func archiveOf(headers []tar.Header, bodies []string) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for i, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(bodies[i])); err != nil {
			panic(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// fakeNode is a program that says it is node 99.9.1, which no machine has.
func fakeNode(t *testing.T) string {
	t.Helper()
	body, err := os.ReadFile(sandboxtest.Build(t, "internal/sandbox/runtimes/testdata/fakenode"))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

var future = Identifier{"nodejs99.x", bootstrap.Node, "99"}

func nothing(string) {}

func nodePackage() string {
	return "node-linux-" + map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
}

// smallPins are an SDK of one package, and a second version of one package that needs another.
func smallPins(r *registry) fs.FS {
	lock := func(packages map[string]string) *fstest.MapFile {
		doc := map[string]any{"name": "sdk", "lockfileVersion": 3, "requires": true}
		deps, all := map[string]string{}, map[string]any{}
		for at, version := range packages {
			name := strings.TrimPrefix(at, "node_modules/")
			deps[name] = version
			all[at] = map[string]string{"version": version, "integrity": r.publish(name, version, map[string]string{
				"package/package.json": fmt.Sprintf(`{"name":%q,"version":%q}`, name, version), "package/dist-cjs/index.js": "",
				"package/dist-types/index.d.ts": "", "package/dist-es/index.js": ""})}
		}
		all[""] = map[string]any{"name": "sdk", "dependencies": deps}
		doc["packages"] = all
		body, err := json.Marshal(doc)
		if err != nil {
			panic(err)
		}
		return &fstest.MapFile{Data: body}
	}
	return fstest.MapFS{
		"pins/aws-sdk/package.json":         {Data: []byte(`{"name":"sdk","dependencies":{"@aws-sdk/client-sts":"3.1.0"}}`)},
		"pins/aws-sdk/package-lock.json":    lock(map[string]string{"node_modules/@aws-sdk/client-sts": "3.1.0"}),
		"pins/aws-sdk-v2/package.json":      {Data: []byte(`{"name":"sdk","dependencies":{"aws-sdk":"2.1.0","uuid":"8.0.0"}}`)},
		"pins/aws-sdk-v2/package-lock.json": lock(map[string]string{"node_modules/aws-sdk": "2.1.0", "node_modules/uuid": "8.0.0"}),
	}
}

// installer is a catalog of a user who has nothing but npm, or not even that.
func installer(t *testing.T, r *registry, withNPM bool) *Catalog {
	t.Helper()
	env := []string{"HOME=" + t.TempDir(), "npm_config_registry=" + r.URL, "npm_config_cache=" + t.TempDir(), "npm_config_update_notifier=false"}
	if withNPM {
		env = append(env, "PATH="+os.Getenv("PATH"))
	}
	c := New(Config{Dir: t.TempDir(), Environ: env, HTTP: r.Client()})
	c.pins = smallPins(r)
	return c
}

func TestInstallNode(t *testing.T) {
	node := fakeNode(t)
	for _, withNPM := range []bool{true, false} {
		t.Run(fmt.Sprintf("npm=%v", withNPM), func(t *testing.T) {
			r := newRegistry(t)
			for _, v := range []string{"99.9.0", "99.9.1", "99.10.0-rc.1", "100.0.0"} {
				r.publish(nodePackage(), v, map[string]string{"package/bin/node": node, "package/LICENSE": "free", "package/include/x.h": "x"})
			}
			c := installer(t, r, withNPM)
			var said []string
			if err := c.install(t.Context(), future, []string{AWSSDKv2}, func(m string) { said = append(said, m) }); err != nil {
				t.Fatal(err)
			}
			found, err := c.best(t.Context(), future)
			if err != nil || found.Version != "99.9.1" || found.Origin != "bastide" || !strings.HasPrefix(found.Path, c.dir) {
				t.Errorf("got %+v %v\n%s", found, err, strings.Join(said, "\n"))
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(found.Path), "../include")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("more was unpacked than is needed: %v", err)
			}
			checkSDK(t, c, future, found)
			said = nil
			if err := c.install(t.Context(), future, nil, func(m string) { said = append(said, m) }); err != nil || len(said) != 3 {
				t.Errorf("a second install did something: %q %v", said, err)
			}
		})
	}
}

func checkSDK(t *testing.T, c *Catalog, id Identifier, found Found) {
	t.Helper()
	s, err := c.sdk(t.Context(), id, found)
	if err != nil || s.Version != "3.1.0" || !s.Provides("@aws-sdk/client-sts") || !s.Provides("aws-sdk") || s.Provides("uuid") || s.Provides("../sdk.json") {
		t.Errorf("got %+v %v", s, err)
	}
	for path, want := range map[string]bool{
		"aws-sdk/node_modules/uuid/package.json": true, "@aws-sdk/client-sts/dist-cjs/index.js": true,
		"@aws-sdk/client-sts/dist-es/index.js": false, "@aws-sdk/client-sts/dist-types/index.d.ts": false,
	} {
		if _, err := os.Stat(filepath.Join(s.Dir, "node_modules", path)); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestInstallRefusesOtherBytes(t *testing.T) {
	node := fakeNode(t)
	for _, withNPM := range []bool{true, false} {
		r := newRegistry(t)
		r.publish(nodePackage(), "99.9.1", map[string]string{"package/bin/node": node})
		for at := range r.archives {
			r.archives[at] = archive(map[string]string{"package/bin/node": node + "and more"})
		}
		c := installer(t, r, withNPM)
		err := c.install(t.Context(), future, nil, nothing)
		if err == nil || !(errors.Is(err, errIntegrity) || strings.Contains(err.Error(), "EINTEGRITY")) {
			t.Errorf("npm=%v: got %v, want a refusal for its digest", withNPM, err)
		}
		if left, _ := filepath.Glob(filepath.Join(c.dir, "interpreters", "*")); len(left) > 0 {
			t.Errorf("npm=%v: left %v", withNPM, left)
		}
	}
}

func TestInstallSendsTheTokenToTheRegistryOnly(t *testing.T) {
	r, other := newRegistry(t), newRegistry(t)
	c := installer(t, r, false)
	body := "//" + strings.TrimPrefix(r.URL, "http://") + "/:_authToken=${SECRET}\n"
	if err := os.WriteFile(filepath.Join(c.env("HOME"), ".npmrc"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	c.environ = append(c.environ, "SECRET=s3cret")
	n, err := c.npm()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{r.URL + "/x", other.URL + "/x"} {
		if _, err := n.get(t.Context(), address, 10); err == nil || !strings.Contains(err.Error(), "404") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v", err)
		}
	}
	if r.tokens[0] != "Bearer s3cret" || other.tokens[0] != "" {
		t.Errorf("the registry got %q, another host %q", r.tokens, other.tokens)
	}
}

func TestInstallWhatNoRegistryHas(t *testing.T) {
	r := newRegistry(t)
	c := installer(t, r, false)
	if err := c.Install(t.Context(), "nodejs22.x", []string{"vim"}, nil); err == nil || !strings.Contains(err.Error(), "vim") {
		t.Errorf("an unknown extra: %v", err)
	}
	if err := c.Install(t.Context(), "provided.al2023", nil, nil); err != nil {
		t.Error(err)
	}
	c.http = nil
	if err := c.install(t.Context(), future, nil, nothing); err == nil || !strings.Contains(err.Error(), "npm is not on this machine") {
		t.Errorf("got %v", err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	reg := func(name string) tar.Header {
		return tar.Header{Name: name, Size: 1, Mode: 0o644, Typeflag: tar.TypeReg}
	}
	cases := map[string][]byte{
		"a path upwards":    archiveOf([]tar.Header{reg("package/../../x")}, []string{"x"}),
		"an absolute path":  archiveOf([]tar.Header{reg("package//etc/x")}, []string{"x"}),
		"no folder":         archiveOf([]tar.Header{reg("x")}, []string{"x"}),
		"a symbolic link":   archiveOf([]tar.Header{{Name: "package/x", Linkname: "/etc", Typeflag: tar.TypeSymlink}}, []string{""}),
		"a hard link":       archiveOf([]tar.Header{{Name: "package/x", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}}, []string{""}),
		"a device":          archiveOf([]tar.Header{{Name: "package/x", Typeflag: tar.TypeChar}}, []string{""}),
		"the same twice":    archiveOf([]tar.Header{reg("package/x"), reg("package/x")}, []string{"x", "y"}),
		"too many files":    archiveOf([]tar.Header{reg("package/1"), reg("package/2"), reg("package/3"), reg("package/4")}, []string{"1", "2", "3", "4"}),
		"too many bytes":    archiveOf([]tar.Header{{Name: "package/x", Size: 2000, Typeflag: tar.TypeReg}}, []string{strings.Repeat("x", 2000)}),
		"no archive at all": []byte("hello"),
	}
	for name, body := range cases {
		dir := t.TempDir()
		if err := unpack(bytes.NewReader(body), filepath.Join(dir, "in"), bounds{3, 1000}, everything); !errors.Is(err, errArchive) {
			t.Errorf("%s: got %v", name, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 1 {
			t.Errorf("%s: wrote %v", name, entries)
		}
	}
}

// FuzzUnpack: whatever the archive, nothing is written outside the folder, nor more than the bounds.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(map[string]string{"package/a/b": "x", "package/c": "y"}))
	f.Add(archiveOf([]tar.Header{{Name: "package/x", Linkname: "/etc", Typeflag: tar.TypeSymlink}}, []string{""}))
	f.Fuzz(func(t *testing.T, body []byte) {
		dir := t.TempDir()
		_ = unpack(bytes.NewReader(body), filepath.Join(dir, "in"), bounds{10, 10_000}, everything) // most are refused
		files, size := 0, int64(0)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			st, err := d.Info()
			if err != nil {
				return err
			}
			if rel, _ := filepath.Rel(dir, path); !strings.HasPrefix(rel, "in/") || !st.Mode().IsRegular() {
				t.Errorf("wrote %s %v", rel, st.Mode())
			}
			files, size = files+1, size+st.Size()
			return nil
		})
		if err != nil || files > 10 || size > 10_000 {
			t.Errorf("%d files of %d bytes, %v", files, size, err)
		}
	})
}

func TestSweepKeepsWhatIsInUse(t *testing.T) {
	c := catalog(t)
	rt, err := c.Resolve(t.Context(), "provided.al2023")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"images/.new-1", "images/nodejs20.x-old", "sdk/node.old-1", "interpreters/.new-2"} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(rt.Root.Binds[0].Source); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(c.dir, "*", "*"))
	if len(left) != 2 {
		t.Errorf("left %v", left)
	}
	again, err := c.Resolve(t.Context(), "provided.al2023")
	if err != nil || again.Root.Binds[0] != rt.Root.Binds[0] {
		t.Errorf("the image was laid again: %v %v", again, err)
	}
}

func TestImageFollowsItsSources(t *testing.T) {
	c := catalog(t)
	id, err := Lookup("provided.al2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), id.Name); err != nil {
		t.Fatal(err)
	}
	m, err := c.laid(id)
	if err != nil {
		t.Fatal(err)
	}
	for path, s := range m.Sources {
		m.Sources[path] = stamp{s.Size, s.Time + 1} // as an upgrade of the machine would
		break
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.manifestPath(id), body, 0o644); err != nil {
		t.Fatal(err)
	}
	c.forget()
	if _, err := c.Resolve(t.Context(), id.Name); err != nil {
		t.Fatal(err)
	}
	now, err := c.laid(id)
	if err != nil || now.Folder == m.Folder {
		t.Errorf("the image was not laid anew: %v", err)
	}
}
