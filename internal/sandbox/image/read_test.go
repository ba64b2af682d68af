package image

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestReferences(t *testing.T) {
	for text, want := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/app":          "123456789012.dkr.ecr.eu-west-1.amazonaws.com app latest 123456789012 eu-west-1",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.2": "123456789012.dkr.ecr.eu-west-1.amazonaws.com team/app 1.2 123456789012 eu-west-1",
		"localhost:5000/app:x":                                      "localhost:5000 app x  ",
		"ghcr.io/a/b:1":                                             "ghcr.io a/b 1  ",
		"ubuntu":                                                    "refused", "library/ubuntu": "refused", "": "refused", "a.b/C:1": "refused", "a.b/c:": "refused", "a.b/c@sha256:12": "refused",
		"a.b/../c": "refused", "http://a.b/c": "refused", "./image.tar": "refused", "a.b/" + strings.Repeat("x", 600): "refused",
	} {
		r, err := ParseReference(text)
		account, region, _ := r.Own()
		got := strings.Join([]string{r.Host, r.Repository, r.Tag, account, region}, " ")
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	d := "sha256:" + strings.Repeat("0a", 32)
	if r, err := ParseReference("a.b/c:1@" + d); err != nil || r.Digest != d || r.Tag != "" || r.Repository != "c" {
		t.Errorf("%+v %v", r, err)
	}
}

// sample is an image, and the files and folders of this machine that hold it.
func sample(t *testing.T) (v1.Image, map[string]string) {
	t.Helper()
	img := imageOf(t, layerOf(t, item{"app", "program", 0, 0o755}), layerOf(t, item{"data", "1", 0, 0}))
	d := t.TempDir()
	at := map[string]string{"layout": filepath.Join(d, "layout"), "archived layout": filepath.Join(d, "oci.tar"), "docker save": filepath.Join(d, "docker.tar"),
		"gzipped layout": filepath.Join(d, "oci.tar.gz"), "gzipped docker save": filepath.Join(d, "docker.tar.gz")}
	p, err := layout.Write(at["layout"], empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(at["docker save"], tag, img); err != nil {
		t.Fatal(err)
	}
	pack(t, at["layout"], at["archived layout"])
	squeeze(t, at["archived layout"], at["gzipped layout"])
	squeeze(t, at["docker save"], at["gzipped docker save"])
	return img, at
}

func pack(t *testing.T, dir, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func squeeze(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	if err := errors.Join(err, z.Close(), out.Close(), in.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestImagesOfThisMachine(t *testing.T) {
	_, files := sample(t)
	for what, file := range files {
		t.Run(what, func(t *testing.T) {
			src, err := Open(file)
			if err != nil {
				t.Fatal(err)
			}
			runs(t, src)
			if err := src.Close(); err != nil {
				t.Error(err)
			}
			if src.scratch != "" {
				if _, err := os.Stat(src.scratch); err == nil {
					t.Error("what was unpacked to read it is left")
				}
			}
		})
	}
	for what, body := range map[string]string{"no archive": "hello", "another archive": string(layerOf(t, item{"a", "1", 0, 0})), "no layout": string(layerOf(t, item{"index.json", "{}", 0, 0})),
		"a climbing blob": string(layerOf(t, item{"index.json", `{"schemaVersion":2,"manifests":[]}`, 0, 0}, item{"../blobs/sha256/x", "1", 0, 0}))} {
		file := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file); !errors.As(err, new(*Error)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// runs reads and unpacks a source and looks at what is there.
func runs(t *testing.T, src Source) *Image {
	t.Helper()
	img, err := Read(ctx, src, "", Here())
	if err != nil {
		t.Fatal(err)
	}
	if l := img.Launch; len(img.Layers) != 2 || l.Entrypoint[0] != "/app" || l.Cmd[0] != "x" || l.Dir != "/srv" || l.Env[0] != "A=1" {
		t.Errorf("%+v", img)
	}
	into := t.TempDir()
	t.Cleanup(func() { loosen(into) })
	if _, err := Unpack(ctx, img, into, ample, blobsOf(src)); err != nil {
		t.Fatal(err)
	}
	tree, err := OpenTree(into)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(tree.Root, "app")); string(b) != "program" {
		t.Errorf("%q %v", b, err)
	}
	return img
}

// made is a source of parts by digest.
type made map[string][]byte

func (m made) Manifest(_ context.Context, digest string) ([]byte, error) { return m[digest], nil }

func (m made) Blob(_ context.Context, digest string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(m[digest]))), nil
}

func TestIndexChoosesThisMachine(t *testing.T) {
	other := Platform{"linux", "riscv64"}
	here := imageOf(t, layerOf(t, item{"a", "1", 0, 0}))
	there := configured(t, here, other, v1.Config{})
	at := func(p Platform) *v1.Platform { return &v1.Platform{OS: p.OS, Architecture: p.Architecture} }
	for what, c := range map[string]struct {
		index v1.ImageIndex
		want  string
	}{
		"both": {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: there, Descriptor: v1.Descriptor{Platform: at(other)}},
			mutate.IndexAddendum{Add: here, Descriptor: v1.Descriptor{Platform: at(Here())}}), ""},
		"another":     {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: there, Descriptor: v1.Descriptor{Platform: at(other)}}), "it is made for [linux/riscv64]"},
		"one without": {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: here}), ""},
		"a lie":       {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: there, Descriptor: v1.Descriptor{Platform: at(Here())}}), "it is made for linux/riscv64"},
		"nothing":     {empty.Index, "it is made for []"},
	} {
		raw, err := c.index.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		img, err := Read(ctx, &Local{top: raw, index: c.index}, "", Here())
		if c.want == "" && (err != nil || len(img.Layers) != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBrokenManifestsAreRefused(t *testing.T) {
	img := imageOf(t, layerOf(t, item{"a", "1", 0, 0}))
	raw, _ := img.RawManifest()
	conf, _ := img.RawConfigFile()
	confName, _ := img.ConfigName()
	for what, c := range map[string]struct {
		change func(map[string]any)
		want   string
	}{
		"as it is":           {func(map[string]any) {}, ""},
		"version 1":          {func(m map[string]any) { m["schemaVersion"] = 1 }, "none of a container image"},
		"both kinds at once": {func(m map[string]any) { delete(m, "mediaType"); m["manifests"] = []any{} }, "manifest and index at once"},
		"no layers":          {func(m map[string]any) { m["layers"] = []any{} }, "it has 0 layers"},
		"an artifact": {func(m map[string]any) {
			m["config"].(map[string]any)["mediaType"] = "application/vnd.oci.empty.v1+json"
		}, "it is an artifact"},
		"a foreign layer":   {func(m map[string]any) { layer(m)["urls"] = []string{"http://169.254.169.254/"} }, "is of the type"},
		"another digest":    {func(m map[string]any) { layer(m)["digest"] = "sha512:" + strings.Repeat("00", 64) }, "SHA-256"},
		"a huge layer":      {func(m map[string]any) { layer(m)["size"] = int64(maxBytes) + 1 }, "says that it has"},
		"a negative layer":  {func(m map[string]any) { layer(m)["size"] = -1 }, "says that it has"},
		"another config":    {func(m map[string]any) { m["config"].(map[string]any)["digest"] = DigestOf(nil) }, "its configuration has the digest"},
		"a huge config":     {func(m map[string]any) { m["config"].(map[string]any)["size"] = maxConfig + 1 }, "its configuration says"},
		"two layers of one": {func(m map[string]any) { m["layers"] = append(m["layers"].([]any), layer(m)) }, "its configuration is of 1 layers"},
	} {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		c.change(m)
		changed, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Read(ctx, made{"": changed, confName.String(): conf, DigestOf(nil): conf}, "", Here())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, new(*Error))) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Read(ctx, made{DigestOf(nil): raw}, DigestOf(nil), Here()); err == nil || !strings.Contains(err.Error(), "its manifest has the digest") {
		t.Errorf("another manifest than the pinned one: %v", err)
	}
}

func layer(m map[string]any) map[string]any { return m["layers"].([]any)[0].(map[string]any) }

func TestRegistry(t *testing.T) {
	img, _ := sample(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	tag, err := name.NewTag(host + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	r := Registry{Transport: server.Client().Transport}
	ref, err := ParseReference(tag.String())
	if err != nil {
		t.Fatal(err)
	}
	src, err := r.Source(ref)
	if err != nil {
		t.Fatal(err)
	}
	got := runs(t, src)
	if want, _ := img.Digest(); got.Digest != want.String() {
		t.Errorf("%s, want %s", got.Digest, want)
	}
	for _, absent := range []string{host + "/team/app:2", host + "/other:1", host + "/team/app@" + DigestOf(nil)} {
		ref, err := ParseReference(absent)
		if err != nil {
			t.Fatal(err)
		}
		src, err := r.Source(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Manifest(ctx, ref.Digest); !errors.As(err, new(*AbsentError)) {
			t.Errorf("%s: %v", absent, err)
		}
	}
	// A machine of the private network is asked with TLS only.
	ref, err = ParseReference("10.1.2.3:5000/app:1")
	if err != nil {
		t.Fatal(err)
	}
	asked := &recorder{}
	if src, err = (Registry{Transport: asked}).Source(ref); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Manifest(ctx, ""); err == nil || len(asked.urls) == 0 {
		t.Errorf("%v %v", err, asked.urls)
	}
	for _, u := range asked.urls {
		if !strings.HasPrefix(u, "https://") {
			t.Errorf("asked without TLS: %s", u)
		}
	}
}

func TestKeys(t *testing.T) {
	k, err := parseKeys([]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"localhost:5000":{"username":"u","password":"p"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"index.docker.io": "user pass", "localhost:5000": "u p", "example.com": " "} {
		reg, err := name.NewRegistry(host)
		if err != nil {
			t.Fatal(err)
		}
		a, err := k.Resolve(reg)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := a.Authorization(); err != nil || c.Username+" "+c.Password != want {
			t.Errorf("%s: %q %q %v", host, c.Username, c.Password, err)
		}
	}
	for _, bad := range []string{`{"credsStore":"desktop"}`, `{"credHelpers":{"a.b":"ecr-login"}}`, `{"auths":{"a.b":{"auth":"!secret!"}}}`, `{"auths":"secret"}`} {
		if _, err := parseKeys([]byte(bad)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestPrograms(t *testing.T) {
	_, tree, err := unpacked(t, layerOf(t, item{"usr/bin/python", "#!", 0, 0o755}, item{"bin", "/usr/bin", link, 0}, item{"srv/run.sh", "#!", 0, 0o755}, item{"srv/data", "1", 0, 0},
		item{"usr/bin/out", strings.Repeat("../", 40) + "bin/sh", link, 0}, item{"usr/bin/host", "/proc/self/exe", link, 0}))
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{
		"python": "/bin/python", "/bin/python": "/bin/python", "./run.sh": "/srv/run.sh", "srv/run.sh": "fork/exec srv/run.sh: no such file or directory",
		"/srv/data": "fork/exec /srv/data: permission denied", "/srv": "fork/exec /srv: permission denied", "ruby": `exec: "ruby": executable file not found in $PATH`,
		"run.sh": `exec: "run.sh": executable file not found in $PATH`, "/usr/bin/out": "fork/exec /usr/bin/out: no such file or directory", "/usr/bin/host": "fork/exec /usr/bin/host: no such file or directory",
	} {
		got, err := tree.Program(word, "/srv", "relative:/bin:/usr/bin")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
	if err := tree.Folder("/srv"); err != nil {
		t.Error(err)
	}
	if err := tree.Folder("/nowhere"); err == nil || err.Error() != "chdir /nowhere: no such file or directory" {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	img := imageOf(f, layerOf(f, item{"a", "1", 0, 0}))
	raw, _ := img.RawManifest()
	conf, _ := img.RawConfigFile()
	f.Add(raw, conf)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:00","size":1}]}`), conf)
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		img, err := Read(ctx, everything{manifest, config}, "", Here())
		if err == nil && (len(img.Layers) == 0 || !ValidDigest(img.Layers[0].DiffID) || img.Digest != DigestOf(manifest)) {
			t.Fatalf("%+v", img)
		}
	})
}

func FuzzReference(f *testing.F) {
	f.Add("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.2")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		for _, key := range []string{ManifestKey(r.Repository, r.Digest), TagKey(r.Repository, r.Tag)} {
			if strings.Contains(key+"/", "/../") || strings.ContainsAny(key, " \n\x00?#%") {
				t.Fatalf("%q gives the key %q", text, key)
			}
		}
	})
}
